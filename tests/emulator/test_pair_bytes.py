"""The pair sampler's kernel gives the bytes of the CPU sampler: its source, and compiled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import types

from simcore.numerics.rng import ROOM, Stream, as_normal, fill_normals, fill_words
from simcore.physics.observables import NAMES, column
from simcore.runs.run import Run
from simcore.sampling.pair import cuda_kernels as pair_kernels
from tests.emulator import probes
from tests.emulator.conftest import CAPABILITIES, AllPtx
from tests.emulator.kernels import KERNELS, SLOPED_POINTS, kernel, signature
from tests.emulator.launches import device_walk, from_ptx, from_source, given_of, one_point, same
from tests.emulator.ptx_program import Program, compile_ptx, instructions
from tests.support.pair_driver import walk

pytestmark = pytest.mark.xdist_group("gpu")

WIDTHS = [1, 5, 511, 512, 4096, 70_000]
STRENGTHS = [-0.5, 0.0, 1.0, math.inf]
BIASES = [0.0, 0.3]
KEY = (np.uint64(0x243F6A88), np.uint64(0x85A308D3))

both_orders = pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])


@both_orders
@pytest.mark.parametrize("width", WIDTHS)
def test_the_source_with_real_barriers(width: int, reverse: bool) -> None:
    launched = from_source(pair_kernels.advance, reverse=reverse)
    for k in STRENGTHS:
        for sigma_b in BIASES:
            assert same(launched, one_point(width, k, sigma_b=(sigma_b,))), (k, sigma_b)


@both_orders
@pytest.mark.parametrize("width", [*WIDTHS, 2, 3, 17, 63, 64, 65, 513, 9000])
def test_the_compiled_kernel(program: Program, width: int, reverse: bool) -> None:
    launched = from_ptx(program, reverse=reverse)
    for k in STRENGTHS:
        for sigma_b in BIASES:
            assert same(launched, one_point(width, k, sigma_b=(sigma_b,))), (k, sigma_b)


@pytest.mark.parametrize("name", KERNELS)
def test_every_capability_has_the_same_ptx(name: str, all_ptx: AllPtx) -> None:
    """But for names; so that what runs here is what runs on each of them."""
    first, *others = (instructions(ptx[name]) for ptx in all_ptx.values())
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", ["advance", "sum_chunks", "collect"])
def test_an_h100_runs_the_ptx_of_its_compute_capability(name: str, all_ptx: AllPtx) -> None:
    """Numba compiles for 9.0a there, which may use more: the PTX is the same but for names."""
    general = all_ptx[9, 0][name]
    special = compile_ptx(kernel(name), signature(name), (9, 0, "a"))
    assert ".target sm_90a" in special
    assert instructions(special) == instructions(general)


SPECIAL = {
    "nearly parallel": one_point(200, -0.5, depth=30, distance=(1e-20,)),
    "parallel": one_point(200, 0.0, depth=5, distance=(0.0,)),
    "opposite": one_point(200, 1.0, depth=5, correlation=(-1.0,)),
    "dying": one_point(3, 0.0, depth=40),
    "dying, revived by the bias": one_point(3, 0.0, depth=40, sigma_w=(1.2,), sigma_b=(1e-3,)),
    "shrinking": one_point(32, 0.0, depth=300, sigma_w=(1e-3,)),
    "growing": one_point(100, 0.0, depth=60, sigma_w=(1e9,)),
    "widths of their own": Run(depth=6, layer_widths=(700, 5, 64, 63, 1100, 1), ensemble="he"),
}


@pytest.mark.parametrize("which", SPECIAL)
def test_where_layers_are_special(program: Program, which: str) -> None:
    """Powers of two apart, deaths, swapped signals, layers of many widths."""
    assert same(from_ptx(program), SPECIAL[which], trials=16)


@pytest.fixture(scope="module")
def sloped() -> Program:
    """The kernel of other activations than ReLU, compiled."""
    ptx = compile_ptx(
        kernel("advance"), (SLOPED_POINTS, *signature("advance")[1:]), CAPABILITIES[-1]
    )
    return Program.of(ptx)


@pytest.mark.parametrize("slopes", ["1,0.2", "1,-1", "0.5,0"])
def test_other_activations_than_relu(sloped: Program, slopes: str) -> None:
    source = from_source(pair_kernels.advance)
    for width, k, sigma_b in ((1, 0.0, 0.0), (2, math.inf, 0.0), (5, 1.0, 0.3), (600, -0.5, 0.0)):
        run = one_point(width, k, depth=6, sigma_b=(sigma_b,), slopes=slopes)
        assert same(from_ptx(sloped), run, trials=8), (width, k, sigma_b)
    assert same(source, run)


def test_the_special_layers_are_special() -> None:
    dying = walk(SPECIAL["dying"], 16)
    assert 0 < dying["dead_network1"][:, 4].sum() < 16
    assert (dying["dead_network1"] != dying["dead_network2"]).any()
    assert np.isnan(dying.rows[:, -1, column("correlation")]).any()
    assert walk(SPECIAL["nearly parallel"], 16)["distance"][:, -1].max() < 1e-18
    assert walk(SPECIAL["shrinking"], 16)["log_q1"][:, -1].max() < -1000.0


def test_trials_and_layers_beyond_32_and_16_bits(program: Program) -> None:
    launched = from_ptx(program)
    assert same(launched, one_point(100, 1.0), first_trial=2**32 - 1)
    assert same(launched, one_point(100, 1.0), first_trial=2**40 - 2)


def test_launches_go_on_where_others_ended(program: Program) -> None:
    """Layers 0 to 2 and then 3 to 6, from the states that the first launch has left."""
    run = one_point(130, 1.0, depth=7)
    whole = device_walk(from_ptx(program), run, 3)
    states, rows = walk(one_point(130, 1.0, depth=3), 3).states, np.empty((3, 4, len(NAMES)))
    program.launch(3, 128, *given_of(whole, 3), 3, 0, 4, states, rows)
    assert rows.tobytes() == np.ascontiguousarray(whole.rows[:, 3:]).tobytes()
    assert states.tobytes() == whole.states.tobytes()


@pytest.mark.parametrize("row", [0, 2**32 - 1])
def test_words_of_philox(row: int) -> None:
    u64, u32 = types.uint64, types.uint32
    ptx = compile_ptx(probes.words, (u64, u64, u64, u64, u64, u32[:, ::1]), CAPABILITIES[-1])
    out, expected = np.zeros((2, 4, 300), dtype=np.uint32)
    trial, layer = np.uint64(2**39 + 5), np.uint64(2**24 - 1)
    Program.of(ptx).launch(3, 128, trial, layer, np.uint64(row), *KEY, out)
    fill_words(expected, 0, 300, np.uint64(Stream.PAIR), row, trial, layer, *KEY)
    assert out.tobytes() == expected.tobytes()
    assert np.unique(out).size > 1190


def test_normals() -> None:
    u64 = types.uint64
    ptx = compile_ptx(probes.normals, (u64, u64, u64, u64, types.float32[:, ::1]), CAPABILITIES[-1])
    program = Program.of(ptx)
    for layer in range(1, 40):
        out, words = np.zeros((4, ROOM), dtype=np.float32), np.zeros((4, ROOM), dtype=np.uint32)
        program.launch(2, 128, np.uint64(7), np.uint64(layer), *KEY, out)
        fill_normals(words, 0, ROOM // 16, np.uint64(Stream.PAIR), 0, 7, layer, *KEY)
        assert out.tobytes() == words.tobytes()
    assert as_normal(words[0, 0]) == out[0, 0]
