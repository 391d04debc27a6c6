"""Runs `simulate` and says when it is in a phase, staying there for a while; a program of its own.

usage: interrupted.py PHASE ARGUMENTS…
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from simcore.cli.simulate import main

import simcore.files.run_file
from simcore.files.run_results import RunResults
from simcore.sampling.pair.cpu import PairSampler

PHASES = ("compiling", "first task", "checkpointing", "last fold")


def paused(original: Callable[..., Any], phase: str, when: Callable[..., bool]) -> Any:
    """Return a function that says so and waits before it does what `original` does."""

    def wrapped(*positional: Any, **named: Any) -> Any:
        if when(*positional, **named):
            print(phase, flush=True)
            time.sleep(0.5)
        return original(*positional, **named)

    return wrapped


def always(*_: Any) -> bool:
    return True


def arrange(phase: str) -> None:
    written = []

    def second_checkpoint(_: Any, results: RunResults, **__: Any) -> bool:
        written.append(results.complete)
        return written == [False, False]

    def last_fold(_: Any, results: RunResults, **__: Any) -> bool:
        return results.complete

    if phase == "compiling":
        PairSampler.prepare = paused(PairSampler.prepare, phase, always)  # type: ignore[method-assign]
    elif phase == "first task":
        PairSampler.run = paused(PairSampler.run, phase, always)  # type: ignore[method-assign]
    else:
        when = second_checkpoint if phase == "checkpointing" else last_fold
        simcore.files.run_file.write_run = paused(simcore.files.run_file.write_run, phase, when)


if __name__ == "__main__":
    arrange(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
