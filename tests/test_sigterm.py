"""SIGTERM to a server that trains: it ends soon, in order, and whoever starts next loses nothing and trains on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from commands.config import Config, Models
from ml.timeline import Market
from registry.ledger import Ledger
from registry.owner import owner_of
from registry.store import Store, open_store
from registry.tables import job_runs
from server import House, build
from tests import served_learner
from tests.conftest import NOW, HandClock, table
from tests.test_cli_processes import BAROGRAPH, ENVIRONMENT, post
from workers.schedule import CutOff

#: Nobody who stops a server waits longer than this before killing it.
MOST_SECONDS = 10.0
JOB = "retrain.regime"


@contextmanager
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on the sample market, and its address. It asks nothing of the past and extracts no features: training
    comes soon."""
    config = tmp_path / "config.yaml"
    config.write_text("models: {replay_past_days: 0}\nfeatures: {symbols: []}\n", "utf-8")
    words = ["serve", "--sample", "--data", str(tmp_path / "data"), "--config", str(config), "--port", "0", "--json"]
    with (tmp_path / "log").open("a") as log:
        process = subprocess.Popen(
            [*BAROGRAPH, *words], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def asked_until(url: str, process: subprocess.Popen[str], over: Callable[[], bool]) -> list[str]:
    """Names of the answers, advice and vetoes in turn, that were given until something was so."""
    given: list[str] = []
    until = time.monotonic() + 60
    while not over():
        assert time.monotonic() < until, "no training began"
        use = "veto" if len(given) % 2 else "advice"
        given.append(post(url, "forecast_volatility", symbol="SIMETH", use=use)["prediction_id"])
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(0.2) is None, "it has ended by itself"
    return given


def runs(store: Store) -> list[tuple[int, str, str | None]]:
    wanted = sa.select(job_runs.c.slot, job_runs.c.state, job_runs.c.detail).where(job_runs.c.job == JOB)
    with store.read() as connection:
        return [(row.slot, row.state, row.detail) for row in connection.execute(wanted)]


def test_sigterm_in_the_middle_of_a_training_loses_nothing_and_the_next_start_trains_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path) as (process, url):
        given = asked_until(url, process, lambda: bool(list(data.glob("training/*/*/task.json"))))
        given.append(post(url, "forecast_volatility", symbol="SIMSOL", horizon="6h")["prediction_id"])
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
        assert time.monotonic() - told < MOST_SECONDS
    assert owner_of(data) is None
    assert not list(data.glob("training/*/*")), "nothing of the training is left, no process and no file"
    store = open_store(data / "state.sqlite")
    try:
        ledger = Ledger(store, "local")
        assert all(ledger.find(one) is not None for one in given), "what was said before the end is written down"
        ledger.close()
        ((slot, *how),) = runs(store)
        assert how == ["cut off", "stopped: the server is stopping"]

        with serving(tmp_path) as (process, url):
            asked_until(url, process, lambda: [one[:2] for one in runs(store)] == [(slot, "running")])
            assert post(url, "explain_prediction", prediction_id=given[-1])["prediction_id"] == given[-1]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert [one[:2] for one in runs(store)] == [(slot, "cut off")]
    finally:
        store.close()


class Counted:
    """A market that counts how often it is looked at, and stops its house at the third look."""

    def __init__(self, real: Market, house: House) -> None:
        self._house, self._real, self.looks = house, real, 0

    def __getattr__(self, name: str) -> object:
        self.looks += 1
        if self.looks == 3:
            self._house.trainer.stop()
        return getattr(self._real, name)


@pytest.mark.anyio
async def test_a_house_that_stops_does_not_wait_for_the_lessons_of_a_training(tmp_path: Path, clock: HandClock) -> None:
    """They take minutes where there are many symbols."""
    house = build(Config(models=Models()), tmp_path / "data", clock, catalogue=served_learner.GOOD)
    bars = [table(name, seed=seed, n=80 * 168) for seed, name in enumerate(("AAA", "BBB", "CCC", "DDD"))]
    house.history.append(bars, received_at=NOW, live=False)
    (retrain,) = house.retrains
    counted = Counted(retrain.school.market, house)
    object.__setattr__(retrain.school, "market", counted)
    with pytest.raises(CutOff, match="the server is stopping"):
        await retrain.run(lambda _share, _doing: None)
    assert counted.looks <= 4
    house.close()
