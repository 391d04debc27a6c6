"""`rai` at its published scale meets population dynamics at the run's fan-in."""

from __future__ import annotations

import numpy as np
import pytest

from simcore.api import simulate
from simcore.runs.ensemble import Ensemble

SIGMAS = 3.0
"""Standard errors allowed. Three observables in twelve compared layers at each width: of 72
dependent comparisons one lies outside by chance alone in 1 of 6 seeds, and the seed is fixed."""

TERM = 12.0
"""… plus a term TERM/N, relative: fluctuations of K between networks bend what is not linear in it.
At N = 256 it is 5 %, at N = 4096 0.3 %."""


@pytest.mark.parametrize(("width", "trials"), [(256, 2048), (4096, 128)])
def test_rai_meets_population_dynamics(width: int, trials: int) -> None:
    ds = simulate(Ensemble.rai(sigma_w=0.6007), width=width, depth=60, trials=trials)
    layers = np.unique(np.geomspace(1, 60, 12).astype(int)) - 1
    for name in ("q1", "correlation", "inactive1", "inactive_both"):
        at = ds.isel(layer=layers)
        error = np.hypot(at[f"{name}_stderr"], at[f"{name}_theory_stderr"])
        allowed = SIGMAS * error + TERM / width * np.abs(at[f"{name}_theory"])
        off = np.abs(at[name] - at[f"{name}_theory"])
        assert np.all(off <= allowed), (name, np.asarray(off / allowed))
        wrong = np.abs(at[name] - 1.1 * at[f"{name}_theory"]) > allowed
        assert wrong.any() or width == 256
