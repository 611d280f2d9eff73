"""Witnesses of the log and their cosignatures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "witness",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("failures", number, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("failed", number, nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "cosignature",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("size", number, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("stated", number, nullable=False),
        sa.Column("arrived", number, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("size", "key"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("cosignature")
    op.drop_table("witness")
