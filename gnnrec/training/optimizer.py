"""The optimizer of all models that are trained by gradient descent."""

from __future__ import annotations

import inspect

import torch


class AdamW(torch.optim.AdamW):
    """PyTorch's AdamW without the decorators that tell its compiler what to leave alone.

    They import the compiler at the first use of an optimizer, compiled or not, which takes longer than training a
    small model. Parameters, state and every step are those of `torch.optim.AdamW`; do not call it in a function
    compiled by ``torch.compile``.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)
    >>> weight.square().sum().backward()
    >>> optimizer.step()
    >>> weight.data
    tensor([ 0.9000, -1.9000])
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
