"""Optuna's pictures of a study, as PNG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from gnnrec.study.storage import quiet

ALONE = {
    "history": "The value of every trial, and the best so far.",
    "curves": "The watched metric after every epoch; short lines were pruned.",
    "importances": "What sets the better trials apart, by setting (PED-ANOVA).",
    "slice": "Every setting against the value; darker points are later trials.",
    "parallel": "A line per trial through all its settings.",
}
"""Pictures of a study with one objective, and what they show."""
SEVERAL = {
    "pareto": "Every completed trial; those in red are beaten by no other in both.",
    "importances": "What sets the trials apart that are better in the first objective, by setting (PED-ANOVA).",
    "slice": "Every setting against the first objective; darker points are later trials.",
}
"""Pictures of a study with several."""
DPI = 110


def pictures(study: optuna.Study, objectives: tuple[str, ...]) -> dict[str, tuple[bytes, str]]:
    """Draw a study.

    Parameters
    ----------
    study : optuna.Study
        With at least two completed trials; with fewer there is nothing to see, and nothing is drawn.
    objectives : tuple of str
        Their names, for the axes.

    Returns
    -------
    dict of str to (bytes, str)
        PNG and caption by name.
    """
    complete = [one for one in study.trials if one.state is optuna.trial.TrialState.COMPLETE]
    if len(complete) < 2:
        return {}
    from matplotlib import pyplot as plt

    captions = ALONE if len(objectives) == 1 else SEVERAL
    captions = {name: text for name, text in captions.items() if name != "pareto" or len(objectives) <= 3}
    if len({tuple(one.values) for one in complete}) == 1:  # nothing is better than anything
        captions = {name: text for name, text in captions.items() if name != "importances"}
    drawn = {}
    for name, caption in captions.items():
        with plt.rc_context(), quiet(), warnings.catch_warnings():  # Optuna sets a style for everybody
            warnings.filterwarnings("ignore", message="Attempting to set identical low and high")
            axes = _DRAW[name](study, objectives)
            figure = np.ravel(axes)[0].figure
            drawn[name] = _png(figure), caption
            plt.close(figure)
    return drawn


def _history(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_optimization_history

    return plot_optimization_history(study, target_name=objectives[0])


def _curves(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_intermediate_values

    axes: Any = plot_intermediate_values(study)
    axes.set(title="Epochs of every trial", xlabel="epoch", ylabel=objectives[0])
    if axes.get_legend():
        axes.get_legend().remove()  # a line for each trial
    return axes


def _importances(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_param_importances

    if len(objectives) == 1:
        return plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target_name=objectives[0])
    with warnings.catch_warnings():
        # Optuna warns that here it explains low values; the first objective is a metric, so it gets its negative.
        warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes the importances of params")
        return plot_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), target=lambda one: -_first(one), target_name=objectives[0]
        )


def _slice(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_slice

    axes: Any = plot_slice(study, target=_first, target_name=objectives[0])
    for one in np.ravel(axes):
        one.set_xlabel(one.get_xlabel().replace(".", ".\n"), fontsize=9)
        one.tick_params(axis="x", which="both", labelrotation=45, labelsize=8)
    number = np.ravel(axes).size
    if number > 4:  # Optuna makes each as wide as when alone
        np.ravel(axes)[0].figure.set_size_inches(2 * number + 1.5, 4)
    return axes


def _parallel(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    axes: Any = plot_parallel_coordinate(study, target_name=objectives[0])
    axes.figure.set_size_inches(max(7, 1.6 * len({key for one in study.trials for key in one.params}) + 3), 5)
    return axes


def _pareto(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_pareto_front

    return plot_pareto_front(study, target_names=list(objectives))


def _first(trial: optuna.trial.FrozenTrial) -> float:
    return float(trial.values[0])


_DRAW: dict[str, Callable[[optuna.Study, tuple[str, ...]], Any]] = {
    "history": _history,
    "curves": _curves,
    "importances": _importances,
    "slice": _slice,
    "parallel": _parallel,
    "pareto": _pareto,
}


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()
