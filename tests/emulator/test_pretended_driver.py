"""The real host path (numba-cuda, contexts, memory, errors) on a pretended driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.pretended_driver import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("driver")
    build(folder)
    command = [sys.executable, "-m", "tests.emulator.pretended_driver"]
    given = dict(os.environ, LD_LIBRARY_PATH=str(folder))
    done = subprocess.run(command, check=False, env=given, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Nothing of the driver's own errors follows ours, as arrays freed without a context would.
    assert "CUDA_ERROR" not in done.stderr
    assert "Traceback" not in done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", ["correlated", "gradients", "raai"])
def test_a_run_has_the_bytes_of_the_cpu(found: dict[str, Any], name: str) -> None:
    ours, theirs = found[name]
    assert ours == theirs
    assert found[f"{name}, launches"] > 0


def test_too_little_memory_is_one_line(found: dict[str, Any]) -> None:
    assert "ran out of memory on the GPU" in found["memory"]
    assert "simcore resume" in found["memory"]
    assert "\n" not in found["memory"]
    assert found["again"] == found["correlated"][0]  # the process goes on


def test_a_failing_launch_is_one_line(found: dict[str, Any]) -> None:
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in found["failure"]
    assert "simcore resume" in found["failure"]
    assert "\n" not in found["failure"]


def test_a_driver_is_compared_with_the_packages(found: dict[str, Any]) -> None:
    assert "this one is for 11.8" in found["driver 11080"]
    assert "for CUDA 13 and a driver for 12.4" in found["driver 12040"]
    assert found["driver 13000"] == "None"
