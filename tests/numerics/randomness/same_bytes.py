"""Print digests of results that must not depend on the processor, as JSON.

Run as a script, under NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, by tests/numerics/test_arithmetic.py.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import numpy.typing as npt
from numba import njit

from simcore.numerics.arithmetic import arctan2, log, whole_power
from simcore.numerics.lanes import LANES
from simcore.numerics.rng import Stream, fill_words, normal_pair, split_key
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.asymmetric.death import SignalLaw, all_chances, inactive_chance
from simcore.sampling.pair import cpu_kernels as pair
from simcore.sampling.pair import physics as pair_physics

KEY = split_key(0x243F6A8885A308D3)
TRIAL = 2**32 + 1


@njit
def draw(words, normals):  # type: ignore[no-untyped-def]
    """Turn words, (4, groups), into normals of the same shape."""
    for j in range(words.shape[1]):
        normals[0, j], normals[1, j] = normal_pair(words[0, j], words[1, j])
        normals[2, j], normals[3, j] = normal_pair(words[2, j], words[3, j])


def normals() -> npt.NDArray[np.float32]:
    """Normals of 512 nodes and of the words at the ends of their range."""
    words = np.empty((4, 256 + 64), dtype=np.uint32)
    fill_words(words, 0, 256, np.uint64(Stream.PAIR), 0, TRIAL, 7, *KEY)
    ends = np.array([0, 1, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 2, 2**32 - 1], np.uint32)
    words[0::2, 256:] = np.repeat(ends, 8)
    words[1::2, 256:] = np.tile(ends, 8)
    result = np.empty(words.shape, dtype=np.float32)
    draw(words, result)
    return result


def elementary() -> npt.NDArray[np.float64]:
    """Logarithms, angles and chances over many orders of magnitude."""
    x = np.geomspace(1e-300, 1e300, 2001)
    steps = np.linspace(0.5, 2.0, 1001)
    logs = [log(value) for value in (*x, *steps)]
    angles = [arctan2(y, sign * r) for y, r in zip(x, x[::-1], strict=True) for sign in (1.0, -1.0)]
    whole = [whole_power(chance, 37) for chance in chances()]
    return np.array([*logs, *angles, *(arctan2(s, 1.0) for s in steps), *chances(), *whole])


def chances() -> npt.NDArray[np.float64]:
    """Chances of inactive nodes of `rai`, whose loop becomes vectors, for 1 to 40 nodes before."""
    x, r = np.geomspace(1e-9, 1e3, 41), np.linspace(-1.0, 1.0, 41)
    law = SignalLaw(1.0, 0.3, 0.1, 1.0, 1e-4, 1e-7, 5.0, 1.0)
    work = np.empty((4, LANES))
    sums = [(n, all_chances(n, x, r, law, work)) for n in range(1, 41)]
    return np.array([inactive_chance(total, n, law) for n, total in sums])


def trajectories() -> npt.NDArray[np.float64]:
    """Observables and states of three trials: whole chunks, a broken one, a layer below 64."""
    run = Run(depth=5, layer_widths=(700, 40, 700, 513, 700), k=(1.0,), ensemble="correlated")
    point = run.points[0]
    physics = pair_physics.Physics.of(point)
    states = np.empty((3, pair_physics.STATE))
    rows = np.empty((3, run.depth, len(NAMES)))
    pair_physics.start(physics, states)
    stop, progress = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    pair.advance(physics, point.layer_widths(run.depth), TRIAL, 0, states, rows, stop, progress)
    return np.concatenate([rows.ravel(), states.ravel()])


def main() -> None:
    """Print the digests, and whether the normals were compiled to fused instructions."""
    report: dict[str, object] = {
        part.__name__: hashlib.sha256(part().tobytes()).hexdigest()
        for part in (normals, elementary, trajectories)
    }
    assembly = "".join(draw.inspect_asm().values())
    report["fused"] = "vfmadd" in assembly
    report["vectors"] = [name for name in ("xmm", "ymm", "zmm") if name in assembly]
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
