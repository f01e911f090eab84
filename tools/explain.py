"""`explain_prediction`: why an answer came out as it did, from the row that the ledger kept."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ml.capability import AnyCapability, Rows, Term
from registry.entry import Entry
from tools.chain import Link
from tools.detail import Request, Said
from tools.refusal import Code, Refused
from tools.reply import moment
from tools.threads import AllStuck, Crowded
from tools.tool import Tool

log = logging.getLogger(__name__)

#: Longer than for an answer: nobody waits for an explanation with an order in hand.
DEADLINE_SECONDS = 5.0
OTHERS = ("prediction_id of an answer by the rules or by a version that is still there",)
#: A concise explanation has so many terms.
MOST_TERMS = 3


class ExplainRequest(Request):
    """Which prediction to explain."""

    prediction_id: str = Field(pattern="^[0-9a-f]{32}$", description="prediction_id of a reply.")


class ExplainedTerm(BaseModel):
    """One term of the answer, strongest first."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str
    value: float | None = Field(default=None, description="The number that went in; null where it was missing.")
    unit: str
    effect: float | None = Field(
        default=None, description="What it did to the answer; null where the term is a condition."
    )
    text: str


class Explanation(BaseModel):
    """The terms of a prediction with their numbers, and the reply as it was first given."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    prediction_id: str
    summary: str
    answered_by: str
    terms: tuple[ExplainedTerm, ...]
    more_terms: int = Field(default=0, description="Weaker ones, left out of a concise reply.")
    features: dict[str, float | None] | None = Field(
        default=None, description="The row that the predictor saw; null where missing. Full only."
    )
    asked_by: str
    asked_at: AwareDatetime
    reply: dict[str, Any] | None = Field(default=None, description="The reply when it was first given. Full only.")

    def text(self) -> str:
        return "\n".join([self.summary, *(f"- {term.text}" for term in self.terms)])

    def concise(self) -> Said:
        """The strongest terms, without the row and the reply."""
        left_out = {"terms": self.terms[:MOST_TERMS], "more_terms": max(len(self.terms) - MOST_TERMS, 0)}
        short = self.model_copy(update={**left_out, "features": None, "reply": None})
        more = [f"- and {short.more_terms} weaker terms"] if short.more_terms else []
        return Said(short.model_dump_json(exclude_none=True), "\n".join([short.text(), *more]))


def explain_tool(
    capabilities: Mapping[str, AnyCapability], loaded: Callable[[str, int], Link], find: Callable[[str], Entry | None]
) -> Tool:
    """The tool, over the ledger's `find` and `loaded`: any version of a capability, in force or not (may block)."""

    async def answer(request: ExplainRequest, asked_by: str) -> Explanation:  # noqa: ARG001 - same for everybody
        entry = find(request.prediction_id)
        if entry is None:
            raise Refused(
                Code.UNKNOWN_PREDICTION,
                "no prediction with this id was given here",
                accepted=["prediction_id of a reply of this server"],
            )
        link = await asyncio.to_thread(loaded, entry.capability, entry.version)
        return await explanation(entry, capabilities[entry.capability], link)

    return Tool(
        name="explain_prediction",
        title="Explain a prediction",
        description=(
            "Why a prediction came out as it did: the strongest terms of the rules or the model with their numbers; in "
            "full all terms, the feature row, and the reply as first given. Ask when an answer surprises or must be "
            "justified, with the prediction_id of any reply of this server. Not for a new forecast."
        ),
        request=ExplainRequest,
        reply=Explanation,
        answer=answer,
    )


async def explanation(entry: Entry, capability: AnyCapability, link: Link) -> Explanation:
    """Predictors are pure and rows are kept whole: the terms are worked out again, not remembered."""
    rows = _row(entry, capability)
    reply = json.loads(entry.answer, object_pairs_hook=_said)
    terms = await _terms(link, rows, tuple(capability.features.names)) if "answer" in reply else ()
    return Explanation(
        prediction_id=entry.prediction_id,
        summary=reply["summary"],
        answered_by=link.name,
        terms=tuple(
            ExplainedTerm(name=t.name, value=_finite(t.value), unit=t.unit, effect=t.effect, text=t.text) for t in terms
        ),
        features={name: _finite(value) for name, value in zip(rows.names, rows.values[0].tolist(), strict=True)},
        asked_by=entry.asked_by,
        asked_at=moment(entry.asked_at),
        reply=reply,
    )


async def _terms(link: Link, rows: Rows, names: tuple[str, ...]) -> tuple[Term, ...]:
    """Raises Refused where the version that answered cannot be loaded any more, crashes, or takes too long, and where
    the row is an older release's: it has other features than `names`, which predictors read by their place."""
    if rows.names != names:
        raise Refused(
            Code.MODEL_GONE,
            f"{link.name} gave this answer on features of an older release, which this one cannot read",
            accepted=OTHERS,
        )
    if link.absent:
        raise Refused(
            Code.MODEL_GONE,
            f"{link.name} gave this answer and cannot be asked again: {link.absent.text}",
            accepted=OTHERS,
        )
    if link.threads is None:
        return link.predictor.explain(rows)[0]
    try:
        terms = (await link.threads.run(partial(link.predictor.explain, rows), DEADLINE_SECONDS))[0]
    except (TimeoutError, Crowded, AllStuck) as slow:
        raise Refused(Code.OVERLOADED, f"{link.name} did not explain itself in time", retryable=True) from slow
    except Exception as crash:  # of a model, as when it answers; a crash of the rules is a fault
        log.exception("%s crashed when it was to explain itself", link.name)
        raise _no_terms(link) from crash
    if not all(term.effect is None or np.isfinite(term.effect) for term in terms):
        log.error("%s explained itself with what is no number", link.name)
        raise _no_terms(link)
    return terms


def _no_terms(link: Link) -> Refused:
    return Refused(Code.MODEL_GONE, f"{link.name} gave this answer and cannot explain it", accepted=OTHERS)


def _row(entry: Entry, capability: AnyCapability) -> Rows:
    values = np.frombuffer(entry.features, dtype="<f8").astype(np.float64).reshape(1, -1)
    question = capability.question.model_validate_json(entry.question)
    at, through = (np.array([instant], dtype=np.int64) for instant in (entry.as_of, entry.data_through))
    return Rows(entry.feature_names, values, (question,), at, through, (None,))


def _said(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As a door says it: without nulls."""
    return {name: value for name, value in pairs if value is not None}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
