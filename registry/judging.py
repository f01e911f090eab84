"""What an answer was worth, once the truth is known: its loss, and that of the rules on the very same row. Pure."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from ml.capability import Answer, AnyCapability, Given, Question, Rows, Truth
from registry.entry import Entry

#: `asked_by` of answers that a replay gave, for its own record.
REPLAY = "replay"
RULES = 0
#: Fields that answers share by name: the announced label, and the quantiles that bound the 80% and the 90% band.
LABEL = "label"
BANDS = {"80%": ("q10", "q90"), "90%": ("q05", "q95")}


@dataclass(frozen=True, slots=True)
class Series:
    """What is answered alike: one question, again and again. `horizon` is empty where the question has none."""

    symbol: str
    timeframe: str
    horizon: str


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer that has met its truth.

    `live` means that it was on record before its truth could be known: no replay, and no question about the past. `at`
    is the close of the newest bar it knew (ms), from which its truth counts. `loss` is None where the answer can
    no longer be read; `rules_loss` where version 0 abstains on the row. `right` and `inside` (by band) are None where
    the capability announces no label, or no bands. `figures` are the capability's own (`Capability.figures`), in order.
    """

    prediction_id: str
    capability: str
    version: int
    live: bool
    series: Series
    horizon_ms: int
    at: int
    truth: Truth
    loss: float | None
    rules_loss: float | None
    confidence: float | None
    right: bool | None
    inside: tuple[bool | None, ...]
    figures: tuple[float | None, ...] = ()


def judge(capability: AnyCapability, settled: Sequence[tuple[Entry, Truth]]) -> list[Judged]:
    """One judgement for each entry of `capability` with its truth, in order. Where version 0 answered itself, its loss
    is the answer's; elsewhere it is asked again, on the row as it was kept."""
    entries = [entry for entry, _ in settled]
    questions = [question_of(capability, entry.question) for entry in entries]
    replies = [_said(capability, entry) for entry in entries]
    losses = [
        None if answer is None else _finite(capability.loss(answer, truth))
        for (answer, _), (_, truth) in zip(replies, settled, strict=True)
    ]
    horizons = [0 if one is None else capability.horizon_ms(one) for one in questions]
    asked_again = [i for i, entry in enumerate(entries) if entry.version != RULES and questions[i] is not None]
    rules = dict(zip(asked_again, _rules_losses(capability, settled, questions, asked_again), strict=True))
    return [
        Judged(
            prediction_id=entry.prediction_id,
            capability=entry.capability,
            version=entry.version,
            live=entry.asked_by != REPLAY and entry.asked_at < entry.as_of + horizons[i],
            series=Series(entry.symbol, entry.timeframe, str(getattr(questions[i], "horizon", ""))),
            horizon_ms=horizons[i],
            at=entry.data_through,
            truth=truth,
            loss=losses[i],
            rules_loss=losses[i] if entry.version == RULES else rules.get(i),
            confidence=replies[i][1],
            right=_right(replies[i][0], truth),
            inside=_inside(replies[i][0], truth),
            figures=_figures(capability, replies[i][0], truth),
        )
        for i, (entry, truth) in enumerate(settled)
    ]


def question_of(capability: AnyCapability, text: str) -> Question | None:
    """The question as it was kept, or None where this version of the code no longer takes it."""
    try:
        question: Question = capability.question.model_validate_json(text)
    except ValidationError:
        return None
    return question


def _said(capability: AnyCapability, entry: Entry) -> tuple[Answer | None, float | None]:
    reply = json.loads(entry.answer)
    try:
        return capability.answer.model_validate(reply["answer"]), reply["confidence"]
    except ValidationError:  # written by a version of the code with other fields: its loss is not to be had
        return None, None


def _figures(capability: AnyCapability, answer: Answer | None, truth: Truth) -> tuple[float | None, ...]:
    told = (None if answer is None else tells(answer, truth) for tells in capability.figures.values())
    return tuple(None if one is None else _finite(one) for one in told)


def _rules_losses(
    capability: AnyCapability,
    settled: Sequence[tuple[Entry, Truth]],
    questions: Sequence[Question | None],
    asked: Sequence[int],
) -> list[float | None]:
    found: dict[int, float | None] = dict.fromkeys(asked)
    by_names: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i in asked:
        by_names[settled[i][0].feature_names].append(i)
    for names, members in by_names.items():
        if names != tuple(capability.features.names):  # kept by older code: today's rules cannot read the row
            continue
        rows = _rows([settled[i][0] for i in members], names, [questions[i] for i in members])
        for i, outcome in zip(members, capability.rules.predict(rows, reasons=False), strict=True):
            if isinstance(outcome, Given):
                found[i] = _finite(capability.loss(outcome.answer, settled[i][1]))
    return [found[i] for i in asked]


def _rows(entries: Sequence[Entry], names: tuple[str, ...], questions: Sequence[Any]) -> Rows:
    values = np.frombuffer(b"".join(entry.features for entry in entries), dtype="<f8").astype(np.float64)
    return Rows(
        names,
        values.reshape(len(entries), len(names)),
        tuple(questions),
        np.array([entry.as_of for entry in entries], dtype=np.int64),
        np.array([entry.data_through for entry in entries], dtype=np.int64),
        (None,) * len(entries),
    )


def _right(answer: Answer | None, truth: Truth) -> bool | None:
    label = getattr(answer, LABEL, None)
    return None if label is None or not isinstance(truth, str) else str(label) == truth


def _inside(answer: Answer | None, truth: Truth) -> tuple[bool | None, ...]:
    return tuple(
        _within(getattr(answer, low, None), getattr(answer, high, None), truth) for low, high in BANDS.values()
    )


def _within(low: float | None, high: float | None, truth: Truth) -> bool | None:
    if low is None or high is None or isinstance(truth, str):
        return None
    return low <= truth <= high


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None
