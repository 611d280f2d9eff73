"""What every package database says, in the same words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    Attributes:
        manager: `dpkg`, `rpm` or `apk`.
        state: as the database words it; `installed` where it has no words for it.
        installed: nanoseconds since 1970 when the database or its files say so, else None; `by` says what said it.
    """

    manager: str
    name: bytes
    version: bytes
    architecture: bytes = b""
    state: bytes = b"installed"
    installed: int | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a package says of one file.

    Attributes:
        path: absolute, as the package names it.
        algorithm: of `digest`: `md5`, `sha1`, `sha256` …, empty when the database has no digest of it.
        digest: lower-case hexadecimal.
        config: meant to be changed by the administrator.
    """

    path: bytes
    package: bytes
    algorithm: str = ""
    digest: str = ""
    config: bool = False
