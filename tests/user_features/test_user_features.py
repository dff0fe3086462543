"""Profiles: every registered user feature reaches the model, for stored and for new users alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.main import get_command

import gnnrec
from gnnrec import ConfigError, DataError, Dataset, Graph, NewUser, load_dataset, register_user_feature
from gnnrec.cli import app
from gnnrec.data.schema import clean_users
from gnnrec.explore import demographics
from gnnrec.export import export_onnx
from gnnrec.graph import UserBatch, encode_users
from gnnrec.graph.users import encode_feature
from gnnrec.registry import USER_FEATURES
from gnnrec.user_features import CategoryFeature, NumberFeature, user_features
from gnnrec.user_features.age import AGE_BINS, Age
from gnnrec.user_features.base import RESERVED
from tests.helpers.cli import fails, succeeds
from tests.helpers.registries import restored_registries

BUILTIN = list(USER_FEATURES.builtin)
NAMES = ", ".join(BUILTIN)
VALUES: dict[str, list[Any]] = {
    name: ["a", "b"] if isinstance(feature, CategoryFeature) else [20, 60] for name, feature in user_features().items()
}
PLUGIN = """
import numpy as np
import pandas as pd

import gnnrec
from gnnrec.user_features import CategoryFeature, NumberFeature


@gnnrec.register_user_feature("testtenure")
class Tenure(NumberFeature):
    help = "Years since a new user joined."
    aliases = ("testmembersince", "testyearssincejoining")
    minimum, maximum = 0, 50
    unit = "years"

    def convert(self, values):
        if pd.api.types.is_numeric_dtype(values):
            return values
        return values.astype("string").str.removesuffix(" years")

    def encode(self, values):
        return np.stack([np.ones_like(values), values / 10], axis=1)


@gnnrec.register_user_feature("testcountry")
class Country(CategoryFeature):
    help = "Country of a new user, as in the training data."
    aliases = ("testcountryofresidence",)
"""


def graph_of(**profiles: list[Any]) -> Graph:
    """Return the graph of two users."""
    ratings = pd.DataFrame({"user_id": [1, 2], "movie_id": [7, 8]})
    return Graph.from_dataset(Dataset(ratings, users=pd.DataFrame({"user_id": [1, 2], **profiles})))


def seen(users: UserBatch) -> list[list[float]]:
    """Return the features of each user, then its occupation nodes."""
    row, node = users.occupation
    return [[*users.x[user].tolist(), *node[row == user].tolist()] for user in range(users.num_users)]


def test_profile_columns() -> None:
    users = clean_users(pd.DataFrame({"user_id": [2, 1], "job": [" nurse", "Nurse "]}))
    assert list(users) == ["user_id", *BUILTIN]
    assert {name: str(users[name].dtype) for name in BUILTIN} == {
        name: feature.dtype for name, feature in user_features().items()
    }
    assert users["occupation"].tolist() == ["nurse", "nurse"]


@pytest.mark.parametrize("column", BUILTIN)
def test_every_column_is_seen_of_stored_and_new_users(column: str) -> None:
    graph = graph_of(**{column: VALUES[column]})
    known, _ = encode_users(graph, [1, 2])
    new, _ = encode_users(graph, [NewUser(profile={column: value}, ratings=[7]) for value in VALUES[column]])
    framed, _ = encode_users(graph, pd.DataFrame({"user_id": [8, 9], column: VALUES[column]}))
    nothing, _ = encode_users(graph, NewUser(ratings=[7]))
    assert seen(new) == seen(framed) == seen(known)
    assert seen(known)[0] != seen(nothing)[0]


def test_every_feature_is_an_option_of_the_commands() -> None:
    for name in ("recommend", "predict"):
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        options = {parameter.name for parameter in command.params}
        assert set(BUILTIN) <= options
        unlisted = ", ".join(sorted(options - set(BUILTIN) - RESERVED))
        assert not unlisted, f"add to RESERVED in gnnrec/user_features/base.py these options of {name}: {unlisted}"
    assert not RESERVED & set(BUILTIN), "a feature has the name of an option; choose another name"


def test_age_groups() -> None:
    """A group begins with its lower bound."""
    ages = [0, *(bound - 0.5 for bound in AGE_BINS), *AGE_BINS]
    assert Age().encode(np.array(ages)).argmax(axis=1).tolist() == [0, 0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6]
    x = encode_feature(Age(), np.array([*ages, np.nan]), 0)
    assert x.sum(dim=1).tolist() == [*[1.0] * len(ages), 0.0]


def test_occupations_move_with_the_users() -> None:
    users = graph_of(occupation=["a", "b"], age=[20, 30]).users
    assert users.slice(1, 2).occupation[0].tolist() == [0]
    assert users.slice(1, 2).occupation[1].tolist() == [1]
    both = UserBatch.concatenate([users.slice(1, 2), users.slice(0, 1)])
    assert [ends.tolist() for ends in both.occupation] == [[0, 1], [1, 0]]
    hidden = users.without_profile(torch.tensor([True, False]))
    assert [ends.tolist() for ends in hidden.occupation] == [[1], [1]]
    assert not hidden.x[0].any() and hidden.x[1].any()


# Features of one file outside of the package


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """Load a plugin with a number and a category."""
    path = tmp_path / "testtenure_plugin.py"
    path.write_text(PLUGIN)
    with restored_registries():
        gnnrec.load_plugins(path)
        yield path


def sample(**columns: Any) -> Dataset:
    """Return the generated sample with more columns of its users."""
    dataset = load_dataset("sample", num_users=60, num_movies=40)
    return Dataset(
        dataset.ratings, dataset.movies, dataset.users[["user_id", *BUILTIN]].assign(**columns), dataset.name
    )


def extended() -> Dataset:
    number = np.arange(60)
    return sample(
        **{
            "Test member since": [f"{n % 50} years" for n in number],
            "testcountry": np.where(number % 2, "Peru", "Mali"),
        }
    )


def test_a_plugin_adds_columns_to_what_models_see(plugin: Path, tmp_path: Path) -> None:
    dataset = extended()
    assert [str(dataset.users[name].dtype) for name in ("testtenure", "testcountry")] == ["Float64", "string"]
    graph, before = Graph.from_dataset(dataset), Graph.from_dataset(sample())
    assert list(before.user_values) == BUILTIN
    assert list(graph.user_values) == [*BUILTIN, "testtenure", "testcountry"]
    width = before.users.x.size(1)
    assert graph.users.x[:, :width].equal(before.users.x)
    torch.testing.assert_close(graph.users.x[3, width:], torch.tensor([1, 0.3, 0, 1]))

    new = [
        NewUser(profile={"testtenure": 7, "testcountry": "peru"}),
        NewUser(profile={"testtenure": "7 years", "testcountry": "Peru"}),
        NewUser(),
    ]
    x = encode_users(graph, new)[0].x[:, width:]
    torch.testing.assert_close(x, torch.tensor([[1, 0.7, 0, 1], [1, 0.7, 0, 1], [0, 0, 0, 0]]))
    framed, _ = encode_users(graph, pd.DataFrame({"user_id": [901], "testtenure": [7], "testcountry": ["Peru"]}))
    assert framed.x[:, width:].equal(x[:1])
    more = graph.add_user("anna", {3: 5}, profile={"testtenure": 7, "testcountry": "PERU"})
    more = more.add_ratings(
        pd.DataFrame({"user_id": ["bo"], "movie_id": [3]}),
        pd.DataFrame({"user_id": ["bo"], "Test member since": ["7 years"], "testcountry": ["peru"]}),
    )
    assert more.users.x[-2:, width:].equal(x[:2])
    assert more.dataset.users["testcountry"].tolist()[-2:] == ["Peru", "Peru"]
    assert demographics(dataset, "testcountry")["users"].tolist() == [30, 30]

    dataset.users.to_csv(tmp_path / "users.csv", index=False)
    dataset.movies.to_csv(tmp_path / "movies.csv", index=False)
    dataset.ratings.to_csv(tmp_path / "ratings.csv", index=False)
    assert Graph.from_dataset(load_dataset(tmp_path)).users.x.equal(graph.users.x)


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ({"testtenure": 51}, "testtenure 51 is not between 0 and 50 years"),
        ({"testtenure": "long"}, "testtenure 'long' is not a number"),
        ({"testcountry": "Perv"}, "unknown testcountry 'Perv'; choose, for example, from Peru"),
        ({"testtenur": 3}, "unknown user feature 'testtenur'; did you mean 'testtenure'?"),
        ({"age": 3}, "age is given twice, by itself and in profile"),
        (["testtenure"], "profile must be a mapping"),
    ],
)
def test_bad_values_of_new_users(plugin: Path, profile: Any, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        encode_users(Graph.from_dataset(extended()), NewUser(age=30, profile=profile))
    assert problem in str(caught.value)


def test_bad_values_in_a_table(plugin: Path) -> None:
    with pytest.raises(DataError, match="users row 2: testtenure 51 is not between 0 and 50 years; correct it"):
        sample(testtenure=[1, 2, 51, *[3] * 57])
    with pytest.raises(DataError, match="no user of the graph has a testtenure, so the model cannot use it"):
        encode_users(Graph.from_dataset(sample()), NewUser(profile={"testtenure": 3}))


def test_runs_keep_their_features(plugin: Path, tmp_path: Path) -> None:
    config = gnnrec.Config().override(["train.epochs=1", "model.embedding_dim=8"])
    for name, dataset in (("with", extended()), ("without", sample())):
        model = gnnrec.fit(dataset, config=config, progress=False)
        model.save(tmp_path / name)
        users = [1, NewUser(age=30, profile={"testtenure": 40} if name == "with" else {})]
        pd.testing.assert_frame_equal(gnnrec.load(tmp_path / name).recommend(users), model.recommend(users))
    model = gnnrec.load(tmp_path / "with")
    with pytest.raises(ConfigError, match=f"takes {NAMES}; this model also sees testtenure, testcountry"):
        export_onnx(model, tmp_path / "exported")
    scores = [model.recommend(NewUser(profile={"testtenure": years}), 40)["score"] for years in (1, 40)]
    assert not scores[0].equals(scores[1])
    shown = succeeds("--plugin", str(plugin), "recommend", "--help")
    assert "--testtenure" in shown and "Years since a new user joined." in shown
    options = ("recommend", str(tmp_path / "with"), "-k", "3", "--json", "--plugin", str(plugin))
    assert succeeds(*options, "--testtenure", "40") != succeeds(*options)
    assert "testcountry" in fails(*options, "--testcountry", "Perv")


def test_a_run_without_its_plugin(tmp_path: Path) -> None:
    with restored_registries():
        (tmp_path / "gone_plugin.py").write_text(PLUGIN)
        gnnrec.load_plugins(tmp_path / "gone_plugin.py")
        gnnrec.fit(extended(), "popularity", progress=False).save(tmp_path / "run")
    with pytest.raises(ConfigError, match="unknown user feature 'testtenure'; choose one of age, gender, occupation"):
        gnnrec.load(tmp_path / "run")


def test_a_feature_that_is_registered_after_the_data_was_read(tmp_path: Path) -> None:
    before = sample(testtenure=[3] * 60)
    with restored_registries():
        (tmp_path / "late_plugin.py").write_text(PLUGIN)
        gnnrec.load_plugins(tmp_path / "late_plugin.py")
        late, early = Graph.from_dataset(before), Graph.from_dataset(sample(testtenure=[3] * 60))
        assert late.users.x.equal(early.users.x)
        assert (
            late.add_user("anna", profile={"testtenure": 3}).users.x[-1, -2:].tolist() == late.users.x[0, -2:].tolist()
        )
        assert demographics(sample(), "age").equals(demographics(before, "age"))


@pytest.mark.parametrize(
    ("name", "feature", "problem"),
    [
        ("years", NumberFeature, "the user feature 'years' cannot have this name"),
        ("two words", NumberFeature, "the user feature 'two words' cannot have this name"),
        ("height", object, "the user feature 'height' must be a subclass of NumberFeature or CategoryFeature"),
        ("age", NumberFeature, "the user feature 'age' is already registered"),
    ],
)
def test_features_that_cannot_be(name: str, feature: type, problem: str) -> None:
    with restored_registries(), pytest.raises(ConfigError, match=problem):
        register_user_feature(name)(type("Mine", (feature,), {}))
        user_features()
