"""Writes files of a bundle into a new directory, under our own safe names only, each checked before it gets its name.

A file is written as `<name>.part`; `keep` gives it its name after the caller has proved it, `discard` removes it. So
nothing that was not verified ever lies under a final name.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hozen_hashes.errors import CannotWriteError, UsageError
from hozen_hashes.names import check_member_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PART = ".part"


class NewFolder:
    """A directory that was absent or empty, and is filled by nobody else."""

    def __init__(self, path: Path) -> None:
        """Make the directory.

        Raises:
            UsageError: it is there and not empty, or is no directory.
            CannotWriteError: the operating system refused.
        """
        self.path = path
        self._made = False
        try:
            if not path.exists():
                path.mkdir(parents=True)
                self._made = True
            elif any(path.iterdir()):
                raise UsageError(f"{path} is not empty", hint="name a new directory")
        except NotADirectoryError as error:
            raise UsageError(f"{path} is no directory", hint="name a new directory") from error
        except OSError as error:
            raise _refused(error) from error
        self.waiting: list[str] = []

    def write(self, member: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Write the chunks as they go by, to `<member>.part`; yield them again.

        Raises:
            FormatError: the name is not one of bundle-v1 §3.
            CannotWriteError: the operating system refused, or the name is taken.
        """
        target = self._place(check_member_path(member) + _PART)
        self.waiting.append(member)
        try:
            descriptor = os.open(target, _NEW, 0o600)
        except OSError as error:
            raise _refused(error) from error
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                _write_all(file.fileno(), chunk)
                yield chunk

    def keep(self, member: str, *, name: str = "") -> None:
        """Give a proved file its name; `name` when it is another than the member's."""
        target = self._place(name or member)
        try:
            target.hardlink_to(self.path / (member + _PART))
            (self.path / (member + _PART)).unlink()
        except OSError:
            self._rename(member, target)
        self.waiting.remove(member)

    def discard(self) -> None:
        """Remove every file that was not kept, and the directories that are empty then."""
        for member in self.waiting:
            with suppress(OSError):
                (self.path / (member + _PART)).unlink()
        self.waiting.clear()
        for folder, _, _ in os.walk(self.path, topdown=False):
            if folder != str(self.path) or self._made:
                with suppress(OSError):
                    Path(folder).rmdir()

    def _rename(self, member: str, target: Path) -> None:
        """Rename on a file system without hard links; the directory is ours, so nothing else takes the name."""
        if os.path.lexists(target):
            raise CannotWriteError(f"{target} is already there", hint="name a new directory")
        try:
            (self.path / (member + _PART)).rename(target)
        except OSError as error:
            raise _refused(error) from error

    def _place(self, relative: str) -> Path:
        target = self.path / relative
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(error) from error
        return target


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise _refused(error) from error


def _refused(error: OSError) -> CannotWriteError:
    return CannotWriteError(
        f"cannot write {error.filename or 'the file'}: {error.strerror}",
        hint="check the directory, its medium and the free space",
    )
