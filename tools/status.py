"""`get_server_status`: what is fed, how fresh it is, who answers, and whether anything is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ml.bars import Timeframe
from ml.capability import Symbol
from tools.detail import Request, Said
from tools.tool import Tool

#: A concise status names so many symbols, and shows so many series.
MOST_SYMBOLS = 20
MOST_SHOWN = 3


class StatusRequest(Request):
    """Status of everything, or of one symbol."""

    symbol: Symbol | None = Field(default=None, description="The series of this one alone.")
    starts_with: str = Field(default="", pattern="^[A-Z0-9._:/-]{0,32}$", description="Only symbols that begin so.")


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

    def line(self) -> str:
        stale = f", STALE, {self.expected_missing} bars missing" if self.stale else ""
        return f"{self.symbol} {self.timeframe} ({self.origin}): through {self.data_through:%Y-%m-%d %H:%MZ}{stale}"


class InForce(BaseModel):
    """The version of a capability that is in force now."""

    model_config = ConfigDict(frozen=True)

    version: str = Field(description="name@version; @0 are the rules.")
    state: Literal["answers", "passed_over"]
    because: str | None = Field(default=None, description="Why it is passed over for the rules; null when it answers.")
    learned_through: AwareDatetime | None = Field(
        default=None, description="What it learnt had settled by then; null: the rules."
    )


class InstrumentStatus(BaseModel):
    """One capability and who answers for it."""

    model_config = ConfigDict(frozen=True)

    tool: str
    answered_by: tuple[str, ...] = Field(description="The chain, first asked first.")
    in_force: InForce | None = Field(default=None, description="Concise: told where it is passed over.")
    timeframes: tuple[Timeframe, ...] | None = Field(default=None, description="Full only.")


class LedgerStatus(BaseModel):
    """Whether predictions are being written down."""

    model_config = ConfigDict(frozen=True)

    written: int
    waiting: int
    lag_ms: float
    error: str | None = None


class Status(BaseModel):
    """The state of the server."""

    model_config = ConfigDict(frozen=True)

    summary: str
    version: str
    started_at: AwareDatetime
    now: AwareDatetime
    instruments: tuple[InstrumentStatus, ...]
    n_symbols: int = Field(description="Symbols that are fed and begin with starts_with.")
    symbols: tuple[str, ...] = Field(description="The first of them; starts_with narrows them down.")
    series: tuple[SeriesStatus, ...] = Field(description="Concise: stale ones, or those of the symbol asked for.")
    more_series: int = Field(description="Series left out of this reply; ask for one symbol.")
    ledger: LedgerStatus | None = Field(default=None, description="Concise: told where something is wrong.")

    def text(self) -> str:
        more = [f"- and {self.more_series} more series"] if self.more_series else []
        return "\n".join([self._listed(), *(f"- {one.line()}" for one in self.series), *self._passed_over(), *more])

    def concise(self) -> Said:
        """Who is fed, who answers, and what is wrong."""
        alone = len({one.symbol for one in self.series}) == 1 and not self.more_series
        shown = self.series if alone else tuple(one for one in self.series if one.stale)
        wrong = tuple(
            one.model_copy(
                update={"timeframes": None, "in_force": one.in_force if one.in_force and one.in_force.because else None}
            )
            for one in self.instruments
        )
        short = self.model_copy(
            update={
                "instruments": wrong,
                "symbols": self.symbols[:MOST_SYMBOLS],
                "series": shown[:MOST_SHOWN],
                "more_series": len(self.series) + self.more_series - len(shown[:MOST_SHOWN]),
                "ledger": self.ledger if self.ledger and self.ledger.error else None,
            }
        )
        lines = [short._listed(), *(f"- {one.line()}" for one in short.series), *self._passed_over()]
        return Said(short.model_dump_json(exclude_none=True), "\n".join(lines))

    def _listed(self) -> str:
        rest = self.n_symbols - len(self.symbols)
        more = f" and {rest} more" if rest else ""
        return f"{self.summary} Symbols: {', '.join(self.symbols) or 'none'}{more}."

    def _passed_over(self) -> list[str]:
        return [
            f"- {one.tool}: {one.in_force.version} is passed over, {one.in_force.because}"
            for one in self.instruments
            if one.in_force and one.in_force.because
        ]


def status_tool(status: Callable[[str | None, str], Status]) -> Tool:
    """The tool, over a function that looks at the parts (built where they are known, in `server.py`)."""

    async def answer(request: StatusRequest, asked_by: str) -> Status:  # noqa: ARG001 - same for everybody
        return status(request.symbol, request.starts_with)

    return Tool(
        name="get_server_status",
        title="Server status",
        description=(
            "Which symbols are fed, which series are stale, who answers each instrument (rules or a model), and "
            "whether predictions are written down; in full how complete each series is. Ask first when you do not "
            "know the symbols, or when a reply says stale. Not a forecast."
        ),
        request=StatusRequest,
        reply=Status,
        answer=answer,
    )
