"""Leaves words in types of docstrings ("iterable of ids") unlinked: only names of classes lead somewhere."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx


def unlink_words(app: Sphinx, document: nodes.document) -> None:
    """Replace links of types whose name is an ordinary word in lower case."""
    for link in list(document.findall(addnodes.pending_xref)):
        target = link.get("reftarget", "")
        if any(isinstance(child, addnodes.pending_xref_condition) for child in link):
            continue  # of a signature, where types are code
        if link.get("refdomain") == "py" and link.get("reftype") == "class" and target.islower() and "." not in target:
            link.replace_self(link.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.connect("doctree-read", unlink_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
