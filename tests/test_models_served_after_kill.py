"""A server that is killed while an alias moves leaves one champion, its artefact, and the decision that made it so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry.models import State, Verdict
from tests.conftest import NOW, HandClock
from tests.test_models_served import opened
from tools.chain import Absent

ROOT = Path(__file__).parent.parent
PROGRAM = """
import sys
from pathlib import Path
from tests.conftest import NOW, HandClock
from tests.test_models_served import opened, registered
house = opened(Path(sys.argv[1]), HandClock(NOW))
for i in range(10_000):
    version = registered(house, 0.5 + i / 1_000)
    house.versions.promote("volatility", version, ["its turn"], "test", NOW + i)
    print(version, flush=True)
"""


@pytest.mark.parametrize("heard", [1, 4, 9])
def test_a_server_that_is_killed_while_aliases_move_leaves_one_whole_champion(tmp_path: Path, heard: int) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        told = [int(server.stdout.readline()) for _ in range(heard)][-1]
        server.kill()
    house = opened(tmp_path, HandClock(NOW))
    try:
        champion = house.versions.champion("volatility", NOW * 2)
        assert champion >= told, "what was said to be promoted is"
        states = {one.version: one.state for one in house.versions.of("volatility")}
        assert [number for number, state in states.items() if state is State.CHAMPION] == [champion]
        promoted = [one for one in house.versions.decisions("volatility") if one.verdict is Verdict.PROMOTED]
        assert promoted[-1].version == champion
        assert not isinstance(house.models.loaded("volatility", champion).link.predictor, Absent)
    finally:
        house.close()
