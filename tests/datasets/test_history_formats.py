"""Further forms of histories: other sites, other languages, lists with ratings, tables without a header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import gnnrec
from gnnrec import DataError, Dataset
from gnnrec.datasets.histories import read_history_file
from gnnrec.datasets.histories.times import parse_times
from gnnrec.graph import Graph, HistoryReport

TITLES = ["Heat (1995)", "Matrix, The (1999)", "Alien (1979)", "Jaws (1975)", "Twelve Monkeys (1995)"]
HEAT, MATRIX, ALIEN, JAWS, MONKEYS = 1, 2, 3, 4, 5


@pytest.fixture(scope="module")
def graph() -> Graph:
    ratings = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [HEAT, MATRIX, ALIEN], "rating": [1, 5, 3]})
    imdb = ["tt0113277", "tt0133093", "tt0078748", "tt0073195", None]
    movies = pd.DataFrame({"movie_id": range(1, 6), "title": TITLES, "imdb_id": imdb})
    return Graph.from_dataset(Dataset(ratings, movies))


def read(graph: Graph, path: Path, content: Any) -> tuple[dict[Any, float], HistoryReport]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    user, report = gnnrec.read_history(path, graph)
    return dict(user.ratings), report


def test_numbers_under_a_heading(graph: Graph, tmp_path: Path) -> None:
    ratings, report = read(graph, tmp_path / "list.txt", "My films\n\n1) Heat (1995)\n2) The Matrix (1999)\n3) Alien\n")
    assert ratings == {HEAT: 5, MATRIX: 5, ALIEN: 5}
    assert report.left_out["title"].tolist() == ["My films"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2. Heat\n1. Alien\n", {HEAT: 5, ALIEN: 5}),
        ("# Best\n\n- Heat (1995)\n+ *The Matrix* (1999)\n* **Alien**\n", {HEAT: 5, MATRIX: 5, ALIEN: 5}),
        ("[x] Heat (1995)\n[ ] Alien (1979)\n", {HEAT: 5}),
        ("- [ ] Heat (1995)\n- [ ] Alien (1979)\n", {HEAT: 5, ALIEN: 5}),
        ("☑ Heat\n☐ Alien\n", {HEAT: 5}),
        ("Heat (1995) - 4/5\nAlien (1979): 5/5\nJaws 8/10\n", {HEAT: 4, ALIEN: 5, JAWS: 4}),
        ("Heat (1995) (4.5/5)\nAlien\n", {HEAT: 4.5, ALIEN: 5}),
        ("Heat (1995) ★★★★½\nAlien ★★☆☆☆\n", {HEAT: 4.5, ALIEN: 2}),
        ("12 Monkeys\nAlien\n", {MONKEYS: 5, ALIEN: 5}),
        ("Heat: 9\nAlien: 4\n", {HEAT: 4.5, ALIEN: 2}),
        ("# Mine\n12 Monkeys - 5\n- Alien - 3\n", {MONKEYS: 5, ALIEN: 3}),
        ("Heat 90%\nAlien 40%\n", {HEAT: 4.5, ALIEN: 2}),
        ("| Film | Stars |\n|------|:-----:|\n| Heat (1995) | ★★★★ |\n| Alien | 2 |\n", {HEAT: 4, ALIEN: 2}),
        ("Film | Year\n--- | ---\nHeat | 1995\n", {HEAT: 5}),
        ("“Heat”\n«Alien»\n", {HEAT: 5, ALIEN: 5}),
        ("tt0113277\nhttps://www.imdb.com/title/tt0078748/?ref_=x\n", {HEAT: 5, ALIEN: 5}),
    ],
)
def test_lists(graph: Graph, tmp_path: Path, text: str, expected: dict[int, float]) -> None:
    assert read(graph, tmp_path / "list.md", text)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995),4.5\nAlien (1979),5\n", {HEAT: 4.5, ALIEN: 5}),
        ("Heat,1995,9\nAlien,1979,10\n", {HEAT: 4.5, ALIEN: 5}),
        ("tt0113277;8,5\ntt0078748;10\n", {HEAT: 4.25, ALIEN: 5}),
        ("Heat,1995\nAlien,1979\n", {HEAT: 5, ALIEN: 5}),
        ("Titel;Jahr;Bewertung\nHeat;1995;4,5\nAlien;1979;5,0\n", {HEAT: 4.5, ALIEN: 5}),
        ("Название;Год;Оценка\nHeat;1995;9\n", {HEAT: 4.5}),
        ("Score,Film Name,Your Review,IMDB ID\n90,Heat,,tt0113277\n85,Alien,,tt0078748\n", {HEAT: 4.5, ALIEN: 4.25}),
        ("Title,Rating\nHeat,9/10\nAlien,4 out of 5\nJaws,40%\n", {HEAT: 4.5, ALIEN: 4, JAWS: 2}),
        ("Title,Rating\nHeat,★★★★½\nAlien,3 stars\n", {HEAT: 4.5, ALIEN: 3}),
        ("Title,Year,User Rating,Last Viewed At\nHeat,1995,9.0,2020-01-01 10:00:00\n", {HEAT: 4.5}),
    ],
)
def test_tables(graph: Graph, tmp_path: Path, text: str, expected: dict[int, float]) -> None:
    assert read(graph, tmp_path / "films.csv", text)[0] == expected


def test_columns_without_a_header_are_said(graph: Graph, tmp_path: Path) -> None:
    _, report = read(graph, tmp_path / "films.csv", "Heat,1995,9\nAlien,1979,10\n")
    assert report.notes[-1] == f"{tmp_path / 'films.csv'}: columns taken as title, year, rating"


def test_what_was_not_watched_is_left_out(graph: Graph, tmp_path: Path) -> None:
    text = (
        "SIMKL_ID,Title,Type,Year,Watchlist,WatchedDate,Rating,TMDB,IMDB\n1,Heat,movie,1995,completed,2020-01-01,9,,\n"
    )
    text += "2,Jaws,movie,1975,plantowatch,,,,\n3,Dark,tv,2017,completed,2020-01-01,8,,\n"
    ratings, report = read(graph, tmp_path / "simkl.csv", text)
    assert ratings == {HEAT: 4.5}
    assert report.left_out[["title", "reason"]].values.tolist() == [["Jaws", "not watched"], ["Dark", "not a movie"]]
    text = "rank;title;year;imdb url;checked;favorite;dislike\n1;Heat;1995;http://www.imdb.com/title/tt0113277/;yes;yes;no\n"
    text += "2;Alien;1979;;yes;no;no\n3;Jaws;1975;;yes;no;yes\n4;The Matrix;1999;;no;no;no\n"
    ratings, report = read(graph, tmp_path / "icheckmovies.csv", text)
    assert ratings == {HEAT: 5, JAWS: 1, ALIEN: 1}, "a view counts as the mean of the ratings"
    assert report.left_out["title"].tolist() == ["The Matrix"]
    ratings, report = read(
        graph, tmp_path / "movielens-wishlist.csv", "movie_id,imdb_id,title\n1,0113277,Heat (1995)\n"
    )
    assert (ratings, report.left_out["title"].tolist()) == ({}, ["Heat (1995)"])


def test_simkl_in_json(graph: Graph, tmp_path: Path) -> None:
    heat = {"title": "Heat", "year": 1995, "ids": {"imdb": "tt0113277", "tmdb": "949"}}
    seen = {"last_watched_at": "2020-01-01T00:00:00Z", "user_rating": 9, "status": "completed", "movie": heat}
    wanted = {"last_watched_at": None, "user_rating": None, "status": "plantowatch", "movie": {"title": "Jaws"}}
    ratings, report = read(graph, tmp_path / "simkl.json", {"movies": [seen, wanted], "shows": [], "anime": []})
    assert (ratings, report.left_out["title"].tolist()) == ({HEAT: 4.5}, ["Jaws"])


def test_jellyfin(graph: Graph, tmp_path: Path) -> None:
    heat = {"Name": "Heat", "ProductionYear": 1995, "Type": "Movie", "ProviderIds": {"Imdb": "tt0113277"}}
    items = [
        {**heat, "UserData": {"Played": True, "Rating": 8, "LastPlayedDate": "2020-01-01T00:00:00.0000000Z"}},
        {"Name": "Alien", "Type": "Movie", "UserData": {"Played": True, "IsFavorite": True}},
        {"Name": "Dark", "Type": "Series", "UserData": {"Played": True}},
        {"Name": "Jaws", "Type": "Movie", "UserData": {"Played": False}},
    ]
    ratings, report = read(graph, tmp_path / "jellyfin.json", {"Items": items, "TotalRecordCount": 4})
    assert ratings == {HEAT: 4, ALIEN: 5}
    assert report.left_out[["title", "reason"]].values.tolist() == [["Dark", "not a movie"], ["Jaws", "not watched"]]


def test_titles_as_keys(graph: Graph, tmp_path: Path) -> None:
    assert read(graph, tmp_path / "mine.json", {"Heat (1995)": 10, "Alien": 3})[0] == {HEAT: 5, ALIEN: 1.5}


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "Heat", "rating": 4.5}\n\n{"title": "Alien", "rating": 3}\n',
        '[{"title": "Heat", "year": 1995, "rating": 4.5}, {"title": "Alien", "rating": 3}]',
        '{"movies": [{"Name": "Heat", "My Rating": "9/10"}, {"Name": "Alien", "My Rating": "60%"}]}',
    ],
)
def test_objects_with_titles(graph: Graph, tmp_path: Path, text: str) -> None:
    assert read(graph, tmp_path / "mine.json", text)[0] == {HEAT: 4.5, ALIEN: 3}
    assert read(graph, tmp_path / "mine.jsonl", text)[0] == {HEAT: 4.5, ALIEN: 3}


def test_a_title_with_another_line_separator(graph: Graph, tmp_path: Path) -> None:
    text = '{"title": "Heat", "rating": 4.5, "note": "a\u2028b"}\n{"title": "Alien", "rating": 3}\n'
    assert read(graph, tmp_path / "mine.jsonl", text)[0] == {HEAT: 4.5, ALIEN: 3}


def test_long_lines_take_no_time(graph: Graph, tmp_path: Path) -> None:
    """A search that takes the square of the length would not end."""
    long = 1_000_000
    assert read(graph, tmp_path / "list.txt", f"{'a' * long}\n{'b' * long}\n")[0] == {}
    assert read(graph, tmp_path / "list.md", f"a|b\n{' ' * long}x\n")[0] == {}
    with pytest.raises(DataError, match="is not a rating"):
        read(graph, tmp_path / "films.csv", f"title,rating\nHeat,★{' ' * long}x\n")


def test_odd_ratings_name_their_line(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine\.csv:3: rating 'very good' is not a rating"):
        read(graph, tmp_path / "mine.csv", "title,rating\nHeat,4\nAlien,very good\n")
    with pytest.raises(DataError, match=r"mine\.csv:2: rating -1 is negative"):
        read(graph, tmp_path / "mine.csv", "title,rating\nHeat,-1\n")
    with pytest.raises(DataError, match=r"mine\.jsonl:2: not JSON: Expecting value"):
        read(graph, tmp_path / "mine.jsonl", '{"title": "Heat"}\n{"title": }\n')


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        ("Title,Date", "1/31/24", "2/1/24"),
        ("Title,Date", "31/01/2024", "01/02/2024"),
        ("Titel,Datum", "31.01.24", "01.02.24"),
        ("Título,Fecha", "31/1/24", "1/2/24"),
        ("タイトル,日付", "2024/01/31", "2024/02/01"),
        ("제목,날짜", "24. 1. 31.", "24. 2. 1."),
        ("Cím,Dátum", "2024. 01. 31.", "2024. 02. 01."),
        ("Nimi,Päivä", "31.1.2024", "1.2.2024"),
        ("Tytuł,Data", "31.01.2024", "01.02.2024"),
        ("Titel,Datum", "2024-01-31", "2024-02-01"),
        ("Titel,Datum", "31-01-2024", "01-02-2024"),
    ],
)
def test_netflix_in_other_languages(graph: Graph, tmp_path: Path, header: str, first: str, second: str) -> None:
    text = f'{header}\n"Heat","{first}"\n"Dark: Staffel 1: Geheimnisse","{first}"\n"The Matrix","{second}"\n'
    path = tmp_path / "NetflixViewingHistory.csv"
    path.write_text(text, encoding="utf-8-sig")
    user, report = gnnrec.read_history(path, graph)
    assert user.timestamps == {HEAT: 1706659200, MATRIX: 1706745600}
    assert report.source == "Netflix"
    assert report.left_out["title"].tolist() == ["Dark: Staffel 1: Geheimnisse"]


def test_what_netflix_played_by_itself(graph: Graph, tmp_path: Path) -> None:
    text = "Profile Name,Start Time,Duration,Attributes,Title,Supplemental Video Type\n"
    text += "me,2024-01-31 20:00:00,02:50:00,,Heat,\nme,2024-01-29 20:00:00,00:00:05,Autoplayed: user action: None; ,Jaws,\n"
    ratings, report = read(graph, tmp_path / "ViewingActivity.csv", text)
    assert (list(ratings), report.left_out["reason"].tolist()) == ([HEAT], ["played by itself"])


def test_dates_in_one_file_have_one_order() -> None:
    assert parse_times(["24. 1. 31."])[0] == parse_times(["2024-01-31"])[0] == parse_times(["31. 1. 2024"])[0]
    assert parse_times(["1/2/24", "31/1/24"])[0] == [1706745600, 1706659200]
    assert parse_times(["1/2/2"])[0] == [None]


def test_a_list_in_an_export_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("Matrix, The (1999)\nGood, The Bad and The Ugly, The (1966)\n")
    assert [entry.title for entry in read_history_file(path).entries] == path.read_text().splitlines()
