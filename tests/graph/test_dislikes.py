"""One star pushes away: which ratings are dislikes, and what they do to the lists of the graph neural network."""

import numpy as np
import pandas as pd
import pytest
import torch

import gnnrec
from gnnrec import Config, NewUser
from gnnrec.data import Dataset
from gnnrec.errors import ConfigError, DataError
from gnnrec.graph import Graph
from gnnrec.graph.dislikes import disliked, rating_baseline, rating_statistics
from gnnrec.models import EASE


@pytest.fixture(scope="module")
def model():
    config = Config().override(["model.embedding_dim=16", "train.epochs=10", "train.batch_size=64"])
    return gnnrec.fit(gnnrec.load_dataset("sample", num_users=300, num_movies=120), config=config, progress=False)


def _score(model, user):
    return model.recommend(user, 999, exclude_seen=False).set_index("movie_id")["score"]


def test_baseline_is_shrunk_by_the_spread():
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [7, 8, 7, 8], "rating": [1, 1, 3, 5]})
    users = Graph.from_dataset(Dataset(ratings)).users
    mean, std = rating_statistics(users.rating)
    assert (mean.item(), round(std.item() ** 2, 4)) == (2.5, 1.44)  # (0.3 * 4)^2; less than 2.75
    # S = 0 and S = 2: 2.5, and 2.5 + 2 / (2 + 2 * 1.44) * 1.5
    assert rating_baseline(users, mean, std).tolist() == pytest.approx([2.5, 2.5 + 3 / 4.88])
    assert disliked(users, mean, std).tolist() == [True, True, False, False]


def test_ratings_that_are_all_equal_are_no_dislikes():
    users = Graph.from_dataset(Dataset(pd.DataFrame({"user_id": [1, 2], "movie_id": [7, 8]}))).users
    assert not disliked(users, *rating_statistics(users.rating)).any()


@pytest.fixture(scope="module")
def good() -> Dataset:
    """Return ratings of 4 and 5 that are left of a scale from 1 to 5."""
    return gnnrec.load_dataset("sample", num_users=200, num_movies=100).filtered(min_rating=4)


def test_a_four_beside_a_five_is_no_dislike(good):
    graph = Graph.from_dataset(good)
    statistics = rating_statistics(graph.users.rating, good.rating_scale)
    assert [value.item() for value in statistics] == pytest.approx([3.0, 1.2])
    assert sorted(graph.users.rating.unique().tolist()) == [4, 5]
    assert not disliked(graph.users, *statistics).any()
    assert disliked(graph.users, *rating_statistics(graph.users.rating)).any(), "the ratings alone do not tell"
    users, _ = EASE().fit(good).encode_users([{1: 4, 2: 5}, {1: 1, 2: 5}])
    assert disliked(users, *statistics).tolist() == [False, False, True, False]


def test_the_scale_is_that_before_filtering():
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2], "movie_id": [7, 8, 7, 8], "rating": [10, 4, 5, 4]})
    dataset = Dataset(ratings).filtered(k_core=1)
    assert Dataset(ratings[ratings["rating"] <= 5]).rating_scale == (1, 5)
    assert dataset.rating_scale == (1, 10)
    low = Dataset(ratings).filtered(min_rating=4).take(np.array([1, 2, 3]))
    assert low.rating_scale == (1, 10)
    # 4 and 5 of 10 are not in the upper half: statistics of the ratings themselves.
    mean, _ = rating_statistics(Graph.from_dataset(low).users.rating, low.rating_scale)
    assert mean.item() == pytest.approx(13 / 3)


def test_fits_of_filtered_ratings_know_their_scale(good):
    config = Config().override(["model.embedding_dim=8", "train.epochs=2", "train.batch_size=64"])
    model = gnnrec.fit(good, config=config, progress=False)
    assert (model.encoder.rating_mean.item(), model.encoder.rating_std.item()) == pytest.approx((3.0, 1.2))
    assert _score(model, {1: 4, 2: 5}).equals(_score(model, {1: 5, 2: 5}))
    assert not _score(model, {1: 1, 2: 5}).equals(_score(model, {1: 5, 2: 5}))
    reasons = gnnrec.explain(model, {1: 4, 2: 5}, [3, 5, 9], dislikes=True)
    assert (reasons["effect"] > 0).all()


def test_one_star_pushes_the_neighbors_away(model):
    neighbors = model.similar_movies(1, 5)["movie_id"].tolist()
    hated, unknown, loved = (_score(model, user)[neighbors].mean() for user in ({1: 1}, NewUser(), {1: 5}))
    assert hated < unknown < loved
    assert model.recommend({1: 1, 2: 1})["movie_id"].tolist() != model.recommend({1: 5, 2: 5})["movie_id"].tolist()


def test_disliked_movies_are_lowest_ratings_and_never_recommended(model):
    named = model.recommend(NewUser(ratings={6: 5}, disliked=[1]), 10)
    rated = model.recommend(NewUser(ratings={1: 1, 6: 5}), 10)
    pd.testing.assert_frame_equal(named, rated)
    assert 1 not in named["movie_id"].tolist()
    with pytest.raises(DataError, match="movie 6 is rated and disliked"):
        model.recommend(NewUser(ratings={6: 5}, disliked=[6]))
    with pytest.raises(DataError, match="disliked must be a list of movies"):
        model.recommend(NewUser(disliked="Heat"))


def test_stored_and_new_users_agree_and_runs_keep_it(model, tmp_path):
    history = {1: 1.0, 6: 5.0, 7: 3.0}
    frame = pd.DataFrame({"user_id": 9999, "movie_id": list(history), "rating": list(history.values())})
    stored = model.add_ratings(frame)
    assert torch.allclose(stored.user_embeddings([9999]), stored.user_embeddings([history]), atol=1e-6)
    liked = stored.user_embeddings([{**history, 1: 5.0}])
    assert not torch.allclose(stored.user_embeddings([9999]), liked, atol=1e-3)
    loaded = gnnrec.load(model.save(tmp_path / "run"))
    assert _score(loaded, history).equals(_score(model, history))


def test_weight_zero_treats_every_rating_alike(model):
    model.encoder.dislike_weight = 0.0
    try:
        assert _score(model, {1: 1, 2: 1}).equals(_score(model, {1: 5, 2: 5}))
    finally:
        model.encoder.dislike_weight = 1.0


def test_explain_shows_dislikes_as_negative(model):
    hated = model.graph.dataset.movies["title"].iloc[0]
    neighbor = model.similar_movies(1, 1)["movie_id"].tolist()
    reasons = gnnrec.explain(model, {1: 1, 6: 5}, neighbor, dislikes=True).set_index("because")["effect"]
    assert reasons[hated] < 0
    assert gnnrec.explain(model, {1: 5, 6: 5}, neighbor).set_index("because")["effect"][hated] > 0


def test_other_models_count_dislikes_as_history(model):
    ease = EASE().fit(model.dataset)
    one, five = (ease.recommend({1: stars}, 10) for stars in (1, 5))
    pd.testing.assert_frame_equal(one, five)
    assert 1 not in one["movie_id"].tolist()


def test_relevance_threshold():
    rows = [(1, "a", 5), (1, "b", 5), (2, "a", 5), (2, "c", 1), (3, "d", 1), (3, "b", 5), (4, "a", 3), (4, "d", 1)]
    ease = gnnrec.fit(Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"])), "popularity")
    test = pd.DataFrame({"user_id": [1, 1, 2], "movie_id": ["c", "d", "b"], "rating": [1, 5, 2]})
    found = gnnrec.evaluate(ease, test, ks=[2], metrics=["recall", "dislikes"], relevant=4).set_index("metric")
    # User 1 is shown d and c, of which d is relevant and c disliked; user 2 b and d, of which b is disliked.
    assert found["value"].to_dict() == {"recall": 1.0, "dislikes": 0.5}
    assert found["num_users"].to_dict() == {"recall": 1, "dislikes": 2}
    with pytest.raises(ConfigError, match="needs a relevance threshold"):
        gnnrec.evaluate(ease, test, metrics=["dislikes"])


SETTINGS = {
    "graphsage": ["model.encoder=graphsage"],
    "two-layers": ["model.num_layers=2"],
    "temporal": ["model.temporal=true"],
    "temporal-graphsage": ["model.encoder=graphsage", "model.temporal=true", "model.day_decays=[30]"],
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_encoder_is_pushed_away(settings, tmp_path):
    config = Config().override(["model.embedding_dim=16", "train.epochs=6", "train.batch_size=64", *settings])
    dataset = gnnrec.load_dataset("sample", num_users=200, num_movies=100)
    model = gnnrec.fit(dataset, config=config, progress=False, run_dir=tmp_path / "run")

    def mean_rank(user, movies):
        return model.recommend(user, 100, exclude_seen=False).set_index("movie_id")["rank"][movies].mean()

    ranks = []  # scores have another scale after each history, so ranks are compared
    for movie, liked in ((1, 6), (11, 40), (25, 60), (33, 7), (48, 90), (70, 12)):
        neighbors = [one for one in model.similar_movies(movie, 5)["movie_id"] if one != liked]
        ranks.append([mean_rank({movie: stars, liked: 5}, neighbors) for stars in (1, 5)])
    hated, loved = map(np.mean, zip(*ranks, strict=True))
    assert hated > loved, "the neighbors of a hated movie are behind those of a loved one"
    loaded = gnnrec.load(tmp_path / "run")
    assert _score(loaded, {1: 1, 6: 5}).equals(_score(model, {1: 1, 6: 5}))


def test_a_resumed_run_has_the_same_dislikes(tmp_path):
    dataset = gnnrec.load_dataset("sample", num_users=150, num_movies=80)
    config = Config().override(["model.embedding_dim=8", "train.epochs=4", "train.batch_size=64"])
    whole = gnnrec.fit(dataset, config=config, progress=False)
    gnnrec.fit(dataset, config=config.override(["train.epochs=2"]), progress=False, run_dir=tmp_path / "run")
    resumed = gnnrec.fit(dataset, config=config, progress=False, run_dir=tmp_path / "run", resume=True)
    users = [{1: 1, 6: 5}, NewUser(ratings={6: 5}, disliked=[1, 2])]
    torch.testing.assert_close(resumed.user_embeddings(users), whole.user_embeddings(users), atol=1e-5, rtol=1e-4)
    assert torch.equal(resumed.encoder.rating_mean, whole.encoder.rating_mean)
    assert torch.equal(resumed.encoder.rating_std, whole.encoder.rating_std)


def test_changes_of_mind(model):
    neighbors = model.similar_movies(1, 5)["movie_id"].tolist()
    user = model.dataset.ratings["user_id"].value_counts().index[-1]  # of the shortest history
    rows = pd.DataFrame({"user_id": [user], "movie_id": [1]})
    loved = model.add_ratings(rows.assign(rating=5), update=True)
    hated = loved.add_ratings(rows.assign(rating=1), update=True)
    assert _score(hated, user)[neighbors].mean() < _score(loved, user)[neighbors].mean()
    removed, before = hated.remove_ratings(user, [1]), model
    if 1 in model.dataset.ratings.loc[model.dataset.ratings["user_id"] == user, "movie_id"].tolist():
        before = model.remove_ratings(user, [1])
    torch.testing.assert_close(removed.user_embeddings([user]), before.user_embeddings([user]))
