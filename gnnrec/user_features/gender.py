"""The gender of a user."""

from gnnrec.registry import register_user_feature
from gnnrec.user_features.base import CategoryFeature


@register_user_feature("gender")
class Gender(CategoryFeature):
    """Gender, as in the training data."""

    help = "Gender of a new user, as in the training data."
    aliases = ("sex",)
