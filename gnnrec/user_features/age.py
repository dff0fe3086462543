"""The age of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnnrec.registry import register_user_feature
from gnnrec.user_features.base import NumberFeature

if TYPE_CHECKING:
    import numpy as np

AGE_BINS = (18, 25, 35, 45, 50, 56)
"""Lower bounds of the age groups after the first one; the groups of MovieLens-1M."""


@register_user_feature("age")
class Age(NumberFeature):
    """Age in years, seen as one of seven groups.

    Examples
    --------
    >>> import numpy as np
    >>> Age().encode(np.array([17.5, 18.0])).argmax(axis=1)
    array([0, 1])
    """

    help = "Age of a new user, in years."
    aliases = ("userage",)
    minimum, maximum = 0, 150
    unit = "years"

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return ``[n, 7]``, one column per age group."""
        import numpy as np

        groups = np.zeros((len(values), len(AGE_BINS) + 1))
        groups[np.arange(len(values)), np.digitize(values, AGE_BINS)] = 1
        return groups
