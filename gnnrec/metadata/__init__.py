"""Posters and plots from services that know movies: asked politely, kept on disk, never asked twice."""

from gnnrec.features.fetch.fetch import FetchReport, fetch_content
from gnnrec.features.fetch.manners import FetchError, Manners
from gnnrec.features.fetch.omdb import Omdb
from gnnrec.features.fetch.tmdb import Tmdb

__all__ = ["FetchError", "FetchReport", "Manners", "Omdb", "Tmdb", "fetch_content"]
