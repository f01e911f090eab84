"""Every capability of the catalogue obeys every law, and brings all that a capability brings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ml.bars import Instants, Timeframe
from ml.capability import AnyCapability, Features, Question, Rows
from ml.catalogue import CATALOGUE
from ml.checks import LAWS, Case, Law, LawBroken, bars_for_laws
from ml.timeline import Market

ROOT = Path(__file__).parent.parent
BARS = {
    timeframe: bars_for_laws(np.random.default_rng(7), timeframe, n)
    for timeframe, n in {**dict.fromkeys(Timeframe, 6_000), Timeframe.D1: 4_500}.items()
}
CASES = [(capability, timeframe) for capability in CATALOGUE for timeframe in sorted(capability.timeframes)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize(("capability", "timeframe"), CASES, ids=lambda one: getattr(one, "name", str(one)))
def test_every_capability_obeys_every_law(capability: AnyCapability, timeframe: Timeframe, law: Law) -> None:
    law.check(Case(capability, capability.rules, BARS[timeframe]))


def test_a_feature_that_peeks_one_bar_ahead_is_caught() -> None:
    capability, timeframe = CASES[0]
    peeking = replace(capability, features=Peeking(capability.features, timeframe.milliseconds))
    law = next(law for law in LAWS if law.name == "blind_to_the_future")
    with pytest.raises(LawBroken, match="differ with and without the bars after as_of"):
        law.check(Case(peeking, capability.rules, BARS[timeframe]))


@dataclass(frozen=True)
class Peeking:
    """Honest features, asked about a later time than they are told."""

    honest: Features
    ahead_ms: int

    @property
    def names(self) -> tuple[str, ...]:
        return self.honest.names

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        return self.honest.rows(questions, as_of + self.ahead_ms, market)


@pytest.mark.parametrize("capability", CATALOGUE, ids=lambda one: one.name)
def test_every_capability_brings_its_prompt_its_page_and_an_example(capability: AnyCapability) -> None:
    assert len((ROOT / "prompts" / f"{capability.name}.md").read_text("utf-8")) > 200
    page = (ROOT / "docs" / f"{capability.name}.md").read_text("utf-8")
    assert capability.tool in page
    for field in capability.answer.model_fields:
        assert re.search(rf"`[^`]*\b{field}\b[^`]*`", page), f"the page does not explain {field}"
    assert capability.examples
    assert all(isinstance(example, Question) for example in capability.examples)
    assert len(capability.description) <= 1_024
    assert 3 <= capability.description.count(". ") + 1 <= 6
