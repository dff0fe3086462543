"""The layers of the package, drawn from the contract that `make lint` checks (``pyproject.toml``)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from svg import color, figure, text

HOME = Path(__file__).resolve().parents[2]
WIDTH, TALL, GAP, LEFT = 740, 30, 9, 24
ABOUT = {
    "cli": "the gnnrec command",
    "service": "the web app and the JSON API",
    "tuning": "hyperparameter search with Optuna",
    "benchmarking": "several models on the same data",
    "ratings": "predicted stars",
    "explore": "a dataset in tables and figures",
    "plots": "training curves, map of movies",
    "export": "the network as ONNX",
    "explanations": "why a movie was recommended",
    "models": "every recommender; the trained GNN",
    "training": "edge sampling, epochs, callbacks",
    "evaluation": "metrics, full ranking, fingerprint",
    "nn": "encoders, losses, initialization",
    "reranking": "diverse, calibrated and group lists",
    "typing": "what callers may pass in",
    "graph": "tables to nodes and edges; new users",
    "metadata": "plots and posters from TMDB, OMDb",
    "features": "plots and posters to embeddings",
    "datasets": "MovieLens, the generated sample",
    "splitting": "splits and evaluation protocols",
    "data": "validated tables",
    "user_features": "age, gender and more, a file for each",
    "config": "every setting",
    "sparse": "the sparse product and its gradient",
    "registry": "names to classes and functions",
    "errors": "errors raised on purpose",
}
"""What each package or module holds; private modules are drawn without words."""


def layers() -> list[list[str]]:
    """Return packages and modules from top to bottom, those of one layer together."""
    contracts = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [line.split(" | ") for line in found]


def package() -> str:
    """Return the picture as SVG."""
    parts = [text(LEFT, 32, "Each package or module imports only from those below it.", "muted")]
    y = 48.0
    for layer in layers():
        if layer[0].startswith("_"):
            layer = [", ".join(layer)]
        width = (WIDTH - 2 * LEFT - 10 * (len(layer) - 1)) / len(layer)
        for i, module in enumerate(layer):
            x = LEFT + i * (width + 10)
            role = "user" if (HOME / "gnnrec" / module).is_dir() else "occupation"
            parts.append(
                f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{TALL}" rx="6" fill="{color("panel")}"/>'
                f'<rect x="{x:g}" y="{y:g}" width="5" height="{TALL}" rx="2.5" fill="{color(role)}"/>'
            )
            name = f"{module}/" if role == "user" else module
            parts.append(text(x + 18, y + 20, name, bold=True))
            if words := ABOUT.get(module):
                parts.append(text(x + (150 if len(layer) == 1 else 96), y + 20, words, "muted"))
        y += TALL + GAP
    return figure(WIDTH, round(y + 12), "Packages and modules of gnnrec, each above those it imports from", *parts)
