"""Claim: explicit weights, drawn and multiplied as they come, beat PyTorch's, in little memory.

    python bench/dense.py           # needs torch for the ratios (pip install torch)

Times, interleaved in the same rounds on the same threads: a layer of explicit weights for a pair
and for a batch with every observable, each thread with a trial of its own; PyTorch's randn and
matmul in float32. Verifies before it times.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from harness import interleaved, ratio, save, timed

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.runs.run import Run  # noqa: E402
from simcore.sampling.batch.cpu import BatchSampler  # noqa: E402
from simcore.sampling.contract import Signals  # noqa: E402
from simcore.statistics.blocks import Task  # noqa: E402


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def shared_trials(run, threads):
    """Return a sampler and work that takes its trials through all layers on all threads."""
    sampler = BatchSampler(run)
    sampler.prepare()
    task = Task(0, 0, 1, run.trials)
    pool = ThreadPoolExecutor(threads)

    def work():
        signals = Signals.sharing(np.zeros(1, np.int64))
        return sampler.run_shared(task, None, signals, pool, threads)

    return sampler, work


def torch_layers(width, inputs, threads):
    """Return work that takes inputs through one layer of explicit weights."""
    import torch

    torch.set_num_threads(threads)
    scale = float(np.sqrt(2.0 / width))
    x = torch.randn(width, inputs)

    @torch.inference_mode()
    def work():
        torch.relu(torch.matmul(torch.randn(width, width) * scale, x))

    def timed_alone():
        seconds = timed(work)
        time.sleep(0.5)  # its threads spin for a while after the work, at the next one's cost
        return seconds

    return timed_alone


def verify(threads):
    """One and several threads give the same bytes, and the mean of q meets its exact value."""
    run = Run(depth=1, width=(256,), sampler="dense", trials=64)
    sampler, work = shared_trials(run, threads)
    one = sampler.run(Task(0, 0, 1, 64), None, Signals.sharing(np.zeros(1, np.int64)))
    many = work()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.moments, many.moments, strict=True))
    mean, m2 = one.moments.mean[0, 0], one.moments.m2[0, 0]
    assert abs(mean - 2.0) < 5.0 * np.sqrt(m2 / 63 / 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--inputs", type=int, default=256)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    verify(options.threads)
    shape = {"depth": options.depth, "width": (options.width,), "trials": options.threads}
    pair = Run(sampler="dense", **shape)
    batch = Run(sampler="dense", shared_network=True, pairs=options.inputs // 2, **shape)
    before = peak_bytes()
    _, pair_work = shared_trials(pair, options.threads)
    pair_work()
    pair_bytes = peak_bytes() - before
    _, batch_work = shared_trials(batch, options.threads)
    batch_work()
    batch_bytes = peak_bytes() - before
    layers = options.threads * options.depth
    work = {
        "pair": lambda: timed(pair_work) / layers,
        "batch": lambda: timed(batch_work) / layers,
    }
    try:
        work["torch_pair"] = torch_layers(options.width, 2, options.threads)
        work["torch_batch"] = torch_layers(options.width, options.inputs, options.threads)
    except ImportError:
        print("torch is not installed: no comparison")
    times = interleaved(work, options.rounds)
    result = {
        "options": vars(options),
        "seconds_per_layer": {name: statistics.median(t) for name, t in times.items()},
        "peak_bytes_above_start": {"pair": pair_bytes, "batch": batch_bytes},
    }
    if "torch_pair" in times:
        result["pair_over_torch"] = ratio(times, "torch_pair", "pair")
        result["batch_over_torch"] = ratio(times, "torch_batch", "batch")
    save("dense", result)


if __name__ == "__main__":
    main()
