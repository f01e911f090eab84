"""Headlines: cleaned, kept once, known since they came; and read from RSS and Atom."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from market.headline import LONGEST_TITLE, Headline, HeadlineFault, headline
from market.headlines import Headlines
from market.rss import NoFeed, read_feed
from ml.bars import HOUR_MS
from registry.blobs import Blobs
from registry.manifest import Manifest
from registry.store import Store

START = 1_700_000_000_000 // HOUR_MS * HOUR_MS
TENANTS = count()

RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Wire</title>
<item><guid>a1</guid><title>Bitcoin &lt;b&gt;falls&lt;/b&gt; &amp;amp; recovers</title>
<pubDate>Tue, 14 Nov 2023 20:00:00 GMT</pubDate></item>
<item><link>https://wire.example/2</link><title>No date here</title></item>
<item><guid>a3</guid><title> </title><pubDate>Tue, 14 Nov 2023 20:00:00 GMT</pubDate></item>
<item><guid>a4</guid><title>From tomorrow</title><pubDate>Wed, 15 Nov 2023 23:00:00 GMT</pubDate></item>
</channel></rss>"""
ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>x</title>
<entry><id>urn:1</id><title>ETF approved</title><updated>2023-11-14T20:30:00Z</updated></entry></feed>"""


def opened(store: Store, folder: Path, tenant: str = "local") -> Headlines:
    kept = Headlines(Manifest(store, tenant), Blobs(folder / "blobs"), tenant)
    kept.load()
    return kept


def told(key: str, hour: int, title: str = "Bitcoin falls") -> Headline:
    made = headline("wire", key, START + hour * HOUR_MS, title, ("BTC",))
    assert isinstance(made, Headline)
    return made


def titles(kept: Headlines, as_of: int, since: int = 0) -> list[str]:
    return [one.headline.title for one in kept.known(as_of, since)]


def test_a_headline_is_kept_once_and_a_revision_is_known_since_it_came(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    first = kept.append([told("a", 0), told("b", 1, "Ether rises")], received_at=START + 2 * HOUR_MS, live=True)
    again = kept.append([told("a", 0)], received_at=START + 3 * HOUR_MS, live=True)
    kept.append([told("a", 0, "Bitcoin falls less")], received_at=START + 4 * HOUR_MS, live=True)
    assert (first.kept, again.kept, again.repeated) == (2, 0, 1)
    assert titles(kept, START + HOUR_MS) == []
    assert titles(kept, START + 3 * HOUR_MS) == ["Bitcoin falls", "Ether rises"]
    assert titles(kept, START + 4 * HOUR_MS) == ["Bitcoin falls less", "Ether rises"]
    assert titles(kept, START + 4 * HOUR_MS, since=START + HOUR_MS) == ["Ether rises"]


def test_an_archive_is_known_at_its_own_time_and_everything_is_there_after_a_restart(
    store: Store, tmp_path: Path
) -> None:
    kept = opened(store, tmp_path)
    kept.append([told("a", 0), told("b", 5, "Ether rises")], received_at=START + 9 * HOUR_MS, live=False)
    for view in (kept, opened(store, tmp_path)):
        assert titles(view, START) == ["Bitcoin falls"]
        assert titles(view, START + 5 * HOUR_MS) == ["Bitcoin falls", "Ether rises"]
        assert view.known(START)[0].headline.symbols == ("BTC",)
        assert dict(view.sources()) == {"wire": 2}


def test_what_is_no_headline_is_counted_and_kept_out(store: Store, tmp_path: Path) -> None:
    batch = [
        headline("wire", "a", -1, "x"),
        headline("wire", "a", START, "\u200b\x00 "),
        headline("Wire Service", "a", START, "x"),
        headline("wire", "a", START, "x", ("b t c",)),
        told("late", 30),
    ]
    receipt = opened(store, tmp_path).append(batch, received_at=START, live=True)
    assert receipt.kept == 0
    assert dict(receipt.refused) == dict.fromkeys(
        [
            HeadlineFault.NO_TIME,
            HeadlineFault.NO_TITLE,
            HeadlineFault.BAD_SOURCE,
            HeadlineFault.BAD_SYMBOL,
            HeadlineFault.IN_FUTURE,
        ],
        1,
    )


@given(st.text(max_size=700))
def test_a_title_is_one_short_line_that_can_be_seen(text: str) -> None:
    made = headline("wire", "k", START, text)
    if isinstance(made, Headline):
        assert 0 < len(made.title) <= LONGEST_TITLE
        assert made.title.isprintable()
        assert made.title.encode("utf-8")
        assert headline("wire", "k", START, made.title) == made


def test_rss_and_atom_become_headlines_with_their_time() -> None:
    read = read_feed(RSS, "wire", read_at=START).headlines
    assert [one.title if isinstance(one, Headline) else one for one in read] == [
        "Bitcoin falls & recovers",
        "No date here",
        HeadlineFault.NO_TITLE,
        "From tomorrow",
    ]
    dated = [one.at for one in read if isinstance(one, Headline)]
    assert dated == [1_699_992_000_000, START, START]
    atom = read_feed(ATOM, "wire", read_at=START).headlines[0]
    assert isinstance(atom, Headline)
    assert (atom.title, atom.at) == ("ETF approved", 1_699_993_800_000)


def test_a_feed_that_is_read_again_brings_nothing_new(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    kept.append(read_feed(RSS, "wire", read_at=START).headlines, received_at=START, live=True)
    later = START + HOUR_MS
    again = kept.append(read_feed(RSS, "wire", read_at=later).headlines, received_at=later, live=True)
    assert (again.kept, again.repeated) == (0, 3)


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"<html><body>404</body></html>", b'{"a": 1}'])
def test_bytes_that_are_no_feed_are_refused(content: bytes) -> None:
    with pytest.raises(NoFeed):
        read_feed(content, "wire", read_at=START)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stream=st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30), st.sampled_from("xyz")), max_size=5),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
@example(stream=[([("a", 5, "xyz"[n % 3]) for n in range(200)] + [("b", n % 9, "x") for n in range(9)], True)] * 2)
def test_no_stream_changes_what_an_answered_time_sees(
    store: Store, tmp_path: Path, stream: list[tuple[list[tuple[str, int, str]], bool]]
) -> None:
    tenant = f"t{next(TENANTS)}"
    kept = opened(store, tmp_path, tenant)
    seen: list[tuple[int, list[str]]] = []
    now = START + 31 * HOUR_MS
    for batch, live in stream:
        kept.append([told(*one) for one in batch], received_at=now, live=live)
        now += HOUR_MS
        kept.seal(now)
        seen.append((now, titles(kept, now)))
    for view in (kept, opened(store, tmp_path, tenant)):
        assert [(as_of, titles(view, as_of)) for as_of, _ in seen] == seen
