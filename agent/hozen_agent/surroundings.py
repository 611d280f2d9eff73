"""How a capture reads: private view, reading helpers, redaction; set up before any key exists, left afterwards."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hozen_agent import snapshot, syscalls, view
from hozen_agent.context import Context
from hozen_agent.finder import Finder
from hozen_agent.opening import SweepMark
from hozen_agent.pool import ReaderPool
from hozen_agent.reader import FileReader
from hozen_agent.redact import Redactor
from hozen_hashes.digest import Digest

if TYPE_CHECKING:
    from types import TracebackType

    from hozen_agent.session import Session
    from hozen_agent.sweep import Sweep


class Surroundings:
    """The reading side of one capture.

    Attributes:
        redactor: applied before anything is hashed or stored.
        notes: what was obtained of the private view, in order.
    """

    def __init__(self, *, proc: int, sweep: Sweep, redact: bool = True) -> None:
        """Enter the private view and fork the reading helpers; call this before any key exists."""
        self._own_mounts = _opened("/proc/self/ns/mnt", os.O_RDONLY)
        self._own_place = _opened(".", os.O_PATH)  # setns(2) leaves the process in `/`
        self._view = view.prepare()
        self._sweep = sweep
        self._first_proc = proc
        self._session: Session | None = None
        self._early: list[str] = []
        self.redactor = Redactor(enabled=redact)
        self._pool = ReaderPool.start(root=self._view.root, proc=self._view.proc, note=self._note)
        self._reader = FileReader(self._pool)
        self._finder = Finder(self._pool)

    def __enter__(self) -> Self:
        """Return the surroundings themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the helpers go and return to the host's own mounts, so that receipts can be stored."""
        self._pool.stop()
        if self._own_mounts is not None and self._view.private:
            with suppress(OSError):  # then a later write is refused, with its own error
                syscalls.enter_mount_namespace(self._own_mounts)
                if self._own_place is not None:
                    os.fchdir(self._own_place)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was obtained of the private view, and what the helpers said before the journal was open."""
        return (*self._view.notes, *self._early)

    def sweep_mark(self) -> SweepMark:
        """Return what segment 0 commits to: hash and size of the sweep as it will be stored."""
        digest = Digest()
        for piece in snapshot.sweep_tar(self._sweep, self.redactor, {}):
            digest.update(piece)
        return SweepMark(
            sha256=digest.hexdigest(),
            size=digest.size,
            started=self._sweep.started,
            ended=self._sweep.ended,
        )

    def context(self, session: Session) -> Context:
        """Return what the artifacts read through; helpers' observations go to the journal from now on."""
        self._session = session
        self._pool.tick = session.writer.tick
        return Context(
            proc=self._view.proc,
            root=self._view.root,
            sweep=self._sweep,
            redactor=self.redactor,
            files=self._reader,
            match=self._finder,
            note=session.note,
            room=session.room,
            tick=session.writer.tick,
            collector_offset=lambda: session.offset,
        )

    def footprint(self) -> dict[str, object]:
        """Return the traces that only this side knows of (law M04)."""
        return {
            "processes_created": self._pool.created,
            "workers_abandoned": list(self._pool.abandoned),
            "atime": f"files were opened with O_NOATIME; {self._reader.touched} could only be read without",
            "files_read_without_noatime": self._reader.touched,
            "files_opened": None,
            "sockets_opened": None,
            "not_measured": ["files_opened", "sockets_opened"],
        }

    def redaction(self) -> dict[str, object]:
        """Return whether secrets are removed, and the hash of the rules (bundle-v1 §12)."""
        return {"enabled": self.redactor.enabled, "rules_sha256": self.redactor.rules_sha256}

    def _note(self, text: str) -> None:
        if self._session is None:
            self._early.append(text)
        else:
            self._session.note(text)


def _opened(path: str, flags: int) -> int | None:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return None
