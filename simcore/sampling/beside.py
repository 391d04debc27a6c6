"""Compilation of some kernels in a second process, beside `Sampler.prepare`.

Compiling takes one core. Numba looks into the cache at the first call of each function, so what
the second process has compiled by then is loaded, and nothing has to be synchronised.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from simcore.numerics.compiling import FEATURES_VARIABLE, cache_folder

FIRST = "simcore.sampling.pair.physics.finish_layer"
"""The function that the second process compiles first: where it is cached, so is the rest."""

CODE = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


def start() -> subprocess.Popen[bytes] | None:
    """Start the second process; None where the kernels are cached, or where none can be started."""
    import numba

    cached = any(cache_folder().glob(f"{FIRST}-*"))
    if cached or not Path(sys.executable or "").stem.startswith("python"):
        return None
    config: object = numba.config
    features = getattr(config, "CPU_FEATURES", None)
    environment = dict(os.environ)
    if features:
        # `compiling.prefer_wide_vectors` sets them for its own process only.
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
