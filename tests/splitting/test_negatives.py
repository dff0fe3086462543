"""Negatives: never rated by the user, reproducible, and read from the published file formats."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.splitting import Split, leave_one_out
from gnnrec.splitting import negatives as module


def rows(*pairs: tuple[object, object]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["user_id", "movie_id"])


SPLIT = Split(
    rows(("ann", 1), ("bob", 2), ("bob", 3), ("cat", 7)), rows(("ann", 4)), rows(("bob", 1), ("ann", 5)), name="tiny"
)
"""Rated movies are 1 to 5 and 7; unrated by ann are 2, 3, 7 and by bob 4, 5, 7."""


def test_all_unrated_movies() -> None:
    sampled = SPLIT.with_negatives(3)
    assert sampled.negatives is not None
    assert sampled.negatives.to_numpy().tolist() == [["ann", m] for m in (2, 3, 7)] + [["bob", m] for m in (4, 5, 7)]
    assert sampled.protocol == "as given, 3 negatives per user, seed 0"
    assert SPLIT.negatives is None


@settings(max_examples=20)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 25)), min_size=30, max_size=60, unique=True),
    seed=st.integers(0, 3),
    chunk=st.sampled_from([1, 2, 1024]),
)
def test_never_a_movie_that_the_user_rated(pairs: list[tuple[int, int]], seed: int, chunk: int) -> None:
    frame = rows(*pairs).assign(timestamp=range(len(pairs)))
    split = leave_one_out(Dataset(frame))
    fewest = len(split.catalog) - frame["user_id"].value_counts().max()
    number = min(4, int(fewest))
    if number < 1:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        sampled = split.with_negatives(number, seed=seed).negatives
    assert sampled is not None
    assert not set(sampled.itertuples(index=False, name=None)) & set(pairs)
    assert (sampled["user_id"].value_counts() == number).all()
    assert set(sampled["user_id"]) == set(split.test["user_id"])
    assert set(sampled["movie_id"]) <= set(split.catalog)
    assert not sampled.duplicated().any()
    shuffled = Split(*(getattr(split, p).sample(frac=1, random_state=1) for p in ("train", "valid", "test")))
    pd.testing.assert_frame_equal(shuffled.with_negatives(number, seed=seed).negatives, sampled)


def test_uniform_sampling() -> None:
    split = leave_one_out(make_sample(200, 60, seed=3))
    assert not split.with_negatives(5, seed=0).negatives.equals(split.with_negatives(5, seed=1).negatives)
    times = pd.concat([split.with_negatives(5, seed=s).negatives for s in range(40)])["movie_id"].value_counts()
    rated = pd.concat([split.train, split.valid, split.test])["movie_id"].value_counts()
    # Movies that fewer users have rated are sampled more often.
    expected = (
        5 * 40 * pd.Series({m: sum(1 / count for count in counts) for m, counts in unrated_counts(split).items()})
    )
    assert (
        times.reindex(rated.index).fillna(0) - expected.reindex(rated.index)
    ).abs().max() < 5 * expected.max() ** 0.5


def unrated_counts(split: Split) -> dict[int, list[int]]:
    """Return, for each movie, the number of unrated movies of every test user who has not rated it."""
    whole = pd.concat([split.train, split.valid, split.test])
    rated = whole.groupby("user_id")["movie_id"].agg(set)
    size = {user: len(split.catalog) - len(rated[user]) for user in split.test["user_id"]}
    return {m: [n for user, n in size.items() if m not in rated[user]] for m in split.catalog}


def test_from_a_frame() -> None:
    given = SPLIT.with_negatives(rows(("bob", 7), ("ann", 2), ("ann", 3), ("cat", 1), ("dan", 2)))
    assert given.negatives.to_numpy().tolist() == [["bob", 7], ["ann", 2], ["ann", 3]]  # of test users only
    assert given.protocol == "as given, negatives as given"


def test_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("userId,movieId\nbob,7\nann,2\n")
    given = SPLIT.with_negatives(tmp_path / "n.csv")
    assert given.negatives.to_numpy().tolist() == [["bob", 7], ["ann", 2]]
    assert given.protocol == "as given, negatives of n.csv"
    (tmp_path / "n.csv").write_text("userId,movieId\nbob,7\n\nann,4\n")
    with pytest.raises(DataError, match=r"n\.csv:4: user 'ann' has rated movie 4, so it cannot be a negative"):
        SPLIT.with_negatives(tmp_path / "n.csv")


def test_from_an_ncf_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.test.negative"
    path.write_text("(bob,1)\t7\t4\n(ann, 5)\t2\t3\n\n")
    assert SPLIT.with_negatives(str(path)).negatives.to_numpy().tolist() == [
        ["bob", 7], ["bob", 4], ["ann", 2], ["ann", 3],
    ]  # fmt: skip
    numbers = Split(*(getattr(SPLIT, p).replace({"ann": 8, "bob": 9, "cat": 10}) for p in ("train", "valid", "test")))
    path.write_text("(9,1)\t7\t4\n(8,5)\t2\t3\n")
    assert numbers.with_negatives(path).negatives["user_id"].tolist() == [9, 9, 8, 8]


def test_test_movies_among_the_negatives(tmp_path: Path) -> None:
    # The published file of NCF has 156 of them.
    path = tmp_path / "tiny.test.negative"
    path.write_text("(bob,1)\t7\t1\t4\n(ann,5)\t2\n")
    with pytest.warns(UserWarning, match="1 of 4 negatives are test movies of the same user"):
        given = SPLIT.with_negatives(path)
    assert given.negatives.to_numpy().tolist() == [["bob", 7], ["bob", 4], ["ann", 2]]
    with pytest.raises(DataError, match="user 'ann' has test ratings but no negatives"), pytest.warns(UserWarning):
        SPLIT.with_negatives(rows(("bob", 7), ("ann", 5)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "(bob,1)\t7\n(ann,4)\t2\n",
            r"n:2: the rating of movie 4 by user 'ann' is not in the test set; the file",
        ),
        ("(bob,1)\t7\n(ann,x)\t2\n", r"n:2: an id is not an integer"),
        ("(bob,1)\t7\nann,5\t2\n", r"n:2: 'ann,5' does not have the form \(user,movie\)"),
        ("(bob,1)\t7\n(ann,5)\t2\t4\n", r"n:2: user 'ann' has rated movie 4"),
        ("(bob,1)\t7\n(ann,5)\t2\t2\n", r"n:2: user 'ann' rated movie 2 twice; .*\(first at .*n:2\)"),
        ("(bob,1)\t7\n(ann,5)\t6\n", r"n:2: movie 6 is not in the movies table"),
        ("(bob,1)\t7\n(ann,5)\n", "user 'ann' has test ratings but no negatives"),
    ],
)
def test_invalid_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "n").write_text(text)
    with pytest.raises(DataError, match=message):
        SPLIT.with_negatives(tmp_path / "n")


def test_invalid_arguments() -> None:
    with pytest.raises(
        ConfigError, match=r"user 'ann' has rated all but 3 of 6 movies, so 4 negatives cannot be sampled"
    ):
        SPLIT.with_negatives(4)
    for wrong in (0, -3, 2.5, True, None):
        with pytest.raises(ConfigError, match="negatives must be an integer of at least 1"):
            SPLIT.with_negatives(wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="negatives row 1: user 'bob' has rated movie 2"):
        SPLIT.with_negatives(rows(("ann", 2), ("bob", 2)))
    with pytest.raises(DataError, match="user 'bob' has test ratings but no negatives"):
        Split(SPLIT.train, SPLIT.valid, SPLIT.test, negatives=rows(("ann", 2)))
    with pytest.raises(DataError, match="the file of negatives nowhere does not exist; give a number"):
        SPLIT.with_negatives("nowhere")
