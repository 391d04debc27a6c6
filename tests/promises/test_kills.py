"""SIGKILL at random moments, and signals in every phase: nothing is lost, not a byte changes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from simcore.cli.main import main as simcore_main

from simcore.execution.execute import execute
from simcore.files.run_file import info
from simcore.runs.run import Run
from tests.promises.interrupted import PHASES
from tests.support.same_results import differences

ROOT = Path(__file__).parents[2]
KILLS = 20


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Tried with 40 kills of each of 20 seeds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.promises.kill_many", str(tmp_path), str(KILLS), "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["killed"] == KILLS
    assert told["resumed"] >= KILLS // 2
    assert told["finished"] >= 1


OPTIONS = ["--width", "300", "--depth", "20", "--trials", "2000", "--checkpoint", "0.001"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expected") / "run.h5"
    execute(Run(depth=20, width=(300,), trials=2000), output=path, threads=2)
    return path


@pytest.mark.parametrize(
    ("phase", "number", "code"),
    [*((phase, signal.SIGTERM, 143) for phase in PHASES), ("first task", signal.SIGINT, 130)],
)
def test_a_signal_in_every_phase(
    tmp_path: Path, expected: Path, phase: str, number: signal.Signals, code: int
) -> None:
    path = tmp_path / "run.h5"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.promises.interrupted", phase, *OPTIONS, "-o", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == phase
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert f"To finish it: simcore resume {path}" in errors
    assert not info(path)["complete"]
    assert simcore_main(["resume", str(path), "--quiet"]) == 0
    assert info(path)["complete"]
    assert differences(path, expected) == []
    assert [name.name for name in tmp_path.iterdir()] == ["run.h5"]
