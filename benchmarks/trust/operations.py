"""What `kill` stops, and `disk` lets run into a limit: everything in gnnrec that changes files.

Each operation begins with something that was there before. After it was stopped, what is there must load: the old state
or the new one. After it was run again, the result must be that of a process that was never stopped, and no other file
may be left.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image

import gnnrec
from gnnrec.datasets import make_sample
from gnnrec.splitting import Split, random_split

QUICK = ("train.epochs=3", "train.batch_size=32", "model.embedding_dim=8")


class Operation(ABC):
    """Something that changes files in a folder."""

    name: ClassVar[str]
    signals: ClassVar[tuple[str, ...]] = ("SIGKILL", "SIGTERM", "Ctrl-C", "Ctrl-C twice")
    clear_errors: ClassVar[tuple[str, ...]] = ("GnnrecError",)
    """Classes of errors that say what is wrong."""
    is_command: ClassVar[bool] = False
    """Whether it prints its error and exits with status 1."""
    without: ClassVar[tuple[str, ...]] = ()
    """Limits that do not apply."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run what the operation needs besides files, such as a server."""
        yield

    def load(self) -> None:
        """Compute what every child needs, once."""
        small_split()

    def prepare(self, folder: Path) -> None:  # noqa: B027 - not every operation needs something
        """Make what is there before."""

    @abstractmethod
    def perform(self, folder: Path) -> None:
        """Do it, or continue what was stopped."""

    @abstractmethod
    def check(self, folder: Path) -> None:
        """Raise an error unless what is there now is the old state or the new one."""

    @abstractmethod
    def result(self, folder: Path) -> Any:
        """Return what must be equal after `perform` has ended, whether or not it was stopped before."""


def expect(condition: Any, text: str) -> None:
    """Raise an `AssertionError` unless a condition holds."""
    if not condition:
        raise AssertionError(text)


@functools.cache
def small_split() -> Split:
    """Return a small sample with validation ratings."""
    return random_split(make_sample(60, 40), seed=0)


def config(*overrides: str) -> gnnrec.Config:
    """Return settings that train in a fraction of a second."""
    return gnnrec.Config().override([*QUICK, *overrides])


def weights(model: Any) -> str:
    """Return a digest of the weights of a model."""
    from gnnrec.models.storage import tensors_digest

    return str(tensors_digest(model.state()))


def lists(model: Any) -> list[Any]:
    """Return the recommendations of a model for three users."""
    found = model.recommend([1, 2, 3], k=5)
    return [found["movie_id"].tolist(), found["score"].tolist()]


class Train(Operation):
    """A training that writes a checkpoint after each epoch, in the folder of an earlier run."""

    name = "train"

    def prepare(self, folder: Path) -> None:
        gnnrec.fit(
            small_split(), config=config("train.epochs=1", "train.seed=5"), run_dir=folder / "run", progress=False
        )

    def perform(self, folder: Path) -> None:
        resume = (folder / "run" / "checkpoint.safetensors").exists()
        fit = functools.partial(gnnrec.fit, small_split(), config=config(), run_dir=folder / "run", progress=False)
        try:
            fit(resume=resume)
        except gnnrec.ConfigError as error:  # the checkpoint of the earlier run
            expect("made with another config" in str(error), str(error))
            fit()

    def check(self, folder: Path) -> None:
        model = gnnrec.load(folder / "run")
        expect(model.config in (config(), config("train.epochs=1", "train.seed=5")), "another config")
        lists(model)

    def result(self, folder: Path) -> Any:
        model = gnnrec.load(folder / "run")
        history = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in model.history]
        return weights(model), history, lists(model)


class Save(Operation):
    """A model that is saved over another one."""

    name = "save"

    @functools.cached_property
    def models(self) -> tuple[Any, Any]:
        """The old model and the new one."""
        return gnnrec.fit(small_split(), "ease", reg=10), gnnrec.fit(small_split(), "ease", reg=500)

    @functools.cached_property
    def lists(self) -> tuple[Any, Any]:
        """What both of them recommend."""
        return lists(self.models[0]), lists(self.models[1])

    def load(self) -> None:
        self.lists  # noqa: B018 - remembers it

    def prepare(self, folder: Path) -> None:
        self.models[0].save(folder / "run")
        (folder / "run" / "notes.txt").write_text("mine")  # what somebody keeps with a run stays there

    def perform(self, folder: Path) -> None:
        self.models[1].save(folder / "run")

    def check(self, folder: Path) -> None:
        self.result(folder)

    def result(self, folder: Path) -> Any:
        found = lists(gnnrec.load(folder / "run"))
        expect(found in self.lists, "neither old nor new")
        expect((folder / "run" / "notes.txt").read_text() == "mine", "a file beside the run is lost")
        return found


class Features(Operation):
    """Posters and plots that are encoded where the embeddings of other encoders are."""

    name = "features"

    @functools.cached_property
    def dataset(self) -> gnnrec.Dataset:
        """A sample with plots."""
        return make_sample(60, 40)

    def load(self) -> None:
        self.dataset  # noqa: B018 - remembers it

    def prepare(self, folder: Path) -> None:
        from gnnrec.features import encode_plots

        (folder / "posters").mkdir()
        for movie_id in range(1, 31):
            Image.new("RGB", (20, 30), (8 * movie_id, 0, 255 - 8 * movie_id)).save(
                folder / "posters" / f"{movie_id}.png"
            )
        encode_plots(self.dataset, encoder="tfidf:4", out=folder / "out", progress=False)

    def perform(self, folder: Path) -> None:
        from gnnrec.features import encode_plots, encode_posters, store

        store.FLUSH_SECONDS = 0.0
        encode_posters(self.dataset, folder / "posters", "color", out=folder / "out", batch_size=4, progress=False)
        encode_plots(self.dataset, encoder="tfidf:8", out=folder / "out", progress=False)

    def check(self, folder: Path) -> None:
        from gnnrec.features import load_features

        found = load_features(folder / "out")
        expect(found["text"].dim in (4, 8), f"plots have {found['text'].dim} dimensions")
        expect("poster" not in found or len(found["poster"]) == 30, "posters are missing")

    def result(self, folder: Path) -> Any:
        from gnnrec.features import load_features

        return {
            name: [one.movie_ids.tolist(), one.values.tolist()] for name, one in load_features(folder / "out").items()
        }


class Offline:
    """A provider of metadata without a network, which notes what it was asked for."""

    name = "offline"

    def __init__(self, log: Path) -> None:
        self.log = log

    def find(self, query: Any) -> Any:
        """Return a plot and the address of a poster."""
        from gnnrec.metadata import MovieMetadata

        self._note(f"find {query.movie_id}")
        address = f"https://images.example/{query.movie_id}"
        return MovieMetadata(
            str(query.movie_id), query.title, query.year, "title", 1.0, f"Plot of {query.title}", address
        )

    def poster(self, url: str) -> bytes:
        """Return an image."""
        movie_id = int(url.rpartition("/")[2])
        self._note(f"poster {movie_id}")
        data = io.BytesIO()
        Image.new("RGB", (20, 30), (8 * (movie_id % 30), 0, 0)).save(data, "PNG")
        return data.getvalue()

    def _note(self, line: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{line}\n")


class Fetch(Operation):
    """Posters and plots from a provider; no movie may be requested again that was answered."""

    name = "fetch"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            self.logs = Path(folder)
            yield

    def log(self, folder: Path) -> Path:
        """Return the file of what was asked for; it is not where the disk may be full."""
        return self.logs / hashlib.sha256(str(folder).encode()).hexdigest()[:16]

    @functools.cached_property
    def dataset(self) -> gnnrec.Dataset:
        """A sample of few movies."""
        return make_sample(30, 12)

    def load(self) -> None:
        self.dataset  # noqa: B018 - remembers it

    def perform(self, folder: Path) -> None:
        from gnnrec.metadata import fetch_metadata

        fetch_metadata(self.dataset, folder / "out", Offline(self.log(folder)))

    def check(self, folder: Path) -> None:
        from gnnrec.metadata.fetch import FetchLog

        for poster in (folder / "out" / "posters").glob("*.jpg"):
            Image.open(poster).load()
        if (folder / "out" / "plots.csv").exists():
            plots = pd.read_csv(folder / "out" / "plots.csv")
            expect(plots["plot"].str.startswith("Plot of").all(), "a plot is damaged")
        if (folder / "out" / "fetched.jsonl").exists():
            shutil.copy(folder / "out" / "fetched.jsonl", folder.with_suffix(".jsonl"))
            FetchLog(folder.with_suffix(".jsonl"))

    def result(self, folder: Path) -> Any:
        asked = self.log(folder).read_text().splitlines()
        repeated = len(asked) - len(set(asked))
        expect(repeated <= 1, f"{repeated} requests were repeated")  # the one that was under way
        posters = sorted((folder / "out" / "posters").iterdir())
        return (folder / "out" / "plots.csv").read_text(), [hashlib.sha256(p.read_bytes()).hexdigest() for p in posters]


class Tune(Operation):
    """A study whose process dies: the lost trial is taken up again, and counted once."""

    name = "tune, journal"
    trials = 4

    def storage(self, folder: Path) -> str:
        """Return the storage of the study."""
        return str(folder / "study.journal")

    def perform(self, folder: Path) -> None:
        from gnnrec.tuning import storage

        storage.HEARTBEAT_INTERVAL, storage.GRACE_PERIOD = 1, 2
        space = {"space": {"reg": {"choices": [1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0, 1000000.0, 10000000.0]}}}
        gnnrec.tune(
            small_split(), space, model="ease", trials=self.trials, storage=self.storage(folder), progress=False
        )

    def check(self, folder: Path) -> None:
        from gnnrec.tuning import read_study

        with contextlib.suppress(gnnrec.ConfigError):  # not there yet, or no trial is complete
            found = read_study(self.storage(folder)).trials
            expect((found["state"] == "complete").sum() <= self.trials, "too many trials")

    def result(self, folder: Path) -> Any:
        from gnnrec.tuning import read_study

        trials = read_study(self.storage(folder)).trials
        complete = trials[trials["state"] == "complete"]
        settings = complete.filter(like="reg").iloc[:, 0].tolist()
        expect(len(complete) == self.trials, f"{len(complete)} complete trials")
        expect(len(set(settings)) == self.trials, f"a setting was tried twice: {settings}")
        expect("running" not in set(trials["state"]), "a trial is still running")
        return None


class TuneSQLite(Tune):
    """The same in SQLite."""

    name = "tune, SQLite"

    def storage(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'study.db'}"


class TunePostgreSQL(Tune):
    """The same in PostgreSQL, whose server is not killed."""

    name = "tune, PostgreSQL"
    without = ("disk full", "file too large", "read-only", "no such user")  # its files are the server's

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with postgresql() as self.server:
            yield

    def storage(self, folder: Path) -> str:
        name = "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        import psycopg

        with psycopg.connect(self.server, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                    connection.execute(f"CREATE DATABASE {name}")
        return self.server.replace("/postgres?", f"/{name}?")


class Download(Operation):
    """A dataset that is downloaded and unpacked."""

    name = "download"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        from gnnrec import registry

        with tempfile.TemporaryDirectory() as folder:
            ratings = make_sample(60, 40).ratings.to_csv(index=False)
            with zipfile.ZipFile(Path(folder) / "trust-sample.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("trust-sample/ratings.csv", ratings)
                archive.writestr("trust-sample/README.txt", os.urandom(1 << 20).hex())
            digest = hashlib.md5((Path(folder) / "trust-sample.zip").read_bytes()).hexdigest()
            (Path(folder) / "trust-sample.zip.md5").write_text(digest)
            if "trust-sample" not in registry.DATASETS.names():
                register = registry.register_dataset("trust-sample", url="http://127.0.0.1/trust-sample.zip")
                register(lambda **_: make_sample())
            with file_server(Path(folder)) as self.address:
                yield

    def perform(self, folder: Path) -> None:
        from gnnrec.datasets._download import download

        download("trust-sample", folder / "cache", base_url=self.address, progress=False, timeout=300)

    def check(self, folder: Path) -> None:
        target = folder / "cache" / "trust-sample"
        expect(not target.exists() or len(gnnrec.load_dataset(target).ratings) > 1000, "an incomplete download")

    def result(self, folder: Path) -> Any:
        target = folder / "cache" / "trust-sample"
        return sorted((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in target.iterdir())


class Retrain(Operation):
    """The process in which the service trains its run again."""

    name = "retrain"

    def prepare(self, folder: Path) -> None:
        gnnrec.fit(small_split(), config=config("train.epochs=1"), progress=False).save(folder / "run")

    def perform(self, folder: Path) -> None:
        from gnnrec.service import retraining

        with contextlib.redirect_stdout(io.StringIO()) as told:  # the service reads it from a pipe
            code = retraining.main([str(folder / "run"), "--epochs=2", "--seed=7"])
        if code:
            raise gnnrec.GnnrecError(json.loads(told.getvalue().splitlines()[-1])["error"])

    def check(self, folder: Path) -> None:
        model = gnnrec.load(folder / "run")
        expect((model.config.train.epochs, model.config.train.seed) in ((1, 0), (2, 7)), "neither old nor new")
        lists(model)

    def result(self, folder: Path) -> Any:
        model = gnnrec.load(folder / "run")
        return weights(model), lists(model)


class AppWrites(Operation):
    """Profiles and ratings that the app writes to SQLite; what was acknowledged must be there."""

    name = "app, SQLite"
    clear_errors = ("GnnrecError", "SQLAlchemyError")  # the service answers 503
    writes = 25

    def url(self, folder: Path) -> str:
        """Return the database."""
        return f"sqlite:///{folder / 'people.db'}"

    def perform(self, folder: Path) -> None:
        from gnnrec.service.records import Entry
        from gnnrec.service.store import Store

        store = Store(self.url(folder))
        store.migrate()
        with folder.with_suffix(".acknowledged").open("a") as acknowledged:
            for number in range(self.writes):
                name = f"{os.getpid()} {number}"
                profile = store.create_profile(name, age=30)
                store.rate(profile.id, [Entry(str(movie), f"Movie {movie}", number, 3.5) for movie in range(4)])
                acknowledged.write(f"{name}\n")
                acknowledged.flush()
        store.engine.dispose()

    def check(self, folder: Path) -> None:
        self.result(folder)

    def result(self, folder: Path) -> Any:
        from gnnrec.service.store import Store

        path = folder.with_suffix(".acknowledged")
        wanted = path.read_text().splitlines() if path.exists() else []
        if not wanted:
            return None
        store = Store(self.url(folder))
        store.migrate()
        found = {profile.name: profile.id for profile in store.profiles()}
        lost = [name for name in wanted if name not in found]
        expect(not lost, f"{len(lost)} acknowledged profiles are lost")
        for name in wanted:
            expect(len(store.ratings(found[name])) == 4, f"ratings of {name} are lost")
        store.engine.dispose()
        self.check_file(folder)
        return None

    def check_file(self, folder: Path) -> None:
        """Let the database check its file."""
        with contextlib.closing(sqlite3.connect(folder / "people.db")) as connection:
            state = connection.execute("PRAGMA integrity_check").fetchone()[0]
        expect(state == "ok", str(state))


class Command(Operation):
    """``gnnrec train`` as people run it: no traceback, whatever stops it."""

    name = "gnnrec train"
    is_command = True

    def prepare(self, folder: Path) -> None:
        make_sample(60, 40).to_folder(folder / "data")

    def perform(self, folder: Path) -> None:
        from gnnrec.cli import app

        options = [word for setting in QUICK for word in ("--set", setting)]
        words = ["train", "--dataset", str(folder / "data"), "--protocol", "random", "--out", str(folder / "run")]
        if (folder / "run" / "checkpoint.safetensors").exists():
            words.append("--resume")
        with self._stderr(folder).open("w") as file:
            sys.stderr = file
            os.dup2(file.fileno(), 2)
            with contextlib.redirect_stdout(io.StringIO()):
                try:
                    app([*words, *options])
                except SystemExit as stop:
                    if stop.code == 1:
                        file.flush()
                        told = self._stderr(folder).read_text().strip().splitlines()
                        expect(told and told[-1].startswith("error: "), f"no line of an error: {told[-3:]}")
                    if stop.code:
                        raise

    @staticmethod
    def _stderr(folder: Path) -> Path:
        """Return a file beside the folder of a case, for use when the case's disk may be full."""
        return folder.parent.with_suffix(".stderr")

    def check(self, folder: Path) -> None:
        path = self._stderr(folder)
        text = path.read_text() if path.exists() else ""
        expect("Traceback" not in text, f"a traceback: {text[-300:]}")
        if (folder / "run").exists():
            lists(gnnrec.load(folder / "run"))

    def result(self, folder: Path) -> Any:
        model = gnnrec.load(folder / "run")
        split = Split.from_folder(folder / "run" / "split")
        return weights(model), lists(model), [len(split.train), len(split.valid), len(split.test)]


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder from a process of its own; yields its address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split("port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def postgresql_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, None if it is not installed."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server in a temporary folder; yields the URL of a database."""
    programs = postgresql_programs()
    assert programs is not None
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = {"user": "nobody", "group": "nogroup"}
            shutil.chown(folder, "nobody", "nogroup")
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user}
        data = f"{folder}/data"
        subprocess.run([programs / "initdb", "-D", data, "-A", "trust", "-U", "trust"], check=True, **quiet)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run([programs / "pg_ctl", "-D", data, "-w", "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql://trust@/postgres?host={folder}"
        finally:
            subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=False, **quiet)


def kinds() -> list[type[Operation]]:
    """Return every kind of operation that can be tried on this machine."""
    tuning = [Tune, TuneSQLite, *([TunePostgreSQL] if postgresql_programs() is not None else [])]
    return [Train, Save, Features, Fetch, *tuning, Download, Retrain, AppWrites, Command]


def operations() -> list[Operation]:
    """Return every operation that can be tried on this machine."""
    return [kind() for kind in kinds()]


def preload() -> None:
    """Import what the operations use, so that forked children need not."""
    for name in (
        "benchmarking",
        "cli.train",
        "features",
        "metadata",
        "models",
        "plots",
        "service.retraining",
        "service.store",
        "tuning",
    ):
        importlib.import_module(f"gnnrec.{name}")
    from gnnrec.plots import training_curve
    from gnnrec.service.store import Store

    for kind in (Train, Save, Features, Fetch, TuneSQLite):  # what is imported at the first use
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            training_curve([{"epoch": 1, "loss": 1.0}], "sample", Path(folder) / "training.png")
            work = Path(folder).resolve() / "w"
            work.mkdir()
            operation = kind()
            with operation.running():
                operation.prepare(work)
                operation.perform(work)
                operation.result(work)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/people.db")
        store.migrate()
        store.engine.dispose()


def work_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder in memory if there is one there: a killed process loses nothing in it, and it is fast."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="gnnrec-trust-", dir=memory if os.access(memory, os.W_OK) else None)


def listing(folder: Path) -> list[str]:
    """Return the paths of all files and folders in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def plain(value: Any) -> Any:
    """Return a result as JSON would have it, so that results of two processes can be compared."""
    return json.loads(json.dumps(value, default=lambda one: np.asarray(one).tolist()))
