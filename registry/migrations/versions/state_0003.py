"""Names of features once, not in every row of the ledger; the track record as sums; what was asked along history."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NUMBER: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Makes the tables, and moves the names."""
    series = ("symbol", "timeframe", "horizon")
    _create("feature_lists", _text("list_id"), _text("names"), key=("list_id",))
    _create(
        "record_weeks",
        _text("capability"),
        _whole("version"),
        _whole("live"),
        *map(_text, series),
        _whole("week"),
        _whole("newest_at"),
        sa.Column("sums", sa.LargeBinary(), nullable=False),
        key=("capability", "version", "live", *series, "week"),
    )
    _create(
        "usual_weeks",
        _text("capability"),
        *map(_text, series),
        _whole("week"),
        _whole("horizon_ms"),
        _whole("n"),
        sa.Column("total", _NUMBER, nullable=False),
        _text("labels"),
        key=("capability", *series, "week"),
    )
    _create("record_forms", _text("form"), key=())
    _create(
        "past",
        *map(_text, ("capability", "symbol", "timeframe")),
        *map(_whole, ("begins", "ends", "through")),
        key=("capability", "symbol", "timeframe"),
    )
    _move_names()


def downgrade() -> None:
    """There is no way back: a backup is."""
    raise NotImplementedError("state is never taken back a version: restore the backup made before the upgrade")


def _move_names() -> None:
    """Each list once; rows keep its key. One pass over the ledger for each list, of which there are a handful."""
    connection = op.get_bind()
    predictions = sa.table("predictions", sa.column("tenant"), sa.column("feature_names"))
    lists = sa.table("feature_lists", sa.column("tenant"), sa.column("list_id"), sa.column("names"))
    mine, names = predictions.c.tenant, predictions.c.feature_names
    for tenant, told in connection.execute(sa.select(mine, names).distinct()).all():
        key = hashlib.sha256(told.encode()).hexdigest()[:16]
        connection.execute(sa.insert(lists).values(tenant=tenant, list_id=key, names=told))
        connection.execute(sa.update(predictions).where(mine == tenant, names == told).values(feature_names=key))


def _create(name: str, *parts: sa.schema.SchemaItem, key: tuple[str, ...]) -> None:
    primary = sa.PrimaryKeyConstraint("tenant", *key, name=f"pk_{name}")
    op.create_table(name, _text("tenant"), *parts, primary, sqlite_strict=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, _WHOLE, nullable=False)
