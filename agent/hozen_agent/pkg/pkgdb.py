"""The package databases of the host, read by a worker: what is installed, and what each package says of its files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hozen_agent.pkg import apk, dpkg, rpm
from hozen_agent.pkg.model import Claim, Package
from hozen_agent.reading import evidencefile
from hozen_agent.reading.safeopen import RefusedError
from hozen_hashes.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hozen_agent.reading.safeopen import Opener

_TEXT_MAX: Final = 256 << 20
_LIST_MAX: Final = 32 << 20
_DPKG: Final = b"/var/lib/dpkg"
_INFO: Final = b"/var/lib/dpkg/info"
_APK: Final = (b"/lib/apk/db/installed", b"/usr/lib/apk/db/installed")
_RPM: Final = (b"/usr/lib/sysimage/rpm/rpmdb.sqlite", b"/var/lib/rpm/rpmdb.sqlite")
_NOT_READ: Final = {
    b"/var/lib/rpm/Packages": "rpm's older database (Berkeley DB): not supported, only its bytes are captured",
    b"/var/lib/rpm/Packages.db": "rpm's ndb database: not supported, only its bytes are captured",
    b"/usr/lib/sysimage/rpm/Packages.db": "rpm's ndb database: not supported, only its bytes are captured",
    b"/var/lib/pacman/local": "pacman's database: not supported",
}  # fmt: skip


class Databases:
    """Every database that this host has.

    Attributes:
        found: for each, its path and what became of it.
    """

    def __init__(self, opener: Opener, breathe: Callable[[], None]) -> None:
        self._opener = opener
        self._breathe = breathe
        self.found: list[dict[str, str]] = []

    def entries(self) -> Iterator[Package | Claim]:
        """Yield all packages and claims but those of dpkg's lists; a damaged database ends itself alone."""
        yield from self._guarded(_DPKG + b"/status", self._dpkg())
        for path in _APK:
            yield from self._guarded(path, self._apk(path))
        for path in _RPM:
            yield from self._guarded(path, self._rpm(path))
        for path, why in _NOT_READ.items():
            if self._exists(path):
                self.found.append({"database": os.fsdecode(path), "state": "not_supported", "reason": why})  # fmt: skip

    def listed(self, wanted: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (path, package) of those wanted paths that dpkg's lists name."""
        for name in self._info(b".list"):
            if not wanted:
                return
            text = self._small(_INFO + b"/" + name)
            for path in dpkg.listed(text) & wanted:
                yield path, dpkg.package_of(name)

    def listed_times(self) -> dict[bytes, int]:
        """Return of each package of dpkg when its list was written, in nanoseconds: it was unpacked then."""
        times = {}
        for name in self._info(b".list"):
            try:
                directory = self._opener.enter(_INFO)
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except (OSError, RefusedError):
                continue
            times[dpkg.package_of(name)] = found.st_mtime_ns
        return times

    def _guarded(
        self, path: bytes, entries: Iterator[Package | Claim]
    ) -> Iterator[Package | Claim]:
        shown = os.fsdecode(path)
        try:
            yield from entries
        except FileNotFoundError:
            return
        except OSError as error:
            self.found.append({"database": shown, "state": "not_read", "reason": error.strerror or ""})  # fmt: skip
        except (FormatError, RefusedError) as error:
            self.found.append({"database": shown, "state": "damaged", "reason": str(error)})
        else:
            self.found.append({"database": shown, "state": "read", "reason": ""})

    def _dpkg(self) -> Iterator[Package | Claim]:
        status = evidencefile.read(self._opener, _DPKG + b"/status", most=_TEXT_MAX)
        yield from dpkg.packages(status)
        yield from dpkg.conffiles(status)
        diverted = dpkg.diversions(self._small(_DPKG + b"/diversions"))
        for name in self._info(b".md5sums"):
            package = dpkg.package_of(name)
            for claim in dpkg.md5sums(package, self._small(_INFO + b"/" + name)):
                to, by = diverted.get(claim.path, (b"", package))
                yield claim if by == package else Claim(to, package, "md5", claim.digest)

    def _info(self, ending: bytes) -> list[bytes]:
        try:
            return [name for name in evidencefile.names(self._opener, _INFO) if name.endswith(ending)]  # fmt: skip
        except (OSError, RefusedError):
            return []

    def _small(self, path: bytes) -> bytes:
        self._breathe()
        try:
            return evidencefile.read(self._opener, path, most=_LIST_MAX)
        except (OSError, RefusedError):
            return b""

    def _apk(self, path: bytes) -> Iterator[Package | Claim]:
        yield from apk.entries(evidencefile.read(self._opener, path, most=_TEXT_MAX))

    def _rpm(self, path: bytes) -> Iterator[Package | Claim]:
        fd = evidencefile.open_regular(self._opener, path)
        try:
            for header in rpm.headers(fd):
                self._breathe()
                yield rpm.package(header)
                yield from rpm.claims(header)
        finally:
            os.close(fd)
        if self._exists(path + b"-wal", least=1):
            reason = "rpm has a write-ahead log beside it: what was installed last may be missing"
            self.found.append({"database": os.fsdecode(path), "state": "read", "reason": reason})

    def _exists(self, path: bytes, *, least: int = 0) -> bool:
        parent, _, name = path.rpartition(b"/")
        try:
            found = os.stat(name, dir_fd=self._opener.enter(parent), follow_symlinks=False)
        except (OSError, RefusedError):
            return False
        return found.st_size >= least
