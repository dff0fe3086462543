"""Cold-start splits: published folds, nothing of held-out users and movies in training, candidates."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.datasets import find_dataset, load_dataset, make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation import Fingerprint, evaluate
from gnnrec.graph import Graph
from gnnrec.models import EASE
from gnnrec.registry import PROTOCOLS
from gnnrec.splitting import (
    Split,
    cold_both_split,
    cold_movies_by_time_split,
    cold_movies_split,
    cold_users_split,
    random_split,
)
from gnnrec.splitting import split as make_split
from gnnrec.splitting.cold_splits import BUCKETS, NUM_FOLDS, bucket
from tests.helpers.scorers import PseudorandomScorer, RecordingScorer, pseudorandom

COLD = ("cold-movies", "cold-movies-by-time", "cold-users", "cold-both")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "protocols.md"


def users_of(frame: pd.DataFrame | None) -> set[object]:
    assert frame is not None
    return set(frame["user_id"])


def movies_of(frame: pd.DataFrame | None) -> set[object]:
    assert frame is not None
    return set(frame["movie_id"])


def whole_of(split: Split) -> pd.DataFrame:
    return pd.concat([part for part in (split.train, split.valid, split.test, split.support) if part is not None])


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Twenty to forty users and movies, ids that are numbers or text, and many equal timestamps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = [draw(st.integers(20, 40)) for _ in range(2)]
    pairs = np.argwhere(rng.random(sizes) < draw(st.sampled_from([0.3, 0.7])))
    rng.shuffle(pairs)
    users, movies = pairs.T + 1
    if draw(st.booleans()):
        users, movies = (np.char.add(letter, ids.astype(str)) for letter, ids in (("u", users), ("m", movies)))
    times = rng.integers(0, draw(st.sampled_from([4, 1000])), len(pairs))
    # The rating identifies the row of the input.
    return Dataset(
        pd.DataFrame({"user_id": users, "movie_id": movies, "timestamp": times, "rating": np.arange(len(pairs))})
    )


def try_split(name: str, dataset: Dataset, **options: object) -> Split | None:
    """Return the split, or None if the error says that the dataset is too small for it."""
    try:
        return make_split(dataset, name, **options)  # type: ignore[arg-type]
    except DataError as error:
        assert "contains none" in str(error) or "would be empty" in str(error) or "training set is empty" in str(error)
        return None


def test_the_published_examples() -> None:
    """The table in the documentation, `bucket`, and the definition in words agree."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| id | SHA-256"))
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[start + 2 : start + 7]]
    assert [row[0] for row in rows] == ["1", "2", "260", "3952", "tt0114709"]
    for text, digits, number, remainder, _ in rows:
        assert hashlib.sha256(text.encode("utf-8")).hexdigest().startswith(digits)
        assert len(digits) == 8
        assert int(digits, 16) == int(number.replace(",", ""))
        assert int(number.replace(",", "")) % 10 == int(remainder) == bucket(text)
    held_out = [int(row[4].split("fold ")[1][0]) for row in rows]
    assert held_out == [bucket(row[0]) % NUM_FOLDS for row in rows]
    assert [row[4].startswith("test") for row in rows] == [bucket(row[0]) < NUM_FOLDS for row in rows]


def test_buckets_never_change() -> None:
    # Published: another hash would invalidate results.
    assert [bucket(movie) for movie in (1, 2, 260, 3952, "tt0114709")] == [9, 4, 4, 2, 6]
    assert bucket(260) == bucket("260")
    counts = np.bincount([bucket(number) for number in range(1, 10_001)], minlength=BUCKETS)
    assert len(counts) == BUCKETS
    assert np.abs(counts - 1000).max() < 100  # three standard deviations


@settings(max_examples=12)
@given(dataset=datasets())
def test_every_movie_is_held_out_in_one_fold(dataset: Dataset) -> None:
    ratings = dataset.ratings
    held: list[object] = []
    for fold in range(NUM_FOLDS):
        split = try_split("cold-movies", dataset, fold=fold)
        if split is None:
            buckets = {bucket(movie) for movie in ratings["movie_id"].tolist()}
            assert not {fold, fold + NUM_FOLDS} <= buckets
            held += [movie for movie in ratings["movie_id"].unique() if bucket(movie) % NUM_FOLDS == fold]
            continue
        whole = whole_of(split).sort_values("rating", ignore_index=True)
        pd.testing.assert_frame_equal(whole, ratings)
        movies = [movies_of(part) for part in (split.train, split.valid, split.test)]
        assert sum(map(len, movies)) == len(set.union(*movies)), "a movie is in one part only"
        assert all(bucket(movie) == fold for movie in movies[2])
        assert all(bucket(movie) == fold + NUM_FOLDS for movie in movies[1])
        assert (set(split.candidates_for("valid")), set(split.candidates_for())) == (movies[1], movies[2])
        held += [*movies[1], *movies[2]]
    assert sorted(held) == sorted(ratings["movie_id"].unique())


@settings(max_examples=15)
@given(dataset=datasets(), fold=st.integers(0, NUM_FOLDS - 1), n_known=st.sampled_from([0, 1, 3, 5, 10]))
def test_cold_users(dataset: Dataset, fold: int, n_known: int) -> None:
    split = try_split("cold-users", dataset, fold=fold, n_known=n_known)
    if split is None:
        return
    assert split.support is not None
    pd.testing.assert_frame_equal(whole_of(split).sort_values("rating", ignore_index=True), dataset.ratings)
    for user, rows in dataset.ratings.groupby("user_id"):
        part = {fold: split.test, fold + NUM_FOLDS: split.valid}.get(bucket(user), split.train)
        ordered = sorted(rows.itertuples(), key=lambda row: (row.timestamp, row.rating))  # by time, then by row
        known = [row.rating for row in ordered[:n_known]] if part is not split.train else []
        assert sorted(split.support.loc[split.support["user_id"] == user, "rating"]) == sorted(known)
        assert set(part.loc[part["user_id"] == user, "rating"]) == set(rows["rating"]) - set(known)
    # The training ratings do not depend on n_known.
    none_known = cold_users_split(dataset, fold, 0)
    pd.testing.assert_frame_equal(split.train, none_known.train)
    assert users_of(split.train).isdisjoint(users_of(none_known.valid) | users_of(none_known.test))
    assert users_of(none_known.valid).isdisjoint(users_of(none_known.test))


@settings(max_examples=12)
@given(dataset=datasets())
def test_every_user_is_held_out_in_one_fold(dataset: Dataset) -> None:
    tested: list[object] = []
    for fold in range(NUM_FOLDS):
        if (split := try_split("cold-users", dataset, fold=fold, n_known=0)) is None:
            return
        tested += [*split.valid["user_id"].unique(), *split.test["user_id"].unique()]
    assert sorted(tested) == sorted(dataset.ratings["user_id"].unique())


@settings(max_examples=15)
@given(dataset=datasets(), fold=st.integers(0, NUM_FOLDS - 1), n_known=st.sampled_from([0, 1, 5]))
def test_cold_both(dataset: Dataset, fold: int, n_known: int) -> None:
    split = try_split("cold-both", dataset, fold=fold, n_known=n_known)
    if split is None:
        return
    ratings = dataset.ratings
    user, movie = ([bucket(identity) for identity in ratings[column]] for column in ("user_id", "movie_id"))
    user, movie = (pd.Series([{fold: 2, fold + NUM_FOLDS: 1}.get(b, 0) for b in buckets]) for buckets in (user, movie))
    for code, part in enumerate((split.train, split.valid, split.test)):
        assert set(part["rating"]) == set(ratings.loc[(user == code) & (movie == code), "rating"])
    assert split.support is not None
    for _, rows in ratings[(user > 0) & (movie == 0)].groupby("user_id"):
        first = rows.sort_values(["timestamp", "rating"])["rating"][:n_known]
        assert set(split.support["rating"]) & set(rows["rating"]) == set(first)
    assert split.support["movie_id"].isin(ratings["movie_id"][movie == 0]).all(), "held-out movies are in no history"
    # Includes movies that no test user rated.
    for code, part in ((1, "valid"), (2, "test")):
        assert set(split.candidates_for(part)) == set(ratings["movie_id"][movie == code])
    every = cold_both_split(dataset, fold, n_known, candidates="all")
    assert set(every.candidates_for()) == set(every.candidates_for("valid")) == movies_of(ratings)


@settings(max_examples=12)
@given(dataset=datasets())
def test_cold_movies_by_time(dataset: Dataset) -> None:
    split = try_split("cold-movies-by-time", dataset)
    if split is None:
        return
    first = dataset.ratings.groupby("movie_id")["timestamp"].min()
    parts = [first[sorted(movies_of(part))] for part in (split.train, split.valid, split.test)]
    assert sum(map(len, parts)) == len(first)
    assert parts[0].max() < parts[1].min()
    assert parts[1].max() < parts[2].min()
    tenth = len(first) // 10
    # The newest tenth is tested, and movies first rated at the same time as the oldest of it.
    assert set(parts[2].index) == set(first[first >= first.sort_values().iloc[-tenth]].index)
    pd.testing.assert_frame_equal(whole_of(split).sort_values("rating", ignore_index=True), dataset.ratings)


def test_cutoff_times_are_in_the_protocol() -> None:
    rows = pd.DataFrame({"user_id": [1, 2] * 20, "movie_id": np.repeat(range(20), 2), "timestamp": range(40)})
    split = cold_movies_by_time_split(Dataset(rows))
    assert split.protocol == (
        "cold movies by time, first rated from 1970-01-01 00:00:32 and 1970-01-01 00:00:36, among held-out movies"
    )
    assert (movies_of(split.valid), movies_of(split.test)) == ({16, 17}, {18, 19})


@pytest.mark.parametrize("name", COLD)
@pytest.mark.parametrize("order", [1, 2])
def test_row_order_does_not_matter(name: str, order: int) -> None:
    dataset = make_sample(80, 60)
    ratings = dataset.ratings.sample(frac=1, random_state=order)
    one, other = (make_split(d, name) for d in (dataset, Dataset(ratings, dataset.movies, dataset.users, dataset.name)))
    assert Fingerprint.from_split(one).digest == Fingerprint.from_split(other).digest


@pytest.mark.parametrize("name", COLD)
@pytest.mark.parametrize("candidates", ["held-out", "all"])
def test_held_out_ratings_are_not_in_the_graph(name: str, candidates: str) -> None:
    options = {"candidates": candidates} if "candidates" in PROTOCOLS.get(name).splitter_options else {}
    split = make_split(make_sample(80, 60), name, **options)
    graph = Graph.from_dataset(split.dataset)
    pairs = set(zip(graph.users.user_index.tolist(), graph.users.movie_index.tolist(), strict=True))
    for part in (split.valid, split.test):
        users, movies = graph.user_nodes(part["user_id"]), graph.movie_nodes(part["movie_id"])
        assert not pairs & set(zip(users.tolist(), movies.tolist(), strict=True))
        if "movies" in name or "both" in name:
            assert not set(movies.tolist()) & set(graph.users.movie_index.tolist())
        if "users" in name or "both" in name:
            assert not set(users.tolist()) & set(graph.users.user_index.tolist())
    assert movies_of(split.valid).isdisjoint(movies_of(split.test)) or name == "cold-users"
    assert (split.mask, split.history) == (PROTOCOLS.get(name).mask, PROTOCOLS.get(name).history)


@pytest.mark.parametrize("n_known", [0, 1, 3, 5, 10])
def test_history_at_test_time_is_the_support(n_known: int) -> None:
    split = make_split(make_sample(80, 60), "cold-users", fold=2, n_known=n_known)
    model = RecordingScorer(Graph.from_dataset(split.dataset))
    evaluate(model, split, ks=[5], metrics=["ndcg"])
    assert split.support is not None
    (users,) = model.batches
    assert users.num_users == split.test["user_id"].nunique()
    assert len(users.user_index) == n_known * users.num_users
    known = split.support[split.support["user_id"].isin(split.test["user_id"])]
    assert sorted(users.timestamp.tolist()) == sorted(known["timestamp"])


@pytest.mark.parametrize("name", ["cold-movies", "cold-movies-by-time", "cold-both"])
@pytest.mark.parametrize("candidates", ["held-out", "all"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_equals_ranking_in_plain_python(name: str, candidates: str, part: str) -> None:
    dataset = make_sample(150, 150)
    split = make_split(dataset, name, candidates=candidates)
    model = PseudorandomScorer(Graph.from_dataset(split.dataset))
    rows = getattr(split, part)
    if part == "test":
        found = evaluate(model, split, ks=[8], metrics=["recall", "hit_rate"], per_user=True)
    else:
        found = evaluate(
            model, rows, ks=[8], metrics=["recall", "hit_rate"], per_user=True,
            candidates=split.candidates_for("valid"), history=split.support,
        )  # fmt: skip
    if candidates == "all":
        ranked = movies_of(dataset.ratings)
    elif name == "cold-movies-by-time":
        ranked = movies_of(rows)
    else:
        ranked = {
            movie for movie in movies_of(dataset.ratings) if bucket(movie) == (0 if part == "test" else NUM_FOLDS)
        }
    masked = pd.concat([split.train, split.valid.iloc[: None if part == "test" and split.mask != "train" else 0]])
    masked = masked if split.support is None else pd.concat([masked, split.support])
    for user, recall, hit in found.itertuples(index=False):
        seen = movies_of(masked[masked["user_id"] == user])
        best = sorted(ranked - seen, key=lambda movie: -pseudorandom(user, movie))[:8]
        relevant = movies_of(rows[rows["user_id"] == user])
        assert recall == pytest.approx(len(relevant & set(best)) / len(relevant))
        assert hit == float(bool(relevant & set(best)))
    assert 0 < found["recall@8"].mean() < 1


def test_fingerprint_depends_on_fold_n_known_and_candidates() -> None:
    dataset = make_sample(120, 60)
    lines = {}
    for name, options in (
        ("cold-movies", {}),
        ("cold-movies", {"fold": 1}),
        ("cold-movies", {"candidates": "all"}),
        ("cold-users", {}),
        ("cold-users", {"n_known": 3}),
        ("cold-users", {"fold": 1}),
        ("cold-both", {"n_known": 0, "candidates": "all"}),
        ("cold-both", {"n_known": 0}),
        ("cold-both", {"n_known": 1}),
    ):
        found = Fingerprint.from_split(make_split(dataset, name, **options))
        lines[found.digest] = found.protocol
    assert list(lines.values()) == [
        "cold movies, fold 0 of 5, among held-out movies",
        "cold movies, fold 1 of 5, among held-out movies",
        "cold movies, fold 0 of 5, among all movies",
        "cold users, fold 0 of 5, first 5 ratings known",
        "cold users, fold 0 of 5, first 3 ratings known",
        "cold users, fold 1 of 5, first 5 ratings known",
        "cold users and movies, fold 0 of 5, first 0 ratings known, among all movies",
        "cold users and movies, fold 0 of 5, first 0 ratings known, among held-out movies",
        "cold users and movies, fold 0 of 5, first 1 ratings known, among held-out movies",
    ]
    split = make_split(dataset, "cold-movies")
    assert Fingerprint.from_split(split).candidates.startswith(f"{split.test['movie_id'].nunique()} movies (")
    assert Fingerprint.from_split(split, candidates=split.catalog).digest == next(
        digest for digest, line in lines.items() if line == "cold movies, fold 0 of 5, among all movies"
    )


@pytest.mark.parametrize("name", COLD)
def test_folder_keeps_candidates(name: str, tmp_path: Path) -> None:
    dataset = make_sample(80, 60)
    split = make_split(dataset, name)
    again = Split.from_folder(split.to_folder(tmp_path), dataset)
    assert Fingerprint.from_split(again) == Fingerprint.from_split(split)
    assert again.candidates_for("valid").equals(split.candidates_for("valid"))
    random_split(dataset).to_folder(tmp_path)  # replaces the earlier split
    assert Split.from_folder(tmp_path).candidates is None


def test_given_candidates() -> None:
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [30, 10, 20]})
    movies = pd.DataFrame({"movie_id": [10, 20, 30, 40]})

    def make_split(ids: list[int], parts: list[str]) -> Split:
        frame = pd.DataFrame({"movie_id": ids, "part": parts})
        return Split(rows[:1], rows[1:2], rows[2:], movies, candidates=frame)

    made = make_split([40, 20, 10], ["test", "test", "valid"])
    assert (made.candidates_for().tolist(), made.candidates_for("valid").tolist()) == ([20, 40], [10])
    assert Split(rows[:1], rows[1:2], rows[2:], movies).candidates_for("valid").tolist() == [10, 20, 30]
    for ids, parts, message in (
        ([20, 10, 50], ["test", "valid", "test"], "candidates row 2: movie 50 is not in the movies table"),
        (
            [20, 10, 20],
            ["test", "valid", "test"],
            "candidates row 2: movie 20 is listed twice",
        ),
        ([20, 10], ["test", "train"], "candidates row 1: part 'train' is not one of valid, test"),
        (
            [40, 10],
            ["test", "valid"],
            "test row 0: movie 20 is in test but not among the candidates",
        ),
        ([20], ["test"], "valid row 0: movie 10 is in valid but not among the candidates"),
    ):
        with pytest.raises(DataError, match=message):
            make_split(ids, parts)
    with pytest.raises(DataError, match="candidates must be a DataFrame with the columns movie_id and part"):
        Split(rows[:1], rows[1:2], rows[2:], movies, candidates=movies)
    with pytest.raises(ConfigError, match="part must be one of valid, test, not 'train'"):
        made.candidates_for("train")


def test_invalid_candidates_file_names_the_line(tmp_path: Path) -> None:
    make_split(make_sample(80, 60), "cold-movies").to_folder(tmp_path)
    with (tmp_path / "candidates.csv").open("a") as file:
        file.write("99999,test\n")
    lines = (tmp_path / "candidates.csv").read_text().count("\n")
    with pytest.raises(DataError, match=rf"candidates\.csv:{lines}: movie 99999 is not in the movies table"):
        Split.from_folder(tmp_path)


def test_invalid_arguments() -> None:
    dataset = make_sample(80, 60)
    for fold in (-1, 5, 1.0, True, "0"):
        with pytest.raises(ConfigError, match="fold must be an integer from 0 to 4"):
            make_split(dataset, "cold-movies", fold=fold)  # type: ignore[arg-type]
    for n_known in (-1, 2.5, True, None):
        with pytest.raises(ConfigError, match="n_known must be an integer of at least 0"):
            make_split(dataset, "cold-users", n_known=n_known)  # type: ignore[arg-type]
    for name in ("cold-movies", "cold-movies-by-time", "cold-both"):
        with pytest.raises(ConfigError, match="candidates must be one of held-out, all, not 'some'"):
            make_split(dataset, name, candidates="some")
    with pytest.raises(ConfigError, match="unknown protocol option 'fold'; options with the random splitter"):
        make_split(dataset, "random", fold=1)
    with pytest.raises(
        ConfigError,
        match="unknown protocol option 'candidates'",
    ):
        make_split(dataset, "cold-users", candidates="all")
    with pytest.raises(ConfigError, match="unknown protocol option 'n_known'"):
        make_split(dataset, "cold-movies", n_known=3)
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [30, 10, 20]})
    with pytest.raises(DataError, match=r"custom has no timestamps, which a split of movies by time needs"):
        cold_movies_by_time_split(Dataset(rows))
    with pytest.raises(DataError, match="the validation set would be empty"):
        cold_movies_by_time_split(Dataset(rows.assign(timestamp=[1, 2, 3])))
    with pytest.raises(DataError, match="fold 0 contains none of the 3 movies for test; try another fold"):
        cold_movies_split(Dataset(rows))
    with pytest.raises(DataError, match="first 1000 ratings known: the validation set would be empty"):
        cold_users_split(dataset, n_known=1000)


def test_support_helps() -> None:
    """On the same test ratings, five known ratings per user give better lists than none."""
    split = make_split(make_sample(300, 200, seed=1), "cold-users", fold=1, n_known=5)
    model = EASE(reg=100.0).fit(split)
    options = {"ks": [10], "metrics": ["ndcg"]}
    known = evaluate(model, split, **options)["value"].item()
    unknown = evaluate(model, split.test, candidates=split.candidates_for(), mask=split.support, **options)[
        "value"
    ].item()
    assert known > unknown + 0.02


@pytest.mark.real_data
def test_folds_of_movielens() -> None:
    """Bucket sizes in the documentation, and sizes of the parts."""
    root = os.environ.get("GNNREC_DATA")
    if not root or (folder := find_dataset("ml-1m", root)) is None:
        pytest.skip("GNNREC_DATA names no folder with ml-1m")
    dataset = load_dataset(folder)
    text = DOCS.read_text(encoding="utf-8").replace("\n", " ")
    for column in ("movie_id", "user_id"):
        buckets = [bucket(one) for one in dataset.ratings[column].unique().tolist()]
        *most, last = map(str, np.bincount(buckets))
        assert f"{', '.join(most)} and {last}" in text
    sizes = {"cold-movies": (814_643, 89_351, 96_215), "cold-movies-by-time": (960_131, 24_865, 15_213),
             "cold-users": (793_189, 100_011, 100_974), "cold-both": (646_044, 9_223, 10_002)}  # fmt: skip
    for name, expected in sizes.items():
        split = make_split(dataset, name)
        assert (len(split.train), len(split.valid), len(split.test)) == expected, name
