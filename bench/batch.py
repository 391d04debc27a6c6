"""Claim: the exact law of a layer beats its explicit weights, and is near its own linear algebra.

    python bench/batch.py            # the comparison at one size
    python bench/batch.py --table    # seconds per layer of both samplers at many sizes

Times, interleaved in the same rounds on the same threads, each with a trial of its own: `gram` and
`dense` with every observable; the QR factorisation, the normals and the product of `gram` alone.
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor

from harness import interleaved, ratio, save, timed

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.numerics.rng import ROOM  # noqa: E402
from simcore.runs.run import Run  # noqa: E402
from simcore.sampling.batch import cpu as driver  # noqa: E402
from simcore.sampling.batch import gram  # noqa: E402
from simcore.sampling.batch.cpu import BatchSampler  # noqa: E402
from simcore.sampling.batch.cpu_kernels import Layer  # noqa: E402
from simcore.sampling.contract import Signals  # noqa: E402
from simcore.statistics.blocks import Task  # noqa: E402

WIDTHS = (64, 256, 1024, 4096)
INPUTS = (2, 8, 32, 128, 512, 2048)
MOST_OPERATIONS = 2e10
"""Larger layers are left out of the table."""


def run_of(sampler, width, inputs, depth, trials):
    return Run(
        depth=depth,
        width=(width,),
        sampler=sampler,
        shared_network=True,
        pairs=inputs // 2,
        trials=trials,
        keep=0,
    )


def sampler_work(run, threads):
    """Return work that takes the run's trials through all layers on all threads."""
    sampler = BatchSampler(run)
    sampler.prepare()
    task = Task(0, 0, 1, run.trials)
    pool = ThreadPoolExecutor(threads)

    def work():
        signals = Signals.sharing(np.zeros(1, np.int64))
        return sampler.run_shared(task, None, signals, pool, threads)

    return work


def algebra_work(run, threads):
    """Return work that only factors, draws and multiplies, as often as `gram` does for the run."""
    width, columns = run.width[0], run.batch
    t = np.random.default_rng(0).standard_normal((columns, width))
    law = BatchSampler(run).laws[0]
    pool = ThreadPoolExecutor(threads)

    def one(trial):
        h, words = np.empty((columns, width)), np.empty((4, ROOM), np.uint32)
        for number in range(1, run.depth + 1):
            layer = Layer(law, 0.0, None, None, trial, number, None, None, None, words)
            factors = gram.Factors(t.copy())
            r = factors.r()
            nodes = gram.tile_nodes(factors.rank, width)
            room = np.empty((nodes, factors.rank))
            for first in range(0, width, nodes):
                tile = room[: min(nodes, width - first)]
                gram.fill_tile(layer, gram.BATCH, first, tile)
                np.matmul(r, tile.T, out=h[:, first : first + len(tile)])

    def work():
        with driver._single_threaded_blas():
            list(pool.map(one, range(run.trials)))

    return work


def compare(options):
    size = (options.width, options.inputs, options.depth, options.threads)
    runs = {name: run_of(name, *size) for name in ("gram", "dense")}
    jobs = {name: sampler_work(run, options.threads) for name, run in runs.items()}
    jobs["algebra"] = algebra_work(runs["gram"], options.threads)
    layers = options.threads * options.depth
    times = interleaved(
        {name: (lambda job=job: timed(job) / layers) for name, job in jobs.items()}, options.rounds
    )
    result = {
        "options": vars(options),
        "seconds_per_layer": {name: statistics.median(t) for name, t in times.items()},
        "gram_over_dense": ratio(times, "dense", "gram"),
        "gram_over_algebra": ratio(times, "algebra", "gram"),
    }
    save("batch", result)


def table():
    """Seconds per layer and thread, from one thread at work."""
    rows = []
    for width in WIDTHS:
        for inputs in INPUTS:
            row = {"width": width, "inputs": inputs}
            rank = min(width, inputs)
            operations = {
                "dense": 2.0 * width * width * (inputs + 20),
                "gram": 4.0 * width * inputs * rank,
            }
            for name, count in operations.items():
                if count > MOST_OPERATIONS:
                    continue
                depth = max(1, min(200, int(5e8 / count)))
                work = sampler_work(run_of(name, width, inputs, depth, 1), 1)
                work()
                row[name] = statistics.median(timed(work) / depth for _ in range(3))
            rows.append(row)
            print(row, flush=True)
    save("batch_table", {"seconds_per_layer": rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--inputs", type=int, default=256)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    (table if options.table else compare)(options)


if __name__ == "__main__":
    main()
