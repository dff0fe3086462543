"""`recommend_group`: one list for several users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import pandas as pd
import torch

from gnnrec._checks import check_flag, check_integer, choose_from, shown
from gnnrec._torch import check_scores, stable_topk
from gnnrec.errors import ConfigError, DataError
from gnnrec.models.base import Recommender
from gnnrec.models.filters import movie_mask
from gnnrec.models.recommend import fitted
from gnnrec.reranking import STRATEGIES, Reranking, RerankingOptions, combine_scores, standardize, suitability
from gnnrec.reranking.rerank import POOL
from gnnrec.typing import MovieInput, UserInput


def recommend_group(
    model: Recommender,
    users: UserInput,
    k: int = 10,
    *,
    strategy: str = "average",
    exclude_seen: bool = True,
    candidates: Iterable[MovieInput] | None = None,
    exclude: Iterable[MovieInput] | None = None,
    genres: str | Iterable[str] | None = None,
    years: Any = None,
    min_ratings: int = 0,
    family_friendly: bool = False,
    offset: int = 0,
    at: Any = None,
    unknown: str = "error",
    **reranking: Unpack[RerankingOptions],
) -> pd.DataFrame:
    """Recommend movies to several users together.

    The scores of each member are standardized over the movies that they have not rated, so that all members count
    equally.

    Parameters
    ----------
    model : Recommender
        Any fitted model.
    users : list of user ids, NewUsers and mappings, or DataFrame
        The members, as for `recommend`; known and new users may be mixed.
    k : int
        Number of movies.
    strategy : str
        How the members' scores are combined (Masthoff, Recommender Systems Handbook, 2015): ``"average"``;
        ``"least_misery"``, the lowest score; ``"most_pleasure"``, the highest score; or ``"fair"``: members take turns,
        and the next turn goes to the member whom the list has served worst so far.
    exclude_seen : bool
        Exclude movies that any member has rated.
    candidates, exclude, genres, years, min_ratings, family_friendly, offset, at, unknown, **reranking
        As for `Recommender.recommend`. The history for `calibration` is that of all members.

    Returns
    -------
    pandas.DataFrame
        ``movie_id, title, score, rank``, and a column ``suits NAME`` for each member: a percentile in [0, 1], the share
        of the member's unrated movies that score lower for them than this one. `score` is the combined score, the
        average for ``"fair"``; it is comparable within one list only.

    Raises
    ------
    ConfigError
        `strategy` is unknown, or as for `Recommender.recommend`.
    DataError
        Two members have the same id or name, or as for `Recommender.recommend`.

    Examples
    --------
    >>> from gnnrec.models import EASE
    >>> model = EASE(reg=50).fit(dataset)
    >>> found = recommend_group(model, [1, {3: 5, 4: 4}], k=2, strategy="least_misery")
    >>> found.columns.tolist()
    ['movie_id', 'title', 'score', 'rank', 'suits 1', 'suits new user 2']
    """
    model = fitted(model)
    check_integer(k=k)
    check_integer(0, offset=offset)
    check_flag(exclude_seen=exclude_seen)
    k, offset = (min(int(number), model.graph.num_movies) for number in (k, offset))
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        raise ConfigError(f"unknown strategy {shown(strategy)}{choose_from(shown(strategy), STRATEGIES)}")
    batch, names = model.encode_users(users, unknown=unknown, at=at)
    if names.has_duplicates:
        raise DataError(f"member {names[names.duplicated()].tolist()[0]!r} is in the group twice")
    mask = movie_mask(
        model.graph,
        candidates=candidates,
        exclude=exclude,
        genres=genres,
        years=years,
        min_ratings=min_ratings,
        family_friendly=family_friendly,
        unknown=unknown,
    )
    reranker = model.reranker(Reranking(**reranking), unknown)
    own = model.score(batch).cpu()
    check_scores(own, model.name, names.tolist)
    seen = torch.zeros(own.shape, dtype=torch.bool)
    seen[batch.user_index, batch.movie_index] = True
    standard = standardize(own, seen)
    allowed = torch.ones(model.graph.num_movies, dtype=torch.bool) if mask is None else mask.clone()
    if exclude_seen:
        allowed[batch.movie_index] = False
    end = k + offset
    group = combine_scores(standard, strategy, allowed, end if reranker is None else max(end, POOL))
    if reranker is None:
        values, nodes = (best[0] for best in stable_topk(group.unsqueeze(0), end))
        nodes = nodes[values > -torch.inf]
    else:
        nodes = reranker.rank(group, batch.movie_index, end)
    nodes = nodes[offset:]
    score = standard.mean(0) if strategy == "fair" else group
    table = model.graph.dataset.movies
    result = {
        "movie_id": table["movie_id"].array.take(nodes.numpy()),
        "title": table["title"].array.take(nodes.numpy()),
        "score": score[nodes].numpy(),
        "rank": range(offset + 1, offset + 1 + len(nodes)),
    }
    return pd.DataFrame(
        result | {f"suits {name}": row.numpy() for name, row in zip(names, suitability(own, seen, nodes), strict=True)}
    )
