"""Every encoder does what every model must do; see `contract`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract import CHECKS, Subject

from gnnrec import Config, Graph, RecGraph, Split, fit
from gnnrec.nn import ENCODERS


def trained_by(encoder: str) -> Callable[[Graph], RecGraph]:
    config = Config.from_mapping(
        {
            "model": {"encoder": encoder, "embedding_dim": 16},
            "train": {"batch_size": 32, "learning_rate": 0.01, "epochs": 30},
        }
    )

    def build(graph: Graph) -> RecGraph:
        # All ratings train: the graph that comes back must be the one that was given.
        whole = graph.dataset
        nothing = whole.ratings[:0]
        model = fit(
            Split(whole.ratings, nothing, nothing, whole.movies, whole.users, whole.name), config, progress=False
        )
        return model.with_graph(graph)

    return build


SUBJECTS = {name: Subject(trained_by(name)) for name in ENCODERS}


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name: str, check: Callable[[Subject], None]) -> None:
    check(SUBJECTS[name])
