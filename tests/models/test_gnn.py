"""A trained model: saved and loaded without loss, and recommending to new users and new movies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import (
    Config,
    ConfigError,
    DataError,
    Dataset,
    Graph,
    NewUser,
    RecGraph,
    evaluate,
    fit,
    load,
    recommend,
)
from gnnrec._torch import pick_device
from gnnrec.datasets import make_sample
from gnnrec.models import storage
from gnnrec.models.gnn import make_encoder
from gnnrec.registry import ENCODERS, load_plugins
from gnnrec.splitting import cold_movies_split, cold_users_split
from tests.helpers.registries import restored_registries
from tests.helpers.settings import FAST

QUICK = Config().override(["model.embedding_dim=8", "train.batch_size=32", "train.epochs=2"])
PLUGIN = Path(__file__).parents[1] / "helpers" / "plugin.py"
FILES = {
    "config.yaml",
    "graph.safetensors",
    "metrics.json",
    "nodes.json",
    "run.json",
    "weights.safetensors",
}


@pytest.fixture(scope="module")
def model() -> RecGraph:
    return fit(make_sample(50, 30, seed=6, ratings_per_user=8), config=QUICK, progress=False)


def everything(model: RecGraph, users: Any) -> pd.DataFrame:
    return recommend(model, users, k=model.graph.num_movies, exclude_seen=False)


def assert_same_model(found: RecGraph, expected: RecGraph) -> None:
    for table in ("ratings", "movies", "users"):
        theirs = getattr(expected.graph.dataset, table)
        columns = ["movie_id", "title", "genres", "year"] if table == "movies" else theirs.columns
        pd.testing.assert_frame_equal(getattr(found.graph.dataset, table)[columns], theirs[columns])
    users = list(expected.graph.dataset.users["user_id"])
    users += [NewUser(), {expected.graph.dataset.movies["movie_id"].iloc[0]: 4}]
    pd.testing.assert_frame_equal(everything(found, users), everything(expected, users))


# Saved and loaded


def test_a_loaded_model_is_the_saved_one(model: RecGraph, tmp_path: Path) -> None:
    reported = model.with_report(note="méthode", recall=0.25, ks=[10, 20])
    path = reported.save(tmp_path / "runs" / "one")
    assert path == tmp_path / "runs" / "one"
    assert {entry.name for entry in path.iterdir()} == FILES
    assert [entry.name for entry in path.parent.iterdir()] == ["one"]
    found = load(path)
    assert_same_model(found, model)
    assert found.config == model.config
    assert found.history == model.history
    assert found.report == {"note": "méthode", "recall": 0.25, "ks": [10, 20]}
    assert repr(found) == repr(model) == f"RecGraph(lightgcn, 8 dimensions, {model.graph!r})"
    assert torch.equal(found.similarity_embeddings(), model.similarity_embeddings())
    assert not found.encoder.training
    header = json.loads((path / "run.json").read_text())
    assert header["dataset"] == "sample"
    assert header["gnnrec"] == gnnrec.__version__, "an error about another layout names the version that reads it"


def odd_dataset(string_ids: bool) -> Dataset:
    """Return data with everything that JSON or CSV might garble."""
    ratings = pd.DataFrame({"user_id": [3, 3, 1, 2, 2, 1], "movie_id": [30, 10, 10, 20, 30, 20]})
    movies = pd.DataFrame(
        {
            "movie_id": [30, 10, 20, 40],
            "title": ['He said "no", twice', "Amélie, 数 \\ \U0001f3ac (2001)", None, "Tab\tand\nline (1999)"],
            "genres": ["Drama|Film-Noir", "Comedy", None, "Drama"],
            "year": [1950, None, None, 1999],
            "budget": [1.5, np.nan, 2.5, np.inf],
            "imdb": ["tt01", None, "tt03", "tt04"],
            "released": pd.to_datetime(["1950-01-02", None, "1970-01-01", "1999-12-31"]),
            "poster": [np.array([0.5, 1.0]), np.array([1, 2]), None, [3, 4]],
            "sequel": [True, False, True, False],
        }
    )
    users = pd.DataFrame(
        {"user_id": [1, 2, 3, 4], "age": [None, 25.5, 40, None], "gender": [None, "F", "M", "F"], "occupation": "nurse"}
    )
    if string_ids:
        for frame, column in ((ratings, "user_id"), (users, "user_id"), (ratings, "movie_id"), (movies, "movie_id")):
            frame[column] = "00" + frame[column].astype(str)  # must not become a number
    ratings["rating"] = np.float32([0.5, 5, 3.3, 1, 2, 4])
    if not string_ids:
        ratings["timestamp"] = [5, 4, 1_600_000_000, 0, 7, 1]
    return Dataset(ratings, movies, users, name="odd, 数")


@pytest.mark.parametrize("string_ids", [False, True])
def test_odd_data_survives(tmp_path: Path, string_ids: bool) -> None:
    model = fit(odd_dataset(string_ids), config=QUICK, progress=False)
    model.save(tmp_path / "run")
    found = load(tmp_path / "run")
    assert_same_model(found, model)
    assert found.graph.dataset.name == "odd, 数"
    movies = found.graph.dataset.movies
    assert movies["imdb"].fillna("?").tolist() == ["tt01", "?", "tt03", "tt04"]
    assert movies["poster"].tolist() == [[0.5, 1.0], [1, 2], None, [3, 4]]
    assert movies["sequel"].tolist() == [True, False, True, False]
    assert movies["released"].fillna("?").tolist()[:2] == ["1950-01-02 00:00:00", "?"]
    np.testing.assert_array_equal(movies["budget"], [1.5, np.nan, 2.5, np.inf])
    first = recommend(found, NewUser(), candidates=['He said "no", twice'])["movie_id"].tolist()
    assert first == ["0030" if string_ids else 30]
    # What was loaded can be saved again.
    found.save(tmp_path / "again")
    assert_same_model(load(tmp_path / "again"), model)


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_added_movies_and_ratings_are_saved(encoder: str, tmp_path: Path) -> None:
    config = QUICK.override([f"model.encoder={encoder}"])
    model = fit(make_sample(50, 30, seed=6, ratings_per_user=8), config=config, progress=False)
    larger = model.add_movies(pd.DataFrame({"movie_id": [9001, 9002], "title": ["New (2003)", "B"], "genres": "Drama"}))
    larger = larger.add_ratings(pd.DataFrame({"user_id": [777, 777], "movie_id": [9001, 3], "rating": [5.0, 4.0]}))
    larger.save(tmp_path / "run")
    found = load(tmp_path / "run")
    assert_same_model(found, larger)
    assert found.graph.num_movies == 32
    assert found.encoder.target.id_embeddings.shape == (30, 8)
    assert {9001, 3}.isdisjoint(recommend(found, 777, k=32)["movie_id"])
    more = found.add_movies(pd.DataFrame({"movie_id": [9003]}))
    assert_same_model(load(more.save(tmp_path / "more")), more)


def test_an_earlier_run_is_replaced(model: RecGraph, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    for name in ("checkpoint.safetensors", "training.png", "notes.txt"):
        (tmp_path / "run" / name).write_bytes(b"state")
    model.with_report(second=True).save(tmp_path / "run", keep=["checkpoint.safetensors"])
    assert load(tmp_path / "run").report == {"second": True}
    assert {entry.name for entry in (tmp_path / "run").iterdir()} == FILES | {"checkpoint.safetensors", "notes.txt"}
    model.save(tmp_path / "run")  # the checkpoint belongs to the replaced model; the notes are not ours
    assert {entry.name for entry in (tmp_path / "run").iterdir()} == FILES | {"notes.txt"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_link_to_a_run_stays_a_link(model: RecGraph, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    (tmp_path / "latest").symlink_to("run")
    model.with_report(second=True).save(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    assert load(tmp_path / "run").report == {"second": True}


def test_an_empty_folder_may_be_filled(model: RecGraph, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert_same_model(load(tmp_path), model)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_anything_else_is_left_alone(model: RecGraph, tmp_path: Path, what: str) -> None:
    path = tmp_path / "thesis"
    if what == "folder":
        path.mkdir()
        (path / "chapter.txt").write_text("precious")
    else:
        path.write_text("precious")
    with pytest.raises(DataError, match=r"thesis exists and is not a saved run; choose another folder"):
        model.save(path)
    assert (path / "chapter.txt" if what == "folder" else path).read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis"]


@pytest.mark.parametrize("step", ["save_file", "_pack", "_write_graph", "write_json"])
def test_nothing_is_half_written(model: RecGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    model.with_report(first=True).save(tmp_path / "old")
    (tmp_path / "old" / "checkpoint.safetensors").write_bytes(b"state")
    monkeypatch.setattr(storage, step, full)
    for name in ("old", "new"):
        with pytest.raises(OSError, match="no space left"):
            model.save(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]
    assert load(tmp_path / "old").report == {"first": True}
    assert (tmp_path / "old" / "checkpoint.safetensors").read_bytes() == b"state"


@pytest.mark.parametrize("name", sorted(FILES - {"run.json"}))
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "garbage"])
def test_damaged_runs_are_named(model: RecGraph, tmp_path: Path, name: str, damage: str) -> None:
    file = model.save(tmp_path / "run") / name
    if damage == "missing":
        file.unlink()
    elif damage == "garbage":
        file.write_bytes(b"\xff\xfe{[garbage")
    else:
        file.write_bytes(file.read_bytes()[: 0 if damage == "empty" else file.stat().st_size // 2])
    problem = ""
    if name == "config.yaml" and damage in ("empty", "half"):
        file.write_text("model: {embedding_dim: 16}")  # a valid file, but of another model
        problem = "config.yaml was changed after it was saved"
    with pytest.raises(DataError, match=rf"the saved run .*/run is damaged: {problem}"):
        load(tmp_path / "run")


def test_not_a_run(model: RecGraph, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none is not a saved run: it has no run\.json"):
        load(tmp_path / "none")
    path = model.save(tmp_path / "run")
    for content, message in (
        (
            '{"format": 99, "gnnrec": "7.1.0"}',
            r"run has layout 99, which gnnrec 7\.1\.0 reads; this is gnnrec 0\.2\.0, which reads layout 6; use gnnrec "
            r"7\.1\.0, or train it again with .*config\.yaml",
        ),
        ('{"format": 4}', r"run has layout 4 of a development version; .* reads layout 6; train it again with"),
        ("{}", r"the saved run .*/run is damaged: 'format'"),
        ("[1]", r"the saved run .*/run is damaged: "),
        ("{", r"the saved run .*/run is damaged: "),
    ):
        (path / "run.json").write_text(content)
        with pytest.raises(DataError, match=message):
            load(path)


@pytest.mark.parametrize(
    ("kind", "name", "setting"),
    [
        ("encoder", "plugin-mean", "model.encoder=plugin-mean"),
        ("loss", "plugin-hinge", "train.loss=plugin-hinge"),
        ("metric", "plugin-first-hit", "train.metric=plugin-first-hit"),
        ("model", "plugin-counts", None),
    ],
)
def test_a_run_whose_plugin_is_not_loaded(tmp_path: Path, kind: str, name: str, setting: str | None) -> None:
    """The run is whole: the message must ask for the plugin and not say that a file is damaged."""
    plugin, data = tmp_path / "my_plugin.py", make_sample(50, 30, seed=6, ratings_per_user=8)
    shutil.copy(PLUGIN, plugin)
    with restored_registries():
        load_plugins(plugin)
        if setting is None:
            saved = fit(data, name, run_dir=tmp_path / "run", progress=False)
        else:
            saved = fit(data, config=QUICK.override([setting]), run_dir=tmp_path / "run", progress=False)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "run")
    assert f"unknown {kind} {name!r}; choose one of " in str(caught.value)
    assert f"/run needs the {kind} {name!r}, which is not registered; load its plugin first" in str(caught.value)
    with restored_registries():
        load_plugins(plugin)
        pd.testing.assert_frame_equal(everything(load(tmp_path / "run"), [1, {3: 5}]), everything(saved, [1, {3: 5}]))


def test_nodes_that_do_not_fit_their_edges(model: RecGraph, tmp_path: Path) -> None:
    path = model.save(tmp_path / "run")
    nodes = json.loads((path / "nodes.json").read_text())
    nodes["users"] = {column: values[:3] for column, values in nodes["users"].items()}
    (path / "nodes.json").write_text(json.dumps(nodes))
    with pytest.raises(DataError, match=r"the saved run .*/run is damaged: "):
        load(path)


def test_devices(model: RecGraph, tmp_path: Path) -> None:
    path = model.save(tmp_path / "run")
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert load(path, device="auto").device.type == pick_device("auto").type
    with pytest.raises(ConfigError, match="device 'quantum' cannot be used: "):
        load(path, device="quantum")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device 'cuda' cannot be used: "):
            load(path, device="cuda")


# One code path


def test_scores_are_inner_products(model: RecGraph) -> None:
    users = model.user_embeddings([1, 2, {3: 5}])
    scores = everything(model, [1, 2, {3: 5}]).pivot(index="user_id", columns="movie_id", values="score")
    expected = users @ model.movie_embeddings.targets.T
    np.testing.assert_allclose(scores.loc[[1, 2, "new user 3"]], expected, atol=1e-5)


def test_adding_changes_the_new_model_only(model: RecGraph) -> None:
    before = everything(model, [1, 2])
    larger = model.add_ratings(pd.DataFrame({"user_id": [1], "movie_id": [unseen_by(model, 1)], "rating": [5.0]}))
    assert not np.allclose(everything(larger, 1)["score"], everything(model, 1)["score"])
    pd.testing.assert_frame_equal(everything(model, [1, 2]), before)


def unseen_by(model: RecGraph, user: int) -> int:
    return int(recommend(model, user, k=1)["movie_id"].iloc[0])


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_a_new_user_is_scored_as_a_stored_one(encoder: str) -> None:
    """The same ratings and profile give the same scores: a new user does not change the degrees of the movies."""
    world = make_sample(50, 30, seed=6, ratings_per_user=8)
    model = fit(world, config=QUICK.override([f"model.encoder={encoder}", "model.num_layers=2"]), progress=False)
    for user in (1, 7, 50):
        row, rows = world.users.set_index("user_id").loc[user], world.ratings[world.ratings["user_id"] == user]
        twin = NewUser(
            row["age"], row["gender"], row["occupation"], dict(zip(rows["movie_id"], rows["rating"], strict=True))
        )
        found, expected = everything(model, twin), everything(model, user)
        assert found["movie_id"].tolist() == expected["movie_id"].tolist()
        np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5, atol=1e-6)


# New users and new movies


def test_a_new_user_without_ratings_or_profile(trained: RecGraph) -> None:
    found = recommend(trained, NewUser(), k=400)
    assert len(found) == 400
    assert np.isfinite(found["score"]).all()
    assert found["score"].nunique() > 300  # not a constant
    for _ in range(2):
        pd.testing.assert_frame_equal(recommend(trained, {}, k=400), found)
    # If nothing is known about a user, popular movies are a sensible guess.
    counts = trained.graph.dataset.ratings["movie_id"].value_counts()
    assert counts.reindex(found["movie_id"][:10], fill_value=0).mean() > 2 * counts.mean()


def test_a_profile_alone_makes_a_difference(trained: RecGraph) -> None:
    def firsts(**profile: Any) -> set[int]:
        return set(recommend(trained, NewUser(**profile), k=10)["movie_id"])

    young, old = firsts(age=20, gender="M"), firsts(age=60, gender="F")
    assert len(young & old) <= 7
    assert len(young & firsts()) <= 8
    assert firsts(age=20, gender="m") == young
    occupations = {frozenset(firsts(occupation=occupation)) for occupation in trained.graph.occupations}
    assert len(occupations) > 1


def test_profiles_of_cold_users_beat_popularity() -> None:
    """90 users are held out with all ratings; only their profile is known."""
    split = cold_users_split(make_sample(), seed=0, fraction=0.15, n_known=0)
    model = fit(split, config=FAST, progress=False)

    def recall(model: Any) -> float:
        return float(evaluate(model, split, ks=(10,), metrics=("recall",))["value"].iloc[0])

    assert recall(model) > 1.05 * recall(fit(split, "popularity"))


def test_new_movies_are_recommended_to_users_who_like_their_genre(trained: RecGraph) -> None:
    genres = list(trained.graph.genres)
    new = pd.DataFrame({"movie_id": range(9001, 9001 + len(genres)), "genres": genres, "year": 2001})
    users = list(trained.graph.dataset.users["user_id"])
    found = recommend(trained.add_movies(new), users, k=len(genres), candidates=new["movie_id"])

    watched = trained.graph.dataset.ratings.merge(trained.graph.dataset.movies, on="movie_id")
    watched = watched.assign(genre=watched["genres"].str.split("|")).explode("genre")
    share = pd.crosstab(watched["user_id"], watched["genre"], normalize="index")[genres]
    favourite = (share / share.mean()).idxmax(axis=1)
    of_favourite = found["movie_id"].map(dict(zip(new["movie_id"], genres, strict=True))) == found["user_id"].map(
        favourite
    )
    # Of 12 new movies, the one of a user's favourite genre would be at 6.5 on average by chance.
    assert len(genres) == 12
    assert found.loc[of_favourite, "rank"].mean() < 4.5


def test_one_rating_of_a_new_movie_does_not_dominate_a_history(trained: RecGraph) -> None:
    """It has no other rating, so a plain degree normalization would give it a large weight."""
    ratings = trained.graph.dataset.ratings
    model = trained.add_movies(pd.DataFrame({"movie_id": [9001], "genres": ["Horror"]}))
    shared = []
    for user in range(1, 41):
        history = dict(ratings.loc[ratings["user_id"] == user, ["movie_id", "rating"]].itertuples(index=False))
        before, after = (set(recommend(model, h, k=20)["movie_id"]) for h in (history, {**history, 9001: 5}))
        shared.append(len(before & after))
    assert sum(shared) / len(shared) > 16


@pytest.mark.parametrize("encoder", ENCODERS.builtin)
def test_cold_movies_reach_the_users_who_rated_them(encoder: str) -> None:
    """40 movies have no training ratings; by chance 10 of 40 hold a quarter of what users watched."""
    split = cold_movies_split(make_sample(), seed=0, fraction=0.1)
    cold = split.test["movie_id"].unique()
    model = fit(split, config=FAST.override([f"model.encoder={encoder}"]), progress=False)
    found = evaluate(model, split.test, ks=(10,), metrics=("recall",), candidates=cold)["value"].iloc[0]
    assert len(cold) == 40
    assert found > 0.25 + 0.05


def test_an_untrained_encoder_scores_all_movies_alike() -> None:
    """Content weights start at zero, so before training a new user's scores are all the same."""
    graph = Graph.from_dataset(make_sample(20, 15, ratings_per_user=5))
    model = RecGraph(graph, QUICK, make_encoder(QUICK, graph).eval())
    assert everything(model, NewUser(age=30))["score"].abs().max() == 0


def test_version() -> None:
    assert gnnrec.__version__.count(".") == 2
