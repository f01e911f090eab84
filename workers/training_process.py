"""The training process: reads its task and its lessons from a folder, fits, writes the artefact there, and says so.

It is started by `workers.train` and is the only process that imports training libraries. It talks in JSON lines on
what was its standard output, and ends by itself when its standard input closes: with the server that started it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import threading
from collections.abc import Callable, Iterable
from enum import StrEnum
from importlib import import_module, metadata
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from ml.capability import AnyCapability
from ml.learning import Artefact, BadArtefact, Lessons, TooFewLessons
from workers.lessons import from_bytes

TASK, LESSONS, ARTEFACT, EVIDENCE = "task.json", "lessons.npz", "artefact.json", "evidence.npz"
#: Where the catalogue of capabilities is.
CATALOGUE = "ml.catalogue:CATALOGUE"
#: Packages that have a say in the bits of a model.
PACKAGES = (
    "arch",
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "scipy",
    "ta-lib",
    "torch",
    "xgboost",
    "xgboost-cpu",
)
#: Training gives way to answers by this much.
NICENESS = 10


class Failure(StrEnum):
    """Why a training came to nothing."""

    BUSY = "busy"
    NOT_TAUGHT = "not_taught"
    TOO_FEW_LESSONS = "too_few_lessons"
    BAD_ARTEFACT = "bad_artefact"
    CRASHED = "crashed"
    KILLED = "killed"
    SILENT = "silent"
    TOO_SLOW = "too_slow"
    STOPPED = "stopped"
    LEASE_LOST = "lease_lost"
    NOT_THE_SAME = "not_the_same"


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Task(_Told):
    """What is to be learnt. `catalogue` is `module:name` of the capabilities. Where `refit_at` names instants (ms), a
    walk-forward with refits at these, up to `until`, gathers evidence as well."""

    catalogue: str = CATALOGUE
    capability: str
    seed: int
    lessons_sha256: str
    beat_seconds: float
    refit_at: tuple[int, ...] = ()
    until: int = 0


class Made(_Told):
    """What came out: the hashes of the artefact's file and of the evidence's, the learner's report, and what made
    it."""

    learner: str
    sha256: str
    report: dict[str, Any]
    code: str
    environment: dict[str, str]
    evidence_sha256: str | None = None


class Failed(_Told):
    """Why nothing came out."""

    failure: Failure
    text: str


class Word(_Told):
    """One line to whoever started this: a sign of life, and what is new."""

    share: float | None = None
    doing: str = ""
    made: Made | None = None
    failed: Failed | None = None


def main(folder: Path) -> int:
    """Does the task in `folder`. Returns the exit code."""
    out = _own_output()
    os.nice(NICENESS)
    task = Task.model_validate_json((folder / TASK).read_bytes())
    lock = threading.Lock()

    def say(word: Word) -> None:
        with lock:
            out.write(word.model_dump_json(exclude_defaults=True) + "\n")
            out.flush()

    threading.Thread(target=_leave_with_the_server, daemon=True).start()
    done = threading.Event()
    threading.Thread(target=_beat, args=(say, done, task.beat_seconds), daemon=True).start()
    try:
        word = Word(made=_learn(folder, task, say))
    except BadArtefact as error:
        word = Word(failed=Failed(failure=Failure.BAD_ARTEFACT, text=str(error)))
    except _NotTaught as error:
        word = Word(failed=Failed(failure=Failure.NOT_TAUGHT, text=str(error)))
    except TooFewLessons as error:
        word = Word(failed=Failed(failure=Failure.TOO_FEW_LESSONS, text=str(error)))
    finally:
        done.set()
    say(word)
    return 0 if word.made else 1


class _NotTaught(Exception):  # noqa: N818 - told as it is
    """A capability without a learner, or none at all."""


def _learn(folder: Path, task: Task, say: Callable[[Word], None]) -> Made:
    capability = _capability(task)
    learner = capability.learner
    if learner is None:
        raise _NotTaught(f"{capability.name} has no learner")
    content = (folder / LESSONS).read_bytes()
    if hashlib.sha256(content).hexdigest() != task.lessons_sha256:
        raise OSError(f"{folder / LESSONS} is not what was handed over")
    lessons = from_bytes(content, capability.question)
    of_fit = 1.0 / (1 + len(task.refit_at))
    fitted = learner.fit(lessons, task.seed, lambda share, doing: say(Word(share=of_fit * share, doing=doing)))
    written = fitted.artefact.to_bytes()
    learner.load(Artefact.of(written, learner.name), version=1)  # what the server could not load is not handed over
    _write(folder / ARTEFACT, written)
    sha256 = hashlib.sha256(written).hexdigest()
    return Made(
        learner=learner.name,
        sha256=sha256,
        report=dict(fitted.report),
        code=code_sha256(task.capability),
        environment=environment(),
        evidence_sha256=_walk(folder, task, capability, lessons, say) if task.refit_at else None,
    )


def _walk(folder: Path, task: Task, capability: AnyCapability, lessons: Lessons, say: Callable[[Word], None]) -> str:
    from workers import walk_forward

    begun = 1.0 / (1 + len(task.refit_at))

    def tell(share: float, doing: str) -> None:
        say(Word(share=begun + (1.0 - begun) * share, doing=doing))

    shown = walk_forward.walked(capability, lessons, task.refit_at, task.until, task.seed, tell)
    written = shown.to_bytes()
    _write(folder / EVIDENCE, written)
    return hashlib.sha256(written).hexdigest()


def _capability(task: Task) -> AnyCapability:
    module, _, name = task.catalogue.partition(":")
    catalogue: Iterable[AnyCapability] = getattr(import_module(module), name)
    for capability in catalogue:
        if capability.name == task.capability:
            return capability
    raise _NotTaught(f"nothing is called {task.capability!r}")


def code_sha256(capability: str) -> str:
    """SHA-256 over the source of `ml` that has a say in how a model of this capability comes out: all but the rooms of
    the others, the list of them, and the laws. Rooms do not know each other (the import rules see to it)."""
    from ml.catalogue import CATALOGUE as EVERY

    root = Path(__file__).resolve().parent.parent / "ml"
    others = {root / one.name for one in EVERY if one.name != capability}
    others |= {root / "catalogue.py", root / "checks.py"}
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if others.intersection((path, *path.parents)):
            continue
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def environment() -> dict[str, str]:
    """Python, the machine, and the packages that have a say."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: the reader of this folder may come at any moment."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _own_output() -> IO[str]:
    """The pipe to whoever started this. What libraries print goes to standard error from here on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _beat(say: Callable[[Word], None], done: threading.Event, seconds: float) -> None:
    while not done.wait(seconds):
        say(Word())


def _leave_with_the_server() -> None:
    while os.read(0, 1):  # not sys.stdin: a thread that waits in it would hold its lock when the interpreter ends
        pass
    os._exit(3)
