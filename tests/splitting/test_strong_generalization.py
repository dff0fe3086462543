"""Strong generalization: who is held out, what is folded in, and that validation and test users are treated alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import ConfigError, DataError, Dataset, Split
from gnnrec.datasets import load_dataset, make_sample
from gnnrec.evaluation import Fingerprint, evaluate, validate
from gnnrec.graph import Graph
from gnnrec.models import EASE
from gnnrec.splitting import strong_generalization_split
from tests.helpers.scorers import RecordingScorer


def users_of(frame: pd.DataFrame | None) -> set[object]:
    assert frame is not None
    return set(frame["user_id"])


def everyone_rates(num_users: int, num_movies: int) -> pd.DataFrame:
    user, movie = np.divmod(np.arange(num_users * num_movies), num_movies)
    return pd.DataFrame({"user_id": user, "movie_id": 100 + movie, "rating": 5.0})


def test_a_tenth_of_the_users_each_and_a_fifth_of_their_ratings() -> None:
    rows = everyone_rates(40, 14)
    split = strong_generalization_split(Dataset(rows))
    assert split.support is not None
    valid, test = users_of(split.valid), users_of(split.test)
    assert (len(valid), len(test)) == (4, 4)
    assert not valid & test
    assert users_of(split.train) == set(range(40)) - valid - test
    assert users_of(split.support) == valid | test
    # 0.2 * 14 = 2.8 is rounded down, as `int(test_prop * n_items_u)` in the authors' code.
    held_out = pd.concat([split.valid, split.test])
    assert (held_out["user_id"].value_counts() == 2).all()
    assert (split.support["user_id"].value_counts() == 12).all()
    assert held_out.groupby("user_id")["movie_id"].agg(tuple).nunique() > 4, "each user's ratings are drawn anew"
    whole = pd.concat([split.train, held_out, split.support]).sort_values(["user_id", "movie_id"], ignore_index=True)
    pd.testing.assert_frame_equal(whole, rows, check_dtype=False)


def test_users_with_few_ratings_are_dropped() -> None:
    rows = pd.concat([everyone_rates(30, 6), everyone_rates(20, 4).assign(user_id=lambda frame: frame["user_id"] + 50)])
    split = strong_generalization_split(Dataset(rows))
    parts = [split.train, split.valid, split.test, split.support]
    assert set.union(*map(users_of, parts)) == set(range(30))
    assert len(users_of(split.test)) == 3, "a tenth of the others"
    kept = strong_generalization_split(Dataset(rows), min_ratings=4)
    assert len(users_of(kept.train) | users_of(kept.support)) == 50
    # Four ratings are too few for a fifth of them to be predicted, so such users are folded in and not tested.
    assert (pd.concat([kept.valid, kept.test])["user_id"] < 50).all()


def test_movies_of_held_out_users_alone_are_dropped() -> None:
    rows = everyone_rates(20, 10)
    held_out = users_of(strong_generalization_split(Dataset(rows)).support)
    own = pd.DataFrame([(user, 900 + user, 5.0) for user in range(20)], columns=rows.columns)
    split = strong_generalization_split(Dataset(pd.concat([rows, own])))
    assert users_of(split.support) == held_out
    expected = [*range(100, 110), *(900 + user for user in range(20) if user not in held_out)]
    assert split.catalog.tolist() == split.candidates_for("valid").tolist() == expected
    assert (split.support["user_id"].value_counts() == 8).all(), "the fifth is of the ratings that are left"


def test_the_seed_decides_and_the_order_of_rows_does_not() -> None:
    dataset = make_sample(80, 60)
    shuffled = Dataset(dataset.ratings.sample(frac=1, random_state=1), dataset.movies, dataset.users, dataset.name)
    one, other, another = (strong_generalization_split(*a) for a in ((dataset,), (shuffled,), (dataset, 1)))
    assert Fingerprint.from_split(one).digest == Fingerprint.from_split(other).digest
    assert users_of(one.test) != users_of(another.test)
    # More folded in: the same users, and what was known stays known.
    more = strong_generalization_split(dataset, fold_in=0.9)
    assert more.support is not None
    assert one.support is not None
    assert users_of(more.support) == users_of(one.support)
    pairs = [set(map(tuple, s.support[["user_id", "movie_id"]].to_numpy())) for s in (one, more)]  # type: ignore[index]
    assert pairs[0] < pairs[1]


@pytest.mark.parametrize("part", ["valid", "test"])
def test_held_out_users_are_known_by_their_folded_in_ratings(part: str) -> None:
    """Of validation users as of test users a model sees exactly the support, and neither is in the training graph."""
    split = gnnrec.split(make_sample(100, 60), "strong-generalization")
    assert split.support is not None
    model = RecordingScorer(Graph.from_dataset(split.dataset))
    rows = getattr(split, part)
    trained = set(model.graph.ids["user"][torch.unique(model.graph.users.user_index).numpy()])
    assert not trained & users_of(split.support)
    if part == "valid":
        validate(model, split)
    else:
        evaluate(model, split, ks=[5], metrics=["ndcg"])
    (users,) = model.batches
    assert users.num_users == rows["user_id"].nunique()
    known = split.support[split.support["user_id"].isin(rows["user_id"])]
    assert sorted(users.timestamp.tolist()) == sorted(known["timestamp"])
    assert len(users.movie_index) == len(known)


def test_folding_in_helps() -> None:
    split = gnnrec.split(make_sample(300, 120, seed=2), "strong-generalization")
    model = EASE(reg=50.0).fit(split)
    known = validate(model, split)
    without = evaluate(model, split.valid, ks=[20], metrics=["ndcg"], mask=split.support)["value"].item()
    assert known > without + 0.02


def test_a_folder_keeps_it(tmp_path: Path) -> None:
    dataset = make_sample(80, 60)
    split = gnnrec.split(dataset, "strong-generalization", seed=3)
    assert split.protocol == (
        "rating >= 4, strong generalization 0.1+0.1 of the users, 0.8 folded in, at least 5 ratings, seed 3"
    )
    again = Split.from_folder(split.to_folder(tmp_path), dataset)
    assert Fingerprint.from_split(again) == Fingerprint.from_split(split)


def test_invalid_arguments() -> None:
    dataset = make_sample(60, 40)
    for fold_in in (0, 1, 1.5, "most", None):
        with pytest.raises(ConfigError, match="fold_in must be between 0 and 1, not"):
            strong_generalization_split(dataset, fold_in=fold_in)  # type: ignore[arg-type]
    for min_ratings in (0, 2.5, None):
        with pytest.raises(ConfigError, match="min_ratings must be an integer of at least 1"):
            strong_generalization_split(dataset, min_ratings=min_ratings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"the fraction of held-out users must be between 0 and 0\.5, not 0\.6"):
        strong_generalization_split(dataset, fraction=0.6)
    with pytest.raises(ConfigError, match="seed must be an integer of at least 0"):
        strong_generalization_split(dataset, seed=-1)
    with pytest.raises(ConfigError, match="cannot hold out 2 users: only 0 are eligible"):
        strong_generalization_split(dataset, min_ratings=1000)
    with pytest.raises(DataError, match="seed 0: the validation set would be empty; the dataset is too small"):
        strong_generalization_split(Dataset(everyone_rates(20, 4)), min_ratings=1)


@pytest.mark.slow
@pytest.mark.real_data
def test_sizes_on_movielens(data_home: Path) -> None:
    split = gnnrec.split(load_dataset(data_home / "ml-1m"), "strong-generalization")
    assert split.support is not None
    sizes = [len(part) for part in (split.train, split.valid, split.test, split.support)]
    assert sizes == [462_563, 10_701, 11_336, 90_628]
    assert [part["user_id"].nunique() for part in (split.train, split.valid, split.test)] == [4828, 603, 603]
