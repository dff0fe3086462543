"""Profiles: every column that the schema lists reaches the model, for stored and for new users alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.main import get_command

from gnnrec import Dataset, Graph, NewUser
from gnnrec.cli import app
from gnnrec.data.schema import CATEGORY_COLUMNS, COLUMNS, PROFILE_COLUMNS, clean_users
from gnnrec.graph import UserBatch, encode_users
from gnnrec.graph.users import AGE_BINS, age_features

VALUES: dict[str, list[Any]] = {
    column: ["a", "b"] if column in CATEGORY_COLUMNS else [20, 60] for column in COLUMNS["users"]
}


def graph_of(**profiles: list[Any]) -> Graph:
    """Return the graph of two users."""
    ratings = pd.DataFrame({"user_id": [1, 2], "movie_id": [7, 8]})
    return Graph.from_dataset(Dataset(ratings, users=pd.DataFrame({"user_id": [1, 2], **profiles})))


def seen(users: UserBatch) -> list[list[float]]:
    """Return the features of each user, then its occupation nodes."""
    row, node = users.occupation
    return [[*users.x[user].tolist(), *node[row == user].tolist()] for user in range(users.num_users)]


def test_profile_columns() -> None:
    assert list(PROFILE_COLUMNS) == [column for column in COLUMNS["users"] if column != "user_id"]
    users = clean_users(pd.DataFrame({"user_id": [2, 1], "job": [" nurse", "Nurse "]}))
    assert list(users) == ["user_id", *PROFILE_COLUMNS]
    assert {name: str(users[name].dtype) for name in PROFILE_COLUMNS} == {
        name: COLUMNS["users"][name].dtype for name in PROFILE_COLUMNS
    }
    assert users["occupation"].tolist() == ["nurse", "nurse"]


@pytest.mark.parametrize("column", PROFILE_COLUMNS)
def test_every_column_is_seen_of_stored_and_new_users(column: str) -> None:
    graph = graph_of(**{column: VALUES[column]})
    known, _ = encode_users(graph, [1, 2])
    new, _ = encode_users(graph, [NewUser(**{column: value}, ratings=[7]) for value in VALUES[column]])
    framed, _ = encode_users(graph, pd.DataFrame({"user_id": [8, 9], column: VALUES[column]}))
    nothing, _ = encode_users(graph, NewUser(ratings=[7]))
    assert seen(new) == seen(framed) == seen(known)
    assert seen(known)[0] != seen(nothing)[0]


def test_every_column_is_an_option_of_the_commands() -> None:
    fields = {field.name for field in dataclasses.fields(NewUser)}
    assert set(PROFILE_COLUMNS) <= fields
    for name in ("recommend", "predict"):
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        assert set(PROFILE_COLUMNS) <= {parameter.name for parameter in command.params}


def test_age_groups() -> None:
    """A group begins with its lower bound."""
    ages = np.array([0, *(bound - 0.5 for bound in AGE_BINS), *AGE_BINS, np.nan])
    groups = [row.nonzero().flatten().tolist() for row in age_features(ages)]
    assert groups == [[0], [0], [1], [2], [3], [4], [5], [1], [2], [3], [4], [5], [6], []]


def test_occupations_move_with_the_users() -> None:
    users = graph_of(occupation=["a", "b"], age=[20, 30]).users
    assert users.slice(1, 2).occupation[0].tolist() == [0]
    assert users.slice(1, 2).occupation[1].tolist() == [1]
    both = UserBatch.concatenate([users.slice(1, 2), users.slice(0, 1)])
    assert [ends.tolist() for ends in both.occupation] == [[0, 1], [1, 0]]
    hidden = users.without_profile(torch.tensor([True, False]))
    assert [ends.tolist() for ends in hidden.occupation] == [[1], [1]]
    assert not hidden.x[0].any() and hidden.x[1].any()
