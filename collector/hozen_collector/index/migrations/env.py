"""Runs migrations on the connection that `Index.migrate` hands over."""

from __future__ import annotations

from alembic import context

from hozen_collector.index.models import Base


def _run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
