"""The composition root: reads the config, builds the parts, wires them, serves. Imported by the command line alone."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from barograph import __version__
from commands.config import Config
from market.feature_store import FeatureStore
from market.fed import Fed
from market.history import History
from market.sample import COINS, SIMULATED, SampleFeed, sample_market
from market.summary_store import SummaryStore
from ml.bars import DAY_MS, Timeframe
from ml.capability import AnyCapability
from ml.catalogue import CATALOGUE
from registry.blobs import Blobs
from registry.events import Events
from registry.jobs import JobRuns
from registry.leases import Leases
from registry.ledger import Ledger
from registry.manifest import Manifest
from registry.outcomes import Outcomes
from registry.record import RecordBook
from registry.store import Store, migrate, open_store
from registry.versions import Versions
from tools.ask import Ask, Book
from tools.chain import Run, within
from tools.clock import Clock, Clocked, Live
from tools.clock import replayed_time as replayed_time
from tools.explain import explain_tool
from tools.instruments import instruments
from tools.memo import Memo
from tools.models import Champions, Models
from tools.over_http import http_app
from tools.over_mcp import mcp_server
from tools.status import status_tool
from tools.survey import Survey
from tools.tool import Call, Face, Faces, Tool, caller
from tools.track_record import Records, track_record_tool
from workers.extract_features import ExtractFeatures
from workers.feature_statistics import DescribeFeatures
from workers.jobs import Ears, jobs, no_ears
from workers.refresh import Feed, Refresh
from workers.retrain import Retrain, School
from workers.schedule import Schedule
from workers.settle import Settle
from workers.train import SUFFIX as ARTEFACT
from workers.train import Patience, Trainer
from workers.training_process import CATALOGUE as TAUGHT_BY

log = logging.getLogger("barograph")

#: What the training process imports, and the server never does.
TAUGHT_WITH = ("onnx", "torch", "xgboost")

#: A training that gives no sign of life for so long has lost its lease.
LEASE_MS = 60_000


@dataclass(frozen=True, slots=True)
class House:
    """All parts of a running Barograph, wired. `close` writes down what is still queued."""

    config: Config
    clock: Clock
    store: Store
    history: History
    features: FeatureStore
    summaries: SummaryStore
    ledger: Ledger
    ask: Ask
    settle: Settle
    versions: Versions
    models: Models
    events: Events
    trainer: Trainer
    retrains: tuple[Retrain, ...]
    catalogue: tuple[AnyCapability, ...]
    tools: tuple[Tool, ...]
    call: Call

    def close(self) -> None:
        try:
            self.ledger.close()
        finally:
            self.store.close()


def build(
    config: Config,
    folder: Path,
    clock: Clock,
    *,
    now: Callable[[int | None], int] | None = None,
    run: Run | None = None,
    book: Callable[[Ledger], Book] = lambda ledger: ledger,
    catalogue: tuple[AnyCapability, ...] = CATALOGUE,
    taught_by: str = TAUGHT_BY,
) -> House:
    """The house over a data folder that the caller owns; a replay brings its own sense of `now`, runs models at once
    and has its own `book`. `taught_by` is where a training process finds the `catalogue`. Raises a StateFault where the
    folder is unwell."""
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(folder / "state.sqlite")
    migrate(store)
    tenant, steady = config.tenant, Clocked(clock)
    versions, blobs = Versions(store, tenant), Blobs(folder / "blobs" / tenant)
    versions.ensure_rules([one.name for one in catalogue], steady())
    parts = Manifest(store, tenant), blobs, tenant
    history, features, summaries = History(*parts), FeatureStore(*parts), SummaryStore(*parts)
    for kept in (history, features, summaries):
        kept.load()
    ledger = Ledger(store, tenant, capacity=config.ledger.capacity, flush_ms=config.ledger.flush_ms)
    for (symbol, timeframe), as_of in ledger.asked_through_all().items():
        history.seal(symbol, Timeframe(timeframe), as_of)
    for (symbol, of), row in features.newest().items():
        history.seal(symbol, of, row.as_of)
    fed, record = Fed(history, _panel(config)), RecordBook(catalogue)
    by_name = {one.name: one for one in catalogue}
    models = Models(catalogue, versions, lambda sha256: blobs.read(sha256, ARTEFACT), steady)
    for name in by_name:  # now, and not when the first question waits for it
        models.loaded(name, versions.champion(name, steady()))
    chains = Champions(catalogue, versions, models, config.models.too_old)
    ask = Ask(
        market=fed,
        chains=chains,
        book=book(ledger),
        records=Records(record),
        now=now or Live(steady),
        limits=config.answers.limits(),
        run=run or within(config.answers.deadline_ms / 1_000),
        tenant=tenant,
        memo=Memo(config.answers.remembered),
    )
    survey = Survey(
        __version__, steady(), steady, catalogue, chains, models, fed, history, ledger, config.answers.limits()
    )
    tools = (
        *instruments(catalogue, ask),
        status_tool(survey.status),
        explain_tool(by_name, lambda name, version: models.loaded(name, version).link, ledger.find),
        track_record_tool(catalogue, record),
    )
    settle = Settle(Outcomes(store, tenant), record, by_name, fed, ledger.asked_through_all, steady)
    events, learning = Events(store, tenant), config.models
    trainer = Trainer(
        Leases(store, tenant, LEASE_MS),
        JobRuns(store, tenant),
        versions,
        blobs,
        folder / "training" / tenant,
        os.environ,
        steady,
        Patience(most_seconds=learning.train_most_seconds),
        taught_by,
    )
    school = School(
        market=fed,
        series=history.series,
        trainer=trainer,
        versions=versions,
        events=events,
        ready=models.unserved,
        clock=steady,
        refit_ms=DAY_MS * learning.walk_forward_refit_days,
    )
    return House(
        config=config,
        clock=steady,
        store=store,
        history=history,
        features=features,
        summaries=summaries,
        ledger=ledger,
        ask=ask,
        settle=settle,
        versions=versions,
        models=models,
        events=events,
        trainer=trainer,
        retrains=tuple(Retrain(one, school) for one in catalogue if one.learner),
        catalogue=catalogue,
        tools=tools,
        call=caller(tools),
    )


def _panel(config: Config) -> Sequence[str]:
    """The symbols that stand for the market as a whole: the operator's, or the simulated coins of the sample."""
    return config.market.panel or ([coin.symbol for coin in COINS] if config.market.sample else [])


def app(house: House, schedule: Schedule | None = None) -> FastAPI:
    """Both doors over one house: HTTP routes first, MCP over streamable HTTP at /mcp. The schedule runs beside them."""
    faces = Faces(version=__version__, tools=tuple(Face.of(tool) for tool in house.tools))
    mcp = mcp_server(faces.tools, house.call, __version__)
    below = mcp.streamable_http_app(host=house.config.http.host)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with mcp.session_manager.run(), schedule.running() if schedule else nullcontext():
            try:
                yield
            finally:  # the schedule waits for what runs
                house.trainer.stop()

    above = http_app(house.tools, faces, life, house.config.http.body_limit_bytes)
    above.router.routes.extend(below.routes)  # not mounted at "/": what is nowhere is told so by the HTTP door
    return above


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
        fed = sample_work if config.market.sample else unfed
        schedule = fed(house, progress)
        served = Announcing(
            uvicorn.Config(app(house, schedule), log_level=config.log_level, access_log=False, server_header=False),
            announce,
        )
        served.run(sockets=[listening])
    finally:
        house.close()


class Announcing(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()


def scheduled(house: House, feeds: Sequence[Feed], through: int, progress: Ears = no_ears) -> Schedule:
    """All jobs of the house, over `feeds` of which the history holds what had closed by `through` (ms)."""
    wanted = house.config.features
    extract = ExtractFeatures(house.history, house.features, house.clock, wanted.timeframes, wanted.symbols)
    found = jobs(
        house.config.schedule,
        Refresh(feeds, house.history, house.clock, through).run if feeds else None,
        house.settle.run,
        extract.run,
        DescribeFeatures(house.features, house.summaries, house.clock).run,
        house.retrains if house.config.models.train and _can_learn() else (),
        progress,
    )
    return Schedule(found, JobRuns(house.store, house.config.tenant), house.clock)


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
