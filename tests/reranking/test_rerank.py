"""Re-ranking by hand: each option on five movies whose scores, genres and embeddings are known."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnrec import ConfigError, DataError, Dataset, Graph, recommend
from gnnrec.cli._reranking import RERANKING_OPTIONS, SHARES
from gnnrec.models import EASE, Popularity, Recommender
from gnnrec.reranking import Reranker, Reranking, RerankingOptions, rerank
from tests.helpers.contract import sample

RATINGS = pd.DataFrame({"user_id": [1, 1, 1, 1, 2, 2, 3, 4], "movie_id": [10, 20, 30, 40, 10, 20, 10, 10]})
MOVIES = pd.DataFrame(
    {
        "movie_id": [10, 20, 30, 40, 50],
        "title": ["Heat (1995)", "Ronin (1998)", "Alien (1979)", "Brazil (1985)", "Babe (1995)"],
        "genres": ["Crime", "Crime", "Horror", "Comedy|Sci-Fi", "Comedy"],
    }
)
GRAPH = Graph.from_dataset(Dataset(RATINGS, MOVIES))
SCORES = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
UNIT = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
NOBODY = torch.zeros(0, dtype=torch.int64)


def ranked(k: int = 5, history: Any = (), scores: torch.Tensor = SCORES, **options: Any) -> list[int]:
    reranker = Reranker(Reranking(**options), GRAPH, UNIT)
    return reranker.rank(scores, torch.tensor(history, dtype=torch.int64), k).tolist()


def test_diversity_by_hand() -> None:
    # relevance 1, .75, .5, .25, 0. After 0: .375-.5, .25-0, .125-.3, 0+.5 -> 4; then 2 (.25), then
    # 1: .375-.5, 3: .125-.4 -> 1.
    assert ranked(diversity=0.5) == [0, 4, 2, 1, 3]
    assert ranked(diversity=0.01) == [0, 1, 2, 3, 4]


def test_novelty_by_hand() -> None:
    # -log2(c / 4) / 2 of counts 4, 2, 1, 1 and 0, which counts as 1: 0, .5, 1, 1, 1
    assert ranked(novelty=1.0) == [2, 3, 4, 1, 0]
    # .5, .625, .75, .625, .5
    assert ranked(novelty=0.5) == [2, 1, 3, 0, 4]


def test_caps_are_hard_and_count_every_genre() -> None:
    assert ranked(max_per_genre=1) == [0, 2, 3]  # Babe is another comedy
    assert ranked(max_per_genre=2) == [0, 1, 2, 3, 4]


def test_calibration_follows_the_history() -> None:
    assert ranked(k=2, history=[4], calibration=0.9) == [4, 3]
    assert ranked(k=1, history=[2], calibration=0.9) == [2]
    assert ranked(history=[], calibration=0.9) == [0, 1, 2, 3, 4]


def test_divergence_is_steck_s() -> None:
    # all of the list is one genre of two: q = .99 * (1, 0) + .01 * (.5, .5)
    found = rerank._divergence(np.array([0.5, 0.5]), np.array([[1.0, 0.0], [2.0, 2.0]]))
    assert found == pytest.approx([0.5 * np.log(0.5 / 0.995) + 0.5 * np.log(0.5 / 0.005), 0.0])


def test_anchors() -> None:
    flat = torch.zeros(5)
    assert ranked(scores=flat, like="Alien (1979)") == [3, 0, 1, 4]
    assert ranked(scores=flat, unlike=10) == [4, 2, 3, 1]
    # like: -.5, 1, -.5 and unlike: 1, .5, -1.5 for 1, 3 and 4
    assert ranked(scores=flat, like=[30], unlike=[10]) == [4, 3, 1]
    with pytest.raises(DataError, match="Aliens of Mars"):
        ranked(like="Aliens of Mars")


def test_masked_movies_stay_out() -> None:
    scores = SCORES.clone()
    scores[[0, 3]] = -torch.inf
    for options in ({"diversity": 0.5}, {"novelty": 0.5}, {"like": 10}, {"max_per_genre": 3}, {"calibration": 0.5}):
        assert set(ranked(history=[2], scores=scores, **options)) == {1, 2, 4}
    assert ranked(scores=torch.full((5,), -torch.inf), diversity=0.5) == []
    assert ranked(scores=torch.full((5,), -torch.inf), like=10) == []


@pytest.mark.parametrize("name", ["diversity", "novelty", "calibration"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "much", True, None])
def test_shares_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be a number between 0 and 1"):
        Reranking(**{name: value})


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="max_per_genre"):
        Reranking(max_per_genre=0)
    with pytest.raises(TypeError, match="diversty"):
        recommend(Popularity().fit(sample().dataset), 1, diversty=1)  # type: ignore[call-arg]


def test_pages_fit_together_beyond_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "POOL", 7)
    model = EASE(reg=50).fit(sample().dataset)
    options: Any = {"diversity": 0.4, "novelty": 0.2, "calibration": 0.3, "max_per_genre": 6}
    whole = recommend(model, 3, 30, **options)
    pages = pd.concat([recommend(model, 3, 5, offset=start, **options) for start in range(0, 30, 5)])
    pd.testing.assert_frame_equal(whole, pages.reset_index(drop=True))
    assert whole["rank"].tolist() == list(range(1, len(whole) + 1))


@given(
    scores=st.lists(st.floats(-100, 100, width=32) | st.just(-np.inf), min_size=5, max_size=5),
    diversity=st.floats(0, 1),
    novelty=st.floats(0, 1),
    calibration=st.floats(0, 1),
    k=st.integers(1, 6),
)
def test_lists_hold_each_allowed_movie_once(
    scores: list[float], diversity: float, novelty: float, calibration: float, k: int
) -> None:
    found = ranked(
        k, [3], torch.tensor(scores), diversity=diversity, novelty=novelty, calibration=calibration, like=[20]
    )
    allowed = {node for node, score in enumerate(scores) if score > -np.inf and node != 1}
    assert len(found) == len(set(found)) == min(k, len(allowed))
    assert set(found) <= allowed


def test_every_option_is_offered_everywhere() -> None:
    """A new rule is a field of `Reranking`; this names every other place that needs a line."""
    from gnnrec.service.api.schemas import Filters

    names = [one.name for one in fields(Reranking)]
    assert list(RerankingOptions.__annotations__) == names
    assert list(RERANKING_OPTIONS) == names, "gnnrec/cli/_reranking.py"
    assert [name for name in Filters.model_fields if name in names] == names, "gnnrec/service/api/schemas.py"
    assert list(SHARES) == [one.name for one in fields(Reranking) if "share" in one.metadata]
    given = {name: 0.5 if name in SHARES else 3 if name == "max_per_genre" else [7] for name in names}
    assert Filters(**given).reranking() == given
    for function in (Recommender.recommend, recommend):
        assert all(name in inspect.getdoc(function) for name in names), function  # type: ignore[operator]
    page = Path(__file__).parents[2] / "docs" / "reference" / "conventions.md"
    row = next(line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| re-ranking |"))
    assert all(f"`{name}`" in row for name in names), page
