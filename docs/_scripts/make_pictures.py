"""Draw docs/pictures/*.svg and the logo: python docs/_scripts/make_pictures.py

Output depends on nothing but the code, so a test compares it with the files that are committed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from draw_decays import position_decays
from draw_graph import graph
from draw_logo import INDIGO, favicon, logo
from draw_message_passing import message_passing
from draw_package import package

DOCS = Path(__file__).resolve().parent.parent
DRAWN = {
    "_static/favicon.svg": favicon,
    "_static/logo-dark.svg": lambda: logo("#f2f4f9"),
    "_static/logo-light.svg": lambda: logo(INDIGO),
    "pictures/graph.svg": graph,
    "pictures/message-passing.svg": message_passing,
    "pictures/package.svg": package,
    "pictures/position-decays.svg": position_decays,
}
"""What is drawn, by path below docs/."""


def main() -> None:
    for name, draw in DRAWN.items():
        (DOCS / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
