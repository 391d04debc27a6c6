"""Wide layers of few trials, which many thread blocks share: the bytes of the CPU sampler."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.pair import cpu_kernels as pair
from simcore.sampling.pair import cuda as pair_cuda
from simcore.sampling.pair import cuda_wide_kernels as pair_wide_kernels
from simcore.sampling.pair.cpu import PairSampler
from simcore.sampling.pair.cuda import PairCudaSampler
from simcore.sampling.pair.sums import TOTALS
from simcore.statistics.blocks import Task
from tests.emulator.conftest import AllPtx
from tests.emulator.emulated import Compiled, Emulated, FromSource, equal, signals
from tests.emulator.kernel_simulator import BarrierError
from tests.emulator.launches import one_point
from tests.emulator.mutants import kernel_with, without_each_barrier
from tests.support.pair_driver import walk

pytestmark = pytest.mark.xdist_group("gpu")

STRENGTHS = [-0.5, 0.0, 1.0, math.inf]
PROFILE = Run(depth=6, layer_widths=(700, 4096, 63, 512, 511, 5000), ensemble="he")
both_orders = pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])


@pytest.fixture(autouse=True)
def from_512_nodes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_cuda, "WIDE", 512)


def same(device: Emulated, run: Run, trials: int = 2, first_trial: int = 0) -> bool:
    """Whether a device leaves the very rows and states that the CPU sampler leaves."""
    sampler = PairCudaSampler(run, device)
    states, rows = sampler.start(0, first_trial, trials), np.empty((trials, run.depth, len(NAMES)))
    try:
        sampler.make_rows(0, first_trial, 0, states, rows)
    except (BarrierError, AssertionError):
        return False
    expected = walk(run, trials, first_trial=first_trial)
    return (
        rows.tobytes() == expected.rows.tobytes() and states.tobytes() == expected.states.tobytes()
    )


@both_orders
@pytest.mark.parametrize("width", [511, 512, 513, 4096, 70_000])
def test_the_compiled_kernels(compiled: Compiled, width: int, reverse: bool) -> None:
    device = Emulated(compiled, reverse=reverse)
    for k in STRENGTHS:
        for sigma_b in (0.0, 0.3):
            assert same(device, one_point(width, k, sigma_b=(sigma_b,))), (k, sigma_b)
    shares = ["sum_chunks", "fold_chunks", "finish_wide"]
    assert device.names == (["advance"] * 8 if width == 511 else shares * 24)


@both_orders
@pytest.mark.parametrize("width", [512, 4096, 70_000])
def test_the_source_with_real_barriers(width: int, reverse: bool) -> None:
    assert same(FromSource(reverse=reverse), one_point(width, 1.0, sigma_b=(0.3,), depth=2))


def test_layers_too_narrow_go_between(compiled: Compiled) -> None:
    device = Emulated(compiled)
    assert same(device, PROFILE, trials=3, first_trial=2**32 - 2)
    shares = ["sum_chunks", "fold_chunks", "finish_wide"]
    assert device.names == [*shares * 2, "advance", *shares, "advance", *shares]


SPECIAL = {
    "nearly parallel": one_point(600, -0.5, depth=10, distance=(1e-20,)),
    "shrinking": one_point(600, 0.0, depth=200, sigma_w=(1e-3,)),
    "dead": Run(depth=6, layer_widths=(1, 600, 2, 600, 1, 600), ensemble="he"),
}


@pytest.mark.parametrize("which", SPECIAL)
def test_where_layers_are_special(compiled: Compiled, which: str) -> None:
    assert same(Emulated(compiled), SPECIAL[which], trials=8)


def test_who_shares_does_not_show(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials beyond what fills the device go alone; room for the sums of some makes turns."""
    run = one_point(1100, 1.0, depth=3, trials=64)
    task, expected = Task(0, 0, 1, 64), PairSampler(run).run(Task(0, 0, 1, 64), None, signals())
    monkeypatch.setattr(pair_cuda, "FILL", 63 / 132)
    device = Emulated(compiled)
    assert equal(expected, PairCudaSampler(run, device).run(task, None, signals()))
    assert "sum_chunks" not in device.names
    monkeypatch.setattr(pair_cuda, "FILL", 64 / 132)
    of_trial = 4 * 3 * 16 * 9
    for room, turns in ((64 * of_trial, 1), (64 * of_trial - 1, 2), (20 * of_trial, 4), (1, 64)):
        monkeypatch.setattr(pair_cuda, "SUMS_BYTES", room)
        device = Emulated(compiled)
        assert equal(expected, PairCudaSampler(run, device).run(task, None, signals()))
        assert device.names.count("sum_chunks") == 3 * turns


# --- the order of summation ---------------------------------------------------------------------


def sums_of_all_sizes(chunks: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Sums so different that their order shows in float64, and packed counts."""
    random = np.random.default_rng(chunks)
    exponents = random.integers(-60, 60, (2, chunks, 128))
    sums = np.ldexp(random.standard_normal((2, chunks, 128)), exponents).astype(np.float32)
    bytes_ = random.integers(0, 33, (3, 2, chunks, 16))
    return sums, (bytes_[0] | bytes_[1] << 8 | bytes_[2] << 16).astype(np.int32)


def folds_alike(device: Emulated, chunks: int) -> bool:
    sums, counts = sums_of_all_sizes(chunks)
    made, expected = np.full((2, TOTALS), 7.0), np.empty((2, TOTALS))
    device.launch(pair_wide_kernels.fold_chunks, 22, 128, 512 * chunks - 1, sums, counts, made)
    for trial in range(2):
        pair.fold_range(sums[trial], counts[trial], expected[trial])
    return made.tobytes() == expected.tobytes()


@both_orders
def test_chunks_are_added_in_the_order_of_the_cpu(compiled: Compiled, reverse: bool) -> None:
    for chunks in (1, 7, 8, 9, 17, 137):
        assert folds_alike(Emulated(compiled, reverse=reverse), chunks)
    assert folds_alike(FromSource(reverse=reverse), 17)


FAULTS = {
    "chunks of a slot from the last on": (
        "sums[place, chunk, at]",
        "sums[place, _u32(chunks - U_ONE - chunk), at]",
    ),
    "a slot of neighbours": (
        "            chunk = _u32(chunk + U_SLOTS)\n    else:",
        "            chunk = _u32(chunk + U_SLOTS + U_SLOTS)\n    else:",
    ),
    "lanes from the last on": (
        "total += parts[lane]",
        "total += parts[_u32(U_LANES - U_ONE - lane)]",
    ),
    "slots not added": ("fold_slots(thread, parts)", "pass"),
    "the counts of the first signal twice": (
        "_u32(which - U_SUMS) * U_BITS",
        "_u32(min(which - U_SUMS, U_ONE) * U_BITS)",
    ),
}


@pytest.mark.parametrize("which", FAULTS)
def test_another_order_of_chunks_is_found(which: str, tmp_path: Path) -> None:
    module = kernel_with(*FAULTS[which], tmp_path, pair_wide_kernels)
    assert not folds_alike(FromSource(instead=module), 17)


@pytest.mark.parametrize(
    ("found", "put"),
    [
        ("_u32(_u32(width) - chunk * U_CHUNK)", "_u32(U_CHUNK)"),
        ("_u64(_u64(first_trial) + _u64(place))", "_u64(first_trial)"),
        ("_u64(layer) + _u64(U_ONE)", "_u64(layer)"),
        ("_u32(chunk * U_GROUPS + lane)", "_u32(chunk * U_LANES + lane)"),
    ],
    ids=["a full last chunk", "one trial twice", "the layer from 0", "other groups"],
)
def test_other_nodes_are_found(found: str, put: str, tmp_path: Path) -> None:
    module = kernel_with(found, put, tmp_path, pair_wide_kernels)
    device: Any = FromSource(instead=module)
    assert not same(device, one_point(1030, 1.0, depth=1))


@pytest.mark.parametrize("name", ["sum_chunks", "fold_chunks", "finish_wide"])
def test_each_barrier_is_needed(name: str, compiled: Compiled, all_ptx: AllPtx) -> None:
    """Without any one of them the bytes are wrong, in one order of the threads at least."""
    faulty = without_each_barrier(all_ptx[9, 0][name])
    assert len(faulty) == {"sum_chunks": 1, "fold_chunks": 2, "finish_wide": 3}[name]
    for program in faulty:
        devices = [Emulated(compiled | {name: program}, reverse=order) for order in (False, True)]
        assert not all(same(device, one_point(4096, 1.0)) for device in devices)
