"""The database of one collector: SQLite, durable at each commit, one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

import alembic.command
import alembic.config
import sqlalchemy
import sqlalchemy.event
import sqlalchemy.exc
from sqlalchemy.orm import Session

from hozen_collector import durable
from hozen_hashes.errors import InternalError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_MS = 20_000


class Index:
    """An open database. `read` and `write` may be used from any thread; both block, so never on the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers = _engine(path, begin="BEGIN", size=8)
        # One connection: writers of this process queue here instead of waiting on SQLite's lock.
        self._writer = _engine(path, begin="BEGIN IMMEDIATE", size=1)

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session on one consistent snapshot.

        Raises:
            TryAgainError: the database is busy.
            CannotWriteError: the disk refuses.
            InternalError: any other database fault.
        """
        with _translated(), Session(self._readers) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are durable, all of them, when the block ends; none if it raises.

        Raises:
            TryAgainError: the database is busy.
            FullError: the disk is full.
            CannotWriteError: the disk refuses.
            InternalError: any other database fault.
        """
        with _translated(), Session(self._writer, expire_on_commit=False) as session:
            yield session
            session.commit()

    def migrate(self) -> None:
        """Bring the schema to the newest version."""
        config = alembic.config.Config()
        config.set_main_option("script_location", "hozen_collector.index:migrations")
        with _translated(), self._writer.connect() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
            connection.commit()
        durable.sync_directory(self._path.parent)

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self._writer.dispose()


def _engine(path: Path, *, begin: str, size: int) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}",
        poolclass=sqlalchemy.QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_MS / 1000,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    @sqlalchemy.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sqlalchemy.event.listens_for(engine, "begin")
    def _begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise TryAgainError("the collector's database is busy", hint="Try again soon.") from error
    except sqlalchemy.exc.DBAPIError as error:
        raise _meaning(error) from error


def _meaning(error: sqlalchemy.exc.DBAPIError) -> Exception:
    name = getattr(error.orig, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TryAgainError("the collector's database is busy", hint="Try again soon.")
    if name.startswith("SQLITE_FULL"):
        return durable.cannot_write(
            "the database", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        )
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return durable.cannot_write("the database", OSError(errno.EIO, os.strerror(errno.EIO)))
    return InternalError(f"the database refused: {error.orig}", hint="This is a fault of Hozen.")
