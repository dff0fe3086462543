"""The models of a benchmark by name. All are fitted on the train rows, and chosen and stopped by the valid rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from gnnrec.baselines import BASELINES, GRIDS, PEERS, Watch, fit_peer
from gnnrec.config import Config
from gnnrec.data import Split
from gnnrec.evaluate import evaluate
from gnnrec.fit import fit
from gnnrec.graph import Graph
from gnnrec.recommend import Recommender

MODELS = ("gnn", *reversed(BASELINES), *PEERS)
"""What `benchmark` can run."""
FAST = ("gnn", "ease", "itemknn", "popularity")
"""What it runs when not told: the network and baselines that need seconds."""


def fit_model(
    name: str,
    split: Split,
    config: Config,
    *,
    limit_seconds: float | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
    progress: bool = False,
) -> Recommender:
    """Fit any model of `MODELS`.

    Parameters
    ----------
    name : str
    split : Split
    config : Config
        Of the network. All others take only the seed from it.
    limit_seconds : float, optional
        A peer starts no epoch, and tries no other settings, after this.
    report : callable, optional
        Gets the figures of each epoch of a peer.
    progress : bool
        Show the network's progress bar.

    Raises
    ------
    GnnrecError
        The model does not suit the data, or the package that it needs is missing.
    FloatingPointError
        Its loss is no finite number.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> fit_model("itemknn", Split.random(make_sample(60, 40)), Config()).name
    'itemknn'
    """
    if name == "gnn":
        return fit(split, config, progress=progress)
    if name in BASELINES:
        return fit_baseline(name, split, config.train.seed)
    watch = Watch(valid_quality(split), limit_seconds=limit_seconds, report=report)
    return fit_peer(name, Graph.from_dataset(split.dataset), seed=config.train.seed, watch=watch)


def fit_baseline(name: str, split: Split, seed: int = 0) -> Recommender:
    """Fit a baseline on the train rows, with the settings of its grid that do best on the valid rows (NDCG@20).

    Without valid rows it keeps its defaults. One that draws nothing has no use for the seed.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> fit_baseline("ease", Split.random(make_sample(60, 40))).name
    'ease'
    """
    graph = Graph.from_dataset(split.dataset)
    grid, quality = GRIDS.get(name, [{}]), valid_quality(split)
    fit_it = partial(BASELINES[name], seed=seed) if draws(name) else BASELINES[name]
    if quality is None or len(grid) == 1:
        return fit_it(graph)
    return max((fit_it(graph, **settings) for settings in grid), key=quality)


def valid_quality(split: Split) -> Callable[[Recommender], float] | None:
    """Return what models are chosen by: a function of the model, its NDCG@20 on the valid rows.

    None where there are no valid rows to choose by.

    Examples
    --------
    >>> from gnnrec.baselines import Popularity
    >>> from gnnrec.datasets import make_sample
    >>> split = Split.random(make_sample(60, 40))
    >>> quality = valid_quality(split)
    >>> 0 < quality(Popularity.fit(Graph.from_dataset(split.dataset))) < 1
    True
    """
    if split.valid.empty:
        return None

    def quality(model: Recommender) -> float:
        found = evaluate(
            model,
            split.valid,
            ks=[20],
            metrics=["ndcg"],
            candidates=split.ranked("valid"),
            history=split.support,
            per_user=True,
        )
        return float(found["ndcg@20"].mean())

    return quality


def draws(name: str) -> bool:
    """Tell whether a model comes out differently for another seed.

    Examples
    --------
    >>> draws("gnn"), draws("ease"), draws("mf")
    (True, False, True)
    """
    if name in PEERS:
        return PEERS[name].seeded
    return name == "gnn" or "seed" in inspect.signature(BASELINES[name]).parameters
