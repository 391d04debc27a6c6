"""What only a GPU can show; skipped without one, and failed under --require-gpu.

Not yet run on hardware.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import ks_2samp

from simcore import doctor, open_run
from simcore.errors import DeviceError
from simcore.execution.execute import execute, resume
from simcore.execution.known_answer import digest
from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from simcore.sampling.contract import Signals
from tests.support.same_results import differences

pytestmark = pytest.mark.gpu

RUNS: dict[str, dict[str, Any]] = {
    "narrow": {"width": (1, 5, 63), "depth": 20, "trials": 500},
    "chunks": {"width": (511, 512, 4096), "depth": 10, "trials": 130},
    "wide, few trials": {"width": (270_000,), "depth": 3, "trials": 70},
    "wide, many trials": {"width": (70_000,), "depth": 2, "trials": 1024},
    "wide and narrow, few trials": {
        "layer_widths": (270_000, 63, 1000, 300_000),
        "depth": 4,
        "trials": 5,
    },
    "k and bias": {
        "ensemble": "correlated",
        "width": (300,),
        "depth": 50,
        "k": (-0.5, 0.0, 1.0, float("inf")),
        "sigma_b": (0.0, 0.3),
        "trials": 200,
    },
    "close": {"width": (512,), "depth": 100, "distance": (1e-20,), "trials": 200},
    "rai": {"ensemble": "rai", "width": (1, 5, 63, 512), "depth": 20, "trials": 200},
    "raai": {
        "ensemble": "raai",
        "width": (64, 4600),
        "depth": 10,
        "k": (1.0, float("inf")),
        "sigma_b": (0.0, 0.3),
        "trials": 70,
    },
    "rai, close": {"ensemble": "rai", "width": (512,), "depth": 50, "distance": (1e-20,)},
    "rai, most of it one bias": {
        "ensemble": "rai",
        "width": (4600,),
        "depth": 2,
        "q0": (1e-12,),
        "sigma_b": (0.0,),
        "trials": 64,
    },
    "profile": {"layer_widths": (784, 30, 600), "depth": 3, "trials": 100},
}


@pytest.mark.parametrize("name", RUNS)
def test_the_bytes_are_those_of_the_cpu(name: str) -> None:
    run = Run(**RUNS[name])
    assert digest(replace(run, device="cuda")) == digest(run)


BATCHES: dict[str, dict[str, Any]] = {
    "gram": {"sampler": "gram", "pairs": 4, "shared_network": True},
    "gram, replaced": {
        "sampler": "gram",
        "ensemble": "raai",
        "k": (1.0,),
        "pairs": 3,
        "shared_network": True,
    },
    "dense": {"sampler": "dense", "pairs": 40, "shared_network": True, "sigma_b": (0.3,)},
    "dense, close": {"sampler": "dense", "distance": (1e-17,), "ensemble": "correlated"},
    "dense, replaced": {"sampler": "dense", "ensemble": "rai"},
    "dense, Student": {"weights": "student:5"},
    "gram, gradients": {"sampler": "gram", "pairs": 4, "shared_network": True, "gradients": True},
    "dense, gradients": {"ensemble": "rai", "gradients": True},
    "few nodes": {"sampler": "gram", "pairs": 9, "shared_network": True, "layer_widths": (8,) * 6},
}


def rows_on(run: Run, trials: int, *, carried: int = 1) -> npt.NDArray[np.float64]:
    """Return the observables of trials of a run's first point, on its device.

    Trials of a batch may carry their signals in one place, one after the other; pairs have their
    own.
    """
    sampler: Any = sampler_for(run)
    rows = np.empty((trials, run.depth, run.columns.count))
    if run.device == "cuda":
        made = sampler.device.room(rows.shape)
        sampler.make_rows(0, 0, 0, sampler.start(0, 0, len(rows)), made)
        sampler.device.get(made, rows)
    else:
        sampler.advance(0, 0, 0, sampler.carry(0, carried), rows, Signals.sharing())
    return rows


def of_batch(name: str, **changes: Any) -> Run:
    settings: dict[str, Any] = {"depth": 6, "layer_widths": (300, 100, 200, 150, 80, 120)}
    return Run(**(settings | BATCHES[name] | changes))


@pytest.mark.parametrize("name", [name for name in BATCHES if name != "few nodes"])
def test_products_in_float32_keep_six_digits(name: str) -> None:
    """Of the same networks: random numbers are the CPU's, and cuSOLVER's signs are LAPACK's."""
    run = of_batch(name)
    made, expected = rows_on(replace(run, device="cuda"), 40), rows_on(run, 40)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(expected))
    off = np.nan_to_num(np.abs(made - expected) / (1e-300 + np.abs(expected)))
    distance = run.columns.of("distance")
    assert np.quantile(off[..., distance], 0.9) < 3e-6
    assert np.quantile(off, 0.9) < 3e-6
    assert np.quantile(off, 0.99) < 1e-3  # a node may be active for one, inactive for the other


@pytest.mark.parametrize("name", BATCHES)
def test_batches_have_the_law_of_the_cpu(name: str) -> None:
    """Kolmogorov and Smirnov on the last layer; all names together, a false alarm in 1e4."""
    run = of_batch(name)
    made = rows_on(replace(run, device="cuda"), 2000)
    expected = rows_on(replace(run, seed=1), 2000)
    p = []
    names = ["log_q1", "log_q2", "angle", "correlation", "inactive1"]
    names += ["log_gradient2", "gradient_correlation", "tangent12"] * run.gradients
    for observable in names:
        at = run.columns.of(observable)[0]
        a, b = (rows[:, -1, at] for rows in (made, expected))
        p.append(ks_2samp(a[~np.isnan(a)], b[~np.isnan(b)], method="asymp").pvalue)
    assert min(p) > 1e-4 / (len(p) * len(BATCHES))


def test_a_batch_is_resumed(tmp_path: Path) -> None:
    """To rounding: cuBLAS may add in another order for another number of trials at a time."""
    run = of_batch("dense", device="cuda", trials=200)
    execute(run, output=tmp_path / "long.h5")
    execute(replace(run, trials=100), output=tmp_path / "short.h5")
    resume(tmp_path / "short.h5", trials=200)
    long, short = (open_run(tmp_path / f"{name}.h5") for name in ("long", "short"))
    np.testing.assert_allclose(long.log_q1, short.log_q1, rtol=1e-4)
    np.testing.assert_array_equal(long.log_q1_count, short.log_q1_count)


def test_the_pool_of_cupy_makes_room() -> None:
    """What CuPy keeps counts as free, and is let go for an array that needs it."""
    import cupy

    sampler: Any = sampler_for(of_batch("dense", device="cuda"))
    device = sampler.device
    pool, before = cupy.get_default_memory_pool(), device.free_bytes()
    kept = cupy.empty(2**28, "uint8")
    del kept
    assert pool.free_bytes() >= 2**28
    assert abs(device.free_bytes() - before) < 2**26
    device.room((before - 2**27,), "uint8")
    assert pool.free_bytes() < 2**28


def test_files_differ_in_their_device_only(tmp_path: Path) -> None:
    run = Run(width=(128,), depth=5, trials=300)
    for device in ("cpu", "cuda"):
        execute(replace(run, device=device), output=tmp_path / f"{device}.h5", threads=1)
    found = differences(tmp_path / "cpu.h5", tmp_path / "cuda.h5")
    assert {where.rpartition("@")[2] for where in found} <= {"config_json", "config_sha256"}


def test_a_resumed_run_is_a_long_one(tmp_path: Path) -> None:
    run = Run(width=(128,), depth=5, trials=300, device="cuda")
    execute(run, output=tmp_path / "long.h5")
    execute(replace(run, trials=100), output=tmp_path / "short.h5")
    resume(tmp_path / "short.h5", trials=300)
    assert differences(tmp_path / "long.h5", tmp_path / "short.h5") == []


def test_the_doctor_finds_nothing_wrong() -> None:
    checks = {check.name: check for check in doctor.examine()}
    assert [check for check in checks.values() if check.state == "wrong"] == []
    assert checks["known answer, cuda"].found.endswith("the CPU's bytes")


def test_too_little_memory_is_one_line() -> None:
    """All of it is taken first, piece by piece, as another program would.

    To the last bytes: a run of one block fits in a MiB.
    """
    from numba import cuda
    from numba.cuda.cudadrv.driver import CudaAPIError

    taken, size = [], 2**32
    while size >= 2**8:
        try:
            taken.append(cuda.device_array(size, "uint8"))
        except CudaAPIError:
            size //= 2
    try:
        with pytest.raises(DeviceError, match="memory"):
            execute(Run(width=(64,), depth=1000, trials=640, device="cuda"))
    finally:
        taken.clear()
        cuda.current_context().memory_manager.deallocations.clear()
