"""Forks, threads and warning filters: gnnrec in a process that is not its own."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import gnnrec.sparse
from gnnrec import Config, fit
from gnnrec._seeded import Seeded
from gnnrec.datasets import make_sample
from gnnrec.models import MF, NeuMF, SASRec
from gnnrec.models.estimator import get_estimator
from gnnrec.splitting import random_split
from tests.helpers.ports import free_port

HOME = Path(__file__).resolve().parents[1]

MODEL = """
import gnnrec, torch
dataset = gnnrec.load_dataset("sample", num_users=300, num_movies=200)
config = gnnrec.Config().override(["train.epochs=1", "model.embedding_dim=16"])
model = gnnrec.fit(dataset, config=config, progress=False)
users = list(range(1, 301))
expected = gnnrec.recommend(model, users, k=5)["movie_id"].tolist()
"""


IMPORTS = """
before = list(warnings.filters)
import gnnrec, gnnrec.sparse, gnnrec.models, gnnrec.tuning
own = [one for one in warnings.filters if one not in before]
ours = ("Sparse", "torch.jit.script")
assert not [one for one in own if one[1] is not None and any(name in one[1].pattern for name in ours)], own
"""
TRAINED = """
gnnrec.fit(gnnrec.load_dataset("sample", num_users=60, num_movies=40), "ease")
assert gnnrec.fit(dataset, "lightgcn", epochs=1, progress=False).name == "lightgcn"
"""
FORKED = """
warnings.simplefilter("ignore")
import multiprocessing
def child(queue):
    found = gnnrec.recommend(model, users, k=5)["movie_id"].tolist()
    more = gnnrec.fit(dataset, config=config, progress=False)
    queue.put((found, len(more.history), torch.get_num_threads()))
assert torch.get_num_threads() == 2
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,), daemon=True)
process.start()
assert queue.get(timeout=500) == (expected, 1, 1)
process.join(500)
assert process.exitcode == 0
assert torch.get_num_threads() == 2  # the parent goes on as before
assert gnnrec.recommend(model, users, k=5)["movie_id"].tolist() == expected
"""
APP = """
import json, os, traceback, warnings
told = {}
for name, code in parts.items():
    try:
        exec(code, globals())
    except BaseException:
        told[name] = traceback.format_exc()
    else:
        told[name] = ""
print(json.dumps(told), flush=True)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    found = gnnrec.recommend(model, users, k=5)["movie_id"].tolist()
    return [json.dumps([os.getpid(), found == expected]).encode()]
"""
"""What an application does when it is imported, and for each request."""


@dataclass
class Application:
    """A process that has imported an application, and serves it where gunicorn is installed."""

    process: subprocess.Popen[str]
    port: int
    told: dict[str, str]
    """The error of each part of what it did, empty if there was none."""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder, port = tmp_path_factory.mktemp("shop"), free_port()
    parts = {"imports": IMPORTS, "model": MODEL, "trained": TRAINED}
    if hasattr(os, "fork"):
        parts["forked"] = FORKED
    (folder / "shop.py").write_text(f"parts = {parts!r}\n{APP}")
    paths = os.pathsep.join(filter(None, [str(folder), str(HOME), *sys.path, os.environ.get("PYTHONPATH")]))
    ours = "ignore:no epoch was better than the initialization"  # one epoch is too few
    serve = [
        "-m",
        "gunicorn",
        "--preload",
        "--workers",
        "2",
        "--timeout",
        "0",
        "--bind",
        f"127.0.0.1:{port}",
        "shop:app",
    ]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-W", ours, *(serve if find_spec("gunicorn") else ["shop.py"])],
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "2"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (folder / "errors").read_text()
            yield Application(process, port, json.loads(line))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=300)
            process.stdout.close()


@pytest.mark.slow
def test_warnings_may_be_errors_and_the_filters_of_the_caller_stay_as_they_are(application: Application) -> None:
    assert [application.told[name] for name in ("imports", "model", "trained")] == ["", "", ""]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_model_that_was_used_answers_and_trains_after_a_fork(application: Application) -> None:
    assert application.told["forked"] == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_computes_a_cached_property(monkeypatch: pytest.MonkeyPatch) -> None:
    computing, forked = threading.Event(), threading.Event()

    class Slow:
        @functools.cached_property
        def value(self) -> int:
            computing.set()
            forked.wait(600)
            return 5

    Slow.__module__ = gnnrec.sparse.__name__
    monkeypatch.setattr(gnnrec.sparse, "Slow", Slow, raising=False)
    slow = Slow()
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert computing.wait(600)
    child = os.fork()
    if child == 0:
        forked.set()
        os._exit(slow.value)  # waits for ever if the lock is that of the thread
    try:
        deadline = time.monotonic() + 300
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert ended[0] == child and os.waitstatus_to_exitcode(ended[1]) == 5
    finally:
        forked.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.network
def test_a_model_that_was_used_is_served_by_preloaded_workers(application: Application) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    server, deadline = application.process, time.monotonic() + 600
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{application.port}/", timeout=300) as response:
                pid, is_expected = json.load(response)
            break
        except ConnectionError:
            assert server.poll() is None and time.monotonic() < deadline
        except OSError as error:
            assert isinstance(getattr(error, "reason", None), ConnectionError), error
            assert server.poll() is None and time.monotonic() < deadline
        time.sleep(0.5)
    assert is_expected and pid != server.pid


# Threads


def states(split: Any, estimators: list[Any]) -> list[dict[str, torch.Tensor]]:
    return [fit(split, estimator, progress=False).state() for estimator in estimators]


@pytest.mark.slow
def test_fits_in_threads_equal_fits_one_after_another() -> None:
    split = random_split(make_sample(120, 80))
    small = ["train.epochs=2", "model.embedding_dim=8", "model.temporal=true"]
    configs = [Config().override([*small, f"train.seed={seed}"]) for seed in (0, 1)]
    estimators = [
        *(get_estimator("gnn", config=config) for config in configs),
        SASRec(epochs=2, embedding_dim=8, length=10, dropout=0.3),
        MF(epochs=2, embedding_dim=4),
        NeuMF(epochs=2, embedding_dim=4),
    ]
    alone = states(split, estimators)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(len(estimators)) as pool:
        together = list(pool.map(lambda one: states(split, [one])[0], estimators))
    assert torch.equal(torch.get_rng_state(), before)
    for expected, found in zip(alone, together, strict=True):
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            assert torch.equal(values, found[name]), name


def everything_random() -> list[torch.Tensor]:
    x = torch.ones(2, 3, 4, 8, requires_grad=True)
    attention = torch.nn.functional.scaled_dot_product_attention
    layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=4, batch_first=True)
    return [
        torch.nn.Linear(3, 2).weight,
        torch.nn.Embedding(3, 2).weight,
        torch.nn.init.xavier_uniform_(torch.empty(3, 3)),
        torch.nn.init.trunc_normal_(torch.empty(3, 3)),
        torch.nn.init.orthogonal_(torch.empty(3, 3)),
        torch.rand(3),
        torch.randn(2, 2),
        torch.randint(9, (5,)),
        torch.randperm(7),
        torch.empty(4).exponential_(),
        torch.bernoulli(torch.full((6,), 0.5)),
        torch.multinomial(torch.ones(5), 3),
        torch.nn.Dropout(0.3)(x),
        torch.nn.functional.dropout(x, 0.5),
        attention(x, x, x, dropout_p=0.4),
        layer(x[0]),
    ]


def test_a_seed_of_its_own_gives_the_numbers_of_the_global_generator() -> None:
    torch.manual_seed(5)
    expected = everything_random()
    torch.manual_seed(9)
    before = torch.get_rng_state()
    with Seeded(5):
        found = everything_random()
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)
    found[-1].sum().backward()  # gradients go through what was drawn


def test_a_generator_that_was_given_is_used() -> None:
    expected = torch.rand(3, generator=torch.Generator().manual_seed(1))
    with Seeded(5):
        assert torch.equal(torch.rand(3, generator=torch.Generator().manual_seed(1)), expected)
