"""From files and names to checked frames: `Dataset`, and `Split` of one into train, valid and test."""

from gnnrec.data.dataset import Dataset
from gnnrec.data.protocols import PROTOCOLS, Protocol
from gnnrec.data.split import Split

__all__ = ["PROTOCOLS", "Dataset", "Protocol", "Split"]
