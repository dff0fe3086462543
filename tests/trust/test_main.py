"""The command of the harnesses: what it writes, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("resource")
from benchmarks.trust import __main__ as command


def run(harness: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(command, "available", lambda: ["kill", "numerics"])
    monkeypatch.setattr(command, "importlib", SimpleNamespace(import_module=lambda name: SimpleNamespace(run=harness)))
    return command.main(["--only", "numerics", "--minutes", "0.5", "--seed", "7", "--json", str(path)])


def test_results_of_other_harnesses_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = tmp_path / "trust.json", []

    def harness(seed: int, seconds: float) -> dict[str, Any]:
        asked.append((seed, seconds))
        command.record(path, {"kill": {"tried": 5, "survived": 5}})  # another process, meanwhile
        return {"tried": 3, "survived": 3, "kinds": {}, "failures": []}

    assert run(harness, path, monkeypatch) == 0
    assert asked == [(7, 30.0)]
    found = json.loads(path.read_text())["harnesses"]
    assert list(found) == ["kill", "numerics"]
    assert found["kill"] == {"tried": 5, "survived": 5}
    assert found["numerics"]["command"] == "python -m benchmarks.trust --only numerics --minutes 0.5 --seed 7"
    other = tmp_path / "other.json"
    assert command.main(["--merge", str(path), "--json", str(other)]) == 0
    assert other.read_text() == path.read_text()
    assert command.main(["--merge", str(path), "--json", str(other), "--note", "All were mended."]) == 0
    assert json.loads(other.read_text())["harnesses"]["kill"]["note"] == "All were mended."


def test_the_status_tells_of_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {"tried": 3, "survived": 2, "kinds": {}, "failures": ["x: hangs"]}
    assert run(lambda seed, seconds: failed, tmp_path / "trust.json", monkeypatch) == 1
    assert "numerics: 2 of 3 survived" in (out := capsys.readouterr().out) and "x: hangs" in out
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])
