"""`evaluate`: rank all movies for every test user, hide what they have seen, and measure the lists."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.errors import ConfigError
from gnnrec.evaluation.bootstrap import intervals
from gnnrec.evaluation.fingerprint import Fingerprint
from gnnrec.evaluation.metrics import ACCURACY, coverage, genre_diversity, novelty
from gnnrec.evaluation.ranking import Ranking, rank, ranking_task
from gnnrec.graph import Graph
from gnnrec.splitting import Split
from gnnrec.splitting.split import check_scope
from gnnrec.typing import Scorer


@dataclass(frozen=True, eq=False)
class Asked:
    """Frames of rows, and the protocol they are of, which is known for a `Split` only."""

    test: pd.DataFrame
    mask: pd.DataFrame | None
    history: pd.DataFrame | None
    candidates: Iterable[Any] | None
    negatives: pd.DataFrame | None
    fingerprint: Fingerprint | None = None

    @classmethod
    def of(
        cls,
        test: pd.DataFrame | Split,
        mask: pd.DataFrame | str | None,
        history: pd.DataFrame | str | None,
        candidates: Iterable[Any] | None,
        negatives: pd.DataFrame | None,
        graph: pd.DataFrame,
    ) -> Asked:
        """Take from a split what is not given, look up what is given by name; `graph` has the model's ratings."""
        if not isinstance(test, Split):
            if isinstance(mask, str) or isinstance(history, str):
                raise ConfigError("a mask or a history by name, such as 'train+valid', needs a Split to look it up in")
            return cls(test, mask, history, candidates, negatives)
        split = test
        mask = split.mask if mask is None else mask
        history = split.history if history is None else history
        candidates = split.candidates_for() if candidates is None else list(candidates)
        negatives = split.negatives if negatives is None else negatives
        return cls(
            split.test,
            _masked(split, mask) if isinstance(mask, str) else mask,
            _known(split, history) if isinstance(history, str) else history,
            candidates,
            negatives,
            Fingerprint.of(split, mask=mask, history=history, candidates=candidates, negatives=negatives, graph=graph),
        )

    @property
    def attrs(self) -> dict[str, str]:
        """What a table of results says about its protocol."""
        if self.fingerprint is None:
            return {}
        return {"fingerprint": self.fingerprint.digest, "protocol": str(self.fingerprint)}


def _masked(split: Split, mask: str) -> pd.DataFrame | None:
    return split.valid if check_scope(mask, "mask") == "train+valid" else None


def _known(split: Split, history: str) -> pd.DataFrame | None:
    """Return the rows to be taken in at test time; each person's are older first where they were divided by time."""
    if check_scope(history, "history") == "train":
        return split.support
    return split.valid if split.support is None else pd.concat([split.support, split.valid], ignore_index=True)


COLUMNS = ("metric", "k", "value", "ci_low", "ci_high", "num_users")


def evaluate(
    model: Scorer,
    test: pd.DataFrame | Split,
    *,
    ks: Sequence[int] = (10, 20),
    mask: pd.DataFrame | str | None = None,
    history: pd.DataFrame | str | None = None,
    candidates: Iterable[Any] | None = None,
    negatives: pd.DataFrame | None = None,
    metrics: Sequence[str] | None = None,
    per_user: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure a model on ratings it has not seen.

    Every candidate movie is ranked for every user who has test rows; nothing is sampled, unless `negatives` says so.
    Movies in the user's history in the graph are left out. Every test row counts as relevant, whatever its rating.
    Equal scores are ranked in the order of the movie table.

    Parameters
    ----------
    model : Recommender
        A trained `RecGraph`, or a baseline.
    test : pandas.DataFrame or Split
        Rows of ``user_id, movie_id``. Of a `Split` its ``test`` rows are used, the movies `Split.ranked` as candidates,
        its ``support`` as history, and its own `mask`, `history` and `negatives`, each unless given here.
    ks : sequence of int
        Lengths of the lists.
    mask : pandas.DataFrame or str, optional
        More rows of ``user_id, movie_id`` to leave out. Users without test rows do not matter in it. Of a `Split` also
        ``"train+valid"``, or ``"train"`` for nothing more.
    history : pandas.DataFrame or str, optional
        Ratings the model takes in first, with `Recommender.add_ratings`, and without training: what is known of
        people at test time. They are left out of the lists, too. Of a `Split` also ``"train+valid"``, or
        ``"train"`` for nothing more than its ``support``.
    candidates : iterable of movie ids, optional
        Rank these only; all movies of the graph when not given.
    negatives : pandas.DataFrame, optional
        Rows of ``user_id, movie_id``: of each user rank these and the test movies only.
    metrics : sequence of str, optional
        Some of `METRICS`; all when not given.
    per_user : bool
        Return one row per user instead of the means.
    confidence : float
        Level of the interval around each mean, between 0 and 1.
    seed : int
        Of the bootstrap behind the interval.

    Returns
    -------
    pandas.DataFrame
        ``metric, k, value, ci_low, ci_high, num_users``. The interval is from a percentile bootstrap over
        users (Efron & Tibshirani 1993, ch. 13; 1,000 resamples); `coverage`, which is no mean, has none
        (NaN). `num_users` is how many users the mean is over. `novelty` is in bits, all others are in [0, 1];
        the formulas are in `gnnrec.evaluation.metrics` and `gnnrec.evaluation.metrics`. With `per_user` instead
        ``user_id`` and a column such as ``recall@10`` for each metric but `coverage`, in the order in which
        the users occur in `test`. For a `Split`, ``attrs["fingerprint"]`` is the digest of the protocol that was
        followed, and ``attrs["protocol"]`` says which that is.

    Raises
    ------
    DataError
        `test` is empty, names an unknown user or movie, a movie that is no candidate, a pair twice, or a pair
        that is left out because it was seen before; a test user has no negatives, or one that is a test row, no
        candidate, or left out; or the model scores with NaN.
    ConfigError
        An unknown metric, mask or history, a `k` below 1, or a `confidence` outside of 0 to 1.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> from gnnrec.splitting import Split
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.splitting import random_split
    >>> split = random_split(make_sample(300, 200))
    >>> model = EASE.fit(Graph.from_dataset(split.dataset), reg=50.0)
    >>> evaluate(model, split, ks=[10], metrics=["recall", "ndcg"]).columns.tolist()
    ['metric', 'k', 'value', 'ci_low', 'ci_high', 'num_users']
    """
    wanted, sizes = _checked_metrics(metrics), _checked_ks(ks)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be between 0 and 1, not {confidence}")
    asked = Asked.of(test, mask, history, candidates, negatives, model.graph.dataset.ratings)
    facts = _Facts.of(model.graph)  # before the history: novelty is a matter of what the model was trained on
    if asked.history is not None and len(asked.history):
        model = model.add_ratings(asked.history)
    task = ranking_task(model.graph, asked.test, asked.mask, asked.candidates, asked.negatives)
    ranking = rank(model, task, max(sizes))
    keys = [(metric, k) for metric in wanted if metric != "coverage" for k in sizes]
    values = {key: _per_user(*key, ranking, facts).numpy() for key in keys}
    if per_user:
        ids = model.graph.ids["user"][task.users.numpy()]
        columns = {f"{metric}@{k}": own for (metric, k), own in values.items()}
        return _with_attrs(pd.DataFrame({"user_id": ids, **columns}), asked)
    rows = _means(values, confidence, seed)
    if "coverage" in wanted:
        for k in sizes:
            share = coverage(ranking.lists[:, :k], len(task.candidates))
            rows["coverage", k] = share, np.nan, np.nan, len(task.users)
    in_order = [(metric, k) for metric in wanted for k in sizes]
    return _with_attrs(pd.DataFrame([(*key, *rows[key]) for key in in_order], columns=list(COLUMNS)), asked)


def validate(model: Scorer, split: Split, metric: str = "ndcg", k: int = 20) -> float:
    """Return a metric on the validation ratings of a split."""
    found = evaluate(
        model,
        split.valid,
        ks=(k,),
        metrics=(metric,),
        candidates=split.candidates_for("valid"),
        history=split.support,
        per_user=True,
    )
    return float(found[f"{metric}@{k}"].mean())


def _with_attrs(frame: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    frame.attrs.update(asked.attrs)
    return frame


@dataclass(frozen=True, eq=False)
class _Facts:
    """What the metrics of lists need to know about the movies."""

    counts: Tensor  # [num_movies], ratings in training
    num_users: int  # with a rating in training
    genres: Tensor  # [num_movies, num_genres]

    @classmethod
    def of(cls, graph: Graph) -> _Facts:
        genres = torch.zeros(graph.num_movies, len(graph.genres))
        genres[graph.movies.attribute_edges["genres"]] = 1.0
        counts = torch.bincount(graph.users.movie_index, minlength=graph.num_movies)
        return cls(counts, int(torch.count_nonzero(torch.bincount(graph.users.user_index))), genres)


OF_LISTS: dict[str, Callable[[Tensor, _Facts], Tensor]] = {
    "novelty": lambda lists, facts: novelty(lists, facts.counts, facts.num_users),
    "diversity": lambda lists, facts: genre_diversity(lists, facts.genres),
}
"""Metrics that look at the lists alone and have a value for each user, by name."""
METRICS = (*ACCURACY, "coverage", *OF_LISTS)
"""Everything that `evaluate` can report, in the order in which it does."""


def _per_user(metric: str, k: int, ranking: Ranking, facts: _Facts) -> Tensor:
    """Return one value per user, ``[n]``; NaN where it is not defined."""
    if metric in OF_LISTS:
        return OF_LISTS[metric](ranking.lists[:, :k], facts)
    return ACCURACY[metric](ranking.hits[:, :k], ranking.num_relevant)


def _means(
    values: dict[tuple[str, int], np.ndarray], confidence: float, seed: int
) -> dict[tuple[str, int], tuple[float, float, float, int]]:
    """Return mean, bounds and number of users of each column; users for whom it is NaN do not count."""
    if not values:
        return {}
    table = np.column_stack(list(values.values())).astype(np.float64)  # [n, num_columns]
    number = (~np.isnan(table)).sum(axis=0)
    mean = np.where(number > 0, np.nansum(table, axis=0) / np.maximum(number, 1), np.nan)
    low, high = intervals(table, confidence, seed)
    return {key: (mean[i], low[i], high[i], int(number[i])) for i, key in enumerate(values)}


def _checked_ks(ks: Sequence[int]) -> list[int]:
    if not isinstance(ks, Iterable):
        raise ConfigError(f"ks must be a list of list lengths, such as [10, 20], not {ks!r}")
    sizes = sorted(set(ks))
    for k in sizes:
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            raise ConfigError(f"each k must be a whole number of at least 1, not {k!r}")
    if not sizes:
        raise ConfigError("ks is empty; name at least one list length")
    return [int(k) for k in sizes]


def _checked_metrics(names: Sequence[str] | None) -> list[str]:
    chosen = METRICS if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in METRICS:
            close = difflib.get_close_matches(str(name), METRICS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"metric {name!r} is not one of {', '.join(METRICS)}{hint}")
    return [name for name in METRICS if name in chosen]
