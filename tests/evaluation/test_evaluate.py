"""`evaluate` from frames to frame, against ranking in plain Python, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import METRICS, evaluate, ranking
from gnnrec.evaluation.metrics import ACCURACY
from gnnrec.graph import Graph, UserBatch
from gnnrec.models import EASE, Popularity
from gnnrec.models.base import Recommender
from gnnrec.splitting import Split, leave_one_out, random_split
from gnnrec.splitting import split as make_split
from tests.evaluation.test_metrics import reference


@dataclass(frozen=True, eq=False)
class Fixed(Recommender):
    """Scores the movies with given numbers, the same for everyone."""

    graph: Graph
    scores: tuple[float, ...]
    name = "fixed"

    def score(self, users: UserBatch) -> torch.Tensor:
        return torch.tensor(self.scores).expand(users.num_users, -1)

    def with_graph(self, graph: Graph) -> Fixed:
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> torch.Tensor:
        return torch.ones(self.graph.num_movies, 1)


TRAIN = pd.DataFrame({"user_id": ["ann", "ann", "bob", "cat"], "movie_id": [10, 20, 10, 30]})
MOVIES = pd.DataFrame({"movie_id": [10, 20, 30, 40, 50], "genres": ["Comedy", "Comedy|Drama", "Drama", "", "Comedy"]})
TEST = pd.DataFrame({"user_id": ["cat", "ann", "ann"], "movie_id": [20, 50, 30]})


@pytest.fixture
def model() -> Fixed:
    return Fixed(Graph.from_dataset(Dataset(TRAIN, MOVIES)), (5.0, 4.0, 3.0, 2.0, 1.0))


def test_literal_frame(model):
    # cat ranks 10, 20 | 40, 50 (30 is seen): hit at 2. ann ranks 30, 40 | 50: hit at 1, and at 3 of 3.
    result = evaluate(model, TEST, ks=[2, 3])
    assert result.columns.tolist() == ["metric", "k", "value", "ci_low", "ci_high", "num_users"]
    ideal = 1 + 1 / np.log2(3)
    expected = {
        ("recall", 2): (1 + 1 / 2) / 2,
        ("recall", 3): 1.0,
        ("ndcg", 2): (1 / np.log2(3) + 1 / ideal) / 2,
        ("ndcg", 3): (1 / np.log2(3) + 1.5 / ideal) / 2,
        ("hit_rate", 2): 1.0,
        ("hit_rate", 3): 1.0,
        ("mrr", 2): (1 / 2 + 1) / 2,
        ("mrr", 3): (1 / 2 + 1) / 2,
        ("map", 2): (1 / 2 + 1 / 2) / 2,
        ("map", 3): (1 / 2 + (1 + 2 / 3) / 2) / 2,
        ("precision", 2): 1 / 2,
        ("precision", 3): (1 / 3 + 2 / 3) / 2,
        ("coverage", 2): 4 / 5,
        ("coverage", 3): 5 / 5,
        # of 3 train users 2 rated movie 10, 1 rated 20 and 30, none 40 and 50, which count as rated once
        ("novelty", 2): ((np.log2(3 / 2) + np.log2(3)) / 2 + np.log2(3)) / 2,
        ("novelty", 3): ((np.log2(3 / 2) + 2 * np.log2(3)) / 3 + np.log2(3)) / 2,
        # cat: Comedy and Comedy|Drama; ann: Drama and nothing, then Drama and Comedy
        ("diversity", 2): 0.5,
        ("diversity", 3): (0.5 + 1) / 2,
    }
    assert list(zip(result["metric"], result["k"], strict=True)) == list(expected)
    np.testing.assert_allclose(result["value"], list(expected.values()), rtol=1e-6)
    assert result["num_users"].tolist() == [2] * 16 + [1, 2]
    means = result[result["metric"] != "coverage"]
    assert (means["ci_low"] <= means["value"] + 1e-6).all()
    assert (means["value"] <= means["ci_high"] + 1e-6).all()
    assert result.loc[result["metric"] == "coverage", ["ci_low", "ci_high"]].isna().all(axis=None)


def test_per_user(model):
    result = evaluate(model, TEST, ks=[3, 2], metrics=["mrr", "recall", "coverage"], per_user=True)
    expected = pd.DataFrame(
        {
            "user_id": ["cat", "ann"],
            "recall@2": [1.0, 0.5],
            "recall@3": [1.0, 1.0],
            "mrr@2": [0.5, 1.0],
            "mrr@3": [0.5, 1.0],
        }
    )
    pd.testing.assert_frame_equal(result, expected, check_dtype=False)


def test_mask_moves_everything_up(model):
    mask = pd.DataFrame({"user_id": ["cat", "bob", "nobody"], "movie_id": [10, 50, 20]})
    result = evaluate(model, TEST, ks=[1], metrics=["recall"], mask=mask, per_user=True)
    assert result["recall@1"].tolist() == [1.0, 0.5]


def test_candidates_only(model):
    result = evaluate(model, TEST, ks=[1, 2], metrics=["recall", "coverage"], candidates=[50, 20, 30, 20])
    assert result["value"].tolist() == pytest.approx([0.75, 1.0, 2 / 3, 1.0])


def test_lists_shorter_than_k(model):
    result = evaluate(model, TEST, ks=[100], metrics=["recall", "precision", "coverage", "novelty"])
    assert result["value"].tolist()[:3] == pytest.approx([1.0, (1 + 2) / 2 / 100, 1.0])
    assert np.isfinite(result["value"]).all()


def test_history_makes_people_known_and_is_left_out(model):
    test = pd.DataFrame({"user_id": ["dan", "ann"], "movie_id": [30, 30]})
    history = pd.DataFrame({"user_id": ["dan", "dan"], "movie_id": [10, 20]})
    result = evaluate(model, test, ks=[1], metrics=["recall", "novelty"], history=history)
    # novelty counts the training ratings only: movie 30 was rated by 1 of 3
    assert result["value"].tolist() == pytest.approx([1.0, np.log2(3)])
    assert result["num_users"].tolist() == [2, 2]


def test_negatives_are_all_that_is_ranked(model):
    # Scores fall from 10 to 50. cat: 20 of {20, 40}; ann: 30 and 50 of {30, 40, 50}.
    negatives = pd.DataFrame({"user_id": ["ann", "cat", "bob", "zoe"], "movie_id": [40, 40, 40, 10]})
    result = evaluate(model, TEST, ks=[1, 2, 9], metrics=["recall", "mrr"], negatives=negatives, per_user=True)
    assert result.set_index("user_id")["recall@1"].to_dict() == {"cat": 1.0, "ann": 0.5}
    assert result.set_index("user_id")["recall@2"].to_dict() == {"cat": 1.0, "ann": 0.5}
    assert result.set_index("user_id")["recall@9"].to_dict() == {"cat": 1.0, "ann": 1.0}
    first = negatives.replace({"movie_id": {40: 10}})[1:]
    first = pd.concat([first, pd.DataFrame({"user_id": ["ann"], "movie_id": [40]})])
    assert evaluate(model, TEST, ks=[2], metrics=["mrr"], negatives=first, per_user=True)["mrr@2"].tolist() == [
        0.5,
        1.0,
    ]
    # A ranking of two movies shows two, however long the list: ann's three are the longest.
    assert evaluate(model, TEST, ks=[9], metrics=["precision"], negatives=negatives, per_user=True)[
        "precision@9"
    ].tolist() == pytest.approx([1 / 9, 2 / 9])


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        ([("ann", 40)], "user 'cat' has test rows but no negatives"),
        (
            [("bob", 40), ("cat", 40), ("ann", 20)],
            "negatives row 2: user 'ann' has movie 20 in the history or the mask",
        ),
        ([("cat", 40), ("ann", 30)], "negatives row 1: user 'ann' has movie 30 in the test rows, so it is no negative"),
        (
            [("cat", 10), ("ann", 40)],
            "negatives row 0: user 'cat' has movie 10 as a negative, but it is not among the c",
        ),
        ([("cat", 40), ("ann", 99)], "movie 99 is not in the graph"),
        ([("cat", 40), ("cat", 40)], "negatives row 1: user 'cat' rated movie 40 before"),
    ],
)
def test_negatives_it_refuses(model, negatives, message):
    frame = rows(*negatives)
    with pytest.raises(DataError, match=message):
        evaluate(model, TEST, negatives=frame, candidates=[20, 30, 40, 50])


def test_leave_one_out_is_what_the_field_calls_it():
    # The test movie of user u is at rank u + 1 of 100: HR@10 = 10/12, NDCG@10 = mean of 1 / log2(rank + 1).
    users, movies = range(12), range(101)
    train = pd.DataFrame({"user_id": users, "movie_id": 100})
    graph = Graph.from_dataset(Dataset(train, pd.DataFrame({"movie_id": movies})))
    test = pd.DataFrame({"user_id": users, "movie_id": users})
    model = Fixed(graph, tuple(-float(m) for m in movies))
    negatives = pd.DataFrame([(u, m) for u in users for m in range(100) if m != u], columns=["user_id", "movie_id"])
    for options in ({}, {"negatives": negatives}):
        result = evaluate(model, test, ks=[10], **options).set_index("metric")["value"]
        assert result["hit_rate"] == result["recall"] == pytest.approx(10 / 12)
        assert result["ndcg"] == pytest.approx(sum(1 / np.log2(r + 1) for r in range(1, 11)) / 12)
        assert result["mrr"] == result["map"] == pytest.approx(sum(1 / r for r in range(1, 11)) / 12)
        assert result["precision"] == pytest.approx(10 / 12 / 10)
    few = negatives[negatives["movie_id"] >= 90]
    assert evaluate(model, test, ks=[1], metrics=["hit_rate"], negatives=few)["value"].item() == 1.0


def test_a_split_says_how_it_is_judged():
    split = leave_one_out(make_sample(120, 60, seed=1))
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=20.0)
    by_hand = evaluate(model, split.test, candidates=split.catalogue, history=split.valid)
    for asked in (
        evaluate(model, replace(split, history="train+valid")),
        evaluate(model, split, history="train+valid"),
        evaluate(model, split, history=split.valid, mask="train+valid"),
        evaluate(model, replace(split, history="train+valid", mask="train+valid")),
    ):
        pd.testing.assert_frame_equal(asked, by_hand)
    masked = evaluate(model, split.test, candidates=split.catalogue, mask=split.valid)
    pd.testing.assert_frame_equal(evaluate(model, replace(split, mask="train+valid")), masked)
    plain = evaluate(model, split.test, candidates=split.catalogue)
    both = replace(split, mask="train+valid", history="train+valid")
    pd.testing.assert_frame_equal(evaluate(model, both, mask="train", history="train"), plain)
    drawn = split.with_negatives(7)
    given = evaluate(model, split.test, candidates=split.catalogue, negatives=drawn.negatives)
    pd.testing.assert_frame_equal(evaluate(model, drawn), given)
    assert given["value"][0] > plain["value"][0]


def test_support_and_valid_rows_are_both_known():
    split = Split.held_out_users(make_sample(120, 60, seed=1), fraction=0.2, n_known=5)
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=20.0)
    both = pd.concat([split.support, split.valid])
    by_hand = evaluate(model, split.test, candidates=split.catalogue, history=both)
    pd.testing.assert_frame_equal(evaluate(model, split, history="train+valid"), by_hand)


@dataclass(frozen=True, eq=False)
class Newest(Recommender):
    """Knows one movie per person, the last of the history; keeps what it was asked with."""

    graph: Graph
    seen: list
    name = "newest"

    def score(self, users: UserBatch) -> torch.Tensor:
        self.seen.append(users)
        return torch.zeros(users.num_users, self.graph.num_movies)

    def with_graph(self, graph: Graph) -> Newest:
        return replace(self, graph=graph)

    def similarity_embeddings(self) -> torch.Tensor:
        return torch.ones(self.graph.num_movies, 1)


@pytest.mark.parametrize("protocol", ["next-item", "chronological", "global-time"])
def test_history_at_test_time_is_in_time_order(protocol):
    # Many ratings of one second; the rating says which row of the file it is.
    rng = np.random.default_rng(0)
    frame = pd.DataFrame([(u, m) for u in range(12) for m in range(30)], columns=["user_id", "movie_id"])
    frame = frame.sample(frac=0.7, random_state=0, ignore_index=True)
    frame = frame.assign(timestamp=rng.integers(0, 6, len(frame)), rating=np.arange(len(frame)))
    split = make_split(Dataset(frame), protocol)
    model = Newest(Graph.from_dataset(split.dataset), [])
    evaluate(model, split, history="train+valid", ks=[5], metrics=["ndcg"])
    (users,) = model.seen
    known = pd.concat([split.train, split.valid]).sort_values(["timestamp", "rating"])
    for row, user in enumerate(dict.fromkeys(split.test["user_id"])):
        mine = users.user_index == row
        expected = known.loc[known["user_id"] == user]
        assert users.rating[mine].tolist() == expected["rating"].tolist()
        assert users.timestamp[mine].tolist() == expected["timestamp"].tolist()


def test_known_user_without_ratings_is_evaluated():
    users = pd.DataFrame({"user_id": ["ann", "bob", "cat", "eve"]})
    graph = Graph.from_dataset(Dataset(TRAIN, MOVIES, users))
    result = evaluate(Popularity.fit(graph), pd.DataFrame({"user_id": ["eve"], "movie_id": [20]}), ks=[2])
    assert result.set_index(["metric", "k"]).loc[("mrr", 2), "value"] == 0.5


def test_split_brings_candidates_and_history():
    split = Split.held_out_users(make_sample(120, 60, seed=1), fraction=0.2, n_known=5)
    movies = pd.concat([split.movies, pd.DataFrame({"movie_id": [900]})], ignore_index=True)
    split = replace(split, movies=movies)
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=20.0)
    given = evaluate(model, split.test, candidates=split.catalogue, history=split.support)
    pd.testing.assert_frame_equal(evaluate(model, split), given)
    assert 900 not in split.catalogue
    with pytest.raises(DataError, match="in the history or the mask already"):
        evaluate(model, split, history=pd.concat([split.support, split.test]))


def test_better_than_chance_on_the_sample():
    split = random_split(make_sample(300, 200, seed=1), seed=2)
    graph = Graph.from_dataset(split.dataset)
    options = {"ks": [10], "metrics": ["ndcg"]}
    ease = evaluate(EASE.fit(graph, reg=100.0), split, **options)["value"].item()
    random = evaluate(
        Fixed(graph, tuple(torch.rand(graph.num_movies, generator=torch.manual_seed(0)).tolist())), split, **options
    )["value"].item()
    assert ease > 2 * random


@st.composite
def rankings(draw):
    """Draw scores with ties, train and test pairs that do not overlap, candidates and a list length."""
    num_users, num_movies = draw(st.integers(1, 4)), draw(st.integers(2, 9))
    scores = draw(st.lists(st.integers(0, 3), min_size=num_movies, max_size=num_movies))
    part = st.sampled_from(["train", "test", "mask", "", ""])
    parts = {(u, m): draw(part) for u in range(num_users) for m in range(num_movies)}
    parts[0, 0], parts[0, 1] = "train", "test"
    candidates = {m for (_, m), p in parts.items() if p == "test"} | draw(st.sets(st.integers(0, num_movies - 1)))
    return scores, parts, candidates, draw(st.integers(1, 12))


@given(case=rankings())
@settings(max_examples=60, deadline=None)
def test_equal_to_ranking_in_plain_python(case):
    scores, parts, candidates, k = case
    frames = {
        name: pd.DataFrame([pair for pair, p in parts.items() if p == name], columns=["user_id", "movie_id"], dtype=int)
        for name in ("train", "test", "mask")
    }
    tables = pd.DataFrame({"movie_id": range(len(scores))}), pd.DataFrame({"user_id": sorted({u for u, _ in parts})})
    model = Fixed(Graph.from_dataset(Dataset(frames["train"], *tables)), tuple(map(float, scores)))
    result = evaluate(
        model, frames["test"], ks=[k], mask=frames["mask"], candidates=candidates, metrics=list(ACCURACY), per_user=True
    ).set_index("user_id")
    assert set(result.index) == set(frames["test"]["user_id"])
    for user, row in result.iterrows():
        relevant = {m for (u, m), p in parts.items() if u == user and p == "test"}
        left = [m for m in sorted(candidates) if parts[user, m] not in ("train", "mask")]
        best = sorted(left, key=lambda m: -scores[m])[:k]  # sorted is stable: ties by the lower movie
        hits = [m in relevant for m in best] + [False] * (k - len(best))
        for metric in ACCURACY:
            assert row[f"{metric}@{k}"] == pytest.approx(reference(metric, hits, len(relevant)), rel=1e-5)


def test_chunks_do_not_matter(monkeypatch):
    split = random_split(make_sample(100, 60, seed=1), seed=2)
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=20.0)
    few = split.with_negatives(5)
    whole = [evaluate(model, rows, mask=split.valid, per_user=True) for rows in (split, few)]
    monkeypatch.setattr(ranking, "CHUNK", 7)
    for rows, expected in zip((split, few), whole, strict=True):
        pd.testing.assert_frame_equal(evaluate(model, rows, mask=split.valid, per_user=True), expected)


def test_same_result_every_time_and_for_every_order_of_rows():
    split = random_split(make_sample(100, 60, seed=1), seed=2)
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=20.0)
    first = evaluate(model, split)
    pd.testing.assert_frame_equal(evaluate(model, split), first)
    shuffled = evaluate(model, split.test.sample(frac=1, random_state=0), candidates=split.catalogue[::-1])
    pd.testing.assert_series_equal(shuffled["value"], first["value"])


def test_the_model_keeps_its_scores(model):
    kept = torch.tensor([model.scores] * 2)
    frozen = replace(model)
    object.__setattr__(frozen, "score", lambda users: kept)
    evaluate(frozen, TEST, ks=[1])
    assert kept.isfinite().all()


def test_columns_under_their_other_names(model):
    renamed = TEST.rename(columns={"user_id": "userId", "movie_id": "item"})
    pd.testing.assert_frame_equal(evaluate(model, renamed), evaluate(model, TEST))


def test_metrics_are_reported_in_one_order(model):
    chosen = ["diversity", "ndcg", "recall"]
    assert evaluate(model, TEST, ks=[1], metrics=chosen)["metric"].tolist() == ["recall", "ndcg", "diversity"]
    assert evaluate(model, TEST, ks=[1], metrics=["coverage"])["metric"].tolist() == ["coverage"]
    assert tuple(evaluate(model, TEST, ks=[1])["metric"]) == METRICS


def test_no_genres_no_diversity():
    graph = Graph.from_dataset(Dataset(TRAIN, MOVIES[["movie_id"]]))
    row = evaluate(Fixed(graph, (5.0, 4.0, 3.0, 2.0, 1.0)), TEST, ks=[3], metrics=["diversity"]).iloc[0]
    assert np.isnan(row["value"])
    assert row["num_users"] == 0


def rows(*pairs: tuple[object, object]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["user_id", "movie_id"])


@pytest.mark.parametrize(
    ("test", "options", "message"),
    [
        (rows(("zoe", 30)), {}, "test row 0: user 'zoe' is not in the graph; pass their known ratings as history"),
        (rows(("ann", 99)), {}, "movie 99 is not in the graph"),
        (rows(("bob", 30), ("ann", 20)), {}, "test row 1: user 'ann' has movie 20 in the history or the mask already"),
        (rows(("ann", 40)), {"mask": rows(("ann", 40))}, "user 'ann' has movie 40 in the history or the mask"),
        (rows(("ann", 40)), {"candidates": [10, 30]}, "test row 0: movie 40 is not among the candidates"),
        (rows(("ann", 40)), {"candidates": [40, 77]}, "movie 77 is not in the graph"),
        (rows(("ann", 40)), {"candidates": []}, "candidates is empty"),
        (rows(("ann", 40), ("ann", 40)), {}, "test row 1: user 'ann' rated movie 40 before"),
        (rows(), {}, "test is empty"),
        (rows(("ann", 40)).drop(columns="user_id"), {}, "no column user_id"),
        (rows(("ann", 40)), {"mask": rows(("ann", 99))}, "movie 99 is not in the graph"),
        (rows(("ann", None)), {}, "test row 0: movie_id is missing"),
        ([("ann", 40)], {}, "must be a pandas DataFrame, not list"),
    ],
)
def test_data_it_refuses(model, test, options, message):
    with pytest.raises(DataError, match=message):
        evaluate(model, test, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["recal"]}, "metric 'recal' is not one of .*; did you mean 'recall'"),
        ({"ks": [0]}, "at least 1, not 0"),
        ({"ks": [2.5]}, "whole number of at least 1, not 2.5"),
        ({"ks": []}, "ks is empty"),
        ({"confidence": 95}, "confidence must be between 0 and 1, not 95"),
        ({"mask": "train+valid"}, "a mask or a history by name.*needs a Split"),
        ({"history": "train"}, "a mask or a history by name.*needs a Split"),
    ],
)
def test_settings_it_refuses(model, options, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(model, TEST, **options)


def test_names_it_refuses():
    split = random_split(make_sample(60, 40))
    model = Popularity.fit(Graph.from_dataset(split.dataset))
    for options in ({"mask": "valid"}, {"history": "test"}):
        with pytest.raises(ConfigError, match=r"must be one of train, train\+valid, not"):
            evaluate(model, split, **options)


def test_nan_scores_are_an_error(model):
    broken = replace(model, scores=(1.0, float("nan"), 1.0, 1.0, 1.0))
    with pytest.raises(DataError, match="fixed scores movies for user 'cat' with NaN"):
        evaluate(broken, TEST)


def test_infinite_scores_are_ranks_like_any_other(model):
    extreme = replace(model, scores=(-torch.inf, torch.inf, 3.0, 2.0, 1.0))
    result = evaluate(extreme, TEST, ks=[1, 4], metrics=["recall", "coverage"])
    # minus infinity is never shown: 10 is in nobody's list
    assert result["value"].tolist() == pytest.approx([0.75, 1.0, 2 / 5, 4 / 5])
