"""What the compiled kernel costs: registers, memory, instructions of the loop over nodes."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from numba import njit, types

from simcore.numerics import rng
from simcore.sampling.cuda import statistics_kernels as moment_kernels
from tests.emulator import probes
from tests.emulator.conftest import CAPABILITIES, AllPtx
from tests.emulator.kernels import KERNELS, kernel, signature
from tests.emulator.machine_code import Loop, drawing_loop, drawing_loops
from tests.emulator.mutants import kernel_with, sums_with
from tests.emulator.ptx_program import assemble, compile_ptx

pytestmark = pytest.mark.xdist_group("gpu")

u32, u64, f32 = types.uint32, types.uint64, types.float32
GENERATOR = (u32, u64, u64, u64, u64, f32[:, ::1])
INNER_LOOP = (u32, u64, u64, u64, u64, f32, f32, f32[:, ::1])

GENERATOR_BUDGET, LOOP_BUDGET = 92, 114
KERNEL_BUDGET = {"advance": 121, "sum_chunks": 119}
"""Instructions per node, of the generator and with the sums: those of docs/gpu.md, and a few."""

LARGER = {"follow": (78, 1216), "and_back": (108, 0), "finish_wide": (66, 0)}
"""Registers and bytes of stack of kernels with more: arrays of a thread's own, two passes."""

ROOT = Path(__file__).parents[2]

each_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids=["cc80", "cc90"])


def bare_products(ptx: str) -> list[str]:
    """Float products that an assembler may fuse with a sum."""
    return re.findall(r"\bmul\.f(?:32|64)\b.*", ptx)


def loop_of(kernel: Any, signature: Any, capability: tuple[int, int], folder: Path) -> Loop:
    return drawing_loop(assemble(compile_ptx(kernel, signature, capability), folder)[1])


def loop_is_sound(loop: Loop) -> bool:
    """Whether all of Philox's products are wide ones, and nothing is double or divided."""
    return loop.wide_products >= 20 and loop.float64 == 0 and loop.divisions == 0


@each_capability
@pytest.mark.parametrize("name", KERNELS)
def test_what_a_kernel_takes(
    name: str, capability: tuple[int, int], all_ptx: AllPtx, tmp_path: Path
) -> None:
    taken, _ = assemble(all_ptx[capability][name], tmp_path)
    registers, stack = LARGER.get(name, (64, 0))
    assert taken.spills == 0
    assert taken.stack <= stack
    assert taken.registers <= registers
    assert taken.shared <= (9 if name in ("advance", "there", "and_back") else 1) * 1024


@each_capability
@pytest.mark.parametrize("name", KERNELS)
def test_nothing_in_a_kernel_is_inexact(
    name: str, capability: tuple[int, int], all_ptx: AllPtx
) -> None:
    ptx = all_ptx[capability][name]
    assert not re.search(r"\.(approx|ftz|full)\b", ptx)
    assert bare_products(ptx) == []
    assert "call" not in ptx


@pytest.mark.parametrize(
    "name", [n for n in KERNELS if "statistics_kernels" in kernel(n).__module__]
)
def test_statistics_fuse_nothing(name: str, all_ptx: AllPtx) -> None:
    assert all("fma.rn.f64" not in ptx[name] for ptx in all_ptx.values())


def test_a_product_that_may_be_fused_in_statistics_is_noticed(tmp_path: Path) -> None:
    nothing = "THREADS = 128"
    worse = kernel_with(nothing, nothing, tmp_path, moment_kernels, others=["add_square"])
    square = lambda m2, x, mean: m2 + (x - mean) * (x - mean)  # noqa: E731
    worse.add_square = njit(square, inline="always")
    assert "fma.rn.f64" in compile_ptx(worse.collect, signature("collect"), (9, 0))


@pytest.mark.parametrize("name", KERNELS)
def test_what_runs_is_what_is_tested(name: str) -> None:
    """A GPU would run other code if it were optimised again when it is linked."""
    options = kernel(name).targetoptions
    assert options["lto"] is False
    assert not options["fastmath"]


@each_capability
def test_the_loop_over_nodes(capability: tuple[int, int], tmp_path: Path) -> None:
    alone = loop_of(probes.generator, GENERATOR, capability, tmp_path)
    whole = loop_of(probes.inner_loop, INNER_LOOP, capability, tmp_path)
    assert loop_is_sound(alone)
    assert loop_is_sound(whole)
    assert alone.per_node <= GENERATOR_BUDGET
    assert whole.per_node <= LOOP_BUDGET


@each_capability
@pytest.mark.parametrize("name", KERNEL_BUDGET)
def test_the_loop_within_a_kernel(
    name: str, capability: tuple[int, int], all_ptx: AllPtx, tmp_path: Path
) -> None:
    """That of wide layers; narrow ones have another, in float64."""
    _, code = assemble(all_ptx[capability][name], tmp_path)
    (loop,) = (loop for loop in drawing_loops(code) if not loop.float64)
    assert loop_is_sound(loop)
    assert loop.per_node <= KERNEL_BUDGET[name]


@pytest.fixture
def gpu_work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `bench/gpu.py` times."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("gpu_work")


def test_the_static_limit_is_that_of_this_loop(
    gpu_work: Any, all_ptx: AllPtx, tmp_path: Path
) -> None:
    _, code = assemble(all_ptx[9, 0]["advance"], tmp_path)
    (loop,) = (loop for loop in drawing_loops(code) if not loop.float64)
    assert loop.per_node == gpu_work.INSTRUCTIONS
    page = (ROOT / "docs/gpu.md").read_text("utf-8")
    assert f"{loop.per_node:g} (9.0: {len(loop.opcodes)} in a pass of two nodes)" in page


def test_normals_alone_are_compiled_as_the_kernel(gpu_work: Any) -> None:
    assert gpu_work.normals_kernel().targetoptions == kernel("advance").targetoptions


MUTANTS = {
    "a float64 constant": ("t = times(scale, z2)", "t = _f32(scale * z2 * 0.1)"),
    "a division": ("t = times(scale, z2)", "t = times(scale, _f32(z2 / z1))"),
}


@pytest.mark.parametrize("which", MUTANTS)
def test_a_worse_loop_is_noticed(which: str, tmp_path: Path) -> None:
    worse = sums_with(*MUTANTS[which], tmp_path)
    namespace = {**probes.inner_loop.py_func.__globals__, "lane_chunk": worse.lane_chunk}
    assert not loop_is_sound(_loop_in(namespace, tmp_path))


def test_a_lost_wide_product_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a product of 64 bits with one that is cut to 32, which compilers don't recognise."""
    plain = njit(lambda word, factor: probes._u64(probes._u64(word & rng.LOW) * factor))
    fresh = {
        name: njit(getattr(rng, name).py_func, inline="always") for name in ("_round", "philox")
    }
    monkeypatch.setattr(rng, "wide_product", plain)
    for name, function in fresh.items():
        monkeypatch.setattr(rng, name, function)
    worse = sums_with("_f32, _i32 =", "_f32, _i32 =", tmp_path, ["philox"])
    namespace = {**probes.inner_loop.py_func.__globals__, "lane_chunk": worse.lane_chunk}
    assert not loop_is_sound(_loop_in(namespace, tmp_path))


def test_a_product_that_may_be_fused_is_noticed(tmp_path: Path) -> None:
    worse = sums_with("p = times(cotangent, z1)", "p = cotangent * z1", tmp_path)
    namespace = {**probes.inner_loop.py_func.__globals__, "lane_chunk": worse.lane_chunk}
    ptx = compile_ptx(_kernel_in(namespace), INNER_LOOP, (9, 0))
    sound = compile_ptx(probes.inner_loop, INNER_LOOP, (9, 0))
    assert bare_products(sound) == []
    assert bare_products(ptx) or ptx.count("fma.rn.f32") > sound.count("fma.rn.f32")


def test_fast_math_is_noticed(tmp_path: Path) -> None:
    ptx = compile_ptx(probes.inner_loop, INNER_LOOP, (9, 0), fastmath=True)
    assert re.search(r"\.(approx|ftz|full)\b", ptx)


def _kernel_in(namespace: dict[str, Any]) -> Any:
    function = FunctionType(probes.inner_loop.py_func.__code__, namespace, "inner_loop")
    return SimpleNamespace(py_func=function, targetoptions={})


def _loop_in(namespace: dict[str, Any], folder: Path) -> Loop:
    return loop_of(_kernel_in(namespace), INNER_LOOP, (9, 0), folder)
