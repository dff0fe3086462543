"""`TrainingState`: everything that changes during training; written after each epoch and read to resume."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gnnrec._io import check_layout, own_file, parse_json, stamp, write_atomic
from gnnrec.errors import ConfigError, DataError
from gnnrec.nn import BaseEncoder

CHECKPOINT_FILE = "checkpoint.safetensors"
FORMAT = 1
"""Layout of a checkpoint: tensors by name, and everything else as JSON in the header."""


class TrainingState:
    """Everything that changes during training, and the weights of the best epoch.

    Parameters
    ----------
    encoder : Encoder or Ensemble
    optimizer : torch.optim.Optimizer
    generator : torch.Generator
        Source of all random numbers in the training loop.

    Attributes
    ----------
    epoch : int
        Number of completed epochs.
    history : list of dict
        Metrics of each epoch.
    epochs_since_best : int
        Epochs since the validation metric last improved.

    Examples
    --------
    >>> import tempfile
    >>> def new_state():
    ...     network = torch.nn.Linear(2, 1)
    ...     return TrainingState(network, torch.optim.AdamW(network.parameters()), torch.Generator())
    >>> state = new_state()
    >>> for score in (0.1, 0.3, 0.2):
    ...     state.record({"epoch": state.epoch + 1}, score)
    >>> state.epoch, state.best_score, state.epochs_since_best
    (3, 0.3, 1)
    >>> folder, resumed = tempfile.mkdtemp(), new_state()
    >>> state.write(folder, "config and data")
    >>> resumed.read(folder, "config and data")
    >>> resumed.epoch, resumed.best_score
    (3, 0.3)
    """

    def __init__(self, encoder: BaseEncoder, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        self.encoder, self.optimizer, self.generator = encoder, optimizer, generator
        self.epoch = 0
        self.epochs_since_best = 0
        self.history: list[dict[str, Any]] = []
        self.best_score = float("-inf")
        self.best_weights = copy.deepcopy(encoder.state_dict())

    def record(self, entry: dict[str, Any], score: float | None) -> None:
        """Complete an epoch. Without a validation `score`, the last epoch is the best."""
        self.epoch += 1
        self.history.append(entry)
        if score is None or score > self.best_score:
            self.best_score = self.best_score if score is None else score
            self.best_weights = copy.deepcopy(self.encoder.state_dict())
            self.epochs_since_best = 0
        else:
            self.epochs_since_best += 1

    def load_best(self) -> None:
        """Restore the weights of the best epoch."""
        self.encoder.load_state_dict(self.best_weights)

    def write(self, run_dir: str | Path, fingerprint: str) -> None:
        """Write a checkpoint into a run folder; `fingerprint` identifies config and data."""
        optimizer = self.optimizer.state_dict()
        tensors, numbers = {"generator": self.generator.get_state()}, {}
        for parameter, values in optimizer["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{parameter}.{name}"] = value
                else:
                    numbers[f"{parameter}.{name}"] = value
        tensors |= {f"encoder.{name}": value for name, value in self.encoder.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best_weights.items()}
        content = {
            **stamp(FORMAT),
            "fingerprint": fingerprint,
            "epoch": self.epoch,
            "epochs_since_best": self.epochs_since_best,
            "history": self.history,
            "best_score": self.best_score,
            "param_groups": optimizer["param_groups"],
            "optimizer": numbers,
        }
        plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        content["digest"] = _digest(content, plain)
        write_atomic(Path(run_dir) / CHECKPOINT_FILE, save(plain, {"gnnrec": json.dumps(content)}))

    def read(self, run_dir: str | Path, fingerprint: str) -> None:
        """Restore the checkpoint in a run folder.

        Raises
        ------
        DataError
            There is no checkpoint, or it is damaged.
        ConfigError
            It was written with another config or other data.
        """
        path = own_file(Path(run_dir), CHECKPOINT_FILE)
        if not path.is_file():
            raise DataError(f"nothing to resume: {path} does not exist")
        try:
            with safe_open(path, framework="pt") as file:
                content = parse_json((file.metadata() or {})["gnnrec"])
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            if not isinstance(content, dict):
                raise ValueError("its header is not a JSON object")
            found, digest = content["fingerprint"], content.pop("digest", None)
            check_layout(content, FORMAT, str(path), "start over without resuming")
            if digest is not None and digest != _digest(content, tensors):
                raise ValueError("it was changed after it was saved")
            if found == fingerprint:
                self._restore(content, tensors)
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is damaged: {error}") from None
        if found != fingerprint:
            raise ConfigError(f"{path} was made with another config or other data; resume with the same ones")

    def _restore(self, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        own = self.encoder.state_dict()
        for part in ("encoder", "best"):
            weights = dict(_part(tensors, part))
            if {name: value.shape for name, value in weights.items()} != {n: value.shape for n, value in own.items()}:
                raise ValueError(f"the {part} weights have other shapes than those of the network")
            if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
                raise ValueError(f"the {part} weights are not finite")
        if not all(isinstance(entry, dict) for entry in content["history"]):
            raise ValueError("its history is not a list of epochs")
        state: dict[int, dict[str, Any]] = {}
        for name, value in (*_part(tensors, "optimizer"), *content["optimizer"].items()):
            parameter, _, key = name.partition(".")
            state.setdefault(int(parameter), {})[key] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": content["param_groups"]})
        self.encoder.load_state_dict(dict(_part(tensors, "encoder")))
        self.generator.set_state(tensors["generator"])
        self.best_weights = dict(_part(tensors, "best"))
        self.epoch, self.epochs_since_best = int(content["epoch"]), int(content["epochs_since_best"])
        self.history, self.best_score = list(content["history"]), float(content["best_score"])


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of a checkpoint."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}".encode())
        if values.numel():
            digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Return the tensors whose names start with `prefix` and a dot, without it."""
    return (
        (name.removeprefix(f"{prefix}."), value) for name, value in tensors.items() if name.startswith(f"{prefix}.")
    )
