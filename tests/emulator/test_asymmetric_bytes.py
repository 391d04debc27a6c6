"""The kernels of `rai` and `raai` give the bytes of the CPU sampler: their source, and compiled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simcore.physics.observables import column
from simcore.runs.run import Run
from tests.emulator.asymmetric_launches import (
    from_ptx,
    from_source,
    on_cpu,
    on_device,
    one_point,
    same,
)
from tests.emulator.ptx_program import Program, instructions

pytestmark = pytest.mark.xdist_group("gpu")

Programs = dict[str, Program]
WIDTHS = [1, 5, 63, 64, 511, 512, 4096]
LAWS = [(k, b) for k in (0.0, 1.0, math.inf) for b in (None, 0.0, 0.3)]
FEW_LAWS = [(0.0, None), (1.0, 0.3), (math.inf, 0.0)]

both_orders = pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])


def deep(width: int, k: float, distance: float, sigma_b: float | None, depth: int = 20) -> Run:
    return one_point(width, k, depth=depth, distance=(distance,), sigma_b=(sigma_b,))


SPECIAL = {
    "nearly parallel": deep(700, 0.0, 1e-20, 0.0),
    "nearly parallel, few nodes": deep(40, 0.0, 1e-20, None),
    "at the least distance": deep(100, math.inf, 1e-280, 0.2, depth=10),
    "parallel": deep(200, 1.0, 0.0, None, depth=6),
    "opposite": deep(100, 0.0, 2.0, 0.0, depth=6),
    "dying": one_point(3, 0.0, depth=40, sigma_b=(0.0,)),
    "dying, revived by the bias": one_point(4, 1.0, depth=40),
    "small": one_point(100, 0.0, depth=10, q0=(1e-90,), sigma_b=(0.0,)),
    "small and wide": one_point(4600, 0.0, depth=2, q0=(1e-12,), sigma_b=(0.0,)),
    "growing": one_point(30, 0.0, depth=30, sigma_w=(1e9,), sigma_b=(1e-3,)),
    "at the limits of scale": one_point(70, 0.0, depth=4, sigma_w=(1e100,)),
    "widths of their own": Run(
        depth=8, layer_widths=(700, 5, 64, 63, 1100, 1, 30, 65), ensemble="rai", trials=64
    ),
}


@both_orders
@pytest.mark.parametrize("width", WIDTHS)
def test_the_source_with_real_barriers(width: int, reverse: bool) -> None:
    launched = from_source(reverse=reverse)
    for k, sigma_b in FEW_LAWS:
        assert same(launched, one_point(width, k, sigma_b=(sigma_b,)), 1), (k, sigma_b)


@both_orders
@pytest.mark.parametrize("width", [*WIDTHS, 2, 65, 513])
def test_the_compiled_kernels(asymmetric_programs: Programs, width: int, reverse: bool) -> None:
    launched = from_ptx(asymmetric_programs, reverse=reverse)
    for k, sigma_b in FEW_LAWS if reverse or width >= 4096 else LAWS:
        assert same(launched, one_point(width, k, sigma_b=(sigma_b,))), (k, sigma_b)


@both_orders
def test_a_wide_layer(asymmetric_programs: Programs, reverse: bool) -> None:
    launched = from_ptx(asymmetric_programs, reverse=reverse)
    assert same(launched, one_point(70_000, 1.0, depth=2), 1)


@both_orders
@pytest.mark.parametrize("which", SPECIAL)
def test_where_layers_are_special(asymmetric_programs: Programs, which: str, reverse: bool) -> None:
    """Parallel signals, deaths, powers of two apart, layers of many widths."""
    assert same(from_ptx(asymmetric_programs, reverse=reverse), SPECIAL[which], trials=3)


def test_the_special_layers_are_special() -> None:
    def last(which: str, name: str) -> np.ndarray:
        rows: np.ndarray = on_cpu(SPECIAL[which], 6).rows[:, -1, column(name)]
        return rows

    assert 0 < last("nearly parallel", "distance").max() < 1e-17
    assert last("parallel", "distance").max() == 0.0
    assert last("dying", "dead_network1").sum() >= 1
    assert (last("dying, revived by the bias", "q1") > 0.0).all()
    assert np.nanmin(on_cpu(SPECIAL["small"], 6).rows[:, 0, column("log_q1")]) < -200.0
    assert last("growing", "log_q1").min() > 1000.0


def test_trials_beyond_32_bits(asymmetric_programs: Programs) -> None:
    launched = from_ptx(asymmetric_programs)
    assert same(launched, one_point(100, 1.0), first_trial=2**32 - 1)
    assert same(launched, one_point(100, 1.0), first_trial=2**40 - 2)


@pytest.mark.parametrize("pieces", [2, 3, 7])
def test_launches_go_on_where_others_ended(asymmetric_programs: Programs, pieces: int) -> None:
    run, launched = one_point(130, 1.0, depth=7), from_ptx(asymmetric_programs)
    assert on_device(launched, run, 2, pieces=pieces).bytes == on_cpu(run, 2).bytes


def test_capabilities_run_the_same_instructions(
    asymmetric_ptx: dict[tuple[int, int], dict[str, str]],
) -> None:
    """So that what one of them gives the other gives too: the PTX differs in names only."""
    old, new = asymmetric_ptx[8, 0], asymmetric_ptx[9, 0]
    for name in old:
        assert ".target sm_80" in old[name]
        assert ".target sm_90" in new[name]
        assert instructions(old[name]) == instructions(new[name])
