"""The optimizer takes the steps of PyTorch's."""

from __future__ import annotations

import copy

import torch

from gnnrec.training.optimizer import AdamW


def train(optimizer: torch.optim.Optimizer, network: torch.nn.Module, steps: int) -> None:
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    for step in range(steps):
        optimizer.zero_grad()
        (network(x + step) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()


def test_steps_and_state_are_those_of_pytorch() -> None:
    one = torch.nn.Linear(3, 1)
    other = copy.deepcopy(one)
    ours = AdamW(one.parameters(), lr=0.05, weight_decay=0.1)
    theirs = torch.optim.AdamW(other.parameters(), lr=0.05, weight_decay=0.1)
    for steps in (1, 5):
        train(ours, one, steps)
        train(theirs, other, steps)
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)
    found, expected = ours.state_dict(), theirs.state_dict()
    assert found["param_groups"] == expected["param_groups"]
    assert len(found["state"]) == 2
    for parameter, state in expected["state"].items():
        for name, value in state.items():
            assert torch.equal(found["state"][parameter][name], value), name
    # A run that an earlier version interrupted continues.
    continued = copy.deepcopy(one)
    resumed = AdamW(continued.parameters(), lr=0.3)
    resumed.load_state_dict(copy.deepcopy(expected))
    train(resumed, continued, 3)
    train(theirs, other, 3)
    assert torch.equal(continued.weight, other.weight)


def test_steps_are_not_differentiated() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = AdamW([{"params": [weight]}], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    assert torch.is_grad_enabled() and weight.requires_grad and weight.grad_fn is None
