"""Errors in files name the file, the line and the problem."""

from pathlib import Path

import pytest

from gnnrec.datasets import load_dataset
from gnnrec.errors import DataError
from gnnrec.splitting import Split

ITEM = "|01-Jan-1995||http://a" + "|0" * 18 + "|1\n"
VALID = {
    "1m": {
        "ratings.dat": "1::10::5::1000\n2::20::3::1001\n",
        "movies.dat": "10::Heat (1995)::Crime\n20::Alien (1979)::Horror\n",
        "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    },
    "100k": {
        "u.data": "1\t1\t5\t1000\n2\t2\t3\t1001\n",
        "u.item": f"1|Heat (1995){ITEM}2|Alien (1979){ITEM}",
        "u.user": "1|24|M|technician|85711\n2|53|F|none|94043\n",
    },
    "csv": {
        "ratings.csv": "user_id,movie_id,rating,timestamp\n1,10,5,1000\n2,20,3,1001\n",
        "movies.csv": "movie_id,title,year\n10,Heat,1995\n20,Alien,1979\n",
        "users.csv": "user_id,age\n1,25\n2,56\n",
    },
    "bare": {},
}
HEAD = "user_id,movie_id,rating,timestamp\n"
FIRST = HEAD + "1,10,5,1000\n"

# valid files, the broken file among them and its content, the line in the message (None: the file), part of the message
BROKEN = [
    ("1m", "ratings.dat", "1::10::5::9\n1::20::3\n", 2, "expected 4 fields separated by '::', found 3"),
    ("1m", "ratings.dat", "1::10::5::9\n\n1::20::3::9::9\n", 3, "found 5"),
    ("1m", "ratings.dat", "1::10::5::9::1\n1::20::3::9\n", 1, "found 5"),
    ("1m", "ratings.dat", "1,10,5,9\n", 1, "found 1"),
    ("1m", "ratings.dat", "1::10::5::9\n1::2x::3::9\n", 2, "movie_id '2x' is not a whole number"),
    ("1m", "ratings.dat", "1::10::::9\n", 1, "rating '' is not a number"),
    ("1m", "ratings.dat", "1::10::5::9\n1::20::inf::9\n", 2, "rating inf is not finite"),
    ("1m", "ratings.dat", "1::10::5::9\n1::20::nan::9\n", 2, "rating nan is not finite"),
    ("1m", "ratings.dat", "1::10::5::9.5\n", 1, "timestamp '9.5' is not a whole number"),
    ("1m", "ratings.dat", "1::10::5::-9\n", 1, "timestamp -9 is negative"),
    ("1m", "ratings.dat", "1::10::5::978300760000\n2::10::5::9\n", 1, "is not in seconds since 1970; convert it"),
    ("1m", "ratings.dat", f"1::10::5::9\n1::20::5::{10**30}\n", 2, "too large"),
    ("1m", "ratings.dat", "1::10::5::9\n1::99::3::9\n", 2, "movie_id 99 is not in the movies table"),
    ("1m", "ratings.dat", "1::10::5::9\n\n9::20::3::9\n", 3, "user_id 9 is not in the users table"),
    ("1m", "ratings.dat", "1::10::5::9\n2::10::5::9\n1::10::3::9\n", 3, "user 1 rated movie 10 twice"),
    ("1m", "ratings.dat", " \n", None, "is empty"),
    ("1m", "ratings.dat", "1::10::5::9".encode("utf-16"), 1, "UTF-16"),
    ("1m", "movies.dat", "10::A::x\n20::B\n", 2, "expected 3 fields separated by '::', found 2"),
    ("1m", "movies.dat", "10::A::x\nxx::B::x\n", 2, "movie_id 'xx' is not a whole number"),
    ("1m", "movies.dat", "10::A::x\n20::B::x\n\n10::C::x\n", 4, "movie_id 10 is listed twice"),
    ("1m", "movies.dat", "", None, "is empty"),
    ("1m", "users.dat", "1::F::1::10\n", 1, "expected 5 fields separated by '::', found 4"),
    ("1m", "users.dat", "1::F::1::10::1\n2::F::old::1::1\n", 2, "age 'old' is not a number"),
    ("1m", "users.dat", "1::F::1::10::1\n1::F::2::1::1\n", 2, "user_id 1 is listed twice"),
    ("100k", "u.data", "1\t1\t3\t8\n2\t2\t3\n", 2, "found 3"),
    ("100k", "u.data", "1\t1\t3\t8\n1\t1\t4\t9\n", 2, "user 1 rated movie 1 twice"),
    ("100k", "u.item", "1|Heat (1995)|x\n", 1, "expected 24 fields separated by '|', found 3"),
    ("100k", "u.user", "1|24|M|a|1\n2|24|M|a\n", 2, "expected 5 fields separated by '|', found 4"),
    ("bare", "ratings.csv", FIRST + "1,2,5\n", 3, "expected 4 fields as in the first line, found 3"),
    ("bare", "ratings.csv", "user_id,movie_id\na,b\nc\n", 3, "found 1"),
    ("bare", "ratings.csv", FIRST + "1,2,5,9,9\n", 3, "found 5"),
    ("bare", "ratings.csv", HEAD + "1,1,5,9,9\n1,2,5,9,9\n", 2, "found 5"),
    ("bare", "ratings.csv", FIRST + "1,2,good,9\n", 3, "rating 'good' is not a number"),
    ("bare", "ratings.csv", FIRST + "1,2,,9\n", 3, "rating is missing; give every row one, or drop the column"),
    ("bare", "ratings.csv", HEAD + "1,1,,9\n1,2,,9\n", 2, "rating is missing; give every row one"),
    ("bare", "ratings.csv", "user_id,movie_id,rating\n1,2,3\n1,3,\n", 3, "rating is missing; give every row one"),
    ("bare", "ratings.csv", HEAD + "1,1,nan,9\n1,2,5,9\n", 2, "rating nan is not finite"),
    ("bare", "ratings.csv", FIRST + "1,2,-inf,9\n", 3, "rating -inf is not finite"),
    ("bare", "ratings.csv", FIRST + ",2,5,9\n", 3, "user_id is missing"),
    ("bare", "ratings.csv", FIRST + "1,,5,9\n", 3, "movie_id is missing"),
    ("bare", "ratings.csv", FIRST + "1,2,5,\n", 3, "timestamp is missing"),
    ("bare", "ratings.csv", HEAD + "1,1,5,\n1,2,5,2001-01-01\n", 2, "timestamp is missing"),
    ("bare", "ratings.csv", FIRST + f"{2**63},2,5,x\n", 3, "timestamp 'x' is not a number"),
    ("bare", "ratings.csv", HEAD + "ann,1,5,9\n ann ,1,4,9\n", 3, "user 'ann' rated movie 1 twice"),
    ("bare", "ratings.csv", HEAD + 'ann,1,5,9\n"  ",1,4,9\n', 3, "user_id is missing"),
    ("bare", "ratings.csv", FIRST + "1,2,5,9.5.1\n", 3, "timestamp '9.5.1' is not a number"),
    ("bare", "ratings.csv", FIRST + "1,2,5,-1\n", 3, "timestamp -1 is negative"),
    ("bare", "ratings.csv", FIRST + "1,2,5,yesterday\n", 3, "timestamp 'yesterday' is not a number"),
    ("bare", "ratings.csv", HEAD + "1,1,5,2001-01-01\n1,2,5,2001-13-01\n", 3, "'2001-13-01' is not a time"),
    ("bare", "ratings.csv", HEAD + "1,1,5,9\n\n2,1,5,9\n1,1,4,9\n", 5, "user 1 rated movie 1 twice"),
    ("bare", "ratings.csv", "Zo\u00eb,1,5,9\nAn\u00ef,1,5,9\n".encode() + b"Jos\xe9,1,5,9\n", 3,
     "byte 0xe9 at offset 25 is not UTF-8, as the rest of the file is"),
    ("bare", "ratings.csv", HEAD.encode("utf-16"), None, "no rows"),
    ("bare", "ratings.csv", b"user_id,movie_id\n1,\0\0\n", 2, "the file is not text"),
    ("bare", "ratings.csv", b"\n", None, "is empty"),
    ("bare", "ratings.csv", HEAD, None, "no rows"),
    ("bare", "ratings.csv", "1,2,5,9,a\n1,3,5,9,b\n", 1, "the file has no header and its 5 columns are not just user"),
    ("bare", "ratings.csv", "Watcher,movie,Stars\n1,1,1\n", None,
     "no column user_id; columns found: Watcher, movie, Stars; other recognized names: userid, user, uid"),
    ("bare", "ratings.csv", "user_id,movie_id,user_id\n1,2,1\n", 1, "two columns user_id"),
    ("csv", "ratings.csv", FIRST + "1,30,5,9\n", 3, "movie_id 30 is not in the movies table"),
    ("csv", "ratings.csv", FIRST + "3,20,5,9\n", 3, "user_id 3 is not in the users table"),
    ("csv", "movies.csv", 'movie_id,title\n10,"a\nb"\n20,x\n10,c\n', 5, "movie_id 10 is listed twice"),
    ("csv", "movies.csv", 'movie_id,title\n10,"a\nb"\n20\n', 4, "found 1"),
    ("csv", "movies.csv", "movie_id,year\n10,1995\n20,soon\n", 3, "year 'soon' is not a number"),
    ("csv", "movies.csv", 'movie_id,title\n10,x\n20,"a\n', 3, "is a closing quote missing?"),
    ("csv", "movies.csv", "title,year\nx,1\n", None, "no column movie_id"),
    ("csv", "users.csv", "user_id,age\n1,N/A\n2,young\n", 3, "age 'young' is not a number"),
    ("csv", "users.csv", "user_id,age\n1,N/A\n2,151\n", 3, "age 151 is not between 0 and 150 years"),
    ("1m", "users.dat", "1::F::1::10::1\n2::F::-1::1::1\n", 2, "age -1 is not between 0 and 150 years"),
    ("csv", "users.csv", "user_id,age\n1,5\n1,5\n", 3, "user_id 1 is listed twice"),
]  # fmt: skip


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("kind", ["1m", "100k", "csv"])
def test_valid_files(tmp_path: Path, kind: str) -> None:
    write(tmp_path, VALID[kind])
    assert load_dataset(tmp_path).num_ratings == 2


@pytest.mark.parametrize(("kind", "file", "content", "line", "problem"), BROKEN)
def test_broken_file(
    tmp_path: Path, kind: str, file: str, content: str | bytes, line: int | None, problem: str
) -> None:
    write(tmp_path, VALID[kind] | {file: content})
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path)
    message = str(caught.value)
    location = f"{tmp_path / file}" + ("" if line is None else f":{line}: ")
    assert message.startswith(location), message
    assert problem in message


def test_duplicates_name_both_lines(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.dat": "1::10::5::9\n2::10::5::9\n\n1::10::3::9\n"})
    with pytest.raises(DataError, match=r"ratings\.dat:4: user 1 .* \(first at .*ratings\.dat:1\)$"):
        load_dataset(tmp_path)


def test_split_folder_names_both_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "train.csv": HEAD + "1,10,5,9\n2,10,5,9\n",
            "valid.csv": HEAD,
            "test.csv": HEAD + "1,20,5,9\n\n2,10,4,9\n",
        },
    )
    with pytest.raises(DataError, match=r"test\.csv:4: user 2 rated movie 10 .* \(first at .*train\.csv:3\)$"):
        Split.from_folder(tmp_path)
    (tmp_path / "valid.csv").unlink()
    with pytest.raises(DataError, match=r"has no valid\.csv"):
        Split.from_folder(tmp_path)
