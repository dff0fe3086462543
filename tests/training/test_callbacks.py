"""Callbacks: which values they take, in which order they are called, what loggers log and close."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gnnrec
from gnnrec import ConfigError, EarlyStopping, MLflowLogger, TensorBoardLogger, TimeLimit, WandbLogger
from gnnrec.datasets import make_sample
from gnnrec.splitting import random_split
from gnnrec.training.callbacks import Callback, CallbackList, FitState
from gnnrec.training.loop import FitRun


class Named(Callback):
    """Writes its calls to a log that several callbacks share; fails in one of them."""

    def __init__(self, name: str, log: list[str], fail_in: str = "") -> None:
        self.name, self.log, self.fail_in = name, log, fail_in

    def on_fit_start(self, state: FitState) -> None:
        self.note("start")

    def on_epoch_end(self, state: FitState) -> None:
        self.note("epoch")

    def on_fit_end(self, state: FitState) -> None:
        self.note("end")

    def note(self, what: str) -> None:
        self.log.append(f"{self.name} {what}")
        if what == self.fail_in:
            raise RuntimeError(f"{self.name} failed in {what}")


def run(callbacks: list[Callback], epochs: int = 1) -> None:
    FitRun(callbacks=callbacks).run_epochs(lambda: 0.5, lambda: 0, epochs)


@pytest.mark.parametrize(
    ("fail_in", "calls"),
    [
        ("", ["a start", "b start", "c start", "a epoch", "b epoch", "c epoch", "a end", "b end", "c end"]),
        ("start", ["a start", "b start", "a end", "b end"]),
        ("epoch", ["a start", "b start", "c start", "a epoch", "b epoch", "a end", "b end", "c end"]),
        ("end", ["a start", "b start", "c start", "a epoch", "b epoch", "c epoch", "a end", "b end", "c end"]),
    ],
)
def test_every_callback_that_was_started_is_ended(fail_in: str, calls: list[str]) -> None:
    log: list[str] = []
    callbacks = [Named("a", log), Named("b", log, fail_in), Named("c", log)]
    if fail_in:
        with pytest.raises(RuntimeError, match=f"b failed in {fail_in}"):
            run(callbacks)
    else:
        run(callbacks)
    assert log == calls


def test_callbacks_end_after_an_exception_in_an_epoch() -> None:
    log: list[str] = []

    def run_epoch() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FitRun(callbacks=[Named("a", log)]).run_epochs(run_epoch, lambda: 0, 3)
    assert log == ["a start", "a end"]


def test_the_same_callbacks_in_two_fits() -> None:
    log: list[str] = []
    callback = Named("a", log)
    run([callback])
    run([callback], epochs=2)
    assert log == ["a start", "a epoch", "a end", "a start", "a epoch", "a epoch", "a end"]


def test_the_first_of_several_reasons_to_stop_is_kept() -> None:
    state = FitState()
    state.stop("early stopping")
    state.stop("time limit")
    assert state.stopped_by == "early stopping"
    state = FitState()
    state.stop()
    assert state.stopped_by == "a callback"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(0), "patience must be an integer of at least 1, not 0"),
        (lambda: EarlyStopping(1.5), "patience must be an integer of at least 1, not 1.5"),  # type: ignore[arg-type]
        (lambda: TimeLimit(0), "seconds must be a number above 0, not 0"),
        (lambda: TimeLimit(math.nan), "seconds must be a number above 0, not nan"),
        (lambda: CallbackList(print), "callbacks must be a list of Callback objects, such as EarlyStopping()"),
        (lambda: CallbackList([EarlyStopping]), "callbacks must be a list of Callback objects"),  # type: ignore[list-item]
    ],
)
def test_invalid_callbacks(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)


# Loggers


class FakeRun:
    """A run of MLflow or Weights & Biases that only notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> FakeRun:
            self.calls.append((name, (*args, options) if options else args))
            return self

        return call


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str) -> FakeRun:
    module, fake = ModuleType(name), FakeRun()
    module.__getattr__ = lambda attribute: getattr(fake, attribute)  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, name, module)
    return fake


def fit_with(logger: Callback) -> list[dict[str, Any]]:
    split = random_split(make_sample(40, 30))
    model = gnnrec.fit(split, "mf", embedding_dim=2, epochs=2, callbacks=[logger], progress=False)
    assert len(model.history) == 2
    return [{key: value for key, value in entry.items() if key != "epoch"} for entry in model.history]


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit_with(TensorBoardLogger(tmp_path / "tb"))
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "ndcg@20", "seconds"}
    for name in ("loss", "ndcg@20"):
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2]
        assert [scalar.value for scalar in scalars] == pytest.approx([entry[name] for entry in history])


def test_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fake_module(monkeypatch, "mlflow")
    history = fit_with(MLflowLogger("movies", run_name="first"))
    names = [name for name, _ in fake.calls]
    assert names == ["set_experiment", "start_run", "log_params", "log_metrics", "log_metrics", "end_run"]
    calls = dict(fake.calls)
    assert calls["set_experiment"] == ("movies",) and calls["start_run"] == ({"run_name": "first"},)
    assert calls["log_params"][0]["model"] == "mf" and calls["log_params"][0]["embedding_dim"] == 2
    # MLflow does not allow @ in names.
    logged = {name.replace("@", "_at_"): value for name, value in history[-1].items()}
    assert calls["log_metrics"] == (logged, {"step": 2})


def test_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fake_module(monkeypatch, "wandb")
    history = fit_with(WandbLogger("movies", mode="offline"))
    assert [name for name, _ in fake.calls] == ["init", "log", "log", "finish"]
    calls = dict(fake.calls)
    options = calls["init"][-1]
    assert (options["project"], options["mode"], options["config"]["model"]) == ("movies", "offline", "mf")
    assert calls["log"] == (history[-1], {"step": 2})


def test_nested_settings_are_logged_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fake_module(monkeypatch, "mlflow")
    logger = MLflowLogger()
    logger.on_fit_start(FitState(model="gnn", settings={"model": {"num_layers": 2}, "train": {"epochs": 3}}))
    assert dict(fake.calls)["log_params"][0] == {"model": "gnn", "model.num_layers": 2, "train.epochs": 3}


@pytest.mark.parametrize(
    ("logger", "package", "module"),
    [
        (lambda: TensorBoardLogger("tb"), "tensorboard", "torch.utils.tensorboard"),
        (MLflowLogger, "mlflow", "mlflow"),
        (WandbLogger, "wandb", "wandb"),
    ],
)
def test_a_missing_logger_is_named(logger: Any, package: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(
        ConfigError, match=rf"this logger needs {package}; install it with: pip install 'gnnrec\[{package}\]'"
    ):
        logger()


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_logger_that_cannot_start_closes_what_it_opened(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fake_module(monkeypatch, name)

    def refuse(*args: Any, **options: Any) -> Any:
        raise ConnectionError("no server")

    if name == "mlflow":
        fake.log_params = refuse  # the run was started by then
        logger, expected = MLflowLogger(), ["start_run", "end_run"]
    else:
        fake.init = refuse
        logger, expected = WandbLogger(), []
    with pytest.raises(ConnectionError, match="no server"):
        run([logger])
    assert [called for called, _ in fake.calls] == expected
