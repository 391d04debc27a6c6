"""Faults in the kernel, each put in on purpose: the comparison of bytes finds them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simcore.runs.run import Run
from simcore.sampling.pair import cuda_kernels as pair_kernels
from tests.emulator.kernel_simulator import BarrierError, launch
from tests.emulator.launches import Launch, device_walk, from_ptx, from_source, one_point, same
from tests.emulator.mutants import kernel_with, sums_with, without_each_barrier
from tests.emulator.ptx_program import Program
from tests.emulator.ptx_translation import translate

pytestmark = pytest.mark.xdist_group("gpu")

RUNS = [one_point(5, 1.0), one_point(4096, 1.0)]


def passes(launched: Launch, run: Run) -> bool:
    """Whether the bytes are right; threads that wait at different barriers are wrong."""
    try:
        return same(launched, run)
    except (BarrierError, AssertionError):
        return False


FAULTS = {
    "swapped counter words": ("ROW, trial_word, layer_word", "trial_word, ROW, layer_word"),
    "swapped key words": ("layer_word, key0, key1\n    )", "layer_word, key1, key0\n    )"),
    "the stream left out": ("counter_word0(group, PAIR_STREAM)", "_u64(group)"),
    "a longer float32 sum": (
        "U_CHUNK, U_GROUPS, U_ROUND = _u32(CHUNK), _u32(GROUPS)",
        "U_CHUNK, U_GROUPS, U_ROUND = _u32(2 * CHUNK), _u32(2 * GROUPS)",
    ),
    "a slot left out": ("while other < U_SLOTS", "while other < U_SLOTS - U_ONE"),
    "the second node first": (
        "s = add_node(s, z1, z2, aim)\n        s = add_node(s, z3, z4,",
        "s = add_node(s, z3, z4, aim)\n        s = add_node(s, z1, z2,",
    ),
    "a warp that is not counted": ("while other < U_WARPS", "while other < U_WARPS - U_ONE"),
    "the layer numbered from 0": ("_u64(layer) + _u64(U_ONE)", "_u64(layer)"),
}


NARROW = {
    "lanes in another order": (
        "parts[_u32(thread * U_LANES + lane)]",
        "parts[_u32(thread * U_LANES + (min(U_LANES, width) - U_ONE - lane))]",
    ),
    "the second node twice": (
        "np.float64(z1), np.float64(z2), aim)\n",
        "np.float64(z3), np.float64(z4), aim)\n",
    ),
}


@pytest.mark.parametrize("which", NARROW)
def test_a_fault_in_narrow_layers_is_found(which: str, tmp_path: Path) -> None:
    module = kernel_with(*NARROW[which], tmp_path)
    assert not passes(from_source(module.advance), one_point(63, 1.0))


def test_the_order_of_slots_does_not_show(tmp_path: Path) -> None:
    """Sums of float32 of like size are exact in float64: there another order gives these bytes."""
    module = kernel_with("at + other * U_LANES", "at + (U_SLOTS - other) * U_LANES", tmp_path)
    assert passes(from_source(module.advance), RUNS[1])


@pytest.mark.parametrize("which", FAULTS)
def test_a_fault_in_the_source_is_found(which: str, tmp_path: Path) -> None:
    module = kernel_with(*FAULTS[which], tmp_path)
    assert not passes(from_source(module.advance), RUNS[1])


def test_the_kernel_without_a_fault_passes(tmp_path: Path) -> None:
    module = kernel_with("ROW, trial_word", "ROW, trial_word", tmp_path)
    assert all(passes(from_source(module.advance), run) for run in RUNS)


def test_a_product_that_is_not_fused_is_found(tmp_path: Path) -> None:
    module = sums_with("fma32(r, x, s[3])", "_f32(s[3] + _f32(r * x))", tmp_path)
    assert not passes(from_source(module.advance), RUNS[1])


@pytest.mark.parametrize("which", ["syncthreads", "shfl_down_sync"])
def test_a_source_without_its_barriers_is_found(which: str) -> None:
    def found(run: Run, *, reverse: bool) -> bool:
        try:
            launched = from_source(pair_kernels.advance, reverse=reverse, without=which)
            return not same(launched, run)
        except (BarrierError, TypeError):
            return True

    assert any(found(run, reverse=order) for run in RUNS for order in (False, True))


def test_each_barrier_of_the_compiled_kernel_is_needed(
    kernel_ptx: dict[tuple[int, int], str],
) -> None:
    """Without any one of them the bytes are wrong, in one order of the threads at least."""
    needless = []
    for number, program in enumerate(without_each_barrier(kernel_ptx[9, 0])):
        orders = (from_ptx(program), from_ptx(program, reverse=True))
        if all(passes(launched, run) for launched in orders for run in RUNS):
            needless.append(number)
    assert number == 7
    assert needless == []


def test_a_counter_word_swapped_in_the_compiled_kernel_is_found(
    kernel_ptx: dict[tuple[int, int], str],
) -> None:
    """The two products of a round of Philox have each other's factor."""
    ptx = kernel_ptx[9, 0]
    factors = re.findall(r"mov\.u32\s+(%r\d+), -(?:845247145|766435501);", ptx)
    pairs = {"-845247145": "-766435501", "-766435501": "-845247145"}
    swapped = re.sub("|".join(pairs), lambda match: pairs[match[0]], ptx)
    assert swapped != ptx, factors
    assert not passes(from_ptx(Program.of(swapped)), RUNS[1])


def test_waiting_at_different_barriers_is_an_error() -> None:
    def kernel(out: list[int]) -> None:
        if cuda.threadIdx.x < 3:  # type: ignore[name-defined]  # noqa: F821
            cuda.syncthreads()  # type: ignore[name-defined]  # noqa: F821
        else:
            cuda.syncwarp()  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(BarrierError, match="warp 0"):
        launch(kernel, 1, 32, [])


def test_shared_memory_is_not_zero_at_first(tmp_path: Path) -> None:
    """A kernel that does not load its states gives NaN, not the right bytes by chance."""
    found, put = "state[thread] = points.starts[point, thread]\n", "pass\n"
    module = kernel_with(found, put, tmp_path)
    made = device_walk(from_source(module.advance), RUNS[0], 1)
    assert not passes(from_source(module.advance), RUNS[0])
    assert not (made.rows == 0.0).all()


@pytest.mark.parametrize(
    "instruction",
    ["sqrt.approx.f32 %f1, %f2", "add.ftz.f32 %f1, %f2, %f3", "ex2.f32 %f1, %f2"],
)
def test_the_translation_guesses_nothing(instruction: str) -> None:
    ptx = f".visible .entry k(\n.param .u64 a\n)\n{{\n.reg .f32 %f<4>;\n{instruction};\nret;\n}}"
    with pytest.raises(NotImplementedError):
        translate(ptx)
