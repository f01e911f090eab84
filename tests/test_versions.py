"""Versions: numbered, immutable, decided upon with reasons; the alias moves whole, the past keeps its answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from registry.events import Events
from registry.faults import MoveRefused, StateDamaged, UnknownCapability, UnknownVersion
from registry.models import Card, State, Verdict
from registry.store import Store, migrate, open_store
from registry.tables import versions as version_rows
from registry.versions import InForce, Versions
from tests.hesitant_store import Hesitant

ROOT = Path(__file__).parent.parent
WHY = ("loss 3.1% below the rules, interval 1.2% to 5.0%", "parity 2e-7")
BY = "gate"
CARD = Card(
    learner="volatility/ensemble@1",
    sha256="a" * 64,
    features=("x", "y"),
    n_lessons=20_000,
    lessons_sha256="b" * 64,
    learned_from=10,
    learned_through=90,
    seed=7,
    code="c" * 64,
    environment={"python": "3.11.7"},
    parent=0,
    report={"loss": 0.31},
)


@pytest.fixture
def versions(store: Store) -> Versions:
    return with_candidates(store, 3)


def with_candidates(store: Store, n: int) -> Versions:
    """Rules of volatility and regime since 1 ms, and `n` candidates of volatility."""
    made = Versions(store, "local")
    made.ensure_rules(["volatility", "regime"], 1)
    for number in range(1, n + 1):
        made.register("volatility", replace(CARD, sha256=f"{number:064x}"), 100 + number)
    return made


def states(versions: Versions) -> list[str]:
    return [one.state.value for one in versions.of("volatility")]


def test_versions_are_counted_per_capability_from_the_rules_on(versions: Versions) -> None:
    assert [one.name for one in versions.of("volatility")] == [f"volatility@{n}" for n in range(4)]
    assert [one.name for one in versions.of("regime")] == ["regime@0"]
    rules, first, *_ = versions.of("volatility")
    assert (rules.card, rules.label, rules.state) == (None, "rules", State.CHAMPION)
    assert (first.state, first.registered_at) == (State.CANDIDATE, 101)


def test_a_version_is_shown_as_it_was_made(versions: Versions, store: Store) -> None:
    assert versions.show("volatility", 2).card == replace(CARD, sha256=f"{2:064x}")
    assert Versions(store, "local").show("volatility", 2) == versions.show("volatility", 2)
    with pytest.raises(UnknownVersion, match=r"no volatility@9; known are \[0, 1, 2, 3\]"):
        versions.show("volatility", 9)


def test_labels_tell_people_what_changed(store: Store) -> None:
    versions = with_candidates(store, 0)
    cards = [
        CARD,
        replace(CARD, seed=8),
        replace(CARD, code="d" * 64),
        replace(CARD, code="d" * 64, learned_through=99),
        replace(CARD, features=("x", "y", "z")),
        replace(CARD, features=("x", "y", "z"), learner="volatility/ensemble@2"),
    ]
    for number, card in enumerate(cards):
        versions.register("volatility", replace(card, sha256=f"{number:064x}"), 100)
    labels = [one.label for one in versions.of("volatility")[1:]]
    assert labels == ["1.0.0", "1.0.1", "1.1.0", "1.1.1", "2.0.0", "3.0.0"]


def test_the_same_bytes_are_the_same_version(versions: Versions) -> None:
    again = versions.register("volatility", replace(CARD, sha256=f"{2:064x}"), 999)
    assert (again.version, again.registered_at) == (2, 102)
    assert len(versions.of("volatility")) == 4


def test_nothing_is_registered_for_a_capability_that_nobody_has(versions: Versions) -> None:
    with pytest.raises(UnknownCapability, match="'astrology' has no versions"):
        versions.register("astrology", CARD, 100)


def test_a_promoted_version_is_in_force_from_then_on_and_not_before(versions: Versions, store: Store) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000)
    for known in (versions, Versions(store, "local")):
        assert [known.champion("volatility", at) for at in (0, 999, 1_000, 9_999)] == [0, 0, 1, 1]
        assert known.champion("regime", 9_999) == 0
    assert states(versions) == ["shadow", "champion", "candidate", "candidate"]
    versions.promote("volatility", 2, WHY, BY, 2_000)
    assert [versions.champion("volatility", at) for at in (999, 1_999, 2_000)] == [0, 1, 2]
    assert states(versions) == ["shadow", "retired", "champion", "candidate"]


def test_rollback_goes_back_one_by_one_and_at_last_to_the_rules(versions: Versions) -> None:
    for version in (1, 2, 3):
        versions.promote("volatility", version, WHY, BY, version * 1_000)
    for step, expected in enumerate((2, 1, 0)):
        versions.rollback("volatility", ("coverage fell to 61%",), "operator", 4_000 + step)
        assert versions.champion("volatility", 5_000) == expected
    assert states(versions) == ["champion", "retired", "retired", "retired"]
    with pytest.raises(MoveRefused, match="volatility@0 is champion"):
        versions.rollback("volatility", WHY, BY, 6_000)
    assert [versions.champion("volatility", at) for at in (500, 3_500, 4_000, 4_001, 4_002)] == [0, 3, 2, 1, 0]


def test_rollback_passes_over_a_version_that_was_rejected(versions: Versions) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000)
    versions.promote("volatility", 2, WHY, BY, 2_000)
    versions.reject("volatility", 1, ("it had seen the future",), "operator", 2_500)
    versions.rollback("volatility", WHY, BY, 3_000)
    assert versions.champion("volatility", 3_000) == 0


def test_a_retired_champion_leaves_its_place_to_the_rules(versions: Versions) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000)
    versions.retire("volatility", 1, ("trained on deleted trades",), "operator", 2_000)
    assert versions.champion("volatility", 2_000) == 0
    assert states(versions) == ["champion", "retired", "candidate", "candidate"]
    versions.retire("volatility", 2, ("older than 180 days",), "watch", 2_001)
    assert states(versions)[2] == "retired"


def test_every_decision_is_kept_with_its_reasons_and_refusals_too(versions: Versions, store: Store) -> None:
    versions.shadow("volatility", 1, ("60 of 100 weeks",), BY, 200)
    versions.keep("volatility", 1, ("the interval reaches -0.4%", "9 weeks of evidence"), BY, 300)
    versions.reject("volatility", 2, ("direction is right in 99%: too good to be true",), BY, 400)
    versions.promote("volatility", 1, WHY, "operator", 1_000)
    kept = Versions(store, "local").decisions("volatility")
    assert [(one.number, one.version, one.verdict, one.decided_by) for one in kept[3:]] == [
        (4, 1, Verdict.SHADOWED, BY),
        (5, 1, Verdict.KEPT, BY),
        (6, 2, Verdict.REJECTED, BY),
        (7, 1, Verdict.PROMOTED, "operator"),
    ]
    assert [one.verdict for one in kept[:3]] == [Verdict.REGISTERED] * 3
    assert kept[4].reasons == ("the interval reaches -0.4%", "9 weeks of evidence")
    assert kept[6].at == 1_000
    assert versions.decisions("regime") == ()


@pytest.mark.parametrize(
    ("verb", "version", "match"),
    [
        ("promote", 1, "volatility@1 is champion and cannot become champion"),
        ("promote", 2, "volatility@2 is rejected and cannot become champion"),
        ("shadow", 1, "is champion and cannot become shadow"),
        ("reject", 1, "is champion and cannot become rejected"),
        ("reject", 0, "volatility@0 is shadow and cannot become rejected"),
        ("retire", 0, "volatility@0 is shadow and cannot become retired"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused_and_changes_nothing(
    versions: Versions, verb: str, version: int, match: str
) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000)
    versions.reject("volatility", 2, WHY, BY, 1_000)
    before = (states(versions), versions.decisions("volatility"))
    with pytest.raises(MoveRefused, match=match):
        getattr(versions, verb)("volatility", version, WHY, BY, 2_000)
    assert (states(versions), versions.decisions("volatility")) == before


def test_an_alias_never_moves_in_the_past(versions: Versions) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000)
    with pytest.raises(MoveRefused, match="last moved at 1000 ms, which is after 999 ms"):
        versions.promote("volatility", 2, WHY, BY, 999)
    assert states(versions) == ["shadow", "champion", "candidate", "candidate"]


def test_a_version_is_in_force_for_the_strata_that_it_has_earned_and_comes_back_for_the_same(
    versions: Versions, store: Store
) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000, ["24h, coins", "48h, coins"])
    versions.promote("volatility", 2, WHY, BY, 2_000, ["24h, coins"])
    versions.promote("volatility", 3, WHY, BY, 3_000)
    earned = [InForce(1, frozenset({"24h, coins", "48h, coins"})), InForce(2, frozenset({"24h, coins"})), InForce(3)]
    for known in (versions, Versions(store, "local")):
        assert [known.in_force("volatility", at) for at in (1_000, 2_000, 3_000)] == earned
        assert known.in_force("volatility", 999) == InForce(0)
    for at, back in ((4_000, earned[1]), (5_000, earned[0]), (6_000, InForce(0))):
        versions.rollback("volatility", WHY, BY, at)
        assert versions.in_force("volatility", at) == back
    with pytest.raises(ValueError, match="in force for no stratum"):
        versions.promote("volatility", 1, WHY, BY, 7_000, [])
    assert versions.in_force("volatility", 8_000) == InForce(0)


def test_a_version_tells_what_it_was_promoted_for_the_last_time(versions: Versions) -> None:
    versions.promote("volatility", 1, WHY, BY, 100)
    versions.reject("volatility", 2, ("loss above the rules",), BY, 110)
    assert versions.earned("volatility", 1) == WHY[0]
    assert versions.earned("volatility", 2) is None
    versions.promote("volatility", 3, WHY, BY, 120)
    versions.promote("volatility", 1, ("loss 5% below the champion",), BY, 130)
    assert versions.earned("volatility", 1) == "loss 5% below the champion"


def test_promotion_rollback_and_retirement_are_told_once_each_with_who_answers_now(
    versions: Versions, store: Store
) -> None:
    versions.promote("volatility", 1, WHY, BY, 1_000, ["24h, coins"])
    versions.promote("volatility", 2, WHY, BY, 2_000)
    versions.rollback("volatility", ("coverage fell",), "operator", 3_000)
    versions.retire("volatility", 3, ("too old",), "watch", 3_500)
    versions.retire("volatility", 1, ("its trades were deleted",), "operator", 4_000)
    with pytest.raises(MoveRefused):
        versions.retire("volatility", 0, WHY, BY, 5_000)
    with pytest.raises(UnknownVersion):
        versions.promote("volatility", 9, WHY, BY, 5_000)
    versions.keep("volatility", 2, WHY, BY, 5_000)
    told = [(one.name, one.key, json.loads(one.payload)) for one in Events(store, "local").since(0, 10)]
    assert [
        (name, said["version"], said["in_force"], said["strata"], said["in_force_from"]) for name, _, said in told
    ] == [
        ("model.promoted", 1, 1, ["24h, coins"], 1_000),
        ("model.promoted", 2, 2, None, 2_000),
        ("model.rolled_back", 2, 1, ["24h, coins"], 3_000),
        ("model.retired", 3, 1, ["24h, coins"], 3_500),
        ("model.retired", 1, 0, None, 4_000),
    ]
    assert told[2][2]["by"] == "operator"
    assert told[2][2]["reasons"] == ["coverage fell"]
    assert len({key for _, key, _ in told}) == len(told)


def test_a_decision_without_a_reason_is_none(versions: Versions) -> None:
    for reasons in ((), ("",)):
        with pytest.raises(ValueError, match="at least one reason"):
            versions.promote("volatility", 1, reasons, BY, 1_000)
    assert versions.champion("volatility", 2_000) == 0
    assert states(versions)[1] == "candidate"


def test_a_damaged_report_is_told_and_not_guessed(versions: Versions, store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(version_rows).where(version_rows.c.version == 1).values(report="{}"))
    with pytest.raises(StateDamaged, match="report of volatility@1"):
        versions.of("volatility")


def test_versions_of_another_tenant_are_not_ours(versions: Versions, store: Store) -> None:
    theirs = Versions(store, "theirs")
    theirs.ensure_rules(["volatility"], 1)
    versions.promote("volatility", 1, WHY, BY, 1_000)
    assert [one.version for one in theirs.of("volatility")] == [0]
    assert Versions(store, "theirs").champion("volatility", 9_999) == 0


def test_readers_see_one_champion_or_the_other_while_the_alias_moves(versions: Versions) -> None:
    """Each instant keeps its answer, however often it is asked while others decide."""
    moved = threading.Event()
    seen: dict[int, set[int]] = {at: set() for at in (500, 1_500, 2_500)}

    def read() -> None:
        while not moved.is_set():
            for at, found in seen.items():
                found.add(versions.champion("volatility", at))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    versions.promote("volatility", 1, WHY, BY, 1_000)
    versions.promote("volatility", 2, WHY, BY, 2_000)
    moved.set()
    for reader in readers:
        reader.join()
    assert seen[500] <= {0}
    assert seen[1_500] <= {0, 1}
    assert seen[2_500] <= {0, 1, 2}
    assert [versions.champion("volatility", at) for at in seen] == [0, 1, 2]


def test_who_answers_is_told_by_the_last_move_even_where_an_earlier_one_was_slow_to_tell(store: Store) -> None:
    with_candidates(store, 2)
    slow = Hesitant(store)
    versions = Versions(slow.store, "local")
    other = slow.overtaken_by(lambda: versions.promote("volatility", 2, WHY, BY, 1_000))
    versions.promote("volatility", 1, WHY, BY, 1_000)
    other.join()
    assert versions.champion("volatility", 2_000) == 2
    assert versions.show("volatility", 2).state is State.CHAMPION


def test_two_who_promote_at_once_leave_one_champion(versions: Versions) -> None:
    at_once = threading.Barrier(2)

    def promote(version: int) -> None:
        at_once.wait()
        versions.promote("volatility", version, WHY, BY, 1_000)

    both = [threading.Thread(target=promote, args=(version,)) for version in (1, 2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(states(versions)) == ["candidate", "champion", "retired", "shadow"]
    assert versions.show("volatility", versions.champion("volatility", 2_000)).state is State.CHAMPION


def test_a_promotion_that_was_acknowledged_survives_kill_nine_and_none_is_half_done(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from registry.store import migrate, open_store
from tests.test_versions import BY, WHY, with_candidates
store = open_store(Path(sys.argv[1]))
migrate(store)
versions = with_candidates(store, 40)
for version in range(1, 41):
    versions.promote("volatility", version, WHY, BY, version * 1_000)
    print(version, flush=True)
"""
    path = tmp_path / "state.sqlite"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(7):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    store = open_store(path)
    versions = Versions(store, "local")
    champion = versions.champion("volatility", 10**9)
    assert champion in (acknowledged, acknowledged + 1)
    assert [one.version for one in versions.of("volatility") if one.state is State.CHAMPION] == [champion]
    promoted = [one.version for one in versions.decisions("volatility") if one.verdict is Verdict.PROMOTED]
    assert promoted == list(range(1, champion + 1))
    with store.read() as connection:
        moves = connection.execute(text("SELECT version FROM aliases WHERE capability = 'volatility' ORDER BY move"))
        assert moves.scalars().all() == list(range(champion + 1))
    store.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["promote", "retire", "reject", "shadow", "rollback"]), st.integers(0, 3))))
def test_whatever_is_decided_there_is_one_champion_and_memory_is_what_the_disk_says(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, int]]
) -> None:
    store = open_store(tmp_path_factory.mktemp("versions") / "state.sqlite")
    migrate(store)
    versions = with_candidates(store, 3)
    for step, (verb, version) in enumerate(moves):
        of = ("volatility",) if verb == "rollback" else ("volatility", version)
        with suppress(MoveRefused):
            getattr(versions, verb)(*of, WHY, BY, 1_000 + step)
    champions = [one.version for one in versions.of("volatility") if one.state is State.CHAMPION]
    assert champions == [versions.champion("volatility", 10**6)]
    fresh = Versions(store, "local")
    assert [fresh.champion("volatility", at) for at in range(990, 1_030)] == [
        versions.champion("volatility", at) for at in range(990, 1_030)
    ]
    assert versions.show("volatility", 0).state in (State.CHAMPION, State.SHADOW)
    store.close()
