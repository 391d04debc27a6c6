"""The driver of the pair sampler on CUDA, with a device that runs compiled kernels on the CPU."""

from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from simcore.errors import DeviceError
from simcore.runs.run import Run
from simcore.sampling.control.places import CARRIED, COEFFICIENTS
from simcore.sampling.cuda import controls_kernels
from simcore.sampling.cuda import driver as cuda_blocks
from simcore.sampling.cuda import statistics_kernels as moment_kernels
from simcore.sampling.pair import cuda as pair_cuda
from simcore.sampling.pair import cuda_kernels as pair_kernels
from simcore.sampling.pair import cuda_wide_kernels as pair_wide_kernels
from simcore.sampling.pair.cpu import PairSampler
from simcore.sampling.pair.cuda import PairCudaSampler
from simcore.statistics.blocks import Task
from tests.emulator.emulated import Compiled, Emulated, advance, equal, signals
from tests.emulator.kernels import KERNELS, kernel
from tests.emulator.launches import one_point

pytestmark = pytest.mark.xdist_group("gpu")


@pytest.mark.parametrize("trials", [64, 40, 128])
def test_results_have_the_bytes_of_the_cpu(compiled: Compiled, trials: int) -> None:
    run = one_point(70, 1.0, depth=6, trials=trials)
    task = Task.cut(0, 0, -(-trials // 64), 4) if trials % 64 == 0 else Task(0, 0, 1, 40)
    device, seen = Emulated(compiled), signals()
    expected = PairSampler(run).run(task, None, signals())
    made = PairCudaSampler(run, device).run(task, None, seen)
    assert equal(expected, made)
    assert seen.progress[0] == task.trials * 6 * 70
    assert len(device.launches) == 1


def test_tasks_of_many_points_go_into_one_launch(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partial blocks, too; or into several launches where there is no room: the bytes stay."""
    run = Run(depth=5, width=(70, 9), ensemble="correlated", k=(0.0, math.inf), trials=300)
    cpu = PairSampler(run)
    firsts = [(Task(p, 0, 1, 64), None) for p in range(4)]
    expected = cpu.run_tasks(firsts, signals())
    device, seen = Emulated(compiled), signals()
    sampler = PairCudaSampler(run, device)
    made = sampler.run_tasks(firsts, seen)
    assert all(equal(*each) for each in zip(expected, made, strict=True))
    assert device.launches == [(4 * 64, 0, 0)]
    assert seen.progress[0] == 64 * 5 * 2 * (70 + 9)
    cuts = ((1, 1, 64), (2, 2, 128), (4, 1, 44))
    rest = [(Task(p, *cut), first.bins) for p, first in enumerate(expected) for cut in cuts]
    expected = cpu.run_tasks(rest, signals())
    for blocks, launches in ((100, 1), (5, 4), (1, 16)):
        monkeypatch.setattr(cuda_blocks, "ROWS_BYTES", blocks * 64 * 5 * 8 * run.columns.count)
        device.launches.clear()
        made = sampler.run_tasks(rest, signals())
        assert all(equal(*each) for each in zip(expected, made, strict=True))
        assert len(device.launches) == launches


def test_launches_are_cut_to_the_room(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks by blocks, and layers by layers where one block does not fit; the bytes stay."""
    run = one_point(70, -0.5, depth=4, trials=128)
    task, per_layer = Task(0, 0, 2, 128), 8 * run.columns.count * 64
    expected = PairSampler(run).run(task, None, signals())
    cut = {}
    for layers in (8, 7, 3, 1):
        monkeypatch.setattr(cuda_blocks, "ROWS_BYTES", layers * per_layer)
        device = Emulated(compiled)
        assert equal(expected, PairCudaSampler(run, device).run(task, None, signals()))
        cut[layers] = device.launches
    assert cut[8] == [(128, 0, 0)]
    assert cut[7] == [(64, 0, 0), (64, 64, 0)]
    assert cut[3] == [(64, 0, 0), (64, 0, 3), (64, 64, 0), (64, 64, 3)]
    assert len(cut[1]) == 8


def test_launches_are_cut_to_the_time(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers by layers where a block takes long, for only then is it seen that a run is to stop."""
    run = one_point(70, 1.0, depth=5, trials=64)
    task, device = Task(0, 0, 1, 64), Emulated(compiled)
    sampler = PairCudaSampler(run, device)
    monkeypatch.setattr(cuda_blocks, "TASK_SECONDS", 0.5 * sampler.seconds_per_block(0))
    expected = PairSampler(run).run(task, None, signals())
    assert equal(expected, sampler.run(task, None, signals()))
    assert device.launches == [(64, 0, 0), (64, 0, 2), (64, 0, 4)]


def test_given_bins_later_blocks_and_a_pool(compiled: Compiled) -> None:
    run = one_point(100, 0.0, depth=4, trials=256)
    first = PairSampler(run).run(Task(0, 0, 1, 64), None, signals())
    later = Task(0, 2, 2, 128)
    expected = PairSampler(run).run(later, first.bins, signals())
    with ThreadPoolExecutor(1) as pool:
        sampler = PairCudaSampler(run, Emulated(compiled))
        assert equal(expected, sampler.run_shared(later, first.bins, signals(), pool, 1))


def test_a_task_that_is_stopped_ends_early(compiled: Compiled) -> None:
    run = one_point(10, 0.0, depth=4, trials=64)
    stopped, device = signals(), Emulated(compiled)
    stopped.stop[0] = 1
    PairCudaSampler(run, device).run(Task(0, 0, 1, 64), None, stopped)
    assert device.launches == []


def test_trials_and_segments_through_the_contract_of_blocks(compiled: Compiled) -> None:
    run = one_point(80, 1.0, depth=5, trials=10)
    cpu, gpu = PairSampler(run), PairCudaSampler(run, Emulated(compiled))
    states = cpu.carry(0, 10), cpu.carry(0, 10)
    rows = np.empty((2, 2, 10, 2, run.columns.count))
    for part, layer0 in enumerate((0, 2)):
        cpu.advance(0, 0, layer0, states[0], rows[0, part], signals())
        advance(gpu, 0, layer0, states[1], rows[1, part])
    assert rows[0].tobytes() == rows[1].tobytes()
    assert states[0].tobytes() == states[1].tobytes()


def test_tasks_are_powers_of_two_within_the_room() -> None:
    for width, depth in ((4096, 200), (10, 3), (10**6, 1000), (64, 2**20)):
        blocks = PairCudaSampler(one_point(width, 0.0, depth=depth)).blocks_per_task(0)
        assert blocks & (blocks - 1) == 0
        assert blocks == 1 or blocks * 64 * depth * 120 <= cuda_blocks.ROWS_BYTES


@pytest.mark.parametrize("wide", [False, True])
def test_prepare_compiles_what_a_task_needs(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch, wide: bool
) -> None:
    monkeypatch.setattr(pair_cuda, "WIDE", 70 if wide else 71)
    device = Emulated(compiled)
    PairCudaSampler(one_point(70, 1.0), device).prepare()
    modules = [pair_kernels, controls_kernels, moment_kernels] + [pair_wide_kernels] * wide
    known = {name for name in KERNELS if sys.modules[kernel(name).__module__] in modules}
    assert set(device.names) == known


def test_too_little_memory_is_one_line(compiled: Compiled) -> None:
    sampler = PairCudaSampler(one_point(70, 1.0, trials=64), Emulated(compiled, free=10_000))
    with pytest.raises(DeviceError, match=r"device = cuda: has 0\.00954 MiB .* --device cpu\."):
        sampler.run(Task(0, 0, 1, 64), None, signals())


def test_other_runs_are_refused() -> None:
    run = Run(depth=2, width=(10,), ensemble="rai", trials=1)
    with pytest.raises(DeviceError, match=r"not rai\. Use --device cpu\."):
        PairCudaSampler(run)


def test_trials_take_turns_where_they_carry_much(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for a block's rows and for what 24 trials carry, were a state a megabyte."""
    run = one_point(70, 1.0, depth=4, trials=100)
    monkeypatch.setattr(PairCudaSampler, "carried_bytes", lambda *_: 2**20)
    rows, controls = 64 * 4 * 8 * run.columns.count, 8 * (4 * COEFFICIENTS + 64 * CARRIED)
    free = int((24.5 * 2**20 + rows + controls) / cuda_blocks.SHARE)
    for task in (Task(0, 0, 1, 64), Task(0, 1, 1, 36)):
        device, bins = Emulated(compiled, free), None
        if task.first_block:
            bins = PairSampler(run).run(Task(0, 0, 1, 64), None, signals()).bins
        expected = PairSampler(run).run(task, bins, signals())
        assert equal(expected, PairCudaSampler(run, device).run(task, bins, signals()))
        first = 64 * task.first_block
        starts = range(first, first + task.trials, 24)
        ends = [*starts[1:], first + task.trials]
        assert device.launches == [(b - a, a, 0) for a, b in zip(starts, ends, strict=True)]
