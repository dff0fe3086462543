"""The encoders, what they are trained with and where they start."""

from gnnrec.nn.content import Content, ContentSizes, content_sizes
from gnnrec.nn.encoder import Encoder, GraphTensors, MovieStates
from gnnrec.nn.features import Dropped, NodeEncoder
from gnnrec.nn.graphsage import GraphSAGE
from gnnrec.nn.initialise import start_from_followed, start_from_svd
from gnnrec.nn.lightgcn import LightGCN
from gnnrec.nn.losses import LOSSES
from gnnrec.nn.settle import ContentRidge
from gnnrec.nn.views import HistoryViews

ENCODERS: dict[str, type[Encoder]] = {"lightgcn": LightGCN, "graphsage": GraphSAGE}
"""The encoders by the name they have in a config."""

__all__ = [
    "ENCODERS",
    "LOSSES",
    "Content",
    "ContentRidge",
    "ContentSizes",
    "Dropped",
    "Encoder",
    "GraphSAGE",
    "GraphTensors",
    "HistoryViews",
    "LightGCN",
    "MovieStates",
    "NodeEncoder",
    "content_sizes",
    "start_from_followed",
    "start_from_svd",
]
