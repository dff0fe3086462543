"""A fingerprint changes if, and only if, a metric could."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.datasets import make_sample
from gnnrec.evaluation import Fingerprint, evaluate
from gnnrec.evaluation.fingerprint import Rows
from gnnrec.models import EASE, Popularity
from gnnrec.splitting import Split, leave_one_out

ROWS = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(make_sample(50, 40))


def test_digests_of_rows_never_change() -> None:
    # Published with results: the same for all versions of Python, NumPy and pandas.
    assert Rows.from_frame(ROWS) == Rows(3, 2, 2, "dd378b05")
    assert str(Rows.from_frame(ROWS)) == "3 rows, 2 users, 2 movies (dd378b05)"
    assert Rows.from_frame(ROWS[:0]) == Rows(0, 0, 0, "8773f577")


@settings(max_examples=30)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=20, unique=True),
    data=st.data(),
)
def test_digest_depends_on_rows_but_not_on_their_order(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    def digest(rows: list[tuple[int, int]]) -> str:
        return Rows.from_frame(pd.DataFrame(rows, columns=["user_id", "movie_id"])).digest

    assert digest(data.draw(st.permutations(pairs))) == digest(pairs)
    assert digest(pairs[1:]) != digest(pairs)
    user, movie = pairs[0]
    assert digest([(user, 99), *pairs[1:]]) != digest(pairs)
    assert digest([(99, movie), *pairs[1:]]) != digest(pairs)
    assert Rows.from_frame(pd.DataFrame(pairs, columns=["user_id", "movie_id"]).astype(str)).digest == digest(pairs)


def test_digest_depends_on_the_pairs() -> None:
    # All have the same number of ratings per user and per movie; one swaps users and movies.
    crossed = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 2, 3, 4]})
    other = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 3, 2, 4]})
    swapped = crossed.rename(columns={"user_id": "movie_id", "movie_id": "user_id"})
    assert len({Rows.from_frame(rows).digest for rows in (crossed, other, swapped)}) == 3


def test_digest_depends_on_all_that_changes_a_metric(split: Split) -> None:
    without = split.train.drop(index=0)
    variants = {
        "unchanged": Fingerprint.from_split(split),
        "mask": Fingerprint.from_split(split, mask="train+valid"),
        "history": Fingerprint.from_split(split, history="train+valid"),
        "mask as frame": Fingerprint.from_split(split, mask=split.valid[:3]),
        "history as frame": Fingerprint.from_split(split, history=split.valid[:3]),
        "candidates": Fingerprint.from_split(split, candidates=split.catalog[1:]),
        "negatives": Fingerprint.from_split(split.with_negatives(5)),
        "other negatives": Fingerprint.from_split(split.with_negatives(5, seed=1)),
        "one row less": Fingerprint.from_split(Split(without, split.valid, split.test, split.movies, split.users)),
        "valid and test swapped": Fingerprint.from_split(Split(split.train, split.test, split.valid)),
        "support": Fingerprint.from_split(replace(split, train=split.train[1:], support=split.train[:1])),
        "formulas": replace(Fingerprint.from_split(split), metrics="v2"),
        "another graph": Fingerprint.from_split(split, graph=without),
    }
    assert len({fingerprint.digest for fingerprint in variants.values()}) == len(variants)


def test_digest_does_not_depend_on_names_and_order(split: Split) -> None:
    digest = Fingerprint.from_split(split).digest
    parts = [getattr(split, part).sample(frac=1, random_state=1) for part in ("train", "valid", "test")]
    renamed = Split(*parts, split.movies, split.users, name="mine", protocol="my own")
    assert Fingerprint.from_split(renamed).digest == digest
    assert Fingerprint.from_split(split, mask="train", history="train", candidates=split.catalog[::-1]).digest == digest
    assert Fingerprint.from_split(split, graph=split.train).digest == digest
    # Known ratings are excluded in any case.
    known = replace(split, history="train+valid")
    assert Fingerprint.from_split(known).digest == Fingerprint.from_split(known, mask="train+valid").digest
    # Negatives of users without test ratings.
    negatives = split.with_negatives(5).negatives
    more = pd.concat([negatives, pd.DataFrame({"user_id": [9999], "movie_id": [1]})])
    assert (
        Fingerprint.from_split(split, negatives=more).digest
        == Fingerprint.from_split(split, negatives=negatives).digest
    )


def test_text_names_everything(split: Split) -> None:
    fingerprint = Fingerprint.from_split(split.with_negatives(5), history="train+valid")
    assert str(fingerprint) == (
        f"{fingerprint.digest} = sample, leave one out, 5 negatives per user, seed 0; "
        f"train {Rows.from_frame(split.train)}; valid {Rows.from_frame(split.valid)}; "
        f"test {Rows.from_frame(split.test)}; "
        "history train+valid; masked train+valid; "
        f"ranked {fingerprint.candidates}; metrics v1: recall / n, ndcg and map / min(k, n), ties in movie order"
    )
    assert fingerprint.candidates.startswith("test movies and 5 negatives of each user (")
    assert fingerprint.candidates.endswith(f") among {Fingerprint.from_split(split).candidates}")
    assert Fingerprint.from_split(split).candidates.startswith("40 movies (")
    assert len(fingerprint.digest) == 8
    assert json.loads(json.dumps(asdict(fingerprint)))["parts"]["test"]["rows"] == 50


def test_results_have_a_fingerprint(split: Split) -> None:
    model = Popularity().fit(split)
    for options in ({}, {"mask": "train+valid"}, {"history": "train+valid"}, {"candidates": list(split.catalog)}):
        expected = Fingerprint.from_split(split, **options)
        for per_user in (False, True):
            result = evaluate(model, split, ks=[5], metrics=["ndcg"], per_user=per_user, **options)
            assert result.attrs == {"fingerprint": expected.digest, "protocol": str(expected)}
    assert evaluate(model, split.test, ks=[5], metrics=["ndcg"]).attrs == {}


def test_ratings_in_the_graph_change_the_fingerprint(split: Split) -> None:
    model = EASE(reg=20.0).fit(split)
    digests = {
        evaluate(m, split, ks=[5], metrics=["ndcg"]).attrs["fingerprint"]
        for m in (model, model.add_ratings(split.valid), EASE(reg=50.0).fit(split))
    }
    assert len(digests) == 2
    result = evaluate(model.add_ratings(split.valid), split, ks=[5], metrics=["ndcg"])
    known = Rows.from_frame(pd.concat([split.train, split.valid]))
    assert f"history train (model graph: {known}); masked train" in result.attrs["protocol"]


def test_digests_never_change() -> None:
    parts = {"train": ROWS, "valid": ROWS[:0], "test": pd.DataFrame({"user_id": [2], "movie_id": [20]})}
    split = Split(**parts)
    negatives = pd.DataFrame({"user_id": [2], "movie_id": [30]})
    digests = [
        Fingerprint.from_split(split).digest,
        Fingerprint.from_split(split, history="train+valid", negatives=negatives).digest,
        Fingerprint.from_split(split, mask=ROWS, candidates=[10, 20]).digest,
        Fingerprint.from_split(split, history=ROWS[1:], graph=ROWS[:2]).digest,
    ]
    assert digests == ["b4972d27", "25861fb5", "3c6b1485", "64c62517"]


@pytest.mark.real_data("splits/Movielens1M_m1", "ml-1m")
def test_published_digest_of_a_folder(data_home: Path) -> None:
    split = Split.from_folder(data_home / "splits" / "Movielens1M_m1")
    assert Fingerprint.from_split(split).digest == "6823181d"
