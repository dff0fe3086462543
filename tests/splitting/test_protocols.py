"""Named protocols on datasets small enough to split by hand, protocol strings, and what holds for all protocols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnrec
from gnnrec.data import Dataset
from gnnrec.datasets import load_dataset, make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import Fingerprint
from gnnrec.registry import PROTOCOLS, SPLITTERS
from gnnrec.splitting import Protocol, Split, get_protocol, global_time_split, random_split, temporal_split
from gnnrec.splitting import split as make_split
from tests.helpers.registries import restored_registries


def dataset_of(*rows: tuple[int, int, float, int]) -> Dataset:
    return Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"]), name="tiny")


def pairs(frame: pd.DataFrame) -> list[tuple[int, int]]:
    return list(frame[["user_id", "movie_id"]].itertuples(index=False, name=None))


def full(num_users: int, num_movies: int) -> list[tuple[int, int, float, int]]:
    """Every user rates every movie with 5, one after the other."""
    return [(u, m, 5.0, 1000 * u + m) for u in range(num_users) for m in range(num_movies)]


def test_recbole() -> None:
    # 10 by 10 ratings of 3 are the core. Dropped: a rating of 2, and a user and a movie with too few ratings.
    block = [(u, m, 3.0, m) for u in range(10) for m in range(10)]
    split = make_split(dataset_of(*block, (0, 77, 2.0, 0), (55, 3, 5.0, 0), (1, 66, 5.0, 0)), "recbole")
    assert split.protocol == "rating >= 3, 10-core, random per user 0.8/0.1/0.1, seed 0"
    whole = pd.concat([split.train, split.valid, split.test])
    assert sorted(pairs(whole)) == [(u, m) for u in range(10) for m in range(10)]
    assert split.test["user_id"].tolist() == split.valid["user_id"].tolist() == list(range(10))
    assert (split.mask, split.history, split.negatives) == ("train+valid", "train", None)
    other = make_split(dataset_of(*block), "recbole", seed=1)
    assert pairs(other.test) != pairs(split.test)


@pytest.mark.parametrize("size", [*range(10, 41), 99, 100, 101, 555, 2314])
def test_fractions_are_rounded_as_in_recbole(size: int) -> None:
    split = random_split(Dataset(pd.DataFrame({"user_id": 1, "movie_id": range(size)})))
    # RecBole 1.2, Dataset._calcu_split_ids: all parts but train are rounded down, and none of them is left empty.
    counts = [int(fraction * size) for fraction in (0.8, 0.1, 0.1)]
    assert min(counts) > 0
    assert (len(split.valid), len(split.test)) == (counts[1], counts[2])


def test_temporal_10core() -> None:
    # Ten users rate ten movies; two of them rate another movie poorly, which is dropped.
    rows = [*full(10, 10), (3, 90, 3.0, 9999), (4, 90, 2.0, 9999)]
    split = make_split(dataset_of(*rows), "temporal-10core")
    assert split.protocol == "rating >= 4, 10-core, chronological per user 0.7/0.1/0.2"
    assert pairs(split.train) == [(u, m) for u in range(10) for m in range(7)]
    assert pairs(split.valid) == [(u, 7) for u in range(10)]
    assert pairs(split.test) == [(u, m) for u in range(10) for m in (8, 9)]
    assert (split.mask, split.history) == ("train+valid", "train")


def test_temporal_last_10_and_next_10() -> None:
    # The same fractions of the same ratings: one tests on the newest, the other on those after the training ratings.
    dataset = dataset_of(*full(10, 10), (3, 90, 3.0, 9999))
    last, following = (make_split(dataset, name) for name in ("temporal-last-10", "temporal-next-10"))
    assert pairs(last.train) == pairs(following.train) == [(u, m) for u in range(10) for m in range(7)]
    assert pairs(last.valid) == [(u, m) for u in range(10) for m in (7, 8)]
    assert pairs(last.test) == [(u, 9) for u in range(10)]
    assert pairs(following.test) == [(u, 7) for u in range(10)]
    assert pairs(following.valid) == [(u, m) for u in range(10) for m in (8, 9)]
    assert last.protocol == "rating >= 4, 10-core, chronological per user 0.7/0.2/0.1"
    assert following.protocol == "rating >= 4, 10-core, chronological per user 0.7/0.2/0.1, test before valid"
    # Ratings after the test ratings are not known yet, so they are not excluded from the lists.
    assert (last.mask, following.mask) == ("train+valid", "train")
    assert (last.history, following.history) == ("train", "train")


def test_test_first_rounds_the_same_way() -> None:
    dataset = dataset_of(*[(1, m, 5.0, m) for m in range(19)])
    split = temporal_split(dataset, (0.7, 0.2, 0.1), test_first=True)
    assert [len(part) for part in (split.train, split.test, split.valid)] == [15, 1, 3]
    assert split.train["timestamp"].max() < split.test["timestamp"].min() < split.valid["timestamp"].min()
    with pytest.raises(ConfigError, match="fractions must be three numbers for train"):
        temporal_split(dataset, (0.7, 0.2, 0.2), test_first=True)


def test_global_time() -> None:
    times = [50, 10, 20, 90, 30, 40, 60, 70, 80, 95]
    dataset = dataset_of(*[(i % 3, i, 4.0, time) for i, time in enumerate(times)])
    split = make_split(dataset, "global-time")
    assert pairs(split.valid) == [(0, 3)]  # at 90
    assert pairs(split.test) == [(0, 9)]  # at 95
    assert split.train["movie_id"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8]  # in the order of the file
    assert split.protocol == "global time 0.8/0.1/0.1, cut at 1970-01-01 00:01:30 and 1970-01-01 00:01:35"
    assert (split.mask, split.history) == ("train+valid", "train+valid")


def test_global_time_keeps_equal_times_together() -> None:
    times = [1, 2, 3, 4, 5, 5, 5, 6, 7, 7]
    split = global_time_split(dataset_of(*[(1, i, 4.0, time) for i, time in enumerate(times)]), (0.5, 0.4, 0.1))
    # 5 rows would train and the tenth would test; the rows of second 5, and those of 7, stay together.
    assert [part["timestamp"].tolist() for part in (split.train, split.valid, split.test)] == [
        [1, 2, 3, 4], [5, 5, 5, 6], [7, 7],
    ]  # fmt: skip
    no_valid = global_time_split(dataset_of(*[(1, i, 4.0, i) for i in range(10)]), (0.8, 0, 0.2))
    assert (len(no_valid.train), len(no_valid.valid), len(no_valid.test)) == (8, 0, 2)
    with pytest.raises(DataError, match="training set is empty"):
        global_time_split(dataset_of((1, 1, 4.0, 7), (1, 2, 4.0, 7)), (0.5, 0, 0.5))


def test_global_time_new_users_and_movies() -> None:
    rows = [(1, 10, 4.0, 1), (1, 20, 4.0, 2), (2, 10, 4.0, 3), (2, 20, 4.0, 5), (9, 10, 4.0, 6), (1, 90, 4.0, 7)]
    kept = global_time_split(dataset_of(*rows), (0.5, 0, 0.5))
    assert pairs(kept.test) == [(2, 20), (9, 10), (1, 90)]
    dropped = global_time_split(dataset_of(*rows), (0.5, 0, 0.5), drop_new=True)
    assert pairs(dropped.test) == [(2, 20)]
    assert dropped.protocol.endswith(", new users and movies dropped")
    assert pairs(dropped.train) == pairs(kept.train)


def test_next_item() -> None:
    # Equal times keep file order; user 2 has too few ratings to be tested.
    rows = [(1, 30, 1.0, 9), (1, 10, 5.0, 5), (1, 40, 2.0, 9), (1, 20, 3.0, 9), (2, 10, 4.0, 1), (2, 20, 4.0, 2)]
    split = make_split(dataset_of(*rows), "next-item")
    assert pairs(split.test) == [(1, 20)]
    assert pairs(split.valid) == [(1, 40)]
    assert pairs(split.train) == [(1, 30), (1, 10), (2, 10), (2, 20)]
    assert (split.mask, split.history, split.negatives) == ("train+valid", "train+valid", None)


def test_next_item_99() -> None:
    # Four users with forty movies each: all negatives are movies of the other users.
    split = make_split(dataset_of(*[(u, 40 * u + m, 4.0, m) for u in range(4) for m in range(40)]), "next-item-99")
    assert split.protocol == "leave one out, 99 negatives per user, seed 0"
    assert pairs(split.test) == [(u, 40 * u + 39) for u in range(4)]
    assert split.negatives is not None
    assert split.negatives["user_id"].value_counts().to_dict() == dict.fromkeys(range(4), 99)
    assert (split.negatives["movie_id"] // 40 != split.negatives["user_id"]).all()
    assert (split.mask, split.history) == ("train+valid", "train+valid")


# These two drop ratings; see test_cold_splits.py and test_strong_generalization.py.
DROPPING = ("cold-both", "strong-generalization")


@pytest.mark.parametrize("name", [n for n in PROTOCOLS.builtin if n not in ("next-item-99", *DROPPING)])
def test_every_rating_is_in_one_part(name: str) -> None:
    protocol = PROTOCOLS.get(name)
    dataset = make_sample(60, 50)
    split = make_split(dataset, name)
    parts = [part for part in (split.train, split.valid, split.test, split.support) if part is not None]
    whole = pd.concat(parts).sort_values(["user_id", "movie_id"], ignore_index=True)
    expected = dataset.filtered(protocol.min_rating, protocol.k_core).ratings.sort_values(["user_id", "movie_id"])
    pd.testing.assert_frame_equal(whole, expected.reset_index(drop=True))
    assert (split.mask, split.history) == (protocol.mask, protocol.history)
    assert len(split.test) > 0


@settings(max_examples=20)
@given(
    rows=st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 9)), st.integers(0, 12), min_size=12, max_size=60),
    fractions=st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]),
    drop_new=st.booleans(),
)
def test_global_time_never_looks_ahead(
    rows: dict[tuple[int, int], int], fractions: tuple[float, float, float], drop_new: bool
) -> None:
    dataset = dataset_of(*[(u, m, 4.0, time) for (u, m), time in rows.items()])
    try:
        split = global_time_split(dataset, fractions, drop_new=drop_new)
    except DataError as error:
        assert "the training set is empty" in str(error)
        return
    parts = [part["timestamp"] for part in (split.train, split.valid, split.test)]
    for i, earlier in enumerate(parts):
        for later in parts[i + 1 :]:
            assert earlier.max() < later.min() or earlier.empty or later.empty
    total = sum(map(len, parts))
    assert total == len(rows) or (drop_new and total < len(rows))
    if drop_new:
        for part in (split.valid, split.test):
            assert part["user_id"].isin(split.train["user_id"]).all()
            assert part["movie_id"].isin(split.train["movie_id"]).all()
    else:
        assert len(parts[2]) >= np.floor(fractions[2] * len(rows) + 1e-9)


def test_folder_keeps_scopes_and_negatives(tmp_path: Path) -> None:
    split = make_split(make_sample(60, 80), "next-item").with_negatives(5, seed=2)
    again = Split.from_folder(split.to_folder(tmp_path))
    assert (again.mask, again.history, again.protocol) == ("train+valid", "train+valid", split.protocol)
    pd.testing.assert_frame_equal(again.negatives, split.negatives)
    random_split(make_sample(60, 80)).to_folder(tmp_path)  # replaces the earlier split
    assert Split.from_folder(tmp_path).negatives is None
    assert Split.from_folder(tmp_path).mask == "train"


def test_invalid_arguments() -> None:
    dataset = make_sample(30, 20)
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [30, 10, 20]})
    with pytest.raises(DataError, match="plain has no column rating"):
        make_split(Dataset(rows, name="plain"), "recbole")
    with pytest.raises(DataError, match="custom has no timestamps, which a global time split needs"):
        make_split(Dataset(rows), "global-time")
    with pytest.raises(ConfigError, match=r"mask must be one of train, train\+valid, not 'valid'"):
        Split(rows[:1], rows[1:2], rows[2:], mask="valid")
    with pytest.raises(ConfigError, match="history must be one of"):
        Split(rows[:1], rows[1:2], rows[2:], history="")
    with pytest.raises(ConfigError, match="fractions"):
        global_time_split(dataset, (0.9, 0.2, -0.1))


def test_names_are_those_of_the_registry() -> None:
    assert PROTOCOLS.names()[:3] == ["random", "recbole", "temporal"]
    assert set(SPLITTERS.builtin) == {protocol.splitter for _, protocol in PROTOCOLS.items()}
    assert all(protocol.description for _, protocol in PROTOCOLS.items())


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("random:seed=3", {"seed": 3}),
        ("temporal:fractions=[0.6,0.2,0.2],test_first=true", {"fractions": (0.6, 0.2, 0.2), "test_first": True}),
        ("cold-users: fold = 1, n_known=3", {"fold": 1, "n_known": 3}),
        ("cold-both:n_known=2,candidates=all", {"n_known": 2, "candidates": "all"}),
        ("leave-one-out:mask=train+valid", {"mask": "train+valid"}),
        ("leave-one-out:min_rating=3,history=train+valid", {"min_rating": 3, "history": "train+valid"}),
        ("next-item:negatives=4,seed=2", {"negatives": 4, "seed": 2}),
        ("cold-users:seed=1,fraction=0.2,negatives=3", {"seed": 1, "fraction": 0.2, "negatives": 3}),
    ],
)  # fmt: skip
def test_options_in_a_string_equal_keywords(text: str, options: dict[str, Any]) -> None:
    dataset = make_sample(60, 80)
    name = text.partition(":")[0]
    from_text, expected = make_split(dataset, text), make_split(dataset, name, **options)
    assert Fingerprint.from_split(from_text) == Fingerprint.from_split(expected)
    assert from_text.protocol == expected.protocol
    # Every option has an effect.
    assert (
        Fingerprint.from_split(from_text).digest
        != Fingerprint.from_split(make_split(dataset, text.split(":")[0])).digest
    )


def test_keywords_override_the_string() -> None:
    dataset = make_sample(60, 80)
    assert make_split(dataset, "random:seed=3", seed=4).protocol == "random per user 0.8/0.1/0.1, seed 4"
    protocol = get_protocol("recbole:k_core=2")
    assert (protocol.min_rating, protocol.k_core, protocol.mask) == (3, 2, "train+valid")
    assert get_protocol("recbole").k_core == 10  # registered protocols do not change
    assert make_split(dataset, protocol).protocol.startswith("rating >= 3, 2-core, random")
    assert get_protocol(protocol) is protocol


def test_seed_of_the_negatives_alone() -> None:
    dataset = make_sample(60, 80)
    plain = make_split(dataset, "next-item")
    for split in (
        make_split(dataset, "next-item:negatives=5,seed=2"),
        make_split(dataset, "next-item", negatives=5, seed=2),
    ):
        pd.testing.assert_frame_equal(split.test, plain.test)
        pd.testing.assert_frame_equal(split.negatives, plain.with_negatives(5, seed=2).negatives)
        assert split.protocol == "leave one out, 5 negatives per user, seed 2"
    with pytest.raises(ConfigError, match="the leave-one-out splitter is deterministic; remove the seed"):
        make_split(dataset, "next-item:seed=2")


def test_negatives_of_a_file(tmp_path: Path) -> None:
    dataset = make_sample(60, 80)
    expected = make_split(dataset, "next-item", negatives=5)
    file = tmp_path / "negatives.csv"
    expected.negatives.to_csv(file, index=False)
    split = make_split(dataset, f"next-item:negatives={file}")
    pd.testing.assert_frame_equal(split.negatives, expected.negatives)
    assert split.protocol == "leave one out, negatives of negatives.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nextitem", r"unknown protocol 'nextitem'; did you mean 'next-item'\? Choose one of random, recbole"),
        ("next-item:fold=1", r"unknown protocol option 'fold'; options with the leave-one-out splitter are seed"),
        ("cold-users:n_know=1", r"unknown protocol option 'n_know'; did you mean 'n_known'\?"),
        ("cold-users:fold", "cannot read the protocol option 'fold'; write name=value, as in fold=1"),
        ("cold-users:fold=1,", "cannot read the protocol option ''; write name=value"),
        ("cold-users:fold=[1", r"cannot read the value of the protocol option 'fold=\[1'; it is not YAML"),
        ("cold-users:fold=1,fold=2", "the protocol option 'fold' is given twice; remove one"),
        ("cold-users:fold=one", "fold must be an integer from 0 to 4, not 'one'"),
        ("random:mask=valid", r"mask must be one of train, train\+valid, not 'valid'"),
        ("random:seed=x", "seed must be an integer of at least 0, not 'x'"),
        ("random:negatives=-1", "negatives must be an integer of at least 1, not -1"),
        ("random:k_core=0", "k_core must be an integer of at least 1, not 0"),
        ("random:min_rating=high", "min_rating must be a finite number, not 'high'"),
        ("temporal:fractions=0.8", "fractions must be three numbers for train .*, not 0.8"),
    ],
)  # fmt: skip
def test_invalid_strings(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_split(make_sample(30, 20), text)


@pytest.fixture
def registries() -> Iterator[None]:
    """Undo registrations after the test."""
    with restored_registries():
        yield


@pytest.mark.usefixtures("registries")
def test_external_splitter_and_protocol() -> None:
    @gnnrec.register_splitter("last-rows")
    def last_rows_split(dataset: Dataset, number: int = 10) -> Split:
        codes = np.zeros(dataset.num_ratings, dtype=int)
        codes[-2 * number :] = np.repeat([1, 2], number)
        return Split.from_codes(dataset, codes, f"last {number} rows")

    dataset = make_sample(60, 80)
    split = make_split(dataset, "last-rows:number=4,mask=train+valid")
    assert split.protocol == "last 4 rows"
    assert split.mask == "train+valid"
    pd.testing.assert_frame_equal(split.test, dataset.ratings[-4:].reset_index(drop=True))
    with pytest.raises(ConfigError, match=r"unknown protocol option 'numbr'; did you mean 'number'\?"):
        make_split(dataset, "last-rows:numbr=4")
    with pytest.raises(ConfigError, match=r"unknown protocol 'last-row'; did you mean 'last-rows'\?"):
        make_split(dataset, "last-row")

    protocol = Protocol("last-rows", "the last ratings of the file", {"number": 3}, min_rating=2, history="train+valid")
    gnnrec.register_protocol("mine")(protocol)
    split = make_split(dataset, "mine")
    assert (split.protocol, split.history, len(split.test)) == ("rating >= 2, last 3 rows", "train+valid", 3)
    assert len(make_split(dataset, "mine:number=5,min_rating=1").test) == 5
    gnnrec.register_protocol("mine")(Protocol("last-rows", options={"number": 2}))  # as in a cell that runs again
    assert len(make_split(dataset, "mine").test) == 2
    with pytest.raises(ConfigError, match="the protocol 'recbole' is already registered"):
        gnnrec.register_protocol("recbole")(Protocol("random"))

    @gnnrec.register_splitter("broken")
    def broken(dataset: Dataset) -> Any:
        return dataset.ratings

    with pytest.raises(ConfigError, match="the splitter 'broken' must return a Split, not DataFrame"):
        make_split(dataset, "broken")


# Published with results: benchmarks/results/*.json has the same digests.
DIGESTS = {
    "recbole": "933ecee8",
    "temporal-10core": "fe8ecc87",
    "temporal-last-10": "516636e6",
    "temporal-next-10": "0d18f6d1",
    "leave-one-out": "461992de",
    "next-item": "456b93d6",
    "next-item-99": "f3d12879",
    "random": "2ecb1dd5",
    "global-time": "baed6320",
    "cold-users": "1575cb01",
    "cold-movies": "36dc044b",
    "cold-movies-by-time": "9b917dfa",
    "cold-both": "8e5e3571",
    "strong-generalization": "956d6a21",
}


@pytest.mark.slow
@pytest.mark.real_data
def test_published_digests(data_home: Path) -> None:
    dataset = load_dataset(data_home / "ml-1m")
    assert {name: Fingerprint.from_split(make_split(dataset, name)).digest for name in DIGESTS} == DIGESTS
