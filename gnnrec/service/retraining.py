"""Retrains a run: ``python -m gnnrec.service.retraining RUN``. Writes its progress as JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gnnrec._torch import memory_errors
from gnnrec.errors import GnnrecError
from gnnrec.models.estimator import get_estimator, load
from gnnrec.training.callbacks import Callback, FitState


class Progress(Callback):
    """Writes a line after each epoch."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_epoch_end(self, state: FitState) -> None:
        """Report the completed epoch."""
        tell(step=state.epoch, steps=max(self.steps, state.epoch), message=f"epoch {state.epoch}")


def tell(**values: Any) -> None:
    """Write a line that `Jobs` reads."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Train and save; the folder is replaced in a single step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args(arguments)
    try:
        model = load(given.run)
        settings: dict[str, Any] = {}
        steps = 0
        if model.name == "gnn":
            changes = {"train.epochs": given.epochs, "train.seed": given.seed}
            changed = [f"{key}={value}" for key, value in changes.items() if value is not None]
            settings["config"] = model.config.override(changed)
            steps = settings["config"].train.epochs
            estimator = get_estimator("gnn", **settings)
        else:
            estimator = model.estimator
            if given.epochs is not None and "epochs" in type(estimator).model_fields:
                estimator = get_estimator(estimator, epochs=given.epochs)
            estimator = estimator if given.seed is None else estimator.with_seed(given.seed)
            steps = getattr(estimator, "epochs", 0)
        tell(step=0, steps=steps, message="training")
        callbacks = [Progress(steps)] if estimator.trains_in_epochs else []
        with memory_errors("training"):
            fitted = estimator.fit(model.dataset, callbacks=callbacks)
            fitted.save(given.run)
    except (GnnrecError, FloatingPointError, MemoryError, OSError) as error:
        tell(error=" ".join((str(error) or "not enough memory").split()).replace(given.run, "the run"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
