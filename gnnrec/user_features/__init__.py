"""User features: what models read about users besides their ratings. Each is one file here, or in a plugin.

A feature is a column of the users table, a value of `NewUser`, an option of ``gnnrec recommend`` and ``gnnrec predict``
and a part of what the model sees of a user; all of these follow from its class. Nothing here imports pandas or PyTorch
before values are read, so that ``--help`` can list the features.
"""

from gnnrec.user_features.base import CategoryFeature, NumberFeature, UserFeature, first_features, user_features

__all__ = ["CategoryFeature", "NumberFeature", "UserFeature", "first_features", "user_features"]
