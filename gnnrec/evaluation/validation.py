"""`Validation` and `validate`: the metric on the validation ratings that training and tuning look at."""

from __future__ import annotations

import pandas as pd

from gnnrec._checks import check_integer
from gnnrec._workers import ALONE, Workers
from gnnrec.errors import DataError
from gnnrec.evaluation.evaluate import Metric, check_fitted, evaluate, resolve_metrics, user_values
from gnnrec.evaluation.ranking import RankingTask, rank
from gnnrec.graph import Graph
from gnnrec.splitting import Split
from gnnrec.typing import Scorer


class Validation:
    """Evaluates one model after another on the validation ratings of a split, which are checked once.

    The `support` of the split is known, and only the training ratings (and `support`) are excluded from the lists.

    Parameters
    ----------
    split : Split
        With validation ratings.
    metric : str or callable
        A metric, as for `evaluate`.
    k : int
        Length of the lists.
    workers : Workers
        Processes that each evaluate a part of the users.

    Raises
    ------
    DataError
        The split has no validation ratings.
    ConfigError
        Unknown metric, or a `k` below 1.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models import EASE
    >>> from gnnrec.splitting import random_split
    >>> split = random_split(make_sample(60, 40))
    >>> validation = Validation(split, "recall", k=10)
    >>> scores = [validation(EASE(reg=reg).fit(split)) for reg in (1, 10, 100)]
    >>> scores == [validate(EASE(reg=reg).fit(split), split, "recall", k=10) for reg in (1, 10, 100)]
    True
    """

    def __init__(self, split: Split, metric: str | Metric = "ndcg", k: int = 20, workers: Workers = ALONE) -> None:
        if split.valid.empty:
            raise DataError(f"the split of {split.name} has no validation ratings to evaluate on")
        check_integer(k=k)
        self.split, self.metric, self.k, self.workers = split, metric, k, workers
        ((self._name, (self._function, self._of)),) = resolve_metrics([metric]).items()
        rows = split.valid
        if self._of != "catalog" and workers.size > 1:
            users = rows["user_id"].drop_duplicates()
            rows = rows[rows["user_id"].isin(users.iloc[slice(*workers.part(len(users)))])]
        self._rows = rows
        self._graph: Graph | None = None

    def __call__(self, model: Scorer) -> float:
        """Return the mean over users for whom the metric is defined.

        Raises
        ------
        DataError, ConfigError
            As for `evaluate`.
        """
        check_fitted(model)
        values = self._values(model) if len(self._rows) else []
        if self._of != "catalog":
            values = self.workers.gather(values)
        return float(pd.Series(values, dtype=float).mean())

    def _values(self, model: Scorer) -> list[float]:
        if self._of == "users" and self.split.support is None:
            if self._graph is not model.graph:
                self._graph, self._task = model.graph, self._new_task(model.graph)
            found = rank(model, self._task, self.k)
            values = self._function(found.hits, found.num_relevant)
            of_users: list[float] = user_values(self._name, values, len(self._task.users)).tolist()
            return of_users
        per_user = self._of != "catalog"
        frame = evaluate(
            model,
            self._rows,
            ks=(self.k,),
            metrics=(self.metric,),
            candidates=self.split.candidates_for("valid"),
            history=self.split.support,
            request_times=self.split.request_times,
            per_user=per_user,
        )
        found_values: list[float] = frame[f"{self._name}@{self.k}" if per_user else "value"].tolist()
        return found_values

    def _new_task(self, graph: Graph) -> RankingTask:
        return RankingTask.from_frames(
            graph,
            self._rows,
            candidates=self.split.candidates_for("valid"),
            request_times=self.split.request_times,
        )


def validate(model: Scorer, split: Split, metric: str | Metric = "ndcg", k: int = 20) -> float:
    """Evaluate a fitted model on the validation ratings of a split, as training and tuning do; see `Validation`.

    Parameters
    ----------
    model : Scorer
        Any fitted model.
    split : Split
        With validation ratings.
    metric : str or callable
        A metric, as for `evaluate`.
    k : int
        Length of the lists.

    Returns
    -------
    float
        Mean over users for whom the metric is defined.

    Raises
    ------
    DataError, ConfigError
        The split has no validation ratings, or as for `evaluate`.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.models import Popularity
    >>> from gnnrec.splitting import random_split
    >>> split = random_split(make_sample(60, 40))
    >>> 0 < validate(Popularity().fit(split), split) < 1
    True
    """
    return Validation(split, metric, k)(model)
