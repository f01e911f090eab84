"""How the soak tells right from wrong: who may answer when, what growth is, and how it reads an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak import promised
from benchmarks.soak_load import Answered, Seen
from benchmarks.soak_memory import grown
from benchmarks.wire import post, whole

SAID = [(10.0, "trained regime@1"), (10.0, "promoted regime@1"), (40.0, "rolled back regime@1")]


def answers(*told: tuple[float, str]) -> list[Answered]:
    return [Answered(at, at + 0.01, by, passed_over=False) for at, by in told]


def test_a_version_answers_from_its_promotion_until_it_is_taken_back_and_others_do_not() -> None:
    well = answers((5, "regime@0"), (11, "regime@0"), (20, "regime@1"), (20, "volatility@0"), (41, "regime@1"))
    assert promised(SAID, [*well, *answers((50, "regime@0"))]) == []
    assert promised(SAID, [*well, Answered(30, 30.1, "regime@0", passed_over=True)]) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ((30.0, "regime@0"), "regime@1 was promoted, and regime@0 answered 1 times"),
        ((5.0, "regime@1"), "regime@1 answered 1 times before it was promoted"),
        ((50.0, "regime@1"), "regime@1 answered 1 times after it was rolled back"),
    ],
)
def test_a_version_that_answers_out_of_its_time_is_found(wrong: tuple[float, str], told: str) -> None:
    assert promised(SAID, answers((20, "regime@1"), wrong)) == [told]


def test_a_promotion_that_nobody_notices_is_found_and_so_is_none_at_all() -> None:
    assert promised(SAID, answers((5, "regime@0"))) == ["regime@1 was promoted for 30 s, and never answered"]
    assert promised([(9.0, "FAILED: a training")], []) == ["FAILED: a training", "nothing was promoted"]


def test_what_fills_up_at_first_and_what_is_held_for_a_moment_is_no_growth() -> None:
    rising = np.linspace(300e6, 500e6, 400)
    flat = np.full(1_200, 500e6)
    flat[500:560] += 200e6
    assert grown([*rising, *flat]).by == 0.0
    assert grown([300e6] * 10).by == 0.0
    with pytest.raises(ValueError, match="too few"):
        grown([1.0] * 9)


@given(per_hour=st.floats(0.2, 3.0), noise=st.floats(0.0, 0.004))
def test_a_leak_is_found_however_memory_trembles(per_hour: float, noise: float) -> None:
    hours = np.arange(1_800) / 3_600
    tremble = noise * np.random.default_rng(0).standard_normal(1_800)
    size = grown((500e6 * (1.0 + per_hour * hours) * (1.0 + tremble)).tolist())
    warm = 1.0 + per_hour * (600 + 120) / 3_600
    assert size.by == pytest.approx(per_hour * 960 / 3_600 / warm, abs=0.01)
    assert size.per_hour == pytest.approx(per_hour / warm, rel=0.1)


def test_two_answers_under_one_name_and_two_on_bars_that_nobody_revised_are_found() -> None:
    seen = Seen()
    one = {"answered_by": "regime@0", "prediction_id": "a", "answer": {"label": "up"}, "data_through": "t"}
    seen.reply("tool", "LOOPA", one, 0.0, 0.1)
    seen.reply("tool", "LOOPA", {**one, "prediction_id": "b"}, 0.0, 0.1)
    assert not seen.wrong, "the exchange corrected itself"
    seen.reply("tool", "SIMBTC", one, 0.0, 0.1)
    seen.reply("tool", "SIMBTC", {**one, "prediction_id": "c"}, 0.0, 0.1)
    seen.reply("tool", "LOOPA", {**one, "answer": {"label": "down"}}, 0.0, 0.1)
    assert seen.wrong.total() == 2


@given(cut=st.integers(0, 200))
def test_an_answer_is_read_once_it_is_whole_in_one_piece_or_in_chunks(cut: int) -> None:
    sized = b"HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    for message, status in ((sized, 429), (chunked, 200)):
        heard = whole(message[:cut])
        assert (heard is None) == (cut < len(message))
        if heard is not None:
            assert (heard.status, heard.body) == (status, b"hello")
    told = whole(sized)
    assert told is not None
    assert told.headers["retry-after"] == "3"
    assert post("/v1/x", {"a": 1}).endswith(b'Content-Length: 7\r\n\r\n{"a":1}')
