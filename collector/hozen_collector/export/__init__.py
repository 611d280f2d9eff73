"""Derived forms of a verified bundle for other people's tools (docs/format/export-v1.md); the bundle stays as it is."""
