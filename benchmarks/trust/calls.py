"""The Python API with odd values: each must be refused clearly, or mean what an equal plain value means."""

from __future__ import annotations

import array
import datetime
import decimal
import enum
import fractions
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch

import gnnrec
from benchmarks.trust.readers import check, frame_view, sample, small_config, small_split, split_view
from benchmarks.trust.sandbox import Trial
from gnnrec import Config, Dataset, NewMovie, NewUser, Split
from gnnrec.data import ContentEmbeddings
from gnnrec.errors import GnnrecError


class Three(enum.IntEnum):
    """An integer with a name."""

    THREE = 3


class Text(str):
    """A text of a class of its own."""


def _loop() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


EQUAL: dict[str, tuple[Callable[[], Any], Any]] = {
    "int8": (lambda: np.int8(3), 3),
    "int64": (lambda: np.int64(3), 3),
    "uint64": (lambda: np.uint64(3), 3),
    "float16": (lambda: np.float16(3), 3.0),
    "float32": (lambda: np.float32(3), 3.0),
    "float": (lambda: 3.0, 3.0),
    "longdouble": (lambda: np.longdouble(3), 3.0),
    "0-d array": (lambda: np.array(3), 3),
    "0-d float array": (lambda: np.array(3.0), 3.0),
    "tensor": (lambda: torch.tensor(3), 3),
    "float tensor": (lambda: torch.tensor(3.0), 3.0),
    "Decimal": (lambda: decimal.Decimal(3), 3),
    "Fraction": (lambda: fractions.Fraction(3), 3),
    "IntEnum": (lambda: Three.THREE, 3),
    "str": (lambda: "3", "3"),
    "np.str_": (lambda: np.str_("3"), "3"),
    "Text": (lambda: Text("3"), "3"),
    "bytes": (lambda: b"3", None),
    "True": (lambda: True, None),
    "np.True_": (lambda: np.True_, None),
    "tensor of True": (lambda: torch.tensor(True), None),
}
"""Values that may count as three, and the plain value that they equal; None where there is none."""

ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None, "False": lambda: False, "zero": lambda: 0, "minus one": lambda: -1, "half": lambda: 0.5,
    "minus zero": lambda: -0.0, "2**31": lambda: 2**31, "2**53+1": lambda: 2**53 + 1, "2**63": lambda: 2**63, "2**64": lambda: 2**64,
    "-2**63": lambda: -(2**63), "10**400": lambda: 10**400, "-10**400": lambda: -(10**400), "10**5000": lambda: 10**5000,
    "1e308": lambda: 1e308, "nan": lambda: float("nan"), "inf": lambda: float("inf"), "-inf": lambda: float("-inf"),
    "np.nan32": lambda: np.float32("nan"), "uint64 max": lambda: np.uint64(2**64 - 1), "int64 min": lambda: np.int64(-(2**63)),
    "empty": lambda: "", "blank": lambda: " \t", "long": lambda: "a" * 5000, "surrogate": lambda: "\ud800", "zero byte": lambda: "a\0b",
    "escape": lambda: "\x1b[31mred", "right to left": lambda: "\u202eabc", "digits": lambda: "9" * 400, "arabic digit": lambda: "٣",
    "superscript": lambda: "²", "nan text": lambda: "nan", "inf text": lambda: "inf", "bytes": lambda: b"\xff", "bytearray": lambda: bytearray(b"1"),
    "memoryview": lambda: memoryview(b"12"), "Decimal nan": lambda: decimal.Decimal("NaN"), "Decimal snan": lambda: decimal.Decimal("sNaN"),
    "Decimal inf": lambda: decimal.Decimal("Infinity"), "Decimal huge": lambda: decimal.Decimal("1e9999"), "third": lambda: fractions.Fraction(1, 3),
    "complex": lambda: 1 + 2j, "date": lambda: datetime.date(2001, 2, 3), "datetime": lambda: datetime.datetime(2001, 2, 3),
    "aware": lambda: datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC), "time": lambda: datetime.time(1, 2), "timedelta": lambda: datetime.timedelta(1),
    "year 1": lambda: datetime.datetime(1, 1, 1), "datetime64": lambda: np.datetime64("2001-02-03"), "NaT64": lambda: np.datetime64("NaT"),
    "timedelta64": lambda: np.timedelta64(3, "s"), "Timestamp": lambda: pd.Timestamp("2001-02-03"), "latest": lambda: pd.Timestamp.max,
    "NA": lambda: pd.NA, "NaT": lambda: pd.NaT, "Interval": lambda: pd.Interval(0, 1), "Period": lambda: pd.Period("2001-01"),
    "array": lambda: np.array([1, 2]), "2-d array": lambda: np.array([[1, 2], [3, 4]]), "empty array": lambda: np.array([]), "float array": lambda: np.array([1.5, np.nan]),
    "object array": lambda: np.array([1, "a", None], dtype=object), "text array": lambda: np.array(["1", "x"]), "time array": lambda: np.array(["2001", "NaT"], "M8[s]"),
    "structured": lambda: np.zeros(2, dtype=[("a", int), ("b", float)]), "bool array": lambda: np.array([True, False]), "masked": lambda: np.ma.array([1, 2], mask=[0, 1]),
    "complex array": lambda: np.array([1j]), "0-d object": lambda: np.array(None), "0-d text": lambda: np.array("x"), "1-element array": lambda: np.array([3]),
    "tensor of two": lambda: torch.tensor([1, 2]), "empty tensor": lambda: torch.tensor([]), "nan tensor": lambda: torch.tensor(float("nan")),
    "2-d tensor": lambda: torch.ones(2, 2), "sparse tensor": lambda: torch.eye(3).to_sparse(), "meta tensor": lambda: torch.ones(2, device="meta"),
    "tensor with grad": lambda: torch.tensor(3.0, requires_grad=True), "complex tensor": lambda: torch.tensor(1j),
    "Series": lambda: pd.Series([1, 2]), "float Series": lambda: pd.Series([4.0, 5.0], index=[1, 2]), "text Series": lambda: pd.Series(["a", "b"]),
    "empty Series": lambda: pd.Series(dtype=object), "named Series": lambda: pd.Series([1, 1], name="user_id"), "Series of None": lambda: pd.Series([None, None]),
    "DataFrame": lambda: pd.DataFrame({"a": [1]}), "empty frame": lambda: pd.DataFrame(), "users": lambda: pd.DataFrame({"user_id": [1, 1]}),
    "ratings": lambda: pd.DataFrame({"user_id": [1], "movie_id": [1]}), "MultiIndex": lambda: pd.MultiIndex.from_tuples([(1, 2)]),
    "twice": lambda: pd.DataFrame([[1, 2, 3]], columns=["user_id", "user_id", "movie_id"]), "levels": lambda: pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("user_id", "movie_id")])),
    "Index": lambda: pd.Index([1, 2]), "Categorical": lambda: pd.Categorical(["a", "b"]), "empty list": lambda: [], "nested": lambda: [[1]], "deeply": lambda: [[[[[[[[[[1]]]]]]]]]],
    "mixed": lambda: [1, [2]], "list of None": lambda: [None], "list of nan": lambda: [float("nan")], "twice the same": lambda: [1, 1], "ids and text": lambda: [1, "x"],
    "loop": _loop, "dict": lambda: {}, "nested dict": lambda: {1: {}}, "None key": lambda: {None: 1}, "nan key": lambda: {float("nan"): 1}, "tuple key": lambda: {(1, 2): 3},
    "list value": lambda: {1: [5]}, "set": lambda: {1, 2}, "frozenset": lambda: frozenset({1}), "tuple": lambda: (1,), "empty tuple": lambda: (), "range": lambda: range(3),
    "endless range": lambda: range(10**9), "iterator": lambda: iter([1, 2]), "generator": lambda: (x for x in [1]), "function": lambda: len, "class": lambda: int, "object": object,
    "Ellipsis": lambda: ..., "NotImplemented": lambda: NotImplemented, "module": lambda: np, "Path": lambda: Path("x"), "uuid": lambda: uuid.UUID(int=3), "array.array": lambda: array.array("d", [1.0]),
    "NewUser": lambda: NewUser(), "NewMovie": lambda: NewMovie(), "Config": lambda: Config(), "error": lambda: ValueError("x"), "slice": lambda: slice(3), "zip": lambda: zip([1], [2], strict=True),
    "split": small_split, "dataset": sample, "dtype": lambda: np.dtype("int64"), "SimpleNamespace": lambda: __import__("types").SimpleNamespace(a=1),
}  # fmt: skip
"""Other values, most of which mean nothing."""


@cache
def models() -> dict[str, Any]:
    """Return fitted models by name."""
    data = sample().with_features(text=ContentEmbeddings(sample().movies["movie_id"], np.eye(30, 3)))
    gnn = gnnrec.fit(data, config=small_config(), progress=False)
    return {"ease": gnnrec.fit(sample(), "ease"), "gnn": gnn}


@cache
def rating_model() -> Any:
    """Return a fitted rating model."""
    settings = gnnrec.RatingConfig(embedding_dim=2, num_samples=3, burn_in=1)
    return gnnrec.fit_rating_model(sample(), small_config(), settings, progress=False)


@cache
def test_rows() -> pd.DataFrame:
    """Return test ratings."""
    return small_split().test


def view(found: Any) -> Any:
    """Return what is compared of a result, after a check of what every result promises."""
    if isinstance(found, gnnrec.Recommender):
        return view(found.dataset), view(found.recommend(found.ids["user"].tolist()[-2:], k=3))
    if isinstance(found, Dataset):
        check(not found.ratings.duplicated(["user_id", "movie_id"]).any(), "a pair of user and movie is there twice")
        return frame_view(found.ratings), frame_view(found.movies), frame_view(found.users)
    if isinstance(found, Split):
        return split_view(found)
    if isinstance(found, pd.DataFrame):
        for column in ("score", "similarity"):
            if column in found:
                check(bool(np.isfinite(found[column]).all()), f"a {column} is not finite")
        return frame_view(found)
    if isinstance(found, (tuple, list)):
        return [view(one) for one in found]
    return repr(found)


@dataclass(frozen=True)
class Slot:
    """A place for a value in a call.

    Attributes
    ----------
    name : str
    call : callable
        Of a model and a value.
    kind : {"number", "count", "id", "any"}
        What belongs there: a "number", a "count" (a whole number), an "id" of a user or movie, or anything else. A
        value that cannot be one must be refused.
    """

    name: str
    call: Callable[[Any, Any], Any]
    kind: str = "any"


def _frame(column: str, value: Any, rows: dict[str, list[Any]]) -> pd.DataFrame:
    """Return a frame whose second cell of a column is a value."""
    cells = list(rows[column])
    cells[1] = value
    frame = pd.DataFrame({name: pd.Series(values) for name, values in rows.items() if name != column})
    made = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        made[place] = cell
    frame[column] = pd.Series(made, dtype=object)
    return frame[list(rows)]


RATINGS = {"user_id": [1, 2, 2], "movie_id": [1, 3, 2], "rating": [4.0, 3.0, 5.0], "timestamp": [10**9, 3, 5]}
NEW_RATINGS = {"user_id": [900, 901, 902], "movie_id": [1, 3, 2], "rating": [4.0, 3.0, 5.0]}
MOVIES = {
    "movie_id": [1, 3, 2],
    "title": ["A", "B", "C"],
    "genres": ["x", "y", "z"],
    "year": [2000, 1999, 1998],
    "runtime": [80, 90, 100],
    "directors": ["p", "q", "r"],
    "imdb_id": ["tt0000001", "tt0000002", "tt0000003"],
    "tmdb_id": [1, 2, 3],
    "plot": ["one", "two", "three"],
    "own": ["a", "b", "c"],
}
USERS = {
    "user_id": [1, 3, 2],
    "age": [20, 30, 40],
    "gender": ["M", "F", "M"],
    "occupation": ["a", "b", "c"],
    "own": [1, 2, 3],
}


def text_of(value: Any) -> str:
    """Return a value as text."""
    try:
        return str(value)
    except ValueError:  # a whole number of thousands of digits
        return "9" * 5000


def slots() -> list[Slot]:
    """Return the places where values are put."""

    def saved(model: Any, path: Any) -> str:
        if isinstance(path, (str, Path)) and len(str(path)) < 200 and "\0" not in str(path):
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder) / str(path).strip("/."))
                return "saved"
        model.save(path)
        return "saved"

    def dataset_of(table: str, column: str) -> Callable[[Any, Any], Any]:
        rows = {"ratings": RATINGS, "movies": MOVIES, "users": USERS}[table]

        def call(_: Any, value: Any) -> Any:
            tables = {"ratings": pd.DataFrame({"user_id": [1], "movie_id": [1]}), table: _frame(column, value, rows)}
            return Dataset(**tables)

        return call

    numbers = {"rating", "age", "year", "runtime"}
    found = [
        *(
            Slot(f"Dataset {table}.{column}", dataset_of(table, column), "id" if column.endswith("r_id") or column == "movie_id" else "number" if column == "rating" else "any")
            for table, rows in (("ratings", RATINGS), ("movies", MOVIES), ("users", USERS))
            for column in rows
        ),
        *(
            Slot(f"add_ratings {column}", lambda m, v, column=column: m.add_ratings(_frame(column, v, NEW_RATINGS)), "number" if column == "rating" else "id")
            for column in NEW_RATINGS
        ),
        Slot("add_ratings users", lambda m, v: m.add_ratings(pd.DataFrame(NEW_RATINGS), v)),
        *(
            Slot(f"add_ratings users.{column}", lambda m, v, column=column: m.add_ratings(pd.DataFrame(NEW_RATINGS), _frame(column, v, USERS | {"user_id": [900, 901, 902]})))
            for column in USERS
        ),
        *(
            Slot(f"add_movies {column}", lambda m, v, column=column: m.add_movies(_frame(column, v, MOVIES | {"movie_id": [900, 901, 902]})))
            for column in MOVIES
        ),
        Slot("add_movies", lambda m, v: m.add_movies(v)),
        Slot("add_movies features", lambda m, v: m.add_movies(pd.DataFrame({"movie_id": [900]}), {"text": v})),
        Slot("add_user id", lambda m, v: m.add_user(v, {1: 5})),
        Slot("add_user ratings", lambda m, v: m.add_user(900, v)),
        Slot("add_user rating", lambda m, v: m.add_user(900, {1: v}), "number"),
        Slot("remove_ratings user", lambda m, v: m.remove_ratings(v, []), "id"),
        Slot("remove_ratings movies", lambda m, v: m.remove_ratings(1, v)),
        Slot("remove_user", lambda m, v: m.remove_user(v), "id"),
        Slot("add_ratings update", lambda m, v: m.add_ratings(pd.DataFrame(NEW_RATINGS), update=v)),
        Slot("recommend users", lambda m, v: m.recommend(v, k=3)),
        Slot("recommend user", lambda m, v: m.recommend([1, v], k=3)),
        Slot("recommend rating", lambda m, v: m.recommend({1: v}, k=3), "number"),
        Slot("recommend movie", lambda m, v: m.recommend({v: 4}, k=3), "id"),
        Slot("recommend frame user", lambda m, v: m.recommend(_frame("user_id", v, {"user_id": [1, 2, 4]}), k=3), "id"),
        Slot("recommend frame rating", lambda m, v: m.recommend(_frame("rating", v, RATINGS), k=3), "number"),
        Slot("recommend frame movie", lambda m, v: m.recommend(_frame("movie_id", v, RATINGS), k=3), "id"),
        Slot("recommend frame time", lambda m, v: m.recommend(_frame("timestamp", v, RATINGS), k=3)),
        Slot("recommend frame age", lambda m, v: m.recommend(_frame("age", v, {"user_id": [900, 901], "age": [20, 30]}), k=3)),
        Slot("recommend k", lambda m, v: m.recommend(1, k=v), "count"),
        Slot("recommend offset", lambda m, v: m.recommend(1, k=3, offset=v), "count"),
        Slot("recommend min_ratings", lambda m, v: m.recommend(1, k=3, min_ratings=v), "count"),
        *(Slot(f"recommend {name}", lambda m, v, name=name: m.recommend(1, k=3, **{name: v})) for name in ("exclude_seen", "family_friendly", "unknown", "candidates", "exclude", "genres", "years", "like", "unlike")),
        *(Slot(f"recommend {name}", lambda m, v, name=name: m.recommend(1, k=3, **{name: v})) for name in ("diversity", "novelty", "calibration", "max_per_genre")),
        *(Slot(f"recommend {name} of", lambda m, v, name=name: m.recommend(1, k=3, **{name: [v]}), "id") for name in ("candidates", "exclude", "like", "unlike")),
        Slot("recommend first year", lambda m, v: m.recommend(1, k=3, years=(v, 1999))),
        Slot("recommend genre", lambda m, v: m.recommend(1, k=3, genres=[v])),
        *(Slot(f"NewUser {name}", lambda m, v, name=name: m.recommend(NewUser(**{name: v}), k=3)) for name in ("gender", "occupation", "ratings", "name", "disliked", "profile", "unknown")),
        Slot("NewUser age", lambda m, v: m.recommend(NewUser(age=v), k=3)),
        Slot("NewUser rated", lambda m, v: m.recommend(NewUser(ratings=[1, v]), k=3), "id"),
        Slot("NewUser not liked", lambda m, v: m.recommend(NewUser(disliked=[v]), k=3), "id"),
        Slot("NewUser time", lambda m, v: m.recommend(NewUser(ratings={1: 5, 2: 4}, timestamps={1: v, 2: 10}), k=3)),
        Slot("NewUser timestamps", lambda m, v: m.recommend(NewUser(ratings={1: 5, 2: 4}, timestamps=v), k=3)),
        Slot("NewUser weights", lambda m, v: m.recommend(NewUser(ratings={1: 5, 2: 4}, weights=v), k=3)),
        Slot("NewUser profile age", lambda m, v: m.recommend(NewUser(profile={"age": v}), k=3)),
        *(Slot(f"NewMovie {name}", lambda m, v, name=name: m.similar_movies(NewMovie(**{name: v}), k=3)) for name in ("title", "genres", "directors", "actors", "plot", "features", "year", "runtime")),
        Slot("NewMovie genre", lambda m, v: m.similar_movies(NewMovie(genres=[v]), k=3)),
        Slot("NewMovie feature", lambda m, v: m.similar_movies(NewMovie(features={"text": v}), k=3)),
        Slot("NewMovie feature value", lambda m, v: m.similar_movies(NewMovie(features={"text": [v, 1, 2]}), k=3)),
        Slot("similar_movies movie", lambda m, v: m.similar_movies(v, k=3), "id"),
        Slot("similar_movies k", lambda m, v: m.similar_movies(1, k=v), "count"),
        Slot("similar_movies candidates", lambda m, v: m.similar_movies(1, k=3, candidates=v)),
        Slot("explain user", lambda m, v: gnnrec.explain(m, v, [2])),
        Slot("explain movies", lambda m, v: gnnrec.explain(m, 1, v)),
        Slot("explain k", lambda m, v: gnnrec.explain(m, 1, [2], k=v), "count"),
        Slot("search text", lambda m, v: gnnrec.search(m, v)),
        Slot("search k", lambda m, v: gnnrec.search(m, "the", k=v), "count"),
        Slot("recommend_group", lambda m, v: gnnrec.recommend_group(m, v, k=3)),
        Slot("recommend_group member", lambda m, v: gnnrec.recommend_group(m, [1, v], k=3)),
        Slot("evaluate test", lambda m, v: m.evaluate(v, ks=[3], metrics=["ndcg"])),
        *(
            Slot(f"evaluate {column}", lambda m, v, column=column: m.evaluate(_frame(column, v, {"user_id": [1, 2], "movie_id": [30, 29], "rating": [5.0, 4.0]}), ks=[3], metrics=["ndcg"]), "id" if column != "rating" else "any")
            for column in ("user_id", "movie_id", "rating")
        ),
        Slot("evaluate k", lambda m, v: m.evaluate(test_rows(), ks=[v], metrics=["ndcg"], mask=small_split().train, history=None), "count"),
        *(Slot(f"evaluate {name}", lambda m, v, name=name: gnnrec.evaluate(gnnrec_split_model(), small_split(), **({"ks": [3], "metrics": ["ndcg"]} | {name: v}))) for name in ("ks", "metrics", "mask", "history", "candidates", "negatives", "relevant", "per_user", "confidence", "seed")),
        Slot("evaluate metric", lambda m, v: gnnrec.evaluate(gnnrec_split_model(), small_split(), ks=[3], metrics=[v])),
        Slot("predict users", lambda m, v: gnnrec.predict_ratings(rating_model(), v, [1, 2])),
        Slot("predict movies", lambda m, v: gnnrec.predict_ratings(rating_model(), 1, v)),
        Slot("Split train", lambda m, v: Split(v, test_rows().iloc[:0], test_rows())),
        Slot("Split test", lambda m, v: Split(small_split().train, test_rows().iloc[:0], v)),
        *(Slot(f"Split {name}", lambda m, v, name=name: Split(small_split().train, small_split().valid, small_split().test, **{name: v})) for name in ("movies", "users", "support", "negatives", "candidates", "mask", "history", "name", "features")),
        Slot("with_negatives", lambda m, v: small_split().with_negatives(v)),
        Slot("negatives seed", lambda m, v: small_split().with_negatives(3, seed=v), "count"),
        Slot("split protocol", lambda m, v: gnnrec.split(sample(), v)),
        Slot("split dataset", lambda m, v: gnnrec.split(v, "random")),
        Slot("split seed", lambda m, v: gnnrec.split(sample(), "random", seed=v), "count"),
        Slot("split fractions", lambda m, v: gnnrec.split(sample(), "random", fractions=v)),
        Slot("split fraction", lambda m, v: gnnrec.split(sample(), "random", fractions=(0.5, v, 0.1))),
        Slot("Dataset ratings", lambda m, v: Dataset(v)),
        Slot("Dataset movies", lambda m, v: Dataset(sample().ratings, v)),
        Slot("Dataset users", lambda m, v: Dataset(sample().ratings, None, v)),
        Slot("Dataset features", lambda m, v: Dataset(sample().ratings, features=v)),
        Slot("with_features", lambda m, v: sample().with_features(text=v)),
        Slot("filtered min_rating", lambda m, v: sample().filtered(min_rating=v)),
        Slot("filtered k_core", lambda m, v: sample().filtered(k_core=v)),
        Slot("ContentEmbeddings ids", lambda m, v: ContentEmbeddings(v, np.eye(2))),
        Slot("ContentEmbeddings id", lambda m, v: ContentEmbeddings([1, v], np.eye(2))),
        Slot("ContentEmbeddings values", lambda m, v: ContentEmbeddings([1, 2], v)),
        Slot("ContentEmbeddings value", lambda m, v: ContentEmbeddings([1, 2], [[1, v], [2, 3]])),
        Slot("override", lambda m, v: Config().override(v)),
        Slot("override text", lambda m, v: Config().override([v])),
        Slot("override value", lambda m, v: Config().override(["train.epochs=" + text_of(v)])),
        Slot("override key", lambda m, v: Config().override(["model." + text_of(v) + "=1"])),
        Slot("Config train", lambda m, v: Config(train=v)),
        Slot("Config model", lambda m, v: Config(model=v)),
        *(Slot(f"Config {name}", lambda m, v, name=name: Config(train={name: v})) for name in ("epochs", "learning_rate", "loss", "loss_options", "metric", "seed", "device", "patience", "batch_size")),
        *(Slot(f"Config {name}", lambda m, v, name=name: Config(model={name: v})) for name in ("encoder", "embedding_dim", "attributes", "modalities", "position_decays", "init", "dropout", "hidden_dim")),
        Slot("from_mapping", lambda m, v: Config.from_mapping(v)),
        Slot("from_yaml", lambda m, v: Config.from_yaml(v)),
        Slot("load_dataset", lambda m, v: gnnrec.load_dataset(v)),
        *(Slot(f"load_dataset {name}", lambda m, v, name=name: gnnrec.load_dataset("sample", **({"num_users": 20, "num_movies": 15} | {name: v}))) for name in ("seed", "num_users", "num_movies", "columns", "sep", "x")),
        *(Slot(f"load_dataset file {name}", lambda m, v, name=name: gnnrec.load_dataset(ratings_file(), **{name: v})) for name in ("columns", "sep", "encoding", "decimal", "header", "date_format", "day_first", "duplicates", "errors", "rating_scale", "rejected", "data_dir", "download")),
        Slot("read_history", lambda m, v: gnnrec.read_history(v, m)),
        Slot("read_history graph", lambda m, v: gnnrec.read_history(ratings_file(), v)),
        Slot("load", lambda m, v: gnnrec.load(v)),
        Slot("load device", lambda m, v: m.to(v)),
        Slot("save", saved),
        Slot("recommend model", lambda m, v: gnnrec.recommend(v, 1)),
        Slot("evaluate model", lambda m, v: gnnrec.evaluate(v, small_split())),
        Slot("fit data", lambda m, v: gnnrec.fit(v, "popularity")),
        Slot("fit model", lambda m, v: gnnrec.fit(sample(), v)),
        Slot("fit reg", lambda m, v: gnnrec.fit(sample(), "ease", reg=v)),
        Slot("fit neighbors", lambda m, v: gnnrec.fit(sample(), "itemknn", num_neighbors=v)),
        Slot("fit config", lambda m, v: gnnrec.fit(sample(), config=v, progress=False) if not isinstance(v, (Config, type(None))) else None),
        Slot("fit callbacks", lambda m, v: gnnrec.fit(sample(), config=small_config(), callbacks=v, progress=False)),
        Slot("tune space", lambda m, v: gnnrec.tune(sample(), v, trials=1, progress=False)),
        Slot("tune trials", lambda m, v: gnnrec.tune(small_split(), {"space": {"reg": {"choices": [1, 2]}}}, model="ease", trials=v, progress=False) if not isinstance(v, Integral) else None),
        Slot("space low", lambda m, v: gnnrec.SearchSpace.from_mapping({"space": {"train.learning_rate": {"low": v, "high": 0.1}}})),
        Slot("space choices", lambda m, v: gnnrec.SearchSpace.from_mapping({"space": {"model.embedding_dim": {"choices": v}}})),
    ]  # fmt: skip
    assert numbers
    return found


@cache
def gnnrec_split_model() -> Any:
    """Return a model fitted on the split."""
    return gnnrec.fit(small_split(), "ease")


@cache
def ratings_file() -> str:
    """Return the path of a file of ratings."""
    folder = Path(tempfile.mkdtemp(prefix="gnnrec-trust-"))
    (folder / "ratings.csv").write_text(
        "user_id,movie_id,rating,timestamp\n1,1,4,2001-02-03\n1,2,3.5,2001-02-04\n2,1,5,2001-02-05\n"
    )
    return str(folder / "ratings.csv")


@cache
def _slots() -> list[Slot]:
    return slots()


def prepare() -> None:
    """Fit the models, so that every worker has them."""
    import gnnrec.tuning  # noqa: F401 - so that no trial pays for it

    models(), rating_model(), gnnrec_split_model(), ratings_file(), _slots(), test_rows()


NOT_NUMBERS = frozenset(
    [
        "None",
        "nan",
        "inf",
        "-inf",
        "np.nan32",
        "empty",
        "blank",
        "long",
        "surrogate",
        "escape",
        "complex",
        "date",
        "NA",
        "NaT",
        "NaT64",
        "array",
        "nested",
        "dict",
        "set",
        "object",
        "function",
        "class",
        "10**400",
        "10**5000",
        "1e308",
        "Interval",
        "uuid",
        "Path",
        "DataFrame",
        "Series",
    ]
)


def trial(seed: int, number: int) -> Trial:
    """Return a trial: a call with an odd value."""
    random = Random(f"{seed} calls {number}")
    everything = [*EQUAL, *ODD]
    # The first trials go through all pairs in a random order that is the same for a seed; models alternate.
    pairs = len(_slots()) * len(everything)
    pick = (number * 7919 + seed) % pairs
    slot, name = _slots()[pick // len(everything)], everything[pick % len(everything)]
    model = models()[random.choice(("ease", "gnn"))]

    def call() -> None:
        value = EQUAL[name][0]() if name in EQUAL else ODD[name]()
        found = view(slot.call(model, value))
        if name in EQUAL:
            plain = EQUAL[name][1]
            if name == "IntEnum" and slot.kind == "any":  # may be taken for a text
                return
            if plain is None:
                is_cell = slot.name.startswith(("add_ratings", "Dataset"))  # of a table, where bytes are text
                check(slot.kind == "any" or is_cell, f"{slot.name}: {name} counts as a value")
                return
            try:
                expected = view(slot.call(model, plain))
            except GnnrecError as error:
                check(False, f"{slot.name}: {name} is taken, but {plain!r} is refused: {error}")
            else:
                check(
                    _close(found, expected) or slot.name.endswith("own"),
                    f"{slot.name}: {name} is not what {plain!r} is",
                )
        elif slot.kind != "any":
            if slot.name.endswith("seed") and name == "None":  # not given
                return
            huge = slot.kind == "count" and name.startswith("10**")
            is_name = slot.name == "add_ratings user_id" and name in ("long", "escape")  # of a new user
            check(name not in NOT_NUMBERS or huge or is_name, f"{slot.name}: {name} is taken for a {slot.kind}")

    return Trial(f"{slot.name} = {name}#{number}", call, 0, types=True)


def _close(one: Any, other: Any) -> bool:
    return one == other
