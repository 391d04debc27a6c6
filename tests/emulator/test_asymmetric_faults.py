"""Faults in the kernels of `rai` and `raai`, each put in on purpose: the bytes show them all."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from numba import njit

from simcore.numerics.arithmetic import fma64
from simcore.numerics.lanes import LANES
from simcore.runs.run import Run
from simcore.sampling.asymmetric import cuda_inputs, cuda_kernels
from simcore.sampling.pair import cuda_kernels as pair_kernels
from tests.emulator.asymmetric_launches import Launch, from_ptx, from_source, one_point, same
from tests.emulator.kernel_simulator import BarrierError
from tests.emulator.ptx_program import Program

pytestmark = pytest.mark.xdist_group("gpu")

RUNS = [
    one_point(3, 1.0, depth=8, distance=(1e-20,), sigma_b=(0.0,)),
    one_point(100, 0.0, depth=4, distance=(1e-20,), sigma_b=(0.0,)),
    one_point(4600, 0.0, depth=2, q0=(1e-12,), sigma_b=(0.0,)),
]
"""Few nodes; r summed anew; two rounds of chunks, and one bias that is most of h₁ and s."""


def passes(launched: Launch, run: Run) -> bool:
    """Whether the bytes are right; threads that wait at different barriers are wrong."""
    try:
        return same(launched, run, trials=1)
    except (BarrierError, AssertionError, ZeroDivisionError):
        return False


def barriers(function: Any) -> list[tuple[str, int]]:
    """Return the file and the lines of a function that wait for the block."""
    lines, first = inspect.getsourcelines(function.py_func)
    file = function.py_func.__code__.co_filename
    return [(file, first + i) for i, line in enumerate(lines) if "cuda.syncthreads()" in line]


WAITING = {
    cuda_inputs.begin: 7,
    cuda_kernels.advance: 1,
    cuda_kernels._write_laws: 1,
    cuda_kernels._add_hazards: 4,
    cuda_kernels._draw_layer: 4,
    cuda_kernels._across: 2,
    cuda_kernels._observe: 1,
    cuda_kernels._move: 5,
}


@pytest.mark.parametrize(
    ("function", "count"), WAITING.items(), ids=[f.py_func.__name__ for f in WAITING]
)
def test_each_barrier_of_the_source_is_needed(function: Any, count: int) -> None:
    """Without any one of them the bytes are wrong, in one order of the threads at least."""
    lines = barriers(function)
    assert len(lines) == count
    needless = []
    for line in lines:
        orders = [from_source(reverse=order, without_line=line) for order in (False, True)]
        if all(passes(launched, run) for run in RUNS for launched in orders):
            needless.append(line)
    assert needless == []


@njit
def _slots_in_another_order(total: float, thread: Any, parts: Any) -> float:
    lanes, threads, slots = pair_kernels.U_LANES, pair_kernels.U_THREADS, pair_kernels.U_SLOTS
    at = thread // lanes * threads + thread % lanes
    for slot in range(slots):
        total += parts[at + (slots - 1 - slot) * lanes]
    return total


@njit
def _product_that_is_fused(lane: Any, n: Any, a: Any, b: Any) -> float:
    total = 0.0
    for at in range(lane, n, LANES):
        total = fma64(a[at], b[at], total)
    return total


@njit
def _squares_in_another_order(total: float, number: Any, parts: Any) -> float:
    for at in range(number):
        total = fma64(parts[number - 1 - at], parts[number - 1 - at], total)
    return total


WRONG = {
    "_add_slots": (cuda_kernels, _slots_in_another_order),
    "_lane_product": (cuda_inputs, _product_that_is_fused),
    "_add_squares": (cuda_kernels, _squares_in_another_order),
}


@pytest.mark.parametrize("which", WRONG)
def test_a_fault_in_the_source_is_found(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, wrong = WRONG[which]
    monkeypatch.setattr(module, which, wrong)
    assert not passes(from_source(), RUNS[2])


def test_the_kernels_without_a_fault_pass() -> None:
    assert all(passes(from_source(), run) for run in RUNS)


def test_a_barrier_left_out_of_the_compiled_kernel_is_found(
    asymmetric_ptx: dict[tuple[int, int], dict[str, str]],
    asymmetric_programs: dict[str, Program],
) -> None:
    """As an example that between rounds of chunks, once the slots are added."""
    number = 7
    found = list(re.finditer(r"\bbar\.sync[^;]*;", asymmetric_ptx[9, 0]["advance"]))
    assert len(found) == 18
    ptx = asymmetric_ptx[9, 0]["advance"]
    worse = Program.of(ptx[: found[number].start()] + ptx[found[number].end() :])
    programs = {**asymmetric_programs, "advance": worse}
    orders = [from_ptx(programs, reverse=order) for order in (False, True)]
    assert not all(passes(launched, RUNS[2]) for launched in orders)
