"""A reply is written once; asked again, it says the same as one that was made anew, with the clock as it is then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.capability import Answer, AnyCapability
from ml.catalogue import CATALOGUE
from server import House
from tests.conftest import NOW, HandClock
from tools.instruments import instrument
from tools.principal import neighbour, speaking
from tools.reply import Reply, Source, TrackRecord, moment
from tools.tool import asked

EACH = pytest.mark.parametrize("capability", CATALOGUE, ids=lambda one: one.name)
YEAR_MS = 366 * 86_400_000


class Words(Answer):
    """An answer with the words by which a reply's JSON is taken apart."""

    as_of: str = '"as_of":"'
    data_age_seconds: float = 7.5


def a_reply(reasons: tuple[str, ...] = ("a", "b", "c"), *, aged: bool = True) -> Reply[Words]:
    return Reply[Words](
        symbol="AAA",
        summary='It said "data_age_seconds":1, and "as_of":"then".',
        answer=Words(),
        answered_by="words@0",
        source=Source.RULES,
        reasons=reasons,
        track_record=TrackRecord(n_live=1, n_replayed=2, verdict="v"),
        data_origin="files",
        as_of=moment(NOW),
        data_through=moment(NOW) if aged else None,
        data_age_seconds=0.0 if aged else None,
        stale=False,
        prediction_id="a" * 32,
        expires_at=moment(NOW) if aged else None,
    )


def anew(reply: Reply[Words]) -> Reply[Words]:
    """The same reply, of which nothing is written."""
    return Reply[Words].model_validate_json(reply.model_dump_json())


@given(
    as_of=st.integers(0, 3 * NOW),
    age_ms=st.integers(0, 5 * YEAR_MS),
    aged=st.booleans(),
    long=st.integers(0, 2_000),
)
def test_what_was_written_says_at_any_time_what_a_new_reply_says(
    as_of: int, age_ms: int, aged: bool, long: int
) -> None:
    first = a_reply(("x" * (long // 2), "y" * (long // 2)), aged=aged)
    first.concise()
    later = first.at(moment(as_of), age_ms / 1_000 if aged else None)
    assert later.written is first.written
    assert later.concise() == anew(later).concise()
    assert later == anew(later), "what was written counts for nothing where replies are compared"
    assert later.model_dump_json() == anew(later).model_dump_json()


def test_a_changed_copy_says_what_it_holds() -> None:
    first = a_reply()
    first.concise()
    other = first.model_copy(update={"symbol": "BBB", "more": (first,)})
    assert other.concise() == anew(other).concise()
    assert '"symbol":"BBB"' in other.concise().body


@pytest.mark.anyio
@EACH
async def test_asked_again_within_a_bar_the_bytes_are_those_of_a_reply_made_anew(
    house: House, clock: HandClock, capability: AnyCapability
) -> None:
    with speaking(neighbour("local")):
        for later_ms in (0, 1, 999, 60_000, 3_600_001, 4 * 3_600_000):
            clock.at = NOW + later_ms
            told = await house.guard.call(capability.tool, b'{"symbol": "AAA"}', "http")
            reply = await house.ask.one(capability, capability.question(symbol="AAA"), "test")
            made = type(reply).model_validate_json(reply.model_dump_json())
            assert (told.body, told.text) == (made.concise().body, made.concise().text)


@pytest.mark.anyio
async def test_the_same_bytes_are_read_once_and_wrong_ones_are_wrong_each_time(house: House) -> None:
    tool = instrument(CATALOGUE[0], house.ask)
    assert asked(tool, b'{"symbol": "AAA"}') is asked(tool, bytes(bytearray(b'{"symbol": "AAA"}')))
    assert asked(tool, '{"symbol": "AAA"}') == asked(tool, b'{"symbol": "AAA"}')
    for _ in range(2):
        with pytest.raises(ValidationError):
            asked(tool, b'{"symbol": 5}')
