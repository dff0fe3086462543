"""Every encoder does what every model must do; see `contract`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gnnrec import Config, Graph, RecGraph, Split, fit
from gnnrec.registry import ENCODERS
from tests.helpers.contract import CHECKS, Subject


def trained_by(encoder: str, *, temporal: bool = False) -> Callable[[Graph], RecGraph]:
    config = Config.from_mapping(
        {
            "model": {"encoder": encoder, "embedding_dim": 16, "temporal": temporal, "rating_decays": [5], "dropout": 0.0,
                      "user_degree_smoothing": 0},
            # In these small worlds people have few ratings anyway.
            "train": {"batch_size": 32, "learning_rate": 0.01, "epochs": 30, "history_truncation": 0},
        }
    )  # fmt: skip

    def build(graph: Graph) -> RecGraph:
        # All ratings train: the graph that comes back must be the one that was given.
        whole = graph.dataset
        ratings = whole.ratings
        if time and not graph.has_times:  # then time is the order of the rows
            ratings = ratings.assign(timestamp=range(len(ratings)))
        nothing = ratings[:0]
        model = fit(Split(ratings, nothing, nothing, whole.movies, whole.users, whole.name), config, progress=False)
        return model.with_graph(graph)

    return build


SUBJECTS = {
    f"{name}{' in time' if time else ''}": Subject(trained_by(name, temporal=time))
    for name in ENCODERS.names()
    for time in (False, True)
}


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name: str, check: Callable[[Subject], None]) -> None:
    check(SUBJECTS[name])
