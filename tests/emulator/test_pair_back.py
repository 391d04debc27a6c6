"""The pair sampler with gradients on CUDA gives the bytes of the CPU: its source, and compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simcore.physics.observables import GRADIENT_NAMES, NAMES
from simcore.runs.run import Run
from simcore.sampling.pair import physics as pair_physics
from simcore.sampling.pair.cpu import PairGradientSampler
from simcore.sampling.pair.cuda import PairGradientCudaSampler
from simcore.sampling.pair.way_back import TRACE
from simcore.statistics.blocks import Task
from tests.emulator.emulated import Compiled, Emulated, FromSource, equal, signals
from tests.support.pair_driver import walk

pytestmark = pytest.mark.xdist_group("gpu")


def same(device: Emulated, run: Run, trials: int) -> bool:
    """Whether the launches leave the bytes of the CPU's rows."""
    sampler = PairGradientCudaSampler(run, device)
    rows = np.empty((trials, run.depth, len(NAMES + GRADIENT_NAMES)))
    sampler.make_rows(0, 0, 0, sampler.start(0, 0, trials), rows)
    return rows.tobytes() == walk(run, trials).rows.tobytes()


def one(width: int, k: float, depth: int = 3, **options: Any) -> Run:
    options |= {"gradients": True, "controls": "off"}
    return Run(depth=depth, width=(width,), k=(k,), **options)


@pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])
def test_the_source_with_real_barriers(reverse: bool) -> None:
    """With slopes; the compiled kernel, whose threads wait for each other as well, is ReLU's."""
    for width in (5, 600):
        run = one(width, 1.0, sigma_b=(0.3,), slopes="0.7,-0.3")
        assert same(FromSource(reverse=reverse), run, 2), width


@pytest.mark.parametrize("width", [1, 2, 3, 17, 63, 64, 65, 513, 5000])
def test_the_compiled_kernel(compiled: Compiled, width: int) -> None:
    for k in (-0.5, 0.0, math.inf):
        for sigma_b in (0.0, 0.3):
            assert same(Emulated(compiled), one(width, k, sigma_b=(sigma_b,)), 2), (k, sigma_b)


SPECIAL = {
    "nearly parallel": one(200, -0.5, depth=30, distance=(1e-20,)),
    "parallel": one(200, 0.0, depth=5, distance=(0.0,)),
    "opposite": one(200, 1.0, depth=5, correlation=(-1.0,)),
    "dying": one(3, 0.0, depth=10),
    "dying, revived by the bias": one(3, 0.0, depth=40, sigma_w=(1.2,), sigma_b=(1e-3,)),
    "shrinking": one(32, 0.0, depth=100, sigma_w=(1e-3,)),
    "growing": one(100, 0.0, depth=60, sigma_w=(1e9,)),
    "widths of their own": Run(
        depth=6, layer_widths=(700, 5, 64, 63, 1100, 1), gradients=True, controls="off"
    ),
}


@pytest.mark.parametrize("which", SPECIAL)
def test_where_layers_are_special(compiled: Compiled, which: str) -> None:
    assert same(Emulated(compiled), SPECIAL[which], 16)


def test_the_special_layers_are_special() -> None:
    dying = walk(SPECIAL["dying"], 16)
    dead = np.isnan(dying["log_gradient1"])
    assert dead.any()
    assert not dead.all()
    assert walk(SPECIAL["parallel"], 4)["gradient_correlation"].min() == 1.0
    assert np.abs(walk(SPECIAL["shrinking"], 4)["log_gradient1"]).max() > 1000.0


@pytest.mark.parametrize("width", [3, 70])
def test_results_have_the_bytes_of_the_cpu(compiled: Compiled, width: int) -> None:
    """With controls, whose columns stand between and behind; narrow networks die."""
    run = Run(depth=4, width=(width,), k=(1.0,), trials=128, gradients=True)
    assert "log_gradient1_controlled" in run.columns.back
    task, device = Task(0, 0, 2, 128), Emulated(compiled)
    expected = PairGradientSampler(run).run(task, None, signals())
    assert equal(expected, PairGradientCudaSampler(run, device).run(task, None, signals()))
    assert device.names[:2] == ["there", "and_back"]
    assert PairGradientCudaSampler(run, device).carried_bytes(0) == 8 * (
        pair_physics.STATE + 4 * TRACE
    )


def test_prepare_compiles_what_a_task_needs(compiled: Compiled) -> None:
    device = Emulated(compiled)
    PairGradientCudaSampler(one(70, 1.0), device).prepare()
    assert {"there", "and_back", "collect", "follow"} <= set(device.names)
