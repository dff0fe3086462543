"""The encoders, what they are trained with and where they start."""

from gnnrec.nn.content_ridge import ContentRidge
from gnnrec.nn.encoder import Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.features import DropMask, FeatureSizes, NodeEncoder, NodeFeatures, content_sizes
from gnnrec.nn.graphsage import GraphSAGE
from gnnrec.nn.init import init_from_svd, init_from_transitions
from gnnrec.nn.lightgcn import LightGCN
from gnnrec.nn.losses import LOSSES
from gnnrec.nn.temporal import TemporalPooling

ENCODERS: dict[str, type[Encoder]] = {"lightgcn": LightGCN, "graphsage": GraphSAGE}
"""The encoders by the name they have in a config."""

__all__ = [
    "ENCODERS",
    "LOSSES",
    "NodeFeatures",
    "ContentRidge",
    "FeatureSizes",
    "DropMask",
    "Encoder",
    "GraphSAGE",
    "GraphTensors",
    "TemporalPooling",
    "LightGCN",
    "MovieEmbeddings",
    "NodeEncoder",
    "content_sizes",
    "init_from_transitions",
    "init_from_svd",
]
