"""What the compiled kernels of `rai` and `raai` cost: registers, memory, instructions of a node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cuda, types

from simcore.numerics.arithmetic import fma64
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import counter_word0, normal_pair, philox
from simcore.sampling.asymmetric import cuda_kernels as kernels
from simcore.sampling.asymmetric.nodes import (
    ASYMMETRIC_STREAM,
    READ_SLOPE,
    add_node,
    choices_of,
    of_activation,
    replaced_index,
    scales,
    usual_signals,
    weight,
)
from tests.emulator.asymmetric_launches import KERNELS
from tests.emulator.conftest import CAPABILITIES
from tests.emulator.machine_code import NODES, drawing_loop
from tests.emulator.ptx_program import assemble, compile_ptx

pytestmark = pytest.mark.xdist_group("gpu")

each_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids=["cc80", "cc90"])

REGISTERS = {"begin": 96, "advance": 72}
"""Five blocks of 128 threads, and seven, in the 65,536 registers of a multiprocessor."""

NODE_BUDGET, FLOAT64_BUDGET = 280, 48
"""Instructions per node, those of docs/gpu.md and a few; and how many are of double precision."""

f, u32, u64 = types.float64, types.uint32, types.uint64
USUAL_NODES = (u32, u32, u64, u64, u64, u64, f[::1], f[::1], f[::1], f[:, ::1], f[::1])


@cuda.jit
def usual_nodes(
    first: Any,
    end: Any,
    word2: Any,
    word3: Any,
    key0: Any,
    key1: Any,
    law: Any,
    x: Any,
    r: Any,
    new: Any,
    out: Any,
) -> None:
    """Draw and sum nodes of the kind that nearly all are, one in each pass of its only loop."""
    thread = np.uint32(cuda.threadIdx.x)
    node = np.uint32(first + thread)
    sums = kernels.NOTHING
    while node < end:
        w0, w1, w2, w3 = philox(
            counter_word0(node, ASYMMETRIC_STREAM), kernels.ROW, word2, word3, key0, key1
        )
        z1, z2 = normal_pair(np.uint32(w0), np.uint32(w1))
        index = replaced_index(np.uint32(w2), choices_of(end))
        at_x = x[index]
        at_r = fma64(-law[READ_SLOPE], at_x, r[index])
        beta = np.float64(weight(np.uint32(w3)))
        u, s = usual_signals(at_x, at_r, np.float64(z1), np.float64(z2), beta, scales(law))
        sums = add_node(sums, node, u, s, of_activation(law), new[0], new[1])
        node = np.uint32(node + np.uint32(LANES))
    kernels._put_parts(sums, thread, out)
    out[kernels.PARTS + thread] = sums[8]


@each_capability
@pytest.mark.parametrize("name", ["begin", "advance"])
def test_what_the_kernels_take(
    name: str,
    capability: tuple[int, int],
    asymmetric_ptx: dict[tuple[int, int], dict[str, str]],
    tmp_path: Path,
) -> None:
    taken, _ = assemble(asymmetric_ptx[capability][name], tmp_path)
    assert taken.spills == 0
    assert taken.stack == 0
    assert taken.registers <= REGISTERS[name]
    assert taken.shared <= 12 * 1024


def inexact(ptx: str) -> list[str]:
    """Return what is approximate, or a product that an assembler may fuse with a sum."""
    return re.findall(r"\.(?:approx|ftz|full)\b.*|\bmul\.f(?:32|64)\b.*|\bcall\b.*", ptx)


@each_capability
def test_nothing_in_the_kernels_is_inexact(
    capability: tuple[int, int], asymmetric_ptx: dict[tuple[int, int], dict[str, str]]
) -> None:
    for name in ("begin", "advance"):
        assert inexact(asymmetric_ptx[capability][name]) == []


def test_fast_math_is_noticed() -> None:
    from tests.emulator.conftest import asymmetric_signatures

    types_of = asymmetric_signatures()["begin"]
    assert inexact(compile_ptx(KERNELS["begin"], types_of, (9, 0), fastmath=True))


def test_what_runs_is_what_is_tested() -> None:
    """A GPU would run other code if it were optimised again when it is linked."""
    for kernel in KERNELS.values():
        assert kernel.targetoptions["lto"] is False
        assert not kernel.targetoptions["fastmath"]


def test_the_loop_over_nodes(tmp_path: Path) -> None:
    ptx = compile_ptx(usual_nodes, USUAL_NODES, (9, 0))
    loop = drawing_loop(assemble(ptx, tmp_path)[1])
    assert loop.per_node * NODES <= NODE_BUDGET
    assert loop.float64 <= FLOAT64_BUDGET
    assert loop.wide_products >= 20
