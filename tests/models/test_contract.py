"""Every registered model passes the contract; `SMALL` are hyperparameters that suit a few dozen movies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gnnrec import ConfigError, fit
from gnnrec.models import ALS, EASE, LightFM, Popularity
from gnnrec.registry import FAST_MODELS, MODELS
from tests.helpers.contract import CHECKS, Check, Subject, run_checks, sample

GNN_CONFIG = {
    "model": {"embedding_dim": 16, "dropout": 0.0, "user_degree_smoothing": 0},
    "train": {"batch_size": 32, "learning_rate": 0.01, "epochs": 30, "history_truncation": 0},
}
SMALL: dict[str, dict[str, Any]] = {
    "gnn": {"config": GNN_CONFIG},
    "slim": {"l1": 0.1, "l2": 5.0, "rho": 20.0},
    "contentknn": {"num_neighbors": 20},
    "ridge": {"embedding_dim": 2, "reg": 1.0},
    "als": {"embedding_dim": 4, "reg": 1.0},
    "bpr": {"embedding_dim": 8, "epochs": 100, "learning_rate": 0.1},
    "mf": {"embedding_dim": 2, "epochs": 40, "learning_rate": 0.1, "batch_size": 1000},
    "neumf": {"embedding_dim": 2, "layers": (4, 4), "epochs": 40, "learning_rate": 0.05, "batch_size": 1000},
    "lightgcn": {"embedding_dim": 8, "epochs": 60, "learning_rate": 0.03, "batch_size": 8192},
    "lightfm": {"embedding_dim": 8, "epochs": 30},
    "average": {"embedding_dim": 8, "length": 20, "epochs": 5, "learning_rate": 0.003},
    "sasrec": {"embedding_dim": 8, "length": 20, "epochs": 5, "learning_rate": 0.001},
    "sasrec-binary": {"embedding_dim": 8, "length": 20, "epochs": 30, "learning_rate": 0.01, "batch_size": 20},
    "mult-vae": {"embedding_dim": 4, "hidden_dim": 8, "epochs": 60, "learning_rate": 0.02},
    "recvae": {"embedding_dim": 4, "hidden_dim": 8, "epochs": 40, "learning_rate": 0.02},
}
# Popularity is the same for all users; a softmax over the next movie learns the order and not which movies belong
# together; the checkerboard has no content.
IMPERSONAL = ("popularity", "average", "sasrec", "contentknn")
# LightFM has an embedding of every training user's id, and of new users the profile only: both are not scored alike.
EXEMPT = {
    "lightfm": (
        "check_checkerboard_for_new_users",
        "check_known_equals_new",
        "check_frame_equals_known",
        "check_add_ratings",
        "check_new_ratings_count",
    )
}


def make_subject(name: str) -> Subject:
    return Subject(MODELS.get(name)(**SMALL.get(name, {})), personal=name not in IMPERSONAL)


SUBJECTS = {name: make_subject(name) for name in MODELS.builtin}


def skip_if_missing(name: str) -> None:
    try:
        MODELS.get(name).check_installed()
    except ConfigError as error:
        pytest.skip(str(error))


def test_what_models_depend_on() -> None:
    assert {*SMALL, *IMPERSONAL, *EXEMPT} <= set(MODELS.builtin)
    for name in ("bpr", "mf", "neumf", "lightgcn"):  # they learn an embedding of each training user
        assert not SUBJECTS[name].new_users
    for name in ("gnn", "popularity", "itemknn", "ease", "slim", "contentknn", "ridge", "als", "lightfm", "sasrec"):
        assert SUBJECTS[name].new_users
    assert SUBJECTS["mult-vae"].new_users
    assert SUBJECTS["recvae"].new_users
    deterministic = {"popularity", "itemknn", "ease", "slim", "contentknn", "ridge"}
    assert {name for name, one in SUBJECTS.items() if one.estimator.random_seed is None} == deterministic


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name: str, check: Check) -> None:
    skip_if_missing(name)
    if check.__name__ in EXEMPT.get(name, ()):
        pytest.skip(f"{name} scores known and new users differently")
    check(SUBJECTS[name])


def test_checks_can_fail() -> None:
    run_checks(Subject(EASE()))
    with pytest.raises(AssertionError):
        run_checks(Subject(Popularity(), personal=True))


@pytest.mark.parametrize("name", SUBJECTS)
def test_by_name_and_by_class(name: str) -> None:
    cls = MODELS.get(name)
    assert cls.name == name
    assert SUBJECTS[name].estimator == cls(**SMALL.get(name, {}))


def test_fit_by_name_class_and_instance() -> None:
    models = [
        fit(sample().dataset, "ease", reg=50.0),
        fit(sample().dataset, EASE, reg=50.0),
        fit(sample().dataset, EASE(reg=50.0)),
        fit(sample().dataset, EASE(reg=1.0), reg=50.0),
        EASE(reg=50.0).fit(sample().dataset),
    ]
    assert [model.hyperparameters for model in models] == [{"reg": 50.0}] * 5
    assert all((model.weights == models[0].weights).all() for model in models)
    with pytest.raises(ConfigError, match="unknown model 'eaze'; did you mean 'ease'"):
        fit(sample().dataset, "eaze")
    with pytest.raises(ConfigError, match="a model is a name, an Estimator or an Estimator class, not int"):
        fit(sample().dataset, 5)  # type: ignore[arg-type]


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for cls, package in ((ALS, "implicit"), (LightFM, "lightfm")):
        with pytest.raises(
            ConfigError, match=rf"{cls.name} needs the package {package}.*pip install 'gnnrec\[baselines\]'"
        ):
            cls().fit(sample().dataset)
    assert all(MODELS.get(name).package for name in ("als", "bpr", "lightfm"))
    assert not any(MODELS.get(name).package for name in FAST_MODELS)


def test_unregistered_estimators_have_the_name_of_their_class() -> None:
    class Wide(EASE):
        pass

    assert (EASE.name, Wide.name) == ("ease", "Wide")
    assert Wide().fit(sample().dataset).name == "Wide"


def test_a_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_solver.py").write_text("raise ImportError('numpy is too new')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ALS, "package", "broken_solver")
    with pytest.raises(
        ConfigError, match=r"als needs the package broken_solver, .* cannot be imported: numpy is too new"
    ):
        fit(sample().dataset, "als")
