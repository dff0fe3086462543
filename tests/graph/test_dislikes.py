"""One star pushes away: which ratings are dislikes, and what they do to the lists of the graph neural network."""

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
    """Two camps: everybody likes movies 1 to 5 and dislikes 6 to 10, or the other way round."""
    rows = []
    for user in range(40):
        for movie in range(1, 11):
            if (user * 7 + movie * 3) % 4:
                liked = (movie <= 5) == (user % 2 == 0)
                if liked or (user + movie) % 5 == 0:
                    rows.append((user, movie, 5 if liked else 1))
    data = Dataset(pd.DataFrame(rows, columns=["user_id", "movie_id", "rating"]))
    config = Config().override(["model.embedding_dim=8", "train.epochs=20"])
    return gnnrec.fit(data, config=config, progress=False)


def _score(model, user):
    return model.recommend(user, 10, exclude_seen=False).set_index("movie_id")["score"]


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


def test_one_star_pushes_the_neighbors_away(model):
    hated, unknown, loved = _score(model, {1: 1, 2: 1}), _score(model, NewUser()), _score(model, {1: 5, 2: 5})
    for neighbor in (3, 4, 5):
        assert hated[neighbor] < unknown[neighbor] < loved[neighbor]
    assert (
        model.recommend({1: 1, 2: 1}, 3)["movie_id"].tolist() != model.recommend({1: 5, 2: 5}, 3)["movie_id"].tolist()
    )


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
    frame = pd.DataFrame({"user_id": 99, "movie_id": list(history), "rating": list(history.values())})
    stored = model.add_ratings(frame)
    once = stored.encoder.embed_users(stored.graph.user_batch(torch.tensor([40])), model.movie_embeddings)
    assert torch.allclose(once, model.user_embeddings([history]), atol=1e-6)
    loaded = gnnrec.load(model.save(tmp_path / "run"))
    assert _score(loaded, history).equals(_score(model, history))


def test_weight_zero_treats_every_rating_alike(model):
    model.encoder.dislike_weight = 0.0
    try:
        assert _score(model, {1: 1, 2: 1}).equals(_score(model, {1: 5, 2: 5}))
    finally:
        model.encoder.dislike_weight = 1.0


def test_explain_shows_dislikes_as_negative(model):
    reasons = gnnrec.explain(model, {1: 1, 2: 1, 6: 5}, [3])
    assert (reasons.loc[reasons["because"].isin(["1", "2"]), "effect"] < 0).all()
    assert (reasons["effect"] < 0).any()


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
