"""FeatureRidge: where in an SVD does a movie belong by its content? Learned from rated movies, asked for new ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph, UserBatch
from gnnrec.models.base import Recommender, stable_topk
from gnnrec.models.neighbors import PRIOR, ItemItem, check_grown, check_square, movie_counts, padded
from gnnrec.nn.init import randomized_svd


def tag_matrix(graph: Graph) -> Tensor:
    """Return the genres and the decade of each movie, ``[num_movies, num_genres + 11]`` float32.

    Genres and decade weigh the same: a row of each kind has length 1, or 0 where nothing is known.
    """
    genres = torch.zeros(graph.num_movies, len(graph.genres))
    genres[graph.movie_genres] = 1.0
    return torch.cat([torch.nn.functional.normalize(genres, dim=1), graph.movie_x], dim=1)


def content_matrix(graph: Graph) -> Tensor:
    """Return all that is known about each movie besides who rated it.

    Parameters
    ----------
    graph : Graph
        Movies without any ratings are described like all others.

    Returns
    -------
    Tensor
        ``[num_movies, width]`` float32: `tag_matrix`, then the vectors of each modality of ``graph.dataset.features``
        in alphabetical order. These are standardised over all movies of the modality, in the graph or not: the mean
        vector is taken off, and what is left is divided by its root mean square length. So each modality weighs about
        as much as the genres, however wide it is, and a movie without a vector (zeros) counts as an average one.

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
    blocks = [tag_matrix(graph)]
    for modality in sorted(features):
        vectors = features[modality]
        values, known = vectors.aligned(graph.ids["movie"])
        mean, length = _mean_and_length(vectors.values)
        values[known] = (values[known] - mean) / length
        blocks.append(torch.from_numpy(values))
    return torch.cat(blocks, dim=1)


def _mean_and_length(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of vectors, and the root mean square distance from it (1 where all are the same)."""
    mean = values.mean(axis=0, dtype=np.float64)
    length = float(np.sqrt(((values - mean) ** 2).sum(axis=1).mean()))
    return mean.astype(np.float32), length or 1.0


@dataclass(frozen=True, eq=False, repr=False)
class ContentKNN(ItemItem):
    r"""Neighbours by what movies are, not by who watched them (Lops, de Gemmis & Semeraro 2011, sec. 3.3.1).

    With :math:`c_i` the row of movie `i` in `gnnrec.models.content.content_matrix`,

    .. math:: S_{ij} = \max(\cos(c_i, c_j), 0) \; (i \ne j), \qquad S_{jj} = 0

    and each column `j` keeps its largest values only, among the movies that somebody rated in training: others are in
    nobody's history, or came later. A movie added later gets its neighbours at once.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> movies = pd.DataFrame({"movie_id": [10, 20, 30], "genres": ["Horror", "Comedy", "Horror|Thriller"]})
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 3], "movie_id": [10, 20, 20]})
    >>> model = ContentKNN.fit(Graph.from_dataset(Dataset(ratings, movies)))
    >>> recommend(model, {10: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    rated: Tensor
    num_neighbors: int
    name = "contentknn"

    @classmethod
    def fit(cls, graph: Graph, num_neighbors: int = 50) -> Self:
        """Find the neighbours of each movie.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        num_neighbors : int
            How many movies each movie listens to, at least 1.
        """
        if num_neighbors < 1:
            raise ConfigError(f"num_neighbors must be at least 1, not {num_neighbors}")
        check_square(graph)
        counts = movie_counts(graph)
        rated = counts.nonzero().squeeze(1)
        weights = _nearest(graph, rated, num_neighbors, torch.arange(graph.num_movies))
        return cls(graph, weights, counts / graph.num_users, rated, num_neighbors)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same model on a larger graph; movies added later listen to those of training."""
        weights, share = (padded(values, check_square(graph)) for values in (self.weights, self.share))
        new = torch.arange(self.graph.num_movies, graph.num_movies)
        if len(new):
            weights[:, new] = _nearest(graph, self.rated, self.num_neighbors, new)
        return replace(self, graph=graph, weights=weights, share=share)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, width]``, the content itself."""
        return content_matrix(self.graph)


def _nearest(graph: Graph, rated: Tensor, num_neighbors: int, columns: Tensor) -> Tensor:
    """Return some columns of the weights, ``[num_movies, len(columns)]``; rows of movies not among `rated` are zero."""
    unit = torch.nn.functional.normalize(content_matrix(graph), dim=1)
    cosine = unit[columns] @ unit[rated].T
    cosine[columns.unsqueeze(1) == rated] = -1.0  # nothing is its own neighbour
    values, places = stable_topk(cosine, num_neighbors)  # equally near ones in table order
    weights = torch.zeros(len(columns), graph.num_movies)
    return weights.scatter_(1, rated[places], values.clamp(min=0)).T.contiguous()


@dataclass(frozen=True, eq=False, repr=False)
class FeatureRidge(Recommender):
    r"""A truncated SVD whose movie vectors are continued to unrated movies by a ridge regression from their content.

    With :math:`n_i` the ratings of movie `i` and :math:`V` the first right singular vectors of
    :math:`X \operatorname{diag}(n)^{-p}`, a rated movie has the vector :math:`v_i`, row `i` of :math:`V`, and any other

    .. math::

        \hat v_j = W^T c_j + b, \qquad
        W, b = \arg\min \sum_{i: n_i > 0} \|W^T c_i + b - v_i\|^2 + \lambda \|W\|_F^2

    with :math:`c_j` its row of `gnnrec.models.content.content_matrix` (Gantner et al., ICDM 2010, learn such a map
    for matrix factorisation). People are folded in, known and new alike: :math:`u = \sum_{i \in H} n_i^{-p} v_i`, and
    score a movie by :math:`u \cdot v_j`. Popularity decides where the history says nothing.

    Attributes
    ----------
    graph : Graph
        Whose users and movies it knows.
    messages : Tensor
        ``[num_movies, dim]`` float32, what a movie adds to the person who watched it; zeros for unrated ones.
    vectors : Tensor
        ``[num_movies, dim]`` float32, :math:`v_i` or :math:`\hat v_j`.
    weight, bias : Tensor
        ``[width, dim]`` and ``[dim]`` float32, :math:`W` and :math:`b`.
    share : Tensor
        ``[num_movies]`` float32, share of the users who rated each movie when it was fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.models.base import recommend
    >>> movies = pd.DataFrame({"movie_id": [1, 2, 3, 4, 5, 6], "genres": ["Horror", "Comedy"] * 3})
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [1, 3, 2, 4, 1, 3]})
    >>> model = FeatureRidge.fit(Graph.from_dataset(Dataset(ratings, movies)), dim=2, reg=0.1)
    >>> recommend(model, {1: 5}, candidates=[5, 6])["movie_id"].tolist()  # nobody has rated either
    [5, 6]
    """

    graph: Graph
    messages: Tensor
    vectors: Tensor
    weight: Tensor
    bias: Tensor
    share: Tensor
    name = "ridge"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 128,
        reg: float = 10.0,
        power: float = 0.25,
        by_content: bool = False,
    ) -> Self:
        r"""Factorise and regress.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of a vector, at least 1.
        reg : float
            :math:`\lambda`, above 0; in numbers of movies.
        power : float
            :math:`p`: 0 leaves popular movies their weight, 0.5 gives all movies the same.
        by_content : bool
            Give rated movies :math:`\hat v_i`, too. It is worse for them, but vectors of a regression are shorter than
            those it learns from, and only so does a new movie compete with a rated one on equal terms.
        """
        if dim < 1:
            raise ConfigError(f"dim must be at least 1, not {dim}")
        if not reg > 0:
            raise ConfigError(f"reg must be above 0, not {reg}")
        if not 0 <= power <= 1:
            raise ConfigError(f"power must be between 0 and 1, not {power}")
        counts = movie_counts(graph)
        scale = counts.clamp(min=1) ** -power  # [num_movies]
        watched = graph.users.user_movie
        # Another seed gives the same vectors but for what is rounded off.
        _, _, v = randomized_svd(watched, scale[watched.col], dim, torch.Generator().manual_seed(0))
        rated = counts > 0
        content = content_matrix(graph)
        weight, bias = _regress(content[rated], v[rated], reg)
        vectors = content @ weight + bias
        if not by_content:
            vectors = torch.where(rated.unsqueeze(1), v, vectors)
        messages = v * (scale * rated).unsqueeze(1)
        return cls(graph, messages, vectors, weight, bias, counts / graph.num_users)

    def score(self, users: UserBatch) -> Tensor:
        """Return ``[num_users, num_movies]`` float32 from the histories in `users`, and nothing else of them."""
        people = users.user_movie.matmul(torch.ones(users.user_index.numel()), self.messages)  # [num_users, dim]
        return people @ self.vectors.T + PRIOR * self.share

    def with_graph(self, graph: Graph) -> Self:
        """Return the same model on a larger graph; a movie added later is placed by its content."""
        fitted = self.graph.num_movies
        check_grown(fitted, graph.num_movies)
        placed = content_matrix(graph)[fitted:] @ self.weight + self.bias
        messages = torch.nn.functional.pad(self.messages, (0, 0, 0, graph.num_movies - fitted))
        share = padded(self.share, graph.num_movies)
        vectors = torch.cat([self.vectors, placed])
        return replace(self, graph=graph, messages=messages, vectors=vectors, share=share)

    def similarity_embeddings(self) -> Tensor:
        """Return ``[num_movies, dim]``."""
        return self.vectors

    def __repr__(self) -> str:
        return f"FeatureRidge({self.graph.num_movies:,} movies)"


def _regress(x: Tensor, y: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Return weight ``[width, dim]`` and bias ``[dim]`` of a ridge regression; the bias is not punished."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = (x - x_mean).double()
    gram = centred.T @ centred
    gram.diagonal().add_(reg)
    weight = torch.linalg.solve(gram, centred.T @ (y - y_mean).double()).float()
    return weight, y_mean - x_mean @ weight
