"""For which strata of questions a champion was put in force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the table. Moves before it have no rows in it: those champions are in force everywhere."""
    key = ("tenant", "capability", "alias", "move")
    op.create_table(
        "alias_strata",
        *map(_text, ("tenant", "capability", "alias")),
        sa.Column("move", _WHOLE, nullable=False),
        _text("stratum"),
        sa.PrimaryKeyConstraint(*key, "stratum", name="pk_alias_strata"),
        sa.ForeignKeyConstraint(key, [f"aliases.{one}" for one in key], name="fk_alias_strata_aliases"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """There is no way back: a backup is."""
    raise NotImplementedError("state is never taken back a version: restore the backup made before the upgrade")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)
