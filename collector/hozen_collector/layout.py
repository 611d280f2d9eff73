"""Where a collector keeps what: one directory, one function a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_hashes.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The places below a collector's directory.

    `state/` is outside the database and should be outside its backup: it remembers how far the log was ever signed.
    """

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "collector.sqlite"

    @property
    def keys(self) -> Path:
        """Private keys (0600) and their certificates."""
        return self.root / "keys"

    @property
    def uploads(self) -> Path:
        """Unfinished uploads, `<id>.part`."""
        return self.root / "uploads"

    @property
    def archive(self) -> Path:
        """Accepted containers, `<2 hex>/<sha256>`."""
        return self.root / "archive"

    @property
    def quarantine(self) -> Path:
        """What was received and not accepted, `<2 hex>/<sha256>`; nothing here is deleted."""
        return self.root / "quarantine"

    @property
    def attachments(self) -> Path:
        """Custody attachments, `<2 hex>/<sha256>`."""
        return self.root / "attachments"

    @property
    def stamps(self) -> Path:
        """Raw replies of time-stamping authorities and the checkpoints they stamped, `<2 hex>/<sha256>`."""
        return self.root / "stamps"

    @property
    def log(self) -> Path:
        """The transparency log's public files (C2SP tlog-tiles)."""
        return self.root / "log"

    @property
    def state(self) -> Path:
        """The high-water mark of the log."""
        return self.root / "state"

    @property
    def card(self) -> Path:
        """The card that was printed by `init`."""
        return self.root / "card.txt"

    @property
    def lock(self) -> Path:
        """Locked by the one process that serves."""
        return self.root / "lock"

    @property
    def ports(self) -> Path:
        """Where the running process listens; absent when none runs."""
        return self.root / "listening.json"

    def directories(self) -> tuple[Path, ...]:
        """Give every directory a collector needs."""
        return (
            self.keys,
            self.uploads,
            self.archive,
            self.quarantine,
            self.attachments,
            self.stamps,
            self.log,
            self.state,
        )


def existing(root: Path) -> Layout:
    """Give the layout of an initialised collector.

    Raises:
        UsageError: `root` was not made by `hozen collector init`.
    """
    layout = Layout(root)
    if not layout.database.is_file() or not layout.keys.is_dir():
        raise UsageError(
            f"{root} is not a collector's directory", hint=f"Make one: hozen collector init {root}"
        )
    return layout
