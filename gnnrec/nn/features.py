"""A node's own vector, before any propagation: what is known about it, plus an id vector where it has one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnrec.propagate import Adjacency


class NodeEncoder(nn.Module):
    r"""Turn features, linked side nodes and, when known, the id into one vector per node.

    .. math:: h_v = W x_v + b + \frac{1}{|S(v)|} \sum_{s \in S(v)} e_s + k_v \, e_v

    :math:`S(v)` are the side nodes linked to `v` (the genres of a movie, the occupation of a user) and :math:`k_v` is 1
    where the id vector is known and not dropped. A node that was never trained on gets its vector from the first two
    terms alone; they start at zero, so that the id vectors may start from a factorisation of the ratings.

    Parameters
    ----------
    num_features : int
        Width of `x`.
    num_side : int
        Number of side nodes.
    dim : int
        Width of the vectors.
    num_ids : int
        Number of id vectors, for the first `num_ids` nodes; 0 for nodes without any.
    """

    has_id: Tensor

    def __init__(self, num_features: int, num_side: int, dim: int, num_ids: int = 0) -> None:
        super().__init__()
        # Without ids, the bias is what is known of somebody of whom nothing is known.
        self.features = nn.Linear(num_features, dim, bias=num_ids == 0)
        self.side = nn.Parameter(torch.empty(num_side, dim))
        self.ids = nn.Parameter(torch.empty(num_ids, dim)) if num_ids else None
        # Movies without a training rating have a row but no trained vector in it.
        self.register_buffer("has_id", torch.ones(num_ids, dtype=torch.bool))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start content at zero and id vectors small and random."""
        nn.init.zeros_(self.features.weight)
        if self.features.bias is not None:
            nn.init.zeros_(self.features.bias)
        nn.init.zeros_(self.side)
        if self.ids is not None:
            nn.init.normal_(self.ids, std=0.1)

    def forward(self, x: Tensor, side: Adjacency, drop_id: Tensor | None = None) -> Tensor:
        """Return the vectors.

        Parameters
        ----------
        x : Tensor
            ``[num_nodes, num_features]``.
        side : Adjacency
            From side nodes to nodes.
        drop_id : Tensor, optional
            ``[num_nodes]`` bool, true where the id vector is left out (id dropout).

        Returns
        -------
        Tensor
            ``[num_nodes, dim]``.
        """
        degree, _ = side.degrees()
        h = self.features(x) + side.matmul(1 / degree[side.row], self.side)  # [num_nodes, dim]
        if self.ids is None:
            return h
        use = self.has_id if drop_id is None else self.has_id & ~drop_id[: self.ids.size(0)]
        # Nodes added after training lie behind the table and have no id vector.
        ids = self.ids * use.unsqueeze(1)
        return h + nn.functional.pad(ids, (0, 0, 0, x.size(0) - ids.size(0)))

    @torch.no_grad()
    def settle(self, x: Tensor, side: Adjacency, weight: Tensor, reg: float = 10.0) -> None:
        r"""Let content carry as much of every vector as it can, without changing a vector that has an id.

        Training divides each vector between content and id in no particular way, and an unseen node has only the
        content part. So content is refitted to the whole vectors of the nodes with an id, by weighted ridge
        regression, and their id vectors become what is left over:

        .. math:: C = (X^T D X + \lambda I)^{-1} X^T D H, \qquad e_v = h_v - C^T x_v

        Parameters
        ----------
        x, side
            As in `forward`.
        weight : Tensor
            ``[num_nodes]``, :math:`D`, how well each vector is known: its number of ratings.
        reg : float
            :math:`\lambda`, against a weight of mean 1.
        """
        if self.ids is None or not self.has_id.any():
            return
        degree, _ = side.degrees()
        links = x.new_zeros(side.num_rows, side.num_cols)
        links[side.row, side.col] = 1 / degree[side.row]
        content = torch.cat([x, links], dim=1)[: self.ids.size(0)]  # [num_ids, num_features + num_side]
        whole = self(x, side)[: self.ids.size(0)]  # [num_ids, dim]
        d = (weight[: self.ids.size(0)] * self.has_id).unsqueeze(1)
        d = d / d.sum() * self.has_id.sum()
        gram = (content * d).T @ content + reg * torch.eye(content.size(1), device=x.device)
        solution = torch.linalg.solve(gram, (content * d).T @ whole)  # [num_features + num_side, dim]
        self.features.weight.copy_(solution[: x.size(1)].T)
        self.side.copy_(solution[x.size(1) :])
        self.ids.copy_(whole - content @ solution)
