"""The user features of a model, and the known values of categorical ones.

By name, in the order in which a model sees them: ``{"age": Index([]), "gender": Index(["F", "M"])}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gnnrec.data.user_columns import feature_column, known_features
from gnnrec.graph.vocabulary import distinct_values
from gnnrec.registry import USER_FEATURES
from gnnrec.user_features import CategoryFeature, first_features, user_features

_NAMES = {"occupation": "occupations", "gender": "genders"}
_PREFIX = "users."


def find_user_values(users: pd.DataFrame) -> dict[str, pd.Index]:
    """Return the features and values in a users table.

    Examples
    --------
    >>> found = find_user_values(pd.DataFrame({"user_id": [1, 2], "gender": pd.Series(["M", "F"], dtype="string")}))
    >>> {name: values.tolist() for name, values in found.items()}
    {'age': [], 'gender': ['F', 'M'], 'occupation': []}
    """
    features = user_features()
    return {
        name: distinct_values(feature_column(users, features[name]))
        if isinstance(features[name], CategoryFeature)
        else pd.Index([], dtype=object)
        for name in known_features(users)
    }


def user_vocabularies(values: Mapping[str, pd.Index]) -> dict[str, pd.Index]:
    """Return values under the keys of `Graph.vocabularies`, as stored in saved runs.

    Examples
    --------
    >>> list(user_vocabularies({"age": pd.Index([]), "gender": pd.Index(["F"]), "tenure": pd.Index([])}))
    ['genders', 'users.tenure']
    """
    first = {key: values[name] for name, key in _NAMES.items() if name in values}
    return first | {f"{_PREFIX}{name}": known for name, known in values.items() if name not in first_features()}


def user_values_in(vocabularies: Mapping[str, pd.Index]) -> dict[str, pd.Index]:
    """Return the features and values of a model: the inverse of `user_vocabularies`.

    Raises
    ------
    ConfigError
        A feature is not registered.
    """
    none = pd.Index([], dtype=object)
    values = {name: vocabularies[_NAMES[name]] if name in _NAMES else none for name in first_features()}
    for key, known in vocabularies.items():
        if key.startswith(_PREFIX):
            name = key.removeprefix(_PREFIX)
            USER_FEATURES.get(name)
            values[name] = known
    return values


def category_columns(users: pd.DataFrame, values: Mapping[str, pd.Index]) -> Iterator[tuple[str, pd.Series, pd.Index]]:
    """Yield the name, the column and the known values of each feature that is a category.

    Examples
    --------
    >>> users = pd.DataFrame({"user_id": [1], "gender": pd.Series(["F"], dtype="string")})
    >>> [(name, column.tolist()) for name, column, _ in category_columns(users, find_user_values(users))]
    [('gender', ['F']), ('occupation', [<NA>])]
    """
    features = user_features()
    for name, known in values.items():
        if isinstance(features[name], CategoryFeature):
            yield name, feature_column(users, features[name]), known
