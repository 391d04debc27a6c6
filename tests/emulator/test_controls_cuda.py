"""Control variates on CUDA: the bytes of those on the CPU, on a device without a GPU."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.errors import DeviceError
from simcore.runs.run import Run
from simcore.sampling.control import follow
from simcore.sampling.control.of_run import RunControls
from simcore.sampling.control.places import CARRIED, SEEN
from simcore.sampling.cuda import driver as cuda_blocks
from simcore.sampling.cuda.controls import DeviceControls, coefficient_bytes
from simcore.sampling.cuda.device import Rooms
from simcore.sampling.cuda.pieces import table_of
from simcore.sampling.pair.cpu import PairSampler
from simcore.sampling.pair.cuda import PairCudaSampler
from simcore.sampling.row import FEATURES
from simcore.statistics.blocks import BLOCK, Task
from tests.emulator.conftest import AllPtx
from tests.emulator.emulated import Compiled, Emulated, FromSource, equal, signals
from tests.emulator.kernels import SLOPED_FOLLOWED, SLOPED_POINTS, kernel, signature
from tests.emulator.launches import one_point
from tests.emulator.ptx_program import Program, compile_ptx

pytestmark = pytest.mark.xdist_group("gpu")

Floats = npt.NDArray[np.float64]
WIDTHS = (70, 33, 512, 64, 100, 40)


def uneven(**options: Any) -> Run:
    return Run(depth=6, layer_widths=WIDTHS, trials=64, controls=True, **options)


# --- the kernel, on given rows --------------------------------------------------------------------


def shared_run() -> Run:
    """Three pairs through one network: acute, obtuse, nearly parallel."""
    return uneven(shared_network=True, distance=(0.5, 1.6, 1e-9), sigma_b=(0.2,))


def rows_of(run: Run, trials: int) -> Floats:
    """Random rows with what samplers could see, some of it undefined; their columns are odd."""
    random = np.random.default_rng(trials)
    rows = random.standard_normal((trials, run.depth, run.columns.count))
    for pair in range(run.columns.pairs):
        at = pair * len(run.columns.of_pair) + FEATURES
        angle = random.uniform(0.0, np.pi, rows.shape[:2])
        rows[:, :, at], rows[:, :, at + 1] = np.cos(angle), np.sin(angle)
        rows[trials // 2, 3, at : at + SEEN] = np.nan
    return rows


def on_the_cpu(run: Run, rows: Floats) -> Floats:
    """Return rows after `follow.follow`, block by block."""
    rows, of_run = rows.copy(), RunControls(run)
    for first in range(0, len(rows), BLOCK):
        controls = of_run.of(0)
        follow.start(controls)
        widths = run.points[0].layer_widths(run.depth)
        follow.follow(controls, widths, 0, rows[first : first + BLOCK])
    return rows


def on_a_device(device: Emulated, run: Run, rows: Floats, layers: int) -> Floats:
    """Return rows after launches of so many layers."""
    widths, found = run.points[0].layer_widths(run.depth), []
    given = RunControls(run), [widths], len(run.columns.of_pair)
    controls = DeviceControls(device, Rooms(device), *given)
    for layer0 in range(0, run.depth, layers):
        part = rows[:, layer0 : layer0 + layers].copy()
        controls.take([0], table_of(0, 0, len(rows)), layer0, part)
        found.append(part)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("layers", [6, 4, 1])
@pytest.mark.parametrize("trials", [1, 64, 130])
def test_rows_have_the_bytes_of_the_cpu(
    compiled: Compiled, trials: int, layers: int, reverse: bool
) -> None:
    run = shared_run()
    rows = rows_of(run, trials)
    made = on_a_device(Emulated(compiled, reverse=reverse), run, rows, layers)
    expected = on_the_cpu(run, rows)
    assert made.tobytes() == expected.tobytes()
    assert not np.isnan(expected[:, :3]).any()
    assert np.isnan(expected[trials // 2, 3]).any()


def test_the_source_has_the_bytes_of_the_cpu() -> None:
    run = shared_run()
    rows = rows_of(run, 2)
    made = on_a_device(FromSource(), run, rows, 4)
    assert made.tobytes() == on_the_cpu(run, rows).tobytes()


def test_the_rest_of_a_row_stays(compiled: Compiled) -> None:
    run = shared_run()
    rows = rows_of(run, 3)
    made = on_a_device(Emulated(compiled), run, rows, 6)
    changed = np.zeros(run.columns.count, dtype=bool)
    for pair in range(3):
        at = pair * len(run.columns.of_pair) + FEATURES
        changed[at : at + SEEN] = True
    assert (made[:, :, ~changed] == rows[:, :, ~changed]).all()
    assert (made[0, :, changed] != rows[0, :, changed]).all()


# --- whole tasks ----------------------------------------------------------------------------------

RUNS: dict[str, Run] = {
    "he": one_point(70, 0.0, depth=6, trials=128, controls=True),
    "with bias": one_point(40, 1.0, depth=5, trials=128, sigma_b=(0.3,), controls=True),
    "weights that sum to 0": one_point(64, float("inf"), depth=5, trials=128, controls=True),
    "k of -1/2": one_point(100, -0.5, depth=5, trials=128, sigma_w=(1.3,), controls=True),
    "unequal widths": uneven(),
    "nearly parallel": uneven(distance=(1e-20,)),
    "opposite": uneven(distance=(2.0,), sigma_b=(0.1,)),
}


class ByKind(Emulated):
    """A device that has kernels of two kinds of points."""

    def __init__(self, compiled: Compiled, sloped: Compiled) -> None:
        super().__init__(compiled)
        self.sloped = sloped

    def execute(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        name = kernel.py_func.__name__
        own = name in self.sloped and bool(arguments[0][-1])
        program = (self.sloped if own else self.compiled)[name]
        program.launch(blocks, threads, *arguments)


def both(run: Run, device: Emulated, blocks: int = 1) -> bool:
    task = Task(0, 0, blocks, 64 * blocks)
    expected = PairSampler(run).run(task, None, signals())
    assert np.isfinite(expected.moments.mean[:, run.columns.of("log_q1_controlled")]).all()
    return equal(expected, PairCudaSampler(run, device).run(task, None, signals()))


@pytest.mark.parametrize("which", RUNS)
def test_tasks_have_the_bytes_of_the_cpu(compiled: Compiled, which: str) -> None:
    device = Emulated(compiled)
    assert both(RUNS[which], device)
    assert device.names.count("follow") == 1


def test_many_points_go_into_one_launch(compiled: Compiled) -> None:
    """Each with the passes of its own coefficients; rows of partial blocks are left alone."""
    law: dict[str, Any] = {"ensemble": "correlated", "k": (-0.5, 0.0, float("inf"))}
    run = uneven(**law, sigma_b=(0.0, 0.3))
    assert len({len(RunControls(run).of(point).program) for point in range(6)}) > 1
    tasks = [(Task(point, 0, 1, 64 - point), None) for point in range(6)]
    expected, device = PairSampler(run).run_tasks(tasks, signals()), Emulated(compiled)
    sampler = PairCudaSampler(run, device)
    made = sampler.run_tasks(tasks, signals())
    assert all(equal(*each) for each in zip(expected, made, strict=True))
    assert device.names.count("follow") == 1
    # Coefficients stay on the device while launches are of the same points.
    sent = device.sent
    made = sampler.run_tasks(tasks, signals())
    assert all(equal(*each) for each in zip(expected, made, strict=True))
    assert device.sent - sent < coefficient_bytes(1, run.depth)


def test_other_activations_than_relu_have_the_bytes_of_the_cpu(compiled: Compiled) -> None:
    """ReLU itself goes into a launch of its own, with other types."""
    types = {
        "advance": (SLOPED_POINTS, *signature("advance")[1:]),
        "follow": (SLOPED_FOLLOWED, *signature("follow")[1:]),
    }
    sloped = {name: compile_ptx(kernel(name), own, (9, 0)) for name, own in types.items()}
    device = ByKind(compiled, {name: Program.of(text) for name, text in sloped.items()})
    run = one_point(40, 1.0, depth=4, trials=64, negative_slope=(0.0, 0.1, 0.2), controls=True)
    tasks = [(Task(point, 0, 1, 64), None) for point in range(3)]
    expected = PairSampler(run).run_tasks(tasks, signals())
    made = PairCudaSampler(run, device).run_tasks(tasks, signals())
    assert all(equal(*each) for each in zip(expected, made, strict=True))
    assert device.names.count("follow") == 2


@pytest.mark.parametrize("layers", [12, 6, 4, 1])
def test_however_launches_are_cut(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    """Two blocks in one launch, in two, and each in two and in six."""
    run, device = RUNS["he"], Emulated(compiled)
    monkeypatch.setattr(cuda_blocks, "ROWS_BYTES", layers * 8 * run.columns.count * 64)
    assert both(run, device, 2)
    assert device.names.count("follow") == {12: 1, 6: 2, 4: 4, 1: 12}[layers]


def test_without_controls_nothing_is_launched(compiled: Compiled) -> None:
    run, device = one_point(70, 0.0, depth=3, trials=64, controls=False), Emulated(compiled)
    PairCudaSampler(run, device).run(Task(0, 0, 1, 64), None, signals())
    assert "follow" not in device.names


def test_what_controls_take_counts_as_memory(compiled: Compiled) -> None:
    """Launches have fewer blocks, or none, where coefficients and states need the room."""
    cut = {}
    for controls in (False, True):
        run = one_point(70, 0.0, depth=200, trials=64, controls=controls)
        row, state = 8 * run.columns.count, PairCudaSampler(run).carried_bytes(0)
        more = 8 * CARRIED if controls else 0
        free = 4 * (2 * 64 * (200 * row + state + more))
        cut[controls] = PairCudaSampler(run, Emulated(compiled, free))._cut(0, 64)[0]
    assert cut == {False: 2, True: 1}
    run = one_point(70, 0.0, depth=200, trials=64, controls=True)
    with pytest.raises(DeviceError, match="too little"):
        PairCudaSampler(run, Emulated(compiled, 2**20))._cut(0, 64)


def test_coefficients_of_further_points_count_as_memory(compiled: Compiled) -> None:
    run = uneven(ensemble="correlated", k=(0.0, 1.0))
    tasks = [(Task(point, 0, 1, 64), None) for point in range(2)]
    row, state = 8 * run.columns.count, PairCudaSampler(run).carried_bytes(0)
    launches = {}
    for coefficients in (1.5, 2.0):
        room = 2 * 64 * (run.depth * row + state + 8 * CARRIED)
        free = math.ceil(4 * (room + coefficients * coefficient_bytes(1, run.depth)))
        device = Emulated(compiled, free)
        PairCudaSampler(run, device).run_tasks(tasks, signals())
        launches[coefficients] = device.names.count("follow")
    assert launches == {1.5: 2, 2.0: 1}


# --- faults ---------------------------------------------------------------------------------------


def fused(ptx: str, which: int) -> str:
    """Return PTX with one product and the sum that follows it rounded once."""
    pairs = re.finditer(
        r"mul\.rn\.f64\s+(%fd\d+), ([^,]+), ([^;]+);\s+add\.f64\s+(%fd\d+), (%fd\d+), \1;", ptx
    )
    found = list(pairs)[which]
    result, a, b, total, other = found.groups()
    del result
    return f"{ptx[: found.start()]}fma.rn.f64 {total}, {a}, {b}, {other};{ptx[found.end() :]}"


@pytest.mark.parametrize("which", [0, 9, -1])
def test_a_fused_product_is_found(all_ptx: AllPtx, which: int) -> None:
    run = shared_run()
    rows = rows_of(run, 64)
    worse = Program.of(fused(all_ptx[9, 0]["follow"], which))
    made = on_a_device(Emulated({"follow": worse}), run, rows, 6)
    assert made.tobytes() != on_the_cpu(run, rows).tobytes()


def test_nothing_is_fused_but_the_logarithm(all_ptx: AllPtx) -> None:
    """`log` has 13 products and sums that are rounded once on every device: two calls of it."""
    assert all(ptx["follow"].count("fma.rn.f64") == 2 * 13 for ptx in all_ptx.values())


def test_states_that_do_not_move_on_are_found(compiled: Compiled) -> None:
    run = shared_run()
    rows = rows_of(run, 5)

    class Forgets(Emulated):
        def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
            super().launch(kernel, blocks, threads, *arguments)
            arguments[4][:] = 0.0

    made = on_a_device(Forgets(compiled), run, rows, 4)
    assert made.tobytes() != on_the_cpu(run, rows).tobytes()
