"""The jobs of a server: what is done again and again, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ml.learning import Progress
from workers.retrain import Retrain
from workers.schedule import Job

DAY_SECONDS = 86_400
#: A feed that has gone stale is told of within this.
STALENESS_SECONDS = 60

Work = Callable[[], Awaitable[None]]
#: Gives the ear for the work that it is told, `learning volatility` say.
Ears = Callable[[str], Progress]


class Cadences(Protocol):
    """How often each is done, as the operator set it."""

    @property
    def refresh_seconds(self) -> int: ...
    @property
    def settle_seconds(self) -> int: ...
    @property
    def features_seconds(self) -> int: ...
    @property
    def feature_statistics_seconds(self) -> int: ...
    @property
    def past_seconds(self) -> int: ...
    @property
    def sweep_seconds(self) -> int: ...

    def retrain_every(self, capability: str) -> int:
        """Days between two trainings."""


def jobs(
    often: Cadences,
    refresh: Work | None,
    settle: Work,
    staleness: Work,
    features: Work,
    statistics: Work,
    sweep: Work,
    past: Callable[[Progress], Awaitable[None]],
    retrains: Sequence[Retrain],
    progress: Ears,
) -> tuple[Job, ...]:
    """The jobs, in the order in which a server that starts does what came due while it was down: learning last."""

    async def ask_past() -> None:
        await past(progress("asking the past"))

    return (
        *([Job("refresh", often.refresh_seconds, refresh)] if refresh else []),
        Job("settle", often.settle_seconds, settle),
        Job("staleness", STALENESS_SECONDS, staleness),
        # Two rounds of refresh past the hour, so that the bar of that hour has come.
        _late("features", often.features_seconds, features, late=2 * often.refresh_seconds),
        _late("feature_statistics", often.feature_statistics_seconds, statistics, late=900),
        _late("sweep", often.sweep_seconds, sweep, late=1_800),
        Job("past", often.past_seconds, ask_past),
        *(_retraining(one, often.retrain_every(one.capability.name), progress) for one in retrains),
    )


def no_ears(work: str) -> Progress:  # noqa: ARG001 - nobody listens to any
    """Nobody listens to the progress."""
    return _unheard


def _unheard(share: float, doing: str) -> None:
    """Nobody listens."""


def _retraining(one: Retrain, every_days: int, progress: Ears) -> Job:
    name = one.capability.name

    async def run() -> None:
        await one.run(progress(f"learning {name}"))

    return _late(f"retrain.{name}", every_days * DAY_SECONDS, run, late=3_600)


def _late(name: str, every_seconds: int, run: Work, *, late: int) -> Job:
    return Job(name, every_seconds, run, after_seconds=min(late, every_seconds // 2))
