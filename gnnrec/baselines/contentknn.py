"""Content-kNN: more of what looks like the movies somebody watched; works for movies that nobody has rated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnrec.baselines.content import content_matrix
from gnnrec.baselines.counts import check_square, padded, times_watched
from gnnrec.baselines.itemitem import ItemItem
from gnnrec.errors import ConfigError
from gnnrec.graph import Graph
from gnnrec.recommend import top


@dataclass(frozen=True, eq=False, repr=False)
class ContentKNN(ItemItem):
    r"""Neighbours by what movies are, not by who watched them (Lops, de Gemmis & Semeraro 2011, sec. 3.3.1).

    With :math:`c_i` the row of movie `i` in `gnnrec.baselines.content.content_matrix`,

    .. math:: S_{ij} = \max(\cos(c_i, c_j), 0) \; (i \ne j), \qquad S_{jj} = 0

    and each column `j` keeps its largest values only, among the movies that somebody rated in training: others are in
    nobody's history, or came later. A movie added later gets its neighbours at once.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.recommend import recommend
    >>> movies = pd.DataFrame({"movie_id": [10, 20, 30], "genres": ["Horror", "Comedy", "Horror|Thriller"]})
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 3], "movie_id": [10, 20, 20]})
    >>> model = ContentKNN.fit(Graph.from_dataset(Dataset(ratings, movies)))
    >>> recommend(model, {10: 5}, k=1)["movie_id"].tolist()
    [30]
    """

    rated: Tensor
    neighbours: int
    name = "contentknn"

    @classmethod
    def fit(cls, graph: Graph, neighbours: int = 50) -> Self:
        """Find the neighbours of each movie.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        neighbours : int
            How many movies each movie listens to, at least 1.
        """
        if neighbours < 1:
            raise ConfigError(f"neighbours must be at least 1, not {neighbours}")
        check_square(graph)
        counts = times_watched(graph)
        rated = counts.nonzero().squeeze(1)
        weights = _nearest(graph, rated, neighbours, torch.arange(graph.num_movies))
        return cls(graph, weights, counts / graph.num_users, rated, neighbours)

    def with_graph(self, graph: Graph) -> Self:
        """Return the same model on a larger graph; movies added later listen to those of training."""
        weights, share = (padded(values, check_square(graph)) for values in (self.weights, self.share))
        new = torch.arange(self.graph.num_movies, graph.num_movies)
        if len(new):
            weights[:, new] = _nearest(graph, self.rated, self.neighbours, new)
        return replace(self, graph=graph, weights=weights, share=share)

    def movie_vectors(self) -> Tensor:
        """Return ``[num_movies, width]``, the content itself."""
        return content_matrix(self.graph)


def _nearest(graph: Graph, rated: Tensor, neighbours: int, columns: Tensor) -> Tensor:
    """Return some columns of the weights, ``[num_movies, len(columns)]``; rows of movies not among `rated` are zero."""
    unit = torch.nn.functional.normalize(content_matrix(graph), dim=1)
    cosine = unit[columns] @ unit[rated].T
    cosine[columns.unsqueeze(1) == rated] = -1.0  # nothing is its own neighbour
    values, places = top(cosine, neighbours)  # equally near ones in table order
    weights = torch.zeros(len(columns), graph.num_movies)
    return weights.scatter_(1, rated[places], values.clamp(min=0)).T.contiguous()
