"""The layers of the package, drawn from the contract that `make lint` checks (``pyproject.toml``)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from svg import color, figure, text

HOME = Path(__file__).resolve().parents[2]
WIDTH, TALL, GAP, LEFT = 740, 30, 9, 24
ABOUT = {
    "cli": "the gnnrec command",
    "tuning": "hyperparameter search with Optuna",
    "benchmarking": "several models on the same data",
    "ratings": "predicted stars",
    "explore": "a dataset in tables and figures",
    "plots": "training curves, map of movies",
    "explanations": "why a movie was recommended",
    "models": "every recommender; the trained GNN",
    "training": "edge sampling, epochs, callbacks",
    "evaluation": "metrics, full ranking, fingerprint",
    "nn": "encoders, losses, initialization",
    "typing": "what callers may pass in",
    "graph": "tables to nodes and edges; new users",
    "metadata": "plots and posters from TMDB, OMDb",
    "features": "plots and posters to embeddings",
    "datasets": "MovieLens, the generated sample",
    "splitting": "splits and evaluation protocols",
    "data": "validated tables",
    "config": "every setting",
    "sparse": "the sparse product and its gradient",
    "registry": "names to classes and functions",
    "errors": "errors raised on purpose",
}
"""What each room holds; private modules are drawn without words."""


def layers() -> list[list[str]]:
    """Return the rooms from top to bottom, those of one layer together."""
    contracts = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [line.split(" | ") for line in found]


def package() -> str:
    """Return the picture as SVG."""
    parts = [text(LEFT, 32, "A room imports only from rooms below it.", "muted")]
    y = 48.0
    for rooms in layers():
        if rooms[0].startswith("_"):
            rooms = [", ".join(rooms)]
        width = (WIDTH - 2 * LEFT - 10 * (len(rooms) - 1)) / len(rooms)
        for i, room in enumerate(rooms):
            x = LEFT + i * (width + 10)
            role = "user" if (HOME / "gnnrec" / room).is_dir() else "occupation"
            parts.append(
                f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{TALL}" rx="6" fill="{color("panel")}"/>'
                f'<rect x="{x:g}" y="{y:g}" width="5" height="{TALL}" rx="2.5" fill="{color(role)}"/>'
            )
            name = f"{room}/" if role == "user" else room
            parts.append(text(x + 18, y + 20, name, bold=True))
            if words := ABOUT.get(room):
                parts.append(text(x + (150 if len(rooms) == 1 else 96), y + 20, words, "muted"))
        y += TALL + GAP
    return figure(WIDTH, round(y + 12), "The rooms of the package, each above those it imports from", *parts)
