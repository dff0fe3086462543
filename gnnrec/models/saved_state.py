"""Checks of the tensors of saved models, which are untrusted: finite values and consistent shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gnnrec.errors import DataError

M = TypeVar("M", bound=torch.nn.Module)
SAME_SHAPE = ("add_", "div_", "mul_", "normal_", "sub_", "uniform_")
"""Methods of tensors that change values in place."""


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise a `DataError` if a tensor holds NaN or an infinite number."""
    for name, values in tensors.items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise DataError(f"{what} has values that are not finite, in {name}; train the model again")


def check_shapes(state: Mapping[str, Tensor], **shapes: str) -> None:
    """Raise a LookupError unless the tensors of a saved model have the shapes of such a model.

    Parameters
    ----------
    state : mapping of str to Tensor
    **shapes : str
        One letter per dimension of each tensor; equal letters mean equal sizes. A leading ``?`` marks optional tensors.

    Examples
    --------
    >>> check_shapes({"weights": torch.ones(2, 2), "share": torch.ones(3)}, weights="mm", share="m", bias="?m")
    Traceback (most recent call last):
        ...
    LookupError: share has the shape [3], which does not fit weights of [2, 2]
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, letters in shapes.items():
        if name not in state:
            if letters.startswith("?"):
                continue
            raise LookupError(f"{name} is missing")
        shape = list(state[name].shape)
        letters = letters.removeprefix("?")
        if len(shape) != len(letters):
            raise LookupError(f"{name} has the shape {shape}, not {len(letters)} dimensions")
        for letter, size in zip(letters, shape, strict=True):
            known, first = sizes.setdefault(letter, (size, name))
            if known != size:
                raise LookupError(
                    f"{name} has the shape {shape}, which does not fit {first} of {list(state[first].shape)}"
                )
    if unknown := [name for name in state if name not in shapes]:
        raise LookupError(f"{unknown[0]} is not a part of the model")


class _WithoutValues(TorchFunctionMode):
    """Keep shapes and compute no values: on the device "meta", those would import PyTorch's compiler, in seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if getattr(func, "__module__", None) == "torch.nn.init" or name in SAME_SHAPE:
            return args[0] if args else kwargs["tensor"]
        if func in (torch.rand, torch.randn):
            return torch.empty(*args, **{key: value for key, value in kwargs.items() if key != "generator"})
        return func(*args, **kwargs)


def build_with(state: Mapping[str, Tensor], build: Callable[[], M]) -> M:
    """Return a network with saved weights; shapes are compared before memory is allocated.

    Raises
    ------
    LookupError
        The network returned by `build` has other weights.
    """
    try:
        with torch.device("meta"), _WithoutValues():
            wanted = {name: list(value.shape) for name, value in build().state_dict().items()}
    except (RuntimeError, NotImplementedError, TypeError):  # a plugin network whose constructor computes with tensors
        wanted = {name: list(value.shape) for name, value in state.items()}
    found = {name: list(value.shape) for name, value in state.items()}
    for name in {**wanted, **found}:
        if wanted.get(name) != found.get(name):
            raise LookupError(f"{name} has the shape {found.get(name)}, not {wanted.get(name)}")
    network = build()
    network.load_state_dict(dict(state))
    return network
