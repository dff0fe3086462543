"""Draw docs/pictures/analysis-*.png, findings in the generated sample: python docs/_scripts/make_analysis_pictures.py

The bytes of a PNG depend on the versions of matplotlib and its fonts, so no test compares them.
"""

from __future__ import annotations

from pathlib import Path

import gnnrec

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
SHOWN = ("long-tail", "matrix", "genres")
"""Findings that the pages show."""


def main() -> None:
    found = gnnrec.analyze(gnnrec.load_dataset("sample"))
    for name in SHOWN:
        (PICTURES / f"analysis-{name}.png").write_bytes(found[name].png())


if __name__ == "__main__":
    main()
