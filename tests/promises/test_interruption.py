"""Real processes, interrupted or out of room: what is left on disk, and how they end."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simcore.results.open_run import open_run
from simcore.statistics.blocks import BLOCK

SIMULATE = str(Path(sys.executable).with_name("simulate"))
LONG = ["--width", "2048", "--depth", "100", "--trials", "1e7", "-o", "run.h5"]


def wait_for_progress(process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    """Read stderr until it speaks of trials done."""
    assert process.stderr is not None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        line = process.stderr.readline()
        if line.startswith("running") and "running: 0 of" not in line:
            return
    pytest.fail("no progress was shown")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_whole_file(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [SIMULATE, *LONG], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for_progress(process)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    dataset = open_run(tmp_path / "run.h5")
    done = int(dataset["inactive1_count"][-1])
    assert done >= BLOCK
    assert done % BLOCK == 0
    assert abs(float(dataset["inactive1"][0]) - 0.5) < 0.01
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5"]


def test_a_checkpoint_on_sigusr1_and_on_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with subprocess.Popen(
        [SIMULATE, *LONG, "--checkpoint", "1000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_progress(process)
        before = path.stat().st_mtime_ns
        process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 60.0
        while path.stat().st_mtime_ns == before and time.monotonic() < end:
            time.sleep(0.05)
        assert process.poll() is None
        assert int(open_run(path)["inactive1_count"][-1]) >= BLOCK
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_full_disk_is_one_line_and_exit_1(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk; the empty first file still fits."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    shown = subprocess.run(
        [SIMULATE, "--width", "64", "--depth", "400", "--trials", "256", "-o", "run.h5", "--quiet"],
        cwd=tmp_path,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert len(shown.stderr.strip().splitlines()) == 1
    assert "run.h5" in shown.stderr
    assert not list(tmp_path.glob("*.part"))
