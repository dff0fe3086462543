"""Optional columns of movies, from side tables and from frames, and the lines that errors name."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.data.convert import to_imdb_ids, to_minutes, to_tmdb_ids
from gnnrec.datasets import load_dataset
from gnnrec.errors import DataError

ML_1M = {
    "ratings.dat": "1::10::5::1000\n1::20::3::1001\n",
    "movies.dat": "10::Heat (1995)::Crime\n20::Alien (1979)::Horror\n30::Clue (1985)::Comedy\n",
}
OMDB = (
    "movieId,title,imdbId,plot,director,actors,runtime,poster_url\n"
    '20,Alien,tt0078748,"A crew, a guest.",Ridley Scott,"Tom Skerritt, Yaphet Kotto, Robert Downey, Jr.",117 min,\n'
    "10,Heat,N/A,N/A,\"Ann Lee, Bo Ray(co-director), Cy Fox (segment 'B')\",N/A,N/A,http://x\n"
    "99,Another,tt1,Unknown movie,Nobody,Nobody,1 min,http://x\n"
)
FULL = 'movieId,title,plot_full,poster\n10,Heat,"Long ""story"".\nTwo lines.",x\n20,Alien,,x\n'
LINKS = "movieId,imdbId,tmdbId\n10,0113277,949\n20,78748,\n"
CSV = {
    "ratings.csv": "userId,movieId,rating\n1,10,4.5\n1,20,3\n",
    "movies.csv": "movieId,title,genres\n10,Heat (1995),Crime\n20,Alien (1979),Horror\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def column(dataset: Dataset, name: str) -> list[object]:
    return [None if pd.isna(value) else value for value in dataset.movies[name].tolist()]


def test_side_tables_of_movies_dat(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, ML_1M | {"omdb.csv": OMDB, "fullplot.csv": FULL}))
    names = ["movie_id", "title", "genres", "year", "plot", "directors", "actors", "runtime", "imdb_id"]
    assert dataset.movies.columns.tolist() == names
    assert column(dataset, "title") == ["Heat (1995)", "Alien (1979)", "Clue (1985)"]
    assert column(dataset, "plot") == ['Long "story".\nTwo lines.', "A crew, a guest.", None]
    assert column(dataset, "directors") == ["Ann Lee|Bo Ray|Cy Fox", "Ridley Scott", ""]
    assert column(dataset, "actors") == ["", "Tom Skerritt|Yaphet Kotto|Robert Downey, Jr.", ""]
    assert column(dataset, "runtime") == [None, 117, None]
    assert column(dataset, "imdb_id") == [None, "tt0078748", None]


def test_links_of_newer_movielens(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, CSV | {"links.csv": LINKS}))
    assert column(dataset, "imdb_id") == ["tt0113277", "tt0078748"]
    assert column(dataset, "tmdb_id") == [949, None]
    again = load_dataset(dataset.to_folder(tmp_path / "again"))
    pd.testing.assert_frame_equal(again.movies, dataset.movies)


def test_values_of_the_movies_table_are_kept(tmp_path: Path) -> None:
    movies = "movieId,plot,imdb_id,mood\n10,Mine.,tt0000001,dark\n20,,,\n"
    files = CSV | {"movies.csv": movies, "omdb.csv": OMDB, "fullplot.csv": FULL, "links.csv": LINKS}
    dataset = load_dataset(write(tmp_path, files))
    assert column(dataset, "plot") == ["Mine.", "A crew, a guest."]
    assert column(dataset, "imdb_id") == ["tt0000001", "tt0078748"]
    assert column(dataset, "mood") == ["dark", None]


def test_ids_are_text_in_all_files_or_in_none(tmp_path: Path) -> None:
    movies = "movieId,title\n010,Heat\n20,Alien\n"
    links = "movieId,imdbId,tmdbId\n010,113277,949\n20,78748,1\n"
    files = {"ratings.csv": "userId,movieId\n1,010\n", "movies.csv": movies, "links.csv": links}
    dataset = load_dataset(write(tmp_path, files))
    assert column(dataset, "movie_id") == ["010", "20"]
    assert column(dataset, "tmdb_id") == [949, 1]


def test_side_tables_need_a_movies_table(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, {"ratings.csv": CSV["ratings.csv"], "links.csv": LINKS}))
    assert dataset.movies.columns.tolist() == ["movie_id", "title", "genres", "year"]


def test_other_column_names(tmp_path: Path) -> None:
    movies = "id,Director,Cast,overview,runtimeMinutes,imdbID,TMDB ID\n10,A|B,B | C|B,Hm.,90.4,113277,949.0\n20,,,,,,\n"
    dataset = load_dataset(write(tmp_path, CSV | {"movies.csv": movies}))
    assert dataset.movies.iloc[0, 4:].tolist() == ["A|B", "B|C", "Hm.", 90, "tt0113277", 949]
    assert dataset.movies.columns[4:].tolist() == ["directors", "actors", "plot", "runtime", "imdb_id", "tmdb_id"]
    assert column(dataset, "plot") == ["Hm.", None]
    assert column(dataset, "actors") == ["B|C", ""]


def test_lists_in_frames() -> None:
    movies = pd.DataFrame({"movie_id": [10, 20], "cast": [["B", "A"], None], "director": [{"C", "A"}, ["N/A"]]})
    dataset = Dataset(pd.DataFrame({"user_id": [1], "movie_id": [10]}), movies)
    assert column(dataset, "actors") == ["B|A", ""]
    assert column(dataset, "directors") == ["A|C", ""]


@pytest.mark.parametrize(
    ("file", "content", "line", "problem"),
    [
        ("omdb.csv", OMDB.replace("117 min", "long"), 2, "runtime 'long' is not a duration; use minutes"),
        ("omdb.csv", OMDB.replace("117 min", "min"), 2, "runtime 'min' is not a duration"),
        ("omdb.csv", OMDB.replace("tt0078748", "Alien"), 2, "imdb_id 'Alien' is not an IMDb title id"),
        ("omdb.csv", OMDB.replace("99,", "10,"), 4, "movie_id 10 is listed twice"),
        ("omdb.csv", OMDB.replace("99,", "x9,"), None, "movie_id is text but whole numbers in movies.dat"),
        ("omdb.csv", OMDB.replace("10,", ","), 3, "movie_id is missing"),
        ("omdb.csv", OMDB + "30,Clue\n", 5, "expected 8 fields as in the first line, found 2"),
        ("omdb.csv", OMDB + '30,Clue,,"Open\n', 5, "is a closing quote missing?"),
        ("omdb.csv", OMDB.replace("movieId", "number"), None, "no column movie_id; columns found: number"),
        ("omdb.csv", "", None, "is empty"),
        ("fullplot.csv", FULL + "20,Alien,again,x\n", 5, "movie_id 20 is listed twice; keep one row of each (first at"),
        ("fullplot.csv", "movieId,plot_full\n7,a\n8,b\n", None, "none of the movies in movies.dat is in this file"),
        ("links.csv", LINKS.replace("949", "94.9"), 2, "tmdb_id 94.9 is not a TMDB movie id"),
        ("links.csv", LINKS.replace("949", "-1"), 2, "tmdb_id -1.0 is not a TMDB movie id"),
        ("links.csv", LINKS.replace("949", "none"), 2, "tmdb_id 'none' is not a number"),
    ],
)
def test_errors(tmp_path: Path, file: str, content: str, line: int | None, problem: str) -> None:
    write(tmp_path, ML_1M | {"omdb.csv": OMDB, "fullplot.csv": FULL} | {file: content})
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / file}" + ("" if line is None else f":{line}: ")), message
    assert problem in message


def test_errors_in_the_movies_table(tmp_path: Path) -> None:
    write(tmp_path, CSV | {"movies.csv": "movieId,runtime\n10,90\n20,-3\n"})
    with pytest.raises(DataError, match=r"movies\.csv:3: runtime -3 is negative$"):
        load_dataset(tmp_path)


def test_numbers_as_text() -> None:
    texts = pd.Series(["1,440 min", "1 h", "1h 30min", "45", " 81 Min", "0 min", None, r"\N"], name="runtime")
    assert to_minutes(texts[[0, 1, 2, 3, 5, 6, 7]]).tolist() == [1440, 60, 90, 45, pd.NA, pd.NA, pd.NA]
    assert to_tmdb_ids(pd.Series(["862", "", "N/A"], name="tmdb_id")).tolist() == [862, pd.NA, pd.NA]
    with pytest.raises(DataError, match="movies row 4: runtime ' 81 Min' is not a duration"):
        to_minutes(texts)


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1))
def test_imdb_ids_in_all_formats(numbers: list[int | None]) -> None:
    expected = [pd.NA if number is None else f"tt{number:07d}" for number in numbers]
    formats = (
        pd.Series(numbers, dtype="float64"),
        pd.Series(numbers, dtype="Int64"),
        pd.Series([None if number is None else str(number) for number in numbers], dtype=object),
        pd.Series([None if number is None else f" tt{number:08d}" for number in numbers], dtype=object),
    )
    for values in formats[:3]:
        assert to_imdb_ids(values).tolist() == expected
    padded = to_imdb_ids(formats[3])
    assert [pd.NA if value is pd.NA else int(value[2:]) for value in padded] == [
        pd.NA if number is None else number for number in numbers
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 59)), min_size=1))
def test_minutes_in_all_formats(times: list[tuple[int, int]]) -> None:
    total = [60 * hours + minutes or pd.NA for hours, minutes in times]
    assert to_minutes(pd.Series([f"{h} h {m} min" for h, m in times])).tolist() == total
    assert to_minutes(pd.Series([f"{60 * h + m:,} min" for h, m in times])).tolist() == total
    assert to_minutes(pd.Series([60 * h + m for h, m in times])).tolist() == total
