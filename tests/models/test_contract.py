"""Every peer passes the contract of all models, with settings that suit a few dozen movies."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from gnnrec.models.registry import PEERS

from gnnrec.training.loop import OptimizerConfig
from tests.helpers.contract import CHECKS, Subject, sample

SMALL = {
    "slim": {"l1": 0.1, "l2": 5.0, "rho": 20.0},
    "contentknn": {"num_neighbors": 20},
    "ridge": {"dim": 2, "reg": 1.0},
    "als": {"dim": 4, "reg": 1.0},
    "bpr": {"dim": 8, "epochs": 100, "learning_rate": 0.1},
    "mf": {"dim": 2, "schedule": OptimizerConfig(40, 0.1, 1000)},
    "neumf": {"dim": 2, "layers": (4, 4), "schedule": OptimizerConfig(40, 0.05, 1000)},
    "lightgcn": {"dim": 8, "schedule": OptimizerConfig(60, 0.03, 8192)},
    "lightfm": {"dim": 8, "epochs": 30},
    "average": {"dim": 8, "length": 20, "schedule": OptimizerConfig(5, 0.003, 64)},
    "sasrec": {"dim": 8, "length": 20, "schedule": OptimizerConfig(5, 0.001, 64)},
    "sasrec-binary": {"dim": 8, "length": 20, "schedule": OptimizerConfig(30, 0.01, 20)},
}
# Trained on what comes next among all movies, a network learns the order and not which movies belong together.
LEARNS_ORDER = ("average", "sasrec")
# On the checkerboard nothing is known of a movie but who watched it.
KNOWS_CONTENT_ONLY = ("contentknn",)
# Knows more of the people it was trained on than a newcomer can tell: to it they are not the same.
BY_ID = {"lightfm": ("check_checkerboard_for_strangers", "check_stored_equals_new", "check_frame_equals_stored",
                     "check_add_ratings", "check_new_ratings_count")}  # fmt: skip
SUBJECTS = {
    name: Subject(
        partial(peer.fit, **SMALL[name]),
        personal=name not in (*LEARNS_ORDER, *KNOWS_CONTENT_ONLY),
        strangers=peer.new_people,
    )
    for name, peer in PEERS.items()
}


def needs(name: str) -> None:
    if not PEERS[name].installed:
        pytest.skip(f"needs the package {PEERS[name].needs}")


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name, check):
    needs(name)
    if check.__name__ in BY_ID.get(name, ()):
        pytest.skip(
            f"{name} has a vector for each person it was trained on, and of newcomers it reads the profile only"
        )
    check(SUBJECTS[name])


@pytest.mark.parametrize("name", SUBJECTS)
def test_names(name):
    needs(name)
    model = SUBJECTS[name].on_sample
    assert model.name == name.removesuffix("-binary")
    assert "61 movies" in repr(model)


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.seeded])
def test_the_same_seed_gives_the_same_scores(name):
    needs(name)
    state = torch.random.get_rng_state()
    settings = dict(SMALL[name])
    if "schedule" in settings:
        settings["schedule"] = dataclasses.replace(settings["schedule"], epochs=2)
    else:
        settings["epochs"] = 2
    first, again, other = (PEERS[name].fit(sample(), seed=seed, **settings) for seed in (1, 1, 2))
    people = sample().user_batch(torch.arange(5))
    assert torch.equal(first.score(people), again.score(people))
    assert not torch.equal(first.score(people), other.score(people))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers are left alone"
