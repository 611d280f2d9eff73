"""The one word for "bytes in memory" that every writer here accepts."""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
"""Contiguous bytes; a memoryview must have a one-byte format."""
