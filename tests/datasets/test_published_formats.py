"""Published datasets in the layouts of their files: made-up rows, real names of files and columns."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gnnrec.data import Dataset
from gnnrec.datasets import load_dataset
from gnnrec.errors import DataError


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype(object).where(frame.notna(), None).values.tolist()


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def movies(dataset: Dataset, *columns: str) -> list[list[object]]:
    return rows(dataset.movies[["movie_id", *columns]])


def test_recbole(tmp_path: Path) -> None:
    files = {
        "ml.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t881250949\n2\t20\t3\t881250950\n",
        "ml.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\t\"Heat\" of the Night\t1995\tCrime Thriller\n20\tAlien\t1979\tHorror\n",
        "ml.user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\ttechnician\t1\n2\t53\tF\tother\t2\n",
    }  # fmt: skip
    dataset = load_dataset(write(tmp_path, files))
    assert rows(dataset.ratings) == [[1, 10, 4, 881250949], [2, 20, 3, 881250950]]
    assert movies(dataset, "title", "genres", "year") == [
        [10, '"Heat" of the Night', "Crime|Thriller", 1995],
        [20, "Alien", "Horror", 1979],
    ]
    assert dataset.users["age"].tolist() == [24, 53]
    pd.testing.assert_frame_equal(load_dataset(tmp_path / "ml.inter").movies, dataset.movies)


def test_recbole_counts(tmp_path: Path) -> None:
    text = "user_id:token\tartist_id:token\tweight:float\n2\t51\t13883\n2\t52\t11690\n3\t51\t1\n"
    ratings = load_dataset(write(tmp_path, {"lastfm.inter": text})).ratings
    np.testing.assert_allclose(ratings["weight"], np.log1p([13883, 11690, 1]), rtol=1e-6)


NETFLIX = {
    "combined_data_1.txt": "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n1488844,4,2005-09-06\n",
    "combined_data_2.txt": "4500:\n30878,4,2005-12-26\n",
    "movie_titles.csv": "1,2003,Dinosaur Planet\n2,NULL,Isle of Man, The: Caf\xe9, Part 2\n4500,1999,Last\n".encode("latin-1"),
    "probe.txt": "1:\n30878\n",
}  # fmt: skip


def test_netflix_prize(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, NETFLIX))
    assert rows(dataset.ratings) == [
        [1488844, 1, 3, 1125964800], [822109, 1, 5, 1115942400], [1488844, 2, 4, 1125964800], [30878, 4500, 4, 1135555200],
    ]  # fmt: skip
    assert movies(dataset, "title", "year") == [
        [1, "Dinosaur Planet", 2003],
        [2, "Isle of Man, The: Caf\xe9, Part 2", None],
        [4500, "Last", 1999],
    ]
    assert "files not used: probe.txt" in str(dataset.provenance)
    assert load_dataset(tmp_path / "combined_data_1.txt").num_ratings == 3
    single = write(
        tmp_path / "one",
        {"training_set/mv_0000002.txt": "2:\n7,3,2005-09-06\n", "training_set/mv_0000010.txt": "10:\n7,4,2005-09-06\n"},
    )
    assert rows(load_dataset(single).ratings) == [[7, 2, 3, 1125964800], [7, 10, 4, 1125964800]]
    write(tmp_path, {"combined_data_2.txt": "4500:\n30878,4,2005-12-26\n\n30879,four,2005-12-26\n"})
    with pytest.raises(DataError, match=r"combined_data_2\.txt:4: expected user, rating and date"):
        load_dataset(tmp_path)
    write(tmp_path, {"combined_data_2.txt": "1,2,2005-01-01\n4500:\n30878,4,2005-12-26\n"})
    with pytest.raises(DataError, match=r"combined_data_2\.txt:1: the file does not begin with a movie"):
        load_dataset(tmp_path)


def test_netflix_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrec.datasets.logs.BLOCK", 40)
    whole = rows(load_dataset(write(tmp_path, NETFLIX)).ratings)
    assert [row[:2] for row in whole] == [[1488844, 1], [822109, 1], [1488844, 2], [30878, 4500]]


def test_lastfm(tmp_path: Path) -> None:
    files = {
        "user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n",
        "artists.dat": 'id\tname\turl\tpictureURL\n51\t"Duran Duran\thttp://a\thttp://b\n52\tMorcheeba\thttp://c\t\n',
        "user_friends.dat": "userID\tfriendID\n2\t275\n",
        "readme.txt": "x",
    }
    dataset = load_dataset(write(tmp_path, files))
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([13883, 11690]), rtol=1e-6)
    assert dataset.movies["title"].tolist() == ['"Duran Duran', "Morcheeba"]
    assert "files not used: user_friends.dat" in str(dataset.provenance)


def test_lastfm_360k_and_1k(tmp_path: Path) -> None:
    one, two = "0" * 40, "a" * 40
    text = f"{one}\t3bd73256\tBetty Blowtorch\t2137\n{one}\t\tDie Ärzte\t1099\n{two}\t3bd73256\tBetty Blowtorch\t1\n"
    dataset = load_dataset(write(tmp_path / "a", {"usersha1-artmbid-artname-plays.tsv": text}))
    assert rows(dataset.ratings[["user_id", "movie_id"]]) == [[one, "3bd73256"], [one, "Die Ärzte"], [two, "3bd73256"]]
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([2137, 1099, 1]), rtol=1e-6)
    assert movies(dataset, "title") == [["3bd73256", "Betty Blowtorch"], ["Die Ärzte", "Die Ärzte"]]
    track = "f1b1cf71\tDeep Dish\t\tFuck Me Im Famous"
    text = f"user_01\t2009-05-04T23:08:57Z\t{track}\nuser_01\t2009-05-04T13:54:10Z\t{track}\nuser_02\t2009-05-04T13:52:04Z\ta7f7\tB\t\tC\n"
    dataset = load_dataset(write(tmp_path / "b", {"userid-timestamp-artid-artname-traid-traname.tsv": text}))
    assert rows(dataset.ratings[["user_id", "movie_id", "timestamp"]]) == [
        ["user_01", "f1b1cf71", 1241478537],
        ["user_02", "a7f7", 1241445124],
    ]
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([2, 1]), rtol=1e-6)


def test_steam(tmp_path: Path) -> None:
    text = (
        '151603712,"Half-Life, 2",purchase,1.0,0\n151603712,"Half-Life, 2",play,273.0,0\n151603712,Portal,purchase,1.0,0\n'
        '151603713,Portal,purchase,1.0,0\n151603713,Portal,play,0.5,0\n'
    )  # fmt: skip
    dataset = load_dataset(write(tmp_path, {"steam-200k.csv": text}))
    assert rows(dataset.ratings[["user_id", "movie_id"]]) == [
        [151603712, "Half-Life, 2"], [151603712, "Portal"], [151603713, "Portal"],
    ]  # fmt: skip
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([273, 1, 0.5]), rtol=1e-6)


def test_steam_recommendations(tmp_path: Path) -> None:
    files = {
        "recommendations.csv": "app_id,helpful,funny,date,is_recommended,hours,user_id,review_id\n975370,0,0,2022-12-12,true,36.3,51580,0\n304390,4,0,2017-02-17,false,11.5,2586,1\n",
        "games.csv": "app_id,title,date_release,win\n975370,Dwarf Fortress,2022-12-06,true\n304390,For Honor,2017-02-13,true\n",
        "users.csv": "user_id,products,reviews\n51580,156,1\n2586,329,3\n",
    }  # fmt: skip
    dataset = load_dataset(write(tmp_path, files))
    assert movies(dataset, "title", "year") == [[975370, "Dwarf Fortress", 2022], [304390, "For Honor", 2017]]
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([36.3, 11.5]), rtol=1e-6)
    assert "rating" not in dataset.ratings


def test_steam_of_ucsd(tmp_path: Path) -> None:
    records = [
        {"user_id": "js41637", "items_count": 2, "items": [
            {"item_id": "10", "item_name": "Counter-Strike", "playtime_forever": 60, "playtime_2weeks": 0},
            {"item_id": "20", "item_name": "Team's", "playtime_forever": 0, "playtime_2weeks": 0}]},
        {"user_id": "doctr", "items_count": 0, "items": []},
        {"user_id": "evcentric", "items_count": 1, "items": [{"item_id": "10", "item_name": "C", "playtime_forever": 5, "playtime_2weeks": 0}]},
    ]  # fmt: skip
    text = "".join(f"{record!r}\n" for record in records)  # Python literals, as published
    dataset = load_dataset(write(tmp_path, {"australian_users_items.json.gz": gzip.compress(text.encode())}))
    assert rows(dataset.ratings[["user_id", "movie_id"]]) == [["js41637", "10"], ["js41637", "20"], ["evcentric", "10"]]
    np.testing.assert_allclose(dataset.ratings["weight"], np.log1p([60, 0, 5]), rtol=1e-6)


def test_amazon_2014(tmp_path: Path) -> None:
    reviews = lines(
        {"reviewerID": "A1", "asin": "0000013714", "reviewerName": "x", "helpful": [0, 0], "reviewText": "a\nb", "overall": 4.0, "summary": "s", "unixReviewTime": 1252800000, "reviewTime": "09 13, 2009"},
        {"reviewerID": "A2", "asin": "B000000001", "helpful": [0, 0], "reviewText": "", "overall": 5.0, "summary": "s", "unixReviewTime": 1362873600, "reviewTime": "03 10, 2013"},
    )  # fmt: skip
    meta = "{'asin': '0000013714', 'title': \"It's a Film\", 'categories': [['Movies & TV', 'Movies'], ['Movies & TV', 'Drama']], 'description': 'Old.'}\n"
    meta += "{'asin': '0000013999', 'title': 'Not rated', 'categories': [['Movies & TV']]}\n"
    files: dict[str, str | bytes] = {
        "reviews_Movies_and_TV_5.json.gz": gzip.compress(reviews.encode()),
        "meta_Movies_and_TV.json.gz": gzip.compress(meta.encode()),
    }
    dataset = load_dataset(write(tmp_path, files))
    assert rows(dataset.ratings) == [["A1", "0000013714", 4, 1252800000], ["A2", "B000000001", 5, 1362873600]]
    assert movies(dataset, "title", "genres", "plot") == [
        ["0000013714", "It's a Film", "Movies & TV|Movies|Drama", "Old."],
        ["0000013999", "Not rated", "Movies & TV", None],
        ["B000000001", "B000000001", "", None],
    ]
    assert "added: 1 movie of the ratings that meta_Movies_and_TV.json.gz does not have" in str(dataset.provenance)


def test_amazon_2018(tmp_path: Path) -> None:
    reviews = lines(
        {"overall": 5.0, "verified": True, "reviewTime": "11 9, 2012", "reviewerID": "A2M1CU2IRZG0K9", "asin": "0005089549", "style": {"Format:": " VHS"}, "reviewerName": "T", "reviewText": "x", "summary": "y", "unixReviewTime": 1352419200},
        {"overall": 3.0, "verified": False, "reviewTime": "12 30, 2011", "reviewerID": "AFTUJYISOFHY6", "asin": "0005089549", "vote": "3", "reviewText": "x", "summary": "y", "unixReviewTime": 1325203200},
    )  # fmt: skip
    meta = lines(
        {
            "category": ["Movies & TV", "Movies"],
            "description": ["a", "b"],
            "title": "Steve Green",
            "asin": "0005089549",
            "brand": "x",
        }
    )
    dataset = load_dataset(write(tmp_path, {"Movies_and_TV.json": reviews, "meta_Movies_and_TV.json": meta}))
    assert rows(dataset.ratings) == [
        ["A2M1CU2IRZG0K9", "0005089549", 5, 1352419200],
        ["AFTUJYISOFHY6", "0005089549", 3, 1325203200],
    ]
    assert movies(dataset, "title", "genres") == [["0005089549", "Steve Green", "Movies & TV|Movies"]]


def test_amazon_2023(tmp_path: Path) -> None:
    reviews = lines(
        {"rating": 5.0, "title": "Five Stars", "text": "x", "images": [], "asin": "B013488XFS", "parent_asin": "B013488X00", "user_id": "AGKAS", "timestamp": 1440385637000, "helpful_vote": 0, "verified_purchase": True},
        {"rating": 1.0, "title": "No", "text": "x", "images": [], "asin": "B00CB6VTDS", "parent_asin": "B00CB6VTDS", "user_id": "AGKAS", "timestamp": 1461100610123, "helpful_vote": 0, "verified_purchase": True},
    )  # fmt: skip
    meta = lines(
        {"main_category": "Prime Video", "title": "Glee", "average_rating": 4.7, "rating_number": 9, "features": [], "description": ["Entering its fourth season"], "price": None, "categories": ["Comedy"], "parent_asin": "B013488X00", "details": {"a": 1}},
        {"main_category": "Movies & TV", "title": "One Perfect Wedding", "average_rating": 3.0, "categories": ["Movies", "DVD"], "parent_asin": "B00CB6VTDS", "details": {}},
    )  # fmt: skip
    dataset = load_dataset(
        write(tmp_path, {"Movies_and_TV.jsonl.gz": gzip.compress(reviews.encode()), "meta_Movies_and_TV.jsonl": meta})
    )
    assert rows(dataset.ratings) == [["AGKAS", "B013488X00", 5, 1440385637], ["AGKAS", "B00CB6VTDS", 1, 1461100610]]
    assert movies(dataset, "title", "genres", "plot") == [
        ["B013488X00", "Glee", "Comedy", "Entering its fourth season"],
        ["B00CB6VTDS", "One Perfect Wedding", "Movies|DVD", None],
    ]
    assert "timestamp of Movies_and_TV.jsonl.gz is in milliseconds" in str(dataset.provenance)
    only = "user_id,parent_asin,rating,timestamp\nAGKAS,B013488X00,5.0,1440385637000\n"
    assert rows(load_dataset(write(tmp_path / "csv", {"Movies_and_TV.csv": only})).ratings) == [
        ["AGKAS", "B013488X00", 5, 1440385637]
    ]


def test_goodbooks(tmp_path: Path) -> None:
    ratings = "user_id,book_id,rating\n1,1,5\n1,2,4\n2,3,3\n"
    header = "id,book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,original_title,title,language_code,average_rating,ratings_count\n"
    old = header + (
        '1,2767052,2767052,2792775,272,439023483,9.78043902348e+12,Suzanne Collins,2008.0,The Hunger Games,"The Hunger Games (The Hunger Games, #1)",eng,4.34,4780653\n'
        '2,3,3,4640799,491,439554934,9.78043955493e+12,"J.K. Rowling, Mary GrandPré",1997.0,HP,"Harry Potter",eng,4.44,4602479\n'
        "3,41865,41865,3212258,226,316015849,9.78031601584e+12,Stephenie Meyer,2005.0,Twilight,Twilight,en-US,3.57,3866839\n"
    )
    dataset = load_dataset(
        write(
            tmp_path / "old",
            {
                "ratings.csv": ratings,
                "books.csv": old,
                "to_read.csv": "user_id,book_id\n1,1\n",
                "tags.csv": "tag_id,tag_name\n1,x\n",
            },
        )
    )
    assert movies(dataset, "title", "year") == [
        [1, "The Hunger Games (The Hunger Games, #1)", 2008], [2, "Harry Potter", 1997], [3, "Twilight", 2005],
    ]  # fmt: skip
    assert "id of books.csv holds the movie ids: it has 100% of those in the ratings" in str(dataset.provenance)
    new = old.replace("id,book_id,", "book_id,goodreads_book_id,", 1)
    dataset = load_dataset(write(tmp_path / "new", {"ratings.csv": ratings, "books.csv": new}))
    assert dataset.movies["title"].tolist()[1:] == ["Harry Potter", "Twilight"]


def test_the_movies_dataset(tmp_path: Path) -> None:
    header = "adult,belongs_to_collection,budget,genres,homepage,id,imdb_id,original_language,original_title,overview,popularity,release_date,runtime,title,video\n"
    metadata = header + (
        "False,,1,\"[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': 'Comedy'}]\",,862,tt0114709,en,Toy Story,\"Led by Woody,\nhe's a toy\",21.9,1995-10-30,81.0,Toy Story,False\n"
        "False,,1,\"[{'id': 28, 'name': 'Action'}]\",,949,tt0113277,en,Heat,Cops.,17.9,1995-12-15,170.0,Heat,False\n"
        " - Written by someone,0.065736,/x.jpg,[],,1997-08-20,0,en,x,104.0,Released,,False,6.0,1\n"
        "False,,1,[],,862,tt0114709,en,Toy Story,again,21.9,1995-10-30,81.0,Toy Story,False\n"
    )
    cast = "[{'cast_id': 1, 'character': 'Woody', 'name': 'Tom Hanks', 'order': 0}, {'name': \"\"Annie O'Potts\"\", 'order': 1}]"
    crew = "[{'job': 'Director', 'name': 'John Lasseter'}, {'job': 'Screenplay', 'name': 'Joss Whedon'}]"
    files = {
        "movies_metadata.csv": metadata,
        "ratings_small.csv": "userId,movieId,rating,timestamp\n1,1,2.5,1260759144\n1,6,3.0,1260759179\n1,949,3.0,1260759182\n",
        "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862.0\n6,0113277,949.0\n949,0,\n",
        "links_small.csv": "movieId,imdbId,tmdbId\n1,0114709,862.0\n",
        "credits.csv": f'cast,crew,id\n"{cast}","{crew}",862\n',
        "keywords.csv": 'id,keywords\n862,"[]"\n',
    }
    dataset = load_dataset(write(tmp_path, files))
    assert movies(dataset, "title", "genres", "year", "runtime", "imdb_id", "directors", "actors") == [
        [1, "Toy Story", "Animation|Comedy", 1995, 81, "tt0114709", "John Lasseter", "Tom Hanks|Annie O'Potts"],
        [6, "Heat", "Action", 1995, 170, "tt0113277", "", ""],
        [949, "949", "", None, None, None, "", ""],
    ]
    text = str(dataset.provenance)
    assert "1 row broken across lines (movies_metadata.csv:5)" in text
    assert "1 row about a movie of an earlier row (movies_metadata.csv:6)" in text
    assert "the TMDB ids of movies_metadata.csv are mapped to movie ids by links.csv" in text
    for name in ("links.csv", "links_small.csv"):
        (tmp_path / name).unlink()
    dataset = load_dataset(tmp_path)  # 949 is another movie at TMDB: no titles rather than wrong ones
    assert dataset.movies["title"].tolist() == ["1", "6", "949"]
    assert "movies_metadata.csv has TMDB ids but the ratings have MovieLens ids" in str(dataset.provenance)


def test_the_movies_dataset_with_too_many_fields(tmp_path: Path) -> None:
    header = "genres,id,imdb_id,overview,release_date,runtime,title\n"
    files = {
        "movies_metadata.csv": header
        + '[],862,tt0114709,"a\nb",1995-10-30,81,Toy Story\n[],949,tt0113277,x,1995,1,Heat,more\n',
        "ratings.csv": "userId,movieId,rating\n1,1,2.5\n1,6,3.0\n",
        "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n6,0113277,949\n",
        "credits.csv": "cast,crew,id\n[],[],862\n[],[],no number\n",
    }
    with pytest.raises(DataError, match=r"movies_metadata\.csv:4: 8 fields but the header has 7.*errors='skip'"):
        load_dataset(write(tmp_path, files))
    dataset = load_dataset(tmp_path, errors="skip", rejected=tmp_path / "rejected" / "rows.csv")
    assert dataset.movies["title"].tolist() == ["Toy Story", "6"]
    assert "1 row with errors (movies_metadata.csv:4: 8 fields" in str(dataset.provenance)
    assert "1 row broken across lines (credits.csv:3)" in str(dataset.provenance)
    assert "movies_metadata.csv,4" in (tmp_path / "rejected" / "rows.csv").read_text()


@pytest.mark.parametrize(
    ("values", "kept", "scale"),
    [
        ([0, 0, 8, 10], [8, 10], (1, 10)),  # no column of these files says so
        ([-1, 8, 10, 7], [8, 10, 7], (1, 10)),
        ([0, 3, 4, 5], [0, 3, 4, 5], (0, 5)),  # stars from 0
        ([0, *range(1, 11)], [0, *range(1, 11)], (0, 10)),  # few zeros are ratings
        ([-1, 0, 1], [-1, 0, 1], (-1, 1)),
    ],
)
def test_ratings_that_mean_none(
    values: list[float], kept: list[float], scale: tuple[float, float], tmp_path: Path
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user_id,item_id,rating\n" + "".join(f"{row},1,{value}\n" for row, value in enumerate(values)))
    dataset = load_dataset(path)
    assert (dataset.ratings["rating"].tolist(), dataset.rating_scale) == (kept, scale)
    assert ("none was given" in str(dataset.provenance)) == (len(kept) < len(values))


def test_movielens_at_kaggle(tmp_path: Path) -> None:
    files = {
        "rating.csv": '"userId","movieId","rating","timestamp"\n1,2,3.5,"2005-04-02 23:53:47"\n1,29,3.5,"2005-04-02 23:31:16"\n',
        "movie.csv": '"movieId","title","genres"\n2,"Jumanji (1995)","Adventure|Children"\n29,"City, The (1995)","Drama"\n',
        "link.csv": '"movieId","imdbId","tmdbId"\n2,"0113497",8844\n29,"0112682",902\n',
        "tag.csv": '"userId","movieId","tag","timestamp"\n18,4141,"Mark Waters","2009-04-24 18:19:40"\n',
        "genome_scores.csv": '"movieId","tagId","relevance"\n1,1,0.025\n',
    }
    dataset = load_dataset(write(tmp_path, files))
    assert rows(dataset.ratings) == [[1, 2, 3.5, 1112486027], [1, 29, 3.5, 1112484676]]
    assert movies(dataset, "year", "imdb_id", "tmdb_id") == [[2, 1995, "tt0113497", 8844], [29, 1995, "tt0112682", 902]]
    assert "files not used: genome_scores.csv, tag.csv" in str(dataset.provenance)


IMDB = {
    "title.basics.tsv.gz": gzip.compress(
        b"tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n"
        b"tt0113277\tmovie\t\"Heat\tHeat\t0\t1995\t\\N\t170\tAction,Crime\n"
        b"tt0078748\tmovie\tAlien\tAlien\t0\t1979\t\\N\t117\tHorror,Sci-Fi\n"
        b"tt9999999\tshort\tOther\tOther\t0\t\\N\t\\N\t\\N\t\\N\n"
    ),
    "title.ratings.tsv.gz": gzip.compress(b"tconst\taverageRating\tnumVotes\ntt0113277\t8.3\t700000\n"),
    "title.principals.tsv": "tconst\tordering\tnconst\tcategory\tjob\tcharacters\n"
    "tt0113277\t2\tnm0000134\tactor\t\\N\t[\"Neil\"]\ntt0113277\t1\tnm0000199\tactor\t\\N\t[\"Vincent\"]\n"
    "tt0113277\t3\tnm0000520\tdirector\t\\N\t\\N\ntt0078748\t1\tnm0000244\tactress\t\\N\t\\N\ntt9999999\t1\tnm1\tactor\t\\N\t\\N\n",
    "name.basics.tsv": "nconst\tprimaryName\tbirthYear\tdeathYear\tprimaryProfession\tknownForTitles\n"
    "nm0000134\tRobert De Niro\t1943\t\\N\tactor\t\\N\nnm0000199\tAl Pacino\t1940\t\\N\tactor\t\\N\n"
    "nm0000520\tMichael Mann\t1943\t\\N\tdirector\t\\N\nnm0000244\tSigourney Weaver\t1949\t\\N\tactress\t\\N\n",
}  # fmt: skip


def test_imdb_files(tmp_path: Path) -> None:
    files = IMDB | {
        "ratings.csv": "userId,movieId,rating\n1,6,5\n1,1214,4\n",
        "movies.csv": "movieId,title,genres\n6,Heat (1995),(no genres listed)\n1214,Alien (1979),Horror\n",
        "links.csv": "movieId,imdbId,tmdbId\n6,0113277,949\n1214,0078748,348\n",
    }
    dataset = load_dataset(write(tmp_path, files))
    assert movies(dataset, "title", "genres", "runtime", "directors", "actors") == [
        [6, "Heat (1995)", "", 170, "Michael Mann", "Al Pacino|Robert De Niro"],
        [1214, "Alien (1979)", "Horror", 117, "", "Sigourney Weaver"],
    ]
    assert "title.ratings.tsv.gz" in str(dataset.provenance)


def test_imdb_ids_as_movie_ids(tmp_path: Path) -> None:
    files = IMDB | {"ratings.csv": "user,tconst,stars\nann,tt0113277,5\nann,tt0078748,4\nann,tt0000001,3\n"}
    dataset = load_dataset(write(tmp_path, files))
    assert movies(dataset, "title", "genres", "year", "directors") == [
        ["tt0000001", "tt0000001", "", None, ""],
        ["tt0078748", "Alien", "Horror|Sci-Fi", 1979, ""],
        ["tt0113277", '"Heat', "Action|Crime", 1995, "Michael Mann"],
    ]


def test_yelp(tmp_path: Path) -> None:
    files = {
        "yelp_academic_dataset_review.json": lines(
            {"review_id": "r", "user_id": "u1", "business_id": "b1", "stars": 4.0, "useful": 1, "text": "x", "date": "2018-07-07 22:09:11"},
            {"review_id": "s", "user_id": "u2", "business_id": "b1", "stars": 2.0, "useful": 1, "text": "x", "date": "2018-07-08 00:00:00"},
        ),
        "yelp_academic_dataset_business.json": lines({"business_id": "b1", "name": "Cafe", "categories": "Coffee, Bars"}),
    }  # fmt: skip
    dataset = load_dataset(write(tmp_path, files))
    assert rows(dataset.ratings) == [["u1", "b1", 4, 1531001351], ["u2", "b1", 2, 1531008000]]
    assert movies(dataset, "title", "genres") == [["b1", "Cafe", "Coffee|Bars"]]


def test_anime(tmp_path: Path) -> None:
    files = {
        "rating.csv": "user_id,anime_id,rating\n1,20,-1\n1,24,8\n2,20,10\n",
        "anime.csv": 'anime_id,name,genre,type,episodes,rating,members\n20,Naruto,"Action, Comedy",TV,220,7.81,683297\n24,Other,,TV,1,,3\n',
    }
    dataset = load_dataset(write(tmp_path, files))
    assert movies(dataset, "title", "genres") == [[20, "Naruto", "Action|Comedy"], [24, "Other", ""]]
    assert "1 row with rating -1, which means that none was given (rating.csv:2)" in str(dataset.provenance)
    assert load_dataset(tmp_path, rating_scale=(-1, 10)).ratings["rating"].tolist() == [-1, 8, 10]


def test_array_of_json(tmp_path: Path) -> None:
    records = [{"user": 1, "item": 7, "score": 4}, {"user": 2, "item": 7, "score": 3}]
    dataset = load_dataset(write(tmp_path, {"ratings.json": json.dumps(records, indent=1)}))
    assert rows(dataset.ratings) == [[1, 7, 4], [2, 7, 3]]
    write(tmp_path, {"ratings.json": lines(*records) + "{\n"})
    with pytest.raises(DataError, match=r"ratings\.json:3: not JSON"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, errors="skip").num_ratings == 2
    write(tmp_path, {"ratings.json": lines(*records, {"user": 2, "item": 7, "score": 3})})
    with pytest.raises(DataError, match=r"ratings\.json:3: user 2 rated movie 7 twice; .*ratings\.json:2\)"):
        load_dataset(tmp_path)


def test_several_files_of_ratings(tmp_path: Path) -> None:
    text = "who,user_id,item_id,rating\nx,1,7,4\n"
    write(tmp_path, {"a.csv": text, "b.csv": text})
    with pytest.raises(
        DataError, match=r"has several files that may hold the ratings: a\.csv, b\.csv; give the path of one"
    ):
        load_dataset(tmp_path)
    (tmp_path / "b.csv").unlink()
    assert load_dataset(tmp_path).num_ratings == 1


def test_hetrec_movielens(tmp_path: Path) -> None:
    files = {
        "user_ratedmovies-timestamps.dat": "userID\tmovieID\trating\ttimestamp\n75\t3\t1\t1162160236000\n75\t32\t4.5\t1162160624000\n",
        "user_ratedmovies.dat": "userID\tmovieID\trating\tdate_day\n75\t3\t1\t29\n75\t32\t4.5\t29\n",
        "movies.dat": "id\ttitle\timdbID\tspanishTitle\tyear\n3\tGrumpy Old Men\t107050\tDos viejos gru\xf1ones\t1993\n32\tTwelve\t114746\tDoce\t1995\n".encode("latin-1"),
    }  # fmt: skip
    dataset = load_dataset(write(tmp_path, files))
    assert rows(dataset.ratings) == [[75, 3, 1, 1162160236], [75, 32, 4.5, 1162160624]]
    assert movies(dataset, "title", "year", "imdb_id") == [
        [3, "Grumpy Old Men", 1993, "tt0107050"],
        [32, "Twelve", 1995, "tt0114746"],
    ]


def test_netflix_with_a_single_rating(tmp_path: Path) -> None:
    path = tmp_path / "combined_data_1.txt"
    path.write_text("1:\n1488844,3,2005-09-06\n")
    assert rows(load_dataset(path).ratings) == [[1488844, 1, 3, 1125964800]]
