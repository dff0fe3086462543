"""Settings for quick tests."""

from gnnrec import Config

FAST = Config().override(["model.embedding_dim=64", "train.batch_size=128", "train.learning_rate=0.005"])
"""For the generated sample: it has few users, so smaller batches make enough steps in an epoch."""
