"""`analyze`, its result, and the report: a page, the same in Markdown, figures, and all numbers as JSON.

The page and the Markdown are templates in ``templates/``; this file gives them numbers as text.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from gnnrec._io import new_folder
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.explore.finding import Finding
from gnnrec.explore.tables import MissingColumnError, overview
from gnnrec.plots.formatting import one_line, percent
from gnnrec.plots.style import png_size
from gnnrec.registry import FINDINGS

FORMAT = 2
"""Version of ``analysis.json``."""
NUMBERS, PAGE, MARKDOWN = "analysis.json", "report.html", "report.md"
MAX_TABLE_ROWS = 40
"""Maximum number of rows of a table in the report; longer ones are in ``analysis.json`` only."""


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """The findings of `analyze` about a dataset.

    Attributes
    ----------
    name : str
        Name of the dataset, with its filters.
    overview : dict
        Basic statistics; see `gnnrec.explore.overview`.
    findings : dict of str to Finding
        By name, in the order of the report.
    left_out : dict of str to str
        Names of the findings that the dataset lacks data for, and the reason.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(1, 7), (1, 8), (2, 7)]
    >>> analysis = analyze(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> analysis.overview["density"], [finding.name for finding in analysis]
    (0.75, ['ratings-per-user', 'ratings-per-movie', 'long-tail', 'most-rated', 'matrix', 'missing'])
    >>> analysis.left_out["ratings"]
    'the ratings of custom have no column rating'
    """

    name: str
    overview: Mapping[str, Any]
    findings: Mapping[str, Finding]
    left_out: Mapping[str, str]

    def __getitem__(self, name: str) -> Finding:
        """Return a finding by name; `ConfigError` if it was left out or does not exist."""
        if name in self.findings:
            return self.findings[name]
        if name in self.left_out:
            raise ConfigError(f"the finding {name!r} was left out: {self.left_out[name]}")
        raise ConfigError(f"unknown finding {name!r}; choose one of {', '.join(self.findings)}")

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings.values())

    def __len__(self) -> int:
        return len(self.findings)

    def statistics(self) -> list[tuple[str, str]]:
        """Return the basic statistics as pairs of label and formatted value."""
        stats = self.overview
        pairs = [(name, f"{stats[name]:,}") for name in ("users", "movies", "ratings")]
        pairs.append(("density", percent(stats["density"])))
        pairs += [(f"ratings per {one}, median", f"{stats[f'ratings_per_{one}']:,.4g}") for one in ("user", "movie")]
        for total, rated in (("users", "active_users"), ("movies", "rated_movies")):
            if none := stats[total] - stats[rated]:
                pairs.append((f"{total} without ratings", f"{none:,}"))
        if stats["mean_rating"] is not None:
            pairs.append(("mean rating", f"{stats['mean_rating']:.2f}"))
        if stats["first_day"] is not None:
            pairs += [("first day", stats["first_day"]), ("last day", stats["last_day"])]
        return pairs

    def save(self, folder: str | Path) -> Path:
        """Write ``report.html``, ``report.md``, a PNG for each finding, and all numbers in ``analysis.json``.

        Parameters
        ----------
        folder : str or Path
            A new or empty folder, or that of an earlier report, which is replaced; other files in it stay. The report
            is written atomically. The page needs no network.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            The folder holds something other than a report.
        """
        owned = {NUMBERS, PAGE, MARKDOWN, *(f"{name}.png" for name in FINDINGS.names())}
        with new_folder(folder, header=NUMBERS, owned=owned, kind="report of gnnrec analyze") as new:
            sizes = {}
            for finding in self:
                png = finding.png()
                sizes[finding.name] = png_size(png)
                (new / f"{finding.name}.png").write_bytes(png)
            numbers = json.dumps(to_json(self), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
            for name, text in ((NUMBERS, numbers), (MARKDOWN, to_markdown(self)), (PAGE, to_html(self, sizes))):
                (new / name).write_text(text, encoding="utf-8", newline="\n")
        return Path(folder)

    def __repr__(self) -> str:
        return f"Analysis({self.name!r}: {len(self.findings)} findings, {len(self.left_out)} left out)"

    def _repr_html_(self) -> str:
        return _templates().get_template("overview.html.jinja").render(analysis=self)


def analyze(dataset: Dataset, out: str | Path | None = None, *, posters: str | Path | None = None) -> Analysis:
    """Analyze a dataset: ratings, long tail, activity, genres, demographics and missing data.

    Parameters
    ----------
    dataset : Dataset
        Only ``user_id`` and ``movie_id`` are required. Findings that need more are left out if the dataset lacks it;
        `Analysis.left_out` gives the reason.
    out : str or Path, optional
        Folder of the report; see `Analysis.save`.
    posters : str or Path, optional
        Folder of images, ``<movie_id>.jpg``, to count the movies that have a poster.

    Returns
    -------
    Analysis

    Raises
    ------
    DataError
        `dataset` is not a `Dataset`, `posters` has no poster of any of its movies, or the folder `out` holds something
        other than a report.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> analysis = analyze(make_sample(100, 80))
    >>> analysis
    Analysis('sample': 16 findings, 0 left out)
    >>> analysis["ratings"].table[["low", "ratings"]].values.tolist()
    [[1.0, 57.0], [2.0, 469.0], [3.0, 1443.0], [4.0, 1348.0], [5.0, 438.0]]
    """
    if not isinstance(dataset, Dataset):
        raise DataError(f"analyze takes a Dataset, such as load_dataset returns, not {type(dataset).__name__}")
    findings, left_out = {}, {}
    for name, find in FINDINGS.items():
        options = {"posters": posters} if "posters" in inspect.signature(find).parameters else {}
        try:
            found = find(dataset, **options)
        except MissingColumnError as reason:
            left_out[name] = str(reason)
        else:
            findings[name] = replace(found, name=name, title=FINDINGS.metadata(name).get("title", name))
    name = ", ".join(filter(None, (dataset.name, dataset.filters)))
    analysis = Analysis(name, overview(dataset), findings, left_out)
    if out is not None:
        analysis.save(out)
    return analysis


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Return all numbers of an analysis as JSON values; missing ones are null."""
    return {
        "format": FORMAT,
        "dataset": analysis.name,
        "overview": _plain(dict(analysis.overview)),
        "findings": [
            {
                "name": finding.name,
                "title": finding.title,
                "file": f"{finding.name}.png",
                "text": finding.text,
                "alt": finding.alt,
                "numbers": _plain(dict(finding.numbers)),
                "columns": [str(column) for column in finding.table.columns],
                "rows": _plain(finding.table.astype(object).to_numpy().tolist()),
            }
            for finding in analysis
        ],
        "left_out": dict(analysis.left_out),
    }


def to_markdown(analysis: Analysis) -> str:
    """Return the report as Markdown, with links to the figures."""
    return _templates().get_template("report.md.jinja").render(analysis=analysis, numbers=NUMBERS)


def to_html(analysis: Analysis, sizes: Mapping[str, tuple[int, int]]) -> str:
    """Return the report as an HTML page that needs nothing but the figures.

    Parameters
    ----------
    analysis : Analysis
    sizes : dict
        Width and height of each figure in pixels, by name, so that the page does not shift while they load.
    """
    page = _templates().get_template("report.html.jinja")
    return page.render(analysis=analysis, sizes=sizes, numbers=NUMBERS, markdown=MARKDOWN)


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gnnrec.explore"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"as_markdown": _as_markdown, "cells": _cells}
    return environment


def _cells(table: pd.DataFrame) -> list[list[tuple[str, bool]]] | None:
    """Return each cell as its text and whether it is a number; None if the table is too long or has no names."""
    if len(table) > MAX_TABLE_ROWS or not all(isinstance(column, str) for column in table.columns):
        return None
    rows = _plain(table.astype(object).to_numpy().tolist())
    return [[_cell(name, value) for name, value in zip(table.columns, row, strict=True)] for row in rows]


def _cell(column: str, value: Any) -> tuple[str, bool]:
    if value is None:
        return "unknown" if column == "group" else "", False
    if isinstance(value, str):
        return one_line(value), False
    if "share" in column:
        return percent(value), True
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}", True


def _as_markdown(text: str) -> str:
    """Escape text so that Markdown shows it literally."""
    return re.sub(r"([\\`*_{}\[\]<>|#!&~$])", r"\\\1", one_line(text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value
