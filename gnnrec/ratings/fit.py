"""`fit_rating_model`: fits the rating head to the ratings and embeddings of a trained model.

Nothing is optimized, so there is no early stopping: the movie factors are sampled from their posterior repeatedly, and
predictions average over the samples. Ratings are never inputs here, only targets, so no rating can leak into its own
prediction.
"""

from __future__ import annotations

import time
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnrec._progress import track
from gnnrec.config import Config, RatingConfig
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.models.estimator import fit
from gnnrec.models.gnn import RecGraph
from gnnrec.ratings.base import check_ratings
from gnnrec.ratings.bayesian_mf import GibbsSampler, GibbsState, LinearGaussian, regressors
from gnnrec.ratings.head import RatingHead, content_features, user_features
from gnnrec.ratings.model import RatingModel
from gnnrec.splitting import Split


def fit_rating_model(
    data: RecGraph | Dataset | Split,
    config: Config | None = None,
    rating_config: RatingConfig | None = None,
    *,
    progress: bool = True,
) -> RatingModel:
    """Fit a rating head on the embeddings of a trained model.

    Dates are used only if the model's embeddings encode them (``model.temporal``), as in published results on random
    splits of MovieLens.

    Parameters
    ----------
    data : RecGraph, Dataset or Split
        A trained model, whose graph holds the ratings to fit; or the data to train one on first, see `fit`.
    config : Config, optional
        Config of the model to train; not allowed with a trained model.
    rating_config : RatingConfig, optional
        Config of the rating head; the defaults are tuned on MovieLens-1M.
    progress : bool
        Show progress bars.

    Returns
    -------
    RatingModel

    Raises
    ------
    DataError
        The data have no ratings, or all ratings are equal.
    ConfigError
        `config` is given with a trained model, or a config has the wrong type.

    Examples
    --------
    >>> from gnnrec import Config, load_dataset, predict_ratings
    >>> dataset = load_dataset("sample", num_users=60, num_movies=40)
    >>> config = Config().override(["train.epochs=2", "model.embedding_dim=8"])
    >>> model = fit_rating_model(dataset, config, RatingConfig(embedding_dim=4, num_samples=10), progress=False)
    >>> predict_ratings(model, {1: 5, 7: 4}, movies=[3]).columns.tolist()
    ['user_id', 'movie_id', 'title', 'rating']
    """
    if not isinstance(rating_config, (RatingConfig, NoneType)):
        raise ConfigError(f"rating_config must be a RatingConfig, not {type(rating_config).__name__}")
    rating_config = rating_config or RatingConfig()
    if isinstance(data, RecGraph):
        if config is not None:
            raise ConfigError("a trained model already has a config; pass config only with a Dataset or a Split")
        check_ratings(data.graph.dataset)
        model = data
    else:
        if not isinstance(data, (Dataset, Split)):
            raise DataError(f"fit_rating_model takes a RecGraph, a Dataset or a Split, not {type(data).__name__}")
        check_ratings(data if isinstance(data, Dataset) else data.dataset)
        model = fit(data, config=config, progress=progress)

    started = time.perf_counter()
    graph, rng = model.graph, np.random.default_rng(rating_config.seed)
    rating = graph.users.rating
    head = _empty_head(model, rating_config)
    with torch.inference_mode():
        head.profile_shrinkage.fill_(rating_config.profile_shrinkage)

        # Features of the priors
        content = content_features(graph)
        users, movies = user_features(graph.users, torch.empty(graph.num_users, 0)), content
        if rating_config.use_graph_embeddings:
            dim = model.config.model.network_dim  # not those of the EASE part
            z, targets = model.embed(graph.users)[:, :dim].cpu(), model.movie_embeddings.targets[:, :dim].cpu()
            head.graph_mean.copy_(z.mean(0))
            head.graph_std.copy_(_mean_spread(z))
            users = head.user_features(graph.users, z)
            movies = torch.cat([content, (targets - targets.mean(0)) / _mean_spread(targets)], 1)

        # Standardized ratings
        head.rating_mean.copy_(rating.mean())
        head.rating_std.copy_(rating.std())
        head.min_rating.copy_(rating.min())
        head.max_rating.copy_(rating.max())
        y = (rating - head.rating_mean) / head.rating_std

        # Posterior samples
        sampler = GibbsSampler(
            graph.users.user_movie, y, users, movies, rating_config.embedding_dim, rating_config.reg, rng
        )
        head.movie_is_rated.copy_(sampler.movie_has_ratings)
        state = sampler.initial_state()
        steps = range(-rating_config.burn_in, rating_config.num_samples)
        for step in track(steps, "sampling", enabled=progress):
            state = sampler.step(state)
            if step >= 0:
                _store_sample(head, step, state, sampler, content, rating_config.reg)
    noise = float(head.rating_std * (head.noise_precision**-0.5).mean())
    report: dict[str, Any] = {"noise": noise, "seconds": time.perf_counter() - started}
    return RatingModel(model, head.eval(), rating_config, report)


def _mean_spread(embeddings: Tensor) -> Tensor:
    """Return the mean standard deviation of a dimension; 1 for a single node, which has none."""
    return embeddings.std(0).mean().clamp(min=1e-12) if len(embeddings) > 1 else torch.ones(())


def _empty_head(model: RecGraph, rating_config: RatingConfig) -> RatingHead:
    graph = model.graph
    graph_dim = model.config.model.network_dim if rating_config.use_graph_embeddings else 0
    return RatingHead(
        num_samples=rating_config.num_samples,
        num_movies=graph.num_movies,
        embedding_dim=rating_config.embedding_dim,
        num_user_features=1 + graph.users.x.size(1) + graph.users.num_occupations + graph_dim,
        num_content_features=content_features(graph).size(1),
        graph_dim=graph_dim,
    )


def _store_sample(
    head: RatingHead, s: int, state: GibbsState, sampler: GibbsSampler, content: Tensor, reg: float
) -> None:
    """Write sample `s` into the head, with the regressions that new users and new movies need."""
    users, movies = sampler.user_has_ratings, sampler.movie_has_ratings
    head.movie_factors[s] = state.movie_factors
    head.noise_precision[s] = state.noise_precision
    head.user_weight[s], head.user_precision[s] = state.user_prior.weight, state.user_prior.precision
    profile = sampler.user_features[users, : head.profile_weight.size(1)]
    head.profile_weight[s] = LinearGaussian.fit(profile, state.user_factors[users], reg).weight
    prior = LinearGaussian.fit(content[movies], state.movie_factors[movies], reg, sampler.movie_degree[movies])
    head.content_weight[s], head.content_precision[s] = prior.weight, prior.precision
    # Mean rating variance that is due to predicting the movie's factors from its content.
    design = regressors(state.user_factors[users])
    root = torch.linalg.cholesky(prior.precision)
    deviation = torch.linalg.solve_triangular(root, design.T, upper=False)  # [1 + embedding_dim, num_rated_users]
    head.content_variance[s] = (deviation**2).sum(0).mean()
