"""What an enemy may hand over: runs, caches, archives, images, servers and answers that lie.

``python -m benchmarks.trust.lies --seconds 60`` tries every lie of the list once, then forged runs, checkpoints and
caches with checksums that fit, until the time is over.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

import gnnrec
from benchmarks.trust import bombs, forge, readers
from benchmarks.trust.hostile_server import Answer, HostileServer, endless, hostile_server, response, silent
from benchmarks.trust.mutate import Files
from benchmarks.trust.sandbox import Trial, WrongAnswerError, run_trials
from gnnrec import Config, GnnrecError, Split
from gnnrec.features.images import MAX_BYTES
from gnnrec.metadata import MovieMetadata, RequestPolicy, Tmdb, fetch_metadata

KEY = "0123456789abcdef0123456789abcdef"
"""Of a service, which must not be found anywhere."""
HASTY = RequestPolicy(
    connect_timeout=5, read_timeout=1, total_timeout=2, max_attempts=2, backoff=0.01, max_wait=1, rate_limit=1000
)
MARKER = "gnnrec-trust-marker"


def must_refuse(call: Callable[[], Any], *parts: str) -> None:
    """Call a function, which must raise a `GnnrecError` that names all parts."""
    try:
        found = call()
    except GnnrecError as error:
        for part in parts:
            if part not in str(error):
                raise WrongAnswerError(f"the error does not name {part!r}: {error}") from None
        return
    raise WrongAnswerError(f"it was believed: {found!r}"[:300])


# Runs and caches


def written(folder: Path, files: Files) -> Path:
    """Write files into a new folder."""
    readers.write_files(folder, files)
    return folder


KINDS: dict[str, tuple[Callable[[], Files], Callable[[Path], Any], tuple[str, ...]]] = {
    "run": (lambda: readers.runs()[0], gnnrec.load, ("run.json", "config.yaml", "nodes.json", "metrics.json", "weights.safetensors", "graph.safetensors")),
    "rating head": (lambda: readers.rating_runs()[0], gnnrec.load_rating_model, ("rating.json", "rating.safetensors")),
    "checkpoint": (lambda: readers.checkpoints()[0], readers.resume, ("checkpoint.safetensors",)),
    "features": (lambda: readers.feature_caches()[0], readers.load_features, ("text.safetensors",)),
    "split": (lambda: readers.split_files()[0], Split.from_folder, ("train.csv", "split.json")),
    "ratings": (readers.tables, gnnrec.load_dataset, ("ratings.csv",)),
    "history": (lambda: readers.history_files()[0], readers.read_history, ("ratings.csv",)),
    "config": (lambda: readers.yaml_files()[0], readers.read_configs, ("c.yaml",)),
    "study": (lambda: readers.studies()[0], readers.read_study, ("s.journal",)),
    "npz": (lambda: readers.embedding_files()[3], readers.read_embeddings, ("mine.npz",)),
}  # fmt: skip
"""By kind: a valid folder, how it is read, and files that something else is put in the place of."""


def replaced_by_pipe(path: Path) -> None:
    """Put a pipe where a file was."""
    path.unlink()
    os.mkfifo(path)


def replaced_by_folder(path: Path) -> None:
    """Put a folder where a file was."""
    path.unlink()
    path.mkdir()


def replaced_by_device(path: Path) -> None:
    """Put a link to a device without an end where a file was."""
    path.unlink()
    path.symlink_to("/dev/zero")


def replaced_by_link(path: Path) -> None:
    """Put a link to a file outside of the folder where the file was."""
    outside = path.parent.parent / f"outside-{path.name}"
    path.rename(outside)
    path.symlink_to(outside)


def replaced_by_pickle(path: Path) -> None:
    """Put a pickle that leaves a mark where a file was."""
    path.write_bytes(bombs.evil_pickle(path.parent.parent / MARKER))


def in_place_of(kind: str, name: str, replace_file: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return a lie: something else in place of a file."""

    def lie(folder: Path) -> None:
        make, read, _ = KINDS[kind]
        place = written(folder / "x", make())
        replace_file(place / name)
        must_refuse(lambda: read(place), name)
        if (folder / MARKER).exists():
            raise WrongAnswerError("a pickle was read")

    return lie


def tensors_that(kind: str, name: str, **entry: Any) -> Callable[[Path], None]:
    """Return a lie: a safetensors file whose header declares something."""

    def lie(folder: Path) -> None:
        make, read, _ = KINDS[kind]
        files = make()
        place = written(folder / "x", files | {name: forge.declare(files[name], **entry)})
        must_refuse(lambda: read(place), name)

    return lie


def signed_run(change: Callable[[Files], Files], *parts: str) -> Callable[[Path], None]:
    """Return a lie: a run with changed files and checksums that fit."""

    def lie(folder: Path) -> None:
        files = change(dict(readers.runs()[0]))
        must_refuse(lambda: gnnrec.load(written(folder / "x", forge.sign_run(files))), *parts)

    return lie


def set_config(**sections: dict[str, Any]) -> Callable[[Files], Files]:
    """Return a change of the settings of a run."""
    import yaml

    def change(files: Files) -> Files:
        settings = yaml.safe_load(files["config.yaml"])
        for section, values in sections.items():
            settings[section] |= values
        return files | {"config.yaml": json.dumps(settings).encode()}

    return change


def run_lies() -> dict[str, Callable[[Path], None]]:
    """Return lies of run folders, checkpoints, caches and other files."""
    found: dict[str, Callable[[Path], None]] = {}
    replacements = {
        "pipe": replaced_by_pipe,
        "folder": replaced_by_folder,
        "device": replaced_by_device,
        "pickle": replaced_by_pickle,
    }
    for kind, (_, _, names) in KINDS.items():
        for name in names:
            for what, replace_file in replacements.items():
                found[f"{kind}: {what} for {name}"] = in_place_of(kind, name, replace_file)
            if kind in ("run", "rating head", "checkpoint", "features"):
                found[f"{kind}: link for {name}"] = in_place_of(kind, name, replaced_by_link)
            if name.endswith(".safetensors"):
                huge = {"shape": [2**40, 4], "data_offsets": [0, 2**44]}
                found[f"{kind}: terabytes in {name}"] = tensors_that(kind, name, **huge)
                found[f"{kind}: overlap in {name}"] = tensors_that(kind, name, data_offsets=[4, 8])
                found[f"{kind}: backwards in {name}"] = tensors_that(kind, name, data_offsets=[8, 0])
    nested = b'{"format": 6, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    found["run: nested run.json"] = lambda folder: must_refuse(
        lambda: gnnrec.load(written(folder / "x", readers.runs()[0] | {"run.json": nested})), "run.json"
    )
    for name in ("nodes.json", "metrics.json"):
        found[f"run: nested {name}"] = signed_run(lambda files, name=name: files | {name: nested})
    found |= {
        "run: billion laughs": signed_run(lambda files: files | {"config.yaml": bombs.LAUGHS}, "more than 100,000 values"),
        "run: huge embeddings": signed_run(set_config(model={"embedding_dim": 2**31 - 1})),
        "run: a million dimensions": signed_run(set_config(model={"embedding_dim": 10**6})),
        "run: huge hidden layer": signed_run(set_config(model={"temporal": True, "hidden_dim": 60_000})),
        "run: a billion layers": signed_run(set_config(model={"encoder": "graphsage", "num_layers": 10**9})),
        "run: endless decays": signed_run(set_config(model={"temporal": True, "position_decays": [1.0] * 90_000})),
        "run: an encoder that is a list": signed_run(set_config(model={"encoder": ["lightgcn"]})),
        "run: an encoder by path": signed_run(set_config(model={"encoder": "../../evil.py"})),
    }  # fmt: skip
    for text, value in (("NaN", float("nan")), ("inf", float("inf"))):
        found[f"run: {text} in weights"] = signed_run(
            lambda files, value=value: files | {"weights.safetensors": bombs.with_value(files["weights.safetensors"], value)},
            "not finite",
        )  # fmt: skip
    return found


# YAML, archives, images


def yaml_lies() -> dict[str, Callable[[Path], None]]:
    """Return YAML that would fill the memory."""
    text = bombs.LAUGHS.decode()

    def config(folder: Path) -> None:
        must_refuse(lambda: Config.from_yaml(written(folder, {"c.yaml": bombs.LAUGHS}) / "c.yaml"), "c.yaml")

    def space(folder: Path) -> None:
        from gnnrec.tuning import SearchSpace

        path = written(folder, {"s.yaml": bombs.LAUGHS}) / "s.yaml"
        must_refuse(lambda: SearchSpace.from_yaml(path), "s.yaml")

    def long(folder: Path) -> None:
        path = written(folder, {"c.yaml": b"a: [" + b"x, " * 2_000_000 + b"]"}) / "c.yaml"
        must_refuse(lambda: Config.from_yaml(path), "c.yaml")

    def objects(folder: Path) -> None:
        for tag in ("!!python/object/apply:os.system ['touch x']", "!!python/name:os.system", "!!python/module:os"):
            path = written(folder, {"c.yaml": f"train: {{seed: {tag}}}".encode()}) / "c.yaml"
            must_refuse(lambda path=path: Config.from_yaml(path), "c.yaml")

    return {
        "yaml: laughs in a config": config,
        "yaml: laughs in a search space": space,
        "yaml: laughs in an override": lambda _: must_refuse(lambda: Config().override([f"train.seed={text}"])),
        "yaml: laughs in a protocol": lambda _: must_refuse(lambda: gnnrec.split(readers.sample(), f"random:seed={text}")),
        "yaml: long": long,
        "yaml: objects": objects,
        "yaml: itself": lambda _: must_refuse(lambda: Config().override(["train.loss_options=&a {x: *a}"])),
    }  # fmt: skip


@cache
def _long_history() -> bytes:
    return bombs.zip_of({"ratings.csv": b"0" * (200 << 20)})


def archive_lies() -> dict[str, Callable[[Path], None]]:
    """Return archives, compressed files and images that explode or climb."""
    found: dict[str, Callable[[Path], None]] = {}
    for name, make in bombs.COMPRESSED.items():
        found[f"archive: bomb {name}"] = lambda folder, name=name, make=make: must_refuse(
            lambda: gnnrec.load_dataset(written(folder, {name: make()}) / name), name
        )

    def climbing(folder: Path) -> None:
        place = written(folder / "x", {"evil.zip": bombs.climbing_zip()})
        before = set(os.listdir(folder)) | set(os.listdir(place))
        with contextlib.suppress(GnnrecError):
            gnnrec.load_dataset(place / "evil.zip")
        after = set(os.listdir(folder)) | set(os.listdir(place))
        if after != before or Path(bombs.ABSOLUTE).exists() or Path(tempfile.gettempdir(), "climbed.csv").exists():
            raise WrongAnswerError(f"a member climbed out: {after - before}")

    def history(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
        return lambda folder: must_refuse(
            lambda: gnnrec.read_history(written(folder, {name: make()}) / name, readers.popularity())
        )

    def image(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
        from gnnrec.features.images import open_poster

        return lambda folder: must_refuse(lambda: open_poster(written(folder, {name: make()}) / name), name)

    found["archive: climbing zip"] = climbing
    found["archive: history bomb"] = history("h.zip", _long_history)
    found["archive: history of a million files"] = history("h.zip", bombs.many_members)
    found["archive: npz bomb"] = lambda folder: must_refuse(
        lambda: readers.read_embeddings(written(folder, {"mine.npz": bombs.npz_bomb()})), "mine.npz"
    )
    found["archive: parquet of a billion rows"] = lambda folder: must_refuse(
        lambda: gnnrec.load_dataset(written(folder, {"ratings.parquet": bombs.parquet_bomb()})), "ratings.parquet"
    )
    found |= {f"image: {name}": image(name, make) for name, make in bombs.IMAGES.items()}
    return found


# Downloads


@contextlib.contextmanager
def hasty_downloads() -> Iterator[None]:
    """Make limits of downloads small, so that they are reached soon."""
    from gnnrec.datasets import _download

    small = {"MAX_ARCHIVE_BYTES": 8 << 20, "WINDOW": 1.0, "HEAD_SECONDS": 4.0, "RETRY_DELAY": 0.01, "MAX_SECONDS": 15.0}
    before = {name: getattr(_download, name) for name in small}
    try:
        for name, value in small.items():
            setattr(_download, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(_download, name, value)


def downloaded(**answers: Answer) -> Callable[[Path], None]:
    """Return a lie of a server of datasets; nothing may be left behind."""

    def lie(folder: Path) -> None:
        from gnnrec.datasets import download

        named = {
            {"md5": ".zip.md5", "zip": ".zip", "other": "/other"}[name]: answer for name, answer in answers.items()
        }
        named = dict(sorted(named.items(), key=lambda entry: -len(entry[0])))
        with hasty_downloads(), hostile_server(named) as server:
            for name, answer in named.items():
                if isinstance(answer, bytes):
                    server.answers[name] = answer.replace(b"SERVER", server.url.encode())
            must_refuse(
                lambda: download("ml-latest-small", folder / "d", base_url=server.url, timeout=2.0, progress=False)
            )
        left = list((folder / "d").iterdir()) if (folder / "d").is_dir() else []
        if left:
            raise WrongAnswerError(f"files were left: {left}")

    return lie


def download_lies() -> dict[str, Callable[[Path], None]]:
    """Return lies of servers of datasets."""
    ok = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    drip = endless(ok + b"\r\n", b"x", 0.3)
    headers = endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.2)
    gzipped = {"Content_Encoding": "gzip"}
    to = lambda target: response(b"", 302, Location=target)  # noqa: E731
    lies = {
        "endless md5": {"md5": endless(ok + b"\r\n")},
        "dripping md5": {"md5": drip},
        "silent md5": {"md5": silent},
        "endless head of md5": {"md5": headers},
        "compressed md5": {"md5": response(bombs.gzip_bomb(), **gzipped)},
        "md5 without checksum": {"md5": response(b"<html>")},
        "endless zip": {"zip": endless(ok + b"\r\n")},
        "endless zip that says its size": {"zip": endless(ok + b"Content-Length: 99999999999999\r\n\r\n")},
        "dripping zip": {"zip": drip},
        "silent zip": {"zip": silent},
        "endless head of zip": {"zip": headers},
        "compressed zip": {"zip": response(bombs.gzip_bomb(), **gzipped)},
        "zip compressed five times": {"zip": response(bombs.gzip_bomb(), Content_Encoding="gzip, gzip, gzip, gzip, gzip")},
        "negative chunk": {"zip": ok + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"},
        "huge chunk": {"zip": ok + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n"},
        "no chunk size": {"zip": ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
        "negative length": {"zip": ok + b"Content-Length: -1\r\n\r\nhello"},
        "length of digits": {"zip": ok + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello"},
        "a thousand headers": {"zip": ok + b"X: y\r\n" * 1000 + b"\r\n"},
        "a long header": {"zip": ok + b"X: " + b"y" * 100_000 + b"\r\n\r\n"},
        "no http": {"zip": b"\x00\xff garbage"},
        "nothing": {"zip": b""},
        "status 999": {"zip": response(b"", 999)},
        "redirects in a circle": {"zip": to("/ml-latest-small.zip")},
        "redirect to a file": {"zip": to("file:///etc/passwd")},
        "redirect to a private address": {"zip": to("http://127.0.0.2:1/x.zip")},
        "redirect to a number": {"zip": to("http://2130706433:1/x.zip")},
        "redirect to version 6": {"zip": to("http://[::ffff:127.0.0.1]:1/x.zip")},
        "redirect to a long label": {"zip": to("http://" + "a" * 64 + ".example/x.zip")},
        "redirect to a surrogate": {"zip": to("http://ex\xedample\xa0\x80/x.zip")},
        "endless body of a redirect": {"zip": endless(b"HTTP/1.1 302 X\r\nLocation: file:///x\r\n\r\n")},
        "zip that climbs": {"zip": response(bombs.climbing_zip())},
        "zip bomb": {"zip": response(bombs.zip_of({"ml-latest-small/ratings.csv": b"0" * (50 << 20)}))},
        "no zip": {"zip": response(b"hello")},
    }  # fmt: skip
    return {f"download: {name}": downloaded(**answers) for name, answers in lies.items()}


# Metadata


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def fetched(answers: dict[str, Answer], *, poster: str | None = None) -> Callable[[Path], None]:
    """Return a lie of a service of metadata: the fetch must end by itself or refuse, keep its key, and go on later."""

    def lie(folder: Path) -> None:
        with hostile_server(answers) as server:
            for name, answer in answers.items():
                if isinstance(answer, bytes):
                    server.answers[name] = answer.replace(b"SERVER", server.url.encode())
            texts = _fetch(server, folder, poster)
            texts += _fetch(server, folder, poster)  # whatever was written can be read again
        for path in folder.rglob("*"):
            if path.is_file():
                texts.append(path.read_bytes().decode("latin-1"))
            texts.append(path.name)
        if any(KEY in text for text in texts):
            raise WrongAnswerError("the key was found: " + next(text for text in texts if KEY in text)[:300])

    return lie


def _fetch(server: HostileServer, folder: Path, poster: str | None) -> list[str]:
    """Fetch from a server; return everything that a person could see of it."""
    records, logger = _Records(), logging.getLogger()
    level = logger.level
    logger.addHandler(records)
    logger.setLevel(logging.DEBUG)
    texts: list[str] = []
    try:
        os.environ["TMDB_API_KEY"] = KEY
        tmdb = Tmdb.from_environment(api_url=f"{server.url}/3", image_url=f"{server.url}/images", policy=HASTY)
        provider: Any = tmdb
        if poster is not None:
            provider = _WithPoster(tmdb, poster.replace("SERVER", server.url))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                texts.append(repr(fetch_metadata(_few_movies(), folder / "out", provider, limit=3).missing.to_dict()))
            except GnnrecError:
                texts.append(traceback.format_exc())
        texts += [str(warning.message) for warning in caught]
        texts += [repr(tmdb), repr(tmdb.client)]
    finally:
        os.environ.pop("TMDB_API_KEY", None)
        logger.removeHandler(records)
        logger.setLevel(level)
    return texts + records.texts


class _WithPoster:
    """A provider that finds every movie, with a poster at some address."""

    name = "tmdb"

    def __init__(self, tmdb: Tmdb, url: str) -> None:
        self._tmdb, self._url = tmdb, url

    def find(self, query: Any) -> MovieMetadata:
        """Return metadata with the address of a poster."""
        return MovieMetadata("1", query.title, query.year, "title", 1.0, "A plot.", self._url)

    def poster(self, url: str) -> bytes:
        """Return the poster."""
        return self._tmdb.poster(url)


@cache
def _few_movies() -> Any:
    ratings = readers.sample().ratings.query("movie_id <= 3").reset_index(drop=True)
    movies = readers.sample().movies.query("movie_id <= 3").reset_index(drop=True)
    return gnnrec.Dataset(ratings, movies)


def fetch_lies() -> dict[str, Callable[[Path], None]]:
    """Return lies of services of metadata, and of where posters are."""
    ok = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    movie = {"id": 1, "title": "Heat", "overview": "A plot.", "release_date": "1995-01-01", "poster_path": "/a.jpg"}

    def results(**changes: Any) -> bytes:
        found = [movie | {"title": title.rpartition(" (")[0]} | changes for title in _few_movies().movies["title"]]
        return response(json.dumps({"results": found}).encode())

    answers: dict[str, dict[str, Answer]] = {
        "nested JSON": {"/3/": response(b"[" * 200_000)},
        "nested object": {"/3/": response(b'{"results": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")},
        "surrogates": {"/3/": results(overview="\ud800 plot", title="\udfff")},
        "surrogate in a name": {"/3/": response(b'{"\\ud800": "\\udc00", "results": [{"id": 1, "title": "\\ud83d"}]}')},
        "escape codes": {"/3/": results(overview="\x1b[2J\x07 plot")},
        "huge numbers": {"/3/": results(id=10**300, vote_count=10**300)},
        "digits": {"/3/": response(b'{"results": [{"id": ' + b"9" * 5000 + b"}]}")},
        "other types": {"/3/": results(id=[1], title={"a": 1}, overview=5, release_date=[2], poster_path=True)},
        "no object": {"/3/": response(b"[1, 2]")},
        "no text": {"/3/": response(b"\xff\xfe\x00")},
        "NaN": {"/3/": results(vote_count=float("nan"))},
        "endless answer": {"/3/": endless(ok + b"\r\n")},
        "dripping answer": {"/3/": endless(ok + b"\r\n", b" ", 0.5)},
        "silent service": {"/3/": silent},
        "endless head": {"/3/": endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.5)},
        "compressed answer": {"/3/": response(bombs.gzip_bomb(), Content_Encoding="gzip")},
        "compressed five times": {"/3/": response(bombs.gzip_bomb(), Content_Encoding="gzip, gzip, gzip, gzip, gzip")},
        "unknown compression": {"/3/": response(b"x", Content_Encoding="evil")},
        "broken gzip": {"/3/": response(b"\x1f\x8b\x08garbage", Content_Encoding="gzip")},
        "negative chunk": {"/3/": ok + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"},
        "huge chunk": {"/3/": ok + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n"},
        "no chunk size": {"/3/": ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
        "negative length": {"/3/": ok + b"Content-Length: -1\r\n\r\nhello"},
        "a thousand headers": {"/3/": ok + b"X: y\r\n" * 1000 + b"\r\n"},
        "no http": {"/3/": b"\x00\xff garbage"},
        "nothing": {"/3/": b""},
        "pause of digits": {"/3/": response(b"", 429, Retry_After="9" * 400)},
        "pause of a year": {"/3/": response(b"", 429, Retry_After="31536000")},
        "negative pause": {"/3/": response(b"", 429, Retry_After="-5")},
        "pause until the year 99999": {"/3/": response(b"", 503, Retry_After="Fri, 31 Dec 99999 23:59:59 GMT")},
        "pause that is no number": {"/3/": response(b"", 503, Retry_After="nan")},
        "the key is said again": {"/3/": response(json.dumps({"status_message": KEY}).encode(), 401)},
        "the key in a plot": {"/3/": results(overview=f"A plot {KEY}")},
        "the key in a redirect": {"/3/": response(b"", 302, Location=f"http://example.org/?k={KEY}")},
        "the key in a redirect to here": {"/3/": response(b"", 302, Location=f"SERVER/4/?k={KEY}")},
        "redirect to a private address": {"/3/": response(b"", 302, Location="http://127.0.0.2:1/")},
        "redirects in a circle": {"/3/": response(b"", 302, Location="/3/again")},
        "server error": {"/3/": response(b"x", 500)},
        "poster that climbs": {"/3/": results(poster_path="/../../../etc/passwd")},
        "poster elsewhere": {"/3/": results(poster_path="@127.0.0.2/x.jpg")},
    }  # fmt: skip
    found = {f"fetch: {name}": fetched(given) for name, given in answers.items()}
    posters = {
        "loopback": "http://127.0.0.2:1/x.jpg",
        "number": "http://2130706433:1/x.jpg",
        "octal": "http://0177.0.0.1:1/x.jpg",
        "short": "http://127.1:1/x.jpg",
        "mapped": "http://[::ffff:127.0.0.1]:1/x.jpg",
        "translated": "http://[64:ff9b::7f00:1]:1/x.jpg",
        "6to4": "http://[2002:7f00:1::]:1/x.jpg",
        "zero": "http://0.0.0.0:1/x.jpg",
        "metadata of clouds": "http://169.254.169.254/latest/",
        "local name": "http://localhost:1/x.jpg",
        "file": "file:///etc/passwd",
        "gopher": "gopher://127.0.0.1/x",
        "long label": "http://" + "a" * 64 + ".example/x.jpg",
        "long name": "http://" + "a." * 200 + "example/x.jpg",
        "surrogate": "http://ex\ud800ample/x.jpg",
        "no host": "http:///x.jpg",
        "a port of letters": "http://example.org:abc/x.jpg",
        "a large port": "http://example.org:99999/x.jpg",
        "an open bracket": "http://[::1/x.jpg",
        "line ends": "http://example.org/\r\nX: y",
        "empty": "",
        "blank": " ",
    }
    found |= {f"poster at: {name}": fetched({}, poster=url) for name, url in posters.items()}
    images = {"bomb": bombs.IMAGES["bomb.png"](), "text": b"hello", "html": b"<html>", "empty": b""}
    found |= {
        f"poster: {name}": fetched({"/p": response(data, Content_Type="image/png")}, poster="SERVER/p.png")
        for name, data in images.items()
    }
    found["poster: endless"] = fetched({"/p": endless(ok + b"Content-Type: image/png\r\n\r\n")}, poster="SERVER/p.png")
    return found


def terminal_lies() -> dict[str, Callable[[Path], None]]:
    """Return titles that would command a terminal."""

    def printed(folder: Path) -> None:
        import io

        from gnnrec.cli import _output

        evil = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202eTitle\x7f"
        frame = pd.DataFrame({"title": [evil], "n": [1]})
        for options in ({}, {"as_json": True}, {"title": evil}):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                _output.show(frame, **options)
                _output.say(evil)
                _output.note(evil)
                with contextlib.suppress(BaseException), _output.errors():
                    raise gnnrec.DataError(f"unknown movie {evil}")
            text = out.getvalue() + err.getvalue()
            if any(mark in text for mark in "\x1b\x07\x9b\u202e\x7f"):
                raise WrongAnswerError(f"a code reached the terminal: {text!r}"[:300])
            if options.get("as_json") and json.loads(out.getvalue().partition("]\n")[0] + "]")[0]["title"] != evil:
                raise WrongAnswerError("JSON does not hold the title")

    return {"terminal: titles": printed}


@cache
def lies() -> dict[str, Callable[[Path], None]]:
    """Return all lies of the list, by name."""
    return run_lies() | yaml_lies() | archive_lies() | download_lies() | fetch_lies() | terminal_lies()


def listed_trial(name: str) -> Trial:
    """Return the trial of a lie of the list."""

    def call() -> None:
        with tempfile.TemporaryDirectory(prefix="gnnrec-trust-") as folder:
            lies()[name](Path(folder))

    size = MAX_BYTES if name.startswith("poster:") else 1 << 20
    return Trial(f"{name.partition(':')[0]} = {name}", call, size)


def forged_targets() -> dict[str, readers.Target]:
    """Return readers of files whose checksums an enemy made."""
    by_name = {target.name: target for target in readers.targets()}

    def changed(name: str, change: Callable[[bytes, Random], bytes]) -> Callable[[Files, Random], Files]:
        return lambda files, random: files | {name: change(files[name], random)}

    found = {
        "forged runs": replace(by_name["runs"], change=forge.forge_run),
        "forged settings": replace(by_name["runs"], change=forge.forge_config),
        "forged rating heads": replace(by_name["rating heads"], change=forge.forge_run, only=(), view=_rating_view),
        "forged checkpoints": replace(by_name["checkpoints"], change=changed("checkpoint.safetensors", forge.forge_checkpoint)),
        "forged features": replace(by_name["feature folders"], change=changed("text.safetensors", forge.forge_embeddings)),
        "forged caches": replace(by_name["feature caches"], change=changed("text.safetensors", forge.forge_embeddings)),
    }  # fmt: skip
    return {name: replace(target, name=name, exact=False) for name, target in found.items()}


def _rating_view(model: Any) -> str:
    """Return predictions as text; they must be finite."""
    found = gnnrec.predict_ratings(model, model.recommender.ids["user"].tolist()[:3], [1, 2, 3])
    readers.check(bool(np.isfinite(found["rating"]).all()), "a rating is not finite")
    return readers.frame_view(found)


def forged_trial(target: readers.Target, seed: int, number: int) -> Trial:
    """Return the trial of a forged folder: refused, or believed with answers that hold what every answer promises."""
    random = Random(f"{seed} {target.name} {number}")
    seeds = target.seeds()
    files = seeds[random.randrange(len(seeds))]
    assert target.change is not None
    changed = target.change(files, random)

    def call() -> None:
        with tempfile.TemporaryDirectory(prefix="gnnrec-trust-") as folder:
            path = Path(folder) / "x"
            readers.write_files(path, changed)
            target.view(target.read(path))

    return Trial(f"{target.name}#{number}", call, sum(map(len, changed.values())))


def prepare(names: list[str]) -> None:
    """Make what lies are made of, so that no trial pays for it."""
    groups = {name.partition(":")[0] for name in names}
    for kind, (make, read, _) in KINDS.items():
        if kind in groups:
            files = make()
            with tempfile.TemporaryDirectory() as folder:
                read(written(Path(folder) / "x", files))
    readers.popularity(), _few_movies()
    if groups & {"archive", "image"}:
        for make in (*bombs.COMPRESSED.values(), *bombs.IMAGES.values(), bombs.npz_bomb, bombs.parquet_bomb):
            make()
        bombs.many_members(), _long_history()


def run(seed: int, seconds: float, *, names: list[str] | None = None) -> dict[str, Any]:
    """Try every lie of the list, then forged files until the time is over; see `benchmarks.trust.fuzz.run`."""
    end = time.monotonic() + seconds
    chosen = list(lies()) if names is None else names
    prepare(chosen)
    total = run_trials(lambda number: listed_trial(chosen[number]), range(len(chosen)))
    targets, number = list(forged_targets().values()), 0
    while time.monotonic() < end:
        for target in targets:
            run_trials(
                lambda one, target=target: forged_trial(target, seed, one), range(number, number + 25), end, total
            )
        number += 25
    return total.report()


def main() -> None:
    """Print a report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(run(given.seed, given.seconds), indent=1))


if __name__ == "__main__":
    main()
