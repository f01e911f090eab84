"""What is known of a version: what it learnt from, how it can be made again, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from registry.faults import StateDamaged


class State(StrEnum):
    """Where a version stands. A champion answers; a shadow is judged beside it; a candidate waits to be judged."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"


class Verdict(StrEnum):
    """What was decided about a version. `kept` leaves everything as it was: a promotion refused for now."""

    REGISTERED = "registered"
    SHADOWED = "shadowed"
    KEPT = "kept"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Card:
    """A version as it was made. With the same lessons, seed, code and environment it comes out the same, bit for bit.

    Instants are ms UTC. `learned_through` is when the newest lesson had settled: before it the version answers nothing.
    """

    learner: str
    """`capability/learner@format`, the learner that wrote the bytes."""
    sha256: str
    """Of the artefact's bytes, which lie among the blobs."""
    features: tuple[str, ...]
    n_lessons: int
    lessons_sha256: str
    learned_from: int
    learned_through: int
    seed: int
    code: str
    """SHA-256 over the source of what learns."""
    environment: Mapping[str, str]
    """Versions of Python and of the packages that have a say."""
    parent: int
    """The version in force when this one was trained."""
    report: Mapping[str, Any]
    losses_sha256: str | None = None
    """Of what its learner showed in a walk-forward before it, which lies among the blobs: later challengers are held
    against it."""

    def same_learner(self, other: Card) -> bool:
        """Whether one is a refit of the other: the same learner, features and code, on other lessons."""
        mine, theirs = ((one.learner, one.features, one.code) for one in (self, other))
        return mine == theirs

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @staticmethod
    def of(told: Mapping[str, Any]) -> Card:
        return Card(**{**told, "features": tuple(told["features"])})


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a capability. `label` is for people: major.minor.patch (features or learner; code; data). Version 0,
    the rules, has no card."""

    capability: str
    version: int
    label: str
    state: State
    registered_at: int
    card: Card | None

    @property
    def name(self) -> str:
        return f"{self.capability}@{self.version}"


@dataclass(frozen=True, slots=True)
class Decision:
    """A word on a version, with its reasons, strongest first. `number` counts per capability."""

    capability: str
    number: int
    version: int
    verdict: Verdict
    reasons: tuple[str, ...]
    decided_by: str
    at: int


def told(card: Card, label: str) -> str:
    """Card and label as the `report` of a row."""
    return json.dumps({"label": label, "card": json.loads(card.to_json())}, sort_keys=True, allow_nan=False)


def version_of(capability: str, version: int, state: str, registered_at: int, report: str | None) -> Version:
    """Back from a row. Raises StateDamaged for a report that no `told` wrote."""
    if report is None:
        return Version(capability, version, "rules", State(state), registered_at, None)
    try:
        said = json.loads(report)
        return Version(capability, version, said["label"], State(state), registered_at, Card.of(said["card"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StateDamaged(f"the report of {capability}@{version} cannot be read: {type(error).__name__}") from error


def next_label(card: Card, latest: Version | None) -> str:
    """The label after `latest`, the newest model before: major where the learner's format or the features changed,
    minor where the code did, else patch: the same model on new data. The first is 1.0.0."""
    if latest is None or latest.card is None:
        return "1.0.0"
    major, minor, patch = map(int, latest.label.split("."))
    if (card.learner, card.features) != (latest.card.learner, latest.card.features):
        return f"{major + 1}.0.0"
    if card.code != latest.card.code:
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"
