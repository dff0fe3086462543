"""Compare gnnrec with well-known models from elsewhere: the same rows, the same measures, one run.

    pip install -r benchmarks/requirements-peers.txt
    python benchmarks/compare_peers.py [--dataset ml-1m] [--split FOLDER | --protocol NAME] [--models gnn,ease,sasrec]
        [--seeds 1] [--limit-seconds 600] [--config configs/ml1m.yaml] [--json peers.json]

It is `gnnrec benchmark` with the peers switched on, and takes all of its options: `gnnrec benchmark --help` lists them.
Every model is fitted on the train rows; settings and the epoch to stop at are chosen on the valid rows (NDCG@20). A
model that cannot take part is named, with the reason. The file is written after every model.
"""

from __future__ import annotations

import sys

from gnnrec.cli import app

DEFAULTS = ("--models", "all", "--seeds", "1", "--json", "peers.json")

if __name__ == "__main__":
    app(["benchmark", *DEFAULTS, *sys.argv[1:]])  # of an option that is given twice, the last one counts
