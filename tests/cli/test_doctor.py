"""`simcore doctor` on pretended machines: states, remedies, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from simcore.cli.main import main

from simcore import doctor
from simcore.doctor import Check
from simcore.execution import known_answer
from simcore.execution.known_answer import KNOWN_ANSWER
from simcore.machine import auto
from simcore.machine.gpu import Findings
from tests.support.devices import CASES, READY

Pretend = Callable[[Findings], None]
Examined = Callable[[], dict[str, Check]]

NAMES = [
    "CPU",
    "threads",
    "Numba",
    "cache",
    "known answer, cpu",
    "driver",
    "GPU",
    "CUDA packages",
    "CuPy",
    "known answer, cuda",
    "device auto",
]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What the known run gives on each device, without running it, and nothing kept of it."""
    given = {"cpu": KNOWN_ANSWER, "cuda": KNOWN_ANSWER}
    monkeypatch.setattr(known_answer, "digest", lambda run: given[run.device])
    monkeypatch.setattr(known_answer, "cache_folder", lambda: tmp_path)
    return given


@pytest.fixture
def examined(answers: dict[str, str]) -> Examined:
    return lambda: {check.name: check for check in doctor.examine()}


# --- for real -----------------------------------------------------------------------------------


def test_the_known_answer_is_found() -> None:
    assert known_answer.digest(known_answer.known_run()) == KNOWN_ANSWER


@pytest.mark.parametrize("more", [{"seed": 1}, {"trials": 69}, {"k": (2.0,)}, {"width": (37, 701)}])
def test_another_run_has_another_answer(more: dict[str, Any]) -> None:
    assert known_answer.digest(replace(known_answer.known_run(), **more)) != KNOWN_ANSWER


@pytest.mark.slow
def test_the_command_on_this_machine() -> None:
    """Without a GPU nothing is wrong, and it is quick once compiled."""
    command = [str(Path(sys.executable).with_name("simcore")), "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[0].startswith("ok      CPU                 ")
    before = time.perf_counter()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert time.perf_counter() - before < 30.0  # 3 s on a machine that does nothing else
    assert done.stderr == ""
    shown = json.loads(done.stdout)
    assert shown["wrong"] == 0
    assert [check["name"] for check in shown["checks"]] == NAMES


# --- the CPU, Numba, its cache ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "state", "found"),
    [
        ({"avx2": True, "fma": True, "avx512f": True}, "ok", "old, AVX-512"),
        ({"avx2": True, "fma": True, "avx512f": False}, "ok", "old, AVX2"),
        ({"avx2": False, "fma": False}, "absent", "old, without AVX2 and fused"),
        ({"neon": True}, "ok", "old"),
    ],
)
def test_the_processor(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], state: str, found: str
) -> None:
    from llvmlite import binding

    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "old")
    check = doctor._processor()
    assert check.state == state
    assert check.found.startswith(found)


def test_numba_without_its_compiler_is_wrong(
    monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    import numba

    assert examined()["Numba"].state == "ok"
    settings = SimpleNamespace(DISABLE_JIT=1, CPU_FEATURES=None)
    monkeypatch.setattr(numba, "config", settings)
    assert examined()["Numba"].state == "wrong"
    assert examined()["Numba"].remedy == "Unset NUMBA_DISABLE_JIT."
    settings.DISABLE_JIT = 0
    assert "default vectors" in examined()["Numba"].found
    settings.CPU_FEATURES = "+avx2,-prefer-256-bit"
    assert "512-bit vectors" in examined()["Numba"].found
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+sse2")
    assert "features of NUMBA_CPU_FEATURES: +sse2" in examined()["Numba"].found


def test_a_cache_that_lasts_or_not(
    monkeypatch: pytest.MonkeyPatch, examined: Examined, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "is_temporary", lambda: False)
    assert examined()["cache"] == Check("cache", "ok", str(tmp_path))
    monkeypatch.setattr(doctor, "is_temporary", lambda: True)
    assert examined()["cache"].state == "wrong"
    assert examined()["cache"].remedy.startswith("Set NUMBA_CACHE_DIR to a folder")


def test_another_answer_of_the_cpu_is_wrong(answers: dict[str, str], examined: Examined) -> None:
    answers["cpu"] = "0" * 16
    check = examined()["known answer, cpu"]
    assert check.state == "wrong"
    assert check.found == f"{'0' * 16} instead of {KNOWN_ANSWER}"
    assert check.remedy.startswith("Empty the folder of the cache")


# --- CUDA ---------------------------------------------------------------------------------------

CUDA = ("driver", "GPU", "CUDA packages", "known answer, cuda")

STATES = {
    "no driver": ("absent", "absent", "absent", "absent"),
    "dead driver": ("wrong", "absent", "ok", "absent"),
    "no GPU": ("ok", "absent", "ok", "absent"),
    "hidden": ("ok", "absent", "ok", "absent"),
    "hidden by nothing": ("ok", "absent", "ok", "absent"),
    "old driver": ("wrong", "ok", "wrong", "absent"),
    "no packages": ("ok", "ok", "absent", "absent"),
    "no packages, older driver": ("ok", "ok", "absent", "absent"),
    "no packages, newer driver": ("ok", "ok", "absent", "absent"),
    "old numba-cuda": ("ok", "ok", "wrong", "absent"),
    "no libraries": ("ok", "ok", "wrong", "absent"),
    "other CUDA": ("ok", "ok", "wrong", "absent"),
    "other libraries": ("ok", "ok", "wrong", "absent"),
    "mixed": ("ok", "ok", "wrong", "absent"),
    "older linker": ("ok", "ok", "wrong", "absent"),
    "no linker, older driver": ("ok", "ok", "wrong", "absent"),
    "packages older than the GPU": ("ok", "ok", "wrong", "absent"),
    "old GPU": ("ok", "wrong", "ok", "absent"),
    "old GPU first": ("ok", "wrong", "ok", "absent"),
    "GPU too old for the libraries": ("ok", "wrong", "ok", "absent"),
    "busy": ("ok", "wrong", "ok", "absent"),
    "no memory": ("ok", "wrong", "ok", "absent"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_machine_lacks_is_told_with_the_remedy(
    examined: Examined, pretend: Pretend, case: str
) -> None:
    found, _ = CASES[case]
    pretend(found)
    checks = examined()
    assert tuple(checks[name].state for name in CUDA) == STATES[case]
    assert all(check.remedy for check in checks.values() if check.state == "wrong")
    lacking = [checks[name] for name in CUDA[:3] if checks[name].state != "ok"]
    assert any(check.remedy for check in lacking)


def test_an_unfit_gpu_that_nobody_means_to_use_is_not_wrong(
    examined: Examined, pretend: Pretend
) -> None:
    found = replace(CASES["old GPU"][0], numba_cuda="", bindings=None, toolkit=None)
    pretend(found)
    assert {check.state for check in examined().values()} == {"ok", "absent"}
    assert examined()["GPU"].state == "absent"


def test_a_gpu_is_compared_with_the_cpu(
    examined: Examined, pretend: Pretend, answers: dict[str, str]
) -> None:
    pretend(READY)
    assert {check.state for check in examined().values()} == {"ok"}
    told = "NVIDIA H100, compute capability 9.0, 79.0 of 80.0 GiB free"
    assert examined()["GPU"].found == told
    versions = "numba-cuda 0.30.4, for CUDA 13, NVVM 13.0, nvJitLink 13.0, NVRTC 13.0"
    assert examined()["CUDA packages"].found == versions
    assert examined()["known answer, cuda"].found.endswith("s, the CPU's bytes")
    answers["cuda"] = "0" * 16
    check = examined()["known answer, cuda"]
    assert (check.state, check.remedy[:20]) == ("wrong", "Use --device cpu. Re")


def test_it_is_told_what_auto_takes(
    examined: Examined,
    pretend: Pretend,
    answers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told() -> str:
        check = examined()["device auto"]
        assert (check.state, check.remedy) == ("ok", "")
        return check.found

    pretend(READY)
    monkeypatch.setattr(auto, "PROVEN", ())
    assert told() == "the CPU: no GPU is proven yet"
    monkeypatch.setattr(auto, "PROVEN", ((8, 0),))
    assert told() == "the CPU: no GPU of compute capability 9.0 is proven yet"
    monkeypatch.setattr(auto, "PROVEN", ((9, 0),))
    assert told() == "cuda, from 1e+09 node updates on"
    monkeypatch.setattr(doctor, "FAST_FLOAT64", ((8, 0),))
    assert told() == "cuda, from 1e+09 node updates on, not for rai and raai"
    answers["cuda"] = "0" * 16
    assert told() == "the CPU: the GPU did not give the known answer"
    pretend(Findings())
    assert told() == "the CPU: cuda finds no NVIDIA driver on this machine"


def test_a_gpu_that_fails_is_wrong(
    examined: Examined, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(run: Any) -> str:
        if run.device == "cuda":
            raise RuntimeError("[700] illegal address\nwas read")
        return KNOWN_ANSWER

    pretend(READY)
    monkeypatch.setattr(known_answer, "digest", digest)
    check = examined()["known answer, cuda"]
    assert check.state == "wrong"
    assert check.found == "RuntimeError: [700] illegal address was read"


# --- the command --------------------------------------------------------------------------------


def test_the_exit_code_says_whether_anything_is_wrong(
    answers: dict[str, str],
    pretend: Pretend,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for case, code in (("no driver", 0), ("no GPU", 0), ("other CUDA", 1), ("no memory", 1)):
        pretend(CASES[case][0])
        assert main(["doctor"]) == code
        lines = capsys.readouterr().out.splitlines()
        states = [line.split()[0] for line in lines if not line.startswith(" ")]
        assert len(states) == len(NAMES)
        assert ("wrong" in states) == (code == 1)
        assert main(["doctor", "--json"]) == code
        assert json.loads(capsys.readouterr().out)["wrong"] == code


def test_on_a_terminal_it_is_a_table(
    answers: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "found, and what to do" in out
    assert "For a GPU, install NVIDIA's driver." in out


def test_the_help_needs_no_numba() -> None:
    code = (
        "import sys\nfrom simcore.cli.main import main\nmain(['doctor', '--help'])\n"
        "assert not {'numba', 'numpy', 'h5py', 'cuda', 'simcore.machine.gpu'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, capture_output=True)
