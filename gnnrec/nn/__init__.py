"""Neural network parts: encoders, node features, losses, initialization and the ridge regression after training.

Every encoder and loss with its decorator is found in any file here.
"""

from gnnrec.nn.content_ridge import ContentRidge
from gnnrec.nn.ease import EASEPart
from gnnrec.nn.encoder import BaseEncoder, Encoder, GraphTensors, MovieEmbeddings
from gnnrec.nn.ensemble import Ensemble
from gnnrec.nn.features import DropMask, FeatureSizes, NodeEncoder, NodeFeatures, movie_feature_sizes
from gnnrec.nn.graphsage import GraphSAGE, GraphSAGEConfig
from gnnrec.nn.init import init_from_svd, init_from_transitions
from gnnrec.nn.lightgcn import LightGCN, LightGCNConfig
from gnnrec.nn.losses import bpr, sampled_softmax, softmax, weighted_mse
from gnnrec.nn.temporal import TemporalPooling

__all__ = [
    "BaseEncoder",
    "ContentRidge",
    "DropMask",
    "EASEPart",
    "Encoder",
    "Ensemble",
    "FeatureSizes",
    "GraphSAGE",
    "GraphSAGEConfig",
    "GraphTensors",
    "LightGCN",
    "LightGCNConfig",
    "MovieEmbeddings",
    "NodeEncoder",
    "NodeFeatures",
    "TemporalPooling",
    "bpr",
    "init_from_svd",
    "init_from_transitions",
    "movie_feature_sizes",
    "sampled_softmax",
    "softmax",
    "weighted_mse",
]
