"""Sphinx: Markdown pages, one theme, no network."""

from __future__ import annotations

project = "Hozen"
author = "the Hozen authors"
copyright = "2026, the Hozen authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["_build", "changes"]
highlight_language = "none"
nitpicky = True
html_theme = "furo"
html_title = "Hozen"
