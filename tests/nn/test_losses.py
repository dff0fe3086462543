"""Losses equal their formulas, written out over the full score matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnrec.nn.losses import bpr, sampled_softmax, softmax, weighted_mse
from gnnrec.registry import LOSSES
from gnnrec.sparse import Adjacency

few = settings(max_examples=30, deadline=None)
NAMES = list(LOSSES.builtin)


@dataclass
class Case:
    """Embeddings of a few users and movies, and supervision and message-passing edges."""

    users: Tensor
    movies: Tensor
    observed: Adjacency
    supervision: Tensor

    @property
    def scores(self) -> Tensor:
        return self.users @ self.movies.T

    def pairs(self, supervision: bool) -> set[tuple[int, int]]:
        chosen = self.supervision == supervision
        return set(zip(self.observed.row[chosen].tolist(), self.observed.col[chosen].tolist(), strict=True))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    num_users, num_movies = draw(st.integers(1, 5)), draw(st.integers(3, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    kinds = st.sampled_from([0, 0, 1, 2])  # unobserved, message-passing, supervision
    row = st.lists(kinds, min_size=num_movies, max_size=num_movies)
    kind = torch.tensor(draw(st.lists(row, min_size=num_users, max_size=num_users)))
    movies = torch.randn(num_movies, 3, generator=generator, dtype=torch.float64)
    user, movie = torch.nonzero(kind, as_tuple=True)
    users = torch.randn(num_users, 3, generator=generator, dtype=torch.float64)
    return Case(users, movies, Adjacency(user, movie, num_users, num_movies), kind[user, movie] == 2)


@few
@given(cases(), st.floats(0.01, 2))
def test_weighted_mse_by_brute_force(case: Case, negative_weight: float) -> None:
    expected = 0.0
    positive, hidden = case.pairs(supervision=True), case.pairs(supervision=False)
    for user in range(len(case.users)):
        for movie in range(len(case.movies)):
            score = case.scores[user, movie].item()
            if (user, movie) in positive:
                expected += (1 - score) ** 2
            elif (user, movie) not in hidden:
                expected += negative_weight * score**2
    found = weighted_mse(
        case.users, case.movies, case.observed, case.supervision, negative_weight=negative_weight
    ).item()
    assert found == pytest.approx(expected / len(case.users), rel=1e-9, abs=1e-9)


@few
@given(cases())
def test_softmax_by_brute_force(case: Case) -> None:
    positive, hidden = case.pairs(supervision=True), case.pairs(supervision=False)
    total = 0.0
    for user, movie in positive:
        candidates = [
            case.scores[user, other].exp().item() for other in range(len(case.movies)) if (user, other) not in hidden
        ]
        total -= (case.scores[user, movie].exp() / sum(candidates)).log().item()
    found = softmax(case.users, case.movies, case.observed, case.supervision).item()
    assert found == pytest.approx(total / max(len(positive), 1), rel=1e-9, abs=1e-9)


def test_softmax_of_one_edge_is_cross_entropy() -> None:
    users = torch.tensor([[1.0, -2.0]])
    movies = torch.tensor([[0.5, 1.0], [2.0, 0.1], [-1.0, 0.3], [0.2, 0.2]])
    observed = Adjacency(torch.tensor([0]), torch.tensor([2]), 1, 4)
    found = softmax(users, movies, observed, torch.tensor([True]))
    expected = torch.nn.functional.cross_entropy(users @ movies.T, torch.tensor([2]))
    torch.testing.assert_close(found, expected)


@few
@given(cases(), st.integers(0, 2**20), st.integers(1, 8))
def test_sampled_softmax_by_brute_force(case: Case, seed: int, num_negatives: int) -> None:
    """With a sample of all movies it is the softmax."""
    num_movies = len(case.movies)
    sample = torch.randperm(num_movies, generator=torch.Generator().manual_seed(seed))[:num_negatives].tolist()
    positive, hidden = case.pairs(supervision=True), case.pairs(supervision=False)
    total = 0.0
    for user, movie in positive:
        drawn = [other for other in sample if other != movie]
        others = sum(case.scores[user, other].exp().item() for other in drawn if (user, other) not in hidden)
        own = case.scores[user, movie].exp().item()
        total -= np.log(own / (own + (num_movies - 1) / max(len(drawn), 1) * others))
    arguments = case.users, case.movies, case.observed, case.supervision, torch.Generator().manual_seed(seed)
    found = sampled_softmax(*arguments, num_negatives=num_negatives).item()
    assert found == pytest.approx(total / max(len(positive), 1), rel=1e-9, abs=1e-9)
    if num_negatives >= num_movies:
        assert found == pytest.approx(softmax(*arguments).item(), rel=1e-9, abs=1e-9)


@few
@given(cases(), st.integers(0, 2**20))
def test_bpr_by_brute_force(case: Case, seed: int) -> None:
    """The loss is a mean over pairs with unobserved movies, so it lies between those of the best and worst draws."""
    generator = torch.Generator().manual_seed(seed)
    found = bpr(case.users, case.movies, case.observed, case.supervision, generator).item()
    observed = case.pairs(supervision=True) | case.pairs(supervision=False)
    ranges = []
    for user, movie in sorted(case.pairs(supervision=True)):
        losses = [
            -torch.nn.functional.logsigmoid(case.scores[user, movie] - case.scores[user, other]).item()
            for other in range(len(case.movies))
            if (user, other) not in observed
        ]
        if losses:
            ranges.append((min(losses), max(losses)))
    if not ranges:
        assert found == 0
    elif found:  # 0 if no unobserved movie was drawn in all attempts
        assert min(low for low, _ in ranges) - 1e-9 <= found <= max(high for _, high in ranges) + 1e-9


def test_bpr_never_samples_an_observed_movie() -> None:
    """Only movie 3 of 6 is unobserved; against it every edge loses by exactly 1."""
    users = torch.ones(200, 1)
    movies = torch.tensor([[1.0], [1.0], [1.0], [2.0], [0.0], [50.0]])
    col = torch.tensor([0, 1, 2, 4, 5]).repeat(200)
    observed = Adjacency(torch.arange(200).repeat_interleave(5), col, 200, len(movies))
    supervision = col < 3  # the edges of movies 4 and 5 pass messages
    loss = bpr(users, movies, observed, supervision, torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, -torch.nn.functional.logsigmoid(torch.tensor(-1.0)))


def test_bpr_samples_uniformly() -> None:
    """Gradients count the draws: each of the two unobserved movies is sampled about half of the time."""
    n = 4000
    users, movies = torch.ones(n, 1), torch.tensor([[1.0], [1.0], [1.0]], requires_grad=True)
    observed = Adjacency(torch.arange(n), torch.zeros(n, dtype=torch.int64), n, 3)
    bpr(users, movies, observed, torch.ones(n, dtype=torch.bool), torch.Generator().manual_seed(0)).backward()
    share = movies.grad.squeeze(1) / 0.5  # the slope of -log sigmoid at 0
    assert share[0].item() == pytest.approx(-1, abs=1e-3)
    assert share[1].item() == pytest.approx(0.5, abs=0.03)
    assert share[2].item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(case=cases(), seed=st.integers(0, 2**20))
def test_gradients(name: str, case: Case, seed: int) -> None:
    def loss(users: Tensor, movies: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)  # the same draws in every call
        return LOSSES.get(name)(users, movies, case.observed, case.supervision, generator)

    inputs = case.users.clone().requires_grad_(), case.movies.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_along_the_gradient_reduces_the_loss(name: str) -> None:
    users, movies = torch.tensor([[1.0, 0.5]]), torch.randn(5, 2, generator=torch.Generator().manual_seed(1)).abs()
    users.requires_grad_()
    observed = Adjacency(torch.tensor([0, 0]), torch.tensor([1, 3]), 1, 5)
    supervision = torch.tensor([True, False])
    before = LOSSES.get(name)(users, movies, observed, supervision, torch.Generator().manual_seed(0))
    (slope,) = torch.autograd.grad(before, users)
    after = LOSSES.get(name)(users - 0.01 * slope, movies, observed, supervision, torch.Generator().manual_seed(0))
    assert slope.norm() > 1e-3
    assert after < before


@pytest.mark.parametrize("name", NAMES)
def test_message_passing_edges_are_neither_positive_nor_negative(name: str) -> None:
    users = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    movies = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    # Movie 0 has message-passing edges to both users, movie 1 supervision edges.
    observed = Adjacency(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), 2, 4)
    supervision = torch.tensor([False, True, False, True])
    LOSSES.get(name)(users, movies, observed, supervision, torch.Generator()).backward()
    torch.testing.assert_close(movies.grad[0], torch.zeros(3), atol=1e-6, rtol=0)
    assert movies.grad[1].norm() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_movie_embedding_gets_a_gradient(name: str) -> None:
    """As at the first step for a rated movie whose id embedding is dropped: feature weights start at zero."""
    users, movies = torch.ones(1, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    observed = Adjacency(torch.tensor([0]), torch.tensor([0]), 1, 3)
    loss = LOSSES.get(name)(users, movies, observed, torch.tensor([True]), torch.Generator())
    by_hand = {"weighted_mse": 1 + 0.3 * 2, "softmax": np.log(1 + 2 * np.e), "bpr": np.log(1 + np.e)}
    if name in by_hand:
        assert loss.item() == pytest.approx(by_hand[name], rel=1e-6)
    loss.backward()
    assert (movies.grad[0] < 0).all()  # towards the user


@pytest.mark.parametrize("name", ["softmax", "sampled_softmax", "bpr"])
def test_no_supervision_edges(name: str) -> None:
    users, movies = torch.ones(2, 3, requires_grad=True), torch.ones(4, 3)
    observed = Adjacency(torch.tensor([0, 1]), torch.tensor([0, 1]), 2, 4)
    loss = LOSSES.get(name)(users, movies, observed, torch.tensor([False, False]), torch.Generator())
    loss.backward()
    assert loss.item() == 0
    assert users.grad.abs().sum() == 0


@pytest.mark.parametrize("loss_function", [softmax, sampled_softmax])
def test_softmax_for_a_user_with_messages_from_all_movies(loss_function: Callable[..., Tensor]) -> None:
    """No loss and no gradient for that user, whatever is predicted for another."""
    users, movies = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    observed = Adjacency(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), 2, 2)
    loss = loss_function(users, movies, observed, torch.tensor([False, False, True]), torch.Generator())
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    assert torch.equal(users.grad[0], torch.zeros(3))
    assert movies.grad.isfinite().all()


@pytest.mark.parametrize("loss_function", [softmax, sampled_softmax])
def test_softmax_of_large_scores(loss_function: Callable[..., Tensor]) -> None:
    """exp(1000) overflows."""
    users, movies = torch.tensor([[1000.0]], requires_grad=True), torch.tensor([[1.0], [0.9], [-1.0]])
    observed = Adjacency(torch.tensor([0]), torch.tensor([1]), 1, 3)
    loss = loss_function(users, movies, observed, torch.tensor([True]), torch.Generator())
    loss.backward()
    assert loss.item() == pytest.approx(100)
    assert users.grad.item() == pytest.approx(0.1, rel=1e-5)
