"""Compilation of some kernels in a second process, beside `Sampler.prepare`.

Compiling takes one core. Numba looks into the cache at the first call of each function, so what
the second process has compiled by then is loaded, and nothing has to be synchronised. The workers
of a cluster, which start together, take turns instead: the first compiles, the others load.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from simcore.numerics.compiling import FEATURES_VARIABLE, cache_folder

from .contract import Sampler

FIRST = "simcore.sampling.pair.physics.finish_layer"
"""The function that the second process compiles first: where it is cached, so is the rest."""

COMPILE_SECONDS = 120.0
"""Longest wait for another process that compiles."""

CODE = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


@contextmanager
def one_compiles(sampler: Sampler) -> Iterator[None]:
    """Let one of the processes that share a folder of kernels compile; the others wait, then load.

    Where the folder keeps no locks, each compiles. Once the kernels of such a sampler are there,
    nobody waits.

    Parameters
    ----------
    sampler
        The sampler that is prepared.
    """
    from filelock import FileLock, Timeout

    done = cache_folder() / f"{type(sampler).__name__}.compiled"
    if done.exists():
        yield
        return
    lock = FileLock(done.with_suffix(".lock"), timeout=COMPILE_SECONDS)
    with suppress(OSError, NotImplementedError, Timeout):
        lock.acquire()
    try:
        yield
        with suppress(OSError):
            done.touch()
    finally:
        lock.release()


def start(sampler: Sampler) -> subprocess.Popen[bytes] | None:
    """Start the second process for the pair sampler, whose kernels take longest.

    None for other samplers, where the kernels are cached, and where no process can be started.
    """
    import numba

    from .pair.cpu import PairSampler

    if not isinstance(sampler, PairSampler):
        return None
    cached = any(cache_folder().glob(f"{FIRST}-*"))
    if cached or not Path(sys.executable or "").stem.startswith("python"):
        return None
    config: object = numba.config
    features = getattr(config, "CPU_FEATURES", None)
    environment = dict(os.environ)
    if features:
        # They are those of this process, in which a user may have compiled before.
        environment[FEATURES_VARIABLE] = features
    try:
        return subprocess.Popen(
            [sys.executable, "-c", CODE.format(path=sys.path, module=__name__)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End the second process, wherever it is: a kernel is cached as a whole or not at all."""
    if process is not None:
        with process:
            process.kill()


def main() -> None:
    """Compile, and end early where the first process has been killed, which closes the pipe."""

    def watch() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    compile_some()


def compile_some() -> None:
    """Compile what a run of the pair sampler needs late: its physics, its controls, `join_blocks`.

    `PairSampler.prepare` does the rest in the meantime.
    """
    from simcore.runs.run import Run
    from simcore.statistics.blocks import Task
    from simcore.statistics.moments import join_blocks

    from .pair.cpu import PairSampler
    from .pair.physics import STATE, finish_layer
    from .pair.sums import TOTALS

    run = Run(depth=1, width=(64,), trials=1, keep=0, bins=1)
    sampler = PairSampler(run)
    rows = np.empty((1, 1, run.columns.count))
    state, totals = np.ones(STATE), np.ones(TOTALS)
    finish_layer(sampler.physics[0], 1, totals, state, rows[0, 0])
    sampler.controls.coefficients(0)
    join_blocks(sampler.collector(Task(0, 0, 1, 1), None), 1)
