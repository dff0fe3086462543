"""The pages of the documentation and the scripts that write some of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

HOME = Path(__file__).resolve().parents[2]
DOCS = HOME / "docs"
GENERATED = ("_build", "api")
SITE = [page for page in sorted(DOCS.rglob("[!_]*.md")) if not set(page.relative_to(DOCS).parts) & set(GENERATED)]
PAGES = [HOME / "README.md", HOME / "data" / "README.md", *SITE]


def check_listed(listed: Iterable[str], names: Iterable[str], page: str, heading: str) -> None:
    """Fail unless a table of a page lists exactly these names; say what to add or remove where."""
    listed, names = set(listed), set(names)
    missing, extra = ", ".join(sorted(names - listed)), ", ".join(sorted(listed - names))
    assert not missing, f"add to docs/{page}, in the table under {heading!r}, a line for each of: {missing}"
    assert not extra, f"remove from docs/{page}, in the table under {heading!r}, what does not exist: {extra}"


def page_name(page: Path) -> str:
    return str(page.relative_to(HOME))


def script(name: str) -> ModuleType:
    """Import one of the scripts in ``docs/_scripts``."""
    folder = str(DOCS / "_scripts")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
