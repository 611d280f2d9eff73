"""Trusted time: the collector asks time-stamping authorities, checks and keeps their replies (timestamp-v1)."""
