"""Looks at the parts of a house and says how it is: what `get_server_status` tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from market.fed import Fed
from market.history import History
from market.series_info import SeriesInfo
from market.staleness import Staleness
from ml.bars import Timeframe
from ml.capability import AnyCapability
from registry.ledger import Ledger
from tools.breaker import Position
from tools.chain import Chains, Link
from tools.models import Models
from tools.refusal import Code, Refused
from tools.reply import moment
from tools.status import InForce, InstrumentStatus, LedgerStatus, SeriesStatus, Status

#: A reply lists this many series; ask for one symbol to see its own.
MOST_SERIES = 20
#: And so many symbols: as many as a completion may have.
MOST_SYMBOLS = 100


@dataclass(frozen=True, slots=True)
class Survey:
    """The parts that are looked at, and the clock."""

    version: str
    started_at: int
    clock: Callable[[], int]
    catalogue: Sequence[AnyCapability]
    chains: Chains
    models: Models
    fed: Fed
    history: History
    ledger: Ledger
    limits: Mapping[Timeframe, Staleness]

    def status(self, symbol: str | None, starts_with: str = "") -> Status:
        """The state of everything, or of one symbol; of the symbols those that begin so. Raises Refused for a symbol
        that nobody feeds."""
        now = self.clock()
        found = [one for one in self.history.series() if symbol in (None, one.symbol)]
        if symbol is not None and not found:
            raise Refused(Code.UNKNOWN_SYMBOL, "nobody feeds this symbol", accepted=list(self.fed.symbols())[:20])
        series = [self._series(one, now) for one in found]
        symbols = [one for one in self.fed.symbols() if one.startswith(starts_with)]
        stale = sum(one.stale for one in series)
        error = self.ledger.error()
        summary = f"{len(series)} series" + (f", {stale} stale" if stale else ", all fresh")
        summary += f"; predictions cannot be written down: {error}" if error else "; predictions are written down"
        return Status(
            summary=f"Barograph {self.version}: {summary}.",
            version=self.version,
            started_at=moment(self.started_at),
            now=moment(now),
            instruments=tuple(self._instrument(one, now) for one in self.catalogue),
            n_symbols=len(symbols),
            symbols=tuple(symbols[:MOST_SYMBOLS]),
            series=tuple(sorted(series, key=lambda one: not one.stale)[:MOST_SERIES]),
            more_series=max(len(series) - MOST_SERIES, 0),
            ledger=LedgerStatus(
                written=self.ledger.count(), waiting=self.ledger.pending(), lag_ms=self.ledger.lag_ms(), error=error
            ),
        )

    def _instrument(self, capability: AnyCapability, now: int) -> InstrumentStatus:
        chain = self.chains.chain(capability.name, now)
        return InstrumentStatus(
            tool=capability.tool,
            answered_by=tuple(link.name for link in chain),
            in_force=self._in_force(capability.name, chain[0]),
            timeframes=tuple(sorted(capability.timeframes)),
        )

    def _in_force(self, capability: str, first: Link) -> InForce:
        card = self.models.loaded(capability, first.predictor.version).card
        why = first.absent.text if first.absent else None
        if why is None and first.breaker and first.breaker.position() is Position.OPEN:
            why = f"breaker open after {first.breaker.opens_after} failures"
        return InForce(
            version=first.name,
            state="passed_over" if why else "answers",
            because=why,
            learned_through=moment(card.learned_through) if card else None,
        )

    def _series(self, one: SeriesInfo, now: int) -> SeriesStatus:
        missing = self.fed.missing(one.symbol, one.timeframe, now, now)
        return SeriesStatus(
            symbol=one.symbol,
            timeframe=one.timeframe,
            origin=one.origin,
            n_bars=one.n_bars,
            first_open=moment(one.first_open),
            data_through=moment(one.last_close),
            expected_missing=missing,
            stale=missing >= self.limits[one.timeframe].stale_after_bars,
            gaps=one.n_expected_missing,
            revisions=one.n_revisions,
            quality=one.recent_quality,
        )
