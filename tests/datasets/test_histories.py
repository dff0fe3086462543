"""Exports of other sites: every format is recognized, what is not a movie is left out, and no file breaks the reader."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrec import ConfigError, DataError, load_plugins
from gnnrec.datasets.histories import HistoryEntry, HistoryFile, files, merge_entries, read_history_file
from gnnrec.registry import HISTORY_FORMATS, history_sites, listed_sites
from tests.helpers.cli import HOME, succeeds
from tests.helpers.histories import LETTERBOXD, zipped
from tests.helpers.registries import restored_registries


def read(path: Path, text: str | bytes, **options: Any) -> HistoryFile:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_history_file(path, **options)


# Formats


def test_simkl(tmp_path: Path) -> None:
    """Its items look like those of Trakt, but have other keys for ratings."""
    ids = {"simkl": 53536, "slug": "heat", "imdb": "tt0113277", "tmdb": "949"}
    movies = [
        {
            "last_watched_at": "2024-01-01T10:00:00Z",
            "status": "completed",
            "user_rating": 9,
            "movie": {"title": "Heat", "year": 1995, "ids": ids},
        },
        {"status": "completed", "user_rating": None, "movie": {"title": "Alien", "year": 1979, "ids": {"simkl": 2}}},
        {"status": "plantowatch", "movie": {"title": "Dune", "year": 2021, "ids": {"simkl": 3}}},
    ]
    found = read(tmp_path / "SimklBackup.json", json.dumps({"shows": [], "anime": [], "movies": movies}))
    assert found.source == "Simkl"
    heat, alien = found.entries
    assert (heat.title, heat.year, heat.rating, heat.scale) == ("Heat", 1995, 9.0, (1.0, 10.0))
    assert (heat.time, heat.imdb_id, heat.tmdb_id) == (1704103200, "tt0113277", 949)
    assert (alien.title, alien.rating, alien.time) == ("Alien", None, None)
    assert [one[:2] for one in found.left_out] == [("Dune", "on the watchlist, not watched")]


PLUGIN = """
from gnnrec import register_history_format
from gnnrec.datasets.histories import HistoryEntry, HistoryFile


@register_history_format("Cinephile", kind="table", matches=lambda columns: "cinephileid" in columns)
def read_cinephile(table):
    entries = [HistoryEntry(row["title"], rating=row.number("hearts", (0, 4)), scale=(0, 4), at=row.at) for row in table.rows]
    return HistoryFile("Cinephile", entries)


@register_history_format("Moviedom", kind="json", matches=lambda items: any("moviedom" in item for item in items))
def read_moviedom(items):
    return HistoryFile("Moviedom", [HistoryEntry(item["movie"]["title"], at=items.label) for item in items.items])
"""


def test_a_site_is_one_file(tmp_path: Path) -> None:
    """Its format comes before similar ones, and its name is in messages and help."""
    table, items = "Cinephile Id,Title,Hearts\n7,Heat,3\n", '[{"moviedom": 1, "movie": {"title": "Heat"}}]'
    assert read(tmp_path / "a.csv", table).source == "table of titles"
    assert read(tmp_path / "a.json", items).source == "Trakt"
    (tmp_path / "sites_plugin.py").write_text(PLUGIN)
    with restored_registries():
        load_plugins(tmp_path / "sites_plugin.py")
        found = read(tmp_path / "a.csv", table)
        assert (found.source, found.entries[0].rating, found.entries[0].at) == ("Cinephile", 3.0, f"{tmp_path}/a.csv:2")
        assert read(tmp_path / "a.json", items).source == "Moviedom"
        with pytest.raises(DataError, match=r"Letterboxd, .* Cinephile and Moviedom, tables with a column of titles"):
            read(tmp_path / "b.csv", "x,y\n1,2\n")


def test_names_of_the_sites() -> None:
    assert history_sites()[:6] == ["Letterboxd", "IMDb", "Netflix", "Trakt", "MovieLens", "TMDB"]
    assert set(HISTORY_FORMATS.builtin) >= {"Simkl", "Netflix: ratings", "TMDB: JSON", "other: table", "other: JSON"}
    assert all(HISTORY_FORMATS.metadata(name)["kind"] in ("table", "json") for name in HISTORY_FORMATS.names())
    shown = " ".join(succeeds("recommend", "--help").split())
    assert f"an export from {listed_sites('or')}, or a list of titles" in shown
    page = (HOME / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \|", page.split("## A history")[1].split("\n## ")[0], re.MULTILINE)
    listed, sites = set(rows) - {"site", "elsewhere"}, set(history_sites())
    assert listed == sites, f"list the same sites in docs/reference/files.md as the registry: {sorted(listed ^ sites)}"


def test_merged_entries() -> None:
    diary = HistoryEntry("Heat", 1995, 2.0, time=50)
    entries = [
        diary,
        HistoryEntry("Heat", 1995, 4.0, is_current=True, time=10),
        HistoryEntry("Heat", 1995, is_liked=True),
    ]
    merged = merge_entries(entries)
    assert (merged.rating, merged.time, merged.is_liked) == (4.0, 50, True)


# Faults


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", r"a\.csv is empty"),
        ("a.csv", b"\xff\xfe\x00", r"a\.csv is damaged UTF-16"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0", r"a\.csv is not text; known are exports of Letterboxd, IMDb"),
        ("a.csv", b"x,y\n1,2\n", r"a\.csv is not a known history file; its columns are 'x', 'y'; known are"),
        ("a.csv", b"Date,Name,Year,Letterboxd URI,Rating\n2020-01-01,Heat,1995,x,6\n", r"a\.csv:2: rating 6 is not between 0\.5"),
        ("a.csv", b"Date,Name,Year,Letterboxd URI,Rating\n2020-01-01,Heat,1995,x,good\n", r"a\.csv:2: rating 'good' is not a n"),
        ("a.csv", b"Const,Your Rating,Title\ntt1,5,Heat\ntt2,11,Heat\n", r"a\.csv:3: yourrating 11 is not between 1 and 10"),
        ("a.csv", b"Date,Name,Year,Letterboxd URI\n2020,Heat\n2020,A,B,C,D,E\n", r"a\.csv:3: expected 4 fields as in the head"),
        ("a.json", b"[{", r"a\.json:1: not JSON"),
        ("a.json", b'{"a": 1}', r"a\.json is not a known history file"),
        ("a.json", b"[1, 2]", r"a\.json is not a known history file"),
        ("a.json", b'[{"movie": {"title": "Heat"}, "rating": "ten"}]', r"a\.json\[0\]: rating 'ten' is not a number between"),
        ("a.json", b"[" * 100_000, r"not JSON: nested too deeply|is no known"),
        ("a.zip", b"not a zip", r"a\.zip is not a zip file, or it is damaged"),
    ],
)  # fmt: skip
def test_odd_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / name, data)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none does not exist"):
        read_history_file(tmp_path / "none")
    with pytest.raises(DataError, match=r"is not a known export \(it has no \.csv, \.json or \.txt file\)"):
        read_history_file(tmp_path)


def test_zip_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"ratings.csv": b"0" * (20 << 20)})
    with pytest.raises(DataError, match=r"bomb\.zip: ratings\.csv unpacks to 20 MiB, too large for a history file"):
        read_history_file(bomb)
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    many = zipped(tmp_path / "many.zip", {f"{n}.csv": bytes(range(1, 251)) for n in range(5)})
    with pytest.raises(DataError, match=r"many\.zip unpacks to more than"):
        read_history_file(many)
    with pytest.raises(DataError, match=r"has 0 MiB; a history is at most"):
        read(tmp_path / "large.csv", LETTERBOXD * 10)
    monkeypatch.setattr(files, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match=r"many\.zip has 5 files; an export has at most 3"):
        read_history_file(many)


def test_damaged_and_foreign_zip_files(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"ratings.csv": LETTERBOXD.encode()}, zipfile.ZIP_STORED).read_bytes())
    data[60] ^= 255
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip is a damaged zip file: .*CRC.*; download it again"):
        read_history_file(tmp_path / "a.zip")
    other = zipped(tmp_path / "b.zip", {"x.csv": b"a,b\n1,2\n", "readme.txt": b"Heat"})
    with pytest.raises(DataError, match=r"b\.zip is not a known export \(it has x\.csv\); known are"):
        read_history_file(other)
    both = zipped(tmp_path / "c.zip", {"x.csv": b"a,b\n1,2\n", "../../ratings.csv": LETTERBOXD.encode()})
    found = read_history_file(both)
    assert len(found.entries) == LETTERBOXD.count("\n") - 1 and "files not used: x.csv" in found.notes
    assert not (tmp_path.parent / "ratings.csv").exists()


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    path = Path("history-of-a-test.csv")
    path.write_bytes(data)
    try:
        found = read_history_file(path)
    except (DataError, ConfigError):
        return
    finally:
        path.unlink()
    assert all(entry.at for entry in found.entries)


KEYS = [
    "movie",
    "show",
    "title",
    "year",
    "ids",
    "imdb",
    "tmdb",
    "rating",
    "watched_at",
    "results",
    "release_date",
    "id",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2024-01-01T10:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_json(value: Any) -> None:
    assert_read_or_refused("any.json", json.dumps(value))


HEADERS = [
    "Date,Name,Year,Letterboxd URI,Rating",
    "Const,Your Rating,Date Rated,Title,Title Type,Year",
    "Title,Date",
    "Profile Name,Title Name,Star Value,Thumbs Value,Event Utc Ts",
    "userId,movieId,rating,timestamp",
    "TMDb ID,IMDb ID,Type,Name,Release Date,Your Rating",
    "film;year;stars",
]
CELLS = st.sampled_from(
    ["", "Heat", "1995", "4", "9.5", "-1", "2024-01-01", "1/13/24", "99/99/99", "tt1", "movie", "é", '"']
)


@given(st.sampled_from(HEADERS), st.lists(st.lists(CELLS, max_size=7), max_size=4))
def test_any_rows(header: str, rows: list[list[str]]) -> None:
    assert_read_or_refused("any.csv", "\n".join([header, *(("," if "," in header else ";").join(row) for row in rows)]))


def assert_read_or_refused(name: str, text: str) -> None:
    """Refused means: one line, with the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            read_history_file(path)
        except (DataError, ConfigError) as error:
            assert name in str(error) and "\n" not in str(error)
