"""People who change their minds: ratings replaced and removed, users removed and named, against a plain dict."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gnnrec
from gnnrec import Config, DataError, Dataset, Graph, NewUser, evaluate, recommend
from gnnrec.data import append_only
from gnnrec.datasets import make_sample
from gnnrec.models import EASE, MF, ItemKNN, Popularity
from gnnrec.models.base import Recommender
from gnnrec.ratings.baselines import Biases

NUM_MOVIES = 6
MOVIES = pd.DataFrame(
    {"movie_id": range(10, 10 + NUM_MOVIES), "title": [f"Film {chr(65 + i)} ({1990 + i})" for i in range(NUM_MOVIES)]}
)
START = [(0, 10, 5, 3), (0, 11, 2, 1), (1, 12, 4, 2), (1, 10, 1, 2), (2, 13, 3, 0), (2, 10, 4, 2), (2, 14, 5, 2)]
PEOPLE: list[Any] = [0, 1, 2, 3, "anna", "bo"]

State = dict[tuple[Any, int], tuple[float, int]]


def frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "timestamp"])


def start() -> Graph:
    users = pd.DataFrame({"user_id": [0, 1, 2], "age": [20, 30, 60], "gender": ["F", None, "M"]})
    return Graph.from_dataset(Dataset(frame(START), MOVIES, users, name="toy"))


def change(data: st.DataObject, graph: Graph, state: State, users: dict[Any, Any]) -> Graph:
    """Make one random change to a graph, and the same one to a dict of ratings and a dict of ages."""
    kinds = ["add", "update"] + ["remove"] * bool(state) + ["remove_user"] * (len(users) > 1) + ["add_user"]
    kind = data.draw(st.sampled_from(kinds))
    if kind in ("add", "update"):
        pairs = [(u, m) for u in PEOPLE for m in MOVIES["movie_id"] if kind == "update" or (u, m) not in state]
        chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))
        rows = [(u, m, data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3))) for u, m in chosen]
        for user, movie, rating, time in rows:
            state.pop((user, movie), None)
            state[user, movie] = rating, time
            users.setdefault(user, None)
        return graph.add_ratings(frame(rows), update=kind == "update")
    if kind == "remove":
        user = data.draw(st.sampled_from(sorted({u for u, _ in state}, key=str)))
        rated = [m for u, m in state if u == user]
        gone = data.draw(st.lists(st.sampled_from(rated), min_size=1, unique=True))
        for movie in gone:
            del state[user, movie]
        return graph.remove_ratings(user, gone)
    if kind == "remove_user":
        user = data.draw(st.sampled_from(sorted(users, key=str)))
        del users[user]
        for pair in [pair for pair in state if pair[0] == user]:
            del state[pair]
        return graph.remove_user(user)
    strangers = [user for user in PEOPLE if user not in users]
    if not strangers:
        return graph
    user, age = data.draw(st.sampled_from(strangers)), data.draw(st.sampled_from([None, 25, 70]))
    rated = data.draw(st.lists(st.sampled_from(MOVIES["movie_id"].tolist()), max_size=2, unique=True))
    for movie in rated:
        state[user, movie] = 4.0, 2
    users[user] = age
    return graph.add_user(user, dict.fromkeys(rated, 4.0), age=age, timestamps=[2] * len(rated))


def rebuilt(graph: Graph, state: State, users: dict[Any, Any]) -> Graph:
    """Build the graph of the final ratings at once; ids are numbers, since a dataset has ids of one type."""
    number = {user: place for place, user in enumerate(users)}
    rows = [(number[u], m, rating, time) for (u, m), (rating, time) in state.items()]
    table = graph.dataset.users.assign(user_id=range(len(users)))
    return Graph.from_dataset(Dataset(frame(rows), MOVIES, table, name="toy"), graph.vocabularies)


def snapshot(graph: Graph) -> list[Any]:
    users = graph.users
    tensors = [users.x, users.user_index, users.movie_index, users.rating, users.timestamp, users.node_id]
    return [graph.ids["user"].tolist(), *(tensor.clone() for tensor in tensors), graph.dataset.ratings.copy()]


def assert_same(one: list[Any], other: list[Any], skip: tuple[int, ...] = ()) -> None:
    for place, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        if place in skip:
            continue
        if isinstance(mine, torch.Tensor):
            assert mine.dtype == theirs.dtype and torch.equal(mine, theirs), place
        elif isinstance(mine, pd.DataFrame):
            pd.testing.assert_frame_equal(mine, theirs)
        else:
            assert mine == theirs


@cache
def fitted() -> list[Recommender]:
    """Return models of the ratings before any change."""
    dataset = start().dataset
    config = Config().override(["train.epochs=1", "model.embedding_dim=4", "model.num_layers=2"])
    simple: list[Recommender] = [EASE(reg=1).fit(dataset), ItemKNN().fit(dataset), Popularity().fit(dataset)]
    return [*simple, gnnrec.fit(dataset, config=config, progress=False)]


def check(data: st.DataObject, num_changes: int, models: list[Recommender]) -> None:
    graph, state, users = start(), {(u, m): (r, t) for u, m, r, t in START}, {0: 20, 1: 30, 2: 60}
    kept: list[tuple[Graph, list[Any]]] = []
    for _ in range(num_changes):
        if data.draw(st.booleans()):
            kept.append((graph, snapshot(graph)))
        if data.draw(st.booleans()):
            _ = graph.profiles
        if data.draw(st.booleans()):
            _ = graph.dataset.ratings
        graph = change(data, graph, state, users)
    for old, before in kept:
        assert_same(before, snapshot(old))
    assert graph.dataset.num_ratings == len(state) and graph.num_users == len(users)
    assert graph.dataset.rating_table.latest == max((time for _, time in state.values()), default=0)
    nodes = torch.tensor(data.draw(st.lists(st.integers(0, len(users) - 1), min_size=1, max_size=4)))
    few = graph.user_batch(nodes)  # before everything is put together
    assert graph.ids["user"].tolist() == list(users) == graph.dataset.users["user_id"].tolist()
    assert graph.user_nodes(list(users)).tolist() == list(range(len(users)))
    ages = [None if pd.isna(age) else age for age in graph.dataset.users["age"]]
    assert ages == list(users.values())
    pairs = list(graph.dataset.ratings[["user_id", "movie_id"]].itertuples(index=False, name=None))
    assert pairs == list(state)
    if not state:
        return
    whole = rebuilt(graph, state, users)
    assert_same(snapshot(graph)[:-1], snapshot(whole)[:-1], skip=(0, 6))
    again, expected = graph.user_batch(nodes), whole.user_batch(nodes)
    for name in ("x", "user_index", "movie_index", "rating", "timestamp"):
        assert torch.equal(getattr(few, name), getattr(expected, name)), name
        assert torch.equal(getattr(again, name), getattr(expected, name)), name
    assert torch.equal(graph.user_ptr, whole.user_ptr)
    for of in ("user", "movie"):  # degrees
        mine, theirs = (np.bincount(getattr(g.dataset.rating_table, of), minlength=6) for g in (graph, whole))
        assert mine.tolist() == theirs.tolist()
    means = graph.dataset.ratings.groupby("user_id", sort=False)["rating"].mean().tolist()
    assert means == whole.dataset.ratings.groupby("user_id", sort=False)["rating"].mean().tolist()
    for model in models:
        mine, theirs = model.with_graph(graph), model.with_graph(whole)
        listed = mine.recommend(list(users), k=NUM_MOVIES, exclude_seen=False)
        expected_lists = theirs.recommend(list(range(len(users))), k=NUM_MOVIES, exclude_seen=False)
        assert listed["user_id"].tolist() == [list(users)[one] for one in expected_lists["user_id"]]
        pd.testing.assert_frame_equal(listed.drop(columns="user_id"), expected_lists.drop(columns="user_id"))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), num_changes=st.integers(1, 8))
def test_changes_equal_building_from_the_final_ratings(data: st.DataObject, num_changes: int) -> None:
    check(data, num_changes, fitted()[:1])


@settings(max_examples=8, deadline=None)
@given(data=st.data(), num_changes=st.integers(1, 8))
def test_lists_of_models(data: st.DataObject, num_changes: int) -> None:
    check(data, num_changes, fitted())


@settings(max_examples=12, deadline=None)
@given(data=st.data(), num_changes=st.integers(1, 12))
def test_putting_together_early_changes_nothing(data: st.DataObject, num_changes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MIN_MERGE", "MAX_INSERTS", "MAX_PARTS", "NUM_NEWEST"):
            patch.setattr(append_only, name, 1 + (name == "MAX_PARTS"))
        check(data, num_changes, [])


def lists(model: Recommender, users: Any) -> list[Any]:
    return recommend(model, users, k=5)["movie_id"].tolist()


@pytest.fixture(scope="module")
def model() -> Recommender:
    return EASE(reg=10.0).fit(make_sample(60, 40))


def rated(model: Recommender, user: Any) -> dict[Any, float]:
    rows = model.dataset.ratings
    rows = rows[rows["user_id"] == user]
    return dict(zip(rows["movie_id"].tolist(), rows["rating"].tolist(), strict=True))


def test_an_update_replaces_the_rating(model: Recommender) -> None:
    movie = next(iter(rated(model, 7)))
    title = model.dataset.movies.set_index("movie_id")["title"][movie]
    row = pd.DataFrame({"user_id": [7], "title": [title], "rating": [1.5], "timestamp": [2_000_000_000]})
    with pytest.raises(DataError, match=rf"user 7 has rated movie {movie} already; drop the row, or pass update=True"):
        model.add_ratings(row)
    changed = model.add_ratings(row, update=True)
    assert rated(changed, 7)[movie] == 1.5 and len(rated(changed, 7)) == len(rated(model, 7))
    assert changed.graph.user_batch(torch.tensor([6])).movie_index[-1] == model.graph.movie_node(movie)
    with pytest.raises(DataError, match="twice"):
        model.add_ratings(pd.concat([row, row]), update=True)


def test_removing_and_undoing(model: Recommender) -> None:
    before, first = lists(model, 7), list(rated(model, 7))[:2]
    titles = model.dataset.movies.set_index("movie_id")["title"][first].tolist()
    fewer = model.remove_ratings(7, titles)
    assert set(rated(model, 7)) - set(rated(fewer, 7)) == set(first)
    assert lists(model, 7) == before  # undo: the old model
    assert fewer.remove_ratings(8, [], unknown="skip").dataset.num_ratings == fewer.dataset.num_ratings
    with pytest.raises(DataError, match=f"user 7 has not rated movie {first[0]}"):
        fewer.remove_ratings(7, first[0])
    with pytest.raises(DataError, match="user 999 is not in the graph"):
        model.remove_ratings(999, 1)
    with pytest.raises(DataError, match="No Such Film"):
        model.remove_ratings(7, "No Such Film At All")
    gone = model.remove_user(7)
    with pytest.raises(DataError, match="user 7 is not in the graph"):
        recommend(gone, 7)
    assert (
        lists(gone, 8) == lists(model, 8)
        and gone.dataset.num_ratings + len(rated(model, 7)) == model.dataset.num_ratings
    )
    back = gone.add_user(7, rated(model, 7))
    assert back.graph.ids["user"][-1] == 7 and lists(back, 7) == before


def test_names_beside_numbers(model: Recommender, tmp_path: Path) -> None:
    named = model.add_user("anna", {3: 5, 7: 2}, age=33)
    assert lists(named, "anna") == lists(model, {3: 5, 7: 2})
    both = recommend(named, [7, "anna"], k=5)
    assert both["user_id"].tolist() == [7] * 5 + ["anna"] * 5
    assert both["movie_id"].tolist() == lists(model, 7) + lists(named, "anna")
    assert lists(named, pd.DataFrame({"user_id": [7, "anna"]})) == both["movie_id"].tolist()
    reasons = gnnrec.explain(named, "anna", recommend(named, "anna", k=3)["movie_id"])
    assert len(reasons)
    more = named.add_ratings(pd.DataFrame({"user_id": ["anna", 9001, "bo"], "movie_id": [9, 9, 9]}))
    assert more.graph.ids["user"][-3:].tolist() == ["anna", 9001, "bo"] and len(rated(more, "anna")) == 3
    loaded = gnnrec.load(more.save(tmp_path / "run"))
    assert loaded.graph.ids["user"].tolist() == more.graph.ids["user"].tolist()
    everyone = more.graph.ids["user"].tolist()
    pd.testing.assert_frame_equal(recommend(loaded, everyone), recommend(more, everyone))
    assert (
        loaded.add_ratings(pd.DataFrame({"user_id": ["anna", 7], "movie_id": [11, 3]}), update=True).graph.num_users
        == 63
    )
    test = pd.DataFrame({"user_id": [7, "anna", "bo"], "movie_id": [lists(more, u)[0] for u in (7, "anna", "bo")]})
    found = evaluate(more, test, ks=[5], metrics=["recall"], per_user=True)
    assert found["user_id"].tolist() == [7, "anna", "bo"] and found["recall@5"].tolist() == [1.0, 1.0, 1.0]
    assert evaluate(more, test.iloc[1:], ks=[5], metrics=["recall"], mask=test.iloc[:1])["value"].tolist() == [1.0]


def test_a_name_may_not_spell_a_number(model: Recommender) -> None:
    for name in ("7", "9001", " 7"):
        with pytest.raises(DataError, match="only names, such as 'anna', may be text"):
            model.add_user(name, {3: 5})
        with pytest.raises(DataError, match="added ratings row 1: user_id must be whole numbers"):
            model.add_ratings(pd.DataFrame({"user_id": ["anna", name], "movie_id": [1, 2]}))
    named = model.add_user("anna", {3: 5})
    with pytest.raises(DataError, match="user '7' is text, but the user ids of the graph are whole numbers"):
        recommend(named, "7")
    with pytest.raises(DataError, match=r"user 'ana' is not in the graph.*did you mean 'anna'"):
        recommend(named, "ana")
    with pytest.raises(DataError, match="user 'anna' is already in the dataset"):
        named.add_user("anna")
    with pytest.raises(DataError, match=r"has another type|is not a whole number"):
        model.add_ratings(pd.DataFrame({"user_id": ["anna", 7.5], "movie_id": [1, 2]}))
    texts = EASE(reg=10).fit(Dataset(pd.DataFrame({"user_id": ["a", "b"], "movie_id": [1, 2]})))
    with pytest.raises(DataError, match="user_id must be text, as in the dataset"):
        texts.add_user(7, [1])


def test_new_users_of_all_kinds(model: Recommender) -> None:
    user = NewUser(age=25, gender="f", ratings={7: 4, 3: 2}, timestamps=[20, 10])
    named = model.add_user("cleo", user)
    batch = named.graph.user_batch(named.graph.user_nodes(["cleo"]))
    assert (
        batch.movie_index.tolist() == [2, 6]
        and batch.rating.tolist() == [2, 4]
        and batch.timestamp.tolist() == [10, 20]
    )
    assert lists(named, "cleo") == lists(model, user)
    assert named.dataset.users["gender"].iloc[-1] == "F"
    assert len(rated(model.add_user("dan"), "dan")) == 0
    skipped = model.add_user("eve", ["No Such Film At All", 3], unknown="skip")
    assert list(rated(skipped, "eve")) == [3]


def test_embeddings_per_user_follow_their_users(tmp_path: Path) -> None:
    model = MF(epochs=2, embedding_dim=4).fit(make_sample(60, 40))
    fewer = model.remove_user(2).remove_user(60)
    assert lists(fewer, [1, 3, 59]) == lists(model, [1, 3, 59])
    back = fewer.add_user(2, {3: 5})
    with pytest.raises(DataError, match="has none for a new user"):  # what was learned of them is not used
        recommend(back, 2)
    loaded = gnnrec.load(back.save(tmp_path / "run"))
    assert lists(loaded, [1, 3, 59]) == lists(model, [1, 3, 59])
    assert lists(loaded.remove_user(1), [3, 59]) == lists(model, [3, 59])


def test_rating_models_follow() -> None:
    model = Biases().fit(make_sample(60, 40))
    movie = model.graph.dataset.ratings.query("user_id == 7")["movie_id"].tolist()[0]
    changed = model.add_ratings(pd.DataFrame({"user_id": [7], "movie_id": [movie], "rating": [1]}), update=True)
    pairs = pd.DataFrame({"user_id": [7], "movie_id": [39]})
    before, after = (gnnrec.predict_ratings(one, pairs=pairs)["rating"].item() for one in (model, changed))
    assert after < before
    removed = changed.remove_ratings(7, movie).add_user("anna", {3: 5}).remove_user(8)
    assert removed.graph.num_users == 60 and len(gnnrec.predict_ratings(removed, "anna", [39])) == 1
