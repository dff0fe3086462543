"""Write the report and plots in benchmarks/results/study-ml1m from its trials: python docs/_scripts/make_study.py

The study ran before 0.2 renamed settings. Its trials are committed in ``trials.csv`` under today's names. ``curves.png``
is the original: it shows every epoch of each trial, which the table does not have.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

import gnnrec
from gnnrec.tuning import StudyResult
from gnnrec.tuning.report import draw_plots, render_report

HOME = Path(__file__).resolve().parents[2]
FOLDER = HOME / "benchmarks" / "results" / "study-ml1m"
SPACE = HOME / "configs" / "ml1m-search.yaml"
OBJECTIVE = "ndcg@20"
DATA = {
    "name": "ml-1m",
    "protocol": "given files (Movielens1M_m1)",
    "train": 796_244,
    "valid": 99_455,
    "digest": "39da211b586b00bd",
}
COMMAND = "gnnrec tune --dataset ml-1m --split Movielens1M_m1 --config ml1m-search --trials 45 --study ml1m"
INTRODUCTION = """<!-- Written by docs/_scripts/make_study.py; do not edit. -->

# A study on MovieLens-1M

The report of `gnnrec tune` on the study that found the settings of the config `ml1m`. The study ran before version 0.2
renamed some settings; here they have today's names, and the numbers are those of the study.
[Settings](../../../docs/reference/config.md) explains each setting,
[Tune hyperparameters](../../../docs/how-to/tune.md) how to run a study."""
STATISTICS = ("seconds", "epochs", "best_epoch", "coverage@20")
PLOTS = ("history", "curves", "importances", "slice")


def main() -> None:
    result = study()
    plots = {name: plot for name, plot in draw_plots(result).items() if name in PLOTS}
    for name in set(PLOTS) - {"curves"}:
        (FOLDER / f"{name}.png").write_bytes(plots[name][0])
    captions = {name: caption for name, (_, caption) in plots.items()}
    (FOLDER / "report.md").write_text(report(result, captions), encoding="utf-8")


def study() -> StudyResult:
    """Return the study with the trials of the table."""
    space = gnnrec.SearchSpace.from_yaml(SPACE)
    table = pd.read_csv(FOLDER / "trials.csv")
    trials = tuple(trial(dict(zip(table, row, strict=True)), space) for row in table.itertuples(index=False))
    return StudyResult("ml1m", (OBJECTIVE,), space, DATA, trials, "an Optuna journal")


def trial(row: dict[str, Any], space: gnnrec.SearchSpace) -> FrozenTrial:
    """Return a row of the table as a trial of Optuna."""
    asked = optuna.trial.FixedTrial({key: one.encode(row[key]) for key, one in space.parameters.items()})
    space.suggest(asked)
    state = TrialState[row["state"].upper()]
    found = optuna.trial.create_trial(
        state=state,
        value=row[OBJECTIVE] if state is TrialState.COMPLETE else None,
        params=asked.params,
        distributions=asked.distributions,
        user_attrs={name: row[name] for name in STATISTICS if pd.notna(row[name])},
        intermediate_values={int(row["best_epoch"]): row[OBJECTIVE]},
    )
    found.number = row["trial"]
    return found


def report(result: StudyResult, captions: dict[str, str]) -> str:
    """Return the report, with an introduction in place of its title."""
    return re.sub(r"\A# .*\n", f"{INTRODUCTION}\n", render_report(result, captions, COMMAND))


if __name__ == "__main__":
    main()
