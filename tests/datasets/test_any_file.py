"""Files as they come from elsewhere: every separator, encoding, line end, decimal mark, header, compression and time."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnrec.data import Dataset
from gnnrec.data.provenance import Provenance
from gnnrec.datasets import load_dataset
from gnnrec.errors import ConfigError, DataError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    ".bz2": bz2.compress,
}
LETTERS = {
    "utf-8": "Zoë €łж",
    "utf-8-sig": "Zoë €łж",
    "utf-16": "Zoë €łж",
    "utf-16-le": "Zoe ж",
    "utf-16-be": "Zoe ж",
    "cp1252": "Zoë Müller",
    "latin-1": "Zoë Müller",
    "ascii": "Zoe",
}
PLAIN = "user_id,movie_id,rating,timestamp\n"


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype(object).where(frame.notna(), None).values.tolist()


def write(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path, text: str | bytes, **options: object) -> Dataset:
    return load_dataset(write(folder, ratings__csv=text), **options)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, bytes, list[list[object]]]:
    """A ratings file in some notation: its name, its bytes, and the rows in it."""
    encoding = draw(st.sampled_from(list(LETTERS)))
    separator = draw(st.sampled_from([",", ";", "\t", "|", "::"]))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    comma = draw(st.booleans())
    header = draw(st.booleans())
    quoted = (draw(st.booleans()) and separator != "::") or (comma and separator == ",")
    blank = draw(st.booleans())
    notation = draw(st.sampled_from(["seconds", "milliseconds", "fractions", "iso", "utc", "zone"]))
    suffix = draw(st.sampled_from(list(COMPRESS)))
    count = draw(st.integers(2, 30))
    expected: list[list[object]] = []
    lines = []
    for number in range(count):
        user = f"{LETTERS[encoding]}{number % 7}"
        rating = draw(st.sampled_from([0.5, 1.0, 2.5, 4.0, 5.0])) if number else 2.5
        seconds = 1_000_000_000 + 86_461 * number
        expected.append([user, f"i{number}", rating, seconds])
        when = datetime.fromtimestamp(seconds, UTC)
        time = {
            "seconds": str(seconds),
            "milliseconds": str(seconds * 1000 + 7),
            "fractions": f"{seconds}.25",
            "iso": when.strftime("%Y-%m-%dT%H:%M:%S"),
            "utc": when.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "zone": datetime.fromtimestamp(seconds + 7200, UTC).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        }[notation]
        lines.append([user, f"i{number}", str(rating).replace(".", "," if comma else "."), time])
    if header:
        lines.insert(0, draw(st.sampled_from([
            ["user_id", "movie_id", "rating", "timestamp"],
            ["User-ID", "Item ID", "Stars", "Date"],
            ["reviewerID", "asin", "overall", "unixReviewTime"],
        ])))  # fmt: skip
    mark = '"' if quoted else ""
    text = newline.join(separator.join(f"{mark}{field}{mark}" for field in line) for line in lines)
    text += newline * (2 if blank else 1)
    return f"ratings.csv{suffix}", COMPRESS[suffix](text.encode(encoding)), expected


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(file=written())
def test_any_notation(tmp_path_factory: pytest.TempPathFactory, file: tuple[str, bytes, list[list[object]]]) -> None:
    name, content, expected = file
    folder = tmp_path_factory.mktemp("any")
    (folder / name).write_bytes(content)
    dataset = load_dataset(folder)
    assert rows(dataset.ratings) == expected
    assert dataset.rating_scale == (0.5, 5.0)
    assert name in str(dataset.provenance)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".lzma", ".bz2", ".zip", ".zst"])
def test_compressed_files(tmp_path: Path, suffix: str) -> None:
    text = (PLAIN + "1,2,5,9\n1,3,4,9\n").encode()
    if suffix == ".zip":
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("ratings.csv", text)
        content = data.getvalue()
    elif suffix == ".zst":
        pyarrow = pytest.importorskip("pyarrow")
        content = pyarrow.compress(text, codec="zstd", asbytes=True)
    else:
        content = COMPRESS[suffix](text)
    (tmp_path / f"ratings.csv{suffix}").write_bytes(content)
    dataset = load_dataset(tmp_path)
    assert rows(dataset.ratings) == [[1, 2, 5, 9], [1, 3, 4, 9]]
    assert load_dataset(tmp_path / f"ratings.csv{suffix}").name == "ratings"
    (tmp_path / f"ratings.csv{suffix}").write_bytes(content[:-9])
    with pytest.raises(DataError, match="damaged"):
        load_dataset(tmp_path)


def test_archive_of_a_dataset(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml-tiny.zip", "w") as archive:
        archive.writestr("ml-tiny/ratings.csv", "userId,movieId,rating\n1,2,5\n")
        archive.writestr("ml-tiny/movies.csv", "movieId,title\n2,Heat (1995)\n")
        archive.writestr("__MACOSX/ml-tiny/._ratings.csv", b"\0\0")
    dataset = load_dataset(tmp_path / "ml-tiny.zip")
    assert dataset.movies["title"].tolist() == ["Heat (1995)"]
    assert dataset.name == "ml-tiny"


def test_lines_of_errors_in_converted_files(tmp_path: Path) -> None:
    text = "user_id::movie_id::rating\r1::2::5\r\r1::3::x\r"
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress(text.encode("utf-16")))
    with pytest.raises(DataError, match=r"ratings\.csv\.gz:4: rating 'x' is not a number"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann,7\nann,8\nbob,7\n", None),  # nothing but text: the first line may be a header
        ("1,7\n1,8\n", [[1, 7], [1, 8]]),
        ("1,7,4.5\n1,8,3\n", [[1, 7, 4.5], [1, 8, 3.0]]),
        ("1,7,1199145600\n1,8,1199145601\n", [[1, 7, 1199145600], [1, 8, 1199145601]]),
        ("1,7,1199145600,3\n1,8,1199145601,4\n", [[1, 7, 3.0, 1199145600], [1, 8, 4.0, 1199145601]]),
        ("ann,7,2.5,2008-01-01\nann,8,3.0,2008-01-02\n", [["ann", 7, 2.5, 1199145600], ["ann", 8, 3.0, 1199232000]]),
        ("B000000001,A3R5OBKS7OM2IR,5.0,1358380800\n0000143502,A3R5OBKS7OM2IR,3.0,1358380801\n",
         [["A3R5OBKS7OM2IR", "B000000001", 5.0, 1358380800], ["A3R5OBKS7OM2IR", "0000143502", 3.0, 1358380801]]),
        ("A3R5OBKS7OM2IR,0000143502,5.0,1358380800\nA3R5OBKS7OM2IR,0000143503,5.0,1358380800\n",
         [["A3R5OBKS7OM2IR", "0000143502", 5.0, 1358380800], ["A3R5OBKS7OM2IR", "0000143503", 5.0, 1358380800]]),
    ],
)  # fmt: skip
def test_no_header(tmp_path: Path, text: str, expected: list | None) -> None:
    if expected is None:
        with pytest.raises(DataError, match="no column user_id"):
            read(tmp_path, text.replace("7", "heat").replace("8", "alien"))
        assert rows(read(tmp_path, text, header=False).ratings) == [["ann", 7], ["ann", 8], ["bob", 7]]
        return
    dataset = read(tmp_path, text)
    assert rows(dataset.ratings) == expected
    assert "ratings.csv has no header; its columns are" in str(dataset.provenance)


def test_named_columns(tmp_path: Path) -> None:
    text = "when,who,what,how\n9,ann,heat,5\n8,bob,heat,4\n"
    names = {"who": "user_id", "what": "movie_id", "how": "rating", "when": "timestamp"}
    expected = [["ann", "heat", 5, 9], ["bob", "heat", 4, 8]]
    dataset = read(tmp_path, text, columns=names)
    assert rows(dataset.ratings) == expected
    assert dataset.provenance.renamed == {"ratings.csv": names}
    bare = text.split("\n", 1)[1]
    assert rows(read(tmp_path, bare, columns=["timestamp", "user_id", "movie_id", "rating"]).ratings) == expected
    named = {0: None, 1: "user_id", "2": "movie_id"}
    assert rows(read(tmp_path, bare, columns=named, header=False).ratings) == [["ann", "heat"], ["bob", "heat"]]
    # What the caller says goes before what the names say.
    text = "user_id,asin,parent_asin,rating,score\n1,a,b,5,3\n1,c,d,4,2\n"
    assert rows(read(tmp_path, text).ratings) == [[1, "b", 5], [1, "d", 4]]
    chosen = read(tmp_path, text, columns={"asin": "movie_id", "rating": None, "score": "rating"})
    assert rows(chosen.ratings) == [[1, "a", 3], [1, "c", 2]]
    assert "'parent_asin'" in str(chosen.provenance)
    with pytest.raises(ConfigError, match=r"columns: no file has a column 'asim'; did you mean 'asin'\?"):
        read(tmp_path, text, columns={"asim": "movie_id"})
    with pytest.raises(ConfigError, match=r"columns: 'film' is not a gnnrec column"):
        read(tmp_path, text, columns={"asin": "film"})


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"duplicates": "newest"}, "duplicates must be error, first, last, mean, max or sum, not 'newest'"),
        ({"errors": "ignore"}, "errors must be raise or skip, not 'ignore'"),
        ({"decimal": ";"}, r"decimal must be '\.' or ',', not ';'"),
        ({"encoding": "utf-9"}, "encoding 'utf-9' is unknown"),
        ({"sep": ""}, "sep must be a string"),
        ({"date_format": "soon"}, "date_format 'soon' is not a format of dates"),
        ({"columns": "asin"}, "columns must map names in the file to names here"),
        ({"rejected": "x.csv"}, "requires errors='skip'"),
        ({"rating_scale": (5, 1)}, "rating_scale must be the lowest and the highest rating"),
        ({"header": 3}, "header must be true, false or left out"),
        ({"seperator": ";"}, "options seperator are only for registered datasets"),
    ],
)
def test_wrong_options(tmp_path: Path, option: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, PLAIN + "1,2,5,9\n", **option)


def test_given_notation(tmp_path: Path) -> None:
    dataset = read(tmp_path, "user_id^movie_id^rating\n1^2^3,5\n1^3^4\n", sep="^", decimal=",")
    assert rows(dataset.ratings) == [[1, 2, 3.5], [1, 3, 4.0]]
    dataset = read(tmp_path, "user_id,movie_id\nжан,1\nана,1\n".encode("koi8-r"), encoding="koi8-r")
    assert dataset.users["user_id"].tolist() == ["ана", "жан"]
    with pytest.raises(DataError, match=r"ratings\.csv:2: byte 0xd6 at offset 17 is not UTF-8; set another encoding"):
        read(tmp_path, "user_id,movie_id\nжан,1\n".encode("koi8-r"), encoding="utf-8")


def test_scripts_are_recognized(tmp_path: Path) -> None:
    names = ["Анна Каренина", "Преступление и наказание", "Война и мир", "Братья Карамазовы", "Мастер и Маргарита"]
    table = "movie_id,title\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names))
    write(tmp_path, ratings__csv="user_id,movie_id\n" + "".join(f"1,{i}\n" for i in range(5)))
    dataset = load_dataset(write(tmp_path, movies__csv=table.encode("cp1251")))
    assert dataset.movies["title"].tolist() == names
    assert "cp1251" in str(dataset.provenance)


@pytest.mark.parametrize(
    ("times", "options", "expected"),
    [
        (["25/12/2001", "01/02/2002"], {}, ["2001-12-25", "2002-02-01"]),
        (["12/25/2001", "01/02/2002"], {}, ["2001-12-25", "2002-01-02"]),
        (["25.12.2001 18:30", "01.02.2002 00:00"], {}, ["2001-12-25T18:30", "2002-02-01"]),
        (["01/02/2002", "03/04/2002"], {"day_first": True}, ["2002-02-01", "2002-04-03"]),
        (["01/02/2002", "03/04/2002"], {"day_first": False}, ["2002-01-02", "2002-03-04"]),
        (["01/02/2002", "03/04/2002"], {"date_format": "%d/%m/%Y"}, ["2002-02-01", "2002-04-03"]),
        (["09 13, 2009", "10 1, 2010"], {}, ["2009-09-13", "2010-10-01"]),
        (["Mar 9, 2001", "Dec 24, 2001"], {}, ["2001-03-09", "2001-12-24"]),
        (["9 March 2001", "24 December 2001"], {}, ["2001-03-09", "2001-12-24"]),
        (["09-Mar-2001", "24-Dec-2001"], {}, ["2001-03-09", "2001-12-24"]),
        (["2001/03/09 10:00", "2001/12/24 11:30"], {}, ["2001-03-09T10:00", "2001-12-24T11:30"]),
        (["2001-03-09 12:00:00+02:00", "2001-03-09 12:00:00Z"], {}, ["2001-03-09T10:00", "2001-03-09T12:00"]),
        (["2001-03-09 12:00:00 UTC", "2001-03-09 12:00:00.5 GMT"], {}, ["2001-03-09T12:00", "2001-03-09T12:00"]),
        (["2001-03-09 12:00:00 -0500", "2001-03-09 12:00:00 +0000"], {}, ["2001-03-09T17:00", "2001-03-09T12:00"]),
        (["Fri Mar 09 12:00:00 +0000 2001", "Sat Mar 10 12:00:00 +0100 2001"], {},
         ["2001-03-09T12:00", "2001-03-10T11:00"]),
        (["984139200000000", "984139260000000"], {}, ["2001-03-09T12:00", "2001-03-09T12:01"]),
        (["20010309", "20011224"], {}, ["2001-03-09", "2001-12-24"]),
        (["20010309", "20011224"], {"date_format": "%Y%d%m"}, None),
    ],
)  # fmt: skip
def test_times(tmp_path: Path, times: list[str], options: dict, expected: list[str] | None) -> None:
    text = "user_id;movie_id;date\n" + "".join(f"{i};7;{time}\n" for i, time in enumerate(times))
    if expected is None:
        with pytest.raises(DataError, match=r"ratings\.csv:3: timestamp '?20011224'? is not a time"):
            read(tmp_path, text, **options)
        return
    found = pd.to_datetime(read(tmp_path, text, **options).ratings["timestamp"], unit="s")
    assert found.tolist() == [pd.Timestamp(time) for time in expected]


def test_ambiguous_dates(tmp_path: Path) -> None:
    text = "user_id;movie_id;date\n1;7;03/03/2001\n2;7;03/04/2001\n"
    with pytest.raises(
        DataError, match=r"ratings\.csv:3: timestamp '03/04/2001' may be 03 April 2001 or 04 March 2001; set"
    ):
        read(tmp_path, text)
    with pytest.raises(DataError, match=r"ratings\.csv:3: timestamp '31/31/2001' is not a time"):
        read(tmp_path, text.replace("03/04", "31/31"))


def test_thousands_or_decimals(tmp_path: Path) -> None:
    text = "user_id;movie_id;hours\n1;7;1,500\n2;7;2,250\n"
    with pytest.raises(DataError, match=r"ratings\.csv:2: weight '1,500' may have a decimal comma or one between"):
        read(tmp_path, text)
    weights = read(tmp_path, text, decimal=",").ratings["weight"]
    np.testing.assert_allclose(weights, np.log1p([1.5, 2.25]), rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("first", [[1, 7, 2, 5], [1, 8, 3, 6], [2, 7, 4, 8]]),
        ("last", [[1, 8, 3, 6], [1, 7, 5, 9], [2, 7, 4, 8]]),
        ("mean", [[1, 7, 3.5, 9], [1, 8, 3, 6], [2, 7, 4, 8]]),
        ("max", [[1, 7, 5, 9], [1, 8, 3, 6], [2, 7, 4, 8]]),
        ("sum", [[1, 7, 7, 9], [1, 8, 3, 6], [2, 7, 4, 8]]),
    ],
)
def test_duplicates(tmp_path: Path, how: str, expected: list) -> None:
    text = PLAIN + "1,7,2,5\n1,8,3,6\n1,7,5,9\n2,7,4,8\n"
    dataset = read(tmp_path, text, duplicates=how)
    assert rows(dataset.ratings) == expected
    assert "1 row that repeats a user and movie" in str(dataset.provenance)
    with pytest.raises(DataError, match=r"csv:4: user 1 rated movie 7 twice; .* duplicates='first', .*csv:2\)$"):
        read(tmp_path, text)


def test_rows_become_counts(tmp_path: Path) -> None:
    ratings = read(tmp_path, "user_id,movie_id\n1,7\n1,7\n1,8\n", duplicates="sum").ratings
    np.testing.assert_allclose(ratings["weight"], np.log1p([2, 1]))


def test_rows_with_errors_are_left_out(tmp_path: Path) -> None:
    lines = [
        "ann,heat,5,2001-01-01", "bob,heat", "bob,heat,4,soon", "bob,,4,2001-01-02", "cem,heat,nan,2001-01-02",
        "dan,heat,3,2001-01-02", '"eve,heat,3,2001-01-02', "fay,heat,3,2001-01-02", "ann,heat,1,2001-01-03",
        "gil,alien,3,2001-01-02,x", "hal,alien,3,2001-01-04",
    ]  # fmt: skip
    out = tmp_path / "out" / "rejected.csv"
    dataset = read(tmp_path, PLAIN + "\n".join(lines) + "\n", errors="skip", rejected=out)
    assert dataset.ratings["user_id"].tolist() == ["ann", "dan", "fay", "hal"]
    rejected = pd.read_csv(out)
    assert rejected.columns.tolist() == ["file", "line", "problem", "row"]
    assert sorted(rejected["line"]) == [3, 4, 5, 6, 8, 10, 11]
    assert "expected 4 fields, found 2" in rejected["problem"].tolist()
    text = str(dataset.provenance)
    assert "7 rows with errors (ratings.csv:3: expected 4 fields, found 2; " in text
    assert text.endswith("; ...)")
    with pytest.raises(DataError, match=r"ratings\.csv:3: expected 4 fields"):
        load_dataset(tmp_path)


def test_skipped_rows_of_side_tables(tmp_path: Path) -> None:
    write(
        tmp_path,
        movies__csv="movie_id,year\n7,1995\n8,soon\n7,1996\n",
        users__csv="user_id,age\n1,30\n2,999\n",
    )
    dataset = read(tmp_path, PLAIN + "1,7,5,9\n2,8,4,9\n3,7,4,9\n2,9,4,9\n", errors="skip")
    assert rows(dataset.ratings) == [[1, 7, 5, 9], [2, 8, 4, 9], [3, 7, 4, 9], [2, 9, 4, 9]]
    assert dataset.movies["year"].tolist() == [1995, pd.NA, pd.NA]
    assert dataset.users["age"].tolist() == [30, pd.NA, pd.NA]


def test_rating_scale(tmp_path: Path) -> None:
    text = PLAIN + "".join(f"{i},7,{1 + i % 5},9\n" for i in range(400))
    assert read(tmp_path, text).rating_scale == (1, 5)
    wrong = text + "1,8,99,9\n"
    warning = r"1 probable mistake among the ratings; the first: .*ratings\.csv:402: rating 99 is outside the scale from 1 to 5"
    [said] = read(tmp_path, wrong).provenance.warnings
    assert pd.Series([said]).str.fullmatch(warning).all()
    with pytest.raises(DataError, match=r"ratings\.csv:402: rating 99 is outside the scale from 1 to 5"):
        read(tmp_path, wrong, rating_scale=(1, 5))
    dataset = read(tmp_path, wrong, errors="skip")
    assert (dataset.num_ratings, dataset.ratings["rating"].max()) == (400, 5)
    assert dataset.filtered(k_core=1).rating_scale == (1, 5)
    assert Dataset(pd.DataFrame({"user_id": [1], "movie_id": [2]})).rating_scale is None
    assert Dataset(pd.DataFrame({"user_id": [1, 1], "movie_id": [2, 3], "rating": [3.5, 1]})).rating_scale == (0.5, 5)


@pytest.mark.parametrize("name", ["plays", "rating", "hours", "weight"])
def test_counts_become_weights(tmp_path: Path, name: str) -> None:
    counts = [1, 1, 2, 13883, 3, 1, 250, 1]
    text = f"user_id,movie_id,{name}\n" + "".join(f"{i},7,{count}\n" for i, count in enumerate(counts))
    dataset = read(tmp_path, text)
    assert dataset.ratings.columns.tolist() == ["user_id", "movie_id", "weight"]
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p(counts), rtol=1e-6)
    assert dataset.rating_scale is None
    again = load_dataset(dataset.to_folder(tmp_path / "again"))
    pd.testing.assert_frame_equal(again.ratings, dataset.ratings)
    with pytest.raises(DataError, match="no column rating"):
        dataset.filtered(min_rating=3)


def test_escaped_quotes(tmp_path: Path) -> None:
    write(tmp_path, **{"BX-Books__csv": r'''"ISBN";"Book-Title";"Year-Of-Publication"
"01";"The \"Old\" House; &amp; Garden";"1999"
"02";"B";"DK Publishing"
'''})  # fmt: skip
    write(
        tmp_path,
        **{"BX-Book-Ratings__csv": '"User-ID";"ISBN";"Book-Rating"\n"1";"01";"0"\n"1";"02";"9"\n"1";"03";"8"\n'},
    )
    dataset = load_dataset(tmp_path)
    assert dataset.movies["title"].tolist() == ['The "Old" House; & Garden', "B", "03"]
    assert dataset.movies["year"].tolist() == [1999, pd.NA, pd.NA]
    text = str(dataset.provenance)
    assert "1 row with rating 0, which means that none was given (BX-Book-Ratings.csv:2)" in text
    assert "1 value with errors (BX-Books.csv:3: year 'DK Publishing' is not a number)" in text
    assert "added: 1 movie of the ratings that BX-Books.csv does not have" in text


def test_plain_files_need_no_words(tmp_path: Path) -> None:
    dataset = read(tmp_path, "userId,movieId,rating\n1,2,5\n")
    assert dataset.provenance == Provenance(
        files=("ratings.csv",), renamed={"ratings.csv": {"userId": "user_id", "movieId": "movie_id"}}
    )
    assert dataset.provenance.remarks == ""
    assert Dataset(dataset.ratings).provenance == Provenance()
    assert dataset.filtered(k_core=1).provenance == dataset.provenance


def test_ids_beyond_64_bits_are_text(tmp_path: Path) -> None:
    dataset = read(tmp_path, f"user_id,movie_id\n{2**63},2\n1,3\n{10**25},3\n")
    assert dataset.ratings["user_id"].tolist() == [str(2**63), "1", str(10**25)]


def test_counts_are_no_stars(tmp_path: Path) -> None:
    from gnnrec.ratings import fit_rating_model

    dataset = read(tmp_path, "user_id,movie_id,plays\n1,7,40\n1,8,1\n2,7,3\n")
    with pytest.raises(DataError, match="has counts or weights but no stars; rating prediction needs a column rating"):
        fit_rating_model(dataset, progress=False)
    added = dataset.add_ratings(pd.DataFrame({"user_id": [3], "movie_id": [7]}))
    np.testing.assert_allclose(added.ratings["weight"].iloc[-1], np.log1p(1))


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces agree with the whole, whatever the types that each alone would have."""
    lines = [f"u{i % 50} ;{i};{i % 5},5;2001-01-{1 + i % 28:02d}" for i in range(20_000)]
    lines[15_000] = "u1;x3;4,5;2001-01-01"  # an id that is text
    text = "user_id;movie_id;rating;timestamp\n" + "\n".join(lines) + "\n"
    whole = read(tmp_path, text)
    monkeypatch.setattr("gnnrec.data.tables.CHUNK_BYTES", 10_000)
    pd.testing.assert_frame_equal(read(tmp_path, text).ratings, whole.ratings)
    assert whole.ratings["movie_id"].iloc[[0, 15_000]].tolist() == ["0", "x3"]
    assert whole.ratings["user_id"].nunique() == 50
    with pytest.raises(DataError, match=r"ratings\.csv:19002: timestamp 'soon' is not a time"):
        read(tmp_path, text.replace(lines[19_000], "u1;x;4,5;soon"))
    with pytest.raises(DataError, match=r"ratings\.csv:19002: expected 4 fields as in the first line, found 2"):
        read(tmp_path, text.replace(lines[19_000], "u1;x"))


def test_only_the_column_with_leading_zeros_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'"{i % 50}";"{i + 1}";"{i % 5}";"2001-01-{1 + i % 28:02d}"' for i in range(20_000)]
    lines[19_999] = '"7";"0439";"4";"2001-01-01"'
    text = '"User-ID";"ISBN";"Book-Rating";"date"\n' + "\n".join(lines) + "\n"
    monkeypatch.setattr("gnnrec.data.tables.CHUNK_BYTES", 10_000)
    ratings = read(tmp_path, text, rating_scale=(0, 5)).ratings
    assert ratings["user_id"].dtype == np.int64
    assert ratings["movie_id"].iloc[[0, 19_999]].tolist() == ["1", "0439"]


@pytest.mark.parametrize(
    ("text", "rating", "seconds"),
    [
        ("usuario,pelicula,puntuacion\nana,Amor,4\n", 4.0, None),
        ("usuario;película;puntuación;fecha\nana;Amor;4,5;2020-01-31\n", 4.5, 1580428800),
        ("Nutzer;Film;Bewertung\nana;Amor;3,5\n", 3.5, None),
        ("Benutzer;Film;Note;Datum\nana;Amor;2;31.01.2020\n", 2.0, 1580428800),
        ("utilisateur,film,note\nana,Amor,5\n", 5.0, None),
        ("usuário,filme,avaliação\nana,Amor,5\n", 5.0, None),
        ("utente,film,voto\nana,Amor,4\n", 4.0, None),
    ],
)
def test_columns_in_other_languages(tmp_path: Path, text: str, rating: float, seconds: int | None) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    expected = ["ana", "Amor", rating] if seconds is None else ["ana", "Amor", rating, seconds]
    assert load_dataset(path).ratings.to_numpy().tolist() == [expected]


def test_an_english_name_of_the_rating_comes_before_a_note(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,film,note,rating\n1,2,nice,4\n")
    assert load_dataset(path).ratings.to_numpy().tolist() == [[1, 2, 4.0]]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("ann 7 4.5 1577836800\nbob 8 3 1577836801\n", "assumed: ratings.csv has no header"),
        ("user movie rating time\nann 7 4.5 1577836800\nbob 8 3 1577836801\n", "renamed in ratings.csv"),
    ],
)
def test_spaces_between_text_ids(tmp_path: Path, text: str, header: str) -> None:
    dataset = read(tmp_path, text)
    assert rows(dataset.ratings) == [["ann", 7, 4.5, 1577836800], ["bob", 8, 3.0, 1577836801]]
    assert "read: ratings.csv (spaces)" in str(dataset.provenance)
    assert header in str(dataset.provenance)
