"""The pages of the documentation and the scripts that write some of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

HOME = Path(__file__).resolve().parents[2]
DOCS = HOME / "docs"
GENERATED = ("_build", "api")
SITE = [page for page in sorted(DOCS.rglob("[!_]*.md")) if not set(page.relative_to(DOCS).parts) & set(GENERATED)]
PAGES = [HOME / "README.md", HOME / "data" / "README.md", *SITE]


def page_name(page: Path) -> str:
    return str(page.relative_to(HOME))


def script(name: str) -> ModuleType:
    """Import one of the scripts in ``docs/_scripts``."""
    folder = str(DOCS / "_scripts")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
