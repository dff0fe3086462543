"""A few hundred plain, odd and hostile questions: an answer or a clear error, and the same one when asked again."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("resource")
from benchmarks.trust import days, questions
from gnnrec import ConfigError


def test_memory_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(days, "REPEATED", 0.3)
    found = days.run(0, 600, calls=400, warm_up=200)
    assert found["failures"] == []
    assert found["kinds"].keys() == {"plain", "odd", "asked again", "memory"}
    assert found["calls"] == 400 and found["kinds"]["asked again"]["tried"] > 80


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (pd.DataFrame({"score": [1.0, float("nan")]}), "a score is not finite"),
        (5, "answered int"),
        (ConfigError("k must be at least 1"), None),
        (TypeError("k is no number"), None),
        (pd.DataFrame({"score": [1.0]}), None),
    ],
)
def test_what_is_a_problem(answer: Any, problem: str | None) -> None:
    def question() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert questions.ask(question)[1] == problem


def test_a_leak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter((100_000_000, 103_000_000))
    monkeypatch.setattr(days, "resident_bytes", lambda: next(sizes))
    monkeypatch.setattr(days, "draw", lambda rng, model: ("plain", lambda: pd.DataFrame({"score": [rng.random()]})))
    found = days.run(0, 600, calls=50, warm_up=10)
    assert found["failures"] == ["memory: grew by 3.0% in 50 questions"]
    drawn = iter(range(10**6))
    monkeypatch.setattr(days, "draw", lambda rng, model: ("plain", lambda: pd.DataFrame({"score": [next(drawn)]})))
    monkeypatch.setattr(days, "resident_bytes", lambda: 1)
    assert "has another answer" in days.run(0, 600, calls=50, warm_up=10)["failures"][0]


def test_questions_are_drawn_by_number() -> None:
    movies = pd.DataFrame({"movie_id": range(40), "title": [f"Movie {n}" for n in range(40)]})
    tables = SimpleNamespace(movies=movies, users=pd.DataFrame({"user_id": range(9)}))
    model = SimpleNamespace(graph=SimpleNamespace(dataset=tables))
    kinds = [questions.draw(random.Random(number), model)[0] for number in range(200)]
    assert set(kinds) == {"plain", "odd"}
    assert kinds == [questions.draw(random.Random(number), model)[0] for number in range(200)]
