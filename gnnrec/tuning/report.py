"""The report folder of a study: configurations, the table of trials, plots, and a Markdown report."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from gnnrec._io import write_atomic
from gnnrec.errors import ConfigError, StorageError
from gnnrec.tuning.parameters import to_json
from gnnrec.tuning.result import StudyResult, TrialResult
from gnnrec.tuning.storage import quiet_optuna
from gnnrec.tuning.tunable import TunableGNN

NUM_SHOWN = 10
"""Number of trials in the table of the report."""
DPI = 110
SINGLE_OBJECTIVE_PLOTS = {
    "history": "The value of every trial, and the best so far.",
    "curves": "The validation metric after every epoch; short lines were pruned.",
    "importances": "Importance of each hyperparameter for the better trials (PED-ANOVA).",
    "slice": "Each hyperparameter against the objective; darker points are later trials.",
    "parallel": "One line per trial across all hyperparameters.",
}
"""Plots of a study with one objective, with captions."""
MULTI_OBJECTIVE_PLOTS = {
    "pareto": "Every completed trial; the Pareto front is red.",
    "importances": "Importance of each hyperparameter for a better first objective (PED-ANOVA).",
    "slice": "Each hyperparameter against the first objective; darker points are later trials.",
}
"""Plots of a study with several objectives, with captions."""


def write_report(result: StudyResult, folder: str | Path, *, command: str = "") -> Path:
    """Write the report folder of a study.

    The files are ``best.yaml`` and ``base.yaml`` (the best and the base config), ``trials.csv``, plots,
    ``report.md`` and, with several objectives, a configuration per trial of the Pareto front in ``pareto/``.

    Parameters
    ----------
    result : StudyResult
    folder : str or Path
        Created if missing; an earlier report in it is replaced.
    command : str
        Command to quote in the report.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        The folder is a file.
    StorageError
        The folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec import load_dataset, tune
    >>> space = {"train": {"epochs": 1}, "space": {"model.embedding_dim": {"choices": [8, 16]}}}
    >>> result = tune(load_dataset("sample", num_users=60, num_movies=40), space, trials=1, progress=False)
    >>> sorted(path.name for path in write_report(result, tempfile.mkdtemp()).iterdir())
    ['base.yaml', 'best.yaml', 'report.md', 'trials.csv']
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose a folder for the report")
    try:
        _write_report(result, folder, command)
    except OSError as error:
        raise error if isinstance(error, StorageError) else StorageError.writing(folder, error) from None
    return folder


def _write_report(result: StudyResult, folder: Path, command: str) -> None:
    multiple, front = len(result.objectives) > 1, result.pareto_front
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "best.yaml", _config_yaml(result, front[0]).encode())
    base = f"# Base configuration of study {_one_line(result.name)}.\n{_to_yaml(result, result.space.base)}"
    write_atomic(folder / "base.yaml", base.encode())
    configs = {f"trial-{one.trial:03d}.yaml": one for one in front} if multiple else {}
    for old in (folder / "pareto").glob("trial-*.yaml"):
        if old.name not in configs:
            old.unlink()
    for name, one in configs.items():
        (folder / "pareto").mkdir(exist_ok=True)
        write_atomic(folder / "pareto" / name, _config_yaml(result, one).encode())
    if not multiple:
        with contextlib.suppress(OSError):  # it does not exist, or contains other files
            (folder / "pareto").rmdir()
    write_atomic(folder / "trials.csv", result.trials.to_csv(index=False).encode())
    plots = draw_plots(result)
    for name in {*SINGLE_OBJECTIVE_PLOTS, *MULTI_OBJECTIVE_PLOTS} - set(plots):
        (folder / f"{name}.png").unlink(missing_ok=True)
    for name, (png, _) in plots.items():
        write_atomic(folder / f"{name}.png", png)
    captions = {name: caption for name, (_, caption) in plots.items()}
    # The report refers to all other files, so it is written last.
    write_atomic(folder / "report.md", render_report(result, captions, command).encode())


def render_report(result: StudyResult, captions: dict[str, str], command: str = "") -> str:
    """Return the report in Markdown.

    Parameters
    ----------
    result : StudyResult
    captions : dict of str to str
        Captions of the plots that exist, by name.
    command : str
        Command to quote.
    """
    frame, front = result.trials, result.pareto_front
    states = frame["state"].value_counts()
    pruned = frame[frame["state"] == "pruned"]
    complete = frame[frame["state"] == "complete"]
    best = complete.sort_values(result.objectives[0], ascending=False, kind="stable").head(NUM_SHOWN)
    environment = Environment(
        loader=PackageLoader("gnnrec.tuning"),
        autoescape=False,  # Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("report.md.jinja").render(
        name=_one_line(result.name),
        data=result.data,
        objectives=result.objectives,
        num_trials=len(frame),
        states=", ".join(f"{number} {state}" for state, number in states.items()),
        minutes=frame["seconds"].sum() / 60,
        storage=result.storage,
        command=command,
        best=front[0],
        base=result.base_trial,
        outside=result.space.outside,
        front=_front_table(result),
        parameters=_parameter_table(result),
        num_shown=len(best),
        num_complete=len(complete),
        trials=_table(
            best.drop(columns=["state", "reason"]).rename(columns=lambda name: name.partition(".")[2] or name)
        ),
        num_pruned=len(pruned),
        median_epochs=pruned["epochs"].median() if len(pruned) else 0,
        failures=frame.loc[frame["state"] == "failed", "reason"].value_counts().to_dict(),
        num_lost=int((frame["state"] == "lost").sum()),
        plots=captions,
        test_command=_test_command(result),
    )


def draw_plots(result: StudyResult) -> dict[str, tuple[bytes, str]]:
    """Draw Optuna's plots of a study.

    Returns
    -------
    dict of str to (bytes, str)
        PNG and caption by name; empty if fewer than two trials are complete.
    """
    study, objectives = result.to_optuna(), result.objectives
    complete = [one for one in study.trials if one.state is optuna.trial.TrialState.COMPLETE]
    if len(complete) < 2:
        return {}
    from matplotlib import pyplot as plt  # slow to import

    captions = dict(SINGLE_OBJECTIVE_PLOTS if len(objectives) == 1 else MULTI_OBJECTIVE_PLOTS)
    if len(objectives) > 3:
        captions.pop("pareto")
    if len({tuple(one.values) for one in complete}) == 1:  # importances are undefined for equal values
        captions.pop("importances")
    plots = {}
    for name, caption in captions.items():
        with plt.rc_context(), quiet_optuna(), warnings.catch_warnings():  # Optuna sets a global style
            warnings.filterwarnings("ignore", message="Attempting to set identical low and high")
            figure = np.ravel(_PLOTS[name](study, objectives))[0].figure
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
            plots[name] = buffer.getvalue(), caption
            plt.close(figure)
    return plots


def _plot_history(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_optimization_history

    return plot_optimization_history(study, target_name=objectives[0])


def _plot_curves(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_intermediate_values

    axes: Any = plot_intermediate_values(study)
    axes.set(title="Validation metric per epoch", xlabel="epoch", ylabel=objectives[0])
    if axes.get_legend():
        axes.get_legend().remove()  # one line per trial
    return axes


def _plot_importances(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    # Imports scikit-learn.
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization.matplotlib import plot_param_importances

    if len(objectives) == 1:
        return plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target_name=objectives[0])
    with warnings.catch_warnings():
        # Optuna warns that it explains low values here; the first objective is a metric, so its negative is passed.
        warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes the importances of params")
        return plot_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(),
            target=lambda one: -_first_value(one),
            target_name=objectives[0],
        )


def _plot_slice(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_slice

    axes: Any = plot_slice(study, target=_first_value, target_name=objectives[0])
    for one in np.ravel(axes):
        one.set_xlabel(one.get_xlabel().replace(".", ".\n"), fontsize=9)
        one.tick_params(axis="x", which="both", labelrotation=45, labelsize=8)
    number = np.ravel(axes).size
    if number > 4:  # Optuna does not widen the figure for several panels
        np.ravel(axes)[0].figure.set_size_inches(2 * number + 1.5, 4)
    return axes


def _plot_parallel(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    axes: Any = plot_parallel_coordinate(study, target_name=objectives[0])
    axes.figure.set_size_inches(max(7, 1.6 * len({key for one in study.trials for key in one.params}) + 3), 5)
    return axes


def _plot_pareto(study: optuna.Study, objectives: tuple[str, ...]) -> Any:
    from optuna.visualization.matplotlib import plot_pareto_front

    return plot_pareto_front(study, target_names=list(objectives))


def _first_value(trial: optuna.trial.FrozenTrial) -> float:
    return float(trial.values[0])


_PLOTS: dict[str, Callable[[optuna.Study, tuple[str, ...]], Any]] = {
    "history": _plot_history,
    "curves": _plot_curves,
    "importances": _plot_importances,
    "slice": _plot_slice,
    "parallel": _plot_parallel,
    "pareto": _plot_pareto,
}


def _config_yaml(result: StudyResult, one: TrialResult) -> str:
    """Return a configuration as YAML, with a first line that names its study, trial and values."""
    values = ", ".join(f"{name} {value:.4f}" for name, value in one.values.items())
    data = _one_line(result.data["name"])
    source = f"# Study {_one_line(result.name)}, trial {one.trial}: {values} on the validation ratings of {data}."
    return f"{source}\n{_to_yaml(result, one.config)}"


def _to_yaml(result: StudyResult, config: Any) -> str:
    return yaml.safe_dump(to_json(result.space.tunable.to_mapping(config)), sort_keys=False)


def _test_command(result: StudyResult) -> str:
    """Return the command that measures the best configuration on test ratings."""
    dataset, tunable = result.data["name"], result.space.tunable
    if tunable.name == TunableGNN.name:
        return f"gnnrec benchmark --dataset {dataset} --models gnn --seeds 3 --config best.yaml --config base.yaml"
    settings = " ".join(f"--set '{key}={value}'" for key, value in _parameters(result, result.best).items())
    return f"gnnrec train --dataset {dataset} --protocol random --model {tunable.name} {settings}"


def _front_table(result: StudyResult) -> str:
    values = [{name: _format(value) for name, value in one.values.items()} for one in result.pareto_front]
    rows = [
        {"trial": one.trial, **own, **_parameters(result, one.config)}
        for one, own in zip(result.pareto_front, values, strict=True)
    ]
    return _table(pd.DataFrame(rows))


def _parameter_table(result: StudyResult) -> str:
    base, best = _parameters(result, result.space.base), _parameters(result, result.best)
    rows = [
        {"hyperparameter": f"`{key}`", "search space": str(one), "base": base[key], "best": best[key]}
        for key, one in result.space.parameters.items()
    ]
    return _table(pd.DataFrame(rows))


def _parameters(result: StudyResult, config: Any) -> dict[str, str]:
    """Return the value of every hyperparameter as text, empty where it does not apply."""
    space = result.space
    return {key: _format(space.value(key, config)) if space.applies(key, config) else "" for key in space.parameters}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(frame: pd.DataFrame) -> str:
    lines: list[list[Any]] = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(object).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(_format(cell) for cell in line)} |" for line in lines)


def _format(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return yaml.safe_dump(list(value), default_flow_style=True).strip()
    return str(value).replace("|", "\\|").replace("\n", " ")
