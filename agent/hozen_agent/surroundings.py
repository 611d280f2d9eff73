"""How a capture reads: private view, reading helpers, redaction; set up before any key exists, left afterwards."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hozen_agent import autogroup, syscalls, traces
from hozen_agent.context import Context
from hozen_agent.filetree.finder import Finder
from hozen_agent.opening import SweepMark
from hozen_agent.proc import snapshot
from hozen_agent.reading import view
from hozen_agent.reading.reader import FileReader
from hozen_agent.reading.selection import Selection
from hozen_agent.redaction.redact import Redactor
from hozen_agent.workers.pool import ReaderPool
from hozen_hashes.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from hozen_agent.net.packetwindow import Limits, PacketWindow
    from hozen_agent.proc.sweep import Sweep
    from hozen_agent.session import Session


class Surroundings:
    """The reading side of one capture.

    Attributes:
        redactor: applied before anything is hashed or stored.
        notes: what was obtained of the private view, in order.
        autogroup: the scheduler's group of our session, put back at the end.
    """

    def __init__(
        self, *, proc: int, sweep: Sweep, redact: bool = True, window: Limits | None = None
    ) -> None:
        """Enter the private view and fork the helpers, for packets only with a `window`; no key may exist yet."""
        traces.share()
        self._own_mounts = _opened("/proc/self/ns/mnt", os.O_RDONLY)
        self._own_place = _opened(".", os.O_PATH)  # setns(2) leaves the process in `/`
        self.autogroup = autogroup.own()  # the view will be read-only
        self._view = view.prepare()
        self._sweep = sweep
        self._first_proc = proc
        self._session: Session | None = None
        self._resting = False
        self._early: list[str] = []
        self.redactor = Redactor(enabled=redact)
        self._pool = ReaderPool.start(root=self._view.root, proc=self._view.proc, note=self._note)
        self._reader = FileReader(self._pool)
        self._finder = Finder(self._pool)
        self._packets = None if window is None else _window(window, self._view.proc)

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
        self.rest()
        if self.autogroup is not None:
            self.autogroup.restore()
        if self._own_mounts is not None and self._view.private:
            with suppress(OSError):  # then a later write is refused, with its own error
                syscalls.enter_mount_namespace(self._own_mounts)
                if self._own_place is not None:
                    os.fchdir(self._own_place)

    def rest(self) -> None:
        """The helpers end: everything is read, and what they used can be counted."""
        if self._resting:
            return
        self._resting = True
        self._pool.stop()
        if self._packets is not None:
            self._packets.stop()

    @property
    def pids(self) -> list[int]:
        """The processes that read for this capture, besides this one."""
        return self._pool.pids()

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

    def watch(self, comments: Sequence[str]) -> None:
        """Open the window on the network's packets, if there is to be one; its file begins with the comments."""
        if self._packets is not None:
            self._packets.open(comments)

    def context(
        self, session: Session, *, memory_of: tuple[str, ...] = (), output: tuple[int, int, str] | None = None
    ) -> Context:  # fmt: skip
        """Return what the artifacts read through; helpers' observations go to the journal from now on."""
        self._session = session
        self._pool.tick = session.writer.tick
        return Context(
            proc=self._view.proc,
            root=self._view.root,
            sweep=self._sweep,
            redactor=self.redactor,
            files=Selection(
                self._reader,
                room=session.room,
                window=session.plan.window,
                over_time=session.plan.over_time,
            ),
            match=self._finder,
            note=session.note,
            room=session.room,
            tick=session.writer.tick,
            stopped=session.stopped,
            packets=self._packets,
            memory_of=memory_of,
            window=session.plan.window,
            output=output,
            collector_offset=lambda: session.offset,
        )

    def footprint(self) -> dict[str, object]:
        """Return the traces that only this side knows of (law M04)."""
        return {
            "workers_abandoned": list(self._pool.abandoned),
            "atime": f"files were opened with O_NOATIME; {self._reader.touched} could only be read without",
            "files_read_without_noatime": self._reader.touched,
            "not_measured": [],
        }

    def redaction(self) -> dict[str, object]:
        """Return whether secrets are removed, and the hash of the rules (bundle-v1 §12)."""
        return {"enabled": self.redactor.enabled, "rules_sha256": self.redactor.rules_sha256}

    def _note(self, text: str) -> None:
        if self._session is None:
            self._early.append(text)
        else:
            self._session.note(text)


def _window(limits: Limits, proc: int) -> PacketWindow:
    from hozen_agent.net.packetwindow import PacketWindow  # only where packets are asked for

    return PacketWindow.start(limits, proc=proc)


def _opened(path: str, flags: int) -> int | None:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return None
