"""Strategies for groups by hand, and lists of groups."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from gnnrec import ConfigError, DataError, Dataset, NewUser, recommend_group
from gnnrec.models import EASE, Popularity
from gnnrec.reranking import STRATEGIES, combine_scores, standardize, suitability
from tests.helpers.contract import sample

SCORES = torch.tensor([[4.0, 3.0, 1.0, -2.0, -6.0], [-5.0, 1.0, 2.0, 3.0, -1.0]])
ALL = torch.ones(5, dtype=torch.bool)


def order(strategy: str, allowed: torch.Tensor = ALL, k: int = 5) -> list[int]:
    combined = combine_scores(SCORES, strategy, allowed, k)
    return [int(node) for node in combined.argsort(descending=True, stable=True) if combined[node] > -torch.inf]


def test_strategies_by_hand() -> None:
    assert order("average") == [1, 2, 3, 0, 4]  # 2, 1.5, .5, -.5, -3.5
    assert order("least_misery") == [1, 2, 3, 0, 4]  # 1, 1, -2, -5, -6, ties in order
    assert order("most_pleasure") == [0, 1, 3, 2, 4]  # 4, 3, 3, 2, -1
    # The first takes 0 (4, -5), the second 3 (2, -2), then 2 (3, 0), then 1
    assert order("fair") == [0, 3, 2, 1, 4]
    assert order("fair", k=1) == [0, 1, 2, 3, 4]


def test_what_is_not_allowed_stays_out() -> None:
    allowed = torch.tensor([False, True, False, True, True])
    for strategy in STRATEGIES:
        assert set(order(strategy, allowed)) == {1, 3, 4}
        assert order(strategy, ~ALL) == []


def test_the_spread_of_scores_does_not_count() -> None:
    seen = torch.zeros(2, 5, dtype=torch.bool)
    seen[0, 4] = True
    factor = torch.tensor([[100.0], [0.01]])
    torch.testing.assert_close(standardize(SCORES * factor + 7, seen), standardize(SCORES, seen), rtol=1e-3, atol=1e-3)
    assert standardize(torch.ones(1, 5), seen[:1]).tolist() == [[0.0] * 5]


def test_suitability_counts_unseen_movies() -> None:
    seen = torch.zeros(2, 5, dtype=torch.bool)
    seen[0, 4] = True
    found = suitability(SCORES, seen, torch.tensor([0, 2]))
    torch.testing.assert_close(found, torch.tensor([[0.75, 0.25], [0.0, 0.6]]))


RATINGS = pd.DataFrame({"user_id": [1, 1, 2, 3, 3, 3], "movie_id": [10, 20, 10, 10, 20, 30]})
MOVIES = pd.DataFrame({"movie_id": [10, 20, 30, 40], "title": ["Heat", "Alien", "Brazil", "Ronin"]})


def test_list_by_hand() -> None:
    model = Popularity().fit(Dataset(RATINGS, MOVIES))
    found = recommend_group(model, [2, NewUser(name="anna")], k=2)
    assert found[["movie_id", "title", "rank"]].values.tolist() == [[20, "Alien", 1], [30, "Brazil", 2]]
    assert found["suits 2"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found["suits anna"].tolist() == pytest.approx([2 / 4, 1 / 4])
    assert recommend_group(model, [2, 1], exclude_seen=False)["movie_id"].tolist() == [10, 20, 30, 40]
    assert recommend_group(model, [2, 1], exclude=["Brazil"], offset=1)["movie_id"].tolist() == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pages_and_options(strategy: str) -> None:
    model = EASE(reg=50).fit(sample().dataset)
    users = [1, 2, {3: 5, 4: 2}]
    for options in ({}, {"diversity": 0.4}, {"calibration": 0.5, "novelty": 0.1}):
        whole = recommend_group(model, users, 12, strategy=strategy, **options)
        pages = pd.concat(
            [recommend_group(model, users, 4, strategy=strategy, offset=start, **options) for start in (0, 4, 8)]
        )
        pd.testing.assert_frame_equal(whole, pages.reset_index(drop=True))
        rated = model.graph.dataset.ratings
        assert not set(whole["movie_id"]) & {3, 4, *rated.loc[rated["user_id"].isin([1, 2]), "movie_id"]}
    assert recommend_group(model, users, 5, strategy=strategy, genres="Drama", unlike=[5])["rank"].tolist()[0] == 1


def test_wrong_arguments() -> None:
    model = Popularity().fit(Dataset(RATINGS, MOVIES))
    with pytest.raises(ConfigError, match="unknown strategy 'avarage'; did you mean 'average'"):
        recommend_group(model, [1, 2], strategy="avarage")
    with pytest.raises(DataError, match="member 1 is in the group twice"):
        recommend_group(model, [1, 1])
    with pytest.raises(ConfigError, match="expected a fitted model"):
        recommend_group(model.graph, [1, 2])  # type: ignore[arg-type]
