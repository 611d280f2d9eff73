"""Time stamps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "stamp",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("stamped", number, nullable=False),
        sa.Column("arrived", number, nullable=False),
        sa.Column("ends", number, nullable=False),
        sa.Column("algorithms", sa.Text(), nullable=False),
        sa.Column("renew_at", number, nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("tier_as_of", sa.Text(), nullable=False),
        sa.Column("size", number, nullable=False),
        sa.Column("bundle", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.Column("leaf", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["leaf"],
            ["leaf.position"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
        sa.UniqueConstraint("target", "authority"),
    )
    with op.batch_alter_table("stamp", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stamp_renew_at"), ["renew_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_stamp_seal"), ["seal"], unique=False)
        batch_op.create_index(batch_op.f("ix_stamp_subject"), ["subject"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("stamp", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stamp_subject"))
        batch_op.drop_index(batch_op.f("ix_stamp_seal"))
        batch_op.drop_index(batch_op.f("ix_stamp_renew_at"))

    op.drop_table("stamp")
