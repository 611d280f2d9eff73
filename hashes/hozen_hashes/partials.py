"""Finds and opens what an unfinished capture left: the torn container and the journal beside it (bundle-v1 §6)."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hozen_hashes import tornvolumes, zipread
from hozen_hashes.age import AgeReader
from hozen_hashes.errors import BadDataError, LimitError, NotVerifiableError, UsageError
from hozen_hashes.salvage import PREFIX, SalvageReport, salvage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from hozen_hashes.agekeys import Identity
    from hozen_hashes.holder.keys import Holder
    from hozen_hashes.unpack import NewFolder

_BASE: Final = re.compile(r"(hz-[0-9A-Za-z-]+)(\.journal|\.zip(\.age)?(\.partial)?(\.[0-9]{3})?)")
_CONTAINERS: Final = (".zip.partial", ".zip.age.partial", ".zip", ".zip.age")
_CHUNK: Final = 1 << 18
_MAX_SIDECAR: Final = 512 << 20
_MAX_FILES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Source:
    """A torn container, a journal directory, or both; read again for every pass."""

    container: Path | None
    journal: Path | None
    identities: Sequence[Identity]

    def report(self) -> SalvageReport:
        """Return what is proved; nothing is written."""
        with self._reader() as read:
            return salvage(sidecar=self._sidecar(), container=read)

    def write(self, report: SalvageReport, folder: NewFolder) -> int:
        """Write the proved files, each hashed again on its way; return how many.

        A proved prefix gets the ending `.prefix`.
        """
        wanted = {one.path: one for one in report.proved}
        kept = 0
        with self._reader() as read:
            for member in zipread.walk(read, recover=True) if read is not None else ():
                claim = wanted.pop(member.path, None)
                if claim is None:
                    continue
                digest = sha256()
                for chunk in folder.write(member.path, _first(member.chunks(), claim.size)):
                    digest.update(chunk)
                if digest.hexdigest() == claim.sha256:
                    ending = ".prefix" if claim.extent == PREFIX else ""
                    folder.keep(member.path, name=member.path + ending)
                    kept += 1
        return kept

    @contextmanager
    def _reader(self) -> Iterator[Callable[[int], bytes] | None]:
        with ExitStack() as stack:
            if self.container is None:
                yield None
                return
            file = stack.enter_context(tornvolumes.open_torn(self.container))
            yield (
                _Decrypted(file, self.identities).read if _encrypted(self.container) else file.read
            )

    def _sidecar(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        if self.journal is None:
            return
        try:
            paths = sorted(self.journal.iterdir())
        except OSError as error:
            raise UsageError(f"cannot read {self.journal}: {error.strerror}") from error
        if len(paths) > _MAX_FILES:
            raise LimitError(f"{self.journal}: more than {_MAX_FILES} files")
        for path in paths:
            if path.is_file() and not path.is_symlink():
                yield path.name.removesuffix(".age"), self._chunks(path)

    def _chunks(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            read = _Decrypted(file, self.identities).read if path.suffix == ".age" else file.read
            left = _MAX_SIDECAR
            while left > 0 and (chunk := read(_CHUNK)):
                left -= len(chunk)
                yield chunk


class _Decrypted:
    """The authenticated beginning of an age file; damage is its end."""

    def __init__(self, file: BinaryIO, identities: Sequence[Identity]) -> None:
        if not identities:
            raise NotVerifiableError(
                "検証不能: the capture is encrypted; its records, files and container cannot be read without the key",
                hint="give the recipient's key with --identity FILE",
            )
        self._file, self._identities = file, identities
        self._age: AgeReader | None = None
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return at most `size` decrypted bytes, none at the end or at the first damage."""
        if self._ended:
            return b""
        try:
            if self._age is None:
                self._age = AgeReader(self._file.read, self._identities)
            return self._age.read(size)
        except BadDataError:
            self._ended = True
            return b""


def locate(path: Path, holders: Sequence[Holder] = ()) -> Source:
    """Return the container and the journal directory that belong to `path`.

    Raises:
        UsageError: nothing of a capture is there, or no envelope for the key of a certificate.
        NotVerifiableError: no given key of a certificate opens the envelope.
    """
    match = _BASE.fullmatch(path.name)
    identities = _identities(path, holders)
    if match is None:
        if path.is_file():
            return Source(path, None, identities)
        raise UsageError(
            f"{path} is no part of an unfinished capture",
            hint="name hz-….zip.partial or hz-….journal",
        )
    beside = path.with_name(match[1] + ".journal")
    journal = beside if beside.is_dir() else None
    container = path if match[2] != ".journal" else _container(path, match[1])
    if container is not None and not _there(container):
        container = None
    if container is None and journal is None:
        raise UsageError(f"{path}: there is no such file", hint="check the path")
    return Source(container, journal, identities)


def _identities(path: Path, holders: Sequence[Holder]) -> Sequence[Identity]:
    if not holders:
        return ()
    from hozen_hashes.holder.keys import identities_for  # noqa: PLC0415 - rarely needed

    return identities_for(path, holders)


def _container(path: Path, base: str) -> Path | None:
    candidates = (path.with_name(base + ending) for ending in _CONTAINERS)
    return next((one for one in candidates if _there(one)), None)


def _there(path: Path) -> bool:
    return path.is_file() or tornvolumes.first(path).is_file()


def _encrypted(path: Path) -> bool:
    return ".zip.age" in path.name


def _first(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield exactly the first `size` bytes, and take the rest."""
    for chunk in chunks:
        if size > 0:
            yield chunk[:size]
        size -= len(chunk)
