"""Small directories of files write-once beside a container: `<container>.<kind>/<digest>/` (envelope-v1 §3)."""

from __future__ import annotations

import errno
import secrets
import shutil
from typing import TYPE_CHECKING, Final

from hozen_collector import durable
from hozen_hashes.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FILE: Final = 0o440
_DIRECTORY: Final = 0o550
_THERE: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_UNFINISHED: Final = "beside-*.tmp"


def put_once(scratch: Path, place: Path, files: Mapping[str, bytes]) -> None:
    """Make `place` a read-only directory of exactly these files, durably and whole; one that is there stays.

    Args:
        scratch: a directory of the same file system, where an unfinished one lies until then.
        place: where it will lie; its parent is made when it is missing.
        files: by names that the caller has checked.

    Raises:
        CannotWriteError: the disk refuses; nothing is at `place` that was not there before.
        InternalError: other bytes lie there.
    """
    if not place.exists():
        _make(scratch, place, files)
    if read_files(place) != dict(files):
        raise InternalError(
            f"the archive holds other bytes as {place.parent.name}/{place.name}",
            hint="Verify the archive before anything else.",
        )
    _settle(place)


def read_files(place: Path) -> dict[str, bytes]:
    """Give the files of a directory by name; raises CannotWriteError where the disk refuses."""
    with durable.writing(place.name):
        return {one.name: one.read_bytes() for one in sorted(place.iterdir())}


def sweep(scratch: Path) -> None:
    """Remove what interrupted `put_once` calls left; at start, before anything is served."""
    for leftover in scratch.glob(_UNFINISHED):
        with durable.writing(leftover.name):
            shutil.rmtree(leftover)


def _make(scratch: Path, place: Path, files: Mapping[str, bytes]) -> None:
    """Write the files under a name of our own, then give the directory its name in one step."""
    durable.make_directory(place.parent)
    temporary = scratch / f"beside-{secrets.token_hex(8)}.tmp"
    durable.make_directory(temporary)
    try:
        for name, data in sorted(files.items()):
            durable.create_file(temporary / name, data, mode=_FILE)
        with durable.writing(place.name):
            _rename(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, place: Path) -> None:
    try:
        temporary.rename(place)
    except OSError as error:
        if error.errno not in _THERE:  # somebody was quicker
            raise


def _settle(place: Path) -> None:
    """Make the name durable, also one that an interrupted call gave."""
    with durable.writing(place.name):
        place.chmod(_DIRECTORY)
    for directory in (place, place.parent, place.parent.parent):
        durable.sync_directory(directory)
