"""The state of a run that is resumed: tensors and JSON, nothing that can run code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from gnnrec import ConfigError, DataError
from gnnrec.nn import Encoder
from gnnrec.training import checkpoint
from gnnrec.training.checkpoint import CHECKPOINT_FILE, TrainingState


class Network(torch.nn.Linear):
    pass


def make_state(seed: int = 0) -> TrainingState:
    network: Any = Network(3, 2)
    torch.nn.init.constant_(network.weight, 0.5 + seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, betas=(0.8, 0.99))
    encoder: Encoder = network
    return TrainingState(encoder, optimizer, torch.Generator().manual_seed(seed))


def step(state: TrainingState) -> list[float]:
    x = torch.rand(4, 3, generator=state.generator)
    loss = state.encoder(x).square().sum()
    state.optimizer.zero_grad()
    loss.backward()
    state.optimizer.step()
    return [float(loss), *state.encoder.weight.flatten().tolist()]  # type: ignore[operator]


def test_everything_comes_back(tmp_path: Path) -> None:
    state = make_state()
    step(state)
    state.record({"epoch": 1, "loss": 0.1 + 0.2, "seconds": 1e-300}, score=0.3)
    step(state)
    state.record({"epoch": 2, "loss": float("nan")}, score=0.2)
    state.write(tmp_path, "print")
    expected = [step(state) for _ in range(3)]
    other = make_state(5)
    other.read(tmp_path, "print")
    assert (other.epoch, other.epochs_since_best, other.best_score) == (2, 1, 0.3)
    assert other.history[0] == {"epoch": 1, "loss": 0.1 + 0.2, "seconds": 1e-300}
    assert [step(other) for _ in range(3)] == expected
    for name, values in state.best_weights.items():
        assert torch.equal(other.best_weights[name], values)


def test_before_the_first_epoch(tmp_path: Path) -> None:
    make_state().write(tmp_path, "print")
    other = make_state(3)
    other.read(tmp_path, "print")
    assert other.best_score == float("-inf") and torch.equal(
        other.generator.get_state(), make_state().generator.get_state()
    )


def test_another_fingerprint(tmp_path: Path) -> None:
    make_state().write(tmp_path, "one")
    other = make_state(5)
    before = other.encoder.weight.clone()  # type: ignore[operator, union-attr]
    with pytest.raises(ConfigError, match="made with another config or other data"):
        other.read(tmp_path, "two")
    assert torch.equal(other.encoder.weight, before)  # type: ignore[arg-type]


class Executed:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path("executed").touch, ()


@pytest.mark.parametrize("make", [pickle.dump, torch.save])
def test_a_pickle_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / CHECKPOINT_FILE).open("wb") as file:
        make(Executed(), file)
    with pytest.raises(DataError, match=r"checkpoint\.safetensors is damaged"):
        make_state().read(tmp_path, "print")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": 99}, "layout 99"), ({"epoch": None}, "damaged"), ({"param_groups": []}, "damaged")],
)
def test_a_changed_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    dumps = json.dumps
    monkeypatch.setattr(checkpoint.json, "dumps", lambda content, **options: dumps({**content, **change}, **options))
    make_state().write(tmp_path, "print")
    with pytest.raises(DataError, match=message):
        make_state().read(tmp_path, "print")


def test_only_tensors_and_json(tmp_path: Path) -> None:
    state = make_state()
    step(state)
    state.write(tmp_path, "print")
    with safe_open(tmp_path / CHECKPOINT_FILE, framework="pt") as file:
        assert json.loads(file.metadata()["gnnrec"])["param_groups"][0]["lr"] == 0.1
        assert {"generator", "encoder.weight", "best.bias", "optimizer.0.exp_avg"} <= set(file.keys())
