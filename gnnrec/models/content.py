"""Models that use the content of movies: content-based neighbors, and an SVD with a ridge regression for new movies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gnnrec._torch import ridge_gram, stable_topk
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender
from gnnrec.models.counts import check_grown, check_square, id_order, movie_counts, padded
from gnnrec.models.estimator import Estimator
from gnnrec.models.neighbors import POPULARITY_WEIGHT, ItemSimilarityModel
from gnnrec.models.saved_state import check_shapes
from gnnrec.nn.svd import randomized_svd
from gnnrec.registry import register_model
from gnnrec.training.loop import FitRun

MATRICES = 4
"""Movie-to-movie matrices that content kNN has at once."""


def genre_decade_matrix(graph: Graph) -> Tensor:
    """Return the genres and the decade of each movie, ``[num_movies, num_genres + 11]`` float32.

    Genres and decade have equal weight: each part of a row has length 1, or 0 where unknown.
    """
    genres = torch.zeros(graph.num_movies, len(graph.genres))
    genres[graph.movies.attribute_edges["genres"]] = 1.0
    return torch.cat([torch.nn.functional.normalize(genres, dim=1), graph.movies.x], dim=1)


def content_matrix(graph: Graph) -> Tensor:
    """Return the content features of each movie: everything but its ratings.

    Parameters
    ----------
    graph : Graph
        Movies without ratings are included.

    Returns
    -------
    Tensor
        ``[num_movies, width]`` float32: `genre_decade_matrix`, then the embeddings of each modality of
        ``graph.dataset.features`` in alphabetical order. These are standardized over all movies of the modality, in the
        graph or not: centered, then divided by their root mean square length. So each modality has about the weight of
        the genres, regardless of its width, and a movie without an embedding (zeros) is treated as average.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> movies = pd.DataFrame({"movie_id": [7, 8], "genres": ["Comedy|Drama", "Drama"], "year": [1995, None]})
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": [1], "movie_id": [7]}), movies))
    >>> content_matrix(graph)[:, :2].tolist()  # Comedy, Drama
    [[0.7071067690849304, 0.7071067690849304], [0.0, 1.0]]
    """
    features = graph.dataset.features
    blocks = [genre_decade_matrix(graph)]
    for modality in sorted(features):
        vectors = features[modality]
        values, known = vectors.aligned(graph.ids["movie"])
        mean, length = _mean_and_length(vectors.values)
        values[known] = (values[known] - mean) / length
        blocks.append(torch.from_numpy(values))
    return torch.cat(blocks, dim=1)


def _mean_and_length(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of embeddings, and their root mean square distance from it (1 if all are equal)."""
    mean = values.mean(axis=0, dtype=np.float64)
    length = float(np.sqrt(((values - mean) ** 2).sum(axis=1).mean()))
    return mean.astype(np.float32), length or 1.0


@register_model("contentknn", grid=[{"num_neighbors": 50}, {"num_neighbors": 20}, {"num_neighbors": 200}])
class ContentKNN(Estimator):
    r"""Nearest neighbors by content instead of ratings (Lops, de Gemmis & Semeraro 2011, sec. 3.3.1).

    With :math:`c_i` the row of movie `i` in `content_matrix`,

    .. math:: S_{ij} = \max(\cos(c_i, c_j), 0) \; (i \ne j), \qquad S_{jj} = 0

    and each column `j` keeps only its largest values, among movies with training ratings, equal ones by movie id.
    Movies added later get neighbors without training.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> movies = pd.DataFrame({"movie_id": [10, 20, 30], "genres": ["Horror", "Comedy", "Horror|Thriller"]})
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 3], "movie_id": [10, 20, 20]})
    >>> ContentKNN().fit(Dataset(ratings, movies)).recommend({10: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    num_neighbors: int = Field(50, ge=1)
    """Neighbors kept per movie."""

    def fit_graph(self, graph: Graph, run: FitRun) -> ContentKNNModel:
        """See `Estimator.fit_graph`."""
        check_square(graph.num_movies, MATRICES, self.name)
        counts = movie_counts(graph)
        rated = counts.nonzero().squeeze(1)
        weights = _nearest(graph, rated, self.num_neighbors, torch.arange(graph.num_movies))
        return ContentKNNModel(graph, weights, counts / graph.num_users, self, rated)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> ContentKNNModel:
        """See `Estimator.restore`."""
        check_shapes(state, weights="mm", share="m", rated="r")
        rated, size = state["rated"], len(state["share"])
        if size != graph.num_movies or rated.dtype != torch.int64 or not bool(((rated >= 0) & (rated < size)).all()):
            raise LookupError("rated are not movies of the graph")
        return ContentKNNModel(graph, state["weights"], state["share"], self, state["rated"])


@dataclass(frozen=True, eq=False, repr=False)
class ContentKNNModel(ItemSimilarityModel):
    """Fitted `ContentKNN`.

    Attributes
    ----------
    rated : Tensor
        ``[num_rated]`` int64, movies with training ratings.
    """

    estimator: ContentKNN
    rated: Tensor

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; movies added later get neighbors among those of training."""
        if graph.num_movies > self.graph.num_movies:
            check_square(graph.num_movies, 1, self.name)
        weights, share = (padded(values, graph.num_movies) for values in (self.weights, self.share))
        new = torch.arange(self.graph.num_movies, graph.num_movies)
        if len(new):
            weights[:, new] = _nearest(graph, self.rated, self.estimator.num_neighbors, new)
        return replace(self, graph=graph, weights=weights, share=share)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``: the content itself."""
        return content_matrix(self.graph)

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        return {"weights": self.weights, "share": self.share, "rated": self.rated}


def _nearest(graph: Graph, rated: Tensor, num_neighbors: int, columns: Tensor) -> Tensor:
    """Return some columns of the weights, ``[num_movies, len(columns)]``; rows of movies not among `rated` are zero."""
    order = id_order(graph)
    rated = order[torch.isin(order, rated)]  # equal cosines are chosen by movie id
    unit = torch.nn.functional.normalize(content_matrix(graph), dim=1)
    cosine = unit[columns] @ unit[rated].T
    cosine[columns.unsqueeze(1) == rated] = -1.0  # a movie is not its own neighbor
    values, nearest = stable_topk(cosine, num_neighbors)
    weights = torch.zeros(len(columns), graph.num_movies)
    return weights.scatter_(1, rated[nearest], values.clamp(min=0)).T.contiguous()


@register_model(
    "ridge",
    grid=[{"reg": reg, "content_only": content_only} for content_only in (False, True) for reg in (10.0, 1.0, 100.0)],
)
class FeatureRidge(Estimator):
    r"""A truncated SVD whose movie embeddings are extended to unrated movies by ridge regression on their content.

    With :math:`n_i` the number of ratings of movie `i` and :math:`V` the first right singular vectors of
    :math:`X \operatorname{diag}(n)^{-p}`, a rated movie has the embedding :math:`v_i`, row `i` of :math:`V`, and any
    other

    .. math::

        \hat v_j = W^T c_j + b, \qquad
        W, b = \arg\min \sum_{i: n_i > 0} \|W^T c_i + b - v_i\|^2 + \lambda \|W\|_F^2

    with :math:`c_j` its row of `content_matrix` (Gantner et al., ICDM 2010, learn such a map for matrix
    factorization). Users, known or new, are folded in: :math:`u = \sum_{i \in H} n_i^{-p} v_i`, and score a movie by
    :math:`u \cdot v_j`. An empty history gets the most popular movies.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec import Dataset
    >>> movies = pd.DataFrame({"movie_id": [1, 2, 3, 4, 5, 6], "genres": ["Horror", "Comedy"] * 3})
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [1, 3, 2, 4, 1, 3]})
    >>> model = FeatureRidge(embedding_dim=2, reg=0.1).fit(Dataset(ratings, movies))
    >>> model.recommend({1: 5}, candidates=[5, 6])["movie_id"].tolist()  # neither has ratings
    [5, 6]
    """

    embedding_dim: int = Field(128, ge=1)
    """Dimension of the embeddings."""
    reg: float = Field(10.0, gt=0)
    r"""Ridge penalty :math:`\lambda`, in numbers of movies."""
    power: float = Field(0.25, ge=0, le=1)
    """Popularity exponent :math:`p`: with 0 popular movies keep their weight, with 0.5 all movies have the same."""
    content_only: bool = False
    r"""Use :math:`\hat v_i` for rated movies, too. Less accurate for rated movies, but puts rated and new movies on the
    same (shrunken) scale."""

    def fit_graph(self, graph: Graph, run: FitRun) -> FeatureRidgeModel:
        """See `Estimator.fit_graph`."""
        counts = movie_counts(graph)
        scale = counts.clamp(min=1) ** -self.power  # [num_movies]
        observed = graph.users.user_movie
        # The seed affects rounding errors only.
        _, _, v = randomized_svd(observed, scale[observed.col], self.embedding_dim, torch.Generator().manual_seed(0))
        rated = counts > 0
        content = content_matrix(graph)
        weight, bias = _regress(content[rated], v[rated], self.reg)
        embeddings = content @ weight + bias
        if not self.content_only:
            embeddings = torch.where(rated.unsqueeze(1), v, embeddings)
        messages = v * (scale * rated).unsqueeze(1)
        return FeatureRidgeModel(graph, messages, embeddings, weight, bias, counts / graph.num_users, self)

    def restore(self, graph: Graph, state: Mapping[str, Tensor]) -> FeatureRidgeModel:
        """See `Estimator.restore`."""
        check_shapes(state, messages="md", embeddings="md", weight="cd", bias="d", share="m")
        if len(state["share"]) != graph.num_movies:
            raise LookupError(f"it has {len(state['share']):,} movies, and the graph {graph.num_movies:,}")
        return FeatureRidgeModel(graph=graph, estimator=self, **state)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureRidgeModel(Recommender):
    r"""Fitted `FeatureRidge`.

    Attributes
    ----------
    graph : Graph
    messages : Tensor
        ``[num_movies, dim]`` float32, what each movie adds to the embedding of a user who rated it.
    embeddings : Tensor
        ``[num_movies, dim]`` float32, :math:`v_i` or :math:`\hat v_j`.
    weight, bias : Tensor
        ``[width, dim]`` and ``[dim]`` float32, :math:`W` and :math:`b`.
    share : Tensor
        ``[num_movies]`` float32, fraction of users who rated each movie in training.
    estimator : FeatureRidge
    """

    graph: Graph
    messages: Tensor
    embeddings: Tensor
    weight: Tensor
    bias: Tensor
    share: Tensor
    estimator: FeatureRidge

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32, from the histories alone."""
        folded_in = users.user_movie.matmul(torch.ones(users.user_index.numel()), self.messages)  # [num_users, dim]
        return folded_in @ self.embeddings.T + POPULARITY_WEIGHT * self.share

    def with_graph(self, graph: Graph) -> Self:
        """See `Recommender.with_graph`; movies added later get an embedding from their content."""
        fitted = self.graph.num_movies
        check_grown(fitted, graph.num_movies)
        added = content_matrix(graph)[fitted:] @ self.weight + self.bias
        messages = torch.nn.functional.pad(self.messages, (0, 0, 0, graph.num_movies - fitted))
        share = padded(self.share, graph.num_movies)
        return replace(
            self, graph=graph, messages=messages, embeddings=torch.cat([self.embeddings, added]), share=share
        )

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``."""
        return self.embeddings

    def state(self) -> dict[str, Tensor]:
        """See `Recommender.state`."""
        names = ("messages", "embeddings", "weight", "bias", "share")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"FeatureRidgeModel({self.graph.num_movies:,} movies)"


def _regress(x: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return weight ``[width, dim]`` and bias ``[dim]`` of a ridge regression; the bias is not penalized."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    centered = (x - x_mean).double()
    weight = torch.linalg.solve(ridge_gram(centered, reg), centered.T @ (y - y_mean).double()).float()
    return weight, y_mean - x_mean @ weight
