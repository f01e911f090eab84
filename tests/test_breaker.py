"""The breaker: opens after failures in a row, cools off, lets exactly one try, and hears nobody else meanwhile."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import HandClock
from tools.breaker import Breaker, Position

MINUTE_MS = 60_000


def broken(clock: HandClock) -> Breaker:
    """A breaker that has just opened: three failures, one minute to go."""
    breaker = Breaker(clock)
    for _ in range(3):
        report(breaker, well=False)
    assert breaker.position() is Position.OPEN
    return breaker


def report(breaker: Breaker, *, well: bool) -> None:
    turn = breaker.admit()
    assert turn is not None
    (breaker.succeeded if well else breaker.failed)(turn)


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    breaker = Breaker(HandClock(0))
    for well in (False, False, True, False, False):
        report(breaker, well=well)
    assert breaker.position() is Position.CLOSED
    report(breaker, well=False)
    assert breaker.position() is Position.OPEN
    assert breaker.admit() is None


def test_it_cools_off_and_a_try_that_works_closes_it() -> None:
    clock = HandClock(0)
    breaker = broken(clock)
    clock.at = MINUTE_MS - 1
    assert breaker.admit() is None
    clock.at = MINUTE_MS
    turn = breaker.admit()
    assert turn is not None
    assert breaker.position() is Position.HALF_OPEN
    assert breaker.admit() is None
    breaker.succeeded(turn)
    assert breaker.position() is Position.CLOSED
    for _ in range(2):
        report(breaker, well=False)
    assert breaker.position() is Position.CLOSED, "it counts from nothing again"


def test_a_try_that_fails_opens_it_for_another_cool_off() -> None:
    clock = HandClock(0)
    breaker = broken(clock)
    clock.at = MINUTE_MS
    report(breaker, well=False)
    clock.at = 2 * MINUTE_MS - 1
    assert breaker.admit() is None
    clock.at = 2 * MINUTE_MS
    assert breaker.admit() is not None


def test_a_try_that_is_never_reported_does_not_keep_it_open_for_ever() -> None:
    clock = HandClock(0)
    breaker = broken(clock)
    clock.at = MINUTE_MS
    lost = breaker.admit()
    clock.at = 2 * MINUTE_MS
    second = breaker.admit()
    assert lost is not None
    assert second is not None
    breaker.succeeded(lost)
    assert breaker.position() is Position.HALF_OPEN, "the lost one is not heard any more"
    breaker.succeeded(second)
    assert breaker.position() is Position.CLOSED


def test_word_of_calls_from_before_it_opened_neither_closes_it_nor_lengthens_the_wait() -> None:
    clock = HandClock(0)
    breaker = Breaker(clock)
    slow = [breaker.admit() for _ in range(2)]
    for _ in range(3):
        report(breaker, well=False)
    clock.at = MINUTE_MS // 2
    for turn in slow:
        assert turn is not None
        breaker.failed(turn)
        breaker.succeeded(turn)
    assert breaker.position() is Position.OPEN
    clock.at = MINUTE_MS
    assert breaker.admit() is not None


def test_of_fifty_callers_at_the_half_open_moment_exactly_one_may_try() -> None:
    clock = HandClock(0)
    for _ in range(20):
        breaker = broken(clock)
        clock.at += MINUTE_MS
        admitted: list[int] = []
        ready = threading.Barrier(50)

        def caller(breaker: Breaker = breaker, ready: threading.Barrier = ready, to: list[int] = admitted) -> None:
            ready.wait()
            turn = breaker.admit()
            if turn is not None:
                to.append(turn)

        callers = [threading.Thread(target=caller) for _ in range(50)]
        for one in callers:
            one.start()
        for one in callers:
            one.join()
        assert len(admitted) == 1


@given(st.lists(st.tuples(st.integers(0, 90_000), st.booleans()), max_size=60))
def test_whatever_happens_it_is_open_only_after_three_failures_in_a_row_and_lets_one_try_a_minute(
    calls: list[tuple[int, bool]],
) -> None:
    clock = HandClock(0)
    breaker = Breaker(clock)
    in_a_row, opened_at = 0, -1
    for wait_ms, well in calls:
        clock.at += wait_ms
        turn = breaker.admit()
        if opened_at >= 0 and clock.at < opened_at + MINUTE_MS:
            assert turn is None
            continue
        assert turn is not None
        (breaker.succeeded if well else breaker.failed)(turn)
        in_a_row = 0 if well else in_a_row + 1
        opened_at = clock.at if in_a_row >= 3 else -1
