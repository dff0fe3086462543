"""`evaluate` and `validate`: results, arguments, external metrics, errors, and rankings in plain Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnrec
from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import CatalogStatistics, default_metrics, evaluate, metrics, ranking, validate
from gnnrec.graph import Graph
from gnnrec.models import EASE, Popularity
from gnnrec.registry import METRICS
from gnnrec.splitting import cold_users_split, leave_one_out, random_split
from gnnrec.splitting import split as make_split
from tests.helpers.metrics import ACCURACY, reference
from tests.helpers.scorers import FixedScorer, RecordingScorer

TRAIN = pd.DataFrame({"user_id": ["ann", "ann", "bob", "cat"], "movie_id": [10, 20, 10, 30]})
MOVIES = pd.DataFrame({"movie_id": [10, 20, 30, 40, 50], "genres": ["Comedy", "Comedy|Drama", "Drama", "", "Comedy"]})
TEST = pd.DataFrame({"user_id": ["cat", "ann", "ann"], "movie_id": [20, 50, 30]})


@pytest.fixture
def model() -> FixedScorer:
    return FixedScorer(Graph.from_dataset(Dataset(TRAIN, MOVIES)), (5.0, 4.0, 3.0, 2.0, 1.0))


def test_result_by_hand(model):
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
        # of 3 training users, 2 rated movie 10, 1 rated 20 and 30, none 40 and 50, which count as rated once
        ("novelty", 2): ((np.log2(3 / 2) + np.log2(3)) / 2 + np.log2(3)) / 2,
        ("novelty", 3): ((np.log2(3 / 2) + 2 * np.log2(3)) / 3 + np.log2(3)) / 2,
        # cat: Comedy and Comedy|Drama; ann: Drama and no genre, then Drama and Comedy
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


def test_masked_movies_are_not_ranked(model):
    mask = pd.DataFrame({"user_id": ["cat", "bob", "nobody"], "movie_id": [10, 50, 20]})
    result = evaluate(model, TEST, ks=[1], metrics=["recall"], mask=mask, per_user=True)
    assert result["recall@1"].tolist() == [1.0, 0.5]


def test_only_candidates_are_ranked(model):
    result = evaluate(model, TEST, ks=[1, 2], metrics=["recall", "coverage"], candidates=[50, 20, 30, 20])
    assert result["value"].tolist() == pytest.approx([0.75, 1.0, 2 / 3, 1.0])


def test_lists_shorter_than_k(model):
    result = evaluate(model, TEST, ks=[100], metrics=["recall", "precision", "coverage", "novelty"])
    assert result["value"].tolist()[:3] == pytest.approx([1.0, (1 + 2) / 2 / 100, 1.0])
    assert np.isfinite(result["value"]).all()


def test_history_adds_users_and_is_masked(model):
    test = pd.DataFrame({"user_id": ["dan", "ann"], "movie_id": [30, 30]})
    history = pd.DataFrame({"user_id": ["dan", "dan"], "movie_id": [10, 20]})
    result = evaluate(model, test, ks=[1], metrics=["recall", "novelty"], history=history)
    # Novelty counts training ratings only: movie 30 was rated by 1 of 3 users.
    assert result["value"].tolist() == pytest.approx([1.0, np.log2(3)])
    assert result["num_users"].tolist() == [2, 2]


def test_only_negatives_and_test_movies_are_ranked(model):
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
    # Lists are not longer than the number of ranked movies.
    assert evaluate(model, TEST, ks=[9], metrics=["precision"], negatives=negatives, per_user=True)[
        "precision@9"
    ].tolist() == pytest.approx([1 / 9, 2 / 9])


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        ([("ann", 40)], "user 'cat' has test ratings but no negatives"),
        (
            [("bob", 40), ("cat", 40), ("ann", 20)],
            "negatives row 2: the negative movie 20 of user 'ann' is also in the history or the mask",
        ),
        ([("cat", 40), ("ann", 30)], "negatives row 1: the negative movie 30 of user 'ann' is also a test rating"),
        (
            [("cat", 10), ("ann", 40)],
            "negatives row 0: the negative movie 10 of user 'cat' is not among the candidates",
        ),
        ([("cat", 40), ("ann", 99)], "movie 99 is not in the graph"),
        ([("cat", 40), ("cat", 40)], "negatives row 1: user 'cat' rated movie 40 twice"),
    ],
)
def test_invalid_negatives(model, negatives, message):
    frame = rows(*negatives)
    with pytest.raises(DataError, match=message):
        evaluate(model, TEST, negatives=frame, candidates=[20, 30, 40, 50])


def test_metrics_of_leave_one_out():
    # The test movie of user u is at rank u + 1 of 100: HR@10 = 10/12, NDCG@10 = mean of 1 / log2(rank + 1).
    users, movies = range(12), range(101)
    train = pd.DataFrame({"user_id": users, "movie_id": 100})
    graph = Graph.from_dataset(Dataset(train, pd.DataFrame({"movie_id": movies})))
    test = pd.DataFrame({"user_id": users, "movie_id": users})
    model = FixedScorer(graph, tuple(-float(m) for m in movies))
    negatives = pd.DataFrame([(u, m) for u in users for m in range(100) if m != u], columns=["user_id", "movie_id"])
    for options in ({}, {"negatives": negatives}):
        result = evaluate(model, test, ks=[10], **options).set_index("metric")["value"]
        assert result["hit_rate"] == result["recall"] == pytest.approx(10 / 12)
        assert result["ndcg"] == pytest.approx(sum(1 / np.log2(r + 1) for r in range(1, 11)) / 12)
        assert result["mrr"] == result["map"] == pytest.approx(sum(1 / r for r in range(1, 11)) / 12)
        assert result["precision"] == pytest.approx(10 / 12 / 10)
    few = negatives[negatives["movie_id"] >= 90]
    assert evaluate(model, test, ks=[1], metrics=["hit_rate"], negatives=few)["value"].item() == 1.0


def test_a_split_provides_mask_history_and_negatives():
    split = leave_one_out(make_sample(120, 60, seed=1))
    model = EASE(reg=20.0).fit(split)
    by_hand = evaluate(model, split.test, candidates=split.catalog, history=split.valid)
    for result in (
        evaluate(model, replace(split, history="train+valid")),
        evaluate(model, split, history="train+valid"),
        evaluate(model, split, history=split.valid, mask="train+valid"),
        evaluate(model, replace(split, history="train+valid", mask="train+valid")),
    ):
        pd.testing.assert_frame_equal(result, by_hand)
    masked = evaluate(model, split.test, candidates=split.catalog, mask=split.valid)
    pd.testing.assert_frame_equal(evaluate(model, replace(split, mask="train+valid")), masked)
    plain = evaluate(model, split.test, candidates=split.catalog)
    both = replace(split, mask="train+valid", history="train+valid")
    pd.testing.assert_frame_equal(evaluate(model, both, mask="train", history="train"), plain)
    sampled = split.with_negatives(7)
    given = evaluate(model, split.test, candidates=split.catalog, negatives=sampled.negatives)
    pd.testing.assert_frame_equal(evaluate(model, sampled), given)
    assert given["value"][0] > plain["value"][0]


def test_history_of_support_and_validation_ratings():
    split = cold_users_split(make_sample(120, 60, seed=1), seed=0, fraction=0.2)
    model = EASE(reg=20.0).fit(split)
    both = pd.concat([split.support, split.valid])
    by_hand = evaluate(model, split.test, candidates=split.catalog, history=both)
    pd.testing.assert_frame_equal(evaluate(model, split, history="train+valid"), by_hand)


@pytest.mark.parametrize("protocol", ["next-item", "temporal", "global-time"])
def test_history_at_test_time_is_in_time_order(protocol):
    # Many ratings have equal timestamps; the rating identifies the row.
    rng = np.random.default_rng(0)
    frame = pd.DataFrame([(u, m) for u in range(12) for m in range(30)], columns=["user_id", "movie_id"])
    frame = frame.sample(frac=0.7, random_state=0, ignore_index=True)
    frame = frame.assign(timestamp=rng.integers(0, 6, len(frame)), rating=np.arange(len(frame)))
    split = make_split(Dataset(frame), protocol)
    model = RecordingScorer(Graph.from_dataset(split.dataset))
    evaluate(model, split, history="train+valid", ks=[5], metrics=["ndcg"])
    (users,) = model.batches
    known = pd.concat([split.train, split.valid]).sort_values(["timestamp", "rating"])
    for row, user in enumerate(dict.fromkeys(split.test["user_id"])):
        mine = users.user_index == row
        expected = known.loc[known["user_id"] == user]
        assert users.rating[mine].tolist() == expected["rating"].tolist()
        assert users.timestamp[mine].tolist() == expected["timestamp"].tolist()


def test_users_without_ratings_are_evaluated():
    users = pd.DataFrame({"user_id": ["ann", "bob", "cat", "eve"]})
    dataset = Dataset(TRAIN, MOVIES, users)
    result = evaluate(Popularity().fit(dataset), pd.DataFrame({"user_id": ["eve"], "movie_id": [20]}), ks=[2])
    assert result.set_index(["metric", "k"]).loc[("mrr", 2), "value"] == 0.5


def test_a_split_provides_candidates_and_support():
    split = cold_users_split(make_sample(120, 60, seed=1), seed=0, fraction=0.2)
    movies = pd.concat([split.movies, pd.DataFrame({"movie_id": [900]})], ignore_index=True)
    split = replace(split, movies=movies)
    model = EASE(reg=20.0).fit(split)
    given = evaluate(model, split.test, candidates=split.catalog, history=split.support)
    pd.testing.assert_frame_equal(evaluate(model, split), given)
    assert 900 not in split.catalog
    with pytest.raises(DataError, match="is also in the history or the mask"):
        evaluate(model, split, history=pd.concat([split.support, split.test]))


def test_better_than_chance_on_the_sample():
    split = random_split(make_sample(300, 200, seed=1), seed=2)
    graph = Graph.from_dataset(split.dataset)
    options = {"ks": [10], "metrics": ["ndcg"]}
    ease = evaluate(EASE(reg=100.0).fit(split), split, **options)["value"].item()
    random = evaluate(
        FixedScorer(graph, tuple(torch.rand(graph.num_movies, generator=torch.manual_seed(0)).tolist())),
        split,
        **options,
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
@settings(max_examples=30)
def test_equals_ranking_in_plain_python(case):
    scores, parts, candidates, k = case
    frames = {
        name: pd.DataFrame([pair for pair, p in parts.items() if p == name], columns=["user_id", "movie_id"], dtype=int)
        for name in ("train", "test", "mask")
    }
    tables = pd.DataFrame({"movie_id": range(len(scores))}), pd.DataFrame({"user_id": sorted({u for u, _ in parts})})
    model = FixedScorer(Graph.from_dataset(Dataset(frames["train"], *tables)), tuple(map(float, scores)))
    result = evaluate(
        model, frames["test"], ks=[k], mask=frames["mask"], candidates=candidates, metrics=list(ACCURACY), per_user=True
    ).set_index("user_id")
    assert set(result.index) == set(frames["test"]["user_id"])
    for user, row in result.iterrows():
        relevant = {m for (u, m), p in parts.items() if u == user and p == "test"}
        ranked = [m for m in sorted(candidates) if parts[user, m] not in ("train", "mask")]
        best = sorted(ranked, key=lambda m: -scores[m])[:k]  # sorted is stable: ties by the lower movie
        hits = [m in relevant for m in best] + [False] * (k - len(best))
        for metric in ACCURACY:
            assert row[f"{metric}@{k}"] == pytest.approx(reference(metric, hits, len(relevant)), rel=1e-5)


def test_chunks_do_not_matter(monkeypatch):
    split = random_split(make_sample(100, 60, seed=1), seed=2)
    model = EASE(reg=20.0).fit(split)
    few = split.with_negatives(5)
    whole = [evaluate(model, rows, mask=split.valid, per_user=True) for rows in (split, few)]
    monkeypatch.setattr(ranking, "CHUNK_SIZE", 7)
    for rows, expected in zip((split, few), whole, strict=True):
        pd.testing.assert_frame_equal(evaluate(model, rows, mask=split.valid, per_user=True), expected)


def test_result_is_reproducible_and_does_not_depend_on_row_order():
    split = random_split(make_sample(100, 60, seed=1), seed=2)
    model = EASE(reg=20.0).fit(split)
    first = evaluate(model, split)
    pd.testing.assert_frame_equal(evaluate(model, split), first)
    shuffled = evaluate(model, split.test.sample(frac=1, random_state=0), candidates=split.catalog[::-1])
    pd.testing.assert_series_equal(shuffled["value"], first["value"])


def test_scores_of_the_model_do_not_change(model):
    kept = torch.tensor([model.scores] * 2)
    frozen = replace(model)
    object.__setattr__(frozen, "score", lambda users: kept)
    evaluate(frozen, TEST, ks=[1])
    assert kept.isfinite().all()


def test_other_column_names(model):
    renamed = TEST.rename(columns={"user_id": "userId", "movie_id": "item"})
    pd.testing.assert_frame_equal(evaluate(model, renamed), evaluate(model, TEST))


def test_order_of_metrics(model):
    chosen = ["diversity", "ndcg", "recall"]
    assert evaluate(model, TEST, ks=[1], metrics=chosen)["metric"].tolist() == ["recall", "ndcg", "diversity"]
    assert evaluate(model, TEST, ks=[1], metrics=["coverage"])["metric"].tolist() == ["coverage"]
    assert tuple(evaluate(model, TEST, ks=[1])["metric"]) == default_metrics()


def test_diversity_without_genres_is_nan():
    graph = Graph.from_dataset(Dataset(TRAIN, MOVIES[["movie_id"]]))
    row = evaluate(FixedScorer(graph, (5.0, 4.0, 3.0, 2.0, 1.0)), TEST, ks=[3], metrics=["diversity"]).iloc[0]
    assert np.isnan(row["value"])
    assert row["num_users"] == 0


def rows(*pairs: tuple[object, object]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["user_id", "movie_id"])


@pytest.mark.parametrize(
    ("test", "options", "message"),
    [
        (rows(("zoe", 30)), {}, "test row 0: user 'zoe' is not in the graph; pass their known ratings as history"),
        (rows(("ann", 99)), {}, "movie 99 is not in the graph"),
        (
            rows(("bob", 30), ("ann", 20)),
            {},
            "test row 1: the rating of movie 20 by user 'ann' is also in the history or the mask",
        ),
        (rows(("ann", 40)), {"mask": rows(("ann", 40))}, "movie 40 by user 'ann' is also in the history or the mask"),
        (rows(("ann", 40)), {"candidates": [10, 30]}, "test row 0: movie 40 is not among the candidates"),
        (rows(("ann", 40)), {"candidates": [40, 77]}, "movie 77 is not in the graph"),
        (rows(("ann", 40)), {"candidates": []}, "candidates is empty"),
        (rows(("ann", 40), ("ann", 40)), {}, "test row 1: user 'ann' rated movie 40 twice"),
        (rows(), {}, "test is empty"),
        (rows(("ann", 40)).drop(columns="user_id"), {}, "no column user_id"),
        (rows(("ann", 40)), {"mask": rows(("ann", 99))}, "movie 99 is not in the graph"),
        (rows(("ann", None)), {}, "test row 0: movie_id is missing"),
        ([("ann", 40)], {}, "must be a pandas DataFrame, not list"),
    ],
)
def test_invalid_data(model, test, options, message):
    with pytest.raises(DataError, match=message):
        evaluate(model, test, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["recal"]}, r"unknown metric 'recal'; did you mean 'recall'\? Choose one of recall, ndcg"),
        ({"ks": [0]}, "k must be an integer of at least 1, not 0"),
        ({"ks": [2.5]}, "k must be an integer of at least 1, not 2.5"),
        ({"ks": []}, "ks is empty"),
        ({"confidence": 95}, "confidence must be between 0 and 1, not 95"),
        ({"mask": "train+valid"}, "a mask or history by name.*needs a Split"),
        ({"history": "train"}, "a mask or history by name.*needs a Split"),
    ],
)
def test_invalid_arguments(model, options, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(model, TEST, **options)


def test_invalid_names():
    split = random_split(make_sample(60, 40))
    model = Popularity().fit(split)
    for options in ({"mask": "valid"}, {"history": "test"}):
        with pytest.raises(ConfigError, match=r"must be one of train, train\+valid, not"):
            evaluate(model, split, **options)


def test_nan_scores_are_an_error(model):
    broken = replace(model, scores=(1.0, float("nan"), 1.0, 1.0, 1.0))
    with pytest.raises(DataError, match="the model 'fixed' returned NaN scores for user 'cat'"):
        evaluate(broken, TEST)


def test_infinite_scores(model):
    extreme = replace(model, scores=(-torch.inf, 9.0, 3.0, 2.0, 1.0))
    result = evaluate(extreme, TEST, ks=[1, 4], metrics=["recall", "coverage"])
    # Movies with a score of minus infinity are never listed.
    assert result["value"].tolist() == pytest.approx([0.75, 1.0, 2 / 5, 4 / 5])
    with pytest.raises(DataError, match="the model 'fixed' returned infinite scores for user 'cat'"):
        evaluate(replace(model, scores=(torch.inf, 9.0, 3.0, 2.0, 1.0)), TEST)


def test_metrics_given_by_name_and_function(model):
    by_name = evaluate(model, TEST, ks=[2], metrics=["ndcg", "diversity", "map"])
    functions = [metrics.genre_diversity, metrics.average_precision, metrics.ndcg]
    pd.testing.assert_frame_equal(evaluate(model, TEST, ks=[2], metrics=functions), by_name)
    assert evaluate(model, TEST, ks=[2], metrics="ndcg")["metric"].tolist() == ["ndcg"]
    assert evaluate(model, TEST, ks=[2], metrics=metrics.ndcg)["metric"].tolist() == ["ndcg"]


@pytest.fixture
def registry(monkeypatch):
    """Undo registrations after the test."""
    METRICS.get("recall")
    for attribute in ("_objects", "_metadata"):
        monkeypatch.setattr(METRICS, attribute, dict(getattr(METRICS, attribute)))


@pytest.mark.usefixtures("registry")
def test_external_metrics(model):
    @gnnrec.register_metric("first_hit")
    def first_hit(hits, num_relevant):
        return hits[:, 0]

    @gnnrec.register_metric("mean_count", of="lists")
    def mean_count(lists, catalog: CatalogStatistics):
        counts = catalog.counts[lists.clamp(min=0)].double()
        return torch.where(lists >= 0, counts, torch.nan).nanmean(1)

    @gnnrec.register_metric("distinct", of="catalog")
    def distinct(lists, catalog: CatalogStatistics):
        return len(torch.unique(lists[lists >= 0])) / catalog.num_candidates

    def misses(hits, num_relevant):
        return (num_relevant - hits.sum(1)).tolist()

    # cat ranks 10, 20 | 40, 50: hit at 2. ann ranks 30, 40 | 50: hits at 1 and 3.
    result = evaluate(
        model, TEST, ks=[2], metrics=["mean_count", misses, "distinct", "first_hit", "recall", "coverage"]
    )
    assert dict(zip(result["metric"], result["value"], strict=True)) == pytest.approx(
        {"recall": 3 / 4, "coverage": 4 / 5, "mean_count": (3 / 2 + 1 / 2) / 2, "misses": 1 / 2, "distinct": 4 / 5,
         "first_hit": 1 / 2}
    )  # fmt: skip
    assert result["metric"].tolist() == ["recall", "coverage", "mean_count", "misses", "distinct", "first_hit"]
    assert result["ci_low"].isna().tolist() == [False, True, False, False, True, False]
    per_user = evaluate(model, TEST, ks=[2], metrics=["first_hit", "distinct", "mean_count", misses], per_user=True)
    assert per_user.to_dict("list") == {
        "user_id": ["cat", "ann"], "first_hit@2": [0, 1], "mean_count@2": [1.5, 0.5], "misses@2": [0, 1],
    }  # fmt: skip
    assert "first_hit" not in evaluate(model, TEST)["metric"].tolist()
    with pytest.raises(ConfigError, match=r"unknown metric 'firsthit'; did you mean 'first_hit'\?"):
        evaluate(model, TEST, metrics=["firsthit"])


def test_metric_functions_that_cannot_be_used(model):
    with pytest.raises(ConfigError, match="two metrics have the name '<lambda>'; rename one of the functions"):
        evaluate(model, TEST, metrics=[lambda hits, n: n, lambda hits, n: n])
    with pytest.raises(ConfigError, match=r"the metric '<lambda>' must return one value per user.*\[2\], not \[\]"):
        evaluate(model, TEST, metrics=[lambda hits, n: hits.float().mean()])

    def ndcg(hits, num_relevant):
        return num_relevant

    assert evaluate(model, TEST, ks=[1], metrics=[ndcg])["value"].tolist() == [1.5]
    with pytest.raises(ConfigError, match="two metrics have the name 'ndcg'"):
        evaluate(model, TEST, metrics=["ndcg", ndcg])


@pytest.mark.parametrize("protocol", ["random", "cold-users", "cold-movies", "next-item"])
def test_validate_ranks_the_validation_ratings(protocol):
    split = make_split(make_sample(150, 100, seed=1), protocol)
    model = EASE(reg=20.0).fit(split)
    options = {"candidates": split.candidates_for("valid"), "history": split.support}
    for name, k in (("ndcg", 20), ("recall", 5), ("coverage", 5)):
        expected = evaluate(model, split.valid, ks=[k], metrics=[name], **options)["value"].item()
        assert validate(model, split, name, k) == pytest.approx(expected, rel=1e-6)
    assert validate(model, split) == validate(model, split, "ndcg", 20) == validate(model, split, metrics.ndcg)


def test_validate_needs_validation_ratings():
    split = random_split(make_sample(60, 40), (0.8, 0.0, 0.2))
    with pytest.raises(DataError, match="the split of sample has no validation ratings to evaluate on"):
        validate(Popularity().fit(split), split)


def test_nan_scores_of_a_model_without_a_name(model):
    broken = RecordingScorer(model.graph)
    object.__setattr__(broken, "score", lambda users: torch.full((users.num_users, 5), torch.nan))
    with pytest.raises(DataError, match="the model 'RecordingScorer' returned NaN scores for user 'cat'"):
        evaluate(broken, TEST)
