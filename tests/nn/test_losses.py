"""Each loss is its formula, written out over the dense matrix of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnrec.nn.losses import bpr, softmax, weighted_mse
from gnnrec.registry import LOSSES
from gnnrec.sparse import Adjacency

few = settings(max_examples=50, deadline=None)


@dataclass
class Case:
    """Vectors of a few people and movies, and who watched what: as a question or as a message."""

    z: Tensor
    targets: Tensor
    watched: Adjacency
    question: Tensor

    @property
    def scores(self) -> Tensor:
        return self.z @ self.targets.T

    def pairs(self, question: bool) -> set[tuple[int, int]]:
        chosen = self.question == question
        return set(zip(self.user_movie.row[chosen].tolist(), self.user_movie.col[chosen].tolist(), strict=True))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    num_users, num_movies = draw(st.integers(1, 5)), draw(st.integers(3, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    kind = torch.tensor(
        draw(
            st.lists(
                st.lists(
                    st.sampled_from(["no", "no", "message", "question"]), min_size=num_movies, max_size=num_movies
                ),
                min_size=num_users,
                max_size=num_users,
            ).map(lambda rows: [[("no", "message", "question").index(k) for k in row] for row in rows])
        )
    )
    targets = torch.randn(num_movies, 3, generator=generator, dtype=torch.float64)
    row, movie = torch.nonzero(kind, as_tuple=True)
    z = torch.randn(num_users, 3, generator=generator, dtype=torch.float64)
    return Case(z, targets, Adjacency(row, movie, num_users, num_movies), kind[row, movie] == 2)


@few
@given(cases(), st.floats(0.01, 2))
def test_weighted_squared_error_by_brute_force(case: Case, negative_weight: float) -> None:
    expected = 0.0
    questions, messages = case.pairs(question=True), case.pairs(question=False)
    for user in range(len(case.z)):
        for movie in range(len(case.targets)):
            score = case.scores[user, movie].item()
            if (user, movie) in questions:
                expected += (1 - score) ** 2
            elif (user, movie) not in messages:
                expected += negative_weight * score**2
    found = weighted_mse(case.z, case.targets, case.user_movie, case.question, negative_weight=negative_weight).item()
    assert found == pytest.approx(expected / len(case.z), rel=1e-9, abs=1e-9)


@few
@given(cases())
def test_softmax_by_brute_force(case: Case) -> None:
    questions, messages = case.pairs(question=True), case.pairs(question=False)
    total = 0.0
    for user, movie in questions:
        rivals = [
            case.scores[user, other].exp().item() for other in range(len(case.targets)) if (user, other) not in messages
        ]
        total -= (case.scores[user, movie].exp() / sum(rivals)).log().item()
    found = softmax(case.z, case.targets, case.user_movie, case.question).item()
    assert found == pytest.approx(total / max(len(questions), 1), rel=1e-9, abs=1e-9)


def test_softmax_of_one_question_is_cross_entropy() -> None:
    z = torch.tensor([[1.0, -2.0]])
    targets = torch.tensor([[0.5, 1.0], [2.0, 0.1], [-1.0, 0.3], [0.2, 0.2]])
    watched = Adjacency(torch.tensor([0]), torch.tensor([2]), 1, 4)
    found = softmax(z, targets, watched, torch.tensor([True]))
    expected = torch.nn.functional.cross_entropy(z @ targets.T, torch.tensor([2]))
    torch.testing.assert_close(found, expected)


@few
@given(cases(), st.integers(0, 2**20))
def test_bpr_by_brute_force(case: Case, seed: int) -> None:
    """Whatever is drawn, the loss is the mean over fair pairs, so it lies between the best and the worst draws."""
    found = bpr(case.z, case.targets, case.user_movie, case.question, torch.Generator().manual_seed(seed)).item()
    seen = case.pairs(question=True) | case.pairs(question=False)
    ranges = []
    for user, movie in sorted(case.pairs(question=True)):
        losses = [
            -torch.nn.functional.logsigmoid(case.scores[user, movie] - case.scores[user, other]).item()
            for other in range(len(case.targets))
            if (user, other) not in seen
        ]
        if losses:
            ranges.append((min(losses), max(losses)))
    if not ranges:
        assert found == 0
    elif found:  # 0 if every draw for every question failed, again and again
        assert min(low for low, _ in ranges) - 1e-9 <= found <= max(high for _, high in ranges) + 1e-9


def test_bpr_never_draws_a_watched_movie() -> None:
    """Only movie 3 of 6 is fair game; against it every question loses by exactly 1."""
    num_movies = 6
    z = torch.ones(200, 1)
    targets = torch.tensor([[1.0], [1.0], [1.0], [2.0], [0.0], [50.0]])
    movies = torch.tensor([0, 1, 2, 4, 5]).repeat(200)
    watched = Adjacency(torch.arange(200).repeat_interleave(5), movies, 200, num_movies)
    question = movies < 3  # movies 4 and 5 were watched, but as messages
    loss = bpr(z, targets, watched, question, torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, -torch.nn.functional.logsigmoid(torch.tensor(-1.0)))


def test_bpr_draws_evenly() -> None:
    """Gradients count the draws: each of the two unwatched movies is drawn about half of the time."""
    n = 4000
    z, targets = torch.ones(n, 1), torch.tensor([[1.0], [1.0], [1.0]], requires_grad=True)
    watched = Adjacency(torch.arange(n), torch.zeros(n, dtype=torch.int64), n, 3)
    bpr(z, targets, watched, torch.ones(n, dtype=torch.bool), torch.Generator().manual_seed(0)).backward()
    share = targets.grad.squeeze(1) / 0.5  # the slope of -log sigmoid at 0
    assert share[0].item() == pytest.approx(-1, abs=1e-3)
    assert share[1].item() == pytest.approx(0.5, abs=0.03)
    assert share[2].item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", LOSSES.names())
@settings(max_examples=20, deadline=None)
@given(case=cases(), seed=st.integers(0, 2**20))
def test_gradients_are_the_slopes(name: str, case: Case, seed: int) -> None:
    def loss(z: Tensor, targets: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)  # the same draws at every call
        return LOSSES.get(name)(z, targets, case.user_movie, case.question, generator)

    assert torch.autograd.gradcheck(loss, (case.z.clone().requires_grad_(), case.targets.clone().requires_grad_()))


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_step_downhill_ranks_the_question_higher(name: str) -> None:
    z, targets = torch.tensor([[1.0, 0.5]]), torch.randn(5, 2, generator=torch.Generator().manual_seed(1)).abs()
    z.requires_grad_()
    watched = Adjacency(torch.tensor([0, 0]), torch.tensor([1, 3]), 1, 5)
    question = torch.tensor([True, False])
    before = LOSSES.get(name)(z, targets, watched, question, torch.Generator().manual_seed(0))
    (slope,) = torch.autograd.grad(before, z)
    after = LOSSES.get(name)(z - 0.01 * slope, targets, watched, question, torch.Generator().manual_seed(0))
    assert slope.norm() > 1e-3
    assert after < before


@pytest.mark.parametrize("name", LOSSES.names())
def test_what_carried_a_message_is_neither_right_nor_wrong(name: str) -> None:
    """The target of a message movie gets no gradient: from an empty question list, or from others' questions."""
    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    # Movie 0 is a message for both people; 1 a question for both.
    watched = Adjacency(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), 2, 4)
    LOSSES.get(name)(z, targets, watched, torch.tensor([False, True, False, True]), torch.Generator()).backward()
    torch.testing.assert_close(targets.grad[0], torch.zeros(3), atol=1e-6, rtol=0)
    assert targets.grad[1].norm() > 1e-3


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_question_whose_target_is_still_zero(name: str) -> None:
    """So it is at the first step for a rated movie whose id is dropped: content starts at zero."""
    z, targets = torch.ones(1, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    watched = Adjacency(torch.tensor([0]), torch.tensor([0]), 1, 3)
    loss = LOSSES.get(name)(z, targets, watched, torch.tensor([True]), torch.Generator())
    expected = {"weighted_mse": 1 + 0.3 * 2, "softmax": np.log(1 + 2 * np.e), "bpr": np.log(1 + np.e)}
    assert loss.item() == pytest.approx(expected[name], rel=1e-6)
    loss.backward()
    assert (targets.grad[0] < 0).all()  # and it moves towards the person


@pytest.mark.parametrize("name", ["softmax", "bpr"])
def test_without_questions_there_is_nothing_to_lose(name: str) -> None:
    z, targets = torch.ones(2, 3, requires_grad=True), torch.ones(4, 3)
    watched = Adjacency(torch.tensor([0, 1]), torch.tensor([0, 1]), 2, 4)
    loss = LOSSES.get(name)(z, targets, watched, torch.tensor([False, False]), torch.Generator())
    loss.backward()
    assert loss.item() == 0
    assert z.grad.abs().sum() == 0


def test_softmax_of_people_with_nothing_to_choose_from() -> None:
    """Somebody watched the whole catalogue as messages: no loss and no gradient, whatever the other is asked."""
    z, targets = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    watched = Adjacency(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), 2, 2)
    loss = softmax(z, targets, watched, torch.tensor([False, False, True]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    assert torch.equal(z.grad[0], torch.zeros(3))
    assert targets.grad.isfinite().all()


def test_softmax_of_large_scores() -> None:
    """Scores of 1000 are beyond what exp can hold."""
    z, targets = torch.tensor([[1000.0]], requires_grad=True), torch.tensor([[1.0], [0.9], [-1.0]])
    watched = Adjacency(torch.tensor([0]), torch.tensor([1]), 1, 3)
    loss = softmax(z, targets, watched, torch.tensor([True]))
    loss.backward()
    assert loss.item() == pytest.approx(100)
    assert z.grad.item() == pytest.approx(0.1, rel=1e-5)
