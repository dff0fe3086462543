"""Exports of other sites become a `NewUser`: every film of the catalog is found, no other one, and nothing is lost unsaid."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gnnrec
from gnnrec import ConfigError, DataError, Dataset, NewUser
from gnnrec.data.titles import parse_title
from gnnrec.graph import Graph, HistoryReport
from gnnrec.graph.histories import map_rating
from tests.helpers.histories import LETTERBOXD, zipped

MOVIES = {
    1: ("Heat (1995)", "tt0113277", 949),
    2: ("Matrix, The (1999)", "tt0133093", 603),
    3: ("Star Wars: Episode V - The Empire Strikes Back (1980)", None, None),
    4: ("Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)", "tt0211915", None),
    5: ("Psycho (1960)", None, None),
    6: ("Psycho (1998)", None, None),
    7: ("Alien (1979)", None, None),
}


def make_graph(ratings: list[float] | None = (1, 5, 3)) -> Graph:  # type: ignore[assignment]
    rows = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": [1, 2, 3]})
    if ratings is not None:
        rows = rows.assign(rating=ratings)
    columns = list(zip(*MOVIES.values(), strict=True))
    movies = pd.DataFrame({"movie_id": list(MOVIES), "title": columns[0], "imdb_id": columns[1], "tmdb_id": columns[2]})
    return Graph.from_dataset(Dataset(rows, movies))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return make_graph()


def read(graph: Graph, path: Path, text: str | bytes, **options: Any) -> tuple[NewUser, HistoryReport]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return gnnrec.read_history(path, graph, **options)


def seconds(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp())


def test_letterboxd_ratings(graph: Graph, tmp_path: Path) -> None:
    user, report = read(graph, tmp_path / "ratings.csv", LETTERBOXD)
    assert user.ratings == {1: 4.5, 2: 5.0, 5: 1.0, 4: 3.5}, "half a star is the lowest, no star the mean"
    assert list(user.timestamps.values()) == [seconds(f"2023-0{n}-0{n}") for n in (1, 2, 3, 4)]
    assert report.source == "Letterboxd"
    assert report.missing[["title", "year"]].values.tolist() == [["Parasite", 2019], ["Alien, Romulus", 2024]]
    assert report.found["how"].tolist() == ["name"] * 4
    assert str(report).splitlines() == [
        "Letterboxd: 6 movies, 4 found, 0 ambiguous, 2 not in the catalog",
        "not in the catalog: Parasite, Alien, Romulus",
        "1 movie without a rating counts as 3.5",
    ]
    assert report.ambiguous.columns.tolist() == ["title", "year", "movie_ids", "movies"]


DIARY = """Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date
2023-01-02,Heat,1995,https://boxd.it/a,3,,,2023-01-01
2024-01-02,Heat,1995,https://boxd.it/b,4,Yes,,2024-01-01
2023-03-03,Alien,1979,https://boxd.it/c,,,"a, b",2023-03-01
2023-03-04,Alien,1979,https://boxd.it/d,2,Yes,,2023-03-02
"""


def test_letterboxd_diary_with_rewatches(graph: Graph, tmp_path: Path) -> None:
    user, report = read(graph, tmp_path / "diary.csv", DIARY)
    assert user.ratings == {7: 2.0, 1: 4.0}, "the rating of the latest viewing"
    assert user.timestamps == {7: seconds("2023-03-02"), 1: seconds("2024-01-01")}
    assert len(report.found) == 2


PLAIN = "Date,Name,Year,Letterboxd URI\n2023-01-01,{},https://boxd.it/1\n"


@pytest.fixture
def letterboxd(tmp_path: Path) -> dict[str, str]:
    return {
        "profile.csv": "Date Joined,Username\n2020-01-01,ann\n",
        "ratings.csv": LETTERBOXD,
        "diary.csv": DIARY,
        "watched.csv": PLAIN.format("The Empire Strikes Back,1980"),
        "watchlist.csv": PLAIN.format("Psycho,1998"),
        "reviews.csv": 'Date,Name,Year,Letterboxd URI,Rating,Review\n2023-01-01,Heat,1995,x,1,"bad\nfilm"\n',
        "likes/films.csv": PLAIN.format("Alien,1979"),
        "likes/reviews.csv": "Date,Review URI\n2020-01-01,x\n",
        "lists/best.csv": "Letterboxd list export v7\nDate,Name,Tags,URL\n2020-01-01,Best,,x\n",
        "deleted/diary.csv": DIARY,
        "__MACOSX/._ratings.csv": "x",
    }


def test_the_whole_export_of_letterboxd(graph: Graph, tmp_path: Path, letterboxd: dict[str, str]) -> None:
    with zipfile.ZipFile(tmp_path / "letterboxd-ann.zip", "w") as file:
        for name, text in letterboxd.items():
            file.writestr(name, text)
            (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "folder" / name).write_text(text)
    user, report = gnnrec.read_history(tmp_path / "letterboxd-ann.zip", graph)
    # ratings.csv counts more than the diary, a view is the mean of 4.5, 5, 2 and 1.
    assert user.ratings == {1: 4.5, 2: 5.0, 5: 1.0, 7: 2.0, 4: 3.125, 3: 3.125}
    assert user.timestamps[1] == seconds("2024-01-01")
    assert report.left_out.values.tolist()[0][:2] == ["Psycho", "on the watchlist, not watched"]
    again, _ = gnnrec.read_history(tmp_path / "folder", graph)
    assert (again.ratings, again.timestamps) == (user.ratings, user.timestamps)


def test_likes_and_lists(graph: Graph, tmp_path: Path) -> None:
    user, report = read(graph, tmp_path / "likes" / "films.csv", PLAIN.format("Alien,1979"))
    assert user.ratings == {7: 5.0}
    assert "1 liked movie without a rating counts as 5" in str(report)
    text = "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n2020-01-01,Best,,x,\n\n"
    text += "Position,Name,Year,URL,Description\n1,Heat,1995,x,\n2,Parasite,2019,x,\n"
    assert read(graph, tmp_path / "best.csv", text)[0].ratings == {1: 5.0}


IMDB = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,Genres\r\n"
    "tt0113277,9,2023-01-01,Heat,Heat,https://x,Movie,8.3,170,1995,Crime\r\n"
    'tt0211915,10,2023-02-01,"The Fabulous Destiny",Le fabuleux destin d\'Amélie Poulain,u,Movie,8.3,122,2001,"Comedy, Romance"\r\n'
    "tt0903747,10,2023-03-01,Breaking Bad,Breaking Bad,u,TV Series,9.5,45,2008,Crime\r\n"
    "tt0959621,8,2023-03-02,Pilot,Pilot,u,TV Episode,9.0,58,2008,Crime\r\n"
    "tt0054215,1,2023-04-01,Psycho,Psycho,u,Movie,8.5,109,1960,Horror\r\n"
    "tt6751668,10,2023-05-01,Parasite,Gisaengchung,u,Movie,8.5,132,2019,Drama\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_imdb(graph: Graph, tmp_path: Path, encoding: str) -> None:
    user, report = read(graph, tmp_path / "any name.csv", IMDB.encode(encoding))
    assert user.ratings == {1: 4.5, 4: 5.0, 5: 1.0}
    assert report.found["how"].tolist() == ["id", "id", "name"]
    assert report.left_out[["title", "reason"]].values.tolist() == [
        ["Breaking Bad", "a series"],
        ["Pilot", "an episode of a series"],
    ]
    assert report.missing["title"].tolist() == ["Parasite"]


def test_original_titles(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1, 1], "movie_id": [1, 2], "rating": [1, 5]})
    titles = ["Bicycle Thief, The (Ladri di biciclette) (1948)", "Alien (1979)"]
    graph = Graph.from_dataset(Dataset(rows, pd.DataFrame({"movie_id": [1, 2], "title": titles})))
    text = "Const,Your Rating,Title,Original Title,Title Type,Year\n"
    text += "tt0040522,9,Thieves of Bicycles,Ladri di biciclette,Movie,1948\n"
    assert read(graph, tmp_path / "r.csv", text)[0].ratings == {1: 4.5}


def test_a_wrong_id_in_the_table_is_not_believed(tmp_path: Path) -> None:
    rows = pd.DataFrame({"user_id": [1], "movie_id": [1]})
    movies = pd.DataFrame(
        {"movie_id": [1, 2], "title": ["Heat (1995)", "Alien (1979)"], "imdb_id": ["tt0078748", None]}
    )
    graph = Graph.from_dataset(Dataset(rows, movies))
    text = "Const,Your Rating,Title,Title Type,Year\ntt0078748,9,Alien,Movie,1979\n"
    assert read(graph, tmp_path / "r.csv", text)[1].found["movie_id"].tolist() == [2]


NETFLIX = """Title,Date
"Heat","13/01/24"
"Breaking Bad: Season 1: Pilot","2/3/24"
"Dark: Staffel 2: Anfänge","2/3/24"
"The Queen's Gambit: Limited Series: Openings","2/3/24"
"The Empire Strikes Back","05/02/24"
"Psycho","2/3/24"
"Alien: Covenant","2/3/24"
"Heat","14/03/24"
"""


def test_netflix_views(graph: Graph, tmp_path: Path) -> None:
    user, report = read(graph, tmp_path / "NetflixViewingHistory.csv", NETFLIX)
    assert user.ratings == {3: 5.0, 1: 5.0}
    assert user.timestamps == {3: seconds("2024-02-05"), 1: seconds("2024-03-14")}, "days come first"
    assert report.ambiguous.iloc[0].tolist()[2:] == [[5, 6], ["Psycho (1960)", "Psycho (1998)"]]
    assert report.missing["title"].tolist() == ["Alien: Covenant"]
    assert report.left_out["reason"].tolist() == ["an episode of a series"] * 3


def test_days_and_months(graph: Graph, tmp_path: Path) -> None:
    text = "Title,Date\nHeat,1/2/24\nThe Matrix,{}\n"
    for date, expected in (("1/13/24", "2024-01-02"), ("13/1/24", "2024-02-01"), ("1/1/24", "2024-01-02")):
        user, _ = read(graph, tmp_path / "views.csv", text.format(date))
        assert user.timestamps[1] == seconds(expected)
    user, _ = read(graph, tmp_path / "views.csv", "Titel,Datum\nHeat,01.02.24\n")
    assert user.timestamps[1] == seconds("2024-02-01")
    user, report = read(graph, tmp_path / "views.csv", "Title,Date\nHeat,soon\nThe Matrix,1/13/24\n")
    assert user.timestamps == {1: seconds("2024-01-13"), 2: seconds("2024-01-13")}, "no date is as old as the oldest"
    assert "1 date cannot be read: 'soon'" in report.notes


def test_netflix_ratings_and_profiles(graph: Graph, tmp_path: Path) -> None:
    text = (
        "Profile Name,Title Name,Rating Type,Star Value,Thumbs Value,Device Model,Event Utc Ts,Region View Date\n"
        "Ann,Heat,thumb,,2,x,2024-01-01 10:00:00,2024-01-01\n"
        "Ann,Alien,thumb,,1,x,2024-01-02 10:00:00,2024-01-02\n"
        "Ann,The Matrix,thumb,,3,x,2024-01-03 10:00:00,2024-01-03\n"
        "Ann,Amélie,star,3,,x,2024-01-04 10:00:00,2024-01-04\n"
        "Ann,Psycho,thumb,,0,x,2024-01-04 10:00:00,2024-01-04\n"
        "Bob,The Empire Strikes Back,thumb,,1,x,2024-01-01 10:00:00,2024-01-01\n"
    )
    with pytest.raises(
        ConfigError,
        match=r"Ratings\.csv has 2 profiles; choose one with netflix_profile \(--netflix-profile\): Ann, Bob",
    ):
        read(graph, tmp_path / "Ratings.csv", text)
    with pytest.raises(ConfigError, match="there is no Netflix profile 'Eve'; choose one of Ann, Bob"):
        read(graph, tmp_path / "Ratings.csv", text, netflix_profile="Eve")
    user, report = read(graph, tmp_path / "Ratings.csv", text, netflix_profile="Ann")
    assert user.ratings == {1: 4.0, 7: 1.0, 2: 5.0, 4: 3.0}
    assert user.timestamps[1] == seconds("2024-01-01T10:00")
    assert report.left_out["reason"].tolist() == ["a rating that was withdrawn"]
    views = "Profile Name,Start Time,Duration,Attributes,Title,Supplemental Video Type,Device Type\n"
    views += "Ann,2024-01-01 10:00:00,01:00:00,,Heat,,x\nAnn,2024-01-02 10:00:00,00:01:00,,Alien,TRAILER,x\n"
    user, report = read(graph, tmp_path / "ViewingActivity.csv", views)
    assert (user.ratings, report.left_out["reason"].tolist()) == ({1: 5.0}, ["a trailer"])


def test_trakt(graph: Graph, tmp_path: Path) -> None:
    heat = {"title": "Heat", "year": 1995, "ids": {"trakt": 1, "slug": "heat-1995", "imdb": "tt0113277", "tmdb": 949}}
    alien = {"title": "Alien", "year": 1979, "ids": {"trakt": 2}}
    matrix = {"title": "Matrix", "year": None, "ids": None}
    ratings = [
        {"rated_at": "2024-01-01T10:00:00.000Z", "rating": 8, "type": "movie", "movie": heat},
        {"rated_at": "2024-01-02T10:00:00.000Z", "rating": 2, "type": "movie", "movie": alien},
        {"rated_at": "2024-01-02T10:00:00.000Z", "rating": 9, "type": "show", "show": {"title": "Dark"}},
    ]
    watched = [{"plays": 3, "last_watched_at": "2024-05-01T10:00:00.000Z", "movie": movie} for movie in (heat, matrix)]
    listed = [{"listed_at": "2024-05-01T10:00:00.000Z", "type": "movie", "movie": {"title": "Amélie", "year": 2001}}]
    user, report = read(graph, tmp_path / "ratings-movies.json", json.dumps(ratings))
    assert user.ratings == {1: 4.0, 7: 1.0}
    assert report.left_out.values.tolist()[0][:2] == ["Dark", "an episode of a series"]
    with zipfile.ZipFile(tmp_path / "trakt.zip", "w") as file:
        for name, value in (("ratings-movies", ratings), ("watched-movies", watched), ("lists-watchlist", listed)):
            file.writestr(f"{name}.json", json.dumps(value))
    user, report = gnnrec.read_history(tmp_path / "trakt.zip", graph)
    assert user.ratings == {7: 1.0, 1: 4.0, 2: 2.5}
    assert user.timestamps[1] == seconds("2024-05-01T10:00")
    assert "on a list, not watched" in report.left_out["reason"].tolist()


def test_movielens(graph: Graph, tmp_path: Path) -> None:
    text = "movie_id,imdb_id,tmdb_id,rating,average_rating,title\n6,0113277,949,4.5,3.9,Heat (1995)\n1,,,3,3.8,Alien (1979)\n"
    user, _ = read(graph, tmp_path / "movielens-ratings.csv", text)
    assert user.ratings == {1: 4.5, 7: 3.0}, "the title counts, not the id of another catalog"
    user, _ = read(graph, tmp_path / "r.csv", "userId,movieId,rating,timestamp\n7,1,4.5,1000000000\n7,3,2,999999999\n")
    assert (user.ratings, user.timestamps) == ({3: 2.0, 1: 4.5}, {3: 999999999, 1: 1000000000})
    with pytest.raises(
        DataError, match=r"r\.csv: the file has ratings of 2 users; a history must be from a single user"
    ):
        read(graph, tmp_path / "r.csv", "userId,movieId,rating\n7,1,4.5\n8,3,2\n")


def test_tmdb(graph: Graph, tmp_path: Path) -> None:
    text = (
        "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated\n"
        "949,tt0113277,movie,Heat,1995-12-15T00:00:00Z,,,7.9,9,2024-01-01T10:00:00Z\n"
        "1396,tt0903747,tv,Breaking Bad,2008-01-20T00:00:00Z,,,8.9,10,2024-01-01T10:00:00Z\n"
        "9999,,movie,Alien,1979-05-25T00:00:00Z,,,8.1,7.5,2024-01-02T10:00:00Z\n"
    )
    user, report = read(graph, tmp_path / "ratings.csv", text)
    assert user.ratings == {1: 4.5, 7: 3.75}
    assert report.left_out["reason"].tolist() == ["a series"]
    results = [
        {"id": 949, "title": "Heat", "original_title": "Heat", "release_date": "1995-12-15", "rating": 8.0},
        {"id": 1, "title": "Nothing", "release_date": "", "rating": 8.0},
    ]
    user, report = read(graph, tmp_path / "rated.json", json.dumps({"page": 1, "results": results}))
    assert (user.ratings, report.source) == ({1: 4.0}, "TMDB")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "Heat (1995)\n\nthe matrix\nParasite (2019)\n"),
        ("list.txt", "1. Heat (1995)\n2. The Matrix\n3. Parasite (2019)\n"),
        ("list.md", "- Heat 1995\n* Matrix, The (1999)\n- Parasite\n"),
        ("list.csv", 'Title\n"Heat (1995)"\n"Matrix, The (1999)"\nParasite (2019)\n'),
        ("list.json", '["Heat (1995)", "Matrix, The (1999)", "Parasite (2019)"]'),
        (
            "list.json",
            '[{"title": "Heat", "year": 1995}, {"title": "The Matrix"}, {"title": "Parasite", "year": 2019}]',
        ),
    ],
)
def test_lists_of_titles(graph: Graph, tmp_path: Path, name: str, text: str) -> None:
    user, report = read(graph, tmp_path / name, text)
    assert (user.ratings, user.timestamps) == ({1: 5.0, 2: 5.0}, None)
    assert report.missing["title"].str.startswith("Parasite").tolist() == [True]


def test_other_tables(graph: Graph, tmp_path: Path) -> None:
    text = "Film;Year;My Rating;Watched At\nHeat;1995;8,5;2024-01-01\nAlien;1979;3;2024-01-02\n"
    user, report = read(graph, tmp_path / "mine.csv", text)
    assert user.ratings == {1: 4.25, 7: 1.5}
    assert "ratings are taken to be out of 10" in report.notes


def test_nothing_is_found(graph: Graph, tmp_path: Path) -> None:
    user, report = read(graph, tmp_path / "views.csv", "Title,Date\nParasite,1/1/24\n1,1/1/24\n")
    assert (user.ratings, user.timestamps) == ({}, None)
    assert (len(report.found), report.missing["title"].tolist()) == (0, ["Parasite", "1"]), "a title is no id"
    assert len(gnnrec.graph.encode_users(graph, user)[0].movie_index) == 0


def test_excel_and_numbers_as_titles(graph: Graph, tmp_path: Path) -> None:
    text = "sep=;\nDate;Name;Year;Letterboxd URI;Rating\n2023-01-01;Heat;1995;x;4,5\n"
    assert read(graph, tmp_path / "r.csv", text)[0].ratings == {1: 4.5}
    user, report = read(graph, tmp_path / "list.txt", "Heat\n2\n")
    assert (user.ratings, report.missing["title"].tolist()) == ({1: 5.0}, ["2"])


# Scales


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [((1, 5, 3), [4.5, 1.0]), ((0.5, 5, 3), [4.5, 0.5]), ((1, 10, 3), [9.0, 1.0]), ((0, 100, 3), [90.0, 10.0])],
)
def test_scales(tmp_path: Path, ratings: list[float], expected: list[float]) -> None:
    text = "Date,Name,Year,Letterboxd URI,Rating\n2023-01-01,Heat,1995,x,4.5\n2023-01-02,Alien,1979,x,0.5\n"
    user, _ = read(make_graph(ratings), tmp_path / "r.csv", text)
    assert list(user.ratings.values()) == expected


def test_a_graph_without_ratings(tmp_path: Path) -> None:
    user, report = read(make_graph(None), tmp_path / "ratings.csv", LETTERBOXD)
    assert user.ratings == {1: 1.0, 2: 1.0, 4: 1.0}
    assert report.left_out.iloc[0].tolist()[:2] == ["Psycho", "disliked, and the graph has no ratings"]


@given(st.floats(1, 10), st.floats(1, 10), st.floats(-5, 4), st.floats(4.5, 100))
def test_mapped_ratings_keep_their_order(one: float, other: float, low: float, high: float) -> None:
    mapped = [map_rating(value, (1, 10), (low, high)) for value in sorted((one, other))]
    assert low - 1e-9 <= mapped[0] <= mapped[1] <= high + 1e-9


# Faults


def test_nothing_to_read(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv has no movies$"):
        read(graph, tmp_path / "a.csv", "Title,Date\n")
    with pytest.raises(DataError, match="read_history needs a graph or a fitted model, not str"):
        gnnrec.read_history(tmp_path, "graph")


# Through a model


def test_recommendations_for_a_history(tmp_path: Path) -> None:
    sample = gnnrec.load_dataset("sample", num_users=60, num_movies=40)
    model = gnnrec.fit(sample, "ease")
    rows = [f"2023-01-{n + 1:02},{_plain(title)},{4 - n / 2}" for n, title in enumerate(sample.movies["title"][:6])]
    user, report = read(model.graph, tmp_path / "r.csv", "\n".join(["Date,Name,Year,Letterboxd URI,Rating", *rows]))
    assert report.missing.empty and len(user.ratings) == 6
    expected = NewUser(ratings={n + 1: 4 - n / 2 for n in range(6)})
    found = gnnrec.recommend(model, user, k=5)
    assert found["movie_id"].tolist() == gnnrec.recommend(model, expected, k=5)["movie_id"].tolist()
    assert gnnrec.read_history(tmp_path / "r.csv", model, name="ann").user.name == "ann"


def _plain(title: str) -> str:
    names, year = parse_title(title)
    return f'"{names[0]}",{year},x'


# The films of one person at three sites

FILMS = {
    "Heat": 1995, "The Matrix": 1999, "Se7en": 1995, "Léon: The Professional": 1994, "Star Wars": 1977,
    "The Empire Strikes Back": 1980, "Raiders of the Lost Ark": 1981, "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb": 1964,
    "Seven Samurai": 1954, "Bicycle Thieves": 1948, "8½": 1963, "Three Colours: Red": 1994, "M": 1931, "Life Is Beautiful": 1997,
    "Princess Mononoke": 1997, "12 Monkeys": 1995, "One Hundred and One Dalmatians": 1961, "E.T. the Extra-Terrestrial": 1982,
    "The Terminator": 1984, "Terminator 2: Judgment Day": 1991, "Hamlet": 1996, "Psycho": 1960, "Titanic": 1997,
    "La Haine": 1995, "Das Boot": 1981, "Run Lola Run": 1998, "Amadeus": 1984,
    "Indiana Jones and the Temple of Doom": 1984, "Monty Python and the Holy Grail": 1975, "Rear Window": 1954,
    "The Bridge on the River Kwai": 1957, "Cinema Paradiso": 1988, "The Good, the Bad and the Ugly": 1966, "Sunset Boulevard": 1950,
}  # fmt: skip
OTHERS = {
    "Amélie": 2001, "Breathless": 1960, "Dune": 2021, "Parasite": 2019, "Moonlight": 2016, "The Thing": 2011, "Solaris": 2002,
    "Godzilla": 2014, "The Fly III": 1990, "Insomnia": 2002, "Scream": 2022, "Planet of the Apes": 2001, "Psycho II": 1986,
    "The Matrix Reloaded": 2003, "Toy Story 3": 2010, "Halloween": 2018, "Carrie": 2013, "King Kong": 2005, "Alien: Covenant": 2017,
}  # fmt: skip


@pytest.fixture(scope="module")
def movielens(data_home: Path) -> Graph:
    lines = (data_home / "ml-1m" / "movies.dat").read_text(encoding="latin-1").splitlines()
    rows = [line.split("::")[:2] for line in lines]
    movies = pd.DataFrame({"movie_id": [int(one) for one, _ in rows], "title": [title for _, title in rows]})
    ratings = pd.DataFrame({"user_id": [1, 1], "movie_id": [1, 2], "rating": [1, 5]})
    return Graph.from_dataset(Dataset(ratings, movies))


@pytest.mark.real_data
def test_letterboxd_and_imdb_find_the_same(movielens: Graph, tmp_path: Path) -> None:
    films = list({**FILMS, **OTHERS}.items())
    rows = [f'2023-01-01,"{name}",{year},https://boxd.it/1,4' for name, year in films]
    letterboxd = read(movielens, tmp_path / "l.csv", "\n".join(["Date,Name,Year,Letterboxd URI,Rating", *rows]))[1]
    rows = [f'tt9{n:07},8,2023-01-01,"{name}","{name}",u,Movie,{year}' for n, (name, year) in enumerate(films)]
    header = "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,Year"
    imdb = read(movielens, tmp_path / "i.csv", "\n".join([header, *rows]))[1]
    for report in (letterboxd, imdb):
        assert set(report.missing["title"]) == set(OTHERS)
        assert report.ambiguous.empty
        years = report.found["movie"].str.extract(r"\((\d{4})\)$")[0].astype(int)
        assert ((years - report.found["year"]).abs() <= 1).all()
    assert letterboxd.found["movie_id"].tolist() == imdb.found["movie_id"].tolist()


@pytest.mark.parametrize("kind", [int, str])
def test_titles_that_are_numbers(kind: type, tmp_path: Path) -> None:
    titles = {300: "Quiz Show (1994)", 9: "Sudden Death (1995)", 1917: "Armageddon (1998)"}
    titles |= {5000: "300 (2007)", 5001: "9 (2009)", 5002: "1917 (2019)"}
    movies = pd.DataFrame({"movie_id": [kind(key) for key in titles], "title": list(titles.values())})
    ratings = pd.DataFrame({"user_id": [1], "movie_id": [kind(300)], "rating": [4]})
    path = tmp_path / "films.txt"
    path.write_text("300\n9\n1917\nQuiz Shaw\n")
    user, report = gnnrec.read_history(path, Graph.from_dataset(gnnrec.Dataset(ratings, movies)))
    assert list(user.ratings) == [kind(5000), kind(5001), kind(5002)]
    assert report.missing["nearest"].tolist() == [["Quiz Show (1994)"]]  # none is near enough to be taken


def test_lists_of_titles_in_a_zip_file(graph: Graph, tmp_path: Path) -> None:
    first, second = graph.dataset.movies["title"][:2]
    files = {"lists/a.txt": b"", "mine/seen.txt": first.encode(), "README.txt": second.encode()}
    path = zipped(tmp_path / "a.zip", files)
    assert list(gnnrec.read_history(path, graph).user.ratings) == [graph.titles.movie_id(0)]
    table = f"Title,Rating\n{first},4\n".encode()
    report = gnnrec.read_history(zipped(tmp_path / "b.zip", {"a.txt": second.encode(), "b.csv": table}), graph).report
    assert report.found["movie"].tolist() == [first]
    assert "files not used: a.txt" in str(report)
