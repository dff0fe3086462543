"""Puts drawn figures (SVG) into the page itself, so that they follow the theme switch; other images stay files."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


class InlineFigures(SphinxPostTransform):
    """Replace images of ``pictures/*.svg`` by their content."""

    default_priority = 5
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Replace them in one page."""
        for image in list(self.document.findall(nodes.image)):
            path = Path(self.app.srcdir) / image["uri"]
            if path.suffix != ".svg" or path.parent.name != "pictures" or not path.is_file():
                continue
            width = f' style="max-width:{image["width"]}"' if "width" in image else ""
            drawing = path.read_text(encoding="utf-8").replace(
                'role="img"', f'role="img" aria-label="{escape(image.get("alt", ""), quote=True)}"', 1
            )
            html = f'<div class="drawn-figure" tabindex="0"><div{width}>{drawing}</div></div>'
            raw = nodes.raw("", html, format="html")
            parent = image.parent
            if isinstance(parent, nodes.paragraph) and len(parent.children) == 1:
                parent.replace_self(raw)
            else:
                image.replace_self(raw)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_post_transform(InlineFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
