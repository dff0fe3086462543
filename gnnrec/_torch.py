"""Where PyTorch computes."""

from __future__ import annotations

import torch

from gnnrec.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """Return the device of a setting: ``auto`` is a GPU where there is one; `ConfigError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device
