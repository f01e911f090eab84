"""The track record: live and replayed apart, against the rules on the same rows, and honest about too little."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS, WEEK_MS
from ml.capability import Answer
from ml.catalogue import CATALOGUE
from ml.evaluation.scores import ece
from registry.cells import MOST_FIGURES
from registry.entry import Entry
from registry.judging import Judged, Series, judge
from registry.outcomes import Outcomes
from registry.record import REPLAY, Choice, RecordBook
from registry.usual import FEWEST, Usual
from server import House
from tests.conftest import NOW
from tools.refusal import Code
from tools.reply import moment
from tools.track_record import Records

pytestmark = pytest.mark.anyio

REGIME = next(one for one in CATALOGUE if one.name == "regime")
VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
SERIES = Series("AAA", "1h", "24h")
#: A grid of as_ofs over the last weeks of the house's history.
GRID = tuple(NOW - n * 12 * HOUR_MS for n in range(2, 80))


async def replayed(house: House, instants: Sequence[int] = GRID, **fields: Any) -> list[Entry]:
    """Volatility asked along history, as a replay would; entries as the ledger keeps them."""
    questions = [VOLATILITY.question(symbol="AAA", as_of=moment(at), **fields) for at in instants]
    replies = await house.ask.many(VOLATILITY, questions, REPLAY)
    house.ledger.flush_now()
    return [entry for reply in replies if (entry := house.ledger.find(reply.prediction_id))]


def by_model(house: House, entries: Sequence[Entry], version: int, factor: float) -> None:
    """The same rows answered by a model that says `factor` times the variance."""
    made = []
    for i, entry in enumerate(entries):
        said = json.loads(entry.answer)
        said["answer"]["var"] *= factor
        name = f"{version:02x}{i:030x}"
        made.append(replace(entry, prediction_id=name, version=version, source="model", answer=json.dumps(said)))
    house.ledger.record(made)
    house.ledger.flush_now()


async def record(house: House, **asked: Any) -> dict[str, Any]:
    question = {"instrument": "volatility", "detail": "full", **asked}
    served = await house.call("get_track_record", json.dumps(question), "test")
    assert served.code is None, served.body
    told: dict[str, Any] = json.loads(served.body)
    return told


def judged(week: int, *, n: int = 0, version: int = 1, loss: float = 0.9, live: bool = True, **more: Any) -> Judged:
    at = NOW + week * WEEK_MS + n * HOUR_MS
    plain = Judged(
        f"{version}-{at}-{live}",
        "volatility",
        version,
        live,
        SERIES,
        DAY_MS,
        at,
        1e-3,
        loss,
        1.0,
        None,
        None,
        (True, None),
    )
    return replace(plain, **more)


async def test_before_anything_has_settled_an_answer_says_that_there_is_no_record(house: House) -> None:
    reply = await house.ask.one(VOLATILITY, VOLATILITY.question(symbol="AAA"), "test")
    assert reply.track_record is not None
    assert (reply.track_record.n_live, reply.track_record.n_replayed) == (0, 0)
    assert reply.track_record.loss_ratio_to_rules is None
    assert reply.track_record.verdict == "no answer has met its truth here yet"
    told = await record(house)
    assert told["records"] == []
    assert "Nothing suffices" in told["summary"]
    assert told["still_counting"]


async def test_after_settling_every_answer_carries_the_short_form(house: House) -> None:
    entries = await replayed(house)
    house.settle.settle(NOW)
    reply = await house.ask.one(VOLATILITY, VOLATILITY.question(symbol="AAA"), "test")
    short = reply.track_record
    assert short is not None
    assert (short.n_live, short.n_replayed, short.basis) == (0, len(entries), "replayed")
    assert short.loss_ratio_to_rules == 1.0
    assert "these are the rules, ratio 1 by definition" in short.verdict
    assert short.calibration is not None
    assert set(short.calibration) == {"coverage of the 80% band", "coverage of the 90% band"}
    assert short.window == "weeks of 2023-11-20 to 2023-12-25, 52 at most"


async def test_the_rules_are_asked_again_on_the_rows_that_a_model_answered(house: House) -> None:
    entries = await replayed(house)
    by_model(house, entries, 3, 1.5)
    house.settle.settle(NOW)
    outcomes = Outcomes(house.store, house.config.tenant)
    found = [outcomes.find(entry.prediction_id) for entry in entries]
    rules = np.array([one.loss for one in found if one is not None and one.loss is not None])
    truths = np.array([one.truth for one in found if one is not None])
    said = np.array([json.loads(entry.answer)["answer"]["var"] for entry in entries]) * 1.5
    model = truths / said - np.log(truths / said) - 1.0
    assert len(rules) == len(entries)
    (line, own) = (await record(house))["records"]
    assert (line["answered_by"], line["kind"], line["n"]) == ("volatility@3", "replayed", len(entries))
    assert line["mean_loss"] == pytest.approx(float(model.mean()), rel=1e-3)
    assert line["against_rules"]["ratio"] == pytest.approx(float(model.mean() / rules.mean()), rel=1e-3)
    assert line["against_rules"]["n"] == len(entries)
    assert own["answered_by"] == "volatility@0"
    assert own["against_rules"]["ratio"] == 1.0
    assert "insufficient: 6 weeks of 52" in line["verdict"]


async def test_a_row_that_older_code_kept_is_not_compared_with_todays_rules(house: House) -> None:
    (entry,) = await replayed(house, GRID[:1])
    other = replace(entry, version=2, feature_names=tuple(f"old_{name}" for name in entry.feature_names))
    one, same = judge(VOLATILITY, [(other, 1e-3), (replace(entry, version=2), 1e-3)])
    assert one.loss is not None
    assert one.rules_loss is None
    assert same.rules_loss == pytest.approx(one.loss, rel=1e-4)


async def test_the_choice_narrows_the_record(house: House) -> None:
    await replayed(house)
    await replayed(house, GRID[:20], horizon="6h")
    house.settle.settle(NOW)
    everything = await record(house)
    assert everything["n_replayed"] == len(GRID) + 20
    assert (await record(house, horizon="6h"))["n_replayed"] == 20
    assert (await record(house, horizon="24h", symbol="AAA", version=0))["n_replayed"] == len(GRID)
    assert (await record(house, symbol="BBB"))["n_replayed"] == 0
    assert (await record(house, version=7))["n_replayed"] == 0
    month = await record(house, horizon="24h", window="30d")
    (line,) = month["records"]
    assert line["weeks"] == 5
    assert line["n"] < len(GRID)
    assert (await record(house, instrument="forecast_volatility", window="all"))["n_replayed"] == len(GRID) + 20


async def test_the_text_tells_what_the_fields_tell_and_an_unknown_instrument_is_refused(house: House) -> None:
    await replayed(house)
    house.settle.settle(NOW)
    served = await house.call("get_track_record", '{"instrument": "volatility", "detail": "full"}', "test")
    told = json.loads(served.body)
    for part in ("0 live and 78 replayed", "volatility@0 replayed", "insufficient", "coverage of the 80% band"):
        assert part in served.text
    assert told["summary"] in served.text
    assert not told["still_counting"]
    refused = await house.call("get_track_record", '{"instrument": "astrology"}', "test")
    assert refused.code is Code.INVALID
    assert "forecast_volatility or volatility" in refused.text


def test_the_short_form_is_made_when_outcomes_change_and_not_when_somebody_asks() -> None:
    book = RecordBook(CATALOGUE)
    records = Records(book)
    book.add([judged(0)])
    assert records.record("volatility", 1).n_live == 0  # not published yet
    book.publish()
    first = records.record("volatility", 1)
    assert first.n_live == 1
    assert records.record("volatility", 1) is first
    book.publish()
    assert records.record("volatility", 1) is first
    book.add([judged(1)])
    book.publish()
    assert records.record("volatility", 1).n_live == 2


def test_until_answers_of_its_own_are_judged_a_model_says_what_it_was_promoted_for() -> None:
    book = RecordBook(CATALOGUE)
    records = Records(book, lambda name, version: f"{name}@{version} beat the rules in 52 weeks" if version else None)
    told = records.record("volatility", 1).verdict
    assert told == "no answer has met its truth here yet; promoted: volatility@1 beat the rules in 52 weeks"
    assert records.record("volatility", 0).verdict == "no answer has met its truth here yet"
    book.add([judged(0)])
    book.publish()
    assert "promoted" not in records.record("volatility", 1).verdict


def test_a_year_of_weeks_suffices_and_less_does_not() -> None:
    random = np.random.default_rng(0)
    few, enough, worse, equal = (RecordBook(CATALOGUE) for _ in range(4))
    for week in range(60):
        loss = 0.9 + 0.05 * random.standard_normal()
        few.add([judged(week, loss=loss)] if week < 20 else [])
        enough.add([judged(week, loss=loss)])
        worse.add([judged(week, loss=loss + 0.2)])
        equal.add([judged(week, loss=1.0)])
    told = {}
    for name, book in {"few": few, "enough": enough, "worse": worse, "equal": equal}.items():
        book.publish()
        told[name] = Records(book).record("volatility", 1)
    assert told["few"].verdict.startswith("insufficient (20 weeks of 52), so far better than the rules, loss 0.8")
    assert told["enough"].verdict.startswith("sufficient: better than the rules, loss 0.9")
    assert told["worse"].verdict.startswith("sufficient: worse than the rules")
    assert told["equal"].verdict.startswith(
        "sufficient: not distinguishable from the rules, loss 1.000 x (1.000-1.000)"
    )
    low, ratio, high = (
        told["enough"].loss_ratio_low,
        told["enough"].loss_ratio_to_rules,
        told["enough"].loss_ratio_high,
    )
    assert low is not None
    assert ratio is not None
    assert high is not None
    assert low < ratio < high < 1.0
    assert told["enough"].n_live == 60


def test_figures_are_of_live_answers_once_they_span_eight_weeks() -> None:
    book = RecordBook(CATALOGUE)
    book.add([judged(week, live=False, loss=0.8) for week in range(-40, 0)])
    book.add([judged(week, loss=1.2) for week in range(7)])
    book.publish()
    before = book.standing("volatility", 1)
    assert (before.n_live, before.n_replayed, before.live) == (7, 40, False)
    book.add([judged(7, loss=1.2)])
    book.publish()
    after = book.standing("volatility", 1)
    assert after.live is True
    assert after.tally.against_rules is not None
    assert after.tally.against_rules.point == pytest.approx(1.2)


def test_confidence_and_bands_are_held_to_what_came_true() -> None:
    random = np.random.default_rng(1)
    confidence, right = random.random(500), random.random(500) < 0.6
    book = RecordBook(CATALOGUE)
    book.add(
        [
            judged(n // 100, n=n % 100, confidence=float(p), right=bool(hit), inside=(n % 4 != 0, None))
            for n, (p, hit) in enumerate(zip(confidence, right, strict=True))
        ]
    )
    book.publish()
    calibration, bands = book.standing("volatility", 1).tally.calibration
    assert (calibration.name, calibration.n) == ("ece", 500)
    assert calibration.value == pytest.approx(ece(confidence, right))
    assert (bands.name, bands.value) == ("coverage of the 80% band", 0.75)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 6))
def test_the_record_is_the_same_however_the_answers_came_in(seed: int, parts: int) -> None:
    random = np.random.default_rng(seed)
    answers = [judged(int(week), n=n, loss=float(random.random())) for n, week in enumerate(random.integers(0, 12, 40))]
    whole, pieces = RecordBook(CATALOGUE), RecordBook(CATALOGUE)
    whole.add(answers)
    for start in range(parts):
        pieces.add(answers[start::parts])
        pieces.publish()
    whole.publish()
    one, other = whole.lines("volatility", Choice()), pieces.lines("volatility", Choice())
    assert [line.tally.n for line in one] == [line.tally.n for line in other] == [40]
    assert one[0].tally.mean_loss == pytest.approx(other[0].tally.mean_loss)
    assert one[0].tally.against_rules is not None
    assert other[0].tally.against_rules is not None
    assert one[0].tally.against_rules.point == pytest.approx(other[0].tally.against_rules.point)


def test_climatology_of_a_number_is_the_trailing_mean_of_what_had_come_true() -> None:
    usual = Usual(VOLATILITY, 2 * DAY_MS)
    random = np.random.default_rng(2)
    came = random.lognormal(-7.0, 0.5, 300)
    for n, truth in enumerate(came.tolist()):
        usual.add(n // 100, truth)
    assert usual.loss(1, 1e-3) is None  # week 0 had not closed two days before week 1 began
    assert usual.loss(2, 1e-3) == pytest.approx(VOLATILITY.loss(VOLATILITY.certain(float(came[:100].mean())), 1e-3))
    assert usual.loss(4, 1e-3) == pytest.approx(VOLATILITY.loss(VOLATILITY.certain(float(came.mean())), 1e-3))
    assert usual.loss(60, 1e-3) is None  # more than a year ago


def test_climatology_of_a_label_is_how_often_it_had_come_true() -> None:
    usual = Usual(REGIME, 12 * HOUR_MS)
    for _ in range(FEWEST):
        usual.add(0, "trend_up")
    for _ in range(3 * FEWEST):
        usual.add(0, "range_bound")
    assert usual.loss(2, "trend_up") == pytest.approx(-np.log(0.25))
    assert usual.loss(2, "range_bound") == pytest.approx(-np.log(0.75))


def test_too_few_truths_make_no_climatology() -> None:
    usual = Usual(VOLATILITY, DAY_MS)
    for _ in range(FEWEST - 1):
        usual.add(0, 1e-3)
    assert usual.loss(5, 1e-3) is None
    usual.add(0, 1e-3)
    assert usual.loss(5, 1e-3) == pytest.approx(0.0)


def test_a_capabilitys_own_figures_stand_in_its_record_by_name() -> None:
    def high(_: Answer, truth: float) -> float | None:
        return None if truth < 1e-4 else float(truth > 1e-3)

    with_figures = replace(VOLATILITY, figures={"high": high, "silent": lambda *_: None})
    book = RecordBook([with_figures])
    book.add([judged(0, n=n, figures=(float(n % 4 == 0) if n % 2 else None, None)) for n in range(40)])
    book.add([judged(1, n=n, figures=(1.0, None)) for n in range(20)])
    book.publish()
    own = next(one for one in book.standing("volatility", 1).tally.calibration if one.name == "high")
    assert (own.value, own.n) == (0.5, 40)
    (line,) = book.lines("volatility", Choice())
    assert own in line.tally.calibration
    assert all(len(one.figures) <= MOST_FIGURES for one in CATALOGUE)


async def test_the_figures_of_an_answer_are_worked_out_as_it_meets_its_truth(house: House) -> None:
    entries = [one for one in await replayed(house) if one.version == 0][:5]
    truths = [1e-5, 5e-4, 2e-3, 4e-3, 1e-4]
    above = replace(VOLATILITY, figures={"above": lambda answer, truth: None if truth < 1e-4 else truth / answer.var})
    for entry, truth, one in zip(entries, truths, judge(above, list(zip(entries, truths, strict=True))), strict=True):
        var = json.loads(entry.answer)["answer"]["var"]
        assert one.figures == ((None,) if truth < 1e-4 else (pytest.approx(truth / var),))
