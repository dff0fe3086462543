"""Classes of PyG, imported without its warnings.

Recent versions of PyTorch warn that TorchScript, which PyG still uses, is deprecated. Where
warnings are errors, neither PyG nor gnnrec could be imported. The caller's own warning filters are not changed.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch_geometric import EdgeIndex
    from torch_geometric.data import HeteroData
    from torch_geometric.nn import SAGEConv

__all__ = ["EdgeIndex", "HeteroData", "SAGEConv"]
