"""The integrity library: bundle format, journal, seal, verification, transparency log.

Bytes and streams in, verified objects out; it opens no socket and starts no program.
"""

__version__ = "0.1.0"
