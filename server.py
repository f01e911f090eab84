"""The composition root: reads the config, builds the parts, wires them, serves. Imported by the command line alone."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from fastapi import FastAPI

from barograph import __version__
from commands.access import rates, rules
from commands.config import Config
from market.feature_store import FeatureStore
from market.fed import Fed
from market.headlines import Headlines
from market.history import History
from market.observations import Observations
from market.sample import COINS
from market.summary_store import SummaryStore
from ml.bars import DAY_MS, Timeframe
from ml.capability import AnyCapability
from ml.catalogue import CATALOGUE
from ml.economic_calendar import EconomicCalendar, Scheduled
from registry.audit import Audit, Note
from registry.audit_cut import AuditCut
from registry.blobs import Blobs
from registry.events import Events
from registry.jobs import JobRuns
from registry.keys import Keys, seen
from registry.leases import Leases
from registry.ledger import Ledger
from registry.manifest import Manifest
from registry.outcomes import Outcomes
from registry.past import Past
from registry.record import RecordBook
from registry.references import References
from registry.secret import Secret
from registry.store import Store, migrate, open_store
from registry.versions import Versions
from tools.ask import Ask, Book
from tools.behind_gate import CHECKED
from tools.chain import Apart, Run, at_once, within
from tools.changes import Changes
from tools.clock import Clock, Clocked, Live
from tools.clock import replayed_time as replayed_time
from tools.explain import explain_tool
from tools.gate import Gate
from tools.guard import Guard
from tools.header_values import TrimmedHeaders
from tools.instruments import instruments
from tools.key_desk import key_desk
from tools.memo import Memo
from tools.models import Champions, Models
from tools.offer import Offer
from tools.over_http import Desk, http_app
from tools.over_mcp import Dress, mcp_server
from tools.plain_errors import plain
from tools.push import push_desk
from tools.sessions import bounded
from tools.status import status_tool
from tools.subscriptions import Subscriptions
from tools.survey import Survey
from tools.tool import Call, Tool, caller
from tools.track_record import Records, track_record_tool
from workers.past import AskPast, GivenAlone, Plan
from workers.retrain import Retrain, School
from workers.schedule import Schedule
from workers.settle import Settle
from workers.staleness import WatchStaleness
from workers.sweep import Sweep
from workers.train import SUFFIX as ARTEFACT
from workers.train import Patience, Trainer
from workers.training_process import CATALOGUE as TAUGHT_BY
from workers.watch import Watch

log = logging.getLogger("barograph")

#: What the training process imports, and the server never does.
TAUGHT_WITH = ("onnx", "torch", "xgboost")

#: Prompts, one file each.
PROMPTS = Path(__file__).parent / "prompts"

#: A training that gives no sign of life for so long has lost its lease.
LEASE_MS = 60_000


@dataclass(frozen=True, slots=True)
class House:
    """All parts of a running Barograph, wired. `close` writes down what is still queued."""

    config: Config
    clock: Clock
    store: Store
    history: History
    observations: Observations
    headlines: Headlines
    features: FeatureStore
    summaries: SummaryStore
    ledger: Ledger
    ask: Ask
    settle: Settle
    past: AskPast
    sweep: Sweep
    versions: Versions
    models: Models
    events: Events
    changes: Changes
    watch: Watch
    staleness: WatchStaleness
    trainer: Trainer
    retrains: tuple[Retrain, ...]
    catalogue: tuple[AnyCapability, ...]
    tools: tuple[Tool, ...]
    operating: tuple[Tool, ...]
    pushing: tuple[Tool, ...]
    call: Call
    guard: Guard
    keys: Keys
    audit: Audit

    def close(self) -> None:
        try:
            self.ledger.close()
        finally:
            try:
                self.audit.close()
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
    with ExitStack() as opened:
        house = _built(opened, config, folder, clock, now, run, book, catalogue, taught_by)
        opened.pop_all()
    return house


def _built(
    opened: ExitStack,
    config: Config,
    folder: Path,
    clock: Clock,
    now: Callable[[int | None], int] | None,
    run: Run | None,
    book: Callable[[Ledger], Book],
    catalogue: tuple[AnyCapability, ...],
    taught_by: str,
) -> House:
    """The same; what has to be closed again where it fails goes into `opened`."""
    store = open_store(folder / "state.sqlite")
    opened.callback(store.close)
    migrate(store)
    tenant, steady = config.tenant, Clocked(clock)
    versions, blobs = Versions(store, tenant), Blobs(folder / "blobs" / tenant)
    versions.ensure_rules([one.name for one in catalogue], steady())
    parts = Manifest(store, tenant), blobs, tenant
    history, features, summaries = History(*parts), FeatureStore(*parts), SummaryStore(*parts)
    observations, headlines = Observations(*parts, scratch=folder), Headlines(*parts)
    for kept in (history, features, summaries, observations, headlines):
        kept.load()
    ledger = Ledger(store, tenant, capacity=config.ledger.capacity, flush_ms=config.ledger.flush_ms)
    opened.callback(ledger.close)
    fed, record = Fed(history, observations, _panel(config), scheduled(config)), RecordBook(catalogue)
    for (symbol, timeframe), as_of in ledger.asked_through_all().items():
        fed.seal(symbol, Timeframe(timeframe), as_of)
    for (symbol, of), row in features.newest().items():
        history.seal(symbol, of, row.as_of)
    by_name = {one.name: one for one in catalogue}
    models = Models(catalogue, versions, lambda sha256: blobs.read(sha256, ARTEFACT), steady)
    for name in by_name:  # now, and not when the first question waits for it
        models.loaded(name, versions.champion(name, steady()))
    chains = Champions(catalogue, versions, models, config.models.too_old)
    ask = Ask(
        market=fed,
        chains=chains,
        book=book(ledger),
        records=Records(record, versions.earned),
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
    settle = Settle(Outcomes(store, tenant, __version__), record, by_name, fed, ledger.asked_through_all, steady)
    settle.restore()
    apart = replace(
        ask,
        chains=Apart(chains),
        book=GivenAlone(ledger),
        records=Records(RecordBook(catalogue)),  # of what was said then there was none
        now=replayed_time,
        run=at_once(),
        memo=Memo(1),
    )
    events, learning = Events(store, tenant), config.models
    changes = Changes(events)
    watch = Watch(ask, catalogue, events, steady, history.series, changes.told)
    history.hear(watch.heard)
    asked_past = Plan(learning.replay_past_days, learning.replay_past_every_hours, learning.replay_past_answers)
    past = AskPast(apart, Past(store, tenant), settle, history.series, catalogue, steady, time.monotonic, asked_past)
    secret = Secret(folder, os.urandom)
    keys = Keys(store, tenant, secret, os.urandom)
    note = Note(folder, tenant, secret)
    audit = Audit(store, tenant, note, seen(tenant))
    operating, pushing = key_desk(keys, steady), push_desk(history, observations, headlines, steady)
    opened.callback(audit.close)
    every_tool = (*tools, *operating, *pushing)
    limits = rates(config, [one.name for one in (*tools, *operating)], [one.name for one in pushing], steady)
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
        ready=models.unserved,
        champion=chains.champion,
        clock=steady,
        refit_ms=DAY_MS * learning.walk_forward_refit_days,
    )
    return House(
        config=config,
        clock=steady,
        store=store,
        history=history,
        observations=observations,
        headlines=headlines,
        features=features,
        summaries=summaries,
        ledger=ledger,
        ask=ask,
        settle=settle,
        past=past,
        sweep=Sweep(
            References(store, tenant),
            blobs,
            JobRuns(store, tenant),
            steady,
            events,
            AuditCut(store, tenant, note, config.audit.kept_days),
        ),
        versions=versions,
        models=models,
        events=events,
        changes=changes,
        watch=watch,
        staleness=WatchStaleness(history.series, fed, config.answers.limits(), events, steady, changes.told),
        trainer=trainer,
        retrains=tuple(Retrain(one, school) for one in catalogue if one.learner),
        catalogue=catalogue,
        tools=tools,
        operating=operating,
        pushing=pushing,
        call=caller(tools),
        guard=Guard(every_tool, limits, audit, steady),
        keys=keys,
        audit=audit,
    )


def scheduled(config: Config) -> EconomicCalendar:
    """The releases that are shipped, and those of the config."""

    def ms(at: datetime) -> int:
        return round(at.timestamp() * 1_000)

    return EconomicCalendar(
        tuple(Scheduled(one.release, ms(one.at), ms(one.known_from)) for one in config.market.calendar)
    )


def _panel(config: Config) -> Sequence[str]:
    """The symbols that stand for the market as a whole: the operator's, or the simulated coins of the sample."""
    return config.market.panel or ([coin.symbol for coin in COINS] if config.market.sample else [])


def app(
    house: House,
    schedule: Schedule | None = None,
    dress: Dress = lambda _: None,
    local_token: str | None = None,
) -> FastAPI:
    """Both doors over one house, behind one gate: HTTP routes, and MCP over streamable HTTP at /mcp. The schedule
    runs beside them. `dress` may add to the MCP server before it is served: fixtures of the conformance suite. Whoever
    shows `local_token` on this machine is its operator. Raises Unlocked, BadKeys."""
    gate = rules(house.config, house.keys, house.audit, house.clock, local_token)
    offer = Offer.of(__version__, house.tools, house.catalogue, PROMPTS)
    subscriptions = Subscriptions(offer.resources)
    mcp = mcp_server(offer, house.guard.call, subscriptions)
    dress(mcp)
    below = mcp.streamable_http_app(transport_security=CHECKED)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        work = (schedule.running(), house.watch.running()) if schedule else (nullcontext(), nullcontext())
        news = house.changes.running([subscriptions.heard], subscriptions.end)
        async with mcp.session_manager.run(), news, work[0], work[1]:
            try:
                yield
            finally:  # the schedule waits for what runs
                house.past.stop()
                house.trainer.stop()

    small, large = house.config.http.body_limit_bytes, house.config.http.batch_limit_bytes
    desks = (
        Desk("tools", house.tools, small),
        Desk("operate", house.operating, small, listed=False),
        Desk("market", house.pushing, large),
    )
    above = http_app(desks, house.guard.call, offer, life, gate.challenge, house.changes)
    # Not mounted at "/": what is nowhere is told so by the HTTP door.
    above.router.routes[:0] = bounded(plain(below.routes))  # first: each route costs whoever looks for one behind it
    above.add_middleware(Gate, rules=gate, needed=house.guard.needed)
    above.add_middleware(TrimmedHeaders)
    return above
