"""Continued training: the network of the start, new movies and users, what is refused, and nothing forgotten."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, ConfigError, DataError, Dataset, RecGraph, Split, evaluate, fit, load, recommend
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.models.continuation import copy_weights, grown_vocabularies, holdout_new_ratings, is_rated_in
from gnnrec.models.gnn_training import GNN, init_training
from gnnrec.nn import ContentRidge
from gnnrec.splitting import random_split
from tests.helpers.cli import QUICK as WORDS
from tests.helpers.cli import fails, succeeds

QUICK = Config().override(["model.embedding_dim=8", "train.batch_size=32", "train.epochs=2"])
NEW_MOVIES, NEW_USERS = 6, 10


@pytest.fixture(scope="module")
def whole() -> Dataset:
    """Return the sample with its movies in another order, content embeddings, and a genre that only new movies have."""
    made = make_sample(110, 60, seed=3)
    movies = made.movies.sample(frac=1, random_state=1).reset_index(drop=True)
    newest = movies["movie_id"].isin(sorted(movies["movie_id"])[-NEW_MOVIES:])
    movies["genres"] = movies["genres"].where(~newest, movies["genres"] + "|Anime")
    values = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
    plots = ContentEmbeddings(made.movies["movie_id"].tolist(), values)
    return Dataset(made.ratings, movies, made.users, "whole", features={"text": plots})


@pytest.fixture(scope="module")
def parts(whole: Dataset) -> tuple[Split, Split]:
    """Return the split that a model starts from, and one with more training ratings, users and movies."""
    movies = sorted(whole.movies["movie_id"])[:-NEW_MOVIES]
    users = whole.users["user_id"].tolist()[:-NEW_USERS]
    split = random_split(whole, (0.8, 0.1, 0.1), seed=0)
    is_old = {part: is_among(getattr(split, part), users, movies) for part in ("train", "valid", "test")}
    is_old["train"] = is_old["train"] & (np.random.default_rng(1).random(len(split.train)) < 0.8)
    frames = [getattr(split, part)[rows] for part, rows in is_old.items()]
    features = dict(whole.features.items())
    old_movies = whole.movies[whole.movies["movie_id"].isin(movies)].sort_values("movie_id")
    first = Split(*frames, old_movies, whole.users.iloc[:-NEW_USERS], "first", features=features)
    return first, split


def is_among(frame: pd.DataFrame, users: list[Any], movies: list[Any]) -> np.ndarray:
    return (frame["user_id"].isin(users) & frame["movie_id"].isin(movies)).to_numpy()


@pytest.fixture(scope="module")
def start(parts: tuple[Split, Split]) -> RecGraph:
    return fit(parts[0], config=QUICK, progress=False)


def prepared(start: RecGraph, data: Dataset) -> RecGraph:
    """Return the model before the first epoch of a continued training."""
    from gnnrec import Graph

    graph = Graph.from_dataset(data, grown_vocabularies(start.graph, data))
    tensors, state = init_training(graph, start.config, torch.device("cpu"), start)
    return RecGraph(graph, start.config, ContentRidge(state.encoder, tensors).refit(state.encoder))


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.num_layers=2", "model.attributes=[genres]"],
        ["model.encoder=graphsage", "model.num_layers=2", "model.hidden_dim=8"],
        ["model.temporal=true", "model.date_features=true", "train.objective=next_item", "model.init=transitions"],
        ["model.num_members=2", "model.init=random"],
    ],
)
def test_before_the_first_epoch_it_is_the_start(parts: tuple[Split, Split], overrides: list[str]) -> None:
    """Also in training mode, where random Fourier features take no part, so that the first step starts from it."""
    one = fit(parts[0], config=QUICK.override(["train.epochs=1", *overrides]), progress=False)
    other = prepared(one, parts[0].dataset)
    torch.testing.assert_close(other.score(other.graph.users), one.score(one.graph.users), atol=2e-4, rtol=1e-3)
    tensors, state = init_training(one.graph, one.config, torch.device("cpu"), one)
    for mine, theirs in zip(state.encoder.members, one.encoder.members, strict=True):
        for part in ("message", "target"):
            rated = theirs.message.has_id
            found = getattr(mine.train(), part)(tensors.movie_features)
            expected = getattr(theirs, part)(tensors.movie_features)
            torch.testing.assert_close(found[rated], expected[rated], atol=1e-5, rtol=1e-4)


def test_movies_are_found_by_id(start: RecGraph, parts: tuple[Split, Split]) -> None:
    model = prepared(start, parts[1].dataset)
    assert model.graph.ids["movie"].tolist() != sorted(model.graph.ids["movie"])
    rows = model.graph.movie_nodes(start.graph.ids["movie"].tolist())
    rated = start.encoder.members[0].message.has_id
    targets = model.movie_embeddings.targets[rows][rated]
    torch.testing.assert_close(targets, start.movie_embeddings.targets[rated], atol=1e-5, rtol=1e-4)
    assert model.graph.genres.tolist() == [*start.graph.genres, "Anime"]


def test_new_movies_start_where_the_ratings_say(start: RecGraph, parts: tuple[Split, Split]) -> None:
    """Before any step, those who rated a new movie score it higher than others do, more than by its features alone."""
    split = parts[1]
    model = prepared(start, split.dataset)
    new = [one for one in model.graph.ids["movie"] if one not in set(start.graph.ids["movie"])]
    nodes = model.graph.movie_nodes(new)
    gap = mean_gap(model, nodes)
    with torch.no_grad():
        for node_encoder in (model.encoder.members[0].message, model.encoder.members[0].target):
            node_encoder.id_embeddings[nodes] = 0
    alone = mean_gap(RecGraph(model.graph, model.config, model.encoder), nodes)
    assert len(new) == NEW_MOVIES
    assert gap > alone + 0.05


def mean_gap(model: RecGraph, movies: torch.Tensor) -> float:
    """Return by how many standard deviations those who rated a movie score it higher, without their own rating."""
    graph, gaps = model.graph, []
    for movie in movies.tolist():
        rated = torch.zeros(graph.num_users, dtype=torch.bool)
        rated[graph.users.user_index[graph.users.movie_index == movie]] = True
        mask = (graph.users.movie_index != movie).float()
        scores = (
            model.encoder.embed_users(graph.users, model.movie_embeddings, mask) @ model.movie_embeddings.targets[movie]
        )
        gaps.append(float((scores[rated].mean() - scores[~rated].mean()) / scores.std()))
    return sum(gaps) / len(gaps)


def test_it_learns_and_does_not_forget(start: RecGraph, parts: tuple[Split, Split]) -> None:
    """Held-out ratings of the old users are found as well as before, within noise; the new users are served."""
    first, split = parts
    model = fit(split, start=start, overrides=["train.epochs=4"], progress=False)
    assert model.config == start.config.override(["train.epochs=4"])
    assert len(model.history) <= 4
    kept = recall(model, first.test)
    assert kept > recall(start, first.test) - 0.03
    again = fit(split, config=QUICK.override(["train.epochs=4"]), progress=False)
    assert kept > recall(again, first.test) - 0.03
    users = split.dataset.users["user_id"].tolist()[-NEW_USERS:]
    assert len(recommend(model, users, k=5)) == 5 * NEW_USERS


def recall(model: RecGraph, test: pd.DataFrame) -> float:
    return float(evaluate(model, test, ks=[10], metrics=["recall"])["value"].iloc[0])


def test_if_no_epoch_is_better_the_start_is_kept(start: RecGraph, parts: tuple[Split, Split]) -> None:
    split = parts[1]
    with pytest.warns(UserWarning, match=r"no epoch was better than start, whose weights are kept: its ndcg@20"):
        model = fit(split, start=start, overrides=["train.learning_rate=3", "train.epochs=1"], progress=False)
    expected = prepared(start, split.dataset)
    torch.testing.assert_close(model.movie_embeddings.targets, expected.movie_embeddings.targets, atol=1e-5, rtol=1e-4)


def test_it_can_be_resumed_and_nothing_else(start: RecGraph, parts: tuple[Split, Split], tmp_path: Path) -> None:
    split = parts[1]
    options: dict[str, Any] = {"start": start, "progress": False}
    longer, shorter = (["train.epochs=" + number, "train.learning_rate=0.001"] for number in "21")
    expected = fit(split, overrides=longer, **options)
    fit(split, overrides=shorter, run_dir=tmp_path / "run", **options)
    resumed = fit(split, overrides=longer, run_dir=tmp_path / "run", resume=True, **options)
    assert resumed.history[1]["loss"] == expected.history[1]["loss"]
    loaded = load(tmp_path / "run")
    assert torch.equal(loaded.score(loaded.graph.users), expected.score(expected.graph.users))
    with pytest.raises(ConfigError, match="made with another config or other data"):
        fit(split, start=expected, overrides=longer, run_dir=tmp_path / "run", resume=True, progress=False)
    with pytest.raises(ConfigError, match="made with another config or other data"):
        fit(split, config=expected.config, run_dir=tmp_path / "run", resume=True, progress=False)


@pytest.mark.parametrize("objective", ["masked_edges", "next_item"])
def test_validation_ratings_are_new(start: RecGraph, whole: Dataset, objective: str) -> None:
    split = holdout_new_ratings(whole, QUICK.override([f"train.objective={objective}"]), start.graph)
    assert len(split.train) + len(split.valid) == whole.num_ratings
    assert not is_rated_in(start.graph, split.valid).any()
    new = whole.ratings[~is_rated_in(start.graph, whole.ratings)]
    sizes = split.valid.groupby("user_id").size()
    for user, rows in whole.ratings.groupby("user_id"):
        of_new = new[new["user_id"] == user]
        assert sizes.get(user, 0) == min(len(rows) // 10, len(of_new) // 2)
        if objective == "next_item" and user in sizes:
            last = of_new.sort_values("timestamp", kind="stable")["movie_id"].tail(sizes[user])
            assert set(split.valid.loc[split.valid["user_id"] == user, "movie_id"]) == set(last)


def test_of_a_dataset_the_graph_has_all_ratings(start: RecGraph, whole: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no epoch was better")
        model = GNN(overrides=("train.epochs=1",)).fit(whole, start=start)
    assert model.graph.dataset.num_ratings == whole.num_ratings
    assert model.config.model == start.config.model
    assert set(model.history[0]) == {"epoch", "loss", "ndcg@20", "seconds"}


def test_what_cannot_continue(start: RecGraph, parts: tuple[Split, Split], whole: Dataset) -> None:
    first, split = parts
    refused = pytest.raises

    with refused(ConfigError, match=r"network of start, whose model\.embedding_dim is 8, not 16; leave out"):
        fit(split, start=start, config=QUICK.override(["model.embedding_dim=16"]))
    with refused(ConfigError, match=r"model\.num_layers is 1, not 2"):
        fit(split, start=start, overrides=["model.num_layers=2"])
    ease = fit(first, "ease", progress=False)
    with refused(
        ConfigError, match="start must be a graph neural network, as fit and load return it, not the model 'ea"
    ):
        fit(split, start=ease)
    with refused(ConfigError, match=r"start must be .*, not 'runs/mine'"):
        fit(split, start="runs/mine")  # type: ignore[arg-type]
    for model in ("ease", ease.estimator):
        with refused(ConfigError, match="the model ease cannot continue from a fitted model; only the graph neural"):
            fit(split, model, start=start)
    with refused(DataError, match=r"start was trained on all ratings of first; add new ones, or pass a split"):
        fit(first.dataset.with_features(**whole.features), start=start)
    with refused(DataError, match="with the content embeddings text, and whole would be trained with no content emb"):
        fit(whole.with_only_features({}), start=start)
    wide = ContentEmbeddings(whole.movies["movie_id"].tolist(), np.zeros((60, 7), dtype="float32"))
    with refused(DataError, match="text embeddings have 7 dimensions and had 5 in start; use the same encoder"):
        fit(whole.with_only_features({"text": wide}), start=start)
    plain = Dataset(whole.ratings, whole.movies.drop(columns="genres"), whole.users, "plain", features=whole.features)
    with refused(DataError, match="start was trained with genres of movies, and plain has none"):
        fit(plain, start=start)
    other = whole.ratings.assign(movie_id=whole.ratings["movie_id"] + 1000)
    movies = whole.movies.assign(movie_id=whole.movies["movie_id"] + 1000)
    moved = Dataset(other, movies, whole.users, "moved", features=whole.features)
    with refused(DataError, match="moved has none of the movies of start; train a new model"):
        fit(moved, start=start)
    again = random_split(whole, (0.8, 0.1, 0.1), seed=5)
    with refused(
        DataError, match=r"of the \d+ valid ratings of the split are in the graph of start, which was trained"
    ):
        fit(again, start=start)


def test_weights_of_another_shape(start: RecGraph, parts: tuple[Split, Split]) -> None:
    """Of an encoder whose settings are equal but whose parameters depend on the data in a way of their own."""
    from gnnrec import Graph

    graph = Graph.from_dataset(parts[1].dataset, grown_vocabularies(start.graph, parts[1].dataset))
    tensors, state = init_training(graph, start.config, torch.device("cpu"))
    member = state.encoder.members[0]
    member.alpha = torch.nn.Parameter(torch.ones(5))
    with pytest.raises(
        ConfigError, match=r"training cannot continue: alpha has the shape \[1\] in start, and \[5\] here"
    ):
        copy_weights(start, state.encoder, graph, tensors)


def test_command(tmp_path: Path) -> None:
    whole = make_sample(60, 40)
    rows = np.arange(whole.num_ratings)
    old = whole.take(rows % 6 != 5).to_folder(tmp_path / "old")
    new = whole.to_folder(tmp_path / "new")
    succeeds("train", "--dataset", old, "--out", tmp_path / "a", *WORDS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no epoch was better")
        succeeds(
            "train", "--dataset", new, "--start", tmp_path / "a", "--out", tmp_path / "b", "--set", "train.epochs=1"
        )
    one, other = load(tmp_path / "a"), load(tmp_path / "b")
    rate = one.config.train.learning_rate * one.config.train.final_lr_ratio
    assert rate < one.config.train.learning_rate  # the settings chosen from the data let it decay
    expected = [f"train.learning_rate={rate!r}", "train.final_lr_ratio=1", "train.epochs=1"]
    assert other.config == one.config.override(expected)
    assert other.graph.dataset.num_ratings == whole.num_ratings
    assert fails("train", "--dataset", new, "--start", tmp_path / "a", "--out", tmp_path / "a").startswith(
        f"{tmp_path / 'a'} is the run to start from; write the new one to another folder with --out"
    )
    message = fails("train", "--dataset", new, "--model", "ease", "--start", tmp_path / "a", "--out", tmp_path / "c")
    assert message.startswith("the model ease cannot continue from a fitted model")
