"""`analyze`: a dataset in tables, pictures and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnnrec.analysis.content_sections import missing_section
from gnnrec.analysis.finding import Finding
from gnnrec.analysis.ratings import LackingError, overview
from gnnrec.analysis.report import html_overview, write_report
from gnnrec.analysis.sections import SECTIONS
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """What `analyze` found in a dataset.

    Attributes
    ----------
    name : str
        Of the dataset, with what was filtered out of it.
    overview : dict
        Its plain counts; see `gnnrec.analysis.ratings.overview`.
    findings : dict of str to Finding
        By name, in the order of the report.
    left_out : dict of str to str
        Names of what the dataset gives nothing for, and why.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(1, 7), (1, 8), (2, 7)]
    >>> found = analyze(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id"])))
    >>> found.overview["density"], [finding.name for finding in found]
    (0.75, ['ratings-per-user', 'ratings-per-movie', 'long-tail', 'most-rated', 'matrix', 'missing'])
    >>> found.left_out["ratings"]
    'the ratings of custom have no column rating'
    """

    name: str
    overview: Mapping[str, Any]
    findings: Mapping[str, Finding]
    left_out: Mapping[str, str]

    def __getitem__(self, name: str) -> Finding:
        """Return a finding by its name; a `ConfigError` says why there is none, or which there are."""
        if name in self.findings:
            return self.findings[name]
        if name in self.left_out:
            raise ConfigError(f"{name!r} was left out: {self.left_out[name]}")
        raise ConfigError(f"there is no finding {name!r}; there are {', '.join(self.findings)}")

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings.values())

    def __len__(self) -> int:
        return len(self.findings)

    def save(self, folder: str | Path) -> Path:
        """Write ``report.html``, ``report.md``, a PNG for each finding, and all numbers in ``figures.json``.

        Parameters
        ----------
        folder : str or Path
            New, empty, or that of an earlier report, which is replaced; other files in it stay. It appears whole or not
            at all, and needs nothing from outside.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        DataError
            There is something else at that place.
        """
        return write_report(self, folder)

    def __repr__(self) -> str:
        return f"Analysis({self.name!r}: {len(self.findings)} findings, {len(self.left_out)} left out)"

    def _repr_html_(self) -> str:
        return html_overview(self)


def analyze(dataset: Dataset, out: str | Path | None = None, *, posters: str | Path | None = None) -> Analysis:
    """Look at a dataset: who rates what, how often, when, and what is known of them.

    Parameters
    ----------
    dataset : Dataset
        Any; ``user_id`` and ``movie_id`` are enough. What needs more is left out where there is no more, and
        `Analysis.left_out` says why.
    out : str or Path, optional
        Folder of the report; see `Analysis.save`.
    posters : str or Path, optional
        A folder of pictures, ``<movie_id>.jpg``, to count the movies that have one.

    Returns
    -------
    Analysis

    Raises
    ------
    DataError
        It is no `Dataset`, `posters` holds no poster of any of its movies, or at `out` is something that is no report.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> found = analyze(make_sample(100, 80))
    >>> found
    Analysis('sample': 16 findings, 0 left out)
    >>> found["ratings"].table[["low", "ratings"]].values.tolist()
    [[1.0, 57.0], [2.0, 469.0], [3.0, 1443.0], [4.0, 1348.0], [5.0, 438.0]]
    """
    if not isinstance(dataset, Dataset):
        raise DataError(f"analyze takes a Dataset, such as load_dataset returns, not {type(dataset).__name__}")
    findings, left_out = {}, {}
    last = missing_section(dataset, posters)  # first, because it may fail
    for name, section in SECTIONS.items():
        try:
            findings[name] = section(dataset)
        except LackingError as lacking:
            left_out[name] = str(lacking)
    name = ", ".join(filter(None, (dataset.name, dataset.filters)))
    found = Analysis(name, overview(dataset), {**findings, last.name: last}, left_out)
    if out is not None:
        found.save(out)
    return found
