"""Runs, caches, archives, YAML and answers of servers that lie: refused by name, or harmless."""

from __future__ import annotations

import pytest

pytest.importorskip("resource")
from benchmarks.trust import lies

WAITING = ("endless", "dripping", "silent", "pause", "endless head", "drip")
"""Parts of names of lies that are noticed after some seconds only; the long form tries them."""


def chosen() -> list[str]:
    """Return every seventh lie of the list without archives and images, and all that concern keys and terminals."""
    names = [name for name in lies.lies() if not any(word in name for word in WAITING)]
    names = [name for name in names if not name.startswith(("archive", "image"))]
    return sorted({*names[::7], *(name for name in names if name.startswith(("fetch: the key", "terminal")))})


@pytest.mark.slow
@pytest.mark.network
def test_every_seventh_lie() -> None:
    names = chosen()
    found = lies.run(0, 0, names=names)
    assert found["failures"] == []
    assert found["tried"] == found["survived"] == len(names) > 30
    groups = {name.partition(":")[0] for name in names}
    assert {"run", "fetch", "poster at", "terminal"} <= groups


def test_what_the_harness_finds() -> None:
    with pytest.raises(lies.WrongAnswerError, match="it was believed: 5"):
        lies.must_refuse(lambda: 5)

    def refuse() -> None:
        raise lies.GnnrecError("run.json is damaged")

    lies.must_refuse(refuse, "run.json")
    with pytest.raises(lies.WrongAnswerError, match=r"the error does not name 'nodes\.json'"):
        lies.must_refuse(refuse, "nodes.json")
