"""`TrainingState`: everything that changes during training; written after each epoch and read to resume."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import torch

from gnnrec._io import write_atomic
from gnnrec.errors import ConfigError, DataError
from gnnrec.nn import Encoder

CHECKPOINT_FILE = "checkpoint.pt"


class TrainingState:
    """Everything that changes during training, and the weights of the best epoch.

    Parameters
    ----------
    encoder : Encoder
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

    def __init__(self, encoder: Encoder, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
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
        buffer = io.BytesIO()
        content = {
            "fingerprint": fingerprint,
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "epoch": self.epoch,
            "epochs_since_best": self.epochs_since_best,
            "history": self.history,
            "best_score": self.best_score,
            "best_weights": self.best_weights,
        }
        torch.save(content, buffer)
        write_atomic(Path(run_dir) / CHECKPOINT_FILE, buffer.getvalue())

    def read(self, run_dir: str | Path, fingerprint: str) -> None:
        """Restore the checkpoint in a run folder.

        Raises
        ------
        DataError
            There is no checkpoint, or it is damaged.
        ConfigError
            It was written with another config or other data.
        """
        path = Path(run_dir) / CHECKPOINT_FILE
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            found = content["fingerprint"]
        except FileNotFoundError:
            raise DataError(f"nothing to resume: {path} does not exist") from None
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: {error}") from None
        if found != fingerprint:
            raise ConfigError(f"{path} was made with another config or other data; resume with the same ones")
        self.encoder.load_state_dict(content["encoder"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.generator.set_state(content["generator"])
        self.epoch, self.epochs_since_best = content["epoch"], content["epochs_since_best"]
        self.history = content["history"]
        self.best_score, self.best_weights = content["best_score"], content["best_weights"]
