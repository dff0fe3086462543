"""Posters and plots from TMDB and OMDb: each request is logged on disk, so an interrupted run can be resumed.

Every class with `register_metadata_provider` is found in any file here.
"""

from gnnrec.metadata.client import (
    AuthenticationError,
    FetchError,
    NotFoundError,
    RateLimitError,
    RequestPolicy,
    ServiceUnavailableError,
)
from gnnrec.metadata.fetch import FetchReport, fetch_metadata
from gnnrec.metadata.matching import MovieQuery, NoMatch
from gnnrec.metadata.providers import MetadataProvider, MovieMetadata, Omdb, Tmdb

__all__ = [
    "AuthenticationError",
    "FetchError",
    "FetchReport",
    "MetadataProvider",
    "MovieMetadata",
    "MovieQuery",
    "NoMatch",
    "NotFoundError",
    "Omdb",
    "RateLimitError",
    "RequestPolicy",
    "ServiceUnavailableError",
    "Tmdb",
    "fetch_metadata",
]
