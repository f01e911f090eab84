"""Decisions on versions, with their reasons; leases; and up to when each series was answered on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "decisions",
        _text("tenant"),
        _text("capability"),
        _whole("number"),
        _whole("version"),
        _text("verdict"),
        _text("reasons"),
        _text("decided_by"),
        _whole("at"),
        sa.PrimaryKeyConstraint("tenant", "capability", "number", name="pk_decisions"),
        sa.ForeignKeyConstraint(
            ["tenant", "capability", "version"],
            ["versions.tenant", "versions.capability", "versions.version"],
            name="fk_decisions_versions",
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "leases",
        _text("tenant"),
        _text("name"),
        _whole("term"),
        _text("holder"),
        _whole("claimed_at"),
        _whole("expires_at"),
        sa.PrimaryKeyConstraint("tenant", "name", name="pk_leases"),
        sqlite_strict=True,
    )
    op.create_table(
        "seals",
        _text("tenant"),
        _text("symbol"),
        _text("timeframe"),
        _whole("as_of"),
        sa.PrimaryKeyConstraint("tenant", "symbol", "timeframe", name="pk_seals"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """There is no way back: a backup is."""
    raise NotImplementedError("state is never taken back a version: restore the backup made before the upgrade")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, _WHOLE, nullable=False)
