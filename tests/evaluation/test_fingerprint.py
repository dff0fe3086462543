"""A fingerprint changes when, and only when, a number could."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.datasets import make_sample
from gnnrec.evaluation import Fingerprint, evaluate
from gnnrec.evaluation.fingerprint import Rows
from gnnrec.graph import Graph
from gnnrec.models import EASE, Popularity
from gnnrec.splitting import Split, leave_one_out

ROWS = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [10, 20, 10]})


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(make_sample(50, 40))


def test_a_digest_stays_what_it_was() -> None:
    # Published beside numbers: it must come out the same with every version of Python, numpy and pandas.
    assert Rows.of(ROWS) == Rows(3, 2, 2, "dd378b05")
    assert str(Rows.of(ROWS)) == "3 rows, 2 users, 2 movies (dd378b05)"
    assert Rows.of(ROWS[:0]) == Rows(0, 0, 0, "8773f577")


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=20, unique=True),
    data=st.data(),
)
def test_rows_in_any_order_but_no_other_rows(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    def digest(rows: list[tuple[int, int]]) -> str:
        return Rows.of(pd.DataFrame(rows, columns=["user_id", "movie_id"])).digest

    assert digest(data.draw(st.permutations(pairs))) == digest(pairs)
    assert digest(pairs[1:]) != digest(pairs)
    user, movie = pairs[0]
    assert digest([(user, 99), *pairs[1:]]) != digest(pairs)
    assert digest([(99, movie), *pairs[1:]]) != digest(pairs)
    assert Rows.of(pd.DataFrame(pairs, columns=["user_id", "movie_id"]).astype(str)).digest == digest(pairs)


def test_who_rated_what_matters() -> None:
    # The same users as often, the same movies as often, and each user's id is another's movie id.
    crossed = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 2, 3, 4]})
    other = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [1, 3, 2, 4]})
    turned = crossed.rename(columns={"user_id": "movie_id", "movie_id": "user_id"})
    assert len({Rows.of(rows).digest for rows in (crossed, other, turned)}) == 3


def test_everything_that_can_change_a_number_changes_it(split: Split) -> None:
    without = split.train.drop(index=0)
    variants = {
        "itself": Fingerprint.of(split),
        "mask": Fingerprint.of(split, mask="train+valid"),
        "history": Fingerprint.of(split, history="train+valid"),
        "mask as rows": Fingerprint.of(split, mask=split.valid[:3]),
        "history as rows": Fingerprint.of(split, history=split.valid[:3]),
        "candidates": Fingerprint.of(split, candidates=split.catalogue[1:]),
        "negatives": Fingerprint.of(split.with_negatives(5)),
        "other negatives": Fingerprint.of(split.with_negatives(5, seed=1)),
        "a row less": Fingerprint.of(Split(without, split.valid, split.test, split.movies, split.users)),
        "valid and test swapped": Fingerprint.of(Split(split.train, split.test, split.valid)),
        "support": Fingerprint.of(replace(split, train=split.train[1:], support=split.train[:1])),
        "formulas": replace(Fingerprint.of(split), metrics="v2"),
        "another graph": Fingerprint.of(split, graph=without),
    }
    assert len({fingerprint.digest for fingerprint in variants.values()}) == len(variants)


def test_what_cannot_change_a_number_does_not(split: Split) -> None:
    digest = Fingerprint.of(split).digest
    parts = [getattr(split, part).sample(frac=1, random_state=1) for part in ("train", "valid", "test")]
    renamed = Split(*parts, split.movies, split.users, name="mine", protocol="my own")
    assert Fingerprint.of(renamed).digest == digest
    assert Fingerprint.of(split, mask="train", history="train", candidates=split.catalogue[::-1]).digest == digest
    assert Fingerprint.of(split, graph=split.train).digest == digest
    # What is known is left out whether that is said or not.
    known = replace(split, history="train+valid")
    assert Fingerprint.of(known).digest == Fingerprint.of(known, mask="train+valid").digest
    # Negatives of people who are not tested.
    drawn = split.with_negatives(5).negatives
    more = pd.concat([drawn, pd.DataFrame({"user_id": [9999], "movie_id": [1]})])
    assert Fingerprint.of(split, negatives=more).digest == Fingerprint.of(split, negatives=drawn).digest


def test_the_line_names_everything(split: Split) -> None:
    fingerprint = Fingerprint.of(split.with_negatives(5), history="train+valid")
    assert str(fingerprint) == (
        f"{fingerprint.digest} = sample, leave last out, 5 negatives per user, seed 0; "
        f"train {Rows.of(split.train)}; valid {Rows.of(split.valid)}; test {Rows.of(split.test)}; "
        "history train+valid; masked train+valid; "
        f"ranked {fingerprint.candidates}; metrics v1: recall / n, ndcg and map / min(k, n), ties in movie order"
    )
    assert fingerprint.candidates.startswith("test movies and 5 negatives of each user (")
    assert fingerprint.candidates.endswith(f") among {Fingerprint.of(split).candidates}")
    assert Fingerprint.of(split).candidates.startswith("40 movies (")
    assert len(fingerprint.digest) == 8
    assert json.loads(json.dumps(asdict(fingerprint)))["parts"]["test"]["rows"] == 50


def test_a_result_says_what_it_is_of(split: Split) -> None:
    model = Popularity.fit(Graph.from_dataset(split.dataset))
    for options in ({}, {"mask": "train+valid"}, {"history": "train+valid"}, {"candidates": list(split.catalogue)}):
        expected = Fingerprint.of(split, **options)
        for per_user in (False, True):
            result = evaluate(model, split, ks=[5], metrics=["ndcg"], per_user=per_user, **options)
            assert result.attrs == {"fingerprint": expected.digest, "protocol": str(expected)}
    assert evaluate(model, split.test, ks=[5], metrics=["ndcg"]).attrs == {}


def test_a_model_that_knows_more_is_another_protocol(split: Split) -> None:
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=20.0)
    digests = {
        evaluate(m, split, ks=[5], metrics=["ndcg"]).attrs["fingerprint"]
        for m in (model, model.add_ratings(split.valid), EASE.fit(Graph.from_dataset(split.dataset), reg=50.0))
    }
    assert len(digests) == 2
    knows_more = evaluate(model.add_ratings(split.valid), split, ks=[5], metrics=["ndcg"])
    assert "history train, but in the graph not train but" in knows_more.attrs["protocol"]
