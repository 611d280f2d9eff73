"""Typed settings and capture profiles, read from YAML that is checked before it is believed."""
