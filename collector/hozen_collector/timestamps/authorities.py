"""The time-stamping authorities of the settings, with their roots loaded."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hozen_collector.clock import SECOND
from hozen_collector.timestamps.ageing import Ageing, read_ageing
from hozen_hashes import certificates
from hozen_hashes.errors import BadDataError, UsageError
from hozen_hashes.verify.tiers import read_tsa_list

if TYPE_CHECKING:
    from cryptography import x509

    from hozen_config.timestamps import TimestampAuthority, TimestampSettings
    from hozen_hashes.verify.tiers import TsaList

_MAX_FILE: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One authority to ask; `timeout` in seconds is for the whole of an answer, `skew` is in nanoseconds."""

    name: str
    url: str
    roots: tuple[x509.Certificate, ...]
    policy: str | None = None
    tls: ssl.SSLContext | None = None
    timeout: float = 20.0
    skew: int = 300 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """All of them, in the order of the settings; none when the collector makes no time stamps."""

    every: tuple[Authority, ...] = ()
    tiers: TsaList | None = None
    ageing: Ageing = field(default_factory=Ageing)

    def named(self, name: str) -> Authority | None:
        """Give the authority of this name, or None when the settings have it no more."""
        return next((one for one in self.every if one.name == name), None)


def load_authorities(settings: TimestampSettings) -> Authorities:
    """Load roots, list and dates.

    Raises:
        UsageError: a name is there twice, or a file cannot be used.
    """
    names = [one.name for one in settings.authorities]
    if len(set(names)) != len(names):
        raise UsageError("two authorities under `timestamps` have the same name")
    skew = settings.skew * SECOND
    return Authorities(
        every=tuple(_authority(one, skew) for one in settings.authorities),
        tiers=_tiers(settings.tiers),
        ageing=read_ageing(settings),
    )


def _authority(one: TimestampAuthority, skew: int) -> Authority:
    roots = [root for path in one.roots for root in _roots(path)]
    if not roots:
        raise UsageError(f"timestamps: {one.name} has no root certificate")
    return Authority(
        name=one.name,
        url=one.url,
        roots=tuple(roots),
        policy=one.policy,
        tls=_tls(one) if one.url.startswith("https:") else None,
        timeout=one.timeout,
        skew=skew,
    )


def _tls(one: TimestampAuthority) -> ssl.SSLContext:
    if one.tls_roots is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=_read(one.tls_roots).decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise UsageError(f"timestamps: {one.tls_roots} holds no usable certificates") from error


def _roots(path: str) -> list[x509.Certificate]:
    try:
        return certificates.load_certificates(_read(path))
    except BadDataError as error:
        raise UsageError(f"timestamps: {path} holds no usable certificates: {error}") from error


def _tiers(path: str | None) -> TsaList | None:
    if path is None:
        return None
    try:
        return read_tsa_list(_read(path))
    except BadDataError as error:
        raise UsageError(f"timestamps.tiers: {path}: {error}") from error


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _MAX_FILE:
        raise UsageError(f"{path} is larger than {_MAX_FILE} bytes")
    return data
