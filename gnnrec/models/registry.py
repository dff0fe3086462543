"""Well-known models from elsewhere, under the same interface as everything here, to be compared on the same rows.

They take longer than the classic baselines, and some need a package of their own, so `gnnrec benchmark` runs them only
when asked for by name. `fit_peer` fits any of them.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph
from gnnrec.models.base import Recommender
from gnnrec.models.content import ContentKNN, FeatureRidge
from gnnrec.models.factorization import ImplicitALS, ImplicitBPR, MatrixFactorization, NeuMF
from gnnrec.models.lightfm import LightFM
from gnnrec.models.neighbors import SLIM
from gnnrec.models.pyg_lightgcn import LightGCNReference
from gnnrec.models.sequential import MeanPooling, SASRec
from gnnrec.training.loop import PATIENCE, OptimizerConfig, Watch


@dataclass(frozen=True)
class Peer:
    """How to fit a peer, and what one should know before.

    Parameters
    ----------
    fit : callable
        Takes a `gnnrec.graph.graph.Graph`; settings are keyword arguments.
    grid : list of dict
        Settings worth trying.
    patience : int
        Epochs without a new best before its training ends: more where epochs are short.
    seeded : bool
        Whether it draws random numbers: takes ``seed``.
    watched : bool
        Whether it learns in epochs that can be watched: takes ``watch``.
    new_people : bool
        Whether it can score someone who was not trained on.
    needs : str, optional
        A package that gnnrec does not bring along.

    Examples
    --------
    >>> PEERS["als"].needs, PEERS["als"].new_people, PEERS["mf"].new_people
    ('implicit', True, False)
    >>> PEERS["slim"].installed  # it needs no package of its own
    True
    """

    fit: Callable[..., Recommender]
    grid: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    patience: int = PATIENCE
    seeded: bool = True
    watched: bool = True
    new_people: bool = True
    needs: str | None = None

    @property
    def installed(self) -> bool:
        """Whether the package it needs is there."""
        return self.needs is None or importlib.util.find_spec(self.needs) is not None


PEERS: dict[str, Peer] = {
    "slim": Peer(SLIM.fit, [{"l1": 5.0, "l2": 500.0}, {"l1": 1.0, "l2": 200.0}], seeded=False, watched=False),
    "contentknn": Peer(
        ContentKNN.fit,
        [{"num_neighbors": 50}, {"num_neighbors": 20}, {"num_neighbors": 200}],
        seeded=False,
        watched=False,
    ),
    "ridge": Peer(
        FeatureRidge.fit,
        [{"reg": reg, "by_content": by_content} for by_content in (False, True) for reg in (10.0, 1.0, 100.0)],
        seeded=False,
        watched=False,
    ),
    "als": Peer(
        ImplicitALS.fit,
        [{"alpha": 4.0, "reg": 50.0}, {"alpha": 4.0, "reg": 25.0}, {"alpha": 10.0, "reg": 100.0}],
        watched=False,
        needs="implicit",
    ),
    "bpr": Peer(ImplicitBPR.fit, patience=20, new_people=False, needs="implicit"),
    "mf": Peer(MatrixFactorization.fit, new_people=False),
    "neumf": Peer(NeuMF.fit, new_people=False),
    "lightgcn": Peer(LightGCNReference.fit, patience=20, new_people=False),
    "lightfm": Peer(LightFM.fit, [{"dim": 64}, {"dim": 128}], needs="lightfm"),
    "average": Peer(MeanPooling.fit),
    "sasrec": Peer(SASRec.fit, patience=10),
    "sasrec-binary": Peer(partial(SASRec.fit, loss="binary"), patience=20),
}
"""Every peer, by name."""


def fit_peer(
    name: str,
    graph: Graph,
    *,
    seed: int = 0,
    watch: Watch | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Recommender:
    """Fit a peer with the settings of its grid that do best, and stop it at its best epoch.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    graph : Graph
        Of the train rows.
    seed : int
        For those that draw random numbers.
    watch : Watch, optional
        Its ``quality`` chooses; without it the first settings of the grid are taken. ``limit_seconds`` is for the
        whole grid: once it is spent, no more settings are tried.
    settings : mapping, optional
        These instead of the grid.

    Raises
    ------
    ConfigError
        An unknown peer, or the package that it needs is missing.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> graph = Graph.from_dataset(make_sample(60, 40))
    >>> fit_peer("mf", graph, settings={"dim": 4, "schedule": OptimizerConfig(1, learning_rate=0.01, batch_size=512)})
    MatrixFactorization(60 users, 40 movies)
    """
    if name not in PEERS:
        raise ConfigError(f"unknown peer {name!r}; there are {', '.join(PEERS)}")
    peer, watch, started = PEERS[name], watch or Watch(), time.perf_counter()
    grid = peer.grid if settings is None else [dict(settings)]
    options: dict[str, Any] = {"seed": seed} if peer.seeded else {}
    watch = replace(watch, patience=watch.patience or peer.patience)
    best: Recommender | None = None
    highest = -math.inf
    for tried in grid if watch.quality is not None else grid[:1]:
        left = None if watch.limit_seconds is None else watch.limit_seconds - (time.perf_counter() - started)
        if left is not None and left <= 0 and best is not None:
            break
        if peer.user_movie:
            # The first settings get their first epoch, however little time there is.
            options["watch"] = watch if left is None else replace(watch, limit_seconds=max(left, 1e-9))
        model = peer.fit(graph, **options, **tried)
        quality = watch.quality(model) if watch.quality is not None and len(grid) > 1 else 0.0
        if best is None or quality > highest:
            best, highest = model, quality
    assert best is not None
    return best


__all__ = [
    "PEERS",
    "SLIM",
    "MeanPooling",
    "ImplicitALS",
    "ImplicitBPR",
    "LightFM",
    "MatrixFactorization",
    "NeuMF",
    "Peer",
    "LightGCNReference",
    "SASRec",
    "OptimizerConfig",
    "Watch",
    "fit_peer",
]
