"""The kernels that draw for batches give the bytes of the CPU: their source, and compiled."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simcore.numerics.rng import ROOM, Stream
from simcore.physics.weight_laws import parse_weights
from simcore.sampling.batch import cuda_kernels as variates_kernels
from simcore.sampling.batch.cuda_kernels import THREADS, Draw
from simcore.sampling.variates import fill_choices, fill_variates
from tests.emulator.conftest import CAPABILITIES, AllPtx, Capability
from tests.emulator.emulated import Compiled
from tests.emulator.kernel_simulator import launch as simulate
from tests.emulator.ptx_program import Program, assemble

pytestmark = pytest.mark.xdist_group("gpu")

KEY = (np.uint64(0x243F6A88), np.uint64(0x85A308D3))
LAWS = ["normal", "uniform", "rademacher", "laplace", "student:5", "bernoulli:0.3"]
SIZES = [(1, 1, 1), (2, 3, 63), (3, 5, 64), (2, 2, 65), (1, 40, 7), (1, 2, 5000)]
"""Trials, rows, columns: fewer and more than a thread block's."""

FIRST_ROW, FIRST_TRIAL, LAYER = 5, 2**32 - 1, 3

Launch = Callable[..., None]
"""Takes a kernel's name, the blocks and the kernel's arguments."""


def from_ptx(programs: Compiled) -> Launch:
    def run(name: str, blocks: int, *arguments: Any) -> None:
        programs[name].launch(blocks, THREADS, *arguments)

    return run


def from_source(module: Any = variates_kernels, *, reverse: bool = False) -> Launch:
    def run(name: str, blocks: int, *arguments: Any) -> None:
        simulate(getattr(module, name), blocks, THREADS, *arguments, reverse=reverse)

    return run


def drawn(launched: Launch, law: str, size: tuple[int, int, int], *, blocks: int = 0) -> bytes:
    weights, out = parse_weights(law), np.full(size, 7.0, dtype=np.float32)
    draw = Draw.of(weights.code, weights.parameter, int(Stream.WEIGHT), LAYER, KEY)
    trials, rows, columns = size
    threads = variates_kernels.threads_of_rows(rows, columns, weights.code)
    blocks = blocks or variates_kernels.blocks_of(trials, threads)
    launched("fill", blocks, draw, FIRST_ROW, FIRST_TRIAL, out)
    return out.tobytes()


def expected(law: str, size: tuple[int, int, int]) -> bytes:
    weights, out = parse_weights(law), np.empty(size, dtype=np.float32)
    words = np.empty((4, ROOM), dtype=np.uint32)
    for t in range(size[0]):
        for i in range(size[1]):
            place = (np.uint64(Stream.WEIGHT), FIRST_ROW + i, FIRST_TRIAL + t, LAYER, *KEY)
            fill_variates(out[t, i], weights.code, weights.parameter, words, *place)
    return out.tobytes()


def choices_agree(launched: Launch, trials: int, nodes: int, n: int = 777) -> bool:
    made, should = ((np.zeros((trials, nodes), np.int64), np.zeros((trials, nodes))) for _ in "12")
    draw = Draw.of(0, 0.0, int(Stream.REPLACEMENT), LAYER, KEY)
    threads = variates_kernels.threads_of_choices(nodes)
    launched("choose", variates_kernels.blocks_of(trials, threads), draw, n, FIRST_TRIAL, *made)
    words = np.empty((4, ROOM), dtype=np.uint32)
    for t in range(trials):
        place = (np.uint64(Stream.REPLACEMENT), FIRST_TRIAL + t, LAYER, *KEY, words)
        fill_choices(should[0][t], should[1][t], n, *place)
    return all(a.tobytes() == b.tobytes() for a, b in zip(made, should, strict=True))


@pytest.mark.parametrize("law", LAWS)
def test_the_compiled_kernel_draws_the_bytes_of_the_cpu(compiled: Compiled, law: str) -> None:
    for size in SIZES:
        assert drawn(from_ptx(compiled), law, size) == expected(law, size), size


def test_the_grid_does_not_matter(compiled: Compiled) -> None:
    size = (2, 9, 200)
    for blocks in (2, 4, 6, 40):
        assert drawn(from_ptx(compiled), "normal", size, blocks=blocks) == expected("normal", size)
        assert drawn(from_ptx(compiled), "student:5", size, blocks=blocks) == expected(
            "student:5", size
        )


@pytest.mark.parametrize(("trials", "nodes"), [(1, 1), (2, 16), (3, 33), (2, 5000)])
def test_the_compiled_kernel_chooses_what_the_cpu_does(
    compiled: Compiled, trials: int, nodes: int
) -> None:
    assert choices_agree(from_ptx(compiled), trials, nodes)


@pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])
def test_the_source_draws_the_bytes_of_the_cpu(reverse: bool) -> None:
    launched = from_source(reverse=reverse)
    for law in LAWS:
        assert drawn(launched, law, (2, 3, 63)) == expected(law, (2, 3, 63)), law
    assert drawn(launched, "normal", (1, 2, 1100)) == expected("normal", (1, 2, 1100))
    assert choices_agree(launched, 2, 100)


def test_blocks_are_enough_and_not_too_many() -> None:
    for trials, rows, columns in ((1, 1, 1), (3, 4096, 4096), (5000, 10, 64), (1, 2**20, 2)):
        threads = variates_kernels.threads_of_rows(rows, columns, 0)
        blocks = variates_kernels.blocks_of(trials, threads)
        assert blocks % trials == 0
        assert blocks <= max(trials, variates_kernels.ENOUGH_BLOCKS)
        assert blocks == trials or (blocks // trials - 1) * THREADS < threads


# --- budget ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fill", "choose"])
@pytest.mark.parametrize("capability", CAPABILITIES, ids=["cc80", "cc90"])
def test_ten_blocks_fit_a_multiprocessor(
    all_ptx: AllPtx, capability: Capability, name: str, tmp_path: Path
) -> None:
    """Beside what `test_pair_budget` asks of every kernel."""
    taken, _ = assemble(all_ptx[capability][name], tmp_path)
    assert taken.registers <= 48
    assert taken.shared == 0


# --- faults ---------------------------------------------------------------------------------------

FAULTS = {
    "rows numbered from 0": ("_u64(first_row) + _u64(row)", "_u64(row)"),
    "one trial for all": ("_u64(_u64(first_trial) + _u64(which))", "_u64(first_trial)"),
    "pairs laid out as singles": ("U_PAIRS if paired else U_SINGLES", "U_SINGLES"),
    "turns beyond a row": ("turn = _u32(turn - rounds)", "pass"),
    "nothing changed": ("U_ONE", "U_ONE"),
}


@pytest.mark.parametrize("which", FAULTS)
def test_a_fault_is_found(which: str, tmp_path: Path) -> None:
    """In launches of so few blocks that threads take several groups."""
    launched = from_source(_changed("fill", *FAULTS[which], tmp_path))
    cases = [("normal", (2, 5, 150)), ("student:5", (2, 5, 40))]
    passed = all(drawn(launched, *case, blocks=2) == expected(*case) for case in cases)
    assert passed == (which == "nothing changed")


def test_choices_of_another_row_are_found(tmp_path: Path) -> None:
    launched = from_source(
        _changed("choose", "group, _u64(0), trial", "group, _u64(1), trial", tmp_path)
    )
    assert not choices_agree(launched, 1, 40)


def test_exchanged_factors_in_the_compiled_kernel_are_found(all_ptx: AllPtx) -> None:
    """The two products of a round of Philox have each other's factor."""
    factors = {"-845247145": "-766435501", "-766435501": "-845247145"}
    text = all_ptx[9, 0]["fill"]
    exchanged = re.sub("|".join(factors), lambda match: factors[match[0]], text)
    assert exchanged != text
    launched = from_ptx({"fill": Program.of(exchanged)})
    assert drawn(launched, "normal", (1, 2, 65)) != expected("normal", (1, 2, 65))


def _changed(name: str, found: str, put: str, folder: Path) -> Any:
    """Return a module that has a kernel with a piece of its source replaced, and all it calls."""
    source = inspect.getsource(getattr(variates_kernels, name).py_func)
    source = source[source.index("def ") :]
    assert source.count(found) >= 1, found
    path = folder / "changed.py"
    beginning = (
        "from simcore.sampling.batch import cuda_kernels as all_\nglobals().update(vars(all_))\n"
    )
    path.write_text(beginning + source.replace(found, put), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("changed", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
