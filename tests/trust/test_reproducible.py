"""The same seed gives the same bits: in another process with another hash seed, after a resume, after save and load."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("resource")
from benchmarks.trust import reproducible
from benchmarks.trust.kill import Tally


@pytest.mark.slow
def test_another_process_and_hash_seed() -> None:
    expected = json.loads(json.dumps(reproducible.digests(3)))
    found = reproducible.elsewhere(3, {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "77"})
    assert found == expected
    assert reproducible.weights(reproducible.models(4)["LightGCN"]()) != expected["LightGCN"][0]


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], ["model.temporal=true", "train.final_lr_ratio=0.1"]])
def test_a_resumed_training(overrides: list[str]) -> None:
    found = reproducible.resumed(1, overrides)
    assert len(found) == 3 and len(set(found)) == 1


@pytest.mark.parametrize("name", ["LightGCN", "EASE", "SASRec"])
def test_save_and_load(name: str) -> None:
    before, after = reproducible.reloaded(reproducible.models(2)[name])
    assert before == after


def test_what_differs() -> None:
    one = {"EASE": ["a", [[[1, 2]], [[2.0, 1.0]]]]}
    other = {"EASE": ["b", [[[1, 3]], [[2.0, 1.5]]]]}
    assert reproducible.difference(one, other) == {"EASE": {"score": 0.25, "same_movies": 0.5}}
    tally = Tally()
    reproducible.compare(tally, "another run", one, other)
    assert tally.failures == ["another run: EASE differs"]
