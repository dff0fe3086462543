"""Family-friendly movies: by certificate if there is one, otherwise by genres."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from gnnrec.errors import ConfigError
from gnnrec.graph import Graph

FAMILY_GENRES = frozenset({"children", "children's", "family", "kids"})
"""A family-friendly movie without a certificate must have one of these genres."""
ANIMATION = frozenset({"animation"})
"""Replaces `FAMILY_GENRES` if no movie has any of them; otherwise it is not enough: *South Park* is animated."""
ADULT_GENRES = frozenset({"adult", "crime", "erotic", "erotica", "film-noir", "horror", "mystery", "thriller", "war"})
"""A family-friendly movie without a certificate must have none of these genres."""
FAMILY_CERTIFICATES = frozenset(
    {"g", "pg", "tvg", "tvpg", "tvy", "tvy7", "tvy7fv", "u", "uc", "0", "fsk0", "6", "fsk6"}
)
"""Certificates (USA, UK, Germany) for all ages or for children with guidance; without punctuation."""
NO_CERTIFICATES = frozenset({"", "na", "nr", "notrated", "unrated", "approved", "passed"})
"""Certificates that do not indicate suitability for children: *Psycho* was "Approved"."""


def is_family_friendly(graph: Graph) -> Tensor:
    """Return which movies are for families, ``[num_movies]`` bool.

    Where the movies table has a ``certificate`` (G, PG, R, ...), it decides. Elsewhere a movie must have a genre for
    families and none for adults. Movies with neither are excluded.

    Parameters
    ----------
    graph : Graph

    Raises
    ------
    ConfigError
        No movie has a certificate or a genre for families.

    Examples
    --------
    >>> movies = pd.DataFrame({"movie_id": [1, 2, 3], "genres": ["Children's|Comedy", "Drama", "Animation|Comedy"]})
    >>> rated = gnnrec.Dataset(pd.DataFrame({"user_id": [1, 1, 1], "movie_id": [1, 2, 3]}), movies)
    >>> is_family_friendly(gnnrec.Graph.from_dataset(rated)).tolist()
    [True, False, False]
    """
    movies = graph.dataset.movies
    kinds = [set(text.casefold().split("|")) if isinstance(text, str) else set() for text in movies["genres"].tolist()]
    wanted = FAMILY_GENRES if any(genres & FAMILY_GENRES for genres in kinds) else ANIMATION
    by_genre = [bool(genres & wanted) and not genres & ADULT_GENRES for genres in kinds]
    certificates = [_plain(value) for value in movies["certificate"]] if "certificate" in movies else [""] * len(movies)
    if not any(genres & wanted for genres in kinds) and not any(text not in NO_CERTIFICATES for text in certificates):
        raise ConfigError(
            "cannot filter for families: no movie has a certificate or a genre such as Children's; add a column "
            "certificate (G, PG, R, ...) to the movies table, or leave family_friendly out"
        )
    return torch.tensor(
        [
            friendly if text in NO_CERTIFICATES else text in FAMILY_CERTIFICATES
            for text, friendly in zip(certificates, by_genre, strict=True)
        ],
        dtype=torch.bool,
    )


def _plain(value: object) -> str:
    return re.sub(r"[\W_]", "", value.casefold()) if isinstance(value, str) else ""
