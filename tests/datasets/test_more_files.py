"""Files of kinds that the published formats do not have: values are read as they are meant, or one error says what to do."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.data.rating_texts import read_rating_texts
from gnnrec.datasets import load_dataset
from gnnrec.errors import DataError


def load(path: Path, content: str | bytes, encoding: str = "utf-8", **options: Any) -> Dataset:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return load_dataset(path, **options)


def rows(dataset: Dataset, *columns: str) -> list[tuple[Any, ...]]:
    columns = columns or tuple(dataset.ratings.columns)
    return list(zip(*(dataset.ratings[column].tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("review/userId,product/productId,review/score,review/time", "user_id movie_id rating timestamp"),
        ("user_sha1,artist_mbid,score,order date", "user_id movie_id rating timestamp"),
        ("userId,jokeId,rating,timestamp", "user_id movie_id rating timestamp"),
        ("session_id,hotel_id,stars,user_id", "- movie_id rating user_id"),
        ("profileName,beer_beerid,review_overall,review_time", "user_id movie_id rating timestamp"),
        ("user_id,recipe_id,rating,submitted", "user_id movie_id rating timestamp"),
        ("_id,movie_id,rating_val,user_id", "- movie_id rating user_id"),
    ],
)
def test_headers(tmp_path: Path, header: str, expected: str) -> None:
    values = dict(zip(expected.split(), [(3, 9), (4, 8), (5, 1), (1_600_000_000, 1_600_000_005)], strict=True))
    lines = [",".join(str(pair[row]) for pair in values.values()) for row in (0, 1)]
    dataset = load(tmp_path / "ratings.csv", "\n".join([header, *lines]) + "\n")
    for name, pair in values.items():
        if name != "-":
            assert dataset.ratings[name].tolist() == list(pair)


def test_one_of_several_ids_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column movie_id; columns found: user_id, hotel_id, room_id, stars"):
        load(tmp_path / "ratings.csv", "user_id,hotel_id,room_id,stars\n1,2,3,4\n")
    with pytest.raises(DataError, match="no column movie_id"):
        load(tmp_path / "ratings.csv", "user_id,session_id,stars\n1,2,3\n")


@pytest.mark.parametrize(
    ("values", "expected", "scale", "said"),
    [
        (["like", "dislike", "Like"], [1, 0, 1], (0, 1), "rating of ratings.csv: 'like' is 1, 'dislike' is 0"),
        (["up", "down", "up"], [1, 0, 1], (0, 1), "rating of ratings.csv: 'up' is 1, 'down' is 0"),
        (["👍", "👎", "👍"], [1, 0, 1], (0, 1), "rating of ratings.csv: '👍' is 1, '👎' is 0"),
        (["True", "False", "True"], [1, 0, 1], (0, 1), None),
        (["1", "-1", "1"], [1, -1, 1], (-1, 1), None),
        (["85%", "40%", "100%"], [85, 40, 100], (0, 100), "rating of ratings.csv: '85%' is 85"),
        (["4/5", "3.5/5", "5/5"], [4, 3.5, 5], (0.5, 5), "rating of ratings.csv: '4/5' is 4 of 5"),
        (["8 out of 10", "9 out of 10", "1 out of 10"], [8, 9, 1], (1, 10), "rating of ratings.csv: '8 out of 10' is 8 of 10"),
        (["★★★★", "★★½", "★"], [4, 2.5, 1], (0.5, 5), "rating of ratings.csv: '★★★★' is 4"),
        (["4 stars", "1 star", "5 stars"], [4, 1, 5], (1, 5), "rating of ratings.csv: '4 stars' is 4"),
        (["-9.28", "0.2", "9.9"], [-9.28, 0.2, 9.9], (-10, 10), None),
    ],
)  # fmt: skip
def test_ratings_in_words_and_signs(
    tmp_path: Path, values: list[str], expected: list[float], scale: tuple[float, float], said: str | None
) -> None:
    lines = [f"{user},{movie},{value}" for (user, movie), value in zip([(1, 2), (1, 3), (2, 3)], values, strict=True)]
    dataset = load(tmp_path / "ratings.csv", "\n".join(["user,movie,rating", *lines]) + "\n")
    np.testing.assert_allclose(dataset.ratings["rating"], expected, rtol=1e-6)
    assert dataset.rating_scale == scale
    assert dataset.provenance.assumed == (() if said is None else (said,))


def test_a_rating_that_no_other_is_written_like(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings\.csv:2: rating '4/5' is not a number"):
        load(tmp_path / "ratings.csv", "user,movie,rating\n1,2,4/5\n1,3,3/10\n")
    text = "user,movie,rating\n1,2,like\n1,3,dislike\n2,3,maybe\n"
    with pytest.raises(DataError, match=r"ratings\.csv:2: rating 'like' is not a number"):
        load(tmp_path / "ratings.csv", text)
    dataset = load(tmp_path / "ratings.csv", text.replace(",maybe", ",like"), errors="skip")
    assert dataset.ratings["rating"].tolist() == [1, 0, 1]


@given(st.lists(st.integers(0, 10), min_size=1), st.sampled_from(["{}/10", "{} stars", "{}%", "{} out of 10"]))
def test_numbers_in_any_writing(numbers: list[int], form: str) -> None:
    import pandas as pd

    found = read_rating_texts(pd.Series([form.format(number) for number in numbers]))
    assert found is not None
    assert found[0].tolist() == numbers


def test_likes_beside_hours_are_not_stars(tmp_path: Path) -> None:
    dataset = load(tmp_path / "a.csv", "user_id,app_id,hours,is_recommended\n1,2,3.5,True\n1,3,700,False\n")
    assert list(dataset.ratings) == ["user_id", "movie_id", "weight"]
    dataset = load(tmp_path / "b.csv", "user_id,app_id,is_recommended\n1,2,True\n1,3,False\n")
    assert dataset.ratings["rating"].tolist() == [1, 0]


@pytest.mark.parametrize("separator", ["^", "~", "||", "\x01", "\t\t"])
def test_separators(tmp_path: Path, separator: str) -> None:
    lines = [["user", "movie", "rating"], ["1", "2", "4"], ["1", "3", "3"]]
    dataset = load(tmp_path / "ratings.txt", "\n".join(map(separator.join, lines)) + "\n")
    assert rows(dataset) == [(1, 2, 4.0), (1, 3, 3.0)]


def test_empty_fields_between_tabs_are_no_separator(tmp_path: Path) -> None:
    dataset = load(tmp_path / "ratings.tsv", "user\tnote\tmovie\trating\n1\t\t2\t4\n1\t\t3\t3\n")
    assert rows(dataset) == [(1, 2, 4.0), (1, 3, 3.0)]


@pytest.mark.parametrize(
    "text",
    [
        "user;movie;rating;\n1;2;4;\n1;3;3;\n",
        "user;movie;rating;;\n1;2;4;;\n1;3;3;;\n",
        "user,movie,rating\n1,2,4,\n1,3,3,\n",
        '"user","movie","rating"\n"1",1,2,4\n"2",1,3,3\n',
        ",user,movie,rating\n0,1,2,4\n1,1,3,3\n",
        "# movie\n#movie\tuser\trating\n2\t1\t4\n3\t1\t3\n",
        "% bip\n% 2 2 2\n1 2 4\n1 3 3\n",
        "\n\nuser,movie,rating\n\n1,2,4\n\n1,3,3\n\n",
        "movie,user,rating\n2,1,4\n3,1,3\n",
    ],
)
def test_lines(tmp_path: Path, text: str) -> None:
    assert rows(load(tmp_path / "ratings.txt", text), "user_id", "movie_id", "rating") == [(1, 2, 4.0), (1, 3, 3.0)]


@pytest.mark.parametrize(
    ("encoding", "titles"),
    [
        ("cp1250", ["Příběh žlutého koně", "Noc na Karlštejně"]),
        ("cp1250", ["Człowiek z żelaza", "Łódź"]),
        ("cp1250", ["Őrült szőke nő", "Fűszer és csillagpor"]),
        (
            "cp1252",
            ["Les élèves de la mère", "Où est la maison", "Bjørn", "¿Quién sabe?", "Alien³", "São Paulo, ações"],
        ),
        ("cp1251", ["Ирония судьбы", "Солярис"]),
        ("shift_jis", ["千と千尋の神隠し", "七人の侍"]),
        ("gbk", ["霸王别姬", "活着"]),
        ("utf-16-le", ["Łódź", "Amélie"]),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, titles: list[str]) -> None:
    lines = "".join(f'ann,"{title}",4\r\n' for title in titles)
    dataset = load(tmp_path / "ratings.csv", f"user,title,rating\r\n{lines}", encoding)
    assert dataset.ratings["movie_id"].tolist() == titles


def test_zeros_of_goodreads_are_no_ratings(tmp_path: Path) -> None:
    text = "user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n0,947,1,0,1\n1,945,1,3,0\n"
    dataset = load(tmp_path / "goodreads_interactions.csv", text)
    assert rows(dataset) == [(0, 948, 5.0), (1, 945, 3.0)]
    assert dataset.provenance.left_out[0].startswith("1 row with rating 0, which means that none was given")


def test_lists_of_items(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("0 10 11 12\n1 10\n2 11 13 \n")
    (tmp_path / "lists" / "test.txt").write_text("0 13\n1 11 12\n")
    one = load_dataset(tmp_path / "lists" / "train.txt")
    assert rows(one) == [(0, 10), (0, 11), (0, 12), (1, 10), (2, 11), (2, 13)]
    both = load_dataset(tmp_path / "lists")
    assert both.num_ratings == 9
    assert both.provenance.files == ("test.txt (a user and items per line)", "train.txt (a user and items per line)")
    (tmp_path / "lists" / "test.txt").write_text("0 13\n1 11 12\n" * 15 + "2 x 4\n")
    with pytest.raises(DataError, match=r"test\.txt:31: expected numbers: a user and the items of that user"):
        load_dataset(tmp_path / "lists" / "test.txt")


def test_steam_with_a_header(tmp_path: Path) -> None:
    text = "user_id,game,behavior,value\n7,Skyrim,purchase,1.0\n7,Skyrim,play,273.0\n7,Fallout 4,purchase,1.0\n"
    dataset = load(tmp_path / "steam.csv", text)
    assert rows(dataset, "user_id", "movie_id") == [(7, "Skyrim"), (7, "Fallout 4")]
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([273, 1]), rtol=1e-6)
    with pytest.raises(DataError, match=r"steam\.csv:24: hours expected, not '-3'"):
        load(tmp_path / "steam.csv", text + 19 * "8,Doom,play,1.0\n" + "8,Quake,play,-3\n")


def test_objects_in_json(tmp_path: Path) -> None:
    records = [
        {
            "user": {"id": "u1", "name": "Ann"},
            "movie": {"id": "m1", "title": "Heat"},
            "rating": {"$numberDouble": "4.5"},
        },
        {
            "user": {"id": "u2", "name": "Bob"},
            "movie": {"id": "m2", "title": "Alien"},
            "rating": {"$numberDouble": "3"},
        },
    ]
    dataset = load(tmp_path / "r.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    assert rows(dataset) == [("u1", "m1", 4.5), ("u2", "m2", 3.0)]
    text = '{"_id": {"$oid": "5f"}, "userId": 1, "movieId": 2, "rating": 4, "timestamp": {"$date": {"$numberLong": "1577836800000"}}}\n'
    assert rows(load(tmp_path / "mongo.json", text)) == [(1, 2, 4.0, 1577836800)]


def workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"):
            archive.writestr(name, "<x/>")
    return content.getvalue()


def tar_archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("ratings.csv"), io.BytesIO(b""))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ratings.xlsx", workbook(), r"unknown file type '\.xlsx'; save the table as CSV or Parquet"),
        ("ratings.csv", workbook(), r"is an Excel or other workbook; save the sheet as CSV"),
        ("ratings.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "is an old Excel workbook; save the sheet as CSV"),
        ("ratings.csv", b"<!DOCTYPE html>\n<html>404</html>", "is a web page or XML, not a table"),
        ("ratings.csv", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        ("ratings.tar.gz", tar_archive(), "is a tar archive; unpack it and give the folder"),
        ("ratings.7z", b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it and give the folder"),
        ("ratings.data2", b"SQLite format 3\0 x", "is a SQLite database; export the table as CSV"),
    ],
    ids=["xlsx", "xlsx named csv", "xls", "web page", "Git LFS", "tar", "7z", "SQLite"],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path / name, content)


def test_an_unknown_suffix_is_a_table_of_text(tmp_path: Path) -> None:
    dataset = load(tmp_path / "out.movielens", "% bip weighted\n1 2 4 978300760\n1 3 3 978300761\n")
    assert rows(dataset) == [(1, 2, 4.0, 978300760), (1, 3, 3.0, 978300761)]
    assert "out.movielens is a table of text" in dataset.provenance.assumed


def test_what_a_folder_has_instead_of_ratings(tmp_path: Path) -> None:
    (tmp_path / "ratings.xlsx").write_bytes(workbook())
    with pytest.raises(DataError, match=r"contains no ratings \(it has ratings\.xlsx\)"):
        load_dataset(tmp_path)
    (tmp_path / "ml.zip").write_bytes(workbook())
    with pytest.raises(DataError, match=r"contains no ratings but ml\.zip; give the path of that file"):
        load_dataset(tmp_path)


def test_folders_of_imdb_and_others(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user_id,movie_id,rating\n1,tt0113277,9\n")
    (tmp_path / "title.basics.tsv").mkdir()
    (tmp_path / "title.basics.tsv" / "data.tsv").write_text(
        "tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n"
        "tt0113277\tmovie\tHeat\tHeat\t0\t1995\t\\N\t170\tAction,Crime\n"
    )
    for name in ("posters", "old"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / "movies.csv").write_text("movie_id,title\n1,Heat\n")
    dataset = load_dataset(tmp_path)
    assert dataset.movies[["title", "genres", "year"]].values.tolist() == [["Heat", "Action|Crime", 1995]]
    assert "files not used: old/" in str(dataset.provenance)


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (["1,234.5", "12", "10,000"], {}, [1234.5, 12, 10000]),
        (["1.234,5", "12", "10.000"], {}, [1234.5, 12, 10000]),
        (["1 234", "12", "10 000,5"], {}, [1234, 12, 10000.5]),
        (["1'234", "12", "10'000"], {}, [1234, 12, 10000]),
        (["1,234", "12", "10,000"], {"decimal": "."}, [1234, 12, 10000]),
        (["1,234", "12", "10,5"], {}, [1.234, 12, 10.5]),
    ],
)
def test_thousands(tmp_path: Path, values: list[str], options: dict[str, Any], expected: list[float]) -> None:
    lines = [f'{user};{movie};"{value}"' for (user, movie), value in zip([(1, 2), (1, 3), (2, 3)], values, strict=True)]
    dataset = load(tmp_path / "hours.csv", "\n".join(["user;game;hours", *lines]) + "\n", **options)
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p(expected), rtol=1e-6)


def test_a_comma_that_may_be_either(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv:2: weight '1,234' may have a decimal comma or one between thousands"):
        load(tmp_path / "a.csv", 'user,artist,plays\n1,2,"1,234"\n1,3,12\n')


def test_rows_of_separators_only(tmp_path: Path) -> None:
    dataset = load(tmp_path / "a.csv", "user,movie,rating\n1,2,4\n,,\n1,3,3\n,,\n")
    assert rows(dataset) == [(1, 2, 4.0), (1, 3, 3.0)]
    assert dataset.provenance.left_out == ("2 rows of separators only (a.csv:3, ...)",)
    with pytest.raises(DataError, match=r"a\.csv:3: user_id is missing"):
        load(tmp_path / "a.csv", "user,movie,rating\n1,2,4\n,3,3\n")


def test_what_the_table_may_be_instead(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="if these are the ratings of one person, read_history reads them"):
        load(tmp_path / "a.csv", "Const,Your Rating,Title\ntt1,9,Heat\n", columns={"Your Rating": "rating"})
    with pytest.raises(DataError, match=r"if each column is a movie, make a row for each rating first"):
        load(tmp_path / "b.csv", "user,Heat,Alien,Brazil\nann,5,,3\nbob,,4,2\n")


def test_errors_in_json_name_the_line(tmp_path: Path) -> None:
    text = '{"user_id": 1, "movie_id": 2, "rating": 4}\n{"user_id": 1, "movie_id": [3], "rating": 4}\n'
    with pytest.raises(DataError, match=r"r\.jsonl:2: movie_id is \[3\]"):
        load(tmp_path / "r.jsonl", text)
