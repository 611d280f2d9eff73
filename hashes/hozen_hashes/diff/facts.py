"""One comparable fact of a bundle, and what the bundle did not obtain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` of `key` in `group`, shown by `item`.

    Attributes:
        artifact: the family that gave it; a bundle without that family says nothing about the key.
        package: the package that the host's own database names for the file; empty when none or unknown.
    """

    group: str
    key: str
    value: str
    artifact: str
    item: int
    package: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A key that was not obtained, or, under the key "", a whole group, and why."""

    group: str
    key: str
    reason: str
