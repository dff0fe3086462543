"""Extreme settings and data: a right result or a clear stop; and NaN, which every door notices.

``python -m benchmarks.trust.numerics --seconds 60`` goes through the list, then through pairs of extremes.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch

import gnnrec
from benchmarks.trust.readers import check
from benchmarks.trust.sandbox import PACKAGE, Trial, WrongAnswerError, run_trials
from gnnrec import Config, Dataset, GnnrecError, NewMovie, NewUser
from gnnrec.datasets import make_sample


def _ratings(rows: list[tuple[int, int, float, int]]) -> Dataset:
    return Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"]), name="extreme")


def _sample(**columns: Any) -> Dataset:
    """Return a small sample with other values in some columns of its ratings."""
    sample = make_sample(24, 20)
    return Dataset(sample.ratings.assign(**columns), sample.movies, sample.users)


DATA: dict[str, Callable[[], Dataset]] = {
    "sample": lambda: make_sample(24, 20),
    "one user, one movie": lambda: _ratings([(1, 1, 4.0, 5)]),
    "one user": lambda: _ratings([(1, movie, 1.0 + movie % 5, movie) for movie in range(12)]),
    "one movie": lambda: _ratings([(user, 1, 1.0 + user % 5, user) for user in range(12)]),
    "two users without a movie in common": lambda: _ratings([(user, 2 * user + m, 4.0, m) for user in (1, 5) for m in (0, 1)]),
    "everybody rated everything": lambda: _ratings([(u, m, 1.0 + (u + m) % 5, u + m) for u in range(12) for m in range(12)]),
    "all ratings equal": lambda: _sample(rating=3.0),
    "all ratings zero": lambda: _sample(rating=0.0),
    "huge ratings": lambda: _sample(rating=1e30),
    "tiny ratings": lambda: _sample(rating=1e-30),
    "negative ratings": lambda: _sample(rating=-7.5),
    "one huge rating": lambda: _sample(rating=np.where(np.arange(make_sample(24, 20).num_ratings) == 0, 1e30, 4.0)),
    "all times equal": lambda: _sample(timestamp=10**9),
    "all times zero": lambda: _sample(timestamp=0),
    "times at the end": lambda: _sample(timestamp=253_402_300_799),
    "weights": lambda: _sample(weight=np.arange(make_sample(24, 20).num_ratings) % 5 * 1e10),
    "weights of zero": lambda: _sample(weight=0.0),
    "movies without ratings": lambda: Dataset(make_sample(24, 20).ratings.iloc[:3], make_sample(24, 20).movies, make_sample(24, 20).users),
}  # fmt: skip
"""Datasets, small and extreme."""

GNN = ["train.epochs=2", "model.embedding_dim=4", "model.hidden_dim=4", "train.batch_size=16"]
SETTINGS: dict[str, list[str]] = {
    "plain": [],
    "learning rate 1e9": ["train.learning_rate=1e9"],
    "learning rate 1e38": ["train.learning_rate=1e38"],
    "learning rate 1e-40": ["train.learning_rate=1e-40"],
    "one dimension": ["model.embedding_dim=1", "model.hidden_dim=1"],
    "4,096 dimensions": ["model.embedding_dim=4096", "train.epochs=1"],
    "no hidden layer": ["model.hidden_dim=0"],
    "a batch larger than the data": ["train.batch_size=1000000"],
    "batches of one": ["train.batch_size=1"],
    "nearly everything dropped": [f"train.{name}_dropout=0.999" for name in ("edge", "id", "history", "profile")],
    "dropout": ["model.dropout=0.999"],
    "huge weight of negatives": ["train.negative_weight=1e30"],
    "tiny weight of negatives": ["train.negative_weight=1e-30"],
    "huge initial scores": ["model.init_scale=1e30"],
    "tiny initial scores": ["model.init_scale=1e-30"],
    "random start": ["model.init=random"],
    "huge decay of weights": ["train.weight_decay=1e9"],
    "smoothing": ["model.movie_degree_smoothing=1e30", "model.init_user_smoothing=1e30"],
    "spectral power": ["model.init_spectral_power=100"],
    "time": ["model.temporal=true", "model.day_decays=[1e-9, 1e9]", "model.rating_decays=[1e-30]"],
    "next item": ["train.objective=next_item", "model.temporal=true", "train.horizon=1000", "train.cutoff_recency=1e9"],
    "transitions": ["model.init=transitions", "model.transition_window=100000"],
    "many layers": ["model.num_layers=10"],
    "softmax": ["train.loss=softmax"],
    "bpr": ["train.loss=bpr", "train.learning_rate=1e6"],
    "graphsage": ["model.encoder=graphsage"],
    "graphsage, max": ["model.encoder=graphsage", "model.aggregation=max", "train.learning_rate=1e9"],
    "dates": ["model.temporal=true", "model.date_features=true"],
}
"""Settings of the graph neural network."""

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "popularity": ("popularity", {}),
    "itemknn": ("itemknn", {}),
    "itemknn, one neighbor": ("itemknn", {"num_neighbors": 1, "shrink": 1e30}),
    "ease": ("ease", {}),
    "ease, tiny": ("ease", {"reg": 1e-30}),
    "ease, huge": ("ease", {"reg": 1e30}),
    "slim": ("slim", {}),
    "slim, tiny": ("slim", {"l1": 1e-30, "l2": 1e-30}),
    "slim, huge": ("slim", {"l1": 1e30, "l2": 1e30}),
    "contentknn": ("contentknn", {"num_neighbors": 10_000}),
    "ridge": ("ridge", {}),
    "ridge, tiny": ("ridge", {"reg": 1e-30, "embedding_dim": 1}),
    "ridge, 4,096 dimensions": ("ridge", {"embedding_dim": 4096}),
    "mf": ("mf", {"epochs": 2}),
    "mf, learning rate 1e9": ("mf", {"epochs": 2, "learning_rate": 1e9}),
    "mf, one dimension": ("mf", {"epochs": 2, "embedding_dim": 1, "batch_size": 10**6}),
    "neumf": ("neumf", {"epochs": 2}),
    "neumf, learning rate 1e9": ("neumf", {"epochs": 2, "learning_rate": 1e9}),
    "lightgcn": ("lightgcn", {"epochs": 2}),
    "lightgcn, learning rate 1e9": ("lightgcn", {"epochs": 3, "learning_rate": 1e9}),
    "average": ("average", {"epochs": 2, "embedding_dim": 1}),
    "sasrec": ("sasrec", {"epochs": 2, "embedding_dim": 4}),
    "sasrec, learning rate 1e9": ("sasrec", {"epochs": 2, "learning_rate": 1e9, "embedding_dim": 4}),
}
"""Other models."""

RATING_MODELS = ("rating head", "biases", "biased mf", "history attention")


def _stops(error: FloatingPointError) -> bool:
    """Return whether the package itself raised it, as it does for a training that diverges."""
    return traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE)


def use(model: Any) -> None:
    """Use a model at every door; results must hold what they promise."""
    data = model.dataset
    users = data.users["user_id"].tolist()
    found = model.recommend(users, k=3)
    check(bool(np.isfinite(found["score"]).all()), "a score is not finite")
    seen = set(zip(data.ratings["user_id"], data.ratings["movie_id"], strict=True))
    check(not seen & set(zip(found["user_id"], found["movie_id"], strict=True)), "a rated movie is recommended")
    for user, rows in found.groupby("user_id"):
        left = data.num_movies - sum(one == user for one, _ in seen)
        check(len(rows) == min(3, left), f"{len(rows)} movies for user {user}, who has {left} left")
        check(bool((rows["score"].diff().dropna() <= 0).all()) and rows["movie_id"].is_unique, "a list is out of order")
    similar = model.similar_movies(data.movies["movie_id"].iloc[0], k=3)
    check(bool((similar["similarity"].abs() <= 1.001).all()), "a similarity is not between -1 and 1")
    if getattr(getattr(model, "estimator", None), "serves_new_users", True):
        new = model.recommend(NewUser(ratings={data.movies["movie_id"].iloc[0]: 4}), k=3)
        check(bool(np.isfinite(new["score"]).all()), "a score of a new user is not finite")
        model.similar_movies(NewMovie(genres="Drama"), k=2)
    with tempfile.TemporaryDirectory() as folder:
        again = gnnrec.load(model.save(Path(folder) / "run"))
        other = again.recommend(users, k=3)
    check(found["movie_id"].tolist() == other["movie_id"].tolist(), "the saved run recommends something else")
    check(np.allclose(found["score"], other["score"], rtol=1e-5), "the saved run scores otherwise")


def fitted_trial(data: str, what: str, fit: Callable[[Any], Any]) -> Trial:
    """Return the trial of a model on some data: whole, and on a split of it."""

    def call() -> None:
        try:
            use(fit(DATA[data]()))
            split = gnnrec.split(DATA[data](), "random")
            if len(split.test):
                found = gnnrec.evaluate(fit(split), split, ks=[1, 1000], metrics=["ndcg", "recall", "coverage"])
                check(bool(found["value"].between(0, 1).all()), f"metrics of {found['value'].tolist()}")
        except FloatingPointError as error:
            if not _stops(error):
                raise

    # With 4,096 dimensions, the weights alone have 18 MiB, and there are several copies while a network is trained.
    return Trial(f"{what} = {data}", call, (512 if "4,096 dimensions" in what else 64) << 20)


def _gnn(overrides: list[str]) -> Callable[[Any], Any]:
    return lambda data: gnnrec.fit(data, config=Config().override([*GNN, *overrides]), progress=False)


def _model(name: str) -> Callable[[Any], Any]:
    model, options = MODELS[name]
    return lambda data: gnnrec.fit(data, model, **options)


def rating_trial(data: str, kind: str) -> Trial:
    """Return the trial of a model that predicts ratings."""

    def call() -> None:
        from gnnrec.ratings import BiasedMF, Biases, HistoryAttention

        dataset = DATA[data]()
        try:
            if kind == "rating head":
                small = gnnrec.RatingConfig(embedding_dim=2, num_samples=3, burn_in=1)
                model = gnnrec.fit_rating_model(dataset, Config().override(GNN), small, progress=False)
            else:
                made = {"biases": Biases(), "biased mf": BiasedMF(), "history attention": HistoryAttention()}[kind]
                model = made.fit(dataset)
            users, movies = dataset.users["user_id"].tolist()[:3], dataset.movies["movie_id"].tolist()[:3]
            found = gnnrec.predict_ratings(model, users, movies)
            check(bool(np.isfinite(found["rating"]).all()), "a rating is not finite")
            rows = dataset.ratings["rating"]
            low, high = float(rows.min()), float(rows.max())
            scale = dataset.rating_scale or (low, high)
            room = 1e-3 * max(1.0, abs(low), abs(high))
            inside = found["rating"].between(min(low, scale[0]) - room, max(high, scale[1]) + room)
            check(bool(inside.all()), f"ratings of {found['rating'].tolist()} where they are from {low} to {high}")
        except FloatingPointError as error:
            if not _stops(error):
                raise

    return Trial(f"{kind} = {data}", call, 64 << 20)


# NaN


@cache
def healthy() -> Any:
    """Return a small trained model."""
    return gnnrec.fit(make_sample(24, 20), config=Config().override(GNN), progress=False)


def sick(value: float) -> Any:
    """Return the model with another number among its weights."""
    import copy

    model = copy.copy(healthy())
    encoder = copy.deepcopy(model.encoder)
    with torch.no_grad():
        next(one for one in encoder.state_dict().values() if one.is_floating_point() and one.numel()).view(-1)[0] = (
            value
        )
        encoder.target.id_embeddings[0, 0] = value
    object.__setattr__(model, "encoder", encoder)
    for name in ("movie_embeddings", "_user_moment_root", "unit_similarity_embeddings"):
        model.__dict__.pop(name, None)
    return model


class _Scores(gnnrec.Recommender):
    """A model of somebody else, whose scores or embeddings are not finite."""

    def __init__(self, value: float) -> None:
        base = gnnrec.fit(make_sample(24, 20), "popularity")
        self.graph, self.estimator, self.base, self.value = base.graph, base.estimator, base, value

    def score(self, users: Any) -> torch.Tensor:
        """Return scores of which one is another number."""
        scores = self.base.score(users).clone()
        scores[:, 3] = self.value
        return scores

    def with_graph(self, graph: Any) -> Any:
        """Return the same."""
        return self

    def similarity_embeddings(self) -> torch.Tensor:
        """Return embeddings of which one is another number."""
        embeddings = torch.eye(self.graph.num_movies)
        embeddings[3, 3] = self.value
        return embeddings

    def state(self) -> dict[str, torch.Tensor]:
        """Return a state of which one is another number."""
        return {"counts": torch.full((self.graph.num_movies,), self.value)}


DOORS: dict[str, Callable[[Any, Path], Any]] = {
    "recommend": lambda model, _: model.recommend([1, 2], k=20, exclude_seen=False),
    "recommend a new user": lambda model, _: model.recommend({2: 5}, k=20, exclude_seen=False),
    "recommend, re-ranked": lambda model, _: model.recommend(1, k=20, diversity=0.5, exclude_seen=False),
    "recommend_group": lambda model, _: gnnrec.recommend_group(model, [1, 2], k=20, exclude_seen=False),
    "similar_movies": lambda model, _: model.similar_movies(2, k=20),
    "similar_movies of it": lambda model, _: model.similar_movies(4, k=20),
    "evaluate": lambda model, _: model.evaluate(_unseen(model), ks=[5], metrics=["ndcg"]),
    "explain": lambda model, _: gnnrec.explain(model, 1, [4]),
    "save": lambda model, folder: model.save(folder / "run"),
}
"""Where NaN must be noticed."""


def _unseen(model: Any) -> pd.DataFrame:
    ratings = model.dataset.ratings
    seen = set(ratings.loc[ratings["user_id"] == 1, "movie_id"])
    movie = next(one for one in model.dataset.movies["movie_id"] if one not in seen)
    return pd.DataFrame({"user_id": [1], "movie_id": [movie]})


def nan_trial(door: str, who: str, value: float) -> Trial:
    """Return a trial: a model with NaN at a door."""

    def call() -> None:
        model = sick(value) if who == "weights" else _Scores(value)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = DOORS[door](model, Path(folder))
            except GnnrecError:
                return
        if isinstance(found, pd.DataFrame):  # a movie that is not compared may be left out, but is never NaN
            numbers = found.select_dtypes("number").to_numpy(dtype=float)
            if math.isnan(value):
                raise WrongAnswerError(f"{door} does not notice it: {numbers[:3].tolist()}")
            check(bool(np.isfinite(numbers).all()), f"{door} returns {numbers[:3].tolist()}")
        elif door == "save":
            raise WrongAnswerError("it was saved")

    return Trial(f"{door} = {value} in {who}", call, 64 << 20)


@cache
def listed() -> list[Trial]:
    """Return the trials of the list."""
    found = [fitted_trial("sample", f"gnn, {name}", _gnn(settings)) for name, settings in SETTINGS.items()]
    found += [fitted_trial(data, "gnn", _gnn([])) for data in DATA]
    found += [fitted_trial("sample", name, _model(name)) for name in MODELS]
    found += [rating_trial(data, kind) for kind in RATING_MODELS for data in DATA]
    found += [
        nan_trial(door, who, value)
        for door in DOORS
        for who in ("weights", "scores")
        for value in (float("nan"), float("inf"))
    ]
    return found


def drawn(seed: int, number: int) -> Trial:
    """Return the trial of extreme data with extreme settings."""
    random = Random(f"{seed} numerics {number}")
    data = random.choice(list(DATA))
    if random.random() < 0.5:
        name = random.choice(list(MODELS))
        return fitted_trial(data, name, _model(name))
    names = random.sample(list(SETTINGS), 2)
    return fitted_trial(data, f"gnn, {' and '.join(names)}", _gnn([one for name in names for one in SETTINGS[name]]))


def prepare() -> None:
    """Import and fit what every trial needs."""
    use(healthy())
    for model in ("ease", "mf", "sasrec"):
        gnnrec.fit(make_sample(24, 20), model, **({} if model == "ease" else {"epochs": 1}))


def run(seed: int, seconds: float) -> dict[str, Any]:
    """Go through the list, then through pairs of extremes until the time is over; see `benchmarks.trust.fuzz.run`."""
    end = time.monotonic() + seconds
    prepare()
    trials = listed()
    total = run_trials(lambda number: trials[number], range(len(trials)))
    run_trials(lambda number: drawn(seed, number), range(10**9), end, total)
    return total.report()


def main() -> None:
    """Print a report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(run(given.seed, given.seconds), indent=1))


if __name__ == "__main__":
    main()
