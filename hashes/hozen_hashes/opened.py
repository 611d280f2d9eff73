"""A bundle opened for reading: a file, volumes, a pipe, an encrypted file or an unpacked directory (bundle-v1 §4, §10).

Whatever the form, its members come as safe paths without the bundle id, each with its bytes in chunks. A rule that the
container as a whole breaks is raised as FormatError; a member that cannot be read raises from its own chunks.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hozen_hashes import names, volumes, zipread
from hozen_hashes.age import AgeReader
from hozen_hashes.digest import Digest
from hozen_hashes.errors import FormatError, UsageError
from hozen_hashes.openeddir import DirectoryBundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from hozen_hashes.agekeys import Identity
    from hozen_hashes.holder.keys import Holder

_NAME_OF_OURS = re.compile(rb"hz-[0-9]{8}T[0-9]{6}Z-[a-z0-9-]{1,32}-[0-9a-f]{8}/")
_LOOK = 1 << 16


class Member(Protocol):
    """One file of the bundle: `path` is checked (bundle-v1 §3) and has no bundle id."""

    @property
    def path(self) -> str:
        """Path inside the bundle."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order; FormatError when they are damaged."""


class OpenBundle(Protocol):
    """What every form gives.

    Attributes:
        form: `file`, `volumes`, `pipe`, `encrypted` or `directory`.
        bundle_id: known when the first member has come; None before.
        resumable: after a damaged member the next one can still be read.
        odd: names that a bundle cannot have, with the reason; only a directory can hold them.
    """

    form: str
    resumable: bool
    bundle_id: str | None
    odd: list[tuple[str, str]]

    def members(self) -> Iterator[Member]:
        """Yield every member once."""

    def is_ours(self) -> bool:
        """Return whether the bytes look like a bundle at all, damaged or not."""

    def ciphertext_sha256(self) -> str | None:
        """Return the SHA-256 of the encrypted file when all of it was read; None for any other form."""


@dataclass(frozen=True, slots=True)
class _Member:
    path: str
    source: Callable[[], Iterator[bytes]]

    def chunks(self) -> Iterator[bytes]:
        return self.source()


class _Top:
    """Holds every member to one top directory."""

    def __init__(self) -> None:
        self.bundle_id: str | None = None
        self.odd: list[tuple[str, str]] = []

    def path(self, name: str) -> str:
        """Return the path inside the bundle; FormatError for another top directory."""
        bundle_id, path = names.split_member_name(name)
        if self.bundle_id is None:
            self.bundle_id = bundle_id
        if bundle_id != self.bundle_id:
            raise FormatError("the container has more than one top directory")
        return path

    def ciphertext_sha256(self) -> str | None:
        """Return None: the container is not encrypted."""
        return None


class ZipBundle(_Top):
    """A container that can be read at any place: the directory is checked before any member is read."""

    resumable = True

    def __init__(self, file: BinaryIO, *, form: str = "file") -> None:
        super().__init__()
        self.form = form
        self._file = file

    def entries(self) -> dict[str, zipread.Entry]:
        """Return the members by path, for who wants only some of them.

        Raises:
            FormatError, LimitError: the container breaks bundle-v1 §4.
        """
        entries = zipread.read_directory(self._file)
        return {self.path(one.name): one for one in entries if not one.directory}

    def members(self) -> Iterator[Member]:
        """Yield every member in the order of the directory.

        Raises:
            FormatError, LimitError: the container breaks bundle-v1 §4.
        """
        entries = zipread.read_directory(self._file)
        entries.reverse()
        while entries:
            entry = entries.pop()  # so that the list shrinks while the reader's own grows
            if not entry.directory:
                yield _Member(self.path(entry.name), self._reader(entry))

    def _reader(self, entry: zipread.Entry) -> Callable[[], Iterator[bytes]]:
        return lambda: zipread.open_entry(self._file, entry)

    def is_ours(self) -> bool:
        """Return whether a bundle's name stands near the beginning or the end."""
        self._file.seek(0)
        head = self._file.read(_LOOK)
        self._file.seek(max(0, self._file.seek(0, os.SEEK_END) - _LOOK))
        return bool(_NAME_OF_OURS.search(head) or _NAME_OF_OURS.search(self._file.read(_LOOK)))


class PipeBundle(_Top):
    """A container read front to back, once; the directory at its end is compared with what was seen."""

    resumable = False

    def __init__(self, read: Callable[[int], bytes], *, form: str = "pipe") -> None:
        super().__init__()
        self.form = form
        self._read = read

    def members(self) -> Iterator[Member]:
        """Yield every member as it comes; a member's chunks must be taken before the next one."""
        for member in zipread.walk(self._read):
            yield _Member(self.path(member.name), member.chunks)

    def is_ours(self) -> bool:
        """Return whether a member with a bundle's name has come."""
        return self.bundle_id is not None


class EncryptedBundle(PipeBundle):
    """A container that is decrypted while it is read, and hashed as it lies there."""

    def __init__(self, file: BinaryIO, identities: Sequence[Identity]) -> None:
        self._file = file
        self._digest = Digest()
        super().__init__(AgeReader(self._counted, identities).read, form="encrypted")

    def ciphertext_sha256(self) -> str | None:
        """Return the hash of the ciphertext when nothing of it is left to read."""
        return None if self._counted(1) else self._digest.hexdigest()

    def _counted(self, size: int) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data


@contextmanager
def open_bundle(
    source: str, *, stdin: BinaryIO | None = None, identities: Sequence[Holder] = ()
) -> Iterator[OpenBundle]:
    """Give an open bundle; closed afterwards.

    Args:
        source: a file, the first volume, an unpacked directory, or `-` for `stdin`.
        stdin: what `-` means.
        identities: age identities and keys of certificates, for an encrypted bundle.

    Raises:
        UsageError: nothing is there, or it is something that needs another command or key.
        NotVerifiableError: no given key opens it.
    """
    with ExitStack() as stack:
        if source == "-":
            if stdin is None:
                raise UsageError("there is no standard input to read a bundle from")
            yield PipeBundle(stdin.read)
            return
        path = Path(source)
        if path.is_dir():
            yield DirectoryBundle(bag_directory(path.resolve()))
            return
        _refuse_partial(path)
        if path.suffix == ".age":
            if not identities:
                raise UsageError(
                    f"{path.name} is encrypted",
                    hint="give the recipient's key with --identity FILE",
                )
            from hozen_hashes.holder.keys import identities_for  # noqa: PLC0415 - rarely needed

            ages = identities_for(path, identities)
            encrypted = stack.enter_context(volumes.open_container(path))
            yield EncryptedBundle(encrypted, ages)
            return
        file = stack.enter_context(volumes.open_container(path))
        single = path.suffix == ".zip" and path.is_file()
        yield ZipBundle(file, form="file" if single else "volumes")


def _refuse_partial(path: Path) -> None:
    if path.name.endswith((".zip.partial", ".age.partial")):
        raise UsageError(f"{path.name} is an unfinished capture", hint=f"use: hozen salvage {path}")


def bag_directory(path: Path) -> Path:
    """Return the directory that is the bag: `path` itself, or the only bundle directly inside it.

    Raises:
        UsageError: neither is.
    """
    if names.BUNDLE_ID.match(path.name) or (path / "bagit.txt").is_file():
        return path
    inside = [one for one in path.iterdir() if names.BUNDLE_ID.match(one.name) and one.is_dir()]
    if len(inside) == 1:
        return inside[0]
    raise UsageError(f"{path} is not an unpacked bundle", hint="name the directory hz-…")
