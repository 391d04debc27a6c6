"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 during a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from simcore.cli.simulate import main

from simcore.execution.progress import Control
from tests.cli.fakes import BASIC, FakeRun


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_stops_the_run_and_leaves_its_file(
    fake: FakeRun, capfd: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    def interrupted(control: Control) -> None:
        os.kill(os.getpid(), number)
        assert control.stop.wait(5.0)

    fake.during = interrupted
    before = signal.getsignal(number)
    assert main([*BASIC, "-o", "x.h5"]) == code
    assert signal.getsignal(number) == before
    told = capfd.readouterr()
    assert told.out == ""
    assert f"{number.name}: writing what is done" in told.err
    assert "stopped: x.h5 holds 64 of 1000 trials, unfinished" in told.err.splitlines()[-1]


def test_a_hang_up_that_is_ignored_stays_so(fake: FakeRun) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    fake.during = lambda _: os.kill(os.getpid(), signal.SIGHUP)
    try:
        assert main([*BASIC, "--quiet"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not fake.calls[0]["control"].stop.is_set()


def test_sigusr1_asks_for_a_checkpoint_and_goes_on(fake: FakeRun) -> None:
    fake.during = lambda _: os.kill(os.getpid(), signal.SIGUSR1)
    assert main([*BASIC, "--quiet"]) == 0
    assert fake.calls[0]["control"].checkpoint.is_set()
    assert not fake.calls[0]["control"].stop.is_set()


def test_outside_the_main_thread_signals_are_left_alone(fake: FakeRun) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main([*BASIC, "--quiet"])))
    thread.start()
    thread.join()
    assert codes == [0]


STUBBORN = """
import os, sys, time
import simcore.cli.execution as execution
from simcore.cli.simulate import main
def execute(*_, **__):
    print("started", flush=True)
    while True:
        time.sleep(0.1)
import simcore.execution.execute
simcore.execution.execute.execute = execute
sys.exit(main(["--width", "8", "--depth", "2", "-o", "x.h5"]))
"""


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith("SIGINT")
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        # Ended by the signal itself, which a shell shows as 130.
        assert process.wait(5.0) == -signal.SIGINT
        assert "Traceback" not in process.stderr.read()
