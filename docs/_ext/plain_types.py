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
        if link.get("refdomain") != "py" or link.get("reftype") != "class" or not target.islower() or "." in target:
            continue
        if _is_in_signature(link):
            continue  # types are code there
        # A link has one text if it leads somewhere and another ("*") if not.
        texts = [one for one in link.children if isinstance(one, addnodes.pending_xref_condition)]
        plain = next((one.children for one in texts if one.get("condition") == "*"), link.children)
        link.replace_self(plain)


def _is_in_signature(node: nodes.Node) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, addnodes.desc_signature):
            return True
    return False


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.connect("doctree-read", unlink_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
