"""Training: one process at a time, under a lease, hands back bytes or a reason; what passes becomes a candidate."""

from __future__ import annotations

import hashlib
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from ml.learning import Artefact, BadArtefact, Lessons, Progress
from registry.blobs import Blobs
from registry.faults import LeaseLost
from registry.jobs import JobRuns
from registry.leases import Lease, Leases
from registry.models import Card, Version
from registry.versions import Versions
from workers.lessons import to_bytes
from workers.shown import Shown
from workers.training_process import ARTEFACT, CATALOGUE, EVIDENCE, LESSONS, TASK, Failed, Failure, Made, Task, Word

#: The lease of whoever trains, and the suffixes among the blobs of artefacts, and of what their learner showed.
LEASE, SUFFIX, LOSSES = "training", ".artefact", ".losses"

_APPLICATION = Path(__file__).resolve().parent.parent
#: -P and the first entry of the path: whatever folder this is started in, our packages are ours.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
    "from workers.training_process import main; raise SystemExit(main(Path(sys.argv[2])))"
)
#: What else would make the same training come out otherwise: order of sets, and sums shared among threads.
_STEADY = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_STDERR = "stderr.txt"
_TOLD_OF_STDERR = 2_000
_LOOK_SECONDS = 0.2
_LONGEST_LINE = 4 * 1024 * 1024


class TrainingFailed(Exception):  # noqa: N818 - told as it is
    """A training that came to nothing. Nothing of it is registered."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(f"{failure}: {text}")
        self.failure, self.text = failure, text


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a training process may take, be silent, and how often it gives a sign of life."""

    most_seconds: float = 3_600.0
    silent_seconds: float = 60.0
    beat_seconds: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One training: what is taught (ordered by `as_of`), by when (ms) all of it had settled, and the seed. `refit_at`
    asks for a walk-forward with refits at these instants (ms), up to `until`, as evidence for the gate."""

    capability: str
    lessons: Lessons
    learned_through: int
    seed: int
    refit_at: tuple[int, ...] = ()
    until: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """What a training brought: the candidate, and what a walk-forward of its learner showed, where one was asked
    for."""

    version: Version
    shown: Shown | None


@dataclass(frozen=True, slots=True, eq=False)
class _Brought:
    made: Made
    content: bytes
    evidence: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Trainer:
    """Trains one model at a time. `folder` is its own; `environ` the environment of the process; `clock` gives ms.

    `train` and `rebuild` block: call them in a thread. `stop`, from another thread, ends what is under way.
    """

    leases: Leases
    jobs: JobRuns
    versions: Versions
    blobs: Blobs
    folder: Path
    environ: Mapping[str, str]
    clock: Callable[[], int]
    patience: Patience = Patience()
    catalogue: str = CATALOGUE
    _stopped: threading.Event = field(default_factory=threading.Event, repr=False)

    def train(self, course: Course, tell: Progress, holder: str = "training") -> Version:
        """The new candidate, or the version that has these bytes already. Raises TrainingFailed, whose reason the job's
        row keeps too; and whatever else goes wrong with the folder or the state, after the row says so."""
        return self.teach(course, tell, holder).version

    def teach(self, course: Course, tell: Progress, holder: str = "training") -> Taught:
        """The same, with the evidence that the course asks for."""
        slot = self.clock()
        with self._job(f"train.{course.capability}", slot), self._lease(holder) as lease:
            parent = self.versions.champion(course.capability, slot)
            handed = to_bytes(course.lessons)
            brought = self._run(course, handed, lease, tell)
            shown = None if brought.evidence is None else Shown.from_bytes(brought.evidence)
            card = _card(course, brought.made, hashlib.sha256(handed).hexdigest(), parent)
            self._still_held(lease)
            self.blobs.put(brought.content, SUFFIX)
            if shown is not None:
                card = replace(card, losses_sha256=self.blobs.put(shown.losses().to_bytes(), LOSSES))
            return Taught(self.versions.register(course.capability, card, self.clock()), shown)

    def rebuild(self, version: Version, course: Course, tell: Progress, holder: str = "rebuilding") -> bytes:
        """The artefact of `version`, made anew from its lessons: bit for bit, or TrainingFailed says what differs."""
        card = version.card
        if card is None:
            raise TrainingFailed(Failure.NOT_TAUGHT, f"{version.name} are the rules: there is nothing to build")
        handed = to_bytes(course.lessons)
        if hashlib.sha256(handed).hexdigest() != card.lessons_sha256 or course.seed != card.seed:
            raise TrainingFailed(Failure.NOT_THE_SAME, f"{version.name} learnt other lessons, or with another seed")
        with self._lease(holder) as lease:
            brought = self._run(replace(course, refit_at=()), handed, lease, tell)
        made = brought.made
        if made.sha256 != card.sha256:
            other = [name for name, now in made.environment.items() if card.environment.get(name) != now]
            code = "the same" if made.code == card.code else "other"
            raise TrainingFailed(
                Failure.NOT_THE_SAME,
                f"{version.name} came out as {made.sha256}, not {card.sha256}; {code} code, other are {other}",
            )
        return brought.content

    def stop(self) -> None:
        """Ends the training that is under way, and every later one, with `stopped`."""
        self._stopped.set()

    def must_go_on(self) -> None:
        """For whoever prepares a training: raises TrainingFailed (`stopped`) once nobody will train any more."""
        if self._stopped.is_set():
            raise TrainingFailed(Failure.STOPPED, "the server is stopping")

    def _run(self, course: Course, handed: bytes, lease: Lease, tell: Progress) -> _Brought:
        with self._workplace(lease) as place:
            task = Task(
                catalogue=self.catalogue,
                capability=course.capability,
                seed=course.seed,
                lessons_sha256=hashlib.sha256(handed).hexdigest(),
                beat_seconds=self.patience.beat_seconds,
                refit_at=course.refit_at,
                until=course.until,
            )
            (place / LESSONS).write_bytes(handed)
            (place / TASK).write_text(task.model_dump_json(), "utf-8")
            with (place / _STDERR).open("wb") as errors:
                process = subprocess.Popen(  # noqa: S603 - our own program, our own arguments
                    [sys.executable, "-P", "-c", _BOOT, str(_APPLICATION), str(place)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=place,
                    env={**self.environ, **_STEADY},
                    start_new_session=True,
                )
            try:
                made = self._watch(process, place, lease, tell)
            finally:
                _end(process)
            content = _whole(place / ARTEFACT, made.sha256)
            _must_be_an_artefact(content, made.learner)
            evidence = _whole(place / EVIDENCE, made.evidence_sha256) if made.evidence_sha256 else None
            return _Brought(made, content, evidence)

    def _watch(self, process: subprocess.Popen[bytes], place: Path, lease: Lease, tell: Progress) -> Made:
        began = heard = beaten = self.clock()
        for line in _lines(process):
            now = self.clock()
            self.must_go_on()
            if line is None:
                if now - heard > self.patience.silent_seconds * 1_000:
                    raise TrainingFailed(Failure.SILENT, f"no sign of life for {(now - heard) / 1_000:.0f} s")
            else:
                heard = now
                word = _word(line)
                if word.failed:
                    raise TrainingFailed(word.failed.failure, word.failed.text)
                if word.made:
                    return word.made
                if word.share is not None:
                    tell(word.share, word.doing)
                if now - beaten >= self.patience.beat_seconds * 1_000:
                    self._still_held(lease)
                    beaten = now
            if now - began > self.patience.most_seconds * 1_000:
                raise TrainingFailed(Failure.TOO_SLOW, f"not done after {(now - began) / 1_000:.0f} s")
        raise _ended(process, place)

    def _still_held(self, lease: Lease) -> None:
        try:
            self.leases.beat(lease, self.clock())
        except LeaseLost as error:
            raise TrainingFailed(Failure.LEASE_LOST, str(error)) from error

    @contextmanager
    def _job(self, job: str, slot: int) -> Iterator[None]:
        if not self.jobs.claim(job, slot, slot):
            raise TrainingFailed(Failure.BUSY, f"{job} has begun already at {slot} ms")
        try:
            yield
        except BaseException as error:  # a run that was claimed is finished, whatever ended it
            failure = str(error) if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {error}"
            self.jobs.finish(job, slot, self.clock(), failure=failure)
            raise
        self.jobs.finish(job, slot, self.clock())

    @contextmanager
    def _lease(self, holder: str) -> Iterator[Lease]:
        lease = self.leases.claim(LEASE, holder, self.clock())
        if lease is None:
            other = self.leases.holder(LEASE, self.clock())
            raise TrainingFailed(Failure.BUSY, f"{other.holder if other else 'somebody'} is training; one at a time")
        try:
            yield lease
        finally:
            self.leases.release(lease, self.clock())

    @contextmanager
    def _workplace(self, lease: Lease) -> Iterator[Path]:
        """A folder of this term. What a killed training left behind is swept: under the lease it is nobody's."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
        place = self.folder / f"term-{lease.term}"
        place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _card(course: Course, made: Made, lessons_sha256: str, parent: int) -> Card:
    rows = course.lessons.rows
    return Card(
        learner=made.learner,
        sha256=made.sha256,
        features=rows.names,
        n_lessons=len(course.lessons),
        lessons_sha256=lessons_sha256,
        learned_from=int(rows.as_of[0]) if len(rows) else course.learned_through,
        learned_through=course.learned_through,
        seed=course.seed,
        code=made.code,
        environment=made.environment,
        parent=parent,
        report=made.report,
    )


def _whole(path: Path, announced: str) -> bytes:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != announced:
        raise TrainingFailed(Failure.BAD_ARTEFACT, f"{path.name} has sha256 {found}, {announced} was announced")
    return content


def _must_be_an_artefact(content: bytes, learner: str) -> None:
    try:
        Artefact.of(content, learner)
    except BadArtefact as error:
        raise TrainingFailed(Failure.BAD_ARTEFACT, str(error)) from error


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes | None]:
    """What the process says, line by line; None where it has said nothing for a moment. Ends with its output."""
    assert process.stdout is not None
    said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, said), daemon=True).start()
    while True:
        try:
            line = said.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            yield None
            continue
        if not line:
            return
        yield line


def _read(pipe: IO[bytes], said: queue.SimpleQueue[bytes]) -> None:
    with pipe:
        while line := pipe.readline(_LONGEST_LINE):
            said.put(line)
    said.put(b"")


def _word(line: bytes) -> Word:
    try:
        return Word.model_validate_json(line)
    except ValidationError as error:
        raise TrainingFailed(Failure.CRASHED, f"the process said {line[:200]!r}, which means nothing") from error


def _ended(process: subprocess.Popen[bytes], place: Path) -> TrainingFailed:
    """Why it ended without a word."""
    code = process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        return TrainingFailed(Failure.KILLED, f"the process was ended by {name}; SIGKILL is often a lack of memory")
    end = (place / _STDERR).read_bytes()[-_TOLD_OF_STDERR:].decode("utf-8", "replace").strip()
    return TrainingFailed(Failure.CRASHED, f"the process ended with code {code}: {end or 'it said nothing'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


__all__ = ["Course", "Failed", "Failure", "Patience", "Taught", "Trainer", "TrainingFailed"]
