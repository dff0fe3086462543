"""Protocols for unseen movies and people: published folds, nothing of the unseen in training, the right candidates."""

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
from gnnrec.graph import Graph, UserBatch
from gnnrec.models import EASE, Popularity
from gnnrec.models.base import Recommender
from gnnrec.registry import PROTOCOLS
from gnnrec.splitting import (
    Split,
    cold_both_split,
    cold_movies_by_time_split,
    cold_users_split,
    random_split,
)
from gnnrec.splitting import (
    split as make_split,
)
from gnnrec.splitting.splitters import BUCKETS, NUM_FOLDS, bucket

UNSEEN = ("cold-movies", "cold-movies-by-time", "cold-users", "cold-both")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "protocols.md"


def people_of(frame: pd.DataFrame | None) -> set[object]:
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
    # The rating tells which row of the input a row of a part is.
    return Dataset(
        pd.DataFrame({"user_id": users, "movie_id": movies, "timestamp": times, "rating": np.arange(len(pairs))})
    )


def divided(name: str, dataset: Dataset, **options: object) -> Split | None:
    """Return the split, or None where the data is too small for that fold, which has to be said."""
    try:
        return make_split(dataset, name, **options)  # type: ignore[arg-type]
    except DataError as error:
        assert "contains none" in str(error) or "would be empty" in str(error) or "train is empty" in str(error)
        return None


def test_the_published_examples() -> None:
    """The table in the documentation, the function, and the recipe in words, which goes without any of our code."""
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


def test_buckets_stay_what_they_are() -> None:
    # Published: another hash would make old numbers worthless.
    assert [bucket(movie) for movie in (1, 2, 260, 3952, "tt0114709")] == [9, 4, 4, 2, 6]
    assert bucket(260) == bucket("260")
    counts = np.bincount([bucket(number) for number in range(1, 10_001)], minlength=BUCKETS)
    assert len(counts) == BUCKETS
    assert np.abs(counts - 1000).max() < 100  # three standard deviations


@settings(max_examples=12, deadline=None)
@given(dataset=datasets())
def test_folds_hold_every_movie_out_once(dataset: Dataset) -> None:
    ratings = dataset.ratings
    held: list[object] = []
    for fold in range(NUM_FOLDS):
        split = divided("cold-movies", dataset, fold=fold)
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


@settings(max_examples=25, deadline=None)
@given(dataset=datasets(), fold=st.integers(0, NUM_FOLDS - 1), support=st.sampled_from([0, 1, 3, 5, 10]))
def test_unseen_users(dataset: Dataset, fold: int, support: int) -> None:
    split = divided("cold-users", dataset, fold=fold, n_known=support)
    if split is None:
        return
    assert split.support is not None
    pd.testing.assert_frame_equal(whole_of(split).sort_values("rating", ignore_index=True), dataset.ratings)
    for user, rows in dataset.ratings.groupby("user_id"):
        part = {fold: split.test, fold + NUM_FOLDS: split.valid}.get(bucket(user), split.train)
        ordered = sorted(rows.itertuples(), key=lambda row: (row.timestamp, row.rating))  # by time, then by row
        known = [row.rating for row in ordered[:support]] if part is not split.train else []
        assert sorted(split.support.loc[split.support["user_id"] == user, "rating"]) == sorted(known)
        assert set(part.loc[part["user_id"] == user, "rating"]) == set(rows["rating"]) - set(known)
    # Whoever is asked for more support trains the same model.
    none_known = cold_users_split(dataset, fold, 0)
    pd.testing.assert_frame_equal(split.train, none_known.train)
    assert people_of(split.train).isdisjoint(people_of(none_known.valid) | people_of(none_known.test))
    assert people_of(none_known.valid).isdisjoint(people_of(none_known.test))


@settings(max_examples=12, deadline=None)
@given(dataset=datasets())
def test_people_are_held_out_once_over_the_folds(dataset: Dataset) -> None:
    tested: list[object] = []
    for fold in range(NUM_FOLDS):
        if (split := divided("cold-users", dataset, fold=fold, n_known=0)) is None:
            return
        tested += [*split.valid["user_id"].unique(), *split.test["user_id"].unique()]
    assert sorted(tested) == sorted(dataset.ratings["user_id"].unique())


@settings(max_examples=25, deadline=None)
@given(dataset=datasets(), fold=st.integers(0, NUM_FOLDS - 1), support=st.sampled_from([0, 1, 5]))
def test_unseen_both(dataset: Dataset, fold: int, support: int) -> None:
    split = divided("cold-both", dataset, fold=fold, n_known=support)
    if split is None:
        return
    ratings = dataset.ratings
    user, movie = ([bucket(one) for one in ratings[column]] for column in ("user_id", "movie_id"))
    user, movie = (pd.Series([{fold: 2, fold + NUM_FOLDS: 1}.get(b, 0) for b in side]) for side in (user, movie))
    for code, part in enumerate((split.train, split.valid, split.test)):
        assert set(part["rating"]) == set(ratings.loc[(user == code) & (movie == code), "rating"])
    assert split.support is not None
    for _, rows in ratings[(user > 0) & (movie == 0)].groupby("user_id"):
        first = rows.sort_values(["timestamp", "rating"])["rating"][:support]
        assert set(split.support["rating"]) & set(rows["rating"]) == set(first)
    assert split.support["movie_id"].isin(ratings["movie_id"][movie == 0]).all(), "new movies are in nobody's history"
    # Also those that none of the tested people rated.
    for code, part in ((1, "valid"), (2, "test")):
        assert set(split.candidates_for(part)) == set(ratings["movie_id"][movie == code])
    every = cold_both_split(dataset, fold, support, candidates="all")
    assert set(every.candidates_for()) == set(every.candidates_for("valid")) == movies_of(ratings)


@settings(max_examples=12, deadline=None)
@given(dataset=datasets())
def test_unseen_movies_by_time(dataset: Dataset) -> None:
    split = divided("cold-movies-by-time", dataset)
    if split is None:
        return
    first = dataset.ratings.groupby("movie_id")["timestamp"].min()
    parts = [first[sorted(movies_of(part))] for part in (split.train, split.valid, split.test)]
    assert sum(map(len, parts)) == len(first)
    assert parts[0].max() < parts[1].min()
    assert parts[1].max() < parts[2].min()
    tenth = len(first) // 10
    # The tenth-newest movie is tested, and so is any that came in the same second; nothing else is.
    assert set(parts[2].index) == set(first[first >= first.sort_values().iloc[-tenth]].index)
    pd.testing.assert_frame_equal(whole_of(split).sort_values("rating", ignore_index=True), dataset.ratings)


def test_by_time_says_when() -> None:
    rows = pd.DataFrame({"user_id": [1, 2] * 20, "movie_id": np.repeat(range(20), 2), "timestamp": range(40)})
    split = cold_movies_by_time_split(Dataset(rows))
    assert split.protocol == (
        "unseen movies by time, first rated from 1970-01-01 00:00:32 and 1970-01-01 00:00:36, among held-out movies"
    )
    assert (movies_of(split.valid), movies_of(split.test)) == ({16, 17}, {18, 19})


@pytest.mark.parametrize("name", UNSEEN)
@pytest.mark.parametrize("order", [1, 2])
def test_row_order_does_not_matter(name: str, order: int) -> None:
    dataset = make_sample(80, 60)
    ratings = dataset.ratings.sample(frac=1, random_state=order)
    one, other = (make_split(d, name) for d in (dataset, Dataset(ratings, dataset.movies, dataset.users, dataset.name)))
    assert Fingerprint.of(one).digest == Fingerprint.of(other).digest


@pytest.mark.parametrize("name", UNSEEN)
@pytest.mark.parametrize("candidates", ["held-out", "all"])
def test_nothing_of_the_unseen_is_in_the_graph(name: str, candidates: str) -> None:
    options = {"candidates": candidates} if "candidates" in PROTOCOLS[name].settable else {}
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
    assert (split.mask, split.history) == (PROTOCOLS[name].mask, PROTOCOLS[name].history)


@pytest.mark.parametrize("support", [0, 1, 3, 5, 10])
def test_the_history_at_test_time_is_the_support(support: int) -> None:
    split = make_split(make_sample(80, 60), "cold-users", fold=2, n_known=support)
    seen: list[UserBatch] = []

    class Spy(Popularity):
        def score(self, users: UserBatch):  # type: ignore[no-untyped-def]
            seen.append(users)
            return super().score(users)

    evaluate(Spy.fit(Graph.from_dataset(split.dataset)), split, ks=[5], metrics=["ndcg"])
    assert split.support is not None
    (users,) = seen
    assert users.num_users == split.test["user_id"].nunique()
    assert len(users.user_index) == support * users.num_users
    known = split.support[split.support["user_id"].isin(split.test["user_id"])]
    assert sorted(users.timestamp.tolist()) == sorted(known["timestamp"])


@pytest.mark.parametrize("name", ["cold-movies", "cold-movies-by-time", "cold-both"])
@pytest.mark.parametrize("candidates", ["held-out", "all"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_equal_to_ranking_in_plain_python(name: str, candidates: str, part: str) -> None:
    dataset = make_sample(150, 150)
    split = make_split(dataset, name, candidates=candidates)
    model = Scattered(Graph.from_dataset(split.dataset))
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
    hidden = pd.concat([split.train, split.valid.iloc[: None if part == "test" and split.mask != "train" else 0]])
    hidden = hidden if split.support is None else pd.concat([hidden, split.support])
    for user, recall, hit in found.itertuples(index=False):
        seen = movies_of(hidden[hidden["user_id"] == user])
        best = sorted(ranked - seen, key=lambda movie: -scatter(user, movie))[:8]
        wanted = movies_of(rows[rows["user_id"] == user])
        assert recall == pytest.approx(len(wanted & set(best)) / len(wanted))
        assert hit == float(bool(wanted & set(best)))
    assert 0 < found["recall@8"].mean() < 1


def scatter(user: int, movie: int) -> float:
    return (user * 7919 + movie * 104_729) % 1_000_003 / 1_000_003


class Scattered(Recommender):
    """Scores that look like chance and can be computed anywhere."""

    name = "scattered"

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def score(self, users: UserBatch):  # type: ignore[no-untyped-def]
        import torch

        ids = self.graph.ids
        rows = [[scatter(ids["user"][u], m) for m in ids["movie"]] for u in users.node_id.tolist()]
        return torch.tensor(rows, dtype=torch.float64)

    def with_graph(self, graph: Graph) -> Scattered:
        return Scattered(graph)

    def similarity_embeddings(self):  # type: ignore[no-untyped-def]
        return self.graph.movies.x


def test_the_fingerprint_tells_fold_support_and_candidates() -> None:
    dataset = make_sample(120, 60)
    lines = {}
    for name, options in (
        ("cold-movies", {}),
        ("cold-movies", {"fold": 1}),
        ("cold-movies", {"candidates": "all"}),
        ("cold-users", {}),
        ("cold-users", {"support": 3}),
        ("cold-users", {"fold": 1}),
        ("cold-both", {"support": 0, "candidates": "all"}),
        ("cold-both", {"support": 0}),
        ("cold-both", {"support": 1}),
    ):
        found = Fingerprint.of(make_split(dataset, name, **options))
        lines[found.digest] = found.protocol
    assert list(lines.values()) == [
        "unseen movies, fold 0 of 5, among held-out movies",
        "unseen movies, fold 1 of 5, among held-out movies",
        "unseen movies, fold 0 of 5, among all movies",
        "unseen users, fold 0 of 5, first 5 ratings known",
        "unseen users, fold 0 of 5, first 3 ratings known",
        "unseen users, fold 1 of 5, first 5 ratings known",
        "unseen users and movies, fold 0 of 5, first 0 ratings known, among all movies",
        "unseen users and movies, fold 0 of 5, first 0 ratings known, among held-out movies",
        "unseen users and movies, fold 0 of 5, first 1 ratings known, among held-out movies",
    ]
    split = make_split(dataset, "cold-movies")
    assert Fingerprint.of(split).candidates.startswith(f"{split.test['movie_id'].nunique()} movies (")
    assert Fingerprint.of(split, candidates=split.catalogue).digest == next(
        digest for digest, line in lines.items() if line == "unseen movies, fold 0 of 5, among all movies"
    )


@pytest.mark.parametrize("name", UNSEEN)
def test_candidates_survive_a_folder(name: str, tmp_path: Path) -> None:
    dataset = make_sample(80, 60)
    split = make_split(dataset, name)
    again = Split.from_folder(split.to_folder(tmp_path), dataset)
    assert Fingerprint.of(again) == Fingerprint.of(split)
    assert again.candidates_for("valid").equals(split.candidates_for("valid"))
    random_split(dataset).to_folder(tmp_path)  # in the same folder: nothing of the old one stays
    assert Split.from_folder(tmp_path).candidates is None


def test_candidates_of_your_own() -> None:
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
        ([20, 10, 20], ["test", "valid", "test"], "candidates row 2: movie 20 is a candidate for 'test' twice"),
        ([20, 10], ["test", "train"], "candidates row 1: part 'train' is not one of valid, test"),
        ([40, 10], ["test", "valid"], "test row 0: movie 20 is no candidate for test"),
        ([20], ["test"], "valid row 0: movie 10 is no candidate for valid"),
    ):
        with pytest.raises(DataError, match=message):
            make_split(ids, parts)
    with pytest.raises(DataError, match="candidates must be a DataFrame with the columns movie_id and part"):
        Split(rows[:1], rows[1:2], rows[2:], movies, candidates=movies)
    with pytest.raises(ConfigError, match="lists are made for valid or test rows, not for 'train'"):
        made.candidates_for("train")


def test_a_broken_file_of_candidates_is_named_with_its_line(tmp_path: Path) -> None:
    make_split(make_sample(80, 60), "cold-movies").to_folder(tmp_path)
    with (tmp_path / "candidates.csv").open("a") as file:
        file.write("99999,test\n")
    lines = (tmp_path / "candidates.csv").read_text().count("\n")
    with pytest.raises(DataError, match=rf"candidates\.csv:{lines}: movie 99999 is not in the movies table"):
        Split.from_folder(tmp_path)


def test_support_helps() -> None:
    """On the same test rows, five known ratings say more than none: the support arrives."""
    split = make_split(make_sample(300, 200, seed=1), "cold-users", fold=1, n_known=5)
    model = EASE.fit(Graph.from_dataset(split.dataset), reg=100.0)
    options = {"ks": [10], "metrics": ["ndcg"]}
    known = evaluate(model, split, **options)["value"].item()
    unknown = evaluate(model, split.test, candidates=split.candidates_for(), mask=split.support, **options)[
        "value"
    ].item()
    assert known > unknown + 0.02


@pytest.mark.real_data
def test_folds_of_movielens() -> None:
    """What the documentation says of MovieLens-1M, and the sizes that others can compare theirs with."""
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
