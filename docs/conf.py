"""Configure Sphinx for the documentation site, which `make docs` builds (scripts/site.py)."""

from __future__ import annotations

import ast
from importlib.metadata import version as version_of

import echo_trio
import loadgen

project = "echo-trio"
author = "the echo-trio developers"
release = version = version_of("echo-trio")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]

html_theme = "furo"
html_title = "echo-trio"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
pygments_style, pygments_dark_style = "friendly", "monokai"

# The pages are read on the forge as well, which makes anchors of headings in this way.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = [
    "myst.header",  # the changelog goes from ## to ####
]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
# In docstrings a single backtick marks code, as everywhere here.
default_role = "literal"
nitpicky = False


def show_plain_types(kind: type) -> None:
    """Let the fields of a class have the types that a program gives, without their flags.

    The annotations are text: `Annotated[int, flags.count("COUNT")]`.
    """
    for owner in kind.__mro__:
        for name, annotation in vars(owner).get("__annotations__", {}).items():
            if isinstance(annotation, str) and annotation.startswith("Annotated["):
                parsed = ast.parse(annotation, mode="eval").body
                assert isinstance(parsed, ast.Subscript)
                assert isinstance(parsed.slice, ast.Tuple)
                owner.__annotations__[name] = ast.unparse(parsed.slice.elts[0])


show_plain_types(echo_trio.Settings)
show_plain_types(loadgen.Plan)
