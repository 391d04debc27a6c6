"""The driver of `rai` and `raai` on CUDA, with a device that runs compiled kernels on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from simcore.errors import DeviceError
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.asymmetric.cpu import AsymmetricSampler
from simcore.sampling.asymmetric.cuda import AsymmetricCudaSampler
from simcore.sampling.choose import sampler_for
from simcore.sampling.cuda import driver as cuda_blocks
from simcore.statistics.blocks import Task
from tests.emulator.asymmetric_launches import one_point
from tests.emulator.emulated import Compiled, Emulated, advance, equal, signals

pytestmark = pytest.mark.xdist_group("gpu")


@pytest.fixture(scope="session")
def kernels(asymmetric_programs: Compiled, compiled: Compiled) -> Compiled:
    """The kernels of `rai` and `raai`, and those of the statistics."""
    return {**compiled, **asymmetric_programs}


def samplers_launches(device: Emulated) -> list[str]:
    """Return which kernels of the sampler were launched."""
    return [name for name in device.names if name in ("begin", "advance")]


@pytest.mark.parametrize("sigma_b", [None, 0.0])
def test_results_have_the_bytes_of_the_cpu(kernels: Compiled, sigma_b: float | None) -> None:
    run = one_point(70, 1.0, depth=5, sigma_b=(sigma_b,))
    task, seen = Task(0, 0, 1, 64), signals()
    device = Emulated(kernels)
    expected = AsymmetricSampler(run).run(task, None, signals())
    assert equal(expected, AsymmetricCudaSampler(run, device).run(task, None, seen))
    assert samplers_launches(device) == ["begin", "advance"]
    assert seen.progress[0] == 64 * 5 * 70


def test_launches_are_cut_to_the_room(kernels: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """By layers where rows need room, by trials where what these carry does; the bytes stay."""
    run = one_point(30, 0.0, depth=4)
    task, row = Task(0, 0, 1, 64), 64 * run.columns.count * 8
    expected = AsymmetricSampler(run).run(task, None, signals())
    carried = AsymmetricCudaSampler(run).carried_bytes(0)
    assert carried == 8 * (16 + 4 * 31)

    device = Emulated(kernels, int((20.5 * carried + 4 * row) / cuda_blocks.SHARE))
    assert equal(expected, AsymmetricCudaSampler(run, device).run(task, None, signals()))
    assert samplers_launches(device) == ["begin", "advance"] * 4

    monkeypatch.setattr(cuda_blocks, "ROWS_BYTES", 3 * row)
    device = Emulated(kernels)
    assert equal(expected, AsymmetricCudaSampler(run, device).run(task, None, signals()))
    assert samplers_launches(device) == ["begin", "advance", "advance"]


def test_later_blocks_of_a_grid(kernels: Compiled) -> None:
    run = Run(depth=3, width=(5, 66), ensemble="rai", trials=128)
    first = AsymmetricSampler(run).run(Task(1, 0, 1, 64), None, signals())
    later = Task(1, 1, 1, 64)
    expected = AsymmetricSampler(run).run(later, first.bins, signals())
    made = AsymmetricCudaSampler(run, Emulated(kernels))
    assert equal(expected, made.run(later, first.bins, signals()))


def test_what_trials_carry_goes_on_from_the_host(kernels: Compiled) -> None:
    run = one_point(80, 1.0, depth=4)
    sampler = AsymmetricCudaSampler(run, Emulated(kernels))
    carried = np.empty((5, sampler.carried_bytes(0) // 8))
    made = np.empty((2, 5, 2, len(NAMES)))
    for part, layer0 in enumerate((0, 2)):
        advance(sampler, 0, layer0, carried, made[part])
    rows = np.empty((5, 4, len(NAMES)))
    cpu = AsymmetricSampler(run)
    cpu.advance(0, 0, 0, cpu.carry(0, 1), rows, signals())
    assert np.concatenate(made, axis=1).tobytes() == rows.tobytes()


def test_prepare_compiles_what_a_task_needs(kernels: Compiled) -> None:
    device = Emulated(kernels)
    AsymmetricCudaSampler(one_point(70, 1.0), device).prepare()
    assert samplers_launches(device) == ["begin", "advance"] * 2


def test_a_run_for_cuda_gets_this_sampler() -> None:
    for k in (0.0, 1.0):
        run = one_point(10, k, device="cuda")
        assert isinstance(sampler_for(run), AsymmetricCudaSampler)


def test_other_runs_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"not he\. Use --device cpu\."):
        AsymmetricCudaSampler(Run(depth=2, width=(10,), trials=1))
