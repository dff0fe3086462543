"""Compare gnnrec with well-known models on the same ratings, with the same metrics, in one run.

    pip install -r benchmarks/requirements-peers.txt
    python benchmarks/compare_peers.py [--dataset ml-1m] [--split FOLDER | --protocol NAME] [--models gnn,ease,sasrec]
        [--seeds 1] [--time-limit 600] [--config ml1m] [--out peers.json]

This is `gnnrec benchmark` with all models and takes all of its options; `gnnrec benchmark --help` lists them. Every
model is fitted on the training ratings; hyperparameters and the best epoch are chosen on the validation ratings
(NDCG@20). Models that cannot take part are listed with the reason. The file is written after every model.
"""

from __future__ import annotations

import sys

from gnnrec.cli import app

DEFAULTS = ("--models", "all", "--seeds", "1", "--out", "peers.json")

if __name__ == "__main__":
    app(["benchmark", *DEFAULTS, *sys.argv[1:]])  # the last of two equal options counts
