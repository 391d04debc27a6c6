"""The driver of batches on CUDA, with a device that runs compiled kernels and NumPy on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.errors import DeviceError
from simcore.machine.memory import memory_bytes
from simcore.runs.limits import DEVICES
from simcore.runs.run import Run
from simcore.sampling.batch.cpu import BatchGradientSampler, BatchSampler
from simcore.sampling.batch.cuda import ArrayDevice, BatchCudaSampler, BatchGradientCudaSampler
from simcore.sampling.choose import sampler_for
from simcore.sampling.contract import TaskResult
from simcore.sampling.cuda import driver as cuda_blocks
from simcore.sampling.cuda.device import DeviceArray
from simcore.statistics.blocks import Task
from tests.emulator.emulated import Compiled, Emulated, signals
from tests.support.array_driver import array_rows

pytestmark = pytest.mark.xdist_group("gpu")


class EmulatedArrays(Emulated, ArrayDevice):
    """Such a device with the namespace of NumPy."""

    xp: Any = np

    def __init__(self, compiled: Compiled, free: int = 2**33) -> None:
        super().__init__(compiled, free)
        self.exact = 0

    def as_array(self, array: Any) -> Any:
        return array

    def for_kernel(self, array: Any) -> Any:
        return array

    @contextmanager
    def multiplying(self) -> Iterator[None]:
        self.exact += 1
        with np.errstate(over="ignore"):
            yield


CASES: dict[str, dict[str, Any]] = {
    "gram": {"sampler": "gram", "shared_network": True, "pairs": 3},
    "gram, replaced": {
        "sampler": "gram",
        "ensemble": "raai",
        "k": (0.5,),
        "shared_network": True,
        "pairs": 2,
    },
    "dense": {"sampler": "dense", "shared_network": True, "pairs": 3, "sigma_b": (0.2,)},
    "gram, controlled": {
        "sampler": "gram",
        "layer_widths": (70, 64, 80, 64),
        "shared_network": True,
        "distance": (0.5, 1.5, 1e-9),
    },
    "dense, controlled": {"sampler": "dense", "layer_widths": (70, 64, 80, 64)},
    "dense, a pair of rai": {"sampler": "dense", "ensemble": "rai"},
    "dense, Student": {"weights": "student:6"},
    "gram, gradients": {
        "sampler": "gram",
        "shared_network": True,
        "pairs": 3,
        "sigma_b": (0.2,),
        "gradients": True,
        "layer_widths": (70, 64, 80, 64),
    },
    "dense, gradients of rai": {"ensemble": "rai", "gradients": True},
}


def run_of(case: str, **changes: Any) -> Run:
    settings: dict[str, Any] = {"depth": 4, "layer_widths": (30, 20, 40, 25), "device": "cuda"}
    return Run(**(settings | CASES[case] | changes))


def on_device(run: Run, device: EmulatedArrays) -> BatchCudaSampler:
    return (BatchGradientCudaSampler if run.gradients else BatchCudaSampler)(run, device)


def statistics(result: TaskResult) -> list[npt.NDArray[np.float64]]:
    return [*result.moments, result.kept]


@pytest.mark.parametrize("case", CASES)
def test_statistics_are_those_of_the_cpu_to_six_digits(
    compiled: Compiled,
    case: str,
) -> None:
    run = run_of(case, trials=70, keep=70)
    device, seen, bins_of_first = EmulatedArrays(compiled), signals(), None
    for task in (Task(0, 0, 1, 64), Task(0, 1, 1, 6)):
        bins = None if task.first_block == 0 else bins_of_first
        made = on_device(run, device).run(task, bins, seen)
        bins_of_first = made.bins
        on_cpu = BatchGradientSampler if run.gradients else BatchSampler
        expected = on_cpu(run).run(task, bins, signals())
        for a, b in zip(statistics(made), statistics(expected), strict=True):
            off = np.abs(a - b) / (1.0 + np.abs(b))
            assert np.nanmax(off) < 1e-3
            assert np.nanquantile(off, 0.9) < 1e-5
    assert seen.progress[0] == 70 * sum(run.layer_widths or ())
    assert device.exact > 0  # cuBLAS was set to IEEE products, whatever CUPY_TF32 says


@pytest.mark.parametrize("case", ["dense, a pair of rai", "dense, gradients of rai"])
def test_each_launch_is_for_all_trials(compiled: Compiled, case: str) -> None:
    """The same rows as array code on the CPU's random numbers, byte for byte."""
    run = run_of(case, trials=64)
    sampler, rows = (
        on_device(run, EmulatedArrays(compiled)),
        np.empty((8, 4, run.columns.count)),
    )
    sampler.make_rows(0, 0, 0, sampler.start(0, 0, 8), rows)
    assert rows.tobytes() == array_rows(run, 8, tile=10**6).tobytes()


def test_the_way_back_takes_whole_networks_into_the_room(compiled: Compiled) -> None:
    """The memory of a trial counts what is kept of its layers; fewer trials at a time fit."""
    run = run_of("gram, gradients", trials=64, controls="off")
    there = BatchCudaSampler(replace(run, gradients=False))
    sampler, task = on_device(run, EmulatedArrays(compiled)), Task(0, 0, 1, 64)
    columns, nodes = 6, 80
    factors, masks, reads = 8 * columns * (nodes + 2), columns * nodes, 3 * 5 * 8
    more = sampler.carried_bytes(0) - there.carried_bytes(0)
    assert more == run.depth * (factors + masks + reads)
    room = 4 * (64 * 8 * run.columns.count * run.depth + 9 * sampler.carried_bytes(0))
    narrow = on_device(run, EmulatedArrays(compiled, room))
    assert tuple(narrow._cut(0, 64))[:4] == (1, run.depth, 9, 0)
    whole, parts = (each.run(task, None, signals()) for each in (sampler, narrow))
    for a, b in zip(statistics(whole), statistics(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    few = on_device(run, EmulatedArrays(compiled, room // 9))
    with pytest.raises(DeviceError, match="too little for one network and back"):
        few.run(task, None, signals())


def test_trials_and_layers_are_cut_to_the_room(
    compiled: Compiled,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks by blocks, layers by layers, some trials at a time: what is drawn does not change."""
    run = run_of("dense", trials=128)
    task = Task(0, 0, 2, 128)
    whole = BatchCudaSampler(run, EmulatedArrays(compiled)).run(task, None, signals())
    trial = 8 * run.columns.count * run.depth
    for rows, free in ((128 * trial, 2**33), (64 * trial // 2, 2**33), (2**28, 5 * 2**20)):
        monkeypatch.setattr(cuda_blocks, "ROWS_BYTES", rows)
        parts = BatchCudaSampler(run, EmulatedArrays(compiled, free)).run(task, None, signals())
        for a, b in zip(statistics(whole), statistics(parts), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    few = BatchCudaSampler(run, EmulatedArrays(compiled, 5 * 2**20))
    assert 0 < few._cut(0, 64)[2] < 64


def test_tiles_fit_the_memory(compiled: Compiled) -> None:
    sampler = BatchCudaSampler(run_of("dense"), EmulatedArrays(compiled, 2**20))
    law, room = sampler.laws[0], sampler._tile_bytes()
    assert room == 2**18
    assert sampler._tile(law, room // 64, 30, 10**6) == 2**12 // (4 * 30)
    assert sampler._tile(law, room // 10**6, 30, 100) == 1
    assert sampler._tile(law, room, 30, 100) == 100


def test_too_little_memory_is_one_line(compiled: Compiled) -> None:
    sampler = BatchCudaSampler(run_of("dense", trials=64), EmulatedArrays(compiled, 2**16))
    with pytest.raises(DeviceError, match=r"has 0\.0625 MiB of memory free.*--device cpu\."):
        sampler.run(Task(0, 0, 1, 64), None, signals())


def test_segments_a_pool_and_stopping(compiled: Compiled) -> None:
    run = run_of("gram", trials=64)
    sampler, rows = (
        BatchCudaSampler(run, EmulatedArrays(compiled)),
        np.empty((5, 4, run.columns.count)),
    )
    whole = np.empty_like(rows)
    sampler.make_rows(0, 0, 0, sampler.start(0, 0, 5), whole)
    carried, parts = (
        sampler.start(0, 0, 5),
        (np.empty_like(rows[:, :2]), np.empty_like(rows[:, 2:])),
    )
    sampler.make_rows(0, 0, 0, carried, parts[0])
    sampler.make_rows(0, 0, 2, carried, parts[1])
    assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()
    stopped = signals()
    stopped.stop[0] = 1
    with ThreadPoolExecutor(1) as pool:
        sampler.run_shared(Task(0, 0, 1, 64), None, stopped, pool, 1)
    sampler.prepare()


def test_the_memory_of_signals_is_the_devices() -> None:
    many = {"depth": 2, "layer_widths": (10**6,) * 2, "pairs": 100}
    on = {device: memory_bytes(run_of("dense", **many, device=device), 1) for device in DEVICES}
    assert on["cuda"] < on["cpu"] / 100


def test_tasks_are_powers_of_two() -> None:
    for width, pairs in ((4096, 64), (64, 2), (1024, 1000)):
        for name in ("gram", "dense"):
            run = Run(depth=50, width=(width,), pairs=pairs, shared_network=True, sampler=name)
            sampler = BatchCudaSampler(run)
            blocks = sampler.blocks_per_task(0)
            assert blocks & (blocks - 1) == 0
            assert sampler.seconds_per_block(0) > 0.0


def test_the_device_cuda_has_this_sampler() -> None:
    for case in CASES:
        run = run_of(case)
        kind = BatchGradientCudaSampler if run.gradients else BatchCudaSampler
        assert type(sampler_for(run)) is kind


# --- CuPy's memory --------------------------------------------------------------------------------


def test_what_cupy_keeps_is_there_for_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba takes its memory from the driver, which knows nothing of what CuPy would give back."""
    free, kept = {"driver": 2**20}, {"bytes": 2**30}

    def give_back() -> None:
        free["driver"] += kept["bytes"]
        kept["bytes"] = 0

    pool = SimpleNamespace(free_bytes=lambda: kept["bytes"], free_all_blocks=give_back)
    cupy = SimpleNamespace(get_default_memory_pool=lambda: pool)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    device = ArrayDevice()
    taken: list[int] = []

    def take(size: int) -> SimpleNamespace:
        taken.append(size)
        return SimpleNamespace(device_pointer_value=2**20)

    def info() -> SimpleNamespace:
        return SimpleNamespace(free=free["driver"])

    context = SimpleNamespace(get_memory_info=info, memalloc=take)
    device._cuda = SimpleNamespace(current_context=lambda: context)
    assert device.free_bytes() == 2**30 + 2**20
    assert device.room((2, 10)).shape == (2, 10)
    assert kept["bytes"] == 2**30
    assert device.room((2**10, 2**7), np.float64).size == 2**17
    assert kept["bytes"] == 0
    assert taken == [160, 2**20]


def test_arrays_on_a_device_are_described_as_numpy_describes_its_own() -> None:
    """For CuPy, which takes them by this interface, and for kernels."""
    array, like = DeviceArray(None, 2**20, (5, 3, 2), np.dtype(np.float64)), np.empty((5, 3, 2))
    for ours, theirs in ((array, like), (array[1:4], like[1:4]), (array[2:9], like[2:9])):
        assert (ours.shape, ours.strides, ours.size) == (theirs.shape, theirs.strides, theirs.size)
        begin = 2**20 + theirs.ctypes.data - like.ctypes.data
        data = (begin, False)
        described = {"shape": theirs.shape, "typestr": "<f8", "data": data, "version": 3}
        assert ours.__cuda_array_interface__ == described
    assert str(array._numba_type_) == "array(float64, 3d, C)"
