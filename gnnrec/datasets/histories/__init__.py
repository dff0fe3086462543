"""Reads what people export from the sites where they keep their movies: one `HistoryEntry` per rating, view or like.

Letterboxd, IMDb, Netflix, Trakt, MovieLens, TMDB, other tables with a column of titles, and plain lists of titles. A
format is recognized by its columns or keys, not by the name of the file. Nothing here knows a catalog;
`gnnrec.read_history` finds the movies of a graph.
"""

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut, merge_entries, without_duplicates
from gnnrec.datasets.histories.files import read_history_file

__all__ = ["HistoryEntry", "HistoryFile", "LeftOut", "merge_entries", "read_history_file", "without_duplicates"]
