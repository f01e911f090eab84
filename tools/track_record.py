"""`get_track_record`: how the answers of an instrument did, and whether that is enough to lean on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ml.capability import AnyCapability, Symbol
from ml.evaluation.intervals import Ratio
from ml.evaluation.weeks import begins_at
from registry.cells import Tally
from registry.record import WINDOW_WEEKS, Choice, Line, RecordBook, Standing, verdict
from tools.detail import Request, Said
from tools.refusal import Code, Refused
from tools.reply import TrackRecord, moment
from tools.tool import Tool

_DAYS_OF_A_WEEK = 7

Window = Literal["30d", "90d", "365d", "all"]


class TrackRecordRequest(Request):
    """Whose record, and of which answers."""

    instrument: str = Field(pattern="^[a-z_]{1,64}$", description="Its tool, e.g. forecast_volatility.")
    symbol: Symbol | None = Field(default=None, description="This one alone.")
    horizon: str | None = Field(default=None, max_length=16, description="This one alone, e.g. 24h.")
    version: int | None = Field(default=None, ge=0, description="This one alone; 0 are the rules.")
    window: Window = Field(default="365d", description="How far back from the newest judged answer, in whole weeks.")


class RatioTold(BaseModel):
    """Loss over another's loss on the same rows; below 1 is better."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    ratio: float
    low: float | None = Field(default=None, description="95% interval, bootstrap over whole weeks; null under 8 weeks.")
    high: float | None = None
    n: int = Field(description="Rows that both answered.")

    def line(self) -> str:
        between = f" ({self.low:.3f}-{self.high:.3f})" if self.low is not None and self.high is not None else ""
        return f"{self.ratio:.3f}{between}"


class RecordLine(BaseModel):
    """One predictor, its live or its replayed answers."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    answered_by: str
    kind: Literal["live", "replayed"]
    n: int = Field(description="Answers whose truth is known.")
    weeks: int
    first: str = Field(description="Monday of the first week.")
    last: str = Field(description="Monday of the last week.")
    mean_loss: float
    against_rules: RatioTold | None = Field(default=None, description="1 by definition for the rules themselves (@0).")
    against_climatology: RatioTold | None = Field(
        default=None, description="Against the mean, or the frequencies, of what had come true in the year before."
    )
    calibration: dict[str, float]
    verdict: str

    def line(self) -> str:
        figures = "".join(f"; {name} {value:.3f}" for name, value in self.calibration.items())
        usual = f", {self.against_climatology.line()} x climatology" if self.against_climatology else ""
        return (
            f"{self.answered_by} {self.kind}: {self.n:,} answers, weeks of {self.first} to {self.last}, mean loss "
            f"{self.mean_loss:.4g}{usual}{figures}. {self.verdict}"
        )


class TrackRecordReply(BaseModel):
    """The record. `summary` is enough on its own."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    summary: str
    instrument: str
    window: Window
    n_live: int
    n_replayed: int
    still_counting: bool = Field(description="True for a while after a start: what settled before is being counted.")
    records: tuple[RecordLine, ...] = Field(description="Newest version first; live and replayed apart.")
    more_records: int = Field(default=0, description="Left out of a concise reply: older versions.")

    def text(self) -> str:
        return "\n".join([self.summary, *(f"- {one.line()}" for one in self.records)])

    def concise(self) -> Said:
        """The newest version alone; the summary has its verdict."""
        newest = tuple(one for one in self.records if one.answered_by == self.records[0].answered_by)
        short = self.model_copy(update={"records": newest, "more_records": len(self.records) - len(newest)})
        return Said(short.model_dump_json(exclude_none=True), self.summary)


#: Why a version was promoted, in a sentence; None where it never was.
Earned = Callable[[str, int], str | None]


class Records:
    """Short forms for the envelope of every answer: made once for each published standing. What `earned` a version its
    place stands in for a record until answers of its own have met their truth."""

    def __init__(self, book: RecordBook, earned: Earned = lambda *_: None) -> None:
        self._book = book
        self._earned = earned
        self._told: dict[tuple[str, int], tuple[Standing, TrackRecord]] = {}

    def record(self, capability: str, version: int) -> TrackRecord:
        """What is known of a predictor now."""
        standing, known = self._book.standing(capability, version), self._told.get((capability, version))
        if known is None or known[0] is not standing:
            earned = None if standing.tally.n else self._earned(capability, version)
            known = self._told[capability, version] = (standing, short(version, standing, earned))
        return known[1]


def short(version: int, standing: Standing, earned: str | None = None) -> TrackRecord:
    """The short form of a standing; `earned`: why the version was promoted."""
    said = standing.tally
    why = f"; promoted: {earned}" if earned and not said.n else ""
    ratio = said.against_rules
    between = ratio.interval if ratio is not None else None
    return TrackRecord(
        n_live=standing.n_live,
        n_replayed=standing.n_replayed,
        basis=None if standing.live is None else _kind(standing.live),
        window=f"weeks of {_monday(said.first_week)} to {_monday(said.last_week)}, {WINDOW_WEEKS} at most"
        if said.first_week is not None and said.last_week is not None
        else None,
        loss_ratio_to_rules=_rounded(ratio.point) if ratio is not None else None,
        loss_ratio_low=_rounded(between.low) if between is not None else None,
        loss_ratio_high=_rounded(between.high) if between is not None else None,
        calibration=_calibration(said),
        verdict=verdict(version, said) + why,
    )


def track_record_tool(capabilities: Sequence[AnyCapability], book: RecordBook) -> Tool:
    """The tool, over the book of records."""
    names = {name: one for one in capabilities for name in (one.name, one.tool)}

    async def answer(request: TrackRecordRequest, asked_by: str) -> TrackRecordReply:  # noqa: ARG001 - same for all
        if request.instrument not in names:
            accepted = [f"{one.tool} or {one.name}" for one in capabilities]
            raise Refused(Code.INVALID, "there is no instrument of this name", accepted=accepted)
        capability = names[request.instrument]
        weeks = None if request.window == "all" else math.ceil(int(request.window[:-1]) / _DAYS_OF_A_WEEK)
        choice = Choice(request.symbol, request.horizon, request.version, weeks)
        lines = await asyncio.to_thread(book.lines, capability.name, choice)
        return told(capability, request.window, lines, still_counting=not book.complete)

    return Tool(
        name="get_track_record",
        title="Track record",
        description=(
            "How the past answers of an instrument did once their truth was known, by version, live and replayed "
            "apart: mean loss, its ratio to the rules on the same rows and to climatology with a 95% interval over "
            "weeks, calibration, and whether that suffices. Ask before you lean on an instrument, or to choose between "
            "horizons or symbols; not a forecast. A ratio below 1 is better; under 52 weeks it proves nothing."
        ),
        request=TrackRecordRequest,
        reply=TrackRecordReply,
        answer=answer,
        examples=(TrackRecordRequest(instrument="forecast_volatility", horizon="24h"),),
    )


def told(capability: AnyCapability, window: Window, lines: Sequence[Line], *, still_counting: bool) -> TrackRecordReply:
    """The reply from the lines of the book."""
    live, replayed = (sum(one.tally.n for one in lines if one.live is kind) for kind in (True, False))
    records = tuple(_record(capability, one) for one in lines)
    first = f" {records[0].answered_by}, {records[0].kind}: {records[0].verdict}." if records else ""
    counting = " Answers from before the start are still being counted." if still_counting else ""
    none = "" if records else " Nothing suffices: no answer of this choice has met its truth yet."
    return TrackRecordReply(
        summary=f"{capability.tool}: {live:,} live and {replayed:,} replayed answers judged ({window})."
        f"{first}{none}{counting}",
        instrument=capability.tool,
        window=window,
        n_live=live,
        n_replayed=replayed,
        still_counting=still_counting,
        records=records,
    )


def _record(capability: AnyCapability, line: Line) -> RecordLine:
    said = line.tally
    return RecordLine(
        answered_by=f"{capability.name}@{line.version}",
        kind=_kind(line.live),
        n=said.n,
        weeks=said.weeks,
        first=_monday(said.first_week or 0),
        last=_monday(said.last_week or 0),
        mean_loss=_rounded(said.mean_loss or 0.0),
        against_rules=_ratio(said.against_rules),
        against_climatology=_ratio(said.against_usual),
        calibration=_calibration(said),
        verdict=verdict(line.version, said),
    )


def _ratio(ratio: Ratio | None) -> RatioTold | None:
    if ratio is None:
        return None
    between = ratio.interval
    return RatioTold(
        ratio=_rounded(ratio.point),
        low=_rounded(between.low) if between else None,
        high=_rounded(between.high) if between else None,
        n=ratio.rows,
    )


def _calibration(said: Tally) -> dict[str, float]:
    return {one.name: _rounded(one.value) for one in said.calibration}


def _kind(live: bool) -> Literal["live", "replayed"]:
    return "live" if live else "replayed"


def _monday(week: int) -> str:
    return f"{moment(begins_at(week)):%Y-%m-%d}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
