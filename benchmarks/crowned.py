"""A data folder with the sample market in which models answer, for benchmarks: taught, and promoted by hand."""

from __future__ import annotations

import time
from pathlib import Path

from commands.config import Config, Market
from commands.running import sample_work
from server import House, build
from workers.classroom import TRAINING_MS, Classroom
from workers.subjects import subjects
from workers.train import Course

#: Models that take no walk-forward to make; the others are left to their rules.
TAUGHT = ("regime", "volatility")


def course(house: House, name: str) -> Course:
    """What a retraining of `name` would be taught now, without a walk-forward."""
    capability = next(one for one in house.catalogue if one.name == name)
    series = [one for one in house.history.series() if one.timeframe == "1h"]
    taught = subjects(capability, series)
    if not taught:
        raise LookupError(f"{name} has nothing to learn with, or from")
    now = max(one.last_close for one in series)
    school = Classroom.of(capability, house.ask.market, taught, now - TRAINING_MS, now)
    lessons = school.settled_by(now)
    return Course(name, lessons, int(school.settled_at[: len(lessons)].max()), seed=0)


def sample_house(folder: Path) -> House:
    """A house over the sample market."""
    house = build(Config(market=Market(sample=True)), folder, _now)
    sample_work(house)
    return house


def crown(folder: Path, names: tuple[str, ...] = TAUGHT) -> None:
    """Fills the folder."""
    house = sample_house(folder)
    try:
        for name in names:
            version = house.trainer.train(course(house, name), lambda _share, _word: None)
            house.versions.promote(name, version.version, ["for a benchmark"], "bench", _now())
    finally:
        house.close()


def _now() -> int:
    return time.time_ns() // 1_000_000
