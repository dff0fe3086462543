"""A small split, and a study of it that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnnrec import Split, StudyResult, tune
from tests.helpers.tuning import SPACE, small_split


@pytest.fixture(scope="session")
def small() -> Split:
    return small_split()


@pytest.fixture(scope="session")
def six_trials(small: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path]:
    """Return a study of six trials and the folder of its report and journal."""
    folder = tmp_path_factory.mktemp("study")
    result = tune(
        small, SPACE, trials=6, storage=folder / "journal", study="six", out=folder, command="go", progress=False
    )
    return result, folder
