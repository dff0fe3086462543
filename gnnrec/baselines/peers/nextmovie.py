"""The mean of what was watched, and a linear layer to what comes next: the plainest model of a sequence."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from gnnrec.baselines.peers.sequences import SequenceModel, SequenceNetwork
from gnnrec.baselines.peers.training import Schedule, Watch, seeded
from gnnrec.graph import Graph


class AverageNetwork(SequenceNetwork):
    """The running mean of the embeddings, dropout, and one linear layer to all movies."""

    def __init__(self, num_movies: int, length: int, dim: int, dropout: float) -> None:
        super().__init__(num_movies, length)
        self.movie = nn.Embedding(num_movies + 2, dim)
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(dim, num_movies)

    def encode(self, tokens: Tensor) -> Tensor:
        """Return ``[num_users, length, dim]``; the start token is part of the mean."""
        real = (tokens != self.pad).unsqueeze(-1).float()
        mean = (self.movie(tokens) * real).cumsum(1) / real.cumsum(1).clamp(min=1)
        return self.dropout(mean)

    def output(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the linear layer."""
        return self.linear.weight, self.linear.bias


class AverageNext(SequenceModel):
    r"""Next movie from the averaged history: the bag-of-embeddings network of many a student project.

    With :math:`e_i` the embedding of a movie and :math:`H_t` the latest movies before the next one,

    .. math:: p(j \mid H_t) = \mathrm{softmax}_j \left( W \frac{1}{|H_t|} \sum_{i \in H_t} e_i + b \right)

    trained with the cross entropy of every next movie. It is the candidate network of Covington et al. (RecSys 2016)
    without its hidden layers. The order within the history is not read.

    Examples
    --------
    >>> import pandas as pd
    >>> from gnnrec.data import Dataset
    >>> from gnnrec.graph import Graph
    >>> from gnnrec.recommend import recommend
    >>> rows = [(u, (u + t) % 5, t) for u in range(20) for t in range(3)]  # after each movie comes the next one
    >>> graph = Graph.from_dataset(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "timestamp"])))
    >>> schedule = Schedule(30, learning_rate=0.05, batch_size=20)
    >>> model = AverageNext.fit(graph, dim=8, length=4, dropout=0.0, schedule=schedule)
    >>> recommend(model, {2: 5}, k=1)["movie_id"].tolist()
    [3]
    """

    name = "average"

    @classmethod
    def fit(
        cls,
        graph: Graph,
        dim: int = 128,
        length: int = 200,
        dropout: float = 0.3,
        schedule: Schedule = Schedule(epochs=60, learning_rate=3e-3, batch_size=64),
        seed: int = 0,
        watch: Watch | None = None,
        device: str = "cpu",
    ) -> Self:
        """Train on the histories in `graph`.

        Parameters
        ----------
        graph : Graph
            Ratings of any value count as 1.
        dim : int
            Width of an embedding.
        length : int
            Latest movies that are averaged, the start token included.
        dropout : float
            Of the mean.
        schedule : Schedule
        seed : int
        watch : Watch, optional
            Stops early.
        device : str
            Where PyTorch computes.
        """
        with seeded(seed) as generator:
            network = AverageNetwork(graph.num_movies, length, dim, dropout)
            return cls.learn(graph, network, generator, schedule, loss="softmax", watch=watch, device=device)
