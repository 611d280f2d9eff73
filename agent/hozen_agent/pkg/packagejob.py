"""The worker's side of the list of packages: one JSON line a package, then what dpkg's log says was done."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hozen_agent.pkg import dpkg
from hozen_agent.pkg.model import Package
from hozen_agent.pkg.pkgdb import Databases
from hozen_agent.reading import evidencefile
from hozen_agent.reading.safeopen import RefusedError
from hozen_hashes.jsonl import dump_line
from hozen_hashes.names import percent_encode, rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hozen_agent.reading.safeopen import Opener
    from hozen_agent.workers.jobwork import JobOut

_LOGS: Final = (b"/var/log/dpkg.log.1", b"/var/log/dpkg.log")
_LOG_MAX: Final = 64 << 20


def run(opener: Opener, out: JobOut, _path: bytes, _asked: Mapping[str, object]) -> dict[str, object]:  # fmt: skip
    """Put a line for each package and each logged action into stream 0; return counts and databases."""
    begun = time.monotonic()
    databases = Databases(opener, lambda: out.block(0, b""))
    times, count = databases.listed_times(), 0
    for entry in databases.entries():
        if isinstance(entry, Package):
            out.block(0, _line(entry, times))
            count += 1
    logged = sum(_logged(opener, out, path) for path in _LOGS)
    seconds = round(time.monotonic() - begun, 3)
    return {"packages": count, "logged": logged, "databases": databases.found, "seconds": seconds}


def _line(package: Package, times: Mapping[bytes, int]) -> bytes:
    if package.manager == "dpkg" and package.name in times:
        package = replace(package, installed=times[package.name], by="mtime of its .list")
    return dump_line(
        {
            "manager": package.manager,
            "name": percent_encode(package.name),
            "version": percent_encode(package.version),
            "architecture": percent_encode(package.architecture),
            "state": package.state.decode("utf-8", "backslashreplace"),
            "installed": None if package.installed is None else rfc3339(package.installed),
            "installed_by": package.by,
        }
    )


def _logged(opener: Opener, out: JobOut, path: bytes) -> int:
    try:
        text = evidencefile.read(opener, path, most=_LOG_MAX)
    except (OSError, RefusedError):
        return 0
    lines = [dump_line({"manager": "dpkg", "log": path.decode(), **entry}) for entry in dpkg.logged(text)]  # fmt: skip
    out.block(0, b"".join(lines))
    return len(lines)
