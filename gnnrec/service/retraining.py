"""Retrains a run: ``python -m gnnrec.service.retraining RUN``. Writes its progress as JSON lines.

With ``--profiles``, it reads the ratings of profiles from standard input, see `profile_tables`. The new run has them as
users with random ids; it contains no names, and those of an earlier training are removed first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from gnnrec._torch import memory_errors
from gnnrec.data import Dataset
from gnnrec.errors import GnnrecError
from gnnrec.models.base import Recommender
from gnnrec.models.estimator import get_estimator, load
from gnnrec.service.names import is_profile, make_user_id
from gnnrec.service.records import Entry, Profile
from gnnrec.service.served import ServedModel
from gnnrec.training.callbacks import Callback, FitState


class Progress(Callback):
    """Writes a line after each epoch."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_epoch_end(self, state: FitState) -> None:
        """Report the completed epoch."""
        tell(step=state.epoch, steps=max(self.steps, state.epoch), message=f"epoch {state.epoch}")


def tell(**values: Any) -> None:
    """Write a line that `Jobs` reads."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def profile_tables(
    served: ServedModel, histories: Iterable[tuple[Profile, Sequence[Entry]]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the profiles that have ratings as rows of ``users`` and ``ratings``, with random ids instead of names.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> served = ServedModel(EASE().fit(dataset))
    >>> ann = Profile(1, "Ann", 30, None, None, 0)
    >>> tables = profile_tables(served, [(ann, [Entry("7", "", 100, 4.0)])])
    >>> [(row["movie_id"], row["rating"], row["timestamp"]) for row in tables["ratings"]], "Ann" in str(tables)
    ([(7, 4.0, 100)], False)
    """
    users, ratings = [], []
    for profile, history in histories:
        user = served.user(profile, history)
        assert isinstance(user.ratings, Mapping)
        if not user.ratings:
            continue
        user_id = make_user_id()
        users.append({"user_id": user_id, **user.features})
        times = user.timestamps
        assert isinstance(times, Mapping)
        ratings += [
            {"user_id": user_id, "movie_id": movie, "rating": rating, "timestamp": times[movie]}
            for movie, rating in user.ratings.items()
        ]
    return {"users": users, "ratings": ratings}


def training_data(model: Recommender, tables: Mapping[str, Any]) -> Dataset:
    """Return the data of a model with the profiles in `tables` instead of those of an earlier training."""
    dataset = model.dataset
    for user_id in filter(is_profile, dataset.user_ids.ids.tolist()):
        dataset = dataset.remove_user(user_id)
    if not tables["users"]:
        return dataset
    users, ratings = pd.DataFrame(tables["users"]), pd.DataFrame(tables["ratings"])
    return dataset.add_ratings(ratings, users, spellings=model.graph.user_values)


def main(arguments: list[str] | None = None) -> int:
    """Train and save; the folder is replaced in a single step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--profiles", action="store_true")
    given = parser.parse_args(arguments)
    tables = json.load(sys.stdin) if given.profiles else {"users": [], "ratings": []}
    try:
        model = load(given.run)
        settings: dict[str, Any] = {}
        steps = 0
        if model.name == "gnn":
            changes = {"train.epochs": given.epochs, "train.seed": given.seed}
            changed = [f"{key}={value}" for key, value in changes.items() if value is not None]
            settings["config"] = model.config.override(changed)
            steps = settings["config"].train.epochs
            estimator = get_estimator("gnn", **settings)
        else:
            estimator = model.estimator
            if given.epochs is not None and "epochs" in type(estimator).model_fields:
                estimator = get_estimator(estimator, epochs=given.epochs)
            estimator = estimator if given.seed is None else estimator.with_seed(given.seed)
            steps = getattr(estimator, "epochs", 0)
        tell(step=0, steps=steps, message="training")
        callbacks = [Progress(steps)] if estimator.trains_in_epochs else []
        with memory_errors("training"):
            fitted = estimator.fit(training_data(model, tables), callbacks=callbacks)
            fitted.save(given.run, keep=["split"])
    except (GnnrecError, FloatingPointError, MemoryError, OSError) as error:
        tell(error=" ".join((str(error) or "not enough memory").split()).replace(given.run, "the run"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
