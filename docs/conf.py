"""The site: `make docs`. Sphinx, as the reference comes from docstrings in its own mark-up."""

import sys
from datetime import date
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "extensions"), str(Path(__file__).parents[1])]

import curvcore

project, author = "curvcore", "The curvcore developers"
version = release = curvcore.__version__
copyright = f"{date.today().year}, {author}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",  # pages in Markdown; tutorials are run
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",  # |R|, and properties
    "indices",  # g_ij in docstrings with its indices lowered
    "mathml",  # formulas without scripts or fonts from elsewhere
    "outside",  # links to files beside docs/
]
exclude_patterns = ["extensions", "_build", "referee.html"]

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"curvcore {release}"
html_static_path = ["style"]
html_css_files = ["curvcore.css"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"  # by the page's text; tests/test_site.py runs all anew
nb_execution_cache_path = str(Path(__file__).parent / "_build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_render_markdown_format = "myst"

nitpicky = True
# Of other projects: their inventories are a network away.
OTHERS = "torch|numpy|collections|pathlib|os|typing|flint|lightning|matplotlib|sklearn|scipy|pandas"
nitpick_ignore_regex = [
    (r"py:.*", rf"({OTHERS})\..*"),
    (r"py:.*", r"(curvcore\.providers|training\.(datamodule|densities))\..*"),  # not public
]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
toc_object_entries_show_parents = "hide"
napoleon_use_ivar = True
