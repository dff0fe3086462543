"""Seeded random numbers without touching PyTorch's global generator.

PyTorch's layers draw initial weights and dropout from a generator that the whole process shares. Seeding and restoring
it is not thread-safe, and changes the numbers that other threads draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

IN_PLACE = ("uniform_", "normal_", "bernoulli_", "random_", "exponential_", "cauchy_", "geometric_", "log_normal_")
FACTORIES = (
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("rand_like", "randn_like", "randint_like", "rrelu", "gumbel_softmax", "multi_head_attention_forward"),
)
INITIALIZERS = tuple(name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_"))
RANDOM = frozenset((*IN_PLACE, *FACTORIES, *INITIALIZERS))
"""Names of functions that may draw random numbers, besides all that have "dropout" in their names."""
ATTENTION = "scaled_dot_product_attention"


class Seeded(TorchFunctionMode):
    """Context in which random numbers of this thread come from a seeded generator instead of PyTorch's global one.

    On a CPU the numbers equal those after ``torch.manual_seed(seed)``; the global generator is not touched.

    Parameters
    ----------
    seed : int

    Examples
    --------
    >>> with Seeded(7):
    ...     first = torch.nn.Linear(2, 1).weight.tolist()
    >>> with torch.random.fork_rng(devices=[]):
    ...     _ = torch.manual_seed(7)
    ...     first == torch.nn.Linear(2, 1).weight.tolist()
    True
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._draws = _Draws(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch; the mode is off inside it."""
        kwargs = kwargs or {}
        if not _may_draw(func):
            return func(*args, **kwargs)
        with self._draws:
            if func.__name__ == ATTENTION and kwargs.get("dropout_p", 0.0) > 0 and args[0].device.type != "cpu":
                # Fused GPU kernels always draw from the global generator.
                return torch.ops.aten._scaled_dot_product_attention_math(*args, **kwargs)[0]
            return func(*args, **kwargs)


@cache
def _may_draw(func: Callable[..., Any]) -> bool:
    name = getattr(func, "__name__", "")
    return name in RANDOM or "dropout" in name or name == ATTENTION


class _Draws(TorchDispatchMode):
    """Passes a seeded generator, one per device, to every operation that accepts one and was given none."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: PyTorch need not import its compiler in order to tell it to leave this alone."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call an operation."""
        kwargs = dict(kwargs or {})
        if func is torch.ops.aten.native_dropout.default:
            return self._dropout(*args)
        if func._overloadname == "default" and "generator" in func.overloadpacket.overloads():
            func = func.overloadpacket.generator
        if kwargs.get("generator") is None and any(one.name == "generator" for one in func._schema.arguments):
            kwargs["generator"] = self._generator(args, kwargs)
        return func(*args, **kwargs)

    def _generator(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Generator:
        given = next((one.device for one in args if isinstance(one, Tensor)), kwargs.get("device"))
        device = torch.device("cpu" if given is None else given)
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]

    def _dropout(self, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
        """Do the same as PyTorch's fused dropout kernel for GPUs: return the result and the mask."""
        mask = torch.ones_like(x, dtype=torch.bool)
        if train is False or p == 0:
            return x.clone(), mask
        mask.bernoulli_(1 - p, generator=self._generator((x,), {}))
        return x * mask / (1 - p) if p < 1 else torch.zeros_like(x), mask
