"""The tables of state. Every one carries its tenant, in its key too, from the first day.

Instants are int64 milliseconds UTC. JSON is kept as text, as it was said. STRICT: what is no integer is refused.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

#: The tenant of an installation that has only one.
LOCAL = "local"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

Whole = BigInteger().with_variant(Integer, "sqlite")
Number: TypeEngine[float] = Double().with_variant(REAL, "sqlite")


def _table(name: str, *parts: SchemaItem) -> Table:
    return Table(name, metadata, _key("tenant"), *parts, sqlite_strict=True)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _number(name: str) -> Column[int]:
    return Column(name, Whole, primary_key=True, autoincrement=False)


def _whole(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Whole, nullable=nullable)


def _words(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


#: Names of the features of a row, a JSON list, kept once for all rows that have them. `list_id` is made of the list.
feature_lists = _table("feature_lists", _key("list_id"), _words("names"))

#: The ledger: what was asked, on which row, and the complete reply. `feature_names` is a `list_id` of `feature_lists`.
predictions = _table(
    "predictions",
    _key("prediction_id"),
    _words("capability"),
    _whole("version"),
    _words("source"),
    _words("symbol"),
    _words("timeframe"),
    _whole("as_of"),
    _whole("data_through"),
    _words("question"),
    _words("feature_names"),
    Column("features", LargeBinary, nullable=False),
    _words("answer"),
    _words("use"),
    _words("asked_by"),
    _whole("asked_at"),
    _words("passed_over"),
    Index("ix_predictions_series", "tenant", "symbol", "timeframe", "as_of"),
    Index("ix_predictions_capability", "tenant", "capability", "as_of"),
)

#: Up to when (ms) somebody was answered on a series: what arrives later was not known then, whatever happens between.
seals = _table("seals", _key("symbol"), _key("timeframe"), _whole("as_of"))

#: What came true. `truth` is JSON (a number or a label), null where it can never be known; `note` then says why.
outcomes = _table(
    "outcomes",
    _key("prediction_id"),
    _words("truth", nullable=True),
    Column("loss", Number, nullable=True),
    _words("note", nullable=True),
    _whole("settled_at"),
    ForeignKeyConstraint(["tenant", "prediction_id"], ["predictions.tenant", "predictions.prediction_id"]),
    Index("ix_outcomes_settled_at", "tenant", "settled_at"),
)

#: The track record, summed up: written in the transaction of the outcomes that it counts. `sums` are float64, little
#: endian; `newest_at` (ms) is the answer that was counted last.
record_weeks = _table(
    "record_weeks",
    _key("capability"),
    _number("version"),
    _number("live"),
    _key("symbol"),
    _key("timeframe"),
    _key("horizon"),
    _number("week"),
    _whole("newest_at"),
    Column("sums", LargeBinary, nullable=False),
)

#: What came true by the week of the question, for climatology. `labels` is JSON: how often each.
usual_weeks = _table(
    "usual_weeks",
    _key("capability"),
    _key("symbol"),
    _key("timeframe"),
    _key("horizon"),
    _number("week"),
    _whole("horizon_ms"),
    _whole("n"),
    Column("total", Number, nullable=False),
    _words("labels"),
)

#: Which code made these sums; no row while they are not complete. Sums of other code are counted anew.
record_forms = _table("record_forms", _words("form"))

#: What is asked along history for the record of replayed answers: from `begins` to `ends`, done up to `through` (ms).
past = _table(
    "past",
    _key("capability"),
    _key("symbol"),
    _key("timeframe"),
    _whole("begins"),
    _whole("ends"),
    _whole("through"),
)

#: Predictors, immutable, counted per capability; 0 is the rules, which have no file.
versions = _table(
    "versions",
    _key("capability"),
    _number("version"),
    _words("state"),
    _words("sha256", nullable=True),
    _words("report", nullable=True),
    _whole("registered_at"),
)

#: Every move of an alias, never changed: the row with the highest `move` among those moved by `as_of` was in force.
aliases = _table(
    "aliases",
    _key("capability"),
    _key("alias"),
    _number("move"),
    _whole("version"),
    _whole("moved_at"),
    ForeignKeyConstraint(
        ["tenant", "capability", "version"], ["versions.tenant", "versions.capability", "versions.version"]
    ),
)

#: For which strata of questions a move put a version in force; a move without any put it in force everywhere.
alias_strata = _table(
    "alias_strata",
    _key("capability"),
    _key("alias"),
    _number("move"),
    _key("stratum"),
    ForeignKeyConstraint(
        ["tenant", "capability", "alias", "move"],
        ["aliases.tenant", "aliases.capability", "aliases.alias", "aliases.move"],
    ),
)

#: Every word on a version, with its reasons (a JSON list), refusals too; never changed.
decisions = _table(
    "decisions",
    _key("capability"),
    _number("number"),
    _whole("version"),
    _words("verdict"),
    _words("reasons"),
    _words("decided_by"),
    _whole("at"),
    ForeignKeyConstraint(
        ["tenant", "capability", "version"], ["versions.tenant", "versions.capability", "versions.version"]
    ),
)

#: Who may do what only one may do, until `expires_at`. `term` grows with every claim: an old holder has an old term.
leases = _table(
    "leases",
    _key("name"),
    _whole("term"),
    _words("holder"),
    _whole("claimed_at"),
    _whole("expires_at"),
)

#: A job claims its slot here before it does anything: the second claim fails.
job_runs = _table(
    "job_runs",
    _key("job"),
    _number("slot"),
    _words("state"),
    _words("detail", nullable=True),
    _whole("claimed_at"),
    _whole("finished_at", nullable=True),
)

#: The outbox. `key` names the fact within its `name`: the same fact is published once.
events = _table(
    "events",
    _number("id"),
    _words("key"),
    _words("name"),
    _words("payload"),
    _whole("at"),
    UniqueConstraint("tenant", "name", "key"),
)

#: Who did what. Each row's hash covers the row before it.
audit = _table(
    "audit",
    _number("id"),
    _whole("at"),
    _words("actor"),
    _words("action"),
    _words("subject"),
    _words("detail"),
    _words("previous_hash"),
    _words("hash"),
)

#: API keys: only a hash of the token is kept. `scopes` are words with spaces between.
keys = _table(
    "keys",
    _key("key_id"),
    _words("name"),
    _words("scopes"),
    _words("secret_hash"),
    _words("created_by"),
    _whole("created_at"),
    _whole("expires_at", nullable=True),
    _whole("last_used_at", nullable=True),
    _whole("revoked_at", nullable=True),
    UniqueConstraint("tenant", "secret_hash"),
)

#: Which Parquet files make up the history, by kind, in the order of `position`.
parts = _table(
    "parts",
    _key("kind"),
    _key("sha256"),
    _whole("position"),
    _whole("n_rows"),
    _whole("added_at"),
    UniqueConstraint("tenant", "kind", "position"),
)

#: The last number given out per sequence: numbers never come twice, whatever is deleted.
sequences = _table("sequences", _key("name"), _whole("last"))
