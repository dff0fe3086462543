"""User features: the inputs of models about users besides ratings. Each is one file here, or in a plugin.

A feature is a column of the users table, a value of `NewUser`, an option of ``gnnrec recommend`` and ``predict``, and
an input of the model; all of these follow from its class. Nothing here imports pandas or PyTorch
before values are read, so that ``--help`` can list the features.
"""

from gnnrec.user_features.base import CategoryFeature, NumberFeature, UserFeature, first_features, user_features

__all__ = ["CategoryFeature", "NumberFeature", "UserFeature", "first_features", "user_features"]
