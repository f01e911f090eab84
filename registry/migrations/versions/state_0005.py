"""Keys have scopes, who made them, and when they were last used. No version before could make a key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the table anew."""
    op.drop_table("keys")
    words = ("tenant", "key_id", "name", "scopes", "secret_hash", "created_by")
    op.create_table(
        "keys",
        *(sa.Column(name, sa.Text(), nullable=False) for name in words),
        sa.Column("created_at", _WHOLE, nullable=False),
        *(sa.Column(name, _WHOLE, nullable=True) for name in ("expires_at", "last_used_at", "revoked_at")),
        sa.PrimaryKeyConstraint("tenant", "key_id", name="pk_keys"),
        sa.UniqueConstraint("tenant", "secret_hash", name="uq_keys_tenant_secret_hash"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """There is no way back: a backup is."""
    raise NotImplementedError("state is never taken back a version: restore the backup made before the upgrade")
