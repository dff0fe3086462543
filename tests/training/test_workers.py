"""Training by several processes gives what a single one gives."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnrec import Split, fit
from gnnrec._workers import Workers, is_first_worker
from gnnrec.config import Config
from gnnrec.datasets import make_sample
from gnnrec.graph import Graph
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import GraphTensors
from gnnrec.splitting import random_split
from gnnrec.training import TimeLimit, batch_loss, sample_batches
from tests.helpers.cli import call, fails, succeeds
from tests.helpers.forks import in_fork

gnn_training = importlib.import_module("gnnrec.models.gnn_training")
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


def torchrun(function: Callable[[], None], *, max_restarts: int = 0) -> int:
    """Call a function in two processes that the agent of torchrun forks; return 0 if all of them succeed in the end."""

    def launch() -> None:
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=2, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
            run_id="test", max_restarts=max_restarts, start_method="fork", monitor_interval=0.1,
        )  # fmt: skip
        elastic_launch(config, worker)()

    def worker() -> None:
        torch.set_num_threads(1)  # threads of the process before the fork are gone
        function()

    return in_fork(launch)


def histories(split: Split) -> dict[str, list[list[float]]]:
    """Train by each of `CASES`; return losses and validation values of the epochs."""
    found = {}
    for name, overrides in CASES.items():
        model = fit(split, config=Config().override(overrides), progress=False)
        found[name] = [[entry["loss"], entry["ndcg@20"]] for entry in model.history]
    # The first process decides when to stop.
    limits = [TimeLimit(1e-9)] if is_first_worker() else []
    limited = fit(split, config=Config().override(CASES["mse"]), callbacks=limits, progress=False)
    return {**found, "stopped": [[entry["loss"], entry["ndcg@20"]] for entry in limited.history]}


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
@pytest.mark.filterwarnings("ignore:no epoch was better")
def test_two_processes_are_one(tmp_path: Path) -> None:
    split = random_split(make_sample(60, 40))

    def train() -> None:
        (tmp_path / f"{os.environ['RANK']}.json").write_text(json.dumps(histories(split)))

    expected = histories(split)
    assert torchrun(train) == 0
    assert len(expected["stopped"]) == 1 and len(expected["mse"]) == 3
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found.keys() == expected.keys()
        for name, epochs in expected.items():
            assert [loss for loss, _ in found[name]] == pytest.approx([loss for loss, _ in epochs], rel=1e-5)
            assert [value for _, value in found[name]] == pytest.approx([value for _, value in epochs], abs=1e-3)


@pytest.mark.slow
def test_a_killed_process_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", "--dataset", "sample", "--protocol", "random")
    words += ("--set", "train.epochs=4", "--set", "model.embedding_dim=8", "--set", "model.num_members=1")
    monkeypatch.chdir(tmp_path)

    def train() -> None:
        original, calls = gnn_training.sample_batches, []

        def failing(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 3 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
                Path("killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        gnn_training.sample_batches = failing  # type: ignore[attr-defined]
        result = call(*words, "--out", "run")
        assert result.exit_code == 0, result.output
        Path(f"output-{os.environ['RANK']}").write_text(result.stdout)

    assert torchrun(train, max_restarts=1) == 0
    assert Path("killed").exists()
    output = Path("output-0").read_text()
    assert output.count("saved in run") == 1 and Path("output-1").read_text() == ""
    history = json.loads(Path("run/metrics.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    assert succeeds(*words, "--out", "plain").splitlines()[0] == output.splitlines()[0]
    expected = json.loads(Path("plain/metrics.json").read_text())["history"]
    assert [one["loss"] for one in history] == pytest.approx([one["loss"] for one in expected], rel=1e-5)
    assert not list(tmp_path.glob(".*"))
