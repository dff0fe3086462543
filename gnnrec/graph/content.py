"""What a graph knows of its movies themselves, as tensors with a row per movie: the half of `Graph` without people."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnrec.data import Dataset
from gnnrec.graph import features
from gnnrec.graph.facts import movie_facts
from gnnrec.graph.sides import GENRES, links_to


class MovieContent:
    """Movies by their years, facts, vectors and links; `Graph` inherits it."""

    dataset: Dataset
    sides: dict[str, pd.Index]

    @property
    def num_movies(self) -> int:
        """Number of movie nodes."""
        return self.dataset.num_movies

    @property
    def genres(self) -> pd.Index:
        """The genres that are nodes."""
        return self.sides[GENRES]

    @cached_property
    def movie_x(self) -> Tensor:
        """``[num_movies, 11]``, the decade of release."""
        return features.decade_features(self.dataset.movies["year"].to_numpy(dtype="float64", na_value=np.nan))

    @cached_property
    def movie_facts(self) -> Tensor:
        """``[num_movies, 6]``, see `gnnrec.graph.facts.movie_facts`."""
        return movie_facts(self.dataset.movies)

    @cached_property
    def movie_modalities(self) -> dict[str, tuple[Tensor, Tensor]]:
        """By modality ``[num_movies, width]`` vectors and ``[num_movies]`` bool, which movies have one."""
        ids = self.dataset.movies["movie_id"]
        aligned = {name: vectors.aligned(ids) for name, vectors in self.dataset.features.items()}
        return {name: (torch.from_numpy(values), torch.from_numpy(known)) for name, (values, known) in aligned.items()}

    @cached_property
    def movie_sides(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Edges ``(movie, node)``, each ``[num_edges]`` int64, for each kind in `sides`."""
        return links_to(self.dataset.movies, self.sides)

    @property
    def movie_genres(self) -> tuple[Tensor, Tensor]:
        """Edges ``(movie, genre)``, each ``[num_edges]`` int64."""
        return self.movie_sides[GENRES]
