"""Kills a run at random moments, again and again, and resumes it; a program of its own.

usage: kill_many.py FOLDER KILLS SEED

A process that has compiled everything forks the runs, so that a kill can come at any moment of the
first milliseconds, too. After each kill the file must be whole; whenever a run gets to its end its
file must have the bytes of a run that nobody disturbed. Prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import simcore.execution.execute
import simcore.execution.loop
from simcore.files.run_file import read_state
from simcore.results.open_run import open_run
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from tests.support.same_results import differences

RUN = Run(depth=20, width=(200, 300), ensemble="correlated", k=(0.0, 1.0), trials=3000)
LONGEST_LIFE = 0.6
"""Seconds until a kill, at most, beside twice those that a run takes to make its file."""


def fork(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return child


def go_on(path: Path) -> None:
    if path.exists():
        simcore.execution.execute.resume(path, threads=2, checkpoint=0.0)
    else:
        simcore.execution.execute.execute(RUN, output=path, threads=2, checkpoint=0.0)


def check(path: Path, before: int) -> int:
    """Return the trials in the file, which must be whole in itself."""
    run, points = read_state(path)
    assert run == RUN
    trials = [point.tree.blocks * BLOCK for point in points]
    assert sum(trials) >= before
    dataset = open_run(path)
    if not dataset.attrs["complete"]:
        # A partial last block is in the results, and is simulated again.
        counts = dataset["inactive1_count"].to_numpy()[..., 0].ravel()
        extra = {int(count) - held for count, held in zip(counts, trials, strict=True)}
        assert extra <= {0, RUN.trials % BLOCK}
    return sum(trials)


def seconds_to_begin(path: Path) -> float:
    """Return how long a run takes until there is a file, which depends on the machine's load."""
    began, child = time.monotonic(), fork(lambda: go_on(path))
    while not path.exists():
        time.sleep(0.0005)
    seconds = time.monotonic() - began
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    path.unlink()
    return seconds


def main(folder: Path, kills: int, seed: int) -> None:
    simcore.execution.loop.CHECKPOINT_COST = 0.0
    simcore.execution.loop.POLL_SECONDS = 0.005
    chance = random.Random(seed)
    expected, path = folder / "expected.h5", folder / "run.h5"
    simcore.execution.execute.execute(RUN, output=expected)  # compiles for all the children, too
    longest = LONGEST_LIFE + 2.0 * seconds_to_begin(path)
    killed = resumed = finished = trials = 0
    while killed < kills or path.exists():
        resumed += path.exists()
        child = fork(lambda: go_on(path))
        end = time.monotonic() + chance.uniform(0.0, longest)
        alive = True
        while alive and (killed == kills or time.monotonic() < end):
            done, status = os.waitpid(child, os.WNOHANG)
            alive = done == 0
            time.sleep(0.0005)
        if alive:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            killed += 1
            trials = check(path, trials) if path.exists() else 0
            continue
        assert status == 0
        assert differences(expected, path) == []
        finished += 1
        trials = 0
        path.unlink()
    left = sorted(name.name for name in folder.iterdir() if name.name != "expected.h5")
    assert set(left) <= {"run.h5.part", ".run.h5.lock"}, left
    print(json.dumps({"killed": killed, "resumed": resumed, "finished": finished}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
