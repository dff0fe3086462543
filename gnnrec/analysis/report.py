"""Findings as a folder that one can read, send and keep: Markdown, one HTML page, pictures, and all numbers."""

from __future__ import annotations

import json
import math
import re
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import pandas as pd

from gnnrec.analysis.finding import Finding, size_of
from gnnrec.analysis.words import one_line, percent
from gnnrec.models.gnn import new_folder

if TYPE_CHECKING:
    from gnnrec.analysis.analyze import Analysis

FORMAT = 1
"""Version of ``figures.json``."""
NUMBERS, PAGE, TEXT = "figures.json", "report.html", "report.md"
LONGEST_TABLE = 40
"""Rows that are shown on the page; longer tables stand in ``figures.json`` alone."""
PICTURES = (
    "ratings", "ratings-per-user", "ratings-per-movie", "long-tail", "most-rated", "matrix", "activity", "days",
    "genres", "genre-ratings", "genres-by-decade", "genres-over-time", "ages", "genders", "occupations", "missing",
)  # fmt: skip
"""Names of all findings that there may be; an earlier report's pictures go."""


def write_report(found: Analysis, folder: str | Path) -> Path:
    """Write a report whole or not at all; see `Analysis.save`."""
    owned = {NUMBERS, PAGE, TEXT, *(f"{name}.png" for name in PICTURES)}
    with new_folder(folder, header=NUMBERS, owned=owned, what="report of gnnrec analyze") as made:
        sizes = {}
        for finding in found:
            png = finding.png()
            sizes[finding.name] = size_of(png)
            (made / f"{finding.name}.png").write_bytes(png)
        numbers = json.dumps(as_json(found), ensure_ascii=False, indent=1, allow_nan=False)
        for name, text in ((NUMBERS, numbers + "\n"), (TEXT, markdown(found)), (PAGE, html(found, sizes))):
            (made / name).write_text(text, encoding="utf-8", newline="\n")
    return Path(folder)


def as_json(found: Analysis) -> dict[str, Any]:
    """Return all numbers as what JSON knows; what is missing is null."""
    return {
        "format": FORMAT,
        "dataset": found.name,
        "overview": _plain(dict(found.overview)),
        "figures": [
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
            for finding in found
        ],
        "left_out": dict(found.left_out),
    }


def facts(found: Analysis) -> list[tuple[str, str]]:
    """Return the plain counts as pairs of a name and a text."""
    of = found.overview
    rows = [(name, f"{of[name]:,}") for name in ("users", "movies", "ratings")]
    rows.append(("pairs with a rating", percent(of["density"])))
    rows += [(f"ratings per {one}, median", f"{of[f'ratings_per_{one}']:,.4g}") for one in ("user", "movie")]
    for total, some, name in (("users", "active_users", "users"), ("movies", "rated_movies", "movies")):
        if of[total] > of[some]:
            rows.append((f"{name} without ratings", f"{of[total] - of[some]:,}"))
    if of["mean_rating"] is not None:
        rows.append(("mean rating", f"{of['mean_rating']:.2f}"))
    if of["first_day"] is not None:
        rows += [("first day", of["first_day"]), ("last day", of["last_day"])]
    return rows


def html_overview(found: Analysis) -> str:
    """Return the plain counts, and what was left out, as a piece of HTML."""
    rows = "".join(f"<tr><th>{escape(what)}</th><td>{escape(value)}</td></tr>" for what, value in facts(found))
    left_out = _left_out(found)
    return f"<table><tbody>{rows}</tbody></table>" + (f"<p>Left out:</p>{left_out}" if left_out else "")


def _left_out(found: Analysis) -> str:
    items = "".join(f"<li><code>{name}</code>: {escape(why)}.</li>" for name, why in found.left_out.items())
    return f"<ul>{items}</ul>" if items else ""


def markdown(found: Analysis) -> str:
    """Return the report as Markdown; pictures lie beside it."""
    lines = [f"# {_marked(found.name)}: what is in the data", "", "| | |", "|---|---:|"]
    lines += [f"| {name} | {value} |" for name, value in facts(found)]
    if found.left_out:
        lines += ["", "Left out:", ""]
        lines += [f"- `{name}`: {_marked(why)}." for name, why in found.left_out.items()]
    parts = ["\n".join([*lines, ""])]
    for finding in found:
        parts.append(
            f"## {finding.title}\n\n{_marked(finding.text)}\n\n![{_marked(finding.alt)}]({finding.name}.png)\n"
        )
    return "\n".join([*parts, f"All numbers are in [{NUMBERS}]({NUMBERS}).", ""])


def html(found: Analysis, sizes: dict[str, tuple[int, int]]) -> str:
    """Return the report as a page that needs nothing but the pictures beside it.

    Parameters
    ----------
    found : Analysis
    sizes : dict
        Width and height of each picture in pixels, by name, so that nothing jumps while they are read.
    """
    template = Template(resources.files("gnnrec.analysis").joinpath("report.html").read_text(encoding="utf-8"))
    left_out = _left_out(found)
    return template.substitute(
        name=escape(found.name),
        facts="".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for what, value in facts(found)),
        findings="\n".join(_section(finding, sizes[finding.name]) for finding in found),
        left_out=f'<section class="wide"><h2>Left out</h2>{left_out}</section>' if left_out else "",
    )


def _section(finding: Finding, size: tuple[int, int]) -> str:
    width, height = size
    return (
        f'<section id="{finding.name}"><h2>{escape(finding.title)}</h2><p>{escape(finding.text)}</p>'
        f'<img src="{finding.name}.png" alt="{escape(finding.alt)}" width="{width // 2}" height="{height // 2}" '
        f'loading="lazy">{_numbers(finding.table)}</section>'
    )


def _numbers(table: pd.DataFrame) -> str:
    if len(table) > LONGEST_TABLE or not all(isinstance(column, str) for column in table.columns):
        return f'<p class="small">The numbers are in <a href="{NUMBERS}">{NUMBERS}</a>.</p>'
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in table.columns)
    body = "".join(
        "<tr>" + "".join(_cell(column, value) for column, value in zip(table.columns, row, strict=True)) + "</tr>"
        for row in _plain(table.astype(object).to_numpy().tolist())
    )
    return (
        f"<details><summary>Numbers</summary><div><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "<td>not known</td>" if column == "group" else "<td></td>"
    if isinstance(value, str):
        return f"<td>{escape(one_line(value))}</td>"
    if "share" in column:
        return f'<td class="n">{percent(value)}</td>'
    return f'<td class="n">{f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"}</td>'


def _marked(text: str) -> str:
    """Return a text of anybody's as Markdown that shows just it."""
    return re.sub(r"([\\`*_{}\[\]<>|#!&~$])", r"\\\1", one_line(text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value
