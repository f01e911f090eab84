"""The first tables: ledger, outcomes, versions, aliases, job runs, events, audit, keys, parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not taken from registry.tables: a step must stay what it was when the tables move on.
_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NUMBER: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    _ledger()
    _registry()
    _operations()
    _history()


def downgrade() -> None:
    """There is no way back: a backup is."""
    raise NotImplementedError("state is never taken back a version: restore the backup made before the upgrade")


def _ledger() -> None:
    _create(
        "predictions",
        _text("prediction_id"),
        _text("capability"),
        _whole("version"),
        _text("source"),
        _text("symbol"),
        _text("timeframe"),
        _whole("as_of"),
        _whole("data_through"),
        _text("question"),
        _text("feature_names"),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        _text("answer"),
        _text("use"),
        _text("asked_by"),
        _whole("asked_at"),
        _text("passed_over"),
        key=("prediction_id",),
    )
    op.create_index("ix_predictions_series", "predictions", ["tenant", "symbol", "timeframe", "as_of"])
    op.create_index("ix_predictions_capability", "predictions", ["tenant", "capability", "as_of"])
    _create(
        "outcomes",
        _text("prediction_id"),
        _text("truth", nullable=True),
        sa.Column("loss", _NUMBER, nullable=True),
        _text("note", nullable=True),
        _whole("settled_at"),
        sa.ForeignKeyConstraint(
            ["tenant", "prediction_id"],
            ["predictions.tenant", "predictions.prediction_id"],
            name="fk_outcomes_predictions",
        ),
        key=("prediction_id",),
    )
    op.create_index("ix_outcomes_settled_at", "outcomes", ["tenant", "settled_at"])


def _registry() -> None:
    _create(
        "versions",
        _text("capability"),
        _whole("version"),
        _text("state"),
        _text("sha256", nullable=True),
        _text("report", nullable=True),
        _whole("registered_at"),
        key=("capability", "version"),
    )
    _create(
        "aliases",
        _text("capability"),
        _text("alias"),
        _whole("move"),
        _whole("version"),
        _whole("moved_at"),
        sa.ForeignKeyConstraint(
            ["tenant", "capability", "version"],
            ["versions.tenant", "versions.capability", "versions.version"],
            name="fk_aliases_versions",
        ),
        key=("capability", "alias", "move"),
    )


def _operations() -> None:
    _create(
        "job_runs",
        _text("job"),
        _whole("slot"),
        _text("state"),
        _text("detail", nullable=True),
        _whole("claimed_at"),
        _whole("finished_at", nullable=True),
        key=("job", "slot"),
    )
    _create(
        "events",
        _whole("id"),
        _text("key"),
        _text("name"),
        _text("payload"),
        _whole("at"),
        sa.UniqueConstraint("tenant", "name", "key", name="uq_events_tenant_name_key"),
        key=("id",),
    )
    _create(
        "audit",
        _whole("id"),
        _whole("at"),
        *map(_text, ("actor", "action", "subject", "detail", "previous_hash", "hash")),
        key=("id",),
    )
    _create(
        "keys",
        *map(_text, ("key_id", "name", "role", "secret_hash")),
        _whole("created_at"),
        _whole("expires_at", nullable=True),
        _whole("revoked_at", nullable=True),
        sa.UniqueConstraint("tenant", "secret_hash", name="uq_keys_tenant_secret_hash"),
        key=("key_id",),
    )


def _history() -> None:
    _create(
        "parts",
        _text("kind"),
        _text("sha256"),
        _whole("position"),
        _whole("n_rows"),
        _whole("added_at"),
        sa.UniqueConstraint("tenant", "kind", "position", name="uq_parts_tenant_kind_position"),
        key=("kind", "sha256"),
    )
    _create("sequences", _text("name"), _whole("last"), key=("name",))


def _create(name: str, *parts: sa.schema.SchemaItem, key: tuple[str, ...]) -> None:
    primary = sa.PrimaryKeyConstraint("tenant", *key, name=f"pk_{name}")
    op.create_table(name, _text("tenant"), *parts, primary, sqlite_strict=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _WHOLE, nullable=nullable)
