"""Versions of the schema, applied in order when a collector starts."""
