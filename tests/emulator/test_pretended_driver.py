"""The real host path (numba-cuda, contexts, memory, errors) on a pretended driver."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from simcore.execution.known_answer import KNOWN_ANSWER
from tests.emulator.pretended_driver import ROOT, build, environment

pytestmark = pytest.mark.xdist_group("gpu")

Done = subprocess.CompletedProcess[str]
Bench = Callable[..., tuple[Done, dict[str, Any]]]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of processes that have the pretended GPU."""
    folder = tmp_path_factory.mktemp("driver")
    build(folder)
    return environment(folder)


@pytest.fixture(scope="module")
def found(given: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.emulator.pretended_driver"]
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


@pytest.mark.parametrize("name", ["correlated", "gradients", "raai"])
def test_the_benchmark_counts_launches_as_the_driver_does(found: dict[str, Any], name: str) -> None:
    seen, launched = found[f"{name}, launches"]
    assert seen == launched > 0


def test_auto_tries_a_gpu_once_for_each_driver(found: dict[str, Any]) -> None:
    bytes_of_cpu = found["correlated"][0]
    assert found["auto"] == [["cuda", tries, bytes_of_cpu] for tries in (1, 1, 2)]


def test_two_threads_drive_the_gpu_each_in_its_stream(found: dict[str, Any]) -> None:
    (ours, theirs), threads, elsewhere = found["two threads"]
    assert ours == theirs
    assert (threads, elsewhere) == (3, 0)  # one compiles


def test_too_little_memory_is_one_line(found: dict[str, Any]) -> None:
    assert "MiB of memory free, too little for one layer of a block" in found["memory"]
    assert "ran out of memory on the GPU" in found["full"]
    assert "simcore resume" in found["full"]
    assert "\n" not in found["memory"] + found["full"]
    assert found["again"] == found["correlated"][0]  # the process goes on


def test_a_failing_launch_is_one_line(found: dict[str, Any]) -> None:
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in found["failure"]
    assert "simcore resume" in found["failure"]
    assert "\n" not in found["failure"]


def test_a_driver_is_compared_with_the_packages(found: dict[str, Any]) -> None:
    assert "this one is for 11.8" in found["driver 11080"]
    assert "for CUDA 13 and a driver for 12.4" in found["driver 12040"]
    assert found["driver 13000"] == "None"


def test_packages_are_compared_with_each_other(found: dict[str, Any]) -> None:
    assert "NVVM 13.5 and nvJitLink 13.0" in found["packages"]
    assert "pip install 'nvidia-nvvm==13.0.*'" in found["packages"]


# --- bench/gpu.py -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(given: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Runs the command with small sizes; returns how it ended, and its file."""

    def run(*options: str) -> tuple[Done, dict[str, Any]]:
        path = tmp_path_factory.mktemp("bench") / "gpu.json"
        small = ["--widths", "64", "--nodes", "3.3e4", "--rounds", "1", "--output", str(path)]
        command = [sys.executable, "bench/gpu.py", *small, *options]
        # Of the tests on hardware one that takes no time here.
        env = given | {"PYTEST_ADDOPTS": "-k files_differ"}
        done = subprocess.run(
            command, check=False, env=env, cwd=ROOT, capture_output=True, text=True
        )
        return done, json.loads(path.read_text())

    return run


@pytest.fixture(scope="module")
def contact(found: dict[str, Any], bench: Bench) -> tuple[Done, dict[str, Any]]:
    """The first contact; after `found`, which has compiled most kernels."""
    return bench("--first-contact", "--seconds", "3600")


def test_first_contact_takes_every_step(contact: tuple[Done, dict[str, Any]]) -> None:
    done, result = contact
    assert done.returncode == 0, done.stdout + done.stderr
    steps = result["steps"]
    assert list(steps) == [
        "doctor",
        "tests on hardware",
        "bytes of the CPU",
        "PyTorch",
        "pairs, N = 64",
        "job, default",
        "job, narrow",
        "job, three points",
        "controls and gradients, N = 64",
        "rai, N = 64",
        "few trials, N = 64",
        "batches",
    ]
    skipped = {name: step["reason"] for name, step in steps.items() if step["state"] != "done"}
    assert skipped.keys() == {"PyTorch", "batches"}
    assert "needs CuPy" in skipped["batches"]
    assert all("\n" not in reason for reason in skipped.values())
    assert "10 of 12 steps are done" in done.stdout.splitlines()[-1]


def test_first_contact_finds_the_known_answer_and_passes_tests(
    contact: tuple[Done, dict[str, Any]],
) -> None:
    steps = contact[1]["steps"]
    checks = {check["name"]: check for check in steps["doctor"]["found"]}
    assert not [check for check in checks.values() if check["state"] == "wrong"]
    assert checks["known answer, cuda"]["found"].startswith(KNOWN_ANSWER)
    tests = steps["tests on hardware"]["found"]
    assert tests == {"counts": {"passed": 1}, "not_passed": {}, "whole": True}
    (compared,) = steps["bytes of the CPU"]["found"]["runs"]
    assert compared["same_bytes"]


def test_first_contact_measures(contact: tuple[Done, dict[str, Any]]) -> None:
    done, result = contact
    steps = {name: step.get("found") for name, step in result["steps"].items()}
    rates = steps["pairs, N = 64"]
    assert all(rates[name]["median"] > 0 for name in ("kernel", "task", "run", "normals"))
    assert steps["controls and gradients, N = 64"].keys() >= {"plain", "controls", "gradients"}
    assert all(row["many blocks"]["median"] > 0 for row in steps["few trials, N = 64"])
    for cost in (rates["of_a_task"], *(steps[f"job, {name}"] for name in ("default", "narrow"))):
        assert cost["launches"] > 0
        assert cost["kernels_ms"] == cost["launches"]  # each takes 1 ms on this driver
    assert result["static_limit"] == pytest.approx(132 * 128 * 1.98e9 / result["instructions"])
    assert "static limit 2.8" in done.stdout


def test_a_step_without_time_is_skipped(bench: Bench) -> None:
    done, result = bench("--seconds", "0")
    assert done.returncode == 0, done.stderr
    (step,) = result["steps"].values()
    assert step == {"state": "skipped", "reason": "it needs some 20 s, and 0 s are left"}
    assert "skipped: bytes of the CPU (it needs some 20 s" in done.stdout
