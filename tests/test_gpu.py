"""What only a GPU can show; skipped without one, and failed under --require-gpu.

Not yet run on hardware.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simcore import devices, doctor
from simcore.errors import DeviceError
from simcore.plan import Run
from simcore.run import execute, resume
from tests.same_results import differences

pytestmark = pytest.mark.gpu

RUNS: dict[str, dict[str, Any]] = {
    "narrow": {"width": (1, 5, 63), "depth": 20, "trials": 500},
    "chunks": {"width": (511, 512, 4096), "depth": 10, "trials": 130},
    "wide, few trials": {"width": (70_000,), "depth": 3, "trials": 70},
    "wide, many trials": {"width": (70_000,), "depth": 2, "trials": 1024},
    "wide and narrow, few trials": {
        "layer_widths": (70_000, 63, 1000, 100_000),
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
    assert doctor.digest(replace(run, device="cuda")) == doctor.digest(run)


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


def test_auto_takes_it_and_says_so(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("simulate"))]
    command += ["--width", "64", "--depth", "3", "--trials", "64"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300
    )
    assert f"note: device cuda: {devices.described(devices.look())}" in done.stderr


def test_too_little_memory_is_one_line() -> None:
    """All of it is taken first, piece by piece, as another program would."""
    from numba import cuda
    from numba.cuda.cudadrv.driver import CudaAPIError

    taken, size = [], 2**32
    while size >= 2**20:
        try:
            taken.append(cuda.device_array(size, "uint8"))
        except CudaAPIError:
            size //= 2
    try:
        with pytest.raises(DeviceError, match="memory"):
            execute(Run(width=(64,), depth=1000, trials=640, device="cuda"))
    finally:
        taken.clear()
        cuda.current_context().deallocations.clear()
