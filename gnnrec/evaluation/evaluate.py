"""`evaluate`: rank all candidate movies for every test user and compute metrics of the lists."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch

from gnnrec._checks import NO_MOVIE, as_list, check_flag, check_integer, check_number, plain_ids, shown
from gnnrec.errors import ConfigError, DataError
from gnnrec.evaluation.beyond_accuracy import ListUsers
from gnnrec.evaluation.bootstrap import bootstrap_intervals
from gnnrec.evaluation.fingerprint import Fingerprint
from gnnrec.evaluation.metrics import CatalogStatistics
from gnnrec.evaluation.ranking import Ranking, RankingTask, clean_rows, rank
from gnnrec.graph import Graph
from gnnrec.graph.rated_titles import replace_titles
from gnnrec.registry import METRICS
from gnnrec.splitting import Split
from gnnrec.splitting.split import check_mask_or_history
from gnnrec.typing import Scorer

Metric: TypeAlias = Callable[..., Any]
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
    request_times: bool | None = None,
    metrics: Sequence[str | Metric] | None = None,
    relevant: float | None = None,
    per_user: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Evaluate a fitted model on test ratings.

    All candidate movies are ranked for every test user, unless there are `negatives`. Movies that the user has rated
    in the graph of the model are excluded. Every test rating counts as relevant, whatever its value, unless there is a
    relevance threshold. Equal scores are ranked in the order of the movies table.

    Parameters
    ----------
    model : Scorer
        Any fitted model.
    test : pandas.DataFrame or Split
        Test ratings, ``user_id, movie_id``. A `Split` also provides the arguments `candidates`, `mask`, `history`
        (including its ``support``), `negatives` and `request_times` that are not given.
    ks : sequence of int
        Lengths of the lists.
    mask : pandas.DataFrame or str, optional
        Further ratings, ``user_id, movie_id``, to exclude from the lists. With a `Split` also ``"train+valid"``, or
        ``"train"`` for none.
    history : pandas.DataFrame or str, optional
        Ratings known at test time: they are added with `add_ratings`, without training, and excluded from the lists.
        With a `Split` also ``"train+valid"``, or ``"train"`` for its ``support`` only.
    candidates : iterable of movie ids, optional
        Movies to rank; all movies of the graph by default.
    negatives : pandas.DataFrame, optional
        ``user_id, movie_id``: rank each user's test movies among these only.
    request_times : bool, optional
        Whether the model is given a request time for each user, that of the user's first test rating; later ratings of
        the history are then ignored. By default as set by a `Split`, otherwise not.
    metrics : sequence of str or callable, optional
        Registered metrics by name, or functions of hits ``[n, k]`` and numbers of relevant movies ``[n]`` that return
        ``[n]`` values (see `gnnrec.evaluation.metrics`); `default_metrics` if not given.
    relevant : float, optional
        Relevance threshold: only test ratings of at least this value are relevant. `dislikes` is then reported, too:
        how often a list holds movies whose test rating is at most the threshold mirrored in the rating scale
        (with 4 on a scale of 1 to 5, at most 2). Users without a relevant movie do not count for accuracy.
    per_user : bool
        Return one row per user instead of means.
    confidence : float
        Level of the confidence intervals, between 0 and 1.
    seed : int
        Random seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``metric, k, value, ci_low, ci_high, num_users``, built-in metrics first. Confidence intervals are from a
        percentile bootstrap over users (Efron & Tibshirani 1993, ch. 13; 1,000 resamples); `coverage` is not a mean
        over users and has none (NaN). `num_users` is the number of users with a defined value. Most metrics are in
        [0, 1]; `novelty` is in bits, `miscalibration` in nats, `popularity_lift` is a relative difference, and
        `intra_list_distance` is in [0, 2].

        With `per_user`: ``user_id`` and a column such as ``recall@10`` for each metric except `coverage`, in the order
        of the users in `test`.

        For a `Split`, ``attrs["fingerprint"]`` is the digest of the evaluation protocol and ``attrs["protocol"]`` its
        description.

    Raises
    ------
    DataError
        `test` is empty, contains an unknown user or movie, a movie that is not a candidate, a duplicate, or a rating
        that is also in the history or the mask; a test user has no negatives; a negative is a test rating, excluded
        from the lists or not a candidate; or the model returns NaN or infinite scores.
    ConfigError
        Unknown metric, `mask` or `history`, a `k` below 1, or a `confidence` that is not between 0 and 1.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models import EASE
    >>> from gnnrec.splitting import random_split
    >>> split = random_split(make_sample(300, 200))
    >>> model = EASE(reg=50.0).fit(split)
    >>> evaluate(model, split, ks=[10], metrics=["recall", "ndcg"]).columns.tolist()
    ['metric', 'k', 'value', 'ci_low', 'ci_high', 'num_users']
    """
    if metrics is None and relevant is not None:
        metrics = [*default_metrics(), "dislikes"]
    resolved, sizes = resolve_metrics(metrics), _check_ks(ks)
    if relevant is None and any(of == "disliked" for _, of in resolved.values()):
        raise ConfigError("the metric 'dislikes' needs a relevance threshold; pass relevant=4 (--relevant 4)")
    check_number(0, exclusive=True, confidence=confidence)
    if confidence >= 1:
        raise ConfigError(f"confidence must be between 0 and 1, not {confidence!r}")
    confidence = float(confidence)
    check_integer(0, seed=seed)
    check_flag(per_user=per_user)
    if request_times is not None:
        check_flag(request_times=request_times)
    if relevant is not None:
        check_number(-math.inf, relevant=relevant)
        relevant = float(relevant)
    data = _resolve_data(model, test, mask, history, candidates, negatives, request_times)
    trained = model.graph
    if data.history is not None and len(data.history):
        model = model.add_ratings(data.history)
    task = RankingTask.from_frames(
        model.graph, data.test, data.mask, data.candidates, data.negatives, data.request_times
    )
    ranking = rank(model, task, max(sizes))
    hits, num_relevant = ranking.hits, ranking.num_relevant
    if relevant is not None:
        at_most = _mirrored(trained, relevant)
        hits, num_relevant = _hits_among(model, ranking, task, data.test, lambda ratings: ratings >= relevant)
        bad, num_bad = _hits_among(model, ranking, task, data.test, lambda ratings: ratings <= at_most)
        if not num_relevant.any():
            raise DataError(f"no test rating is {relevant:g} or more; lower the relevance threshold")
        if data.attrs:
            data.attrs["protocol"] += f"; relevant from {relevant:g}, disliked up to {at_most:g}"
            data.attrs["fingerprint"] += f"-relevant-{relevant:g}"
    needs_embeddings = any(name in METRICS and METRICS.metadata(name).get("embeddings") for name in resolved)
    unit = getattr(model, "unit_similarity_embeddings", None) if needs_embeddings else None
    catalog = CatalogStatistics.from_graph(trained, len(task.candidates), unit)

    values: dict[tuple[str, int], np.ndarray] = {}
    totals: dict[tuple[str, int], tuple[float, float, float, int]] = {}
    for name, (function, of) in resolved.items():
        for k in sizes:
            if of == "users":
                column = user_values(name, function(hits[:, :k], num_relevant.clamp(min=1)), len(task.users))
                values[name, k] = np.where(num_relevant.numpy() > 0, column, np.nan)
            elif of == "disliked":
                values[name, k] = user_values(name, function(bad[:, :k], num_bad), len(task.users))
            elif of == "lists":
                values[name, k] = user_values(name, function(ranking.lists[:, :k], catalog), len(task.users))
            elif of == "histories":
                histories = model.graph.user_batch(task.users)
                known = ListUsers(histories.user_index, histories.movie_index, ranking.hits[:, :k])
                values[name, k] = user_values(name, function(ranking.lists[:, :k], catalog, known), len(task.users))
            elif not per_user:
                totals[name, k] = float(function(ranking.lists[:, :k], catalog)), np.nan, np.nan, len(task.users)
    if per_user:
        ids = model.graph.ids["user"][task.users.numpy()]
        result = pd.DataFrame({"user_id": ids, **{f"{name}@{k}": column for (name, k), column in values.items()}})
    else:
        totals |= _means(values, confidence, seed)
        rows = [(name, k, *totals[name, k]) for name in resolved for k in sizes]
        result = pd.DataFrame(rows, columns=list(COLUMNS))
    result.attrs.update(data.attrs)
    return result


def _mirrored(graph: Graph, relevant: float) -> float:
    scale = graph.dataset.rating_scale
    if scale is None:
        raise ConfigError("a relevance threshold needs ratings, which the training data does not have")
    if not scale[0] <= relevant <= scale[1]:
        raise ConfigError(f"relevant must be within the rating scale, {scale[0]:g} to {scale[1]:g}, not {relevant:g}")
    return min(scale[0] + scale[1] - relevant, float(np.nextafter(relevant, -np.inf)))


def _hits_among(
    model: Scorer, ranking: Ranking, task: RankingTask, test: pd.DataFrame, chosen: Callable[[pd.Series], pd.Series]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the hits and the number of test movies per user, for test ratings selected by value."""
    if "rating" not in test:
        raise DataError("a relevance threshold needs ratings, and the test ratings have no column 'rating'")
    rows = test[chosen(test["rating"])]
    row_of = torch.full((model.graph.num_users,), -1)
    row_of[task.users] = torch.arange(len(task.users))
    row, movie = row_of[model.graph.user_nodes(rows["user_id"])], model.graph.movie_nodes(rows["movie_id"])
    pairs = row * model.graph.num_movies + movie
    listed = torch.arange(len(task.users)).unsqueeze(1) * model.graph.num_movies + ranking.lists
    return torch.isin(listed, pairs) & (ranking.lists >= 0), torch.bincount(row, minlength=len(task.users))


@dataclass(frozen=True, eq=False)
class _EvaluationData:
    """Data frames of an evaluation, and the attributes of its result."""

    test: pd.DataFrame
    mask: pd.DataFrame | None
    history: pd.DataFrame | None
    candidates: Iterable[Any] | None
    negatives: pd.DataFrame | None
    request_times: bool
    attrs: dict[str, str] = field(default_factory=dict)


def _resolve_data(
    model: Scorer,
    test: pd.DataFrame | Split,
    mask: pd.DataFrame | str | None,
    history: pd.DataFrame | str | None,
    candidates: Iterable[Any] | None,
    negatives: pd.DataFrame | None,
    request_times: bool | None,
) -> _EvaluationData:
    """Take missing arguments from the split, and replace names such as ``"train+valid"`` by ratings."""
    check_fitted(model)
    for name, given in (("mask", mask), ("history", history), ("negatives", negatives)):
        if given is not None and not isinstance(given, pd.DataFrame | str):
            raise DataError(f"{name} must be a pandas DataFrame, not {type(given).__name__}")
    if isinstance(negatives, str):
        raise DataError("negatives must be a pandas DataFrame; Split.with_negatives also reads a file")
    if candidates is not None:
        candidates = plain_ids(as_list(candidates, "candidates", "movie ids"), "movie", NO_MOVIE)
    if not isinstance(test, Split):
        if not isinstance(test, pd.DataFrame):
            raise DataError(f"test must be a pandas DataFrame, not {type(test).__name__}")
        if isinstance(mask, str) or isinstance(history, str):
            raise ConfigError("a mask or history by name, such as 'train+valid', needs a Split as test data")
        return _EvaluationData(test, mask, history, candidates, negatives, bool(request_times))
    # The digest of the protocol is computed from checked rows.
    mask, history = (
        pd.DataFrame(columns=["user_id", "movie_id"]) if isinstance(given, pd.DataFrame) and not len(given) else given
        for given in (mask, history)
    )
    if isinstance(mask, pd.DataFrame) and len(mask):
        mask = clean_rows(mask, "mask")
    if isinstance(negatives, pd.DataFrame):
        negatives = clean_rows(negatives, "negatives")
    if isinstance(history, pd.DataFrame) and len(history):
        graph = model.graph
        history = clean_rows(replace_titles(history, graph.dataset.movie_ids, lambda: graph.titles, "error"), "history")
    split = test
    mask = split.mask if mask is None else mask
    history = split.history if history is None else history
    candidates = split.candidates_for() if candidates is None else candidates
    negatives = split.negatives if negatives is None else negatives
    told = split.request_times if request_times is None else request_times
    fingerprint = Fingerprint.from_split(
        split,
        mask=mask,
        history=history,
        candidates=candidates,
        negatives=negatives,
        graph=model.graph.dataset.ratings,
        request_times=told,
    )
    if isinstance(mask, str):
        mask = split.valid if check_mask_or_history(mask, "mask") == "train+valid" else None
    if isinstance(history, str):
        known = (
            [split.support] if check_mask_or_history(history, "history") == "train" else [split.support, split.valid]
        )
        frames = [frame for frame in known if frame is not None]
        history = pd.concat(frames, ignore_index=True) if len(frames) == 2 else next(iter(frames), None)
    attrs = {"fingerprint": fingerprint.digest, "protocol": str(fingerprint)}
    return _EvaluationData(split.test, mask, history, candidates, negatives, told, attrs)


def check_fitted(model: Any) -> None:
    """Raise a `ConfigError` for anything but a fitted model."""
    if not isinstance(getattr(model, "graph", None), Graph) or not callable(getattr(model, "score", None)):
        raise ConfigError(f"expected a fitted model, as returned by fit or load, not {type(model).__name__}")


def default_metrics() -> tuple[str, ...]:
    """Return the metrics that `evaluate` reports unless others are named: built-in ones without ``default=False``.

    Examples
    --------
    >>> default_metrics()[:3], "gini" in default_metrics()
    (('recall', 'ndcg', 'hit_rate'), False)
    """
    return tuple(name for name in METRICS.builtin if METRICS.metadata(name).get("default", True))


def resolve_metrics(metrics: Sequence[str | Metric] | str | Metric | None) -> dict[str, tuple[Metric, str]]:
    """Return by name the function of each metric and what it is computed from (users, lists or catalog)."""
    if metrics is None:
        metrics = default_metrics()
    elif isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    metrics = as_list(metrics, "metrics", "names and functions")
    registered = {id(METRICS.get(name)): name for name in METRICS.names()}
    resolved: dict[str, tuple[Metric, str]] = {}
    for metric in metrics:
        if isinstance(metric, type):
            raise ConfigError(f"a metric is a name or a function, not the class {metric.__name__}")
        if callable(metric) and id(metric) not in registered:
            name, function, of = getattr(metric, "__name__", type(metric).__name__), metric, "users"
        else:
            if not isinstance(metric, str) and not callable(metric):
                raise ConfigError(f"a metric is a name or a function, not {shown(metric)}")
            name = registered[id(metric)] if callable(metric) else metric
            function, of = METRICS.get(name), METRICS.metadata(name).get("of", "users")
        if resolved.get(name, (function,))[0] is not function:
            raise ConfigError(f"two metrics have the name {name!r}; rename one of the functions")
        resolved[name] = function, of
    order = [*METRICS.builtin, *resolved]
    return {name: resolved[name] for name in sorted(resolved, key=order.index)}


def _check_ks(ks: Sequence[int]) -> list[int]:
    found = as_list(ks, "ks", "list lengths, such as [10, 20]")
    for k in found:
        check_integer(k=k)
    sizes = sorted(set(found))
    if not sizes:
        raise ConfigError("ks is empty; give at least one list length")
    return [int(k) for k in sizes]


def user_values(name: str, values: Any, num_users: int) -> np.ndarray:
    """Return the values of a metric, ``[num_users]`` float; NaN where it is undefined."""
    values = torch.as_tensor(values)
    if values.shape != (num_users,):
        raise ConfigError(
            f"the metric {name!r} must return one value per user, a tensor of shape [{num_users}], "
            f"not {list(values.shape)}"
        )
    array: np.ndarray = (values if values.is_floating_point() else values.float()).numpy()
    return array


def _means(
    values: dict[tuple[str, int], np.ndarray], confidence: float, seed: int
) -> dict[tuple[str, int], tuple[float, float, float, int]]:
    """Return mean, confidence interval and number of users of each column; users with NaN do not count."""
    if not values:
        return {}
    table = np.column_stack(list(values.values())).astype(np.float64)  # [n, num_columns]
    number = (~np.isnan(table)).sum(axis=0)
    mean = np.where(number > 0, np.nansum(table, axis=0) / np.maximum(number, 1), np.nan)
    low, high = bootstrap_intervals(table, confidence, seed)
    return {key: (mean[i], low[i], high[i], int(number[i])) for i, key in enumerate(values)}
