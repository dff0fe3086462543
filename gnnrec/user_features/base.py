"""The classes of user features, and all that are registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gnnrec.errors import ConfigError
from gnnrec.registry import USER_FEATURES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

RESERVED = frozenset(
    """
    all_users at calibration context csv disliked diversity exclude family_friendly genres help history indexed json
    k like max_per_genre min_ratings movie movie_id name netflix_profile novelty offset out profile rating ratings run
    strategy timestamp timestamps title together unknown unlike user user_id weight weights years
    """.split()  # noqa: SIM905 - as a list it is 40 lines
)
"""Names that would clash with another column, argument or option."""


class UserFeature:
    """A feature of users: a `NumberFeature` or a `CategoryFeature`.

    Attributes
    ----------
    name : str
        Column of the users table; set by ``register_user_feature``.
    help : str
        Help text of its option on the command line.
    aliases : tuple of str
        Other names of the column, in lower case, without spaces, punctuation and accents, best first.
    dtype : str
        Type of the clean column.

    Examples
    --------
    >>> {name: type(feature).__mro__[1].__name__ for name, feature in user_features().items()}["age"]
    'NumberFeature'
    """

    name: ClassVar[str]
    help: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    dtype: ClassVar[str]

    def convert(self, values: pd.Series) -> pd.Series:
        """Convert raw values to numbers or categories; unchanged by default.

        The result is then checked, and the usual spellings of missing values are recognized.

        Parameters
        ----------
        values : pandas.Series
            A column of a file or a frame, or a series with the single value of a new user.
        """
        return values


class NumberFeature(UserFeature):
    """A feature that is a number, such as an age.

    Attributes
    ----------
    minimum, maximum : float, optional
        Numbers out of these bounds are errors.
    unit : str
        For messages, such as ``"years"``.

    Examples
    --------
    >>> class Tenure(NumberFeature):
    ...     help = "Years since a new user joined."
    ...     minimum = 0
    ...     unit = "years"
    ...
    ...     def encode(self, values):
    ...         return values / 10
    >>> Tenure().width
    1
    """

    dtype = "Float64"
    minimum: ClassVar[float | None] = None
    maximum: ClassVar[float | None] = None
    unit: ClassVar[str] = ""

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the model input for known values; by default the values themselves.

        Numbers should be of the order of 1. Users without a value get zeros; if a known value may be encoded as zeros,
        add a column of ones to distinguish them.

        Parameters
        ----------
        values : numpy.ndarray
            ``[n]`` float64, within the bounds; `n` may be 0.

        Returns
        -------
        numpy.ndarray
            ``[n]`` or ``[n, width]``.
        """
        return values

    @property
    def width(self) -> int:
        """Number of columns that `encode` returns."""
        import numpy as np

        encoded = np.asarray(self.encode(np.zeros(0)))
        return encoded.shape[1] if encoded.ndim > 1 else 1

    def is_valid(self, values: np.ndarray) -> np.ndarray:
        """Return which numbers are within the bounds; NaN is not."""
        import numpy as np

        low, high = -np.inf if self.minimum is None else self.minimum, np.inf if self.maximum is None else self.maximum
        return np.asarray((values >= low) & (values <= high))

    @property
    def bounds(self) -> str:
        """The valid numbers, for messages.

        >>> from gnnrec.user_features.age import Age
        >>> Age().bounds
        'between 0 and 150 years'
        """
        low, high, unit = self.minimum, self.maximum, f" {self.unit}" if self.unit else ""
        if low is not None and high is not None:
            return f"between {low:g} and {high:g}{unit}"
        if low is not None:
            return f"at least {low:g}{unit}"
        return "a number" if high is None else f"at most {high:g}{unit}"


class CategoryFeature(UserFeature):
    """A categorical feature, such as a country; a model knows the values in its training data.

    Spellings that differ only in case or surrounding whitespace are the same value. A model sees a column per known
    value; those of ``occupation``, of which there are many, are nodes of the graph instead.

    Examples
    --------
    >>> class Country(CategoryFeature):
    ...     help = "Country of a new user, as in the training data."
    >>> Country().dtype
    'string'
    """

    dtype = "string"


def user_features() -> dict[str, UserFeature]:
    """Return all registered user features by name, those of the package first.

    Raises
    ------
    ConfigError
        A registered class is neither a `NumberFeature` nor a `CategoryFeature`, or its name is reserved.

    Examples
    --------
    >>> list(user_features())[:3]
    ['age', 'gender', 'occupation']
    """
    found: dict[str, UserFeature] = {}
    for name, feature in USER_FEATURES.items():
        if not (isinstance(feature, type) and issubclass(feature, NumberFeature | CategoryFeature)):
            raise ConfigError(f"the user feature {name!r} must be a subclass of NumberFeature or CategoryFeature")
        if not name.isidentifier() or name in RESERVED:
            raise ConfigError(
                f"the user feature {name!r} cannot have this name; choose another one, such as user_{name}"
            )
        found[name] = feature()
    return found


def first_features() -> tuple[str, ...]:
    """Return the built-in features, which every model sees; others are left out if no user has a value.

    Examples
    --------
    >>> first_features()
    ('age', 'gender', 'occupation')
    """
    return USER_FEATURES.first
