"""The occupation of a user."""

from gnnrec.registry import register_user_feature
from gnnrec.user_features.base import CategoryFeature


@register_user_feature("occupation")
class Occupation(CategoryFeature):
    """Occupation, as in the training data; each is a node of the graph."""

    help = "Occupation of a new user, as in the training data."
    aliases = ("job", "profession")
