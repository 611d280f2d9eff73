"""The schema that migrations make is the one that the code believes in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import alembic.autogenerate
import alembic.migration
import pytest
from sqlalchemy import text

from hozen_collector.clock import now_ns
from hozen_collector.index.engine import Index
from hozen_collector.index.models import Base, Token
from hozen_hashes.errors import CannotWriteError, InternalError

if TYPE_CHECKING:
    from pathlib import Path


def token(number: int) -> Token:
    return Token(
        id=str(number), secret_sha256="", hosts="*", uses_left=1, expires=2**62, created=now_ns()
    )


def test_the_migrations_make_exactly_the_models(empty_collector: Path) -> None:
    index = Index(empty_collector / "collector.sqlite")
    index.migrate()  # a second time changes nothing
    with index.read() as session:
        context = alembic.migration.MigrationContext.configure(session.connection())
        assert alembic.autogenerate.compare_metadata(context, Base.metadata) == []
    index.close()


def test_every_commit_is_durable_and_foreign_keys_hold(empty_collector: Path) -> None:
    index = Index(empty_collector / "collector.sqlite")
    for session_of in (index.read, index.write):
        with session_of() as session:
            values = {
                name: session.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    index.close()


def test_writers_take_turns_and_none_is_lost(empty_collector: Path, tools: Any) -> None:
    index = Index(empty_collector / "collector.sqlite")

    def write(start: int) -> None:
        for number in range(start, start + 20):
            with index.write() as session:
                session.add(token(number))

    threads = [threading.Thread(target=write, args=(at * 100,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tools.sql(empty_collector, "SELECT count(*) FROM token") == [(120,)]
    index.close()


def test_nothing_of_a_transaction_that_failed_is_kept(empty_collector: Path, tools: Any) -> None:
    index = Index(empty_collector / "collector.sqlite")

    def twice() -> None:
        with index.write() as session:
            session.add(token(1))
            session.flush()
            session.execute(text("INSERT INTO token SELECT * FROM token"))

    with pytest.raises(InternalError):
        twice()
    assert tools.sql(empty_collector, "SELECT count(*) FROM token") == [(0,)]
    index.close()


def test_a_database_that_cannot_be_opened_is_our_own_error(tmp_path: Path) -> None:
    index = Index(tmp_path / "no" / "where.sqlite")
    with pytest.raises(CannotWriteError), index.read() as session:
        session.execute(text("SELECT 1"))
    index.close()
