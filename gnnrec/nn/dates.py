"""When somebody is here: the date of their last rating as features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnrec.graph import UserBatch


class Dates(nn.Module):
    """Turn the date of a person's last rating into a soft one-hot of periods.

    The time that the training ratings span is cut into equal periods; a date is shared between the two whose middles
    it is nearest to. Dates before the first and after the last count as these. Someone whose ratings carry no time gets
    zeros.

    Parameters
    ----------
    width : int
        Number of periods.
    """

    first: Tensor
    last: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("first", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def prepare(self, time: Tensor) -> None:
        """Take the span of the training ratings."""
        known = time[time > 0]
        if len(known):
            self.first.copy_(known.min())
            self.last.copy_(known.max())

    def forward(self, batch: UserBatch, keep: Tensor) -> Tensor:
        """Return ``[num_users, width]``; only ratings where `keep` is not 0 are looked at."""
        last = batch.last_times(keep)
        span = (self.last - self.first).clamp(min=1)
        place = ((last - self.first).double() / span).clamp(0, 1).float() * (self.width - 1)
        periods = torch.arange(self.width, device=place.device)
        near = (1 - (place.unsqueeze(1) - periods).abs()).clamp(min=0)  # [num_users, width]
        return near * (last > 0).unsqueeze(1)
