"""`barograph train CAPABILITY`: learn from the history now, and let the gate decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, err, out, quiet

if TYPE_CHECKING:
    from workers.retrain import Retrained


def train(
    capability: Annotated[str, typer.Argument(help="What is to be learnt, e.g. volatility.")],
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
) -> None:
    """Train a model on what has settled, judge it by a walk-forward, and promote it if it has earned its place."""
    where = place(config, data, {}, json_wanted=json_wanted)
    with Told(json_wanted):
        done = _trained(where, capability, silent=quiet(json_wanted))
    if json_wanted:
        as_json(_told(done))
        return
    out.print(f"{done.version.name}: {done.decision.verdict}", markup=False)
    for reason in done.decision.reasons:
        out.print(f"  {reason}", markup=False)


def _trained(where: Place, capability: str, *, silent: bool) -> Retrained:
    from registry.owner import Ownership
    from server import build
    from workers.train import TrainingFailed

    ownership = Ownership.claim(where.folder, process_id(), system_clock())
    try:
        house = build(where.config, where.folder, system_clock)
        try:
            by_name = {one.capability.name: one for one in house.retrains}
            if capability not in by_name:
                raise Unusable(
                    f"nothing called '{capability}' can be learnt; there are: {', '.join(by_name) or 'none'}"
                )
            with Progress(console=err, transient=True, disable=silent) as bar:
                task = bar.add_task(capability, total=1.0)
                return by_name[capability].once(
                    lambda share, doing: bar.update(task, completed=share, description=f"{capability}: {doing}")
                )
        except TrainingFailed as failed:
            raise Unusable(f"there is no new model: {failed}") from failed
        finally:
            house.close()
    finally:
        ownership.release()


def _told(done: Retrained) -> dict[str, Any]:
    return {
        "version": done.version.name,
        "label": done.version.label,
        "verdict": str(done.decision.verdict),
        "reasons": list(done.decision.reasons),
        "n_lessons": done.version.card.n_lessons if done.version.card else 0,
        "sha256": done.version.card.sha256 if done.version.card else None,
    }
