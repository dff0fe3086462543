"""From files and names to checked frames: `Dataset`, and `Split` of one into train, valid and test."""

from gnnrec.data.dataset import Dataset
from gnnrec.data.download import download
from gnnrec.data.protocols import PROTOCOLS, Protocol
from gnnrec.data.readers import find_dataset, load_dataset
from gnnrec.data.sample import make_sample
from gnnrec.data.split import Split

__all__ = ["PROTOCOLS", "Dataset", "Protocol", "Split", "download", "find_dataset", "load_dataset", "make_sample"]
