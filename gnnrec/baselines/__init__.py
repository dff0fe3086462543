"""The honest comparison: simple models that any trained network has to beat, asked in the same way.

`BASELINES` need seconds and nothing else. `PEERS` are the well-known models of others, which take longer.
"""

from collections.abc import Callable

from gnnrec.baselines.content import content_matrix
from gnnrec.baselines.contentknn import ContentKNN
from gnnrec.baselines.ease import EASE
from gnnrec.baselines.itemknn import ItemKNN
from gnnrec.baselines.peers import PEERS, Peer, Schedule, Watch, fit_peer
from gnnrec.baselines.popularity import Popularity
from gnnrec.baselines.ridge import FeatureRidge
from gnnrec.baselines.slim import SLIM
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

__all__ = [
    "BASELINES",
    "EASE",
    "GRIDS",
    "PEERS",
    "SLIM",
    "ContentKNN",
    "FeatureRidge",
    "ItemKNN",
    "Peer",
    "Popularity",
    "Schedule",
    "Watch",
    "content_matrix",
    "fit_peer",
]
