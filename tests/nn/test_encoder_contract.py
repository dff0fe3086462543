"""Every encoder passes the contract of all models: alone, with temporal pooling, an EASE part, or as an ensemble."""

from __future__ import annotations

from typing import Any

import pytest

from gnnrec.models import GNN
from gnnrec.registry import ENCODERS
from tests.helpers.contract import CHECKS, Check, Subject


def make_subject(encoder: str, temporal: bool, *, ease: bool = False, num_members: int = 1) -> Subject:
    config: dict[str, Any] = {
        "model": {"encoder": encoder, "embedding_dim": 16, "dropout": 0.0, "num_members": num_members},
        # Users of these small datasets have few ratings anyway.
        "train": {"batch_size": 32, "learning_rate": 0.01, "epochs": 30, "history_truncation": 0},
    }
    if temporal:
        config["model"] |= {"temporal": True, "rating_decays": [5]}
    if ease:
        config["model"] |= {"ease_dim": 12}
        config["train"]["epochs"] = 10
    if encoder == "lightgcn":
        config["model"]["user_degree_smoothing"] = 0
    return Subject(GNN(config=config), timestamps=temporal)


SUBJECTS = {
    f"{encoder}{'-temporal' if temporal else ''}": make_subject(encoder, temporal)
    for encoder in ENCODERS.builtin
    for temporal in (False, True)
}
SUBJECTS |= {f"{encoder}-ease": make_subject(encoder, temporal=False, ease=True) for encoder in ENCODERS.builtin}
SUBJECTS |= {
    f"{encoder}-ensemble": make_subject(encoder, temporal=False, num_members=2) for encoder in ENCODERS.builtin
}


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name: str, check: Check) -> None:
    check(SUBJECTS[name])
