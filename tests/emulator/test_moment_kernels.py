"""Statistics on the device: the bytes of those on the CPU, and what crosses the bus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from simcore.numerics.arithmetic import fma64
from simcore.physics.observables import HISTOGRAMMED, NAMES
from simcore.runs.run import Run
from simcore.sampling.batch.cpu import BatchSampler
from simcore.sampling.contract import TaskResult
from simcore.sampling.cuda import statistics_kernels as moment_kernels
from simcore.sampling.cuda.device import ALIGNED, Rooms
from simcore.sampling.cuda.pieces import Gathered, Part, Piece
from simcore.sampling.cuda.statistics import DeviceStatistics
from simcore.sampling.driver import TaskSampler
from simcore.sampling.pair.cpu import PairSampler
from simcore.statistics.blocks import Task
from simcore.statistics.moments import Bins, collect, finish_block, join_blocks
from tests.emulator.conftest import AllPtx
from tests.emulator.emulated import Compiled, Emulated, FromSource, equal
from tests.emulator.kernel_simulator import BarrierError
from tests.emulator.launches import one_point
from tests.emulator.mutants import kernel_with, without_each_barrier

pytestmark = pytest.mark.xdist_group("gpu")

Floats = npt.NDArray[np.float64]
both_orders = pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])


class Case(NamedTuple):
    """Trials of a task whose rows are given, and how many layers a launch takes."""

    sampler: TaskSampler
    trials: int
    layers: int
    later: bool = False


def pairs(depth: int = 9, **options: Any) -> PairSampler:
    return PairSampler(one_point(8, 1.0, depth=depth, trials=512, **options))


CASES = {
    "a block": Case(pairs(), 64, 9),
    "four blocks": Case(pairs(keep=100), 256, 9),
    "later blocks": Case(pairs(), 128, 9, later=True),
    "one trial": Case(pairs(keep=1), 1, 9),
    "a partial block": Case(pairs(depth=40, bins=3), 40, 40),
    "layers by layers": Case(pairs(depth=40), 64, 7),
    "a single layer": Case(pairs(depth=1, keep=0), 128, 1),
    "many columns": Case(
        BatchSampler(Run(depth=3, width=(8,), trials=64, shared_network=True, pairs=3)), 64, 3
    ),
}


def rows_of(case: Case) -> Floats:
    """Random rows of many sizes, some undefined, one column a constant, one never defined."""
    run = case.sampler.run_plan
    random = np.random.default_rng(case.trials)
    shape = (case.trials, run.depth, run.columns.count)
    rows = np.ldexp(random.standard_normal(shape), random.integers(-20, 20, shape[1:]))
    rows[random.random(shape) < 0.01] = np.nan
    rows[:, 0, 4], rows[:, 0, 6], rows[: case.trials // 2, 0, 2] = 0.25, np.nan, np.nan
    return rows


def task_of(case: Case) -> tuple[Task, Bins | None]:
    blocks = -(-case.trials // 64)
    bins = None
    if case.later:
        shape = (case.sampler.run_plan.depth, case.sampler.chosen.histogram.size)
        bins = Bins(np.full(shape, -1.0), np.full(shape, 0.1))
    return Task(0, 0, blocks, case.trials), bins


def on_the_cpu(case: Case) -> TaskResult:
    task, bins = task_of(case)
    collector, rows = case.sampler.collector(task, bins), rows_of(case)
    for block in range(task.blocks):
        part = rows[64 * block : 64 * block + 64]
        collect(collector, block, 0, part)
        finish_block(collector, block, len(part))
    join_blocks(collector, task.blocks)
    return case.sampler.result(task, collector)


def statistics_of(device: Emulated, case: Case) -> DeviceStatistics:
    """Return the statistics of a device for the run of a case."""
    sampler, run = case.sampler, case.sampler.run_plan
    shape = run.depth, run.columns.count, run.bins
    return DeviceStatistics(device, Rooms(device), sampler.chosen, sampler.layers, shape)


def on_a_device(device: Emulated, case: Case) -> TaskResult:
    gathered, rows = Gathered(case.sampler, *task_of(case)), rows_of(case)
    statistics, depth = statistics_of(device, case), case.sampler.run_plan.depth
    for layer0 in range(0, depth, case.layers):
        layers = min(case.layers, depth - layer0)
        piece = Piece([Part(gathered, 0, 0, 0, case.trials)], layer0, layers, case.trials)
        sent = statistics.send(piece)
        sent.there["rows"][:] = rows[:, layer0 : layer0 + layers]
        statistics.take(piece, sent)
    return gathered.result()


def agree(device: Emulated, case: Case) -> bool:
    try:
        return equal(on_a_device(device, case), on_the_cpu(case))
    except BarrierError:
        return False


@both_orders
@pytest.mark.parametrize("which", CASES)
def test_the_compiled_kernels(compiled: Compiled, which: str, reverse: bool) -> None:
    assert agree(Emulated(compiled, reverse=reverse), CASES[which])


@both_orders
@pytest.mark.parametrize("which", ["four blocks", "layers by layers"])
def test_the_source_with_real_barriers(which: str, reverse: bool) -> None:
    assert agree(FromSource(reverse=reverse), CASES[which])


def test_the_cases_are_what_they_say() -> None:
    made = on_the_cpu(CASES["four blocks"])
    assert made.moments.count[0, 6] == 0.0
    assert made.moments.m2[0, 4] == 0.0
    assert made.moments.cov_count[2] == 0.0
    assert (made.moments.cov_count[:2] > 0.0).all()
    assert (made.moments.cov_count[:2] < 256.0).all()
    assert made.histogram[0, :, -1].any()
    assert (made.histogram.sum(axis=2) <= 256).all()


def test_what_crosses_the_bus(compiled: Compiled) -> None:
    """Of 32 blocks and 200 layers about a byte for a layer of a trial, of the 160 of its rows."""
    sampler = pairs(depth=200, keep=0, bins=62, controls=False)
    case, device = Case(sampler, 2048, 200), Emulated(compiled)
    piece = Piece.of([Part(Gathered(sampler, *task_of(case)), 0, 0, 0, case.trials)], 200)
    statistics = statistics_of(device, case)
    sent = statistics.send(piece)
    sent.there["rows"][:] = 0.0
    statistics.take(piece, sent)
    layers, chosen = 200, sampler.layers.size
    moments = 8 * (3 * len(NAMES) * layers + 3 * (1 + chosen + chosen**2))
    histogram = layers * len(HISTOGRAMMED) * (4 * (62 + 2) + 16)
    assert 0 <= device.brought - moments - histogram < 4 * ALIGNED
    assert 1.2 < device.brought / (case.trials * layers) < 1.3


# --- faults -------------------------------------------------------------------------------------

LOOP = "    while trial < end:\n"
FAULTS = {
    "a trial lost in the sum": (
        LOOP + "        count, total",
        "    while trial < end - U_ONE:\n        count, total",
    ),
    "a trial lost in m2": (LOOP + "        m2 =", "    while trial < end - U_ONE:\n        m2 ="),
    "a trial lost in the histogram": (
        LOOP + "        x = rows[trial, layer, column]\n        if x",
        "    while trial < end - U_ONE:\n        x = rows[trial, layer, column]\n        if x",
    ),
    "trials in another order": (
        "count, total = add_value(count, total, rows[trial, layer",
        "count, total = add_value(count, total, rows[_u32(end - U_ONE - (trial - begin)), layer",
    ),
    "bins of another block": ("blocks[block, OPENS] != 0 and", "blocks[block, OPENS] == 0 and"),
    "an incomplete trial counted": ("                defined = NO\n", "                pass\n"),
    "the columns of another covariance": (
        "own // chosen), _u32(own % chosen)",
        "own % chosen), U_ZERO",
    ),
    "siblings swapped": (
        "    a, b = _block_at(part, number, rest), _u32(rest + number + _u32(step))",
        "    b, a = _block_at(part, number, rest), _u32(rest + number + _u32(step))",
    ),
    "siblings of moments swapped": (
        "a = _block_at(part, number, rest)\n            b = _u32(rest + number + step)",
        "b = _block_at(part, number, rest)\n            a = _u32(rest + number + step)",
    ),
}


@pytest.mark.parametrize("which", FAULTS)
def test_a_fault_is_found(which: str, tmp_path: Path) -> None:
    module = kernel_with(*FAULTS[which], tmp_path, moment_kernels)
    assert not agree(FromSource(instead=module), CASES["four blocks"])


FUSED = {
    "add_square": lambda m2, x, mean: m2 if x != x else fma64(x - mean, x - mean, m2),
    "add_product": lambda m2, dj, dk: fma64(dj, dk, m2),
    "joined_product": lambda a, b, dj, dk, weight: fma64(dj * dk, weight, a + b),
}


@pytest.mark.parametrize("which", FUSED)
def test_a_fused_product_is_found(which: str, tmp_path: Path) -> None:
    nothing = "THREADS = 128"
    module = kernel_with(nothing, nothing, tmp_path, moment_kernels, others=[which])
    setattr(module, which, njit(FUSED[which]))
    assert not agree(FromSource(instead=module), CASES["four blocks"])


@pytest.mark.parametrize("name", ["finish_blocks", "join_covariances"])
def test_each_barrier_is_needed(name: str, compiled: Compiled, all_ptx: AllPtx) -> None:
    """Without any one of them the bytes are wrong, in one order of the threads at least."""
    faulty = without_each_barrier(all_ptx[9, 0][name])
    assert len(faulty) == {"finish_blocks": 2, "join_covariances": 1}[name]
    for program in faulty:
        devices = [Emulated(compiled | {name: program}, reverse=order) for order in (False, True)]
        assert not all(agree(device, CASES["four blocks"]) for device in devices)
