"""Looks whether a capture would work here, without taking one (the checks of `hozen doctor`)."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_agent import host
from hozen_agent.destination import open_destination
from hozen_hashes.errors import HozenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hozen_agent.opening import CollectorPort
    from hozen_hashes.identity import Signer

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_NEEDED = {"CAP_DAC_READ_SEARCH": 2, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        state: `ok`, `warning`, `failed` or `not run`.
        code: exit code when it failed.
    """

    name: str
    state: str
    detail: str
    hint: str = ""
    code: int = 0


def check_up(
    *,
    out: Path | None,
    allow_local: bool,
    connect: Callable[[], CollectorPort | None],
    signer: Callable[[], Signer],
) -> Iterator[Check]:
    """Yield each check with its result; a check that was not asked for is `not run`, never `ok`."""
    yield _privileges()
    yield _clock()
    yield _destination(out, allow_local=allow_local)
    yield _signer(signer)
    yield _collector(connect)
    yield Check(name="program", state="ok", detail=f"SHA-256 of its files {host.self_sha256()}")


def _privileges() -> Check:
    mask = int(host.capabilities() or "0", 16)
    lacking = [name for name, bit in _NEEDED.items() if not mask >> bit & 1]
    if not lacking:
        return Check(name="privileges", state="ok", detail="everything a capture can use is there")
    return Check(
        name="privileges",
        state="warning",
        detail=f"uid {os.geteuid()} lacks {', '.join(lacking)}",
        hint="run as root; what is refused will be recorded as denied",
    )


def _clock() -> Check:
    state = ctypes.CDLL(None, use_errno=True).adjtimex((ctypes.c_long * 32)())
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if state == -1:
        return Check(
            name="clock", state="not run", detail=f"{shown}; synchronisation could not be asked"
        )
    if state == _TIME_ERROR:
        return Check(
            name="clock",
            state="warning",
            detail=f"{shown}; not synchronised",
            hint="do not set it: name --collector, so that the offset is measured and recorded",
        )
    return Check(name="clock", state="ok", detail=f"{shown}; synchronised")


def _destination(out: Path | None, *, allow_local: bool) -> Check:
    if out is None:
        return Check(name="destination", state="not run", detail="no --out was given")
    try:
        found = open_destination(out, allow_local=allow_local, volume_size=None, floor=64 << 20)
    except HozenError as error:
        return _failed("destination", error)
    os.close(found.fd)
    volumes = f", in volumes of {found.volume_size >> 20} MiB" if found.volume_size else ""
    where = f", on {found.examined}" if found.examined else ""
    return Check(
        name="destination", state="ok", detail=f"{out}: {found.free >> 20} MiB free{volumes}{where}"
    )


def _signer(choose: Callable[[], Signer]) -> Check:
    try:
        signer = choose()
    except HozenError as error:
        return _failed("signing key", error)
    if signer.kind == "one-capture":
        return Check(
            name="signing key",
            state="warning",
            detail="none: a key would be made for one capture and never written",
            hint="bring --identity FILE, or enrol this host",
        )
    until = signer.certificate.not_valid_after_utc.date()
    subject = signer.certificate.subject.rfc4514_string()
    return Check(
        name="signing key", state="ok", detail=f"{signer.kind}: {subject}, valid until {until}"
    )


def _collector(connect: Callable[[], CollectorPort | None]) -> Check:
    try:
        port = connect()
        if port is None:
            return Check(name="collector", state="not run", detail="no --collector was given")
        offset, uncertainty = port.measure_offset()
    except HozenError as error:
        return _failed("collector", error)
    return Check(
        name="collector",
        state="ok",
        detail=f"reachable; this clock minus its clock: {offset:+.1f} ± {uncertainty:.1f} ms",
    )


def _failed(name: str, error: HozenError) -> Check:
    return Check(
        name=name, state="failed", detail=str(error), hint=error.hint, code=error.exit_code
    )
