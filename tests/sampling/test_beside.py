"""The second process that compiles on a first run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

START = """
import os, signal
from simcore.runs.run import Run
from simcore.sampling import beside
from simcore.sampling.choose import sampler_for
assert beside.start(sampler_for(Run(depth=1, width=(8,), trials=1, ensemble="rai"))) is None
print(beside.start(sampler_for(Run(depth=1, width=(8,), trials=1))).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_the_process_that_has_started_it(tmp_path: Path) -> None:
    """A second Ctrl-C, or a lack of memory, leaves no time to end it."""
    killed = subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    end = time.monotonic() + 120.0
    while _runs(int(killed.stdout)):
        assert time.monotonic() < end
        time.sleep(0.1)
    # It has not come to the end of its work, or to the first function.
    assert list(tmp_path.rglob("simcore.*")) == []


@pytest.mark.slow
def test_a_run_that_is_stopped_while_it_compiles_ends_it(tmp_path: Path) -> None:
    code = "import sys; from simcore.cli.simulate import main; sys.exit(main())"
    words = ["--width", "8", "--depth", "2", "--trials", "64", "-o", "x.h5"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        beside: list[psutil.Process] = []
        while not beside:
            assert first.poll() is None
            time.sleep(0.05)
            beside = psutil.Process(first.pid).children()
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=300)
    assert first.returncode == 130
    last = told.splitlines()[-1]
    assert last.startswith("stopped: x.h5 holds 0 of 64 trials"), told
    assert not _runs(beside[0].pid)


COMPILE = """
import sys, time
from simcore.sampling.beside import one_compiles
print("start", flush=True)
with one_compiles(object()):
    print("in", time.monotonic(), flush=True)
    sys.stdin.read()
"""


def test_processes_that_share_a_folder_take_turns_until_all_is_compiled(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", COMPILE],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(process: subprocess.Popen[str]) -> list[str]:
        assert process.stdout is not None
        return process.stdout.readline().split()

    with start() as killed:
        assert [told(killed)[0], told(killed)[0]] == ["start", "in"]
        with start() as second:
            assert told(second) == ["start"]
            time.sleep(0.5)
            end = time.monotonic()
            killed.kill()  # which gives the lock back, and has not compiled all
            word, since = told(second)
            assert word == "in"
            assert float(since) > end
            assert list(tmp_path.rglob("*.compiled")) == []
            second.communicate()
    assert [path.name for path in tmp_path.rglob("*.compiled")] == ["object.compiled"]
    with start() as third, start() as fourth:  # both at once
        assert [told(process)[0] for process in (third, third, fourth, fourth)] == 2 * [
            "start",
            "in",
        ]
        third.communicate()
        fourth.communicate()


def _runs(number: int) -> bool:
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
