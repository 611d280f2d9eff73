"""Envelopes of encrypted bundles, and statements of who opened one elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "envelope",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("seal_signature", sa.Text(), nullable=False),
        sa.Column("size", number, nullable=False),
        sa.Column("recipients", number, nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("signer_name", sa.Text(), nullable=False),
        sa.Column("vouched", sa.Boolean(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("arrived", number, nullable=False),
        sa.Column("leaf", number, nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"]),
        sa.ForeignKeyConstraint(["container"], ["container.sha256"]),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.position"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_envelope_container", "envelope", ["container"])
    op.create_table(
        "opening",
        sa.Column("signature_sha256", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("signer_name", sa.Text(), nullable=False),
        sa.Column("states", sa.Text(), nullable=False),
        sa.Column("stated", number, nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("arrived", number, nullable=False),
        sa.Column("leaf", number, nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"]),
        sa.ForeignKeyConstraint(["container"], ["container.sha256"]),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.position"]),
        sa.PrimaryKeyConstraint("signature_sha256"),
    )
    op.create_index("ix_opening_container", "opening", ["container"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("opening")
    op.drop_table("envelope")
