"""The documentation site: `make docs` builds it into build/docs from this folder and the docstrings, offline.

Warnings are errors, tutorials are executed, and a failing cell fails the build.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "extensions")]

from theory import __version__  # noqa: E402 - found by the line above

# The tutorials' nets are small: threads of one would only wait for each other, long where other work is going on.
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "relstab"
author = "The relstab developers"
copyright = "The relstab developers, MIT licence"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "name_and_meaning",
    "public_names",
    "symbols",
]
exclude_patterns = ["extensions"]
html_theme = "furo"
html_title = "relstab"
html_static_path = ["static"]
html_css_files = ["site.css"]

# Markdown: mathematics between dollars, notes and grids between colons.
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Tutorials are Markdown; executed once and kept until their text or the packages change.
_packages = hashlib.sha256()
for _path in sorted(path for name in ("theory", "empirical", "compare") for path in (ROOT / name).rglob("*.py")):
    _packages.update(_path.read_bytes())
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "notebooks" / _packages.hexdigest()[:12])
nb_execution_timeout = 600  # seconds a cell, on a busy machine
nb_execution_raise_on_error = True
nb_merge_streams = True

# Docstrings: a name in backticks is a link where it is one of ours.
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a field that several classes have, such as `width`, is no link
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_preprocess_types = False
