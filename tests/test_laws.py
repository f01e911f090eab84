"""Every capability of the catalogue obeys every law, and brings all that a capability brings."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.capability import AnyCapability, Features, Question, Rows
from ml.catalogue import CATALOGUE
from ml.checks import LAWS, Case, Law, LawBroken, bars_for_laws
from ml.exact import picked
from ml.rows import BarFeatures
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


def test_a_feature_that_reads_beyond_its_own_series_is_caught() -> None:
    capability, timeframe = CASES[0]
    leaking = replace(capability, features=Leaking())
    law = next(law for law in LAWS if law.name == "beside_others_is_alone")
    with pytest.raises(LawBroken, match="close differ beside others and alone"):
        law.check(Case(leaking, capability.rules, BARS[timeframe]))


class Leaking:
    """The close two bars before, read from a warm-up of one: beside others it is another's."""

    names = ("close",)

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        return BarFeatures(self.names, 1, 1, self._kernel, lambda _: None).rows(questions, as_of, market)

    def _kernel(self, bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:
        return picked(np.roll(bars.close, 2), at)[:, None]


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
