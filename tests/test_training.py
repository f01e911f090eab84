"""Training: one at a time, in a process of its own; what comes out is a candidate or a reason, never half of one."""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select as select_rows

from ml.capability import Question, Rows
from ml.learning import Artefact, Lessons, Progress
from registry.blobs import Blobs
from registry.jobs import JobRuns
from registry.leases import Leases
from registry.models import State
from registry.store import Store, migrate, open_store
from registry.tables import job_runs
from registry.versions import Versions
from tests.conftest import HandClock
from tests.toy_learner import CATALOGUE
from workers.train import LEASE, SUFFIX, Course, Failure, Patience, Trainer, TrainingFailed

ROOT = Path(__file__).parent.parent
TOYS = "tests.toy_learner:CATALOGUE"
KEEP_MS = 30_000
NOW = 1_700_000_000_000


@dataclass(frozen=True)
class Place:
    """A data folder with a trainer, and the parts to look into."""

    store: Store
    versions: Versions
    blobs: Blobs
    leases: Leases
    trainer: Trainer
    clock: HandClock
    folder: Path

    def job(self) -> tuple[str, str | None]:
        """State and detail of the newest job."""
        with self.store.read() as connection:
            row = connection.execute(select_rows(job_runs).order_by(job_runs.c.claimed_at.desc())).first()
        assert row is not None
        return row.state, row.detail


def place_in(folder: Path, clock: HandClock) -> Place:
    store = open_store(folder / "state.sqlite")
    migrate(store)
    versions, blobs = Versions(store, "local"), Blobs(folder / "blobs")
    versions.ensure_rules([toy.name for toy in CATALOGUE], 1)
    leases = Leases(store, "local", KEEP_MS)
    trainer = Trainer(
        leases=leases,
        jobs=JobRuns(store, "local"),
        versions=versions,
        blobs=blobs,
        folder=folder / "training",
        environ=os.environ,
        clock=clock,
        patience=Patience(most_seconds=600, silent_seconds=300, beat_seconds=0.05),
        catalogue=TOYS,
    )
    return Place(store, versions, blobs, leases, trainer, clock, folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = place_in(tmp_path, HandClock(NOW))
    yield made
    made.store.close()


def lessons(n: int = 200, seed: int = 0) -> Lessons:
    random = np.random.default_rng(seed)
    values = random.normal(size=(n, 4))
    values[random.random(values.shape) < 0.1] = np.nan
    as_of = NOW - 10**9 + np.arange(n, dtype=np.int64) * 1_000
    questions = tuple(Question(symbol=("AAA", "BBB")[i % 2]) for i in range(n))
    rows = Rows(("a", "b", "c", "d"), values, questions, as_of, as_of - 5, (None,) * n)
    return Lessons(rows, np.nan_to_num(values[:, 0]).tolist())


def course(name: str, *, n: int = 200, seed: int = 7) -> Course:
    return Course(name, lessons(n), learned_through=NOW - 1_000, seed=seed)


def unheard(share: float, doing: str) -> None:
    """Nobody listens to the progress."""


def failure_of(place: Place, name: str, tell: Progress = unheard, *, n: int = 200) -> TrainingFailed:
    """How a training fails; and that it left nothing behind."""
    with pytest.raises(TrainingFailed) as caught:
        place.trainer.train(course(name, n=n), tell)
    assert [one.version for one in place.versions.of(name)] == [0]
    assert list((place.folder / "blobs").iterdir()) == []
    assert not (place.folder / "training").exists()
    assert place.leases.holder(LEASE, place.clock()) is None
    assert place.job() == ("failed", str(caught.value))
    return caught.value


def test_a_training_becomes_a_candidate_with_all_that_it_takes_to_make_it_again(place: Place) -> None:
    heard: list[tuple[float, str]] = []
    made = place.trainer.train(course("mean"), lambda share, doing: heard.append((share, doing)))
    assert (made.name, made.state, made.label) == ("mean@1", State.CANDIDATE, "1.0.0")
    assert place.versions.champion("mean", NOW * 2) == 0, "nobody has promoted it"
    card = made.card
    assert card is not None
    content = place.blobs.read(card.sha256, SUFFIX)
    truths = [float(one) for one in lessons().truths]
    assert Artefact.of(content, "toy/mean@1").numbers["mean"] == pytest.approx(np.mean(truths), abs=1e-12)
    assert (card.features, card.n_lessons, card.seed, card.parent) == (("a", "b", "c", "d"), 200, 7, 0)
    assert (card.learned_from, card.learned_through) == (NOW - 10**9, NOW - 1_000)
    assert card.environment["numpy"] == np.__version__
    assert card.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert re.fullmatch(r"[0-9a-f]{64}", card.code)
    assert place.versions.show("mean", 1) == made
    assert [share for share, _ in heard] == [0.5]
    assert not (place.folder / "training").exists()
    assert place.job() == ("done", None)


@pytest.mark.parametrize("name", ["mean", "trees"])
def test_a_version_comes_out_the_same_bit_for_bit_when_it_is_built_again(place: Place, name: str) -> None:
    made = place.trainer.train(course(name), unheard)
    assert made.card is not None
    rebuilt = place.trainer.rebuild(made, course(name), unheard)
    assert hashlib.sha256(rebuilt).hexdigest() == made.card.sha256
    assert rebuilt == place.blobs.read(made.card.sha256, SUFFIX)
    with pytest.raises(TrainingFailed, match=r"not_the_same: .* another seed"):
        place.trainer.rebuild(made, course(name, seed=8), unheard)


def test_a_training_that_is_run_again_gives_the_version_that_is_there(place: Place) -> None:
    made = place.trainer.train(course("mean"), unheard)
    place.clock.at += 1
    assert place.trainer.train(course("mean"), unheard) == made


def test_a_rebuild_that_comes_out_otherwise_says_what_is_different(place: Place) -> None:
    made = place.trainer.train(course("mean"), unheard)
    assert made.card is not None
    then = replace(made.card, sha256="0" * 64, environment={**made.card.environment, "numpy": "1.0"})
    with pytest.raises(TrainingFailed, match=r"not 0{64}; the same code, other are \['numpy'\]"):
        place.trainer.rebuild(replace(made, card=then), course("mean"), unheard)


@pytest.mark.parametrize(
    ("name", "failure", "text"),
    [
        ("killed", Failure.KILLED, "SIGKILL"),
        ("crashing", Failure.CRASHED, "do not fit"),
        ("unloadable", Failure.BAD_ARTEFACT, "Loop"),
        ("untaught", Failure.NOT_TAUGHT, "has no learner"),
    ],
)
def test_a_training_that_goes_wrong_says_how_and_leaves_nothing_behind(
    place: Place, name: str, failure: Failure, text: str
) -> None:
    found = failure_of(place, name)
    assert found.failure is failure
    assert text in found.text


def test_too_few_lessons_are_told_with_their_number(place: Place) -> None:
    found = failure_of(place, "mean", n=2)
    assert (found.failure, found.text) == (Failure.TOO_FEW_LESSONS, "2 lessons, 3 are needed")


def test_what_libraries_print_is_not_mistaken_for_words_of_the_process(place: Place) -> None:
    assert place.trainer.train(course("loud"), unheard).state is State.CANDIDATE


def test_a_process_that_gives_no_sign_of_life_is_ended(place: Place) -> None:
    hurried, begin = hurrying(place, 10_000)
    found = failure_of(hurried, "frozen", begin)
    assert found.failure is Failure.SILENT


def test_a_process_that_lives_but_does_not_come_to_an_end_is_ended(place: Place) -> None:
    hurried, begin = hurrying(place, 5_000)
    assert failure_of(hurried, "hanging", begin).failure is Failure.TOO_SLOW


def test_a_trainer_that_was_away_for_longer_than_its_lease_registers_nothing(place: Place) -> None:
    def away(share: float, doing: str) -> None:
        place.clock.at += KEEP_MS

    assert failure_of(place, "mean", away).failure is Failure.LEASE_LOST


def test_one_model_is_trained_at_a_time(place: Place) -> None:
    refused: list[TrainingFailed] = []

    def meanwhile(share: float, doing: str) -> None:
        place.clock.at += 1
        with pytest.raises(TrainingFailed) as caught:
            place.trainer.train(course("trees"), unheard, holder="the second")
        refused.append(caught.value)

    made = place.trainer.train(course("mean"), meanwhile, holder="the first")
    assert made.version == 1
    assert [(one.failure, one.text) for one in refused] == [(Failure.BUSY, "the first is training; one at a time")]
    assert place.job() == ("failed", str(refused[0]))
    assert len(place.versions.of("trees")) == 1


def test_a_stopping_server_does_not_wait_for_its_training(place: Place) -> None:
    found = failure_of(place, "hanging", lambda share, doing: place.trainer.stop())
    assert found.failure is Failure.STOPPED


def test_the_process_of_a_killed_server_dies_and_its_lease_runs_out(tmp_path: Path) -> None:
    if not hasattr(os, "pidfd_open"):
        pytest.skip("the end of a stranger's process can be waited for on Linux alone")
    program = """
import sys
from pathlib import Path
from tests.conftest import HandClock
from tests.test_training import NOW, course, place_in
place = place_in(Path(sys.argv[1]), HandClock(NOW))
place.trainer.train(course("hanging"), lambda share, doing: print(doing, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        training = os.pidfd_open(int(server.stdout.readline().split()[1]))
        server.send_signal(signal.SIGKILL)
    try:
        assert select.select([training], [], [], 30)[0] == [training], "the training process outlived its server"
    finally:
        os.close(training)
    place = place_in(tmp_path, HandClock(NOW + KEEP_MS - 1))
    try:
        with pytest.raises(TrainingFailed, match="busy"):
            place.trainer.train(course("mean"), unheard)
        assert len(place.versions.of("hanging")) == 1
        assert (tmp_path / "training").exists(), "left behind by the killed one"
        place.clock.at += 1
        assert place.trainer.train(course("mean"), unheard).version == 1
        assert not (tmp_path / "training").exists()
    finally:
        place.store.close()


def test_whoever_trains_is_not_misled_by_a_folder_with_packages_of_the_same_names(place: Place, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    for name in ("workers", "ml", "registry"):
        (hostile / name).mkdir(parents=True)
        (hostile / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    place = replace(place, trainer=replace(place.trainer, environ={**os.environ, "PYTHONPATH": hostile_path(hostile)}))
    assert place.trainer.train(course("mean"), unheard).version == 1


def hostile_path(hostile: Path) -> str:
    return os.pathsep.join([str(hostile), os.environ.get("PYTHONPATH", "")])


def hurrying(place: Place, step_ms: int) -> tuple[Place, Callable[[float, str], None]]:
    """The place with a clock that is `step_ms` later at every look, once `begin` was told of progress."""
    begun = False

    def begin(share: float, doing: str) -> None:
        nonlocal begun
        begun = True

    def clock() -> int:
        place.clock.at += step_ms if begun else 0
        return place.clock.at

    patience = Patience(most_seconds=600, silent_seconds=100, beat_seconds=0.05)
    return replace(place, trainer=replace(place.trainer, clock=clock, patience=patience)), begin
