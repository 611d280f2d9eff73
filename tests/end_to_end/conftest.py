"""The synthetic host, for the tests here."""

from synthetic_host import case_options, host

__all__ = ["case_options", "host"]
