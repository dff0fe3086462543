"""Training curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gnnrec._io import write_atomic
from gnnrec.plots.style import ON_WHITE, styled, to_png


def training_curve(history: list[dict[str, Any]], title: str, path: str | Path) -> None:
    """Draw the training loss and the validation metric by epoch, as a PNG.

    Parameters
    ----------
    history : list of dict
        One entry per epoch, with ``epoch``, ``loss`` and optionally a metric; that of a trained `RecGraph`.
    title : str
        Name of the dataset.
    path : str or Path
        The PNG file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "training.png"
    >>> history = [{"epoch": 1, "loss": 2.0, "ndcg@20": 0.1}, {"epoch": 2, "loss": 1.5, "ndcg@20": 0.2}]
    >>> training_curve(history, "ml-1m", path)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    metric = next((key for key in history[0] if key not in ("epoch", "loss", "seconds")), None)
    epochs = [entry["epoch"] for entry in history]
    with styled(ON_WHITE):
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
            label = f"best: {values[best]:.4f}"
            right.plot(epochs[best], values[best], "o", color="tab:orange", markersize=8, label=label)
            right.set_ylabel(f"validation {metric}")
            lines = [*lines, *right.get_lines()]
        left.legend(handles=lines, loc="center right", frameon=False)
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        write_atomic(Path(path), to_png(figure, dpi=120))
