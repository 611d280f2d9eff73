"""One collector, opened: everything that requests and jobs work with."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hozen_collector import durable, jobs, keys
from hozen_collector.archive import beside
from hozen_collector.archive.filesystem import FilesystemArchive
from hozen_collector.index.engine import Index
from hozen_collector.intake.store import UploadStore
from hozen_collector.layout import Layout, existing
from hozen_collector.log import TransparencyLog
from hozen_collector.receipts import Receipts
from hozen_collector.timestamps import backfill
from hozen_collector.timestamps.authorities import Authorities, load_authorities
from hozen_collector.timestamps.keeping import reschedule
from hozen_collector.witnesses.keeping import Cosignatures
from hozen_hashes.errors import TryAgainError

if TYPE_CHECKING:
    from pathlib import Path

    from hozen_config.settings import CollectorSettings as Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """The parts of one collector, which one process has open at a time."""

    layout: Layout
    settings: Settings
    keys: keys.Keys
    index: Index
    log: TransparencyLog
    receipts: Receipts
    cosignatures: Cosignatures
    store: UploadStore
    archive: FilesystemArchive
    quarantine: FilesystemArchive
    stamps: FilesystemArchive
    authorities: Authorities
    lock: int

    def close(self) -> None:
        """Give the directory back."""
        self.index.close()
        os.close(self.lock)


def open_collector(root: Path, settings: Settings) -> Collector:
    """Open a collector for serving: migrate, finish what a crash interrupted, publish what was not yet.

    Raises:
        UsageError: not a collector's directory.
        TryAgainError: another process serves it.
        RolledBackError: the database is older than the log.
        HozenError: keys, database or disk refuse.
    """
    layout = existing(root)
    authorities = load_authorities(settings.timestamps)
    lock = lock_directory(layout)
    for directory in layout.directories():
        durable.make_directory(directory)
    for directory in (layout.keys, layout.state, layout.log, layout.stamps):
        durable.sweep_temporary(directory)
    own = keys.renew_server(layout, keys.read_keys(layout))
    index = Index(layout.database)
    index.migrate()
    log = TransparencyLog(layout, index, own.log)
    cosignatures = Cosignatures(index, log, settings)
    log.open()
    cosignatures.begin()
    store = UploadStore(index, layout, settings)
    store.sweep_files()
    beside.sweep(layout.uploads)
    reschedule(index, authorities.ageing)
    backfill.promise(index, authorities)
    jobs.release_all(index, max_attempts=settings.job_attempts)
    return Collector(
        layout=layout,
        settings=settings,
        keys=own,
        index=index,
        log=log,
        receipts=Receipts(index, log, own, cosignatures),
        cosignatures=cosignatures,
        store=store,
        archive=FilesystemArchive(layout.archive),
        quarantine=FilesystemArchive(layout.quarantine),
        stamps=FilesystemArchive(layout.stamps),
        authorities=authorities,
        lock=lock,
    )


def lock_directory(layout: Layout) -> int:
    """Be the only process that serves this directory; give the descriptor that holds the lock.

    Raises:
        TryAgainError: another process does.
    """
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise TryAgainError(
            "another process serves this collector", hint=f"Stop it first; see {layout.ports}."
        ) from error
    return descriptor
