"""Each effect of `explain` equals the difference of two scores, with and without one part of the user."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnnrec import Config, NewUser, RecGraph, Recommender, Split, explain, explanations, fit, recommend
from gnnrec.data import Dataset
from gnnrec.datasets import make_sample
from gnnrec.errors import ConfigError, DataError
from gnnrec.explanations import PROFILE
from gnnrec.graph import encode_users
from gnnrec.models import EASE, Popularity

ALL = 1000  # more reasons than any user has


def score(model: Recommender, user: Any, movie_id: int) -> float:
    """Return one score, through `recommend`."""
    frame = recommend(model, user, k=1, exclude_seen=False, candidates=[movie_id])
    return float(frame["score"].iloc[0])


def effects_by_hand(model: Recommender, history: dict[int, float], movie_id: int, **profile: Any) -> dict[str, float]:
    """Return the effect of each part of a user on the score of one movie, computed from scores only."""
    titles = model.graph.dataset.movies.set_index("movie_id")["title"]
    full = score(model, NewUser(ratings=history, **profile), movie_id)
    effects = {
        titles[seen]: full
        - score(model, NewUser(ratings={m: r for m, r in history.items() if m != seen}, **profile), movie_id)
        for seen in history
    }
    effects[PROFILE] = full - score(model, NewUser(ratings=history), movie_id)
    return effects


def explained(model: Recommender, user: Any, movie_id: int, k: int = ALL) -> dict[str, float]:
    frame = explain(model, user, [movie_id], k=k)
    assert frame["effect"].is_monotonic_decreasing
    return dict(zip(frame["because"], frame["effect"], strict=True))


@pytest.fixture(scope="module")
def ease(split: Split) -> Any:
    return EASE(reg=50).fit(split)


def test_ease_effects_are_its_weights(ease: Any) -> None:
    history = {3: 5.0, 40: 4.0, 77: 1.0}
    nodes = ease.graph.movie_nodes(list(history))
    target = ease.graph.movie_node(120)
    titles = ease.graph.dataset.movies["title"].to_numpy()
    weights = {titles[node]: float(ease.weights[node, target]) for node in nodes.tolist()}
    expected = {title: weight for title, weight in weights.items() if weight > 0}
    assert expected
    assert explained(ease, history, 120) == pytest.approx(expected, abs=1e-6)


def test_ease_ignores_the_profile(ease: Any) -> None:
    assert PROFILE not in explained(ease, NewUser(age=25, gender="F", ratings={3: 5}), 120)


@pytest.mark.parametrize("movie_id", [12, 120, 333])
def test_network_effects_are_score_differences(trained: RecGraph, movie_id: int) -> None:
    history = {3: 5.0, 40: 4.0, 77: 1.0, 200: 3.0}
    profile = {"age": 25, "gender": "F", "occupation": "artist"}
    effects = effects_by_hand(trained, history, movie_id, **profile)
    expected = {name: effect for name, effect in effects.items() if effect > 0}
    assert expected
    assert explained(trained, NewUser(ratings=history, **profile), movie_id) == pytest.approx(expected, abs=1e-5)


def test_effects_of_an_ensemble_are_score_differences(split: Split) -> None:
    config = Config().override(
        [
            "model.embedding_dim=8",
            "model.num_members=3",
            "model.ease_dim=16",
            "train.epochs=2",
            "train.learning_rate=0.02",
        ]
    )
    model = fit(split, config=config, progress=False)
    history, profile = {3: 5.0, 40: 4.0, 77: 1.0, 200: 3.0}, {"age": 25, "gender": "F", "occupation": "artist"}
    effects = effects_by_hand(model, history, 12, **profile)
    expected = {name: effect for name, effect in effects.items() if effect > 0}
    assert len(expected) > 1
    assert explained(model, NewUser(ratings=history, **profile), 12) == pytest.approx(expected, abs=1e-5)


def test_stored_user_equals_new_user(trained: RecGraph) -> None:
    dataset = trained.graph.dataset
    profile = dataset.users.set_index("user_id").loc[42, ["age", "gender", "occupation"]]
    own = dataset.ratings[dataset.ratings["user_id"] == 42].sort_values("timestamp", kind="stable")
    new_user = NewUser(ratings=dict(zip(own["movie_id"], own["rating"], strict=True)), **profile)
    movies = recommend(trained, 42, k=5)["movie_id"]
    stored, new = explain(trained, 42, movies), explain(trained, new_user, movies)
    pd.testing.assert_frame_equal(stored, new, rtol=1e-3, atol=1e-5)
    assert set(stored["because"]) <= {*dataset.movies.set_index("movie_id").loc[own["movie_id"], "title"], PROFILE}


def test_profile_without_history(trained: RecGraph) -> None:
    new_user = NewUser(age=25, gender="F", occupation="artist")
    movies = recommend(trained, new_user, k=20)["movie_id"].tolist()
    frame = explain(trained, new_user, movies)
    assert len(frame)
    assert set(frame["because"]) == {PROFILE}
    for movie_id, effect in zip(frame["movie_id"], frame["effect"], strict=True):
        assert effect == pytest.approx(score(trained, new_user, movie_id) - score(trained, {}, movie_id), abs=1e-5)
    raised = [m for m in movies if score(trained, new_user, m) > score(trained, {}, m)]
    assert frame["movie_id"].tolist() == raised


@pytest.mark.parametrize("user", [{}, NewUser(), NewUser(name="ann")])
def test_empty_user_has_no_reasons(trained: RecGraph, user: Any) -> None:
    frame = explain(trained, user, [1, 2, 3])
    assert frame.empty
    assert frame.columns.tolist() == ["movie_id", "title", "because", "effect"]


def test_popularity_has_no_reasons(split: Split) -> None:
    assert explain(Popularity().fit(split), {1: 5, 2: 5}, [3, 4]).empty


def test_columns_and_order(ease: Any) -> None:
    title = ease.graph.dataset.movies["title"].iloc[119]
    frame = explain(ease, {3: 5, 40: 4, 77: 1}, [title, 5], k=1)
    assert frame["movie_id"].tolist() == [120, 5]
    assert frame["title"].iloc[0] == title
    best = explain(ease, {3: 5, 40: 4, 77: 1}, [120, 5], k=ALL).groupby("movie_id")["effect"].max()
    assert frame["effect"].tolist() == best.loc[[120, 5]].tolist()


def test_no_movies_no_rows(ease: Any) -> None:
    assert explain(ease, {3: 5}, []).empty


def test_several_users_raise(ease: Any) -> None:
    with pytest.raises(DataError, match="explain takes a single user, not 3"):
        explain(ease, [1, 2, {3: 5}], [1])


def test_k_below_one_raises(ease: Any) -> None:
    with pytest.raises(ConfigError, match="k must be an integer of at least 1, not 0"):
        explain(ease, {3: 5}, [1], k=0)


def test_only_fitted_models_are_explained(split: Split) -> None:
    with pytest.raises(ConfigError, match="expected a fitted model, as returned by fit or load, not EASE"):
        explain(EASE(), 1, [1])  # type: ignore[arg-type]


def test_unknown_movie_and_user(ease: Any) -> None:
    with pytest.raises(DataError, match="99999"):
        explain(ease, {3: 5}, [99999])
    with pytest.raises(DataError, match="user 99999"):
        explain(ease, 99999, [1])


@pytest.fixture(scope="module")
def long_history() -> tuple[Any, dict[int, float]]:
    dataset = make_sample(120, 330, seed=1)
    return EASE(reg=50).fit(dataset), {m: 1.0 + m % 5 for m in range(1, 301)}


def test_long_history_takes_several_chunks(long_history: tuple[Any, dict[int, float]]) -> None:
    model, history = long_history
    target = model.graph.movie_node(320)
    frame = explain(model, history, [320], k=ALL)
    titles = model.graph.dataset.movies["title"].to_numpy()
    weights = model.weights[:300, target].numpy()
    expected = np.sort(weights[weights > 1e-4])[::-1]
    np.testing.assert_allclose(frame["effect"].to_numpy()[: len(expected)], expected, atol=1e-4)
    best = int(weights.argmax())
    assert frame["because"].iloc[0] == titles[best]


def test_chunk_size_does_not_matter(
    long_history: tuple[Any, dict[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, history = long_history
    whole = explain(model, history, [320, 310], k=5)
    monkeypatch.setattr(explanations, "COPIES", 7)
    pd.testing.assert_frame_equal(whole, explain(model, history, [320, 310], k=5), atol=1e-5)


def test_model_is_unchanged(trained: RecGraph) -> None:
    users, _ = encode_users(trained.graph, 42)
    before = trained.score(users).clone()
    explain(trained, 42, [1, 2, 3])
    assert torch.equal(before, trained.score(encode_users(trained.graph, 42)[0]))


def test_dataset_without_titles_and_profiles() -> None:
    ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "movie_id": [10, 20, 10, 20, 30, 40]})
    model = EASE(reg=1).fit(Dataset(ratings))
    frame = explain(model, {40: 5, 10: 5}, [30])
    assert frame[["movie_id", "title", "because"]].values.tolist() == [[30, "30", "40"]]
