"""`fit_ratings`: the rating head's training loop, top to bottom.

Nothing is optimised, so nothing is stopped early and nothing overfits in the usual sense: the movies' vectors are drawn
from their posterior again and again, and all draws together predict. A rating never serves to predict itself, as it is
no input here; it is what the vectors at both ends must explain.
"""

from __future__ import annotations

import time
from types import NoneType
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from gnnrec.config import Config
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.fit import fit
from gnnrec.models.gnn import RecGraph
from gnnrec.rating.base import check_ratings
from gnnrec.rating.config import RatingConfig
from gnnrec.rating.gaussian import with_one
from gnnrec.rating.head import RatingHead, content_features, person_features
from gnnrec.rating.model import RatingModel
from gnnrec.rating.sampler import Chain, Draw, Link
from gnnrec.splitting import Split


def fit_ratings(
    data: RecGraph | Dataset | Split,
    config: Config | None = None,
    settings: RatingConfig | None = None,
    *,
    progress: bool = True,
) -> RatingModel:
    """Train a rating head on the vectors of a model.

    No date is used, unless the model's vectors know dates (``model.temporal``). Published errors on random splits of
    MovieLens leave dates out.

    Parameters
    ----------
    data : RecGraph, Dataset or Split
        A trained model, whose graph holds the ratings to learn from; or what to train one on first, see `fit`.
    config : Config, optional
        Of the model, where one is to be trained.
    settings : RatingConfig, optional
        Of the head. Defaults are good for MovieLens-1M.
    progress : bool
        Show progress bars.

    Returns
    -------
    RatingModel

    Raises
    ------
    DataError
        The data have no ratings, or only equal ones.
    ConfigError
        A config is given beside a trained model, or is none.

    Examples
    --------
    >>> from gnnrec import Config, load_dataset, predict_rating
    >>> dataset = load_dataset("sample", n_users=60, n_movies=40)
    >>> config = Config().override(["train.epochs=2", "model.embedding_dim=8"])
    >>> model = fit_ratings(dataset, config, RatingConfig.of(embedding_dim=4, num_samples=10), progress=False)
    >>> predict_rating(model, {1: 5, 7: 4}, movies=[3]).columns.tolist()
    ['user_id', 'movie_id', 'title', 'rating']
    """
    if not isinstance(settings, (RatingConfig, NoneType)):
        raise ConfigError(f"settings must be a RatingConfig, not {type(settings).__name__}")
    settings = settings or RatingConfig()
    if isinstance(data, RecGraph):
        if config is not None:
            raise ConfigError("a trained model has a config already; give one only with a dataset or a split")
        check_ratings(data.graph.dataset)
        model = data
    else:
        if not isinstance(data, (Dataset, Split)):
            raise DataError(f"fit_ratings takes a RecGraph, a Dataset or a Split, not {type(data).__name__}")
        check_ratings(data if isinstance(data, Dataset) else data.dataset)
        model = fit(data, config, progress=progress)

    started = time.perf_counter()
    graph, rng = model.graph, np.random.default_rng(settings.seed)
    rating = graph.users.rating
    head = _empty_head(model, settings)
    with torch.inference_mode():
        head.half_trust.fill_(settings.half_trust)

        # What is known of people and movies
        content = content_features(graph)
        people, movies = person_features(graph.users, torch.empty(graph.num_users, 0)), content
        if settings.use_vectors:
            z, targets = model.embed(graph.users).cpu(), model.states.targets.cpu()
            head.center.copy_(z.mean(0))
            head.scale.copy_(z.std(0).mean().clamp(min=1e-12))
            people = head.people(graph.users, z)
            movies = torch.cat([content, (targets - targets.mean(0)) / targets.std(0).mean().clamp(min=1e-12)], 1)

        # The scale of the ratings
        head.mean_rating.copy_(rating.mean())
        head.rating_sd.copy_(rating.std())
        head.lowest.copy_(rating.min())
        head.highest.copy_(rating.max())
        y = (rating - head.mean_rating) / head.rating_sd

        # Draws
        chain = Chain(graph.users.user_movie, y, people, movies, settings.embedding_dim, settings.reg, rng)
        head.is_rated.copy_(chain.rated)
        now = chain.start()
        steps = range(-settings.burn_in, settings.num_samples)
        for s in track(steps, "drawing", disable=not progress):
            now = chain.step(now)
            if s >= 0:
                _keep(head, s, now, chain, content, settings.reg)
    noise = float(head.rating_sd * (head.noise_precision**-0.5).mean())
    report: dict[str, Any] = {"noise": noise, "seconds": time.perf_counter() - started}
    return RatingModel(model, head.eval(), settings, report)


def _empty_head(model: RecGraph, settings: RatingConfig) -> RatingHead:
    graph = model.graph
    vector_dim = model.states.targets.size(1) if settings.use_vectors else 0
    return RatingHead(
        num_samples=settings.num_samples,
        num_movies=graph.num_movies,
        dim=settings.embedding_dim,
        num_user_features=1 + graph.users.x.size(1) + graph.users.num_occupations + vector_dim,
        num_content_features=content_features(graph).size(1),
        vector_dim=vector_dim,
    )


def _keep(head: RatingHead, s: int, now: Draw, chain: Chain, content: Tensor, reg: float) -> None:
    """Write a draw into the head."""
    head.movies[s] = now.movies
    head.noise_precision[s] = now.noise_precision
    head.user_link[s], head.user_precision[s] = now.user_link.weight, now.user_link.precision
    profile = chain.people[chain.active, : head.profile_link.size(1)]
    head.profile_link[s] = Link.fit(profile, now.people[chain.active], reg).weight
    # For movies that come later: what content alone says, and how much a rating of theirs can be off for that.
    link = Link.fit(content[chain.rated], now.movies[chain.rated], reg, chain.movie_degree[chain.rated])
    head.content_link[s], head.content_precision[s] = link.weight, link.precision
    met = with_one(now.people[chain.active])
    root = torch.linalg.cholesky(link.precision)
    spread = torch.linalg.solve_triangular(root, met.T, upper=False)  # [1 + dim, num_active]
    head.content_variance[s] = (spread**2).sum(0).mean()
