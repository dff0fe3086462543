"""The index of movies: the exact lists at full recall, the promised recall otherwise, filters, damaged files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import gnnrec
from gnnrec import Config, ConfigError, DataError, RecGraph
from gnnrec.datasets import make_sample
from gnnrec.models import EASE, MovieIndex, lists

pytestmark = pytest.mark.filterwarnings("ignore:no epoch was better", "ignore:the last epoch")
faiss = pytest.importorskip("faiss", reason="needs faiss: pip install 'gnnrec[index]'")


@pytest.fixture(scope="module")
def model() -> RecGraph:
    config = Config().override(["train.epochs=2", "model.embedding_dim=8"])
    return gnnrec.fit(make_sample(120, 150), config=config, progress=False)


@pytest.fixture(scope="module")
def complete(model: RecGraph) -> MovieIndex:
    """Return an index that searches all lists."""
    built = MovieIndex.build(model, recall=1.0)
    return MovieIndex(built.targets, built.centroids, built.lists, len(built.centroids), 1.0)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare lists; movies whose scores differ by rounding errors only may be in either order."""
    columns = ["user_id", "rank"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    assert found["score"].tolist() == pytest.approx(expected["score"].tolist(), rel=1e-4, abs=1e-6)
    moved = found["movie_id"] != expected["movie_id"]
    assert moved.sum() <= 0.02 * len(moved)
    pairs = [set(zip(one["user_id"], one["movie_id"], strict=True)) for one in (found[moved], expected[moved])]
    assert len(pairs[0] ^ pairs[1]) <= 2


def test_all_lists_are_exact(model: RecGraph, complete: MovieIndex) -> None:
    users: list[Any] = [*range(1, 121), {1: 5}, {}, gnnrec.NewUser(ratings={3: 5, 7: 1}, disliked=[9])]
    for options in (
        {},
        {"k": 3, "offset": 4},
        {"exclude_seen": False},
        {"genres": "Drama"},
        {"candidates": [5, 6, 7]},
        {"exclude": range(1, 100), "years": (1960, 2000)},
        {"k": 150},
        {"candidates": []},
    ):
        found = gnnrec.recommend(model, users, index=complete, **options)  # type: ignore[arg-type]
        expected = gnnrec.recommend(model, users, **options)  # type: ignore[arg-type]
        assert_same(found, expected)


@pytest.mark.parametrize("recall", [0.5, 0.9, 1.0])
def test_the_recall_is_reached_with_as_few_lists_as_possible(model: RecGraph, recall: float) -> None:
    index = MovieIndex.build(model, recall=recall)
    users = list(range(1, 121))
    exact = gnnrec.recommend(model, users, k=10, exclude_seen=False).groupby("user_id")["movie_id"].agg(set)

    def reached(num_probes: int) -> float:
        tried = MovieIndex(index.targets, index.centroids, index.lists, num_probes, 1.0)
        places = tried.search(model.user_embeddings(users), 10)[1]
        ids = model.graph.ids["movie"].to_numpy()
        found = [{ids[place] for place in row if place >= 0} for row in places.tolist()]
        return sum(len(one & other) for one, other in zip(found, exact, strict=True)) / 1200

    assert reached(index.num_probes) == pytest.approx(index.recall, abs=1e-6) and index.recall >= recall
    assert index.num_probes == 1 or reached(int(index.num_probes / 1.34)) < recall


def test_clusters_are_searched_in_part() -> None:
    generator = torch.Generator().manual_seed(0)
    centers = 5 * torch.randn(20, 16, generator=generator)
    movies = centers.repeat_interleave(100, 0) + torch.randn(2000, 16, generator=generator)
    users = centers[torch.arange(200) % 20] + torch.randn(200, 16, generator=generator)
    index = MovieIndex.from_embeddings(movies, users, recall=0.95)
    assert index.recall >= 0.95 and index.num_probes < len(index.centroids) / 2
    scores, found = index.search(users, 5)
    assert torch.allclose(scores, (users.unsqueeze(1) * movies[found]).sum(2), rtol=1e-4)
    assert bool((scores[:, 1:] <= scores[:, :-1]).all())
    allowed = torch.zeros(2000, dtype=torch.bool)
    allowed[:3] = True
    scores, found = index.search(users[:1], 5, allowed)
    assert set(found[0].tolist()) <= {0, 1, 2, -1} and bool((scores[found < 0] == -torch.inf).all())


def test_users_with_too_few_found_are_ranked_exactly(
    model: RecGraph, complete: MovieIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = MovieIndex(complete.targets, complete.centroids, complete.lists, 1, 0.1)
    users = [5, {1: 5}, {}]
    found = gnnrec.recommend(model, users, k=140, index=narrow)
    assert_same(found, gnnrec.recommend(model, users, k=140))
    monkeypatch.setattr(lists, "MAX_INDEXED", 12)  # less than the history is long
    found = gnnrec.recommend(model, [5], k=10, index=complete)
    assert_same(found, gnnrec.recommend(model, [5], k=10))


def test_equal_scores_are_in_the_order_of_the_table() -> None:
    index = MovieIndex.from_embeddings(torch.ones(30, 4), torch.ones(5, 4))
    assert index.search(torch.ones(1, 4), 6)[1].tolist() == [[0, 1, 2, 3, 4, 5]]


def test_added_users_and_ratings(model: RecGraph, complete: MovieIndex) -> None:
    more = model.add_user("anna", {1: 5, 9: 4})
    expected = gnnrec.recommend(more, "anna", k=5)
    assert_same(gnnrec.recommend(more, "anna", k=5, index=complete), expected)
    larger = model.add_movies(pd.DataFrame({"movie_id": [999], "title": ["New (2001)"]}))
    with pytest.raises(ConfigError, match="the index was built for other movies or another training; build it again"):
        gnnrec.recommend(larger, 1, index=complete)


def test_what_cannot_use_an_index(model: RecGraph, complete: MovieIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    ease = EASE().fit(model.dataset)
    with pytest.raises(ConfigError, match="only works with the graph neural network"):
        ease.recommend(1, index=complete)
    with pytest.raises(ConfigError, match="an index needs embeddings of users"):
        MovieIndex.build(ease)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="re-ranking needs the scores of all movies"):
        model.recommend(1, index=complete, diversity=0.5)
    for recall in (0, 1.1, True, "x", float("nan")):
        with pytest.raises(ConfigError, match="recall must be above 0 and at most 1"):
            MovieIndex.build(model, recall=recall)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"needs the package faiss: pip install 'gnnrec\[index\]'"):
        MovieIndex.build(model)


def test_saved_with_the_run(model: RecGraph, tmp_path: Path) -> None:
    run = model.save(tmp_path / "run")
    with pytest.raises(DataError, match=r"run has no index; build it with: gnnrec index "):
        MovieIndex.load(run, model)
    index = MovieIndex.build(model)
    path = index.save(run)
    loaded = gnnrec.load(run)
    again = MovieIndex.load(run, loaded)  # type: ignore[arg-type]
    assert repr(again) == repr(index) and torch.equal(again.lists, index.lists)
    pd.testing.assert_frame_equal(loaded.recommend([1, {5: 5}], index=again), model.recommend([1, {5: 5}], index=index))
    other = gnnrec.fit(make_sample(120, 150), config=model.config.override(["train.seed=1"]), progress=False)
    with pytest.raises(DataError, match="belongs to another model; build it again"):
        MovieIndex.load(run, other)
    other.save(run)
    assert not path.exists()  # another run replaced it


@pytest.mark.parametrize("change", ["lists", "centroids", "header", "cut", "shape"])
def test_damaged_files(model: RecGraph, tmp_path: Path, change: str) -> None:
    run = model.save(tmp_path / "run")
    path = MovieIndex.build(model).save(run)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["gnnrec"])
    tensors = load_file(path)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        if change == "lists":
            tensors["lists"][0] = 10_000
        if change == "centroids":
            tensors["centroids"][0, 0] = torch.nan
        if change == "shape":
            tensors["centroids"] = tensors["centroids"][:, :3].contiguous()
        if change == "header":
            header["num_probes"] = 10**9
        else:
            from gnnrec.models.storage import tensors_digest

            header["digest"] = tensors_digest(tensors)  # made by an enemy
        save_file(tensors, path, {"gnnrec": json.dumps(header)})
    with pytest.raises(DataError, match=r"index.safetensors is damaged: .*; build it again with: gnnrec index"):
        MovieIndex.load(run, model)
