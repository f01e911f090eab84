"""Runs a house: the server over a bound socket, and its jobs beside it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import uvicorn

from barograph import __version__
from commands.access import started
from commands.config import Config
from commands.interpreter import undisturbed
from market.sample import SIMULATED, SampleFeed, sample_market
from registry.jobs import JobRuns
from registry.owner_token import give_token, take_back
from server import House, app, build
from tools.clock import Clock
from workers.extract_features import ExtractFeatures
from workers.feature_statistics import DescribeFeatures
from workers.jobs import Ears, jobs, no_ears
from workers.refresh import Feed, Refresh
from workers.schedule import Job, Schedule

log = logging.getLogger("barograph")

#: What the training process imports, and the server never does.
TAUGHT_WITH = ("onnx", "torch", "xgboost")

#: A connection that is still busy so long after the server was told to stop is cut.
END_SECONDS = 10


def run(
    config: Config,
    folder: Path,
    clock: Clock,
    listening: socket.socket,
    announce: Callable[[], None],
    progress: Ears = no_ears,
) -> None:
    """Serves on a socket that is bound already, until told to stop. `announce` is called once the doors are open;
    `progress` gives the ear for a training of the capability that it is told."""
    house = build(config, folder, clock)
    try:
        take_over(house)
        token = give_token(folder, os.urandom)
        fed = sample_work if config.market.sample else unfed
        schedule = fed(house, progress)
        served = Announcing(
            uvicorn.Config(
                app(house, schedule, local_token=token),
                log_level=config.log_level,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=END_SECONDS,
            ),
            announce,
            house.changes.end,
        )
        house.audit.record(started(config, __version__, house.clock()))
        with undisturbed():
            served.run(sockets=[listening])
    finally:
        take_back(folder)
        house.close()


def take_over(house: House) -> None:
    """For a new owner of the folder, before any job runs: whoever ran one or held a lease is dead, so what was cut off
    runs again and nobody waits for a lease to expire."""
    now = house.clock()
    house.trainer.jobs.abandon(now)
    house.trainer.leases.void(now)


class Announcing(uvicorn.Server):
    """A server that says when it is up, and when it begins to stop: it waits for streams, which end for nobody else."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce, self._ending = announce, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def scheduled(house: House, feeds: Sequence[Feed], through: int, progress: Ears = no_ears) -> Schedule:
    """All jobs of the house, over `feeds` of which the history holds what had closed by `through` (ms)."""
    wanted = house.config.features
    extract = ExtractFeatures(house.history, house.features, house.clock, wanted.timeframes, wanted.symbols)
    found = (
        *_feeds(house, progress),
        *jobs(
            house.config.schedule,
            Refresh(feeds, house.history, house.clock, through).run if feeds else None,
            house.settle.run,
            house.staleness.run,
            extract.run,
            DescribeFeatures(house.features, house.summaries, house.clock).run,
            house.sweep.run,
            house.past.run,
            house.retrains if house.config.models.train and _can_learn() else (),
            progress,
        ),
    )
    return Schedule(found, JobRuns(house.store, house.config.tenant), house.clock)


def _feeds(house: House, progress: Ears) -> Sequence[Job]:
    """The jobs that bring data in, first of all: what the others do, they do with it."""
    wanted = house.config.feeds
    if not (wanted.exchanges or wanted.folders or wanted.news):
        return ()
    from workers.feeds import Incoming, feed_jobs  # half a second of imports that a server without feeds is spared

    into = Incoming(house.history, house.observations, house.headlines, house.clock)
    return feed_jobs(wanted, into, progress)


def _can_learn() -> bool:
    """Whether the training process would find its libraries; a server without them serves all the same."""
    absent = [name for name in TAUGHT_WITH if find_spec(name) is None]
    if absent:
        log.info("no model is trained here: %s are not installed (the extra `learn` has them)", ", ".join(absent))
    return not absent


def unfed(house: House, progress: Ears = no_ears) -> Schedule:
    """The jobs of a house that has only what was imported."""
    return scheduled(house, [], house.clock(), progress)


def sample_work(house: House, progress: Ears = no_ears) -> Schedule:
    """Feeds the sample market up to now, and gives the jobs of a house in which it goes on hour by hour. A market that
    was begun before goes on from where it began."""
    through = house.clock()
    begun = [one.first_open for one in house.history.series() if one.origin == SIMULATED]
    sample = sample_market(through, anchor_ms=min(begun, default=None))
    for note in sample.notes:
        log.info(note)
    house.history.append(sample.tables, received_at=through, live=False)
    return scheduled(house, [SampleFeed(sample.anchor_ms)], through, progress)
