"""Sphinx's settings for the documentation; the version is read, never imported."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "django-broadcasting"
author = "broadcasting contributors"
copyright = "2026, broadcasting contributors"  # noqa: A001 - Sphinx's name

_face = (ROOT / "broadcasting" / "__init__.py").read_text(encoding="utf-8")
release = re.search(r'^__version__ = "([^"]+)"', _face, re.MULTILINE)[1]  # type: ignore[index]
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"django-broadcasting {release}"
html_copy_source = False

nitpicky = True
