"""Sphinx settings. Builds without a network, and the pages need none either."""

import os
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import make_card  # noqa: E402
import make_reference  # noqa: E402

import gnnrec  # noqa: E402

# Settings and command line are written from the code, the numbers of the model card from the results: none can be old.
make_reference.write(HERE / "_build" / "generated")
make_card.write(HERE / "_build" / "generated")

project = "gnnrec"
author = copyright = "The gnnrec authors"
version = release = gnnrec.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# Notebooks are run while the site is built; one that fails stops it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # warnings of other libraries

# `name` in a docstring is a link where there is such an object, and plain code where there is none.
default_role = "py:obj"
autodoc_typehints = "none"  # the docstrings give types, with shapes and units
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # as a list, like parameters
napoleon_use_rtype = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "gnnrec"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sphinx = False
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_math_renderer = "mathml"


def _inline(translator, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app) -> None:
    """Write formulas as MathML, which browsers draw by themselves."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
