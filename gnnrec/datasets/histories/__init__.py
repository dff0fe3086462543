"""Reads exports of movie sites: one `HistoryEntry` per rating, view or like.

A site is a file: a function with ``@register_history_format`` that reads a table or the items of a JSON file. Formats
are recognized by columns or keys, not by the name of the file. Other tables with a column of titles, and plain lists of
titles, are read as well. Nothing here depends on a catalog; `gnnrec.read_history` finds the movies of a graph.
"""

from gnnrec.datasets.histories.entries import HistoryEntry, HistoryFile, LeftOut, merge_entries, without_duplicates
from gnnrec.datasets.histories.files import read_history_file

__all__ = ["HistoryEntry", "HistoryFile", "LeftOut", "merge_entries", "read_history_file", "without_duplicates"]
