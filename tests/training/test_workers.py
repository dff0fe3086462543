"""Training by several processes gives what a single one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gnnrec._workers import Workers
from gnnrec.config import Config
from gnnrec.datasets import make_sample
from gnnrec.graph import Graph
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import GraphTensors
from gnnrec.training import batch_loss, sample_batches
from tests.helpers.cli import fails

SETTINGS = {
    "masked edges": ["train.history_truncation=0.5", "train.profile_dropout=0.2"],
    "two layers": ["model.num_layers=2", "train.loss=softmax"],
    "sampled": ["train.loss=sampled_softmax"],
    "next item": ["train.objective=next_item", "train.horizon=3", "train.loss=sampled_softmax"],
    "next item of users": ["train.objective=next_item", "train.horizon=2"],
}
CASES = {  # for real processes
    "mse": ["model.embedding_dim=8", "train.epochs=3", "train.batch_size=30"],
    "timed": ["model.embedding_dim=8", "train.epochs=2", "train.objective=next_item", "train.loss=sampled_softmax"],
    "one user": ["model.embedding_dim=8", "train.epochs=1", "train.batch_size=1"],
}
SCRIPT = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import gnnrec
from gnnrec.training import TimeLimit

split = gnnrec.split(gnnrec.load_dataset("sample", num_users=60, num_movies=40), "random")
cases, found = json.loads(sys.argv[1]), {}
for name, overrides in cases.items():
    model = gnnrec.fit(split, config=gnnrec.Config().override(overrides))
    found[name] = [[entry["loss"], entry["ndcg@20"]] for entry in model.history]
first = os.environ.get("RANK", "0") == "0"
# The first process decides when to stop.
limited = gnnrec.fit(split, config=gnnrec.Config().override(cases["mse"]), callbacks=[TimeLimit(1e-9)] * first)
found["stopped after"] = len(limited.history)
if first:
    print(json.dumps(found))
"""
FAILING = """
import os, signal
from pathlib import Path
import gnnrec.models.gnn_training as training

original, calls = training.sample_batches, []

def failing(*arguments):
    calls.append(1)
    if len(calls) == 3 and os.environ.get("RANK") == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

training.sample_batches = failing
"""


def torchrun(*words: object, processes: int = 2, **options: object) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes, *words)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True, timeout=600, **options
    )


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("overrides", SETTINGS.values(), ids=SETTINGS)
def test_parts_of_a_loss_add_up(overrides: list[str], size: int) -> None:
    config = Config().override(["model.embedding_dim=8", "train.batch_size=20", *overrides])
    graph = Graph.from_dataset(make_sample(60, 40))
    encoder, tensors = make_encoder(config, graph), GraphTensors.from_graph(graph)
    encoder.prepare(tensors)
    batch = sample_batches(graph, config.train, torch.Generator().manual_seed(0))[0]

    def loss_and_gradient(workers: list[Workers]) -> tuple[float, torch.Tensor]:
        encoder.zero_grad()
        losses = []
        for one in workers:
            generator = torch.Generator().manual_seed(1)
            losses.append(batch_loss(encoder, graph, tensors, batch, config.train, generator, one))
            losses[-1].backward()
        return sum(loss.item() for loss in losses), torch.cat(
            [weight.grad.reshape(-1) for weight in encoder.parameters() if weight.grad is not None]
        )

    whole, gradient = loss_and_gradient([Workers()])
    parts, summed = loss_and_gradient([Workers(rank, size) for rank in range(size)])
    assert parts == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(summed, gradient, rtol=1e-4, atol=1e-6)
    assert whole > 0


def test_parts_are_disjoint_and_complete() -> None:
    for number in range(9):
        parts = [range(*Workers(rank, 4).part(number)) for rank in range(4)]
        assert [one for part in parts for one in part] == list(range(number))


def test_other_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert "start ease without torchrun" in fails("train", "--dataset", "sample", "--model", "ease", "--out", "run")


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    cases = json.dumps(CASES)
    alone = subprocess.run([sys.executable, script, cases], capture_output=True, text=True, timeout=600, check=True)
    together = torchrun(script, cases)
    assert together.returncode == 0, together.stderr
    expected, found = json.loads(alone.stdout), json.loads(together.stdout)
    assert found["stopped after"] == expected["stopped after"] == 1
    for name in CASES:
        assert [loss for loss, _ in found[name]] == pytest.approx([loss for loss, _ in expected[name]], rel=1e-5)
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in expected[name]], abs=1e-3)


@pytest.mark.slow
def test_a_killed_process_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    words = ("-m", "gnnrec", "--plugin", "failing.py", "train", "--dataset", "sample", "--protocol", "random")
    words = (*words, "--set", "train.epochs=4", "--set", "model.embedding_dim=8", "--set", "model.num_members=1")
    done = torchrun("--max-restarts", 1, *words, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved in run") == 1
    history = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    plain = subprocess.run(
        [sys.executable, "-m", "gnnrec", *words[4:], "--out", "plain"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    assert plain.stdout.splitlines()[0] == done.stdout.splitlines()[0]
    expected = json.loads((tmp_path / "plain" / "metrics.json").read_text())["history"]
    assert [one["loss"] for one in history] == pytest.approx([one["loss"] for one in expected], rel=1e-5)
    assert not list(tmp_path.glob(".*"))
