"""--device: what is chosen, what is said, and every way in which a GPU can't be used."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from simcore.cli.main import main as simcore
from simcore.cli.simulate import main

from simcore.execution import known_answer
from simcore.execution.execute import execute
from simcore.machine import auto, gpu
from simcore.machine.gpu import Findings
from simcore.runs.run import Run
from tests.cli.fakes import BASIC, FakeRun
from tests.support.devices import CASES, H100, READY

Pretend = Callable[[Findings], None]


@pytest.mark.parametrize("case", CASES)
def test_a_gpu_that_can_not_be_used_is_one_line(
    fake: FakeRun,
    pretend: Pretend,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    case: str,
) -> None:
    found, told = CASES[case]
    pretend(found)
    for more in ([], ["--dry-run"]):
        assert main([*BASIC, "--device", "cuda", *more]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"--device cuda: {told}")
        assert err.endswith(", or use the device cpu.\n")
        assert err.count("\n") == 1
    assert fake.calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_can_be_used_is(
    fake: FakeRun, pretend: Pretend, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(READY)
    assert main([*BASIC, "--device", "cuda"]) == 0
    assert fake.run == Run(depth=5, width=(64,), device="cuda")
    assert "node updates/s, cuda)" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--device", "auto"], ["--sampler", "dense"]])
def test_auto_is_the_cpu_and_looks_at_no_gpu(
    fake: FakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    def look() -> Findings:
        raise AssertionError("the driver was opened")

    monkeypatch.setattr(gpu, "look", look)
    monkeypatch.delitem(sys.modules, known_answer.__name__)
    assert main([*BASIC, *words]) == 0
    assert fake.run.device == "cpu"
    assert known_answer.__name__ not in sys.modules
    out, err = capsys.readouterr()
    assert "device" not in err
    assert " threads)" in out or " thread)" in out


@pytest.fixture
def proven(
    monkeypatch: pytest.MonkeyPatch, pretend: Pretend, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A machine whose GPU `auto` takes for `BASIC`; and the answer of the GPU."""
    monkeypatch.setattr(auto, "PROVEN", ((9, 0),))
    monkeypatch.setattr(auto, "LEAST_UPDATES", 64 * 5 * 1000)
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(known_answer, "cache_folder", lambda: folder)
    answers = {"cuda": known_answer.KNOWN_ANSWER}
    monkeypatch.setattr(known_answer, "digest", lambda run: answers[run.device])
    pretend(READY)
    return answers


@pytest.mark.parametrize(
    ("words", "device"),
    [
        (["--device", "auto"], "cuda"),
        (["--device", "cpu"], "cpu"),
        (["--trials", "999"], "cpu"),
        (["--scheduler", "tcp://127.0.0.1:9"], "cpu"),
        (["--ensemble", "rai"], "cuda"),
        (["--sampler", "dense"], "cuda"),
    ],
)
def test_auto_takes_a_gpu_that_is_proven(
    fake: FakeRun,
    proven: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    device: str,
) -> None:
    assert main([*BASIC, *words]) == 0
    assert fake.run.device == device
    out, err = capsys.readouterr()
    assert ("node updates/s, cuda)" in out) == (device == "cuda")
    assert "note" not in err
    assert main([*BASIC, *words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["configuration"]["device"] == device


def test_auto_warns_in_one_line_of_a_gpu_that_fails(
    fake: FakeRun, proven: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    proven["cuda"] = "0" * 16
    assert main(BASIC) == 0
    assert fake.run.device == "cpu"
    told = "--device auto is the CPU: the GPU did not give the known answer; simcore doctor says"
    assert capsys.readouterr().err.splitlines()[0] == f"note: {told} more"


def test_a_dry_run_tells_the_device(
    fake: FakeRun, pretend: Pretend, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(READY)
    assert main([*BASIC, "--device", "cuda", "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["configuration"]["device"] == "cuda"


def test_a_cluster_is_not_judged_by_this_machine(fake: FakeRun, pretend: Pretend) -> None:
    pretend(READY)
    assert main([*BASIC, "--scheduler", "tcp://127.0.0.1:9"]) == 0
    assert fake.run.device == "cpu"
    pretend(Findings())
    fake.calls.clear()
    options = ["--scheduler", "tcp://127.0.0.1:9", "--device", "cuda", "--overwrite"]
    assert main([*BASIC, *options]) == 0
    assert fake.run.device == "cuda"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Findings(), "--device cuda: finds no NVIDIA driver"),
        (READY, "--scheduler local:2: asks for more processes than there are GPUs, 1."),
    ],
)
def test_processes_of_this_machine_need_gpus(
    fake: FakeRun,
    pretend: Pretend,
    capsys: pytest.CaptureFixture[str],
    found: Findings,
    told: str,
) -> None:
    pretend(found)
    assert main([*BASIC, "--device", "cuda", "--scheduler", "local:2"]) == 2
    assert capsys.readouterr().err.startswith(told)
    assert fake.calls == []
    pretend(replace(READY, gpus=(H100, replace(H100, index=1))))
    assert main([*BASIC, "--device", "cuda", "--scheduler", "local:2"]) == 0


# --- resume -------------------------------------------------------------------------------------


def test_resume_keeps_the_kind_of_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    execute(Run(depth=2, width=(8,), trials=64), output=tmp_path / "run.h5")
    before = Path("run.h5").read_bytes()
    assert simcore(["resume", "run.h5", "--trials", "128", "--device", "cuda"]) == 2
    told = "--device cuda: is not the device of this run, cpu. Leave it out, or begin a new run.\n"
    assert capsys.readouterr().err == told
    assert Path("run.h5").read_bytes() == before
    assert simcore(["resume", "run.h5", "--trials", "128", "--device", "cpu", "--quiet"]) == 0


def test_resume_without_the_gpu_of_the_run_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pretend: Pretend,
) -> None:
    from simcore.sampling.choose import sampler_for

    monkeypatch.chdir(tmp_path)
    pretend(READY)
    with monkeypatch.context() as patch:
        patch.setattr(
            "simcore.execution.engines.sampler_for",
            lambda run: sampler_for(replace(run, device="cpu")),
        )
        execute(Run(depth=2, width=(8,), trials=64, device="cuda"), output=tmp_path / "run.h5")
    pretend(Findings())
    assert simcore(["resume", "run.h5", "--trials", "128", "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("--device cuda: finds no NVIDIA driver on this machine. Install one")
    assert err.endswith(
        "or resume where there is a GPU, since a run stays on its kind of device.\n"
    )
    assert err.count("\n") == 1


# --- job scripts --------------------------------------------------------------------------------

COMMAND = "simulate --width 64 --depth 5"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (f"--gpus-per-node 2 -- {COMMAND}", "--depth 5 --device cuda "),
        (f"--gpus-per-node 2 -- {COMMAND} --device auto", "--depth 5 --device cuda "),
        (f"--gpus-per-node 2 -- {COMMAND} --device cpu --trials 9", "--depth 5 --trials 9 --sch"),
        (f"-- {COMMAND} --device cuda", "--depth 5 --device cuda "),
        (f"-- {COMMAND}", "--depth 5 --scheduler"),
        (f"--array 2 -- {COMMAND}", "--depth 5 --device cpu "),
        (f"--array 2 --gpus-per-node 1 -- {COMMAND}", "--depth 5 --device cuda "),
        (f"--gpus-per-node 1 -- {COMMAND} --sampler dense", "dense --device cuda "),
    ],
)
def test_a_job_names_its_device(
    proven: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    shown: str,
) -> None:
    """Whatever the machine has on which the script is printed: a GPU that `auto` would take."""
    monkeypatch.chdir(tmp_path)
    assert simcore(["slurm", *shlex.split(words)]) == 0
    out = capsys.readouterr().out
    (start,) = [line for line in out.splitlines() if line.strip().startswith("start=(")]
    assert shown in start
    assert start.count("--device") <= 1
