"""The honest comparison: simple models that any trained network has to beat, asked in the same way."""

from collections.abc import Callable

from gnnrec.baselines.ease import EASE
from gnnrec.baselines.itemknn import ItemKNN
from gnnrec.baselines.popularity import Popularity
from gnnrec.recommend import Recommender

BASELINES: dict[str, Callable[..., Recommender]] = {
    "popularity": Popularity.fit,
    "itemknn": ItemKNN.fit,
    "ease": EASE.fit,
}
"""How to fit each baseline on a `gnnrec.graph.Graph`, by name; settings are keyword arguments."""

GRIDS: dict[str, list[dict[str, float]]] = {
    "popularity": [{}],
    "itemknn": [{"neighbours": 50}, {"neighbours": 200}],
    "ease": [{"reg": 200.0}, {"reg": 1000.0}, {"reg": 5000.0}],
}
"""Settings worth trying: what suits a million ratings does not suit a few thousand."""

__all__ = ["BASELINES", "EASE", "GRIDS", "ItemKNN", "Popularity"]
