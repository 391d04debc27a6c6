"""Claim: the pair sampler is thousands of times faster than explicit weights, and near its bound.

    python bench/pair.py            # needs torch for the first ratio (pip install torch)

Times, interleaved in the same rounds, all on the same threads: the whole sampler with every
observable; its normals alone, and its normals with one sum, compiled alike; PyTorch with explicit
weights (randn and matmul in float32). Verifies before it times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor, wait

from harness import interleaved, ratio, save, timed

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported
from numba import njit  # noqa: E402

from simcore.execution.execute import execute  # noqa: E402
from simcore.numerics.arithmetic import fma32  # noqa: E402
from simcore.numerics.lanes import LANES  # noqa: E402
from simcore.numerics.rng import as_normal, fill_normals  # noqa: E402
from simcore.runs.run import Run  # noqa: E402
from simcore.sampling.pair.physics import Physics  # noqa: E402
from simcore.sampling.pair.sums import GROUPS, PAIR_STREAM  # noqa: E402

ZERO = np.float32(0.0)
ROUNDS = GROUPS // LANES


@njit(nogil=True)
def normals_only(physics, trials, depth, chunks, words, sums):  # noqa: ARG001 - as the other
    """The normals of every layer, left in memory."""
    for t in range(trials):
        for layer in range(1, depth + 1):
            for c in range(chunks):
                fill_normals(
                    words, c * GROUPS, ROUNDS, PAIR_STREAM, 0, t, layer, physics.key0, physics.key1
                )


@njit(nogil=True)
def normals_one_sum(physics, trials, depth, chunks, words, sums):
    """The normals of every layer, and the sum of the squared activations of one signal."""
    for t in range(trials):
        for layer in range(1, depth + 1):
            for c in range(chunks):
                fill_normals(
                    words, c * GROUPS, ROUNDS, PAIR_STREAM, 0, t, layer, physics.key0, physics.key1
                )
                add_squares(words.reshape(4 * GROUPS), sums)


@njit(nogil=True)
def add_squares(normals, sums):
    for b in range(ROUNDS):
        for lane in range(LANES):
            j = b * LANES + lane
            x = max(as_normal(normals[j]), ZERO)
            y = max(as_normal(normals[2 * GROUPS + j]), ZERO)
            sums[lane] = fma32(y, y, fma32(x, x, sums[lane]))


def on_threads(kernel, run, threads):
    """Return work that runs a normals kernel on as many node updates as the run has."""
    physics = Physics.of(run.points[0])
    chunks = run.width[0] // (2 * GROUPS)
    rooms = [
        (np.empty((4, GROUPS), np.uint32), np.zeros(64 * LANES, np.float32)) for _ in range(threads)
    ]
    pool = ThreadPoolExecutor(threads)
    share = run.trials // threads

    def work():
        jobs = [pool.submit(kernel, physics, share, run.depth, chunks, *room) for room in rooms]
        wait(jobs)

    return lambda: timed(work)


def torch_trial(width, depth, threads):
    """Return work that takes one pair through `depth` layers of explicit weights."""
    import torch

    torch.set_num_threads(threads)
    scale = float(np.sqrt(2.0 / width))

    @torch.inference_mode()
    def work():
        x = torch.randn(width, 2)
        for _ in range(depth):
            x = torch.relu(torch.matmul(torch.randn(width, width) * scale, x))

    def timed_alone():
        seconds = timed(work)
        time.sleep(0.5)  # its threads spin for a while after the work, at the next one's cost
        return seconds

    return timed_alone


def verify(run, threads):
    """One and several threads give the same bytes, and the mean of q meets its exact value."""
    one = execute(run, threads=1).points[0].published()
    many = execute(run, threads=threads).points[0].published()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, many, strict=True))
    error = np.sqrt(one.m2[:, 0] / (one.count[:, 0] - 1) / one.count[:, 0])
    assert np.all(np.abs(one.mean[:, 0] - 2.0) < 5.0 * error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--trials", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--torch-layers", type=int, default=2)
    options = parser.parse_args()
    run = Run(depth=options.depth, width=(options.width,), trials=options.trials)
    verify(Run(depth=20, width=(options.width,), trials=130), options.threads)
    work = {
        "sampler": lambda: execute(run, threads=options.threads).seconds,
        "normals": on_threads(normals_only, run, options.threads),
        "normals+sum": on_threads(normals_one_sum, run, options.threads),
    }
    try:
        work["torch"] = torch_trial(options.width, options.torch_layers, options.threads)
    except ImportError:
        print("torch is not installed: no comparison with explicit weights")
    times = interleaved(work, options.rounds)
    nodes = options.width * options.depth * options.trials
    result = {
        "options": vars(options),
        "node_updates_per_second": {
            name: nodes / statistics.median(times[name])
            for name in ("sampler", "normals", "normals+sum")
        },
        "rate_over_normals": ratio(times, "normals", "sampler"),
        "rate_over_normals_and_sum": ratio(times, "normals+sum", "sampler"),
    }
    if "torch" in times:
        # Seconds per trial: torch is timed on a few layers, each costing the same.
        scale = options.trials * options.depth / options.torch_layers
        per_trial = {**times, "torch": [scale * seconds for seconds in times["torch"]]}
        result["trials_per_second_over_torch"] = ratio(per_trial, "torch", "sampler")
        result["torch_seconds_per_trial"] = statistics.median(per_trial["torch"]) / options.trials
    save("pair", result)


if __name__ == "__main__":
    main()
