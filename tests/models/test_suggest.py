"""Settings that are chosen from the data, and the warnings about training."""

import warnings

import numpy as np
import pandas as pd
import pytest

import gnnrec
from gnnrec import Config, ConfigError, Dataset, Split
from gnnrec.models import GNN
from gnnrec.models.suggest import DataShape, _has_few_ratings, describe_config, suggest_config
from gnnrec.splitting import random_split

QUICK = ("train.epochs=2", "model.embedding_dim=8")


def ratings(num_users: int, num_movies: int, num_ratings: int) -> pd.DataFrame:
    """Return distinct pairs of users and movies."""
    pairs = np.random.default_rng(0).permutation(num_users * num_movies)[:num_ratings]
    return pd.DataFrame({"user_id": pairs // num_movies + 1, "movie_id": pairs % num_movies + 1, "rating": 4.0})


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return gnnrec.load_dataset("sample", num_users=120, num_movies=80)


@pytest.mark.parametrize(
    ("protocol", "task", "objective", "horizon"),
    [
        ("random", "any order", "masked_edges", 1),
        ("next-item", "next", "next_item", 1),
        ("temporal", "later", "next_item", 10),
        ("cold-users", "cold users", "masked_edges", 1),
        ("strong-generalization", "any order", "masked_edges", 1),  # held-out users have most of their ratings
    ],
)
def test_the_objective_follows_the_validation_ratings(sample, protocol, task, objective, horizon):
    split = gnnrec.split(sample, protocol)
    config = suggest_config(split)
    assert DataShape.of(split).task == task
    assert (config.train.objective, config.train.horizon) == (objective, horizon)
    assert config.model.temporal == (objective == "next_item")
    assert not config.model.request_time_features
    told = suggest_config(split.with_request_times())
    assert told.model.request_time_features == (objective == "next_item")


def test_equal_timestamps_are_no_order(sample):
    split = gnnrec.split(sample, "next-item")
    frames = [part.assign(timestamp=5) for part in (split.train, split.valid, split.test)]
    assert DataShape.of(Split(*frames, split.movies, split.users)).task == "any order"


def test_a_dataset_is_learned_in_any_order(sample):
    assert suggest_config(sample).train.objective == "masked_edges"


@pytest.mark.parametrize(
    ("users", "movies", "count", "dim", "batch"),
    [(400, 300, 9_000, 16, 64), (943, 1682, 80_000, 32, 160), (6040, 3706, 800_000, 96, 768), (9, 5, 30, 16, 64)],
)
def test_sizes_follow_the_data(users, movies, count, dim, batch):
    config = suggest_config(Dataset(ratings(users, movies, count)))
    assert (config.model.embedding_dim, config.train.batch_size) == (dim, batch)


@pytest.mark.parametrize(
    ("users", "movies", "count", "expected"),
    [
        (400, 300, 9_000, (300, 1.5, 3)),
        (600, 1100, 30_000, (512, 1.5, 3)),
        (1000, 900, 4_000, (0, 1.0, 1)),
        (1100, 1100, 40_000, (512, 1.0, 2)),
    ],
)
def test_dense_data_get_an_ensemble_and_an_ease_part(users, movies, count, expected):
    config = suggest_config(Dataset(ratings(users, movies, count)))
    ease_dim, _, num_members = expected
    assert (config.model.ease_dim, config.model.ease_weight, config.model.num_members) == expected
    description = describe_config(config)
    assert (f"num_members {num_members}, ease_dim {ease_dim}" in description) == (ease_dim > 0)
    assert ("num_members" in description) == (ease_dim > 0)


@pytest.mark.parametrize(("count", "expected"), [(2_000_000, (2, 512)), (2_000_001, (1, 0))])
def test_many_ratings_get_a_single_network(count, expected, monkeypatch):
    shape = DataShape(10_000, 5_000, count, "any order")
    monkeypatch.setattr(DataShape, "of", lambda data: shape)
    model = suggest_config(Dataset(ratings(10, 5, 30))).model
    assert (model.num_members, model.ease_dim) == expected


def test_only_ratings_in_any_order_get_an_ease_part(sample):
    found = {task: suggest_config(gnnrec.split(sample, task)).model.ease_dim for task in ("random", "next-item")}
    assert found == {"random": 80, "next-item": 0}
    assert suggest_config(gnnrec.split(sample, "cold-users")).model.ease_dim == 0


def test_the_negative_weight_follows_the_density():
    sparse, dense = (suggest_config(Dataset(ratings(500, 400, count))) for count in (4_000, 40_000))
    assert dense.train.negative_weight == pytest.approx(10 * sparse.train.negative_weight, rel=0.05)


def test_a_few_users_with_many_movies_start_closer_to_the_data():
    few, usual = (suggest_config(Dataset(ratings(610, movies, 60_000))) for movies in (9_000, 1_500))
    assert (few.model.embedding_dim, few.model.init_scale, few.model.init_spectral_power) == (64, 1.0, 0.5)
    assert (few.model.movie_degree_smoothing, few.train.learning_rate) == (3.0, 7.4e-5)
    assert (few.train.epochs, few.model.ease_weight, few.model.num_members) == (1, 2.5, 3)
    assert (usual.model.embedding_dim, usual.model.init_spectral_power) == (16, 0.0)
    assert (usual.model.movie_degree_smoothing, usual.train.learning_rate) == (0.6, 0.0043)
    assert (usual.train.epochs, usual.model.ease_weight, usual.model.num_members) == (100, 1.5, 3)


@pytest.fixture(scope="module")
def sparse() -> Split:
    """Return ratings of one pair in 500, in groups of users who like the same movies."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(1500), 10)
    movies = (users % 30) * 100 + rng.integers(100, size=len(users))
    dataset = Dataset(pd.DataFrame({"user_id": users, "movie_id": movies}).drop_duplicates())
    return random_split(dataset, (0.6, 0.2, 0.2))


def test_sparse_data_are_filtered(sparse):
    config = suggest_config(sparse)
    assert DataShape.of(sparse).density < 0.005
    assert (config.model.init_spectral_power, config.train.epochs, config.model.embedding_dim) == (0.5, 1, 64)
    dense = suggest_config(Dataset(ratings(500, 400, 4_000)))
    assert dense.model.init_user_smoothing == 0
    assert dense.train.epochs > 1


def test_sparse_data_with_many_ratings_are_learned():
    sizes = DataShape(160_000, 60_000, 25_000_000, "any order"), DataShape(30_000, 41_000, 810_000, "any order")
    assert [_has_few_ratings(profile) for profile in sizes] == [False, True]


def test_next_ratings_of_sparse_data_are_learned_in_few_steps(sparse):
    order = np.arange(len(sparse.dataset.ratings))
    dated = gnnrec.split(Dataset(sparse.dataset.ratings.assign(timestamp=order)), "next-item")
    config = suggest_config(dated)
    assert (config.train.objective, config.train.epochs, config.train.learning_rate) == ("next_item", 3, 0.001)
    assert (config.train.loss, config.model.transition_attribute_weight) == ("sampled_softmax", 0.4)
    assert config.model.embedding_dim == 64


def test_sparse_data_of_cold_users_are_learned():
    rows = ratings(3000, 2000, 12_000)
    is_cold = rows["user_id"] > 2500
    valid, test = rows[is_cold].iloc[::2], rows[is_cold].iloc[1::2]
    cold = Split(rows[~is_cold], valid, test, rows[["movie_id"]].drop_duplicates())
    assert DataShape.of(cold).task == "cold users"
    assert suggest_config(cold).train.epochs > 1


def test_the_chosen_settings_of_sparse_data_are_far_better_than_popularity(sparse):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = gnnrec.fit(sparse, progress=False)
    chosen, popular = (
        gnnrec.evaluate(one, sparse, ks=[20], metrics=["ndcg"])["value"].item()
        for one in (model, gnnrec.fit(sparse, "popularity"))
    )
    assert chosen > 3 * popular


def test_what_was_chosen_is_printed_and_saved(sample, tmp_path, capsys):
    model = gnnrec.fit(sample, overrides=("train.epochs=2",), run_dir=tmp_path / "run")
    assert model.config == suggest_config(sample).override(["train.epochs=2"])
    assert gnnrec.load(tmp_path / "run").config == model.config
    printed = " ".join(capsys.readouterr().err.split())
    assert f"settings chosen from the data: {describe_config(model.config)}" in printed


def test_a_given_config_is_used_as_it_is(sample, capsys):
    config = Config().override(QUICK)
    assert gnnrec.fit(sample, config=config).config == config
    assert "chosen" not in capsys.readouterr().err


def test_overrides_are_checked_before_data_are_read():
    with pytest.raises(ConfigError, match=r"did you mean 'train\.epochs'"):
        GNN(overrides=("train.epoch=2",))
    with pytest.raises(ConfigError, match="must be at least 1"):
        gnnrec.fit(object(), overrides=("train.epochs=0",))


def test_a_seed_is_an_override(sample):
    estimator = GNN(overrides=QUICK)
    assert estimator.random_seed == 0
    seeded = estimator.with_seed(3)
    assert seeded.random_seed == 3
    assert seeded.config_for(sample) == suggest_config(sample).override([*QUICK, "train.seed=3"])


def messages(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught]


SMALL_STEPS = ("train.epochs=2", "model.init=random", "train.learning_rate=1e-4", "model.num_members=1")
"""Too few and too small steps to get anywhere but up."""


def test_a_last_epoch_that_is_the_best_is_told(sample):
    with pytest.warns(UserWarning, match="the last epoch, 2, was the best.*raise train.epochs"):
        gnnrec.fit(random_split(sample), overrides=SMALL_STEPS, progress=False)


def test_training_that_never_improves_is_told(sample):
    overrides = ("train.epochs=2", "train.learning_rate=3", "train.negative_weight=50")
    with pytest.warns(UserWarning, match=r"better than the initialization: the best ndcg@20 .* before the first epoch"):
        gnnrec.fit(random_split(sample), overrides=overrides, progress=False)


def test_training_that_ends_by_patience_is_quiet(sample):
    overrides = ("train.epochs=60", "train.patience=2")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = gnnrec.fit(random_split(sample), overrides=overrides, progress=False)
    assert len(model.history) < 60
    assert not [text for text in messages(caught) if "epoch" in text]
