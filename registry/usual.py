"""Climatology: what somebody would answer who knew nothing but how often each thing had come true.

It needs no word from a capability: the usual answer to a number is the answer that is certain of the trailing mean;
the usual answer to a label is the answers that are certain of each label, mixed by how often it came true (so it is
fair to losses of probabilities; words and whole numbers are those of the commonest label).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ml.bars import WEEK_MS
from ml.capability import Answer, AnyCapability, Truth

#: The usual is taken over this many whole weeks.
WEEKS = 52
#: Fewer truths than this make nothing usual.
FEWEST = 100


@dataclass(slots=True)
class Week:
    """What came true of the questions of one week: how many, the sum of numbers, how often each label."""

    n: int = 0
    total: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)


class Usual:
    """What came true in one series of one capability, by the week (a block number) in which it was asked."""

    def __init__(self, capability: AnyCapability, horizon_ms: int) -> None:
        self._capability = capability
        self.horizon_ms = horizon_ms
        # A week's truths are all known only a horizon after its end: so many weeks are skipped.
        self._skipped = 1 + -(-horizon_ms // WEEK_MS)
        self._weeks: dict[int, Week] = defaultdict(Week)
        self._answers: dict[int, Answer | None] = {}
        self._newest_answer = -1

    def add(self, week: int, truth: Truth) -> None:
        """One truth more. Losses that were worked out before are not revised."""
        known = self._weeks[week]
        known.n += 1
        if isinstance(truth, str):
            known.labels[truth] += 1
        else:
            known.total += truth
        seen_from = week + self._skipped
        if seen_from <= self._newest_answer:
            self._answers = {one: answer for one, answer in self._answers.items() if one < seen_from}

    def week(self, week: int) -> Week:
        """What came true in one week, as a copy."""
        known = self._weeks[week]
        return Week(known.n, known.total, known.labels.copy())

    def restore(self, week: int, came: Week) -> None:
        """Puts back what `week` gave, before anything is added."""
        self._weeks[week] = came

    def loss(self, week: int, truth: Truth) -> float | None:
        """What the usual answer would have lost on a row of this week, knowing only weeks whose truths were all known
        before it began; None while fewer than `FEWEST` were."""
        if week not in self._answers:
            self._answers[week] = self._answer(week)
            self._newest_answer = max(self._newest_answer, week)
        answer = self._answers[week]
        return None if answer is None else self._capability.loss(answer, truth)

    def _answer(self, week: int) -> Answer | None:
        last = week - self._skipped
        known = [self._weeks[one] for one in range(last - WEEKS + 1, last + 1) if one in self._weeks]
        n = sum(one.n for one in known)
        if n < FEWEST:
            return None
        labels: Counter[str] = sum((one.labels for one in known), Counter())
        if not labels:
            answer: Answer = self._capability.certain(sum(one.total for one in known) / n)
            return answer
        return _mixed(self._capability, labels)


def _mixed(capability: AnyCapability, labels: Counter[str]) -> Answer:
    n = labels.total()
    told = {label: capability.certain(label).model_dump() for label in labels}
    fields = dict(told[labels.most_common(1)[0][0]])
    for name, value in fields.items():
        if type(value) is float:
            fields[name] = sum(count * told[label][name] for label, count in labels.items()) / n
    answer: Answer = capability.answer.model_validate(fields)
    return answer
