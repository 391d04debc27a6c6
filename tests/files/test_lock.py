"""One writer for a file: others are refused, the dead leave nothing."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from simcore.cli.main import main as simcore_main
from simcore.cli.simulate import main as simulate_main

from simcore.errors import OutputError
from simcore.execution.execute import execute, resume
from simcore.execution.merge import merge
from simcore.files import lock
from simcore.files.lock import LockWarning, lock_path, only_writer, writer
from simcore.runs.run import Run

RUN = Run(depth=3, width=(8,), trials=64)
HOLD = """
import sys, time
from simcore.files.lock import only_writer
with only_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    execute(RUN, output=tmp_path / "run.h5")
    return tmp_path / "run.h5"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes the file."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_and_told_of_the_first(
    path: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"process {other.pid} on {socket.gethostname()}"
    with pytest.raises(OutputError, match=name):
        execute(RUN, output=path)
    with pytest.raises(OutputError, match=name):
        resume(path, trials=128)
    with pytest.raises(OutputError, match=name):
        merge([path], path)
    options = ["--width", "8", "--depth", "3", "-o", str(path), "--overwrite", "--quiet"]
    assert simulate_main(options) == 1
    assert simcore_main(["resume", str(path), "--trials", "128", "--quiet"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all(name in line for line in told)
    assert writer(path) is not None
    assert simcore_main(["info", str(path)]) == 0
    assert f"{name}, since" in capsys.readouterr().out


def test_the_lock_of_a_dead_process_is_nothing(path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert lock_path(path).exists()
    assert writer(path) is None
    resume(path, trials=128)
    assert not lock_path(path).exists()


def test_a_lock_is_given_back_whatever_happens(path: Path) -> None:
    with pytest.raises(RuntimeError), only_writer(path):
        raise RuntimeError
    assert not lock_path(path).exists()
    with only_writer(path):
        assert lock_path(path).exists()


def contend(path: Path, counter: Path, times: int) -> None:
    """Take the lock again and again; read a number and write the next one under it."""
    for _ in range(times):
        while True:
            try:
                with only_writer(path):
                    number = int(counter.read_text())
                    time.sleep(0.0005)
                    counter.write_text(str(number + 1))
                break
            except OutputError:
                time.sleep(0.001)


@pytest.mark.slow
def test_never_two_at_once(path: Path, tmp_path: Path) -> None:
    """The lock's file comes and goes, and must still keep the others out."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=contend, args=(path, counter, 40)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert counter.read_text() == "160"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_warning_that_says_what_to_set(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.warns(LockWarning, match="set SIMCORE_LOCKING=off"):
        resume(path, trials=128)
    assert simcore_main(["resume", str(path), "--trials", "192"]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warned) == 1
    assert warned[0].startswith(f"warning: the file system of {path} keeps no locks")
    monkeypatch.setenv(lock.SWITCH, "off")
    resume(path, trials=256)
    assert not lock_path(path).exists()
