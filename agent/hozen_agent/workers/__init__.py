"""Processes that may hang in place of the one that holds the keys, and what passes between them."""
