"""Every tool with a model that raises, says NaN, hangs, is slow or lies damaged on disk: the rules answer, labelled.

How breakers and threads do it: tests/test_breaker.py, tests/test_models_served.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.config import Answers, Config, Ledger, Models
from ml.bars import DAY_MS, HOUR_MS
from ml.capability import AnyCapability
from ml.learning import Artefact
from registry.models import Card
from server import House, build
from tests.conftest import NOW, HandClock, table
from tests.faulty_learner import FAULTY, RELEASE
from tools.reply import moment
from workers.train import SUFFIX

pytestmark = pytest.mark.anyio

CONFIG = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), answers=Answers(deadline_ms=120, remembered=1))
LEARNED = NOW - 3 * DAY_MS
#: A breaker opens within so many failures.
MOST_FAILURES = 5
COOL_OFF_MS = 60_000
SAYS = {
    "raises": "it failed",
    "says too little": "it failed",
    "NaN": "what it said is no answer",
    "hangs": "it did not answer within the deadline",
    "is slow": "it did not answer within the deadline",
}

each_tool = pytest.mark.parametrize("capability", FAULTY, ids=lambda one: one.tool)


def opened(folder: Path, clock: HandClock) -> House:
    return build(CONFIG, folder, clock, catalogue=FAULTY, taught_by="tests.faulty_learner:FAULTY")


@pytest.fixture
def house(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    clock.at = LEARNED
    built = opened(tmp_path / "data", clock)
    clock.at = NOW
    built.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    yield built
    RELEASE.set()
    built.close()
    RELEASE.clear()


def crowned(house: House, capability: AnyCapability, fault: str) -> Artefact:
    """Makes a model with this fault the champion; its artefact."""
    assert capability.learner is not None
    made = Artefact(capability.learner.name, {}, {"fault": fault})
    house.trainer.blobs.put(made.to_bytes(), SUFFIX)
    names = tuple(capability.features.names)
    card = Card(
        capability.learner.name, made.sha256, names, 9, "0" * 64, NOW - 99 * DAY_MS, LEARNED, 0, "code", {}, 0, {}
    )
    version = house.versions.register(capability.name, card, LEARNED).version
    house.versions.promote(capability.name, version, ["a test wants it"], "test", LEARNED)
    return made


async def ask(house: House, capability: AnyCapability, hours_ago: int = 0, **fields: Any) -> tuple[Any, str]:
    """The reply to one question as JSON and as text; another hour is another question."""
    asked = {"symbol": "AAA", "as_of": moment(NOW - hours_ago * HOUR_MS).isoformat(), "detail": "full", **fields}
    served = await house.call(capability.tool, json.dumps(asked), "test")
    assert served.code is None, served.text
    return json.loads(served.body), served.text


@each_tool
@pytest.mark.parametrize("fault", SAYS)
async def test_the_rules_answer_for_a_model_that_fails_its_breaker_opens_and_one_probe_at_a_time_is_let_through(
    house: House, clock: HandClock, capability: AnyCapability, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    by_rules, _ = await ask(house, capability)
    assert by_rules["source"] == "rules", "give this test data on which the rules of the capability answer"
    crowned(house, capability, fault)
    name = f"{capability.name}@1"
    told = []
    for hours_ago in range(MOST_FAILURES + 1):
        reply, text = await ask(house, capability, hours_ago)
        assert (reply["source"], reply["answered_by"]) == ("rules", f"{capability.name}@0")
        assert reply["passed_over"][0].startswith(f"{name}: ")
        assert reply["passed_over"][0] in text
        assert "SECRET" not in json.dumps(reply) + text
        assert hours_ago or reply["answer"] == by_rules["answer"]
        told.append(reply["passed_over"][0])
    assert told[0] == f"{name}: {SAYS[fault]}"
    assert "breaker open" in told[-1]
    if fault == "is slow":
        RELEASE.set()  # what comes late is not used, and frees its thread
    probe = await only_probe(house, clock, capability)
    assert probe["source"] == "rules" or fault == "is slow"
    for _ in range(100):  # until its threads have noticed
        if fault != "is slow" or probe["source"] == "model":
            break
        probe = await only_probe(house, clock, capability)
    back, _ = await ask(house, capability, 30)
    assert {probe["answered_by"], back["answered_by"]} == {name if fault == "is slow" else f"{capability.name}@0"}


async def only_probe(house: House, clock: HandClock, capability: AnyCapability) -> Any:
    """The reply to the one question of many that a model is let try after the breaker has cooled off."""
    clock.at += COOL_OFF_MS
    replies = [reply for reply, _ in await asyncio.gather(*(ask(house, capability, h) for h in range(10, 20)))]
    tried = [one for one in replies if "breaker open" not in " ".join(one["passed_over"])]
    assert len(tried) == 1, "one probe at a time"
    assert {one["source"] for one in replies if one not in tried} == {"rules"}
    return tried[0]


@each_tool
@pytest.mark.parametrize("harm", ["damaged", "missing"])
async def test_the_rules_answer_for_a_model_whose_file_is_unwell(
    house: House,
    tmp_path: Path,
    clock: HandClock,
    capability: AnyCapability,
    harm: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    by_rules, _ = await ask(house, capability)
    made = crowned(house, capability, "none")
    served, _ = await ask(house, capability)
    assert (served["source"], served["answered_by"]) == ("model", f"{capability.name}@1")
    path = house.trainer.blobs.path(made.sha256, SUFFIX)
    house.close()
    if harm == "damaged":
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    else:
        path.unlink()
    again = opened(tmp_path / "data", clock)
    try:
        reply, text = await ask(again, capability)
        assert (reply["source"], reply["answer"]) == ("rules", by_rules["answer"])
        assert f"is {harm}" in reply["passed_over"][0]
        assert reply["passed_over"][0] in text
        assert str(tmp_path) not in json.dumps(reply) + text
    finally:
        again.close()


@each_tool
@pytest.mark.parametrize("fault", ["mute", "nan terms"])
async def test_a_model_that_cannot_explain_itself_is_told_so_and_the_caller_is_not_blamed(
    house: House, capability: AnyCapability, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    crowned(house, capability, fault)
    reply, _ = await ask(house, capability)
    assert reply["source"] == "model"
    asked = json.dumps({"prediction_id": reply["prediction_id"]})
    served = await house.call("explain_prediction", asked, "test")
    assert served.code == "model_gone", served.text
    assert f"{capability.name}@1" in served.text
    assert "SECRET" not in served.body + served.text
    status = await house.call("get_server_status", "{}", "test")
    assert status.code is None


@pytest.mark.parametrize("fault", SAYS)
async def test_status_and_track_record_go_on_while_all_models_fail(house: House, fault: str, caplog: Any) -> None:
    for capability in FAULTY:
        crowned(house, capability, fault)
        for hours_ago in range(3):
            await ask(house, capability, hours_ago)
    status = await house.call("get_server_status", "{}", "test")
    assert status.code is None
    for capability in FAULTY:
        assert f"{capability.tool}: {capability.name}@1 is passed over, breaker open" in status.text
        record = await house.call("get_track_record", json.dumps({"instrument": capability.tool}), "test")
        assert record.code is None, record.text
