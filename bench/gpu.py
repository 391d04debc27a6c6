"""Claim: the GPU gives the bytes of the CPU for pairs, at a rate near what its instructions allow.

    python bench/gpu.py            # needs a GPU and the extra cuda12 or cuda13; torch for a ratio

Not yet run on hardware. First it verifies: the statistics of runs of many widths, byte for byte
against the CPU; and, if they differ, whether they still have the same law. Then it measures, for
widths from 256 to a million and interleaved in the same rounds, node updates a second of: the
kernel alone; a task of the sampler, statistics included; a whole run; its normals alone, compiled
alike; PyTorch with explicit weights (randn and matmul in float32, many networks at a time),
where these fit in memory. And of 1, 8 and 64 trials: a thread block for each, against many for a
layer of each. The static limit is what the multiprocessors can issue over the instructions of a
node.
Then, where CuPy is installed, batches and explicit weights: their rows against the CPU's, to six
digits, and for some widths and numbers of pairs the weights a second of `dense`
and of PyTorch (randn and bmm, float32, ReLU); and those that `gram` need not draw.
Prints tables and writes bench/results/gpu.json. Without a GPU it says so and exits with 2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

from harness import interleaved, save, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # from a checkout, not installed

from simcore.machine.gpu import cupy_obstacle, look, obstacle
from simcore.numerics.compiling import prefer_wide_vectors

WIDTHS = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_000_000)
VERIFIED = (1, 5, 63, 64, 511, 512, 4096, 70_000)
KS = (-0.5, 0.0, 1.0, float("inf"))
FEW = (1, 8, 64)
"""Trials that leave most of a GPU idle, a thread block each."""

TARGET_NODES = 4e10
"""Node updates of a launch: a tenth of a second of a fast GPU."""

ROWS_BYTES = 2**30
EXPLICIT_BYTES = 2**31
"""Room for the rows of a launch, and for PyTorch's weights."""

FILL = 2048
"""Trials that keep every multiprocessor busy, a thread block each."""

INSTRUCTIONS = 114
"""Machine instructions of a node, at most: tests/emulator/test_pair_budget.py holds the kernel to
it."""

WARP, SCHEDULERS = 32, 4
"""Threads that issue together, and how many such issues a multiprocessor makes in a cycle."""

LEAST_P = 1e-4
"""False alarms of the two-sample tests, all widths together: one in a thousand."""


# --- verifying ----------------------------------------------------------------------------------


def runs():
    """Return small runs of every kind that the kernels know."""
    from simcore.runs.run import Run

    for width in VERIFIED:
        depth, trials = (3, 70) if width > 5000 else (20, 200)
        yield Run(
            width=(width,),
            depth=depth,
            trials=trials,
            ensemble="correlated",
            k=KS,
            sigma_b=(0.0, 0.1),
        )
    yield Run(width=(70_000,), depth=2, trials=1024)


def verify():
    """Compare the GPU with the CPU; return a line for each run, and whether all agree in law."""
    from simcore.doctor import digest

    lines, good = [], True
    for run in runs():
        same = digest(run) == digest(replace(run, device="cuda"))
        least = 1.0 if same else least_p(run)
        good = good and least > LEAST_P
        lines.append({"width": run.width[0], "same_bytes": same, "least_p": least})
        print(f"N = {run.width[0]}: {'same bytes' if same else f'other bytes, p = {least:.2g}'}")
    return lines, good


def least_p(run):
    """Return the least p-value, over the points, of two-sample tests of the last layer."""
    import numpy as np
    from scipy.stats import ks_2samp

    from simcore.execution.execute import execute

    many = replace(run, trials=1000, keep=1000)
    kinds = (many, replace(many, device="cuda", seed=1))
    points = [execute(plan, threads=1).points for plan in kinds]
    found = []
    for one, other in zip(*points, strict=True):
        last = [np.nan_to_num(point.trajectories[:, -1, 1], nan=1e3) for point in (one, other)]
        found.append(ks_2samp(*last).pvalue)
    return min(1.0, float(min(found)) * len(found))


# --- measuring ----------------------------------------------------------------------------------


def measured(width):
    """Return a run of one width that fills a GPU for a while."""
    from simcore.runs.run import Run
    from simcore.sampling.row import COLUMNS

    depth = 100 if width <= 4096 else 8
    most = ROWS_BYTES // (8 * COLUMNS * depth)
    trials = int(min(max(TARGET_NODES / (width * depth), FILL), most))
    return Run(width=(width,), depth=depth, trials=trials // 64 * 64, keep=0, device="cuda")


def kernel_alone(run):
    """Return work that takes all trials of a run through all layers at once, without statistics."""
    from numba import cuda

    from simcore.sampling.pair.cuda import PairCudaSampler
    from simcore.sampling.row import COLUMNS

    sampler = PairCudaSampler(run)
    rows = sampler.device.room((run.trials, run.depth, COLUMNS))

    def work():
        states = sampler.start(0, 0, run.trials)
        return on_device(cuda, lambda: sampler.make_rows(0, 0, 0, states, rows))

    return work


def whole_task(run):
    """Return work that runs the largest task of a run, and its nodes."""
    import numpy as np

    from simcore.sampling.contract import Signals
    from simcore.sampling.pair.cuda import PairCudaSampler
    from simcore.statistics.blocks import BLOCK, Task

    sampler = PairCudaSampler(run)
    task = Task.cut(0, 0, run.trials // BLOCK, sampler.blocks_per_task(0))
    signals = Signals.sharing(np.zeros(1, dtype=np.int64))
    nodes = task.trials * run.depth * run.width[0]
    return lambda: timed(lambda: sampler.run(task, None, signals)), nodes


def shared_from(width, work):
    """Do some work with layers shared between thread blocks from a width on."""
    from simcore.sampling.pair import cuda as pair_cuda

    with patch.object(pair_cuda, "WIDE", width):
        return work()


def few_trials(width, rounds):
    """Return node updates a second of few trials, by their number and by who sums a layer."""
    from simcore.runs.run import Run

    found = []
    for trials in FEW:
        run = Run(width=(width,), depth=20, trials=trials, keep=0, device="cuda")
        kernel = kernel_alone(run)
        work = {
            "one block": partial(shared_from, width + 1, kernel),
            "many blocks": partial(shared_from, width, kernel),
        }
        times = interleaved(work, rounds)
        nodes = trials * run.depth * width
        rates = {name: nodes / statistics.median(own) for name, own in times.items()}
        found.append({"width": width, "trials": trials, **rates})
    return found


def normals_kernel():
    """Return a kernel that draws the normals of trials, a block each, and adds them up."""
    import numpy as np
    from numba import cuda

    from simcore.numerics.rng import counter_word3
    from simcore.sampling.pair.cuda_kernels import THREADS, group_normals

    @cuda.jit
    def kernel(key0, key1, groups, layers, sums):
        trial, thread = np.uint64(cuda.blockIdx.x), np.uint32(cuda.threadIdx.x)
        total = np.float32(0.0)
        layer = np.uint32(0)
        while layer < layers:
            word = counter_word3(np.uint64(layer) + np.uint64(1), trial)
            group = thread
            while group < groups:
                z1, z2, z3, z4 = group_normals(group, trial, word, key0, key1)
                total += (z1 + z2) + (z3 + z4)
                group = np.uint32(group + np.uint32(THREADS))
            layer = np.uint32(layer + np.uint32(1))
        sums[cuda.blockIdx.x, thread] = total

    return kernel


def normals_alone(run):
    """Return work that draws as many normals as a run, by as many threads."""
    import numpy as np
    from numba import cuda

    from simcore.sampling.pair.cuda import PairCudaSampler
    from simcore.sampling.pair.cuda_kernels import THREADS

    physics = PairCudaSampler(run).physics[0]
    groups, layers = np.uint32(run.width[0] // 2), np.uint32(run.depth)
    sums = cuda.device_array((run.trials, THREADS), np.float32)
    launch = normals_kernel()[run.trials, THREADS]
    return lambda: on_device(cuda, lambda: launch(physics.key0, physics.key1, groups, layers, sums))


def on_device(cuda, launch):
    """Return the seconds that a launch takes."""
    cuda.synchronize()
    before = time.perf_counter()
    launch()
    cuda.synchronize()
    return time.perf_counter() - before


def explicit_weights(run):
    """Return work of PyTorch for one layer of some networks, and their number; None if too wide."""
    import torch

    width = run.width[0]
    networks = EXPLICIT_BYTES // (4 * width * width)
    if not networks:
        return None, 0
    scale = (2.0 / width) ** 0.5
    signals = torch.randn(networks, width, 2, device="cuda")
    weights = torch.empty(networks, width, width, device="cuda")

    @torch.inference_mode()
    def work():
        torch.cuda.synchronize()
        before = time.perf_counter()
        weights.normal_(std=scale)
        torch.relu(torch.bmm(weights, signals))
        torch.cuda.synchronize()
        return time.perf_counter() - before

    return work, networks


def measure(width, rounds, with_torch):
    """Return node updates a second of every kind of work at one width."""
    from simcore.execution.execute import execute

    run = measured(width)
    work = {
        "kernel": kernel_alone(run),
        "run": lambda: execute(run).seconds,
        "normals": normals_alone(run),
    }
    nodes = dict.fromkeys(work, run.trials * run.depth * width)
    work["task"], nodes["task"] = whole_task(run)
    if with_torch:
        explicit, networks = explicit_weights(run)
        if explicit is not None:
            work["torch"], nodes["torch"] = explicit, networks * width
    times = interleaved(work, rounds)
    rates = {name: [nodes[name] / seconds for seconds in times[name]] for name in work}
    return {
        "width": width,
        "depth": run.depth,
        "trials": run.trials,
        **{
            name: {"median": statistics.median(own), "min": min(own), "max": max(own)}
            for name, own in rates.items()
        },
    }


# --- matrix products ----------------------------------------------------------------------------

BATCHES = ((1024, 1), (4096, 1), (1024, 64), (4096, 64), (4096, 512))
"""Widths and numbers of pairs."""

TARGET_WEIGHTS = 2e11
"""Weights of a run of `dense`."""

SIX_DIGITS = 3e-6
"""What nine of ten values keep, relative, of the CPU's."""


def batch(width, pairs, trials, **options):
    """Return a run of explicit weights, or of another sampler."""
    from simcore.runs.run import Run

    settings = {"depth": 4, "keep": 0, "device": "cuda", "sampler": "dense"} | options
    return Run(width=(width,), pairs=pairs, shared_network=True, trials=trials, **settings)


def rows_of(run, carried=1):
    """Return the observables of the trials of a run's first point, shape (trial, layer, column).

    Trials of a batch may carry their signals in one place; pairs have their own.
    """
    import numpy as np

    from simcore.sampling.choose import sampler_for
    from simcore.sampling.contract import Signals

    sampler, rows = sampler_for(run), np.empty((run.trials, run.depth, run.columns.count))
    if run.device == "cuda":
        made = sampler.device.room(rows.shape)
        sampler.make_rows(0, 0, 0, sampler.start(0, 0, len(rows)), made)
        sampler.device.get(made, rows)
    else:
        sampler.advance(0, 0, 0, sampler.carry(0, carried), rows, Signals.sharing())
    return rows


def batches_agree():
    """Return what nine of ten values of small batches lose, relative, at most, by sampler."""
    import numpy as np

    lost = {}
    for name in ("dense", "gram"):
        run = batch(300, 8, 20, sampler=name)
        made, expected = rows_of(run), rows_of(replace(run, device="cpu"))
        off = np.abs(made - expected) / (1e-300 + np.abs(expected))
        lost[name] = float(np.nanquantile(off, 0.9))
        print(f"{name}: nine of ten values lose {lost[name]:.2g}")
    return lost


def torch_networks(width, columns):
    """Return work of PyTorch for one layer of some networks with many signals, and their number."""
    import torch

    networks = max(1, EXPLICIT_BYTES // (4 * width * width))
    signals = torch.randn(networks, width, columns, device="cuda")
    weights = torch.empty(networks, width, width, device="cuda")
    torch.backends.cuda.matmul.allow_tf32 = False

    @torch.inference_mode()
    def work():
        torch.cuda.synchronize()
        before = time.perf_counter()
        weights.normal_(std=(2.0 / width) ** 0.5)
        torch.relu(torch.bmm(weights, signals))
        torch.cuda.synchronize()
        return time.perf_counter() - before

    return work, networks


def measure_batch(width, pairs, rounds, with_torch):
    """Return weights a second of every kind of work, for one width and number of pairs."""
    from simcore.execution.execute import execute

    trials = max(64, int(TARGET_WEIGHTS / (4 * width * width)) // 64 * 64)
    runs = {
        "dense": batch(width, pairs, trials),
        "gram": batch(width, pairs, min(trials, 256), sampler="gram"),
    }
    work = {name: lambda run=run: execute(run).seconds for name, run in runs.items()}
    weights = {name: run.trials * run.depth * width * width for name, run in runs.items()}
    if with_torch:
        work["torch"], networks = torch_networks(width, 2 * pairs)
        weights["torch"] = networks * width * width
    times = interleaved(work, rounds)
    return {"width": width, "pairs": pairs} | {
        name: statistics.median(weights[name] / seconds for seconds in times[name]) for name in work
    }


def measure_batches(rounds, with_torch):
    """Verify batches, then measure them; return both, or None where they are wrong."""
    lost = batches_agree()
    if max(lost.values()) > SIX_DIGITS:
        print("the GPU's batches are not the CPU's: nothing of them is timed")
        return None
    rows = [measure_batch(width, pairs, rounds, with_torch) for width, pairs in BATCHES]
    names = ("width", "pairs", "dense", "gram", "torch")
    print("weights a second (of gram: those that it need not draw)")
    print("".join(f"{name:>12}" for name in names))
    for row in rows:
        print("".join(f"{row.get(name, float('nan')):>12.4g}" for name in names))
    return {"lost": lost, "weights_per_second": rows}


def static_limit(instructions):
    """Return node updates a second if every cycle issued what it can."""
    from numba import cuda

    device = cuda.get_current_device()
    cycles = device.MULTIPROCESSOR_COUNT * SCHEDULERS * device.CLOCK_RATE * 1e3
    return cycles * WARP / instructions


def show(rows, limit):
    """Print the table."""
    names = ("kernel", "task", "run", "normals", "torch")
    more = ("of limit", "over torch")
    print("".join(f"{heading:>12}" for heading in ("width", *names, *more)))
    for row in rows:
        rates = [row[name]["median"] if name in row else float("nan") for name in names]
        cells = [f"{rate:.3g}" for rate in rates]
        cells += [f"{rates[0] / limit:.2f}", f"{rates[2] / rates[4]:.3g}"]
        print(f"{row['width']:>12}" + "".join(f"{cell:>12}" for cell in cells))


def show_few(rows):
    """Print the table of few trials."""
    names = ("width", "trials", "one block", "many blocks", "ratio")
    print("".join(f"{name:>12}" for name in names))
    for row in rows:
        one, many = row["one block"], row["many blocks"]
        cells = (row["width"], row["trials"], f"{one:.3g}", f"{many:.3g}", f"{many / one:.3g}")
        print("".join(f"{cell:>12}" for cell in cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--instructions", type=float, default=INSTRUCTIONS, help="of a node")
    options = parser.parse_args()
    problem = obstacle(look())
    if problem is not None:
        print(f"no GPU can be used: cuda {problem.rule}. {problem.remedy}.", file=sys.stderr)
        return 2
    import numba  # noqa: F401 - the features are set between this import and the kernels'

    prefer_wide_vectors()
    verified, good = verify()
    if not good:
        print("the GPU's results have another law than the CPU's: nothing is timed")
        return 1
    try:
        import torch

        with_torch = torch.cuda.is_available()
    except ImportError:
        with_torch = False
    if not with_torch:
        print("PyTorch for CUDA is not installed: no comparison with explicit weights")
    rows = [measure(width, options.rounds, with_torch) for width in options.widths]
    limit = static_limit(options.instructions)
    show(rows, limit)
    few = [row for width in options.widths for row in few_trials(width, options.rounds)]
    show_few(few)
    found = asdict(look())
    result = {"device": found, "static_limit": limit, "options": vars(options)}
    result |= {
        "verified": verified,
        "node_updates_per_second": rows,
        "few_trials": few,
    }
    problem = cupy_obstacle(look())
    if problem is not None:
        print(f"no batches: cuda {problem.rule}. {problem.remedy}.")
        save("gpu", result)
        return 0
    batches = measure_batches(options.rounds, with_torch)
    save("gpu", result | {"batches": batches})
    return 0 if batches is not None else 1


if __name__ == "__main__":
    sys.exit(main())
