"""Every checkpoint that the log ever signed, write-once under its size: `checkpoints/<size>.note` (log-v1 §1, §3)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from hozen_collector import durable
from hozen_hashes.checkpoint import verify_checkpoint
from hozen_hashes.errors import BadDataError, FormatError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_hashes.checkpoint import Checkpoint
    from hozen_hashes.note import VerifierKey

_NAME: Final = re.compile(r"(0|[1-9][0-9]{0,18})\.note")
_MODE: Final = 0o444


class Checkpoints:
    """The notes of one log. Whoever writes holds the log's lock."""

    def __init__(self, directory: Path, key: VerifierKey) -> None:
        self._directory = directory
        self._key = key

    def of_size(self, size: int) -> Checkpoint | None:
        """Give what was signed for this size, None when nothing was.

        Raises:
            FormatError: the note is damaged, or belongs to another log.
        """
        try:
            data = (self._directory / f"{size}.note").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FormatError(f"checkpoints/{size}.note cannot be read: {error.strerror}") from None
        try:
            found = verify_checkpoint(data, [self._key]).checkpoint
        except BadDataError as error:
            raise _damaged(size) from error
        if found.size != size:
            raise _damaged(size)
        return found

    def newest(self) -> Checkpoint | None:
        """Give the largest that was ever signed, None before the first; errors as `of_size`."""
        try:
            names = [
                match for one in os.scandir(self._directory) if (match := _NAME.fullmatch(one.name))
            ]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FormatError(f"checkpoints/ cannot be read: {error.strerror}") from None
        return self.of_size(max(int(match[1]) for match in names)) if names else None

    def keep(self, checkpoint: Checkpoint, note: bytes) -> bool:
        """Make the note durable; one that is there stays. False when that one says something else.

        Raises:
            CannotWriteError: the disk refuses.
            FormatError: the one that is there is damaged.
        """
        kept = self.of_size(checkpoint.size)
        if kept is None:
            durable.make_directory(self._directory, mode=0o755)
            name = f"{checkpoint.size}.note"
            durable.write_file(self._directory / name, note, mode=_MODE)
            return True
        durable.sync_directory(self._directory)  # a crash may have come between name and sync
        return kept == checkpoint


def _damaged(size: int) -> FormatError:
    return FormatError(
        f"checkpoints/{size}.note of the log is damaged",
        hint="Compare it with a backup, and with the checkpoint of that size that others hold.",
    )
