"""What is read from files: small valid inputs of every reader, the reader, and what its answers must agree with."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

import gnnrec
from benchmarks.trust.mutate import (
    Files,
    cell_text,
    dump_json,
    mutate_files,
    mutate_json,
    mutate_npy,
    mutate_safetensors,
)
from benchmarks.trust.sandbox import Trial, WrongAnswerError
from gnnrec import Config, Dataset, Split
from gnnrec.datasets import make_sample

HEADER = ("user_id", "movie_id", "rating", "timestamp")
ROWS = tuple(
    (
        str(1 + row % 6),
        str(10 + row // 6 + 3 * (row % 6 > 2)),
        f"{1 + (row * 7) % 9 / 2:g}",
        str(978300000 + 86400 * row),
    )
    for row in range(24)
)
"""Ratings: user, movie, rating, time."""
MOVIES = (
    ("movie_id", "title", "genres", "runtime"),
    tuple(
        (str(10 + movie), f"Movie {movie} ({1980 + movie})", "Comedy|Drama" if movie % 2 else "Crime", str(90 + movie))
        for movie in range(8)
    ),
)
USERS = (
    ("user_id", "age", "gender", "occupation"),
    tuple((str(1 + user), str(20 + user), "MF"[user % 2], ("artist", "writer")[user % 2]) for user in range(6)),
)


@dataclass(frozen=True)
class Target:
    """A reader and small valid inputs.

    Attributes
    ----------
    name : str
    seeds : callable
        Returns valid folders.
    read : callable
        Reads a folder, as a caller would.
    view : callable
        Returns what is compared of an answer: reading twice must give the same.
    exact : bool
        Its files have checksums: a changed folder is refused, or gives the answer of the unchanged one.
    change : callable
        Changes a folder in a way of its own; bytes are changed in half of the trials.
    tokens : tuple of bytes
        What is put into its files now and then.
    only : tuple of str
        Names of the files that are changed; all if empty.
    """

    name: str
    seeds: Callable[[], list[Files]]
    read: Callable[[Path], Any]
    view: Callable[[Any], Any]
    exact: bool = False
    change: Callable[[Files, Random], Files] | None = None
    tokens: tuple[bytes, ...] = ()
    only: tuple[str, ...] = ()


# What is compared


def frame_view(frame: pd.DataFrame) -> str:
    """Return all values of a frame as text."""
    return f"{list(frame.columns)} {list(map(str, frame.dtypes))} {_values(frame.to_numpy(dtype=object).tolist())}"


def _values(rows: list[Any]) -> str:
    try:
        return repr(rows)
    except ValueError:  # a whole number of thousands of digits
        return repr([[hex(value) if isinstance(value, int) else value for value in row] for row in rows])


def dataset_view(dataset: Dataset) -> tuple[str, ...]:
    """Return all tables of a dataset as text, after a check of what every dataset promises."""
    ratings, movies, users = dataset.ratings, dataset.movies, dataset.users
    check(not ratings.duplicated(["user_id", "movie_id"]).any(), "a pair of user and movie is there twice")
    check(movies["movie_id"].is_unique and users["user_id"].is_unique, "an id is there twice")
    check(bool(ratings["movie_id"].isin(movies["movie_id"]).all()), "a rating of an unknown movie")
    check(bool(ratings["user_id"].isin(users["user_id"]).all()), "a rating by an unknown user")
    for column in ("rating", "weight"):
        check(column not in ratings or bool(np.isfinite(ratings[column]).all()), f"a {column} is not finite")
    if "timestamp" in ratings:
        check(bool(ratings["timestamp"].between(0, 253_402_300_799).all()), "a time is out of range")
    return (*map(frame_view, (ratings, movies, users)), str(dataset.provenance), str(dataset.rating_scale))


def check(right: bool, problem: str) -> None:
    """Raise a `WrongAnswerError` unless something is right."""
    if not right:
        raise WrongAnswerError(problem)


def model_view(model: Any) -> str:
    """Return the ratings, scores and similar movies of a model as text; scores must be finite."""
    found = model.recommend(model.ids["user"].tolist()[:5], k=5)
    similar = model.similar_movies(model.ids["movie"].tolist()[0], k=5)
    check(bool(np.isfinite(found["score"]).all() and np.isfinite(similar["similarity"]).all()), "a score is not finite")
    return "".join((*dataset_view(model.dataset)[:3], frame_view(found), frame_view(similar)))


# Tables


def csv_text(header: tuple[str, ...], rows: Any, sep: str = ",") -> bytes:
    """Return a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def tables(sep: str = ",", suffix: str = "csv") -> Files:
    """Return the three tables of a folder."""
    return {
        f"ratings.{suffix}": csv_text(HEADER, ROWS, sep),
        f"movies.{suffix}": csv_text(*MOVIES, sep),
        f"users.{suffix}": csv_text(*USERS, sep),
    }


def change_cell(files: Files, random: Random) -> Files:
    """Return CSV files with one cell changed."""
    out = dict(files)
    name = random.choice([name for name in sorted(out) if name.endswith((".csv", ".tsv"))])
    sep = "\t" if name.endswith(".tsv") else ","
    rows = list(csv.reader(io.StringIO(out[name].decode()), delimiter=sep))
    row = random.randrange(len(rows))
    rows[row][random.randrange(len(rows[row]))] = cell_text(random)
    out[name] = csv_text(tuple(rows[0]), rows[1:], sep)
    return out


def json_rows(rows: Any = ROWS) -> list[dict[str, Any]]:
    """Return ratings as JSON values."""
    return [{"user_id": int(u), "movie_id": int(m), "rating": float(r), "timestamp": int(t)} for u, m, r, t in rows]


def change_json(files: Files, random: Random) -> Files:
    """Return JSON files, or JSON lines, with one value changed."""
    out = dict(files)
    name = random.choice([name for name in sorted(out) if ".json" in name or ".journal" in name])
    lines = out[name].decode().splitlines()
    try:
        whole = json.loads(out[name])
    except ValueError:
        place = random.randrange(len(lines))
        lines[place] = dump_json(mutate_json(json.loads(lines[place]), random)).decode()
        out[name] = "\n".join(lines).encode() + b"\n"
    else:
        out[name] = dump_json(mutate_json(whole, random))
    return out


def dat_files() -> list[Files]:
    """Return folders in the formats of ML-1M and ML-100k."""
    whole = [(u, m, str(int(float(r))), t) for u, m, r, t in ROWS]
    ml1m = {
        "ratings.dat": "".join("::".join(row) + "\n" for row in whole).encode(),
        "movies.dat": "".join("::".join(row[:3]) + "\n" for row in MOVIES[1]).encode(),
        "users.dat": "".join(
            f"{u}::{g}::{a}::{o}::55455\n" for (u, a, g, _), o in zip(USERS[1], range(6), strict=True)
        ).encode(),
    }
    flags = "|".join(["0"] * 18 + ["1"])
    ml100k = {
        "u.data": "".join("\t".join(row) + "\n" for row in whole).encode(),
        "u.item": "".join(f"{m}|{t}|01-Jan-1995||http://x|{flags}\n" for m, t, *_ in MOVIES[1]).encode("latin-1"),
        "u.user": "".join(f"{u}|{a}|{g}|{o}|55455\n" for u, a, g, o in USERS[1]).encode(),
    }
    return [ml1m, ml100k]


def packed_files() -> list[Files]:
    """Return compressed ratings, and a zip file of a folder."""
    text = csv_text(HEADER, ROWS)
    archive, single = io.BytesIO(), io.BytesIO()
    for buffer, members in ((archive, tables()), (single, {"ratings.csv": text})):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)
    found = [
        {"ratings.csv.gz": gzip.compress(text, mtime=0)},
        {"ratings.csv.bz2": bz2.compress(text)},
        {"ratings.csv.xz": lzma.compress(text)},
        {"all.zip": archive.getvalue()},
        {"ratings.csv.zip": single.getvalue()},
    ]
    try:
        import zstandard
    except ImportError:
        return found
    return [*found, {"ratings.csv.zst": zstandard.compress(text)}]


def log_files() -> list[Files]:
    """Return other layouts: Netflix's, lists per line, wide columns, semicolons, no header."""
    netflix = "1:\n" + "".join(f"{u},{int(float(r))},2001-02-03\n" for u, _, r, _ in ROWS[:6])
    return [
        {"combined_data_1.txt": netflix.encode(), "movie_titles.csv": b"1,1999,Heat\n2,2001,Alien, Romulus\n"},
        {"train.txt": b"0 1 2 3\n1 2 4\n2 0 5\n", "test.txt": b"0 4\n1 0\n"},
        {"ratings.csv": b"userId;animeId;score\n1;1;8,5\n1;2;7\n2;1;-1\n2;2;9\n"},
        {"ratings.csv": "".join(",".join(row) + "\n" for row in ROWS).encode()},
        {"ratings.tsv": csv_text(("User", "Movie Title", "Stars", "Date"), [(u, f"Movie {m}", r, "03/14/2001") for u, m, r, _ in ROWS], "\t")},
        {"a.inter": csv_text(("user_id:token", "item_id:token", "rating:float", "timestamp:float"), ROWS, "\t")},
        tables() | {"links.csv": csv_text(("movieId", "imdbId", "tmdbId"), [(m, f"{m}7770", m) for m, *_ in MOVIES[1]])}
        | {"fullplot.csv": csv_text(("movie_id", "plot"), [(m, f"Plot of {m}") for m, *_ in MOVIES[1]])},
    ]  # fmt: skip


def parquet_files() -> list[Files]:
    """Return a folder of Parquet files."""
    frames = {
        "ratings": pd.DataFrame(json_rows()),
        "movies": pd.DataFrame(MOVIES[1], columns=MOVIES[0]).astype({"movie_id": int, "runtime": int}),
    }
    return [{f"{name}.parquet": frame.to_parquet() for name, frame in frames.items()}]


def change_parquet(files: Files, random: Random) -> Files:
    """Return Parquet files, one with a column of other values or another type."""
    out = dict(files)
    name = random.choice(sorted(out))
    frame = pd.read_parquet(io.BytesIO(out[name]))
    column = random.choice(list(frame.columns))
    kinds: list[Callable[[pd.Series], Any]] = [
        lambda s: s.astype(str), lambda s: s.astype(float), lambda s: s.astype(object).where(s.index != 1, None),
        lambda s: pd.Series([[v] for v in s]), lambda s: pd.Series([{"a": v} for v in s]), lambda s: s.index > 2,
        lambda s: pd.Series([str(v).encode() for v in s]), lambda s: pd.to_datetime(s.index, unit="D"),
        lambda s: pd.Series(pd.to_datetime(s.index, unit="D")).dt.date, lambda s: s.astype(str).astype("category"),
        lambda s: pd.Series(s.index, dtype="uint64") + 2**63, lambda s: s.index.astype("float32") / 0,
        lambda s: pd.Series(np.arange(len(s), dtype="float16")), lambda s: pd.Series(s.index).astype("timedelta64[s]"),
        lambda s: pd.Series([__import__("decimal").Decimal(i) for i in s.index]), lambda s: [None] * len(s),
    ]  # fmt: skip
    kind = random.randrange(len(kinds) + 4)
    if kind < len(kinds):
        frame[column] = kinds[kind](frame[column])
    elif kind == len(kinds):
        frame = frame.rename(columns={column: random.choice(("", "x", "user_id", "rating", "title"))})
        frame = frame.loc[:, ~frame.columns.duplicated()]
    elif kind == len(kinds) + 1:
        frame = frame.iloc[:0]
    elif kind == len(kinds) + 2:
        frame = frame.set_index(column)
    else:
        frame = frame.drop(columns=column)
    out[name] = frame.to_parquet()
    return out


def load_any(folder: Path) -> Dataset:
    """Load what is in a folder, or the only file in it."""
    files = sorted(folder.iterdir())
    packed = (".gz", ".bz2", ".xz", ".zst", ".zip")
    return gnnrec.load_dataset(files[0] if len(files) == 1 and files[0].suffix in packed else folder)


OPTIONS: list[dict[str, Any]] = [
    {"errors": "skip"}, {"duplicates": "mean"}, {"duplicates": "last", "errors": "skip"}, {"decimal": ","},
    {"day_first": True}, {"encoding": "cp1252"}, {"sep": ","}, {"header": False}, {"rating_scale": (0.5, 5.0)},
]  # fmt: skip


def load_with_options(folder: Path) -> Dataset:
    """Load a folder with options chosen by its content."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).digest()
    return gnnrec.load_dataset(folder, **OPTIONS[digest[0] % len(OPTIONS)])


# Models and what belongs to them


@cache
def sample() -> Dataset:
    """Return a small dataset."""
    return make_sample(40, 30)


@cache
def small_config() -> Config:
    """Return settings that train in no time."""
    return Config().override(["train.epochs=2", "model.embedding_dim=4", "model.hidden_dim=4", "train.batch_size=16"])


def folder_files(folder: Path) -> Files:
    """Return the content of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the content of a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def made_by(make: Callable[[Path], Any]) -> Files:
    """Return the files that a function writes into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "made")
        return folder_files(Path(folder) / "made")


@cache
def runs() -> list[Files]:
    """Return saved runs of several models."""
    model = gnnrec.fit(sample(), config=small_config(), progress=False)
    others = [gnnrec.fit(sample(), name) for name in ("popularity", "ease", "itemknn")]
    return [made_by(one.save) for one in (model, *others)]


@cache
def rating_runs() -> list[Files]:
    """Return a saved run with a rating head."""
    settings = gnnrec.RatingConfig(embedding_dim=2, num_samples=3, burn_in=1)
    return [made_by(gnnrec.fit_rating_model(sample(), small_config(), settings, progress=False).save)]


@cache
def small_split() -> Split:
    """Return a split of the sample."""
    return gnnrec.split(sample(), "random")


@cache
def checkpoints() -> list[Files]:
    """Return a run in training after two of its epochs."""
    files = made_by(lambda folder: gnnrec.fit(small_split(), config=small_config(), run_dir=folder, progress=False))
    return [files]


def resume(folder: Path) -> Any:
    """Resume a run whose last epoch is done."""
    return gnnrec.fit(small_split(), config=small_config(), run_dir=folder, resume=True, progress=False)


def change_arrays(files: Files, random: Random) -> Files:
    """Return a folder with the header of an array file, or a value of a JSON file, changed."""
    out = dict(files)
    names = [name for name in sorted(out) if name.endswith((".safetensors", ".npy", ".json"))]
    if not names:
        return mutate_files(files, random)
    name = random.choice(names)
    if name.endswith(".json"):
        out[name] = dump_json(mutate_json(json.loads(out[name]), random))
    else:
        out[name] = (mutate_npy if name.endswith(".npy") else mutate_safetensors)(out[name], random)
    return out


@cache
def embedding_files() -> list[Files]:
    """Return embeddings in all formats that are read."""
    from safetensors.numpy import save as save_tensors

    ids, values = np.array([3, 1, 8]), np.array([[0.5, -1.0], [2.0, 0.0], [1e-3, 7.0]], dtype=np.float32)
    frame = pd.DataFrame({"movieId": ids, "a": values[:, 0], "b": values[:, 1]})

    def saved(save: Callable[..., Any], *arrays: Any, **named: Any) -> bytes:
        buffer = io.BytesIO()
        save(buffer, *arrays, **named)
        return buffer.getvalue()

    return [
        {"mine.csv": frame.to_csv(index=False).encode()},
        {"mine.npy": saved(np.save, values), "mine.ids.npy": saved(np.save, ids)},
        {"mine.npy": saved(np.save, values), "mine.ids.csv": b"movieId\n3\n1\n8\n"},
        {"mine.npz": saved(np.savez, movie_ids=ids, embeddings=values)},
        {"mine.npz": saved(np.savez_compressed, movie_ids=ids.astype(str), embeddings=values)},
        {"mine.safetensors": save_tensors({"movie_ids": ids, "embeddings": values})},
        {"mine.parquet": frame.to_parquet()},
    ]


def read_embeddings(folder: Path) -> Any:
    """Read the embeddings in a folder."""
    from gnnrec.features import read_embeddings

    files = sorted(path for path in folder.iterdir() if ".ids" not in path.name)
    return read_embeddings(files[0] if files else folder / "mine.npy")


def embeddings_view(found: Any) -> str:
    """Return ids and values of embeddings as text."""
    check(bool(np.isfinite(found.values).all()) and found.movie_ids.is_unique, "not finite, or an id twice")
    return f"{found.movie_ids.tolist()!r} {found.values.tolist()!r}"


@cache
def feature_caches() -> list[Files]:
    """Return the folder of ``gnnrec features``."""
    from gnnrec.features import encode_plots

    def make(folder: Path) -> None:
        encode_plots(sample(), encoder="tfidf:4", out=folder, progress=False)
        encode_plots(sample(), encoder="tfidf:3", out=folder, progress=False)

    return [made_by(make)]


def load_features(folder: Path) -> Any:
    """Load all embeddings of a folder."""
    from gnnrec.features import load_features

    return load_features(folder)


def encode_again(folder: Path) -> Any:
    """Encode the plots of a folder again, with what is stored there."""
    from gnnrec.features import encode_plots

    return {"text": encode_plots(sample(), encoder="tfidf:3", out=folder, progress=False)}


def features_view(found: Mapping[str, Any]) -> str:
    """Return embeddings by name as text."""
    return " ".join(f"{name} {embeddings_view(one)}" for name, one in sorted(found.items()))


def split_files() -> list[Files]:
    """Return folders of splits, one with negatives, one with the movies and users of its dataset."""
    split = gnnrec.split(sample(), "random")
    cold = gnnrec.split(sample(), "cold-movies")
    plain = gnnrec.Split(split.train, split.valid, split.test).with_negatives(5)
    return [made_by(one.to_folder) for one in (split, cold, plain)]


def split_view(split: Split) -> str:
    """Return all tables of a split as text; its parts must not overlap."""
    parts = [getattr(split, name) for name in ("train", "valid", "test", "support", "negatives", "candidates")]
    known = [part for part in parts[:4] if part is not None]
    together = pd.concat(known)
    check(not together.duplicated(["user_id", "movie_id"]).any(), "a rating is in two parts")
    return (
        " ".join(frame_view(part) for part in parts if part is not None)
        + f"{split.protocol} {split.mask} {split.history}"
    )


@cache
def studies() -> list[Files]:
    """Return the journal and the database of a small study."""
    from gnnrec import tune

    space = {"reg": {"low": 1, "high": 100, "log": True}}

    def make(folder: Path, url: str) -> None:
        folder.mkdir()
        storage = url.format(folder)
        tune(small_split(), {"space": space}, model="ease", trials=3, storage=storage, progress=False)
        for path in folder.glob(".*"):
            path.unlink()

    return [made_by(lambda folder, url=url: make(folder, url)) for url in ("{}/s.journal", "sqlite:///{}/s.db")]


def read_study(folder: Path) -> Any:
    """Read the study in a folder."""
    from gnnrec.tuning import read_study

    database = folder / "s.db"
    return read_study(f"sqlite:///{database}" if database.exists() else folder / "s.journal")


def study_view(result: Any) -> str:
    """Return the trials of a study as text."""
    return frame_view(result.trials) + repr(result.best)


def yaml_files() -> list[Files]:
    """Return configs and search spaces."""
    space = b"config: c.yaml\ntrain: {epochs: 3}\nspace:\n  model.embedding_dim: {choices: [8, 16]}\n"
    space += b"  train.learning_rate: {low: 0.001, high: 0.01, log: true}\n"
    with tempfile.TemporaryDirectory() as folder:
        Config().override(["train.loss=softmax", "model.encoder=graphsage"]).to_yaml(Path(folder) / "c.yaml")
        return [{"c.yaml": (Path(folder) / "c.yaml").read_bytes(), "s.yaml": space}]


def read_configs(folder: Path) -> Any:
    """Read a config and a search space."""
    from gnnrec.tuning import SearchSpace

    return Config.from_yaml(folder / "c.yaml"), SearchSpace.from_yaml(folder / "s.yaml")


def history_files() -> list[Files]:
    """Return exports of several sites."""
    titles = sample().movies["title"].tolist()[:6]
    names = [title.rpartition(" (") for title in titles]
    letterboxd = csv_text(
        ("Date", "Name", "Year", "Letterboxd URI", "Rating"),
        [
            ("2023-01-0%d" % (1 + n), name, year.rstrip(")"), f"https://boxd.it/{n}", "4.5")
            for n, (name, _, year) in enumerate(names)
        ],
    )
    imdb = csv_text(
        ("Const", "Your Rating", "Date Rated", "Title", "URL", "Title Type", "Year"),
        [
            (f"tt{1000000 + n}", "8", "2020-02-03", name, "x", "Movie", year.rstrip(")"))
            for n, (name, _, year) in enumerate(names)
        ],
    )
    trakt = [
        {
            "rated_at": "2021-01-02T03:04:05.000Z",
            "rating": 8,
            "type": "movie",
            "movie": {"title": name, "year": int(year.rstrip(")")), "ids": {"imdb": "tt1", "tmdb": 5}},
        }
        for name, _, year in names
    ]
    simkl = {
        "movies": [
            {
                "last_watched_at": "2021-01-02T03:04:05Z",
                "user_rating": 7,
                "status": "completed",
                "movie": {"title": name, "year": int(year.rstrip(")")), "ids": {"simkl": 1}},
            }
            for name, _, year in names
        ]
    }
    tmdb = {
        "results": [
            {"id": n, "title": name, "release_date": f"{year.rstrip(')')}-01-01", "rating": 7.5}
            for n, (name, _, year) in enumerate(names)
        ]
    }
    jellyfin = {
        "Items": [
            {
                "Name": name,
                "ProductionYear": int(year.rstrip(")")),
                "Type": "Movie",
                "ProviderIds": {"Imdb": "tt1"},
                "UserData": {"Played": True, "Rating": 8.0, "LastPlayedDate": "2021-01-02T03:04:05.0000000Z"},
            }
            for name, _, year in names
        ]
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ratings.csv", letterboxd)
        file.writestr("watched.csv", letterboxd)
    return [
        {"ratings.csv": letterboxd},
        {"ratings.csv": imdb},
        {"h.csv": csv_text(("Title", "Date"), [(name, "1/2/23") for name, *_ in names])},
        {"h.csv": csv_text(("movieId", "rating", "timestamp", "title"), [(str(n), "4", "978300000", t) for n, t in enumerate(titles)])},
        {"h.csv": csv_text(("TMDb ID", "Type", "Name", "Release Date", "Your Rating"), [(str(n), "movie", t, "1999-01-01", "7") for n, t in enumerate(titles)])},
        {"h.csv": csv_text(("Film", "Jahr", "Note"), [(name, year.rstrip(")"), "3,5") for name, _, year in names])},
        *({"h.json": dump_json(value)} for value in (trakt, simkl, tmdb, jellyfin)),
        {"h.txt": "\n".join(f"- {title} 4/5" for title in titles).encode()},
        {"h.zip": archive.getvalue()},
    ]  # fmt: skip


def change_history(files: Files, random: Random) -> Files:
    """Change one cell or one value of a history."""
    name = next(iter(files))
    if name.endswith(".csv"):
        return change_cell(files, random)
    return change_json(files, random) if name.endswith(".json") else mutate_files(files, random)


def read_history(folder: Path) -> Any:
    """Read the history in a folder."""
    files = sorted(folder.iterdir())
    return gnnrec.read_history(files[0] if files else folder / "h.csv", popularity().graph)


@cache
def popularity() -> Any:
    """Return a fitted model of the sample."""
    return gnnrec.fit(sample(), "popularity")


def history_view(found: Any) -> str:
    """Return the ratings of a history as text, after they have been used."""
    values = list(found.user.ratings.values())
    low, high = sample().rating_scale or (0.5, 5.0)
    check(all(low <= value <= high for value in values), f"a rating outside of {low:g} to {high:g}: {values}")
    if values:
        recommended = popularity().recommend(found.user, k=3)
        check(not recommended["movie_id"].isin(list(found.user.ratings)).any(), "a rated movie is recommended")
    return f"{found.user!r} {found.report} {frame_view(found.report.left_out)}"


def fetch_logs() -> list[Files]:
    """Return the folder of a fetch."""
    from gnnrec.metadata import MovieMetadata, fetch_metadata

    def make(folder: Path) -> None:
        fetch_metadata(sample(), folder, provider(MovieMetadata), limit=6)

    return [made_by(make)]


def provider(metadata: Any) -> Any:
    """Return a provider that knows every plot."""
    from gnnrec.metadata.client import NotFoundError

    class Offline:
        name = "offline"

        def find(self, query: Any) -> Any:
            return metadata("1", query.title, query.year, "title", 1.0, f"Plot of {query.title}", None)

        def poster(self, url: str) -> bytes:
            raise NotFoundError("there are no posters")

    return Offline()


def fetch_again(folder: Path) -> Any:
    """Continue a fetch."""
    from gnnrec.metadata import MovieMetadata, fetch_metadata

    report = fetch_metadata(sample(), folder, provider(MovieMetadata))
    return report, pd.read_csv(folder / "plots.csv", keep_default_na=False)


def fetch_view(found: Any) -> str:
    """Return counts and plots of a fetch."""
    report, plots = found
    return f"{report.num_plots} {frame_view(plots)}"


def poster_files() -> list[Files]:
    """Return posters in all formats."""
    from PIL import Image

    found = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize((40, 60)).convert("RGB").save(buffer, kind)
        found.append({"1.jpg": buffer.getvalue()})
    return found


def open_poster(folder: Path) -> Any:
    """Open a poster."""
    from gnnrec.features.images import open_poster

    return open_poster(folder / "1.jpg")


def saved_datasets() -> list[Files]:
    """Return what `Dataset.to_folder` writes."""
    return [
        made_by(sample().to_folder),
        made_by(lambda folder: gnnrec.load_dataset(_written(folder)).to_folder(folder)),
    ]


def _written(folder: Path) -> Path:
    source = folder.parent / "source"
    write_files(source, tables())
    return source


def targets() -> list[Target]:
    """Return all readers."""
    yaml_tokens = (
        b"&a [*a]",
        b"*a",
        b"!!int x",
        b"!!python/name:os.system",
        b"? [a]",
        b"2001-99-99",
        b"{" * 900,
        b"- " * 900,
    )
    return [
        Target("csv", lambda: [tables(), tables("\t", "tsv")], load_any, dataset_view, change=change_cell),
        Target("csv options", lambda: [tables()], load_with_options, dataset_view, change=change_cell),
        Target("dat", dat_files, load_any, dataset_view, tokens=(b"::", b"|", b"\t")),
        Target("packed", packed_files, load_any, dataset_view),
        Target("layouts", log_files, load_any, dataset_view),
        Target(
            "json lines",
            lambda: [
                {"ratings.jsonl": b"\n".join(map(dump_json, json_rows()))},
                {"ratings.json": dump_json(json_rows())},
            ],
            load_any,
            dataset_view,
            change=change_json,
        ),
        Target("parquet", parquet_files, load_any, dataset_view, change=change_parquet),
        Target("saved datasets", saved_datasets, load_any, dataset_view, change=change_json),
        Target("yaml", yaml_files, read_configs, repr, tokens=yaml_tokens),
        Target("histories", history_files, read_history, history_view, change=change_history),
        Target("splits", split_files, Split.from_folder, split_view, change=change_cell),
        Target("embeddings", embedding_files, read_embeddings, embeddings_view, change=change_arrays),
        Target("feature folders", feature_caches, load_features, features_view, exact=True, change=change_arrays),
        Target("feature caches", feature_caches, encode_again, features_view, exact=True, change=change_arrays),
        Target("runs", runs, gnnrec.load, model_view, exact=True, change=change_arrays),
        Target("rating heads", rating_runs, gnnrec.load_rating_model, lambda m: model_view(m.recommender), exact=True, change=change_arrays, only=("rating.json", "rating.safetensors")),
        Target("checkpoints", checkpoints, resume, model_view, exact=True, change=change_arrays, only=("checkpoint.safetensors",)),
        Target("studies", studies, read_study, study_view, change=change_study),
        Target("fetch logs", fetch_logs, fetch_again, fetch_view, change=change_json),
        Target("posters", poster_files, open_poster, lambda image: image.tobytes()),
    ]  # fmt: skip


def change_study(files: Files, random: Random) -> Files:
    """Change a value of a journal, or the bytes of a database."""
    return change_json(files, random) if "s.journal" in files else mutate_files(files, random)


@cache
def _seeds(name: str) -> list[Files]:
    return next(target for target in targets() if target.name == name).seeds()


@cache
def _expected(name: str, place: int) -> Any:
    target = next(target for target in targets() if target.name == name)
    with tempfile.TemporaryDirectory(prefix="gnnrec-trust-") as folder:
        write_files(Path(folder) / "x", _seeds(name)[place])
        return target.view(target.read(Path(folder) / "x"))


def prepare(target: Target) -> None:
    """Make the valid inputs of a target, and the answers that are expected of them."""
    for place in range(len(_seeds(target.name))):
        _expected(target.name, place)


def trial(target: Target, seed: int, number: int) -> Trial:
    """Return a trial: a changed folder that is read."""
    random = Random(f"{seed} {target.name} {number}")
    place = random.randrange(len(_seeds(target.name)))
    files = _seeds(target.name)[place]
    part = {name: files[name] for name in target.only} or files
    if target.change is not None and random.random() < 0.5:
        part = target.change(part, random)
    else:
        part = mutate_files(part, random, target.tokens)
    changed = {name: data for name, data in files.items() if name not in target.only} | part if target.only else part
    twice = random.random() < 0.25

    def call() -> None:
        with tempfile.TemporaryDirectory(prefix="gnnrec-trust-") as folder:
            path = Path(folder) / "x"
            path.mkdir()
            write_files(path, changed)
            found = target.view(target.read(path))
            if target.exact:
                check(
                    found == _expected(target.name, place), "the answer is another one than that of the unchanged files"
                )
            if twice:
                check(found == target.view(target.read(path)), "reading twice gives different answers")

    return Trial(f"{target.name}#{number}", call, sum(map(len, changed.values())))


# One cell


def cell_trial(seed: int, number: int) -> Trial:
    """Return a trial: one cell of a folder of CSV files is changed, and all other rows must be read as before."""
    random = Random(f"{seed} cells {number}")
    name, (header, rows) = random.choice(
        (("ratings", (HEADER, ROWS)), ("ratings", (HEADER, ROWS)), ("movies", MOVIES), ("users", USERS))
    )
    row, column, text = random.randrange(len(rows)), random.randrange(len(header)), cell_text(random)
    changed = [list(one) for one in rows]
    changed[row][column] = text
    files = tables() | {f"{name}.csv": csv_text(header, changed)}

    def call() -> None:
        with tempfile.TemporaryDirectory(prefix="gnnrec-trust-") as folder:
            write_files(Path(folder), files)
            found = gnnrec.load_dataset(folder)
        dataset_view(found)
        frame, expected = (getattr(one, name) for one in (found, _plain_dataset()))
        if (header[column], text.strip()) == ("rating", "-1") and len(frame) == len(expected) - 1:
            return  # among ratings from 0.5, it stands for movies that are not rated
        check(
            len(frame) == len(expected),
            f"{len(frame)} rows in place of {len(expected)} after {header[column]} {text!r}",
        )
        for other in expected.columns:
            if other not in frame:
                continue
            before, after = expected[other].tolist(), frame[other].tolist()
            if other.endswith("_id"):
                before, after = list(map(str, before)), list(map(str, after))
            one_row_of = before[:row] + before[row + 1 :], after[:row] + after[row + 1 :]
            same = pd.Series(one_row_of[0], dtype=object).equals(pd.Series(one_row_of[1], dtype=object))
            check(same or other == header[column] == "genres", f"{other} of other rows after {header[column]} {text!r}")
        if header[column] in frame or "holds counts" not in str(found.provenance):  # a rating of millions is a count
            check_cell(header[column], text, frame[header[column]].iloc[row])

    return Trial(f"cells#{number}", call, sum(map(len, files.values())))


def check_cell(column: str, text: str, value: Any) -> None:
    """Raise a `WrongAnswerError` unless a value is what a text says, where that is plain."""
    plain = text.strip().strip("\ufeff")
    problem = f"{column} {text!r} is read as {value!r}"
    if column.endswith("_id"):
        is_number = plain.isascii() and plain.lstrip("+-").isdecimal()
        check(
            str(value).strip() == plain or (is_number and str(value) == str(int(plain))) or _same_number(plain, value),
            problem,
        )
    elif column in ("rating", "timestamp", "age", "runtime"):
        if pd.isna(value):
            unknown = column == "runtime" and _same_number(plain, 0)
            check(unknown or (column in ("age", "runtime") and not _is_number(plain)), problem)
        elif _is_number(plain):
            check(_same_number(plain, value), problem)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text))) and "_" not in text
    except ValueError:
        return False


def _same_number(text: str, value: Any) -> bool:
    try:
        return abs(float(text) - float(value)) <= 1e-6 * abs(float(text)) + 0.5 * (float(text) != int(float(text)))
    except (ValueError, OverflowError):
        return False


@cache
def _plain_dataset() -> Dataset:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), tables())
        return gnnrec.load_dataset(folder)
