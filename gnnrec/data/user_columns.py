"""Columns of the users table: the values of registered user features, cleaned."""

from __future__ import annotations

import pandas as pd

from gnnrec._checks import raise_at_first
from gnnrec.data.convert import to_categories, to_numbers
from gnnrec.errors import DataError
from gnnrec.user_features import NumberFeature, UserFeature, first_features, user_features


def clean_feature(feature: UserFeature, values: pd.Series) -> pd.Series:
    """Return a clean column for a `Dataset`: nullable numbers, or categories with one spelling each.

    Examples
    --------
    >>> ages = pd.Series([30, "unknown?"], name="age")
    >>> clean_feature(user_features()["age"], ages[:1]).tolist()
    [30.0]
    >>> clean_feature(user_features()["age"], ages)
    Traceback (most recent call last):
        ...
    gnnrec.errors.DataError: users row 1: age 'unknown?' is not a number
    """
    try:
        values = feature.convert(values).rename(feature.name)
    except DataError:
        raise
    except (TypeError, ValueError) as error:
        raise DataError(f"{feature.name}: {error}", at=("users", None)) from None
    if not isinstance(feature, NumberFeature):
        return to_categories(values)
    numbers = to_numbers(values, "users", optional=True)
    raise_at_first(
        numbers.notna() & ~feature.is_valid(numbers.to_numpy()),
        "users",
        lambda row: f"{feature.name} {numbers.iloc[row]:g} is not {feature.bounds}; correct it or leave it out",
    )
    return numbers.astype("Float64")


def feature_column(users: pd.DataFrame, feature: UserFeature) -> pd.Series:
    """Return the clean column of a feature, missing values where the table lacks it.

    A table that was cleaned before the feature was registered has no such column, or a raw one.

    Examples
    --------
    >>> feature_column(pd.DataFrame({"user_id": [1, 2]}), user_features()["gender"]).isna().tolist()
    [True, True]
    """
    if feature.name not in users:
        return pd.Series(pd.NA, index=users.index, dtype=feature.dtype, name=feature.name)
    values = users[feature.name]
    return values if values.dtype == feature.dtype else clean_feature(feature, values)


def known_features(users: pd.DataFrame) -> list[str]:
    """Return the features that a model of these users sees: the built-in ones, and those that some user has.

    Examples
    --------
    >>> known_features(pd.DataFrame({"user_id": [1]}))
    ['age', 'gender', 'occupation']
    """
    first = first_features()
    return [name for name in user_features() if name in first or (name in users and not users[name].isna().all())]
