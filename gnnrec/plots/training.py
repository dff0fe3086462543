"""How training went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def training_curve(history: list[dict[str, Any]], title: str, path: str | Path) -> None:
    """Draw loss and validation metric by epoch.

    Parameters
    ----------
    history : list of dict
        Of a `RecGraph`.
    title : str
    path : str or Path
        Where the PNG goes.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "training.png"
    >>> history = [{"epoch": 1, "loss": 2.0, "ndcg@20": 0.1}, {"epoch": 2, "loss": 1.5, "ndcg@20": 0.2}]
    >>> training_curve(history, "ml-1m", path)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    metric = next((key for key in history[0] if key not in ("epoch", "loss", "seconds")), None)
    epochs = [entry["epoch"] for entry in history]
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    left.plot(epochs, [entry["loss"] for entry in history], color="tab:gray", label="training loss")
    left.set(xlabel="epoch", ylabel="training loss", title=f"Training on {title}")
    lines = left.get_lines()
    if metric:
        right = left.twinx()
        values = [entry[metric] for entry in history]
        right.plot(epochs, values, color="tab:blue", marker="o", markersize=4, label=f"validation {metric}")
        best = max(range(len(values)), key=values.__getitem__)
        right.plot(epochs[best], values[best], "o", color="tab:orange", markersize=8, label=f"best: {values[best]:.4f}")
        right.set_ylabel(f"validation {metric}")
        lines = [*lines, *right.get_lines()]
    left.legend(handles=lines, loc="center right", frameon=False)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(path, dpi=120)
