"""Components of training: edge sampling, the epoch loop, callbacks and checkpoints."""

from gnnrec.training.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    FitState,
    MLflowLogger,
    TensorBoardLogger,
    TimeLimit,
    WandbLogger,
)
from gnnrec.training.checkpoint import TrainingState
from gnnrec.training.edge_sampling import batch_loss, masked_edge_loss, next_item_loss, sample_batches
from gnnrec.training.loop import FitRun, NegativeSampler, OptimizerConfig, batches, frozen, seeded, trained_users

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "FitRun",
    "FitState",
    "MLflowLogger",
    "NegativeSampler",
    "OptimizerConfig",
    "TensorBoardLogger",
    "TimeLimit",
    "TrainingState",
    "WandbLogger",
    "batch_loss",
    "batches",
    "frozen",
    "masked_edge_loss",
    "next_item_loss",
    "sample_batches",
    "seeded",
    "trained_users",
]
