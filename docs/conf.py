"""Sphinx configuration. Neither the build nor the pages need a network."""

import importlib
import inspect
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_scripts"), str(HERE / "_ext")]

import make_card  # noqa: E402
import make_reference  # noqa: E402

import gnnrec  # noqa: E402

# Settings and commands are documented from the code, the numbers of the model card from results: they cannot be outdated.
GENERATED = HERE / "_build" / "generated"
make_reference.write(GENERATED)
make_card.write(GENERATED)
REPOSITORY = "https://github.com/gnnrec/gnnrec"
changelog = (HERE.parent / "CHANGELOG.md").read_text(encoding="utf-8")
(GENERATED / "changelog.md").write_text(
    changelog.replace("](CONTRIBUTING.md", f"]({REPOSITORY}/blob/main/CONTRIBUTING.md").replace("](docs/", "]("),
    encoding="utf-8",
)

project = "gnnrec"
author = copyright = "The gnnrec authors"
version = release = gnnrec.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "inline_figures",
    "plain_types",
]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
templates_path = ["_templates"]
exclude_patterns = ["_build", "_scripts", "_ext", "_templates"]
# Notebooks are executed by the build; an error stops it.
nb_execution_mode = "force"
nb_execution_excludepatterns = ["notebooks/movielens-1m.ipynb"]  # of licensed data nothing is shown row by row
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # warnings of other libraries

# `name` in a docstring links to the object of that name, and is plain code if there is none.
default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # as a list, like parameters
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# One page per object. `docs/reference/api.md` lists the packages; what is public is their __all__.
PACKAGES = (
    "gnnrec",
    "gnnrec.models",
    "gnnrec.ratings",
    "gnnrec.data",
    "gnnrec.datasets",
    "gnnrec.splitting",
    "gnnrec.evaluation",
    "gnnrec.reranking",
    "gnnrec.features",
    "gnnrec.metadata",
    "gnnrec.explore",
    "gnnrec.benchmarking",
    "gnnrec.tuning",
    "gnnrec.training",
    "gnnrec.nn",
    "gnnrec.graph",
    "gnnrec.user_features",
    "gnnrec.plots",
    "gnnrec.export",
)
KINDS = ("Functions", "Classes", "Exceptions")


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return "Exceptions" if issubclass(value, BaseException) else "Classes"
    return "Functions" if inspect.isroutine(value) else "Data"  # documented where it is used


def _public(package: str) -> SimpleNamespace:
    """Return the public names of a package by kind; those that `gnnrec` itself exports are documented there."""
    module = importlib.import_module(package)
    names = sorted(getattr(module, "__all__", ()), key=str.lower)
    top = package == "gnnrec"
    kinds = {name: _kind(getattr(module, name)) for name in names}
    own = [
        (kind, [name for name in names if kinds[name] == kind and (top or name not in gnnrec.__all__)])
        for kind in KINDS
    ]
    elsewhere = [] if top else [f"gnnrec.{name}" for name in names if name in gnnrec.__all__]
    return SimpleNamespace(own=[(kind, found) for kind, found in own if found], elsewhere=elsewhere)


autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autosummary_context = {
    "public": {package: _public(package) for package in PACKAGES},
    "hidden_bases": "BaseModel, BaseException, tuple, dict, Module",
    "hidden_members": [],
}

html_theme = "furo"
html_title = "gnnrec"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "light_logo": "logo-light.svg",
    "dark_logo": "logo-dark.svg",
    "sidebar_hide_name": True,
    "source_repository": f"{REPOSITORY}/",
    "source_branch": "main",
    "source_directory": "docs/",
    "light_css_variables": {
        "color-brand-primary": "#24528f",
        "color-brand-content": "#24528f",
        "color-brand-visited": "#5d4a9c",
    },
    "dark_css_variables": {
        "color-brand-primary": "#8fc1f2",
        "color-brand-content": "#8fc1f2",
        "color-brand-visited": "#bda7ef",
    },
}
html_copy_source = False
html_show_sphinx = False
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_math_renderer = "mathml"


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Write formulas as MathML, which browsers draw by themselves."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
