"""Fits in children, over one file of lessons that all share: the same models as at home, or the reason why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.bars import DAY_MS, Timeframe
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from ml.learning import Fitted
from ml.timeline import StillMarket
from workers.classroom import Classroom
from workers.fitting_pool import FittingPool, NotFitted
from workers.subjects import Subject

REGIME = next(one for one in CATALOGUE if one.name == "regime")


def test_a_child_fits_what_would_be_fitted_here_and_says_where_there_is_too_little(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    pytest.importorskip("torch")
    learner = REGIME.learner
    assert learner is not None
    bars = bars_for_laws(np.random.default_rng(8), Timeframe.H1, 24 * 520, "AAA")
    first, last = int(bars.close_at[0]), int(bars.close_at[-1])
    pool = FittingPool("regime", tmp_path, processes=1)
    market = StillMarket.of(bars)
    taught = [Subject(Timeframe.H1, ("AAA",), learner.every_bars)]
    school = Classroom.of(REGIME, market, taught, first, last, pool.values)
    assert pool.values.stat().st_size == school.lessons.rows.values.nbytes
    few, enough = pool.fit_each(school, [first + 120 * DAY_MS, last], 5)
    assert isinstance(few, NotFitted)
    assert "lessons can be learnt from, 2,000 are needed" in few.why
    assert isinstance(enough, Fitted)
    here = learner.fit(school.settled_by(last), 5, lambda _share, _word: None)
    assert enough.artefact.sha256 == here.artefact.sha256
