"""The encoders, what they are trained with and where they start."""

from gnnrec.nn.content_ridge import ContentRidge
from gnnrec.nn.encoder import Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.features import DropMask, FeatureSizes, NodeEncoder, NodeFeatures, content_sizes
from gnnrec.nn.graphsage import GraphSAGE, GraphSAGEConfig
from gnnrec.nn.init import init_from_svd, init_from_transitions
from gnnrec.nn.lightgcn import LightGCN, LightGCNConfig
from gnnrec.nn.losses import bpr, softmax, weighted_mse
from gnnrec.nn.temporal import TemporalPooling

__all__ = [
    "NodeFeatures",
    "ContentRidge",
    "FeatureSizes",
    "DropMask",
    "Encoder",
    "GraphSAGE",
    "GraphSAGEConfig",
    "GraphTensors",
    "TemporalPooling",
    "LightGCN",
    "LightGCNConfig",
    "MovieEmbeddings",
    "NodeEncoder",
    "bpr",
    "content_sizes",
    "init_from_transitions",
    "init_from_svd",
    "softmax",
    "weighted_mse",
]
