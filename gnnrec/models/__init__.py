"""The honest comparison: simple models that any trained network has to beat, asked in the same way.

`BASELINES` need seconds and nothing else. `PEERS` are the well-known models of others, which take longer.
"""

from collections.abc import Callable

from gnnrec.models.base import Recommender
from gnnrec.models.content import ContentKNN, FeatureRidge, content_matrix
from gnnrec.models.neighbors import EASE, SLIM, ItemKNN
from gnnrec.models.popularity import Popularity
from gnnrec.models.registry import PEERS, Peer, fit_peer
from gnnrec.training.loop import OptimizerConfig, Watch

BASELINES: dict[str, Callable[..., Recommender]] = {
    "popularity": Popularity.fit,
    "itemknn": ItemKNN.fit,
    "ease": EASE.fit,
}
"""How to fit each baseline on a `gnnrec.graph.graph.Graph`, by name; settings are keyword arguments."""

GRIDS: dict[str, list[dict[str, float]]] = {
    "popularity": [{}],
    "itemknn": [{"num_neighbors": 50}, {"num_neighbors": 200}],
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
    "OptimizerConfig",
    "Watch",
    "content_matrix",
    "fit_peer",
]
