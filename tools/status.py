"""`get_server_status`: what is fed, how fresh it is, who answers, and whether anything is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ml.bars import Timeframe
from ml.capability import Symbol
from tools.tool import Tool


class StatusRequest(BaseModel):
    """Status of everything, or of one symbol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Symbol | None = Field(default=None, description="Only the series of this symbol. Omit for all.")


class SeriesStatus(BaseModel):
    """One series of bars."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    symbol: str
    timeframe: Timeframe
    origin: str
    n_bars: int
    first_open: AwareDatetime
    data_through: AwareDatetime
    expected_missing: int = Field(description="Bars that should have come since data_through and did not.")
    stale: bool
    gaps: int = Field(description="Bars missing inside the history while the market was open.")
    revisions: int = Field(description="Late and revised bars kept.")
    quality: float = Field(description="Mean data quality of the newest rows, 0 to 1; above 0.9 is usable.")


class InForce(BaseModel):
    """The version of a capability that is in force now."""

    model_config = ConfigDict(frozen=True)

    version: str = Field(description="name@version; @0 are the rules.")
    state: Literal["answers", "passed_over"]
    because: str | None = Field(description="Why it is passed over for the rules; null when it answers.")
    learned_through: AwareDatetime | None = Field(description="What it learnt had settled by then; null: the rules.")


class InstrumentStatus(BaseModel):
    """One capability and who answers for it."""

    model_config = ConfigDict(frozen=True)

    tool: str
    answered_by: tuple[str, ...] = Field(description="The chain, first asked first.")
    in_force: InForce
    timeframes: tuple[Timeframe, ...]


class LedgerStatus(BaseModel):
    """Whether predictions are being written down."""

    model_config = ConfigDict(frozen=True)

    written: int
    waiting: int
    lag_ms: float
    error: str | None


class Status(BaseModel):
    """The state of the server."""

    model_config = ConfigDict(frozen=True)

    summary: str
    version: str
    started_at: AwareDatetime
    now: AwareDatetime
    instruments: tuple[InstrumentStatus, ...]
    series: tuple[SeriesStatus, ...]
    more_series: int = Field(description="Series left out of this reply; ask for one symbol.")
    ledger: LedgerStatus

    def text(self) -> str:
        lines = [
            f"- {one.symbol} {one.timeframe} ({one.origin}): through {one.data_through:%Y-%m-%d %H:%MZ}"
            + (f", STALE, {one.expected_missing} bars missing" if one.stale else "")
            for one in self.series
        ]
        lines += [
            f"- {one.tool}: {one.in_force.version} is passed over, {one.in_force.because}"
            for one in self.instruments
            if one.in_force.because
        ]
        more = [f"- and {self.more_series} more series"] if self.more_series else []
        return "\n".join([self.summary, *lines, *more])


def status_tool(status: Callable[[str | None], Status]) -> Tool:
    """The tool, over a function that looks at the parts (built where they are known, in `server.py`)."""

    async def answer(request: StatusRequest, asked_by: str) -> Status:  # noqa: ARG001 - same for everybody
        return status(request.symbol)

    return Tool(
        name="get_server_status",
        title="Server status",
        description=(
            "Which symbols and timeframes are fed, how fresh and complete their data are, which tools there are and "
            "who answers them (rules or a model), and whether predictions are being written down. Ask first when you "
            "do not know the symbols, or when a reply says stale. Not a forecast."
        ),
        request=StatusRequest,
        reply=Status,
        answer=answer,
    )
