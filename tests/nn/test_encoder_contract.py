"""Every encoder passes the checks of `tests.helpers.contract`, with and without temporal pooling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from gnnrec import Config, Graph, RecGraph, Split, fit
from gnnrec.config import model_config_class
from gnnrec.registry import ENCODERS
from tests.helpers.contract import CHECKS, Subject


def fit_encoder(graph: Graph, *, encoder: str, temporal: bool) -> RecGraph:
    model = {"encoder": encoder, "embedding_dim": 16, "temporal": temporal, "rating_decays": [5], "dropout": 0.0}
    if "user_degree_smoothing" in model_config_class(encoder).model_fields:
        model["user_degree_smoothing"] = 0
    # Histories are short in these datasets as they are.
    train = {"batch_size": 32, "learning_rate": 0.01, "epochs": 30, "history_truncation": 0}
    # All ratings are for training: the model must have the graph that was given.
    dataset = graph.dataset
    ratings = dataset.ratings
    if temporal and not graph.has_times:
        ratings = ratings.assign(timestamp=range(len(ratings)))
    none = ratings[:0]
    split = Split(ratings, none, none, dataset.movies, dataset.users, dataset.name)
    config = Config.from_mapping({"model": model, "train": train})
    return fit(split, config=config, progress=False).with_graph(graph)


SUBJECTS = {
    f"{encoder}{'-temporal' if temporal else ''}": Subject(partial(fit_encoder, encoder=encoder, temporal=temporal))
    for encoder in ENCODERS.builtin
    for temporal in (False, True)
}


@pytest.mark.filterwarnings("ignore:no validation ratings")
@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(name: str, check: Callable[[Subject], None]) -> None:
    check(SUBJECTS[name])
