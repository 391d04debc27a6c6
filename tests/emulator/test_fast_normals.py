"""Normals by a GPU's own approximations: what they cost, how far they are off, what comes of that.

Compiled kernels run on the CPU, where approximate instructions err by nothing, by all that PTX
allows in one direction or the other, or by a random share of it (`approximations.h`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from simcore.errors import InputError
from simcore.numerics.rng import ROOM, Stream, fill_normals, fill_words
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.pair import cpu_kernels as pair
from simcore.sampling.pair import cuda as pair_cuda
from simcore.sampling.pair.cpu import PairSampler
from simcore.sampling.pair.cuda import PairCudaSampler
from simcore.sampling.pair.cuda_kernels import lane_chunk
from simcore.sampling.pair.fast_normals import fast_normal_pair
from simcore.statistics.blocks import Task
from tests.emulator import probes
from tests.emulator.conftest import AllPtx, Capability
from tests.emulator.emulated import Compiled, Emulated, equal, signals
from tests.emulator.kernels import FAST_KERNELS
from tests.emulator.launches import one_point
from tests.emulator.machine_code import Loop, drawing_loop, drawing_loops
from tests.emulator.ptx_program import Program, assemble, compile_ptx, programs
from tests.emulator.test_pair_budget import INNER_LOOP
from tests.laws.two_samples import worst
from tests.numerics.randomness import oracle
from tests.support.pair_driver import walk

pytestmark = pytest.mark.xdist_group("gpu")

Floats = npt.NDArray[np.float64]
INSTRUCTIONS = {"advance": 81, "sum_chunks": 78}
EXACT_INSTRUCTIONS = {"advance": 121, "sum_chunks": 119}
INNER_LOOP_INSTRUCTIONS = 69
"""Of a node, at most, in the kernels and in the loop alone: those of docs/gpu.md, and a few."""

NONE, MOST, LEAST, RANDOM = 0.0, 1.0, -1.0, 2.0
"""Shares of the errors that PTX allows."""

APPROXIMATE = {"lg2", "sqrt", "sin", "cos"}
each_capability = pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["cc80", "cc90"])


def fast(run: Run) -> Run:
    return Run.from_config(run.config() | {"device": "cuda", "fast_normals": True})


def rows_on(
    device: Emulated, run: Run, trials: int, *, first_trial: int = 0, errors: float = RANDOM
) -> Floats:
    """Return the observables of trials on a device whose instructions err so."""
    device.compiled["advance"].err(errors)
    sampler = PairCudaSampler(fast(run), device)
    states, rows = sampler.start(0, first_trial, trials), np.empty((trials, run.depth, len(NAMES)))
    sampler.make_rows(0, first_trial, 0, states, rows)
    return rows


# --- cost ----------------------------------------------------------------------------------------


@each_capability
@pytest.mark.parametrize("name", FAST_KERNELS)
def test_what_a_kernel_takes(
    name: str, capability: Capability, fast_ptx: AllPtx, tmp_path: Path
) -> None:
    """As much as the exact ones at most, and nothing inexact but the four approximations."""
    ptx = fast_ptx[capability][name]
    found = set(re.findall(r"\b(\w+)\.approx\.ftz\.f32\b", ptx))
    assert found == (set() if name in ("fold_chunks", "finish_wide") else APPROXIMATE)
    rest = re.sub(r"\b\w+\.approx\.ftz\.f32\b", "", ptx)
    assert not re.search(r"\.(approx|ftz|full)\b|\bdiv\.\w+\.f32\b|\bmul\.f32\b|\bcall\b", rest)
    taken, code = assemble(ptx, capability, tmp_path)
    assert (taken.spills, taken.stack) == (0, 0)
    assert taken.registers <= 64
    assert taken.shared <= (9 if name == "advance" else 1) * 1024
    if name in INSTRUCTIONS:
        loop = wide_loop(code)
        assert is_sound(loop, INSTRUCTIONS[name])
        assert loop.count("MUFU") == 8


def wide_loop(code: Path) -> Loop:
    """Return the loop over nodes of wide layers; narrow ones have another, in float64."""
    (loop,) = (loop for loop in drawing_loops(code) if not loop.float64)
    return loop


def is_sound(loop: Loop, instructions: int) -> bool:
    return loop.per_node <= instructions and loop.divisions == 0 and loop.wide_products == 20


@each_capability
@pytest.mark.parametrize("name", EXACT_INSTRUCTIONS)
def test_what_the_exact_kernels_take(
    name: str, capability: Capability, all_ptx: AllPtx, tmp_path: Path
) -> None:
    """In the kernels themselves, for comparison."""
    _, code = assemble(all_ptx[capability][name], capability, tmp_path)
    assert is_sound(wide_loop(code), EXACT_INSTRUCTIONS[name])


@each_capability
def test_the_loop_alone(capability: Capability, tmp_path: Path) -> None:
    """As tests/emulator/test_pair_budget.py has it of the exact one; two products leave the
    loop."""
    exact: Any = lane_chunk
    chunk = njit(lambda *given: exact(*given, True), forceinline=True)
    namespace = {**probes.inner_loop.py_func.__globals__, "lane_chunk": chunk}
    function = FunctionType(probes.inner_loop.py_func.__code__, namespace, "inner_loop")
    kernel = SimpleNamespace(py_func=function, targetoptions={})
    _, code = assemble(compile_ptx(kernel, INNER_LOOP, capability), capability, tmp_path)
    loop = drawing_loop(code)
    assert loop.per_node <= INNER_LOOP_INSTRUCTIONS
    assert (loop.float64, loop.divisions, loop.wide_products) == (0, 0, 18)


# --- the normals ---------------------------------------------------------------------------------


def allowed(radius: Floats) -> Floats:
    """Return how far a normal may be off, by its radius: the bound of `fast_normals`."""
    return 1.2e-6 * radius + np.minimum(3.4e-7 / np.maximum(radius, 1e-30), 5.8e-4)


def normals(program: Program, words: npt.NDArray[np.uint32], errors: float) -> Floats:
    """Return the two normals of each column of words, shape (2, words)."""
    out = np.empty(words.shape, dtype=np.float32)
    program.err(errors)
    program.launch(-(-words.shape[1] // 128), 128, words, out)
    return out.astype(np.float64)


def some_words() -> npt.NDArray[np.uint32]:
    """Return random words, some of radii next to 0 and of the largest, some of edges of angles."""
    random = np.random.default_rng(20)
    words = random.integers(0, 2**32, (2, 4 * 2**14), dtype=np.uint32)
    near = np.arange(2**14, dtype=np.uint32)
    words[0, 2**14 : 2**15] = ~near
    words[0, 2**15 : 3 * 2**14] = ~(near << np.uint32(12))
    words[0, 3 * 2**14 :] = near
    words[1, ::7] = words[1, ::7] & np.uint32(0xE0000003)
    return words


WORDS = some_words()


def is_within(program: Program, errors: float) -> bool:
    made = normals(program, WORDS, errors)
    expected = oracle.normal_pairs(*WORDS).astype(np.float64)
    return bool((np.abs(made - expected) <= allowed(np.hypot(*expected))).all())


@njit
def _on_the_cpu(words: Any, out: Any) -> None:  # pragma: no cover - compiled
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = fast_normal_pair(words[0, i], words[1, i])


def test_the_formula_with_the_functions_of_a_cpu() -> None:
    made, expected = np.empty(WORDS.shape, np.float32), oracle.normal_pairs(*WORDS)
    _on_the_cpu(WORDS, made)
    off = np.abs(made.astype(np.float64) - expected.astype(np.float64))
    assert off.max() < 1e-6  # 8 ulp of 1 are 1e-6, and these are of numbers below 6.7


@pytest.mark.parametrize("errors", [NONE, MOST, LEAST, RANDOM])
def test_normals_are_within_the_bound(fast_programs: Compiled, errors: float) -> None:
    assert is_within(fast_programs["fast_normals"], errors)


def test_the_bound_is_no_wider_than_it_need_be(fast_programs: Compiled) -> None:
    made = normals(fast_programs["fast_normals"], WORDS, MOST)
    expected = oracle.normal_pairs(*WORDS).astype(np.float64)
    radius = np.hypot(*expected)
    share = np.abs(made - expected) / allowed(radius)
    assert share[:, radius < 1e-3].max() > 0.9
    assert share[:, radius > 1.2].max() > 0.6


@pytest.mark.parametrize("errors", [MOST, LEAST, RANDOM])
def test_mean_squares(fast_programs: Compiled, errors: float) -> None:
    """Shifted by 2e-6 at most where all errors have one sign; random ones nearly cancel."""
    words = np.random.default_rng(5).integers(0, 2**32, (2, 2**15), dtype=np.uint32)
    made = normals(fast_programs["fast_normals"], words, errors)
    exact = oracle.normal_pairs(*words).astype(np.float64)
    shift = (made**2).mean() / (exact**2).mean() - 1.0
    if errors == RANDOM:
        assert abs(shift) < 3e-8  # measured 4e-9 to 8e-9 with other words
    else:
        assert 1e-6 < errors * shift < 2e-6


def test_normals_are_those_of_the_same_words(fast_programs: Compiled) -> None:
    """Against what the exact sampler draws, not only against the formula."""
    key = (np.uint64(0x243F6A88), np.uint64(0x85A308D3))
    for layer in range(1, 9):
        words, exact = np.empty((2, 4, ROOM), dtype=np.uint32)
        fill_words(words, 0, ROOM, np.uint64(Stream.PAIR), 0, 3, layer, *key)
        fill_normals(exact, 0, ROOM // 16, np.uint64(Stream.PAIR), 0, 3, layer, *key)
        for two in (slice(0, 2), slice(2, 4)):
            z = exact[two].view(np.float32).astype(np.float64)
            made = normals(fast_programs["fast_normals"], words[two].copy(), RANDOM)
            off = np.abs(made - z) - 5 * np.spacing(np.abs(z).astype(np.float32))
            assert (off <= allowed(np.hypot(*z))).all()


FAULTS = {
    "a logarithm above 0": (r"abs\.f32\s+(%f\d+), (%f\d+);", r"mov.f32 \1, \2;", MOST),
    "the sine for the cosine": (r"cos\.approx", "sin.approx", NONE),
    "the square of the radius": (r"sqrt\.approx\.ftz\.f32", "mov.f32", NONE),
    "another logarithm": (r"0f3FB17218", "0f3FB17258", NONE),
}


@pytest.fixture(scope="module")
def faulty(fast_ptx: AllPtx, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """The kernel of normals with a fault each."""
    sound = fast_ptx[9, 0]["fast_normals"]
    wrong = {f"fault_{i}": re.sub(a, b, sound) for i, (a, b, _) in enumerate(FAULTS.values())}
    assert sound not in wrong.values()
    made = programs(wrong, tmp_path_factory.mktemp("faulty"), approximations=True)
    return dict(zip(FAULTS, made.values(), strict=True))


@pytest.mark.parametrize("which", FAULTS)
def test_a_fault_is_found(which: str, faulty: dict[str, Program]) -> None:
    assert not is_within(faulty[which], FAULTS[which][2])


# --- what comes of them --------------------------------------------------------------------------

PAIRED = {
    "narrow": one_point(16, 0.0, depth=10),
    "k and bias": one_point(100, 1.0, depth=20, sigma_b=(0.3,)),
    "chunks": one_point(1100, math.inf, depth=6),
    "close": one_point(70, -0.5, depth=10, distance=(1e-20,)),
}


@pytest.mark.parametrize("which", PAIRED)
@pytest.mark.parametrize("errors", [MOST, LEAST, RANDOM])
def test_trajectories_follow_the_exact_ones(
    which: str, errors: float, fast_programs: Compiled
) -> None:
    """The same networks: logarithms of q and of 1 − c are off by 2e-6 a layer, in the median.

    Not more of a network can be said: where both signals are close, a node between them that falls
    on the other side of 0 changes 1 − c by what it contributes.
    """
    run, trials = PAIRED[which], 60
    exact = walk(run, trials).rows
    made = rows_on(Emulated(fast_programs), run, trials, errors=errors)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(exact))
    off = made - exact
    layer = np.arange(1, run.depth + 1)
    share = 0.25 if errors == RANDOM else 1.0
    for name in ("log_q1", "log_q2", "log_distance", "correlation"):
        typical = np.nanmedian(off[:, :, NAMES.index(name)], axis=0)
        assert (np.abs(typical) < share * 2e-6 * layer).all(), name
    for name in ("inactive1", "inactive2", "inactive_both"):
        assert np.abs(off[:, :, NAMES.index(name)]).mean() < 1e-5, name
    assert np.abs(off).max() > 0.0


def test_neither_the_order_of_threads_nor_who_sums_shows(
    fast_programs: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of a launch stay, for trials beyond 2³², narrow layers between wide ones."""
    run, first_trial = Run(depth=4, layer_widths=(5000, 63, 700, 17), ensemble="he"), 2**32 - 1
    made = []
    for wide in (2**16, 512):
        monkeypatch.setattr(pair_cuda, "WIDE", wide)
        for reverse in (False, True):
            device = Emulated(fast_programs, reverse=reverse)
            made.append(rows_on(device, run, 2, first_trial=first_trial, errors=LEAST).tobytes())
            assert device.names.count("sum_chunks") == (2 if wide == 512 else 0)
    assert len(set(made)) == 1


def test_the_law_of_networks(fast_programs: Compiled) -> None:
    """Two-sample tests of every observable against other networks of the exact sampler.

    A false alarm in 1e3, all widths together; tried on 20 seeds.
    """
    for width in (3, 17, 70):
        run = one_point(width, 1.0, depth=6, sigma_b=(0.1,))
        other = one_point(width, 1.0, depth=6, sigma_b=(0.1,), seed=1)
        samples = [rows_on(Emulated(fast_programs), run, 1000), walk(other, 1000).rows]
        a, b = ({name: rows[..., i] for i, name in enumerate(NAMES)} for rows in samples)
        p, where = worst(a, b, (1, 6))
        assert p > 1e-3 / 3, (width, where)


# --- runs ----------------------------------------------------------------------------------------


class Recording(Emulated):
    """Notes what kind of physics each kernel is launched with."""

    def __init__(self, compiled: Compiled) -> None:
        super().__init__(compiled)
        self.kinds: dict[str, set[type]] = {}

    def execute(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        if isinstance(arguments[0], pair.Physics):
            kinds = self.kinds.setdefault(kernel.py_func.__name__, set())
            kinds.add(type(arguments[0]))
        super().execute(kernel, blocks, threads, *arguments)


def test_a_run_draws_as_it_says(
    fast_programs: Compiled, libraries: Callable[[Capability], Compiled]
) -> None:
    """The type of the physics chooses the kernel, also where it is compiled beforehand."""
    run, task = one_point(70, 1.0, depth=4, trials=64), Task(0, 0, 1, 64)
    expected = PairSampler(run).run(task, None, signals())
    device = Recording(libraries((9, 0)) | fast_programs)
    sampler = PairCudaSampler(fast(run), device)
    sampler.prepare()
    made = sampler.run(task, None, signals())
    kinds = {name: {pair.FastPhysics} for name in ("advance", "sum_chunks", "finish_wide")}
    assert device.kinds == kinds
    assert not equal(made, expected)
    np.testing.assert_allclose(made.moments.mean, expected.moments.mean, rtol=1e-4, atol=1e-6)


def test_it_is_in_the_configuration_and_in_no_key() -> None:
    run = one_point(70, 1.0, device="cuda")
    assert fast(run).config()["fast_normals"] is True
    assert Run.from_config(fast(run).config()) == fast(run)
    assert fast(run).digest() != run.digest()
    assert "fast_normals" not in run.config()
    assert fast(run).points[0].key == run.points[0].key


@pytest.mark.parametrize(
    "settings",
    [
        {"ensemble": "rai"},
        {"ensemble": "raai", "k": (1.0,)},
        {"sampler": "dense"},
        {"weights": "uniform"},
        {"shared_network": True, "correlation": (0.1, 0.2)},
    ],
    ids=str,
)
def test_it_is_refused_where_there_is_no_such_kernel(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"goes with pairs of he and correlated .* Leave it out"):
        Run(width=(8,), depth=2, device="cuda", fast_normals=True, **settings)


def test_it_is_refused_on_the_cpu() -> None:
    with pytest.raises(InputError, match=r"the device is cpu\. Name the device cuda"):
        Run(width=(8,), depth=2, fast_normals=True)
