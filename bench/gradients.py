"""Claim: gradients and tangent kernels of wide, deep networks cost O(N), and published laws hold.

    python bench/gradients.py                   # all parts, some ten minutes of two cores
    python bench/gradients.py cost torch        # the times alone (torch needs PyTorch)
    python bench/gradients.py --figure docs/gradients.png

`cost` compares CPU times of runs with and without gradients, in the same rounds; `torch` the rate
of trials with PyTorch's forward and backward pass through explicit weights. `growth` measures the
growth of gradients for k > 0, `variance` the second moment of weight gradients [Hanin & Nica 2019,
arXiv 1909.05989], `dispersion` the spread of the tangent kernel over networks at the settings of
Seleznova & Kutyniok (2022, arXiv 2202.00553): 100 wide, up to 50 deep, three weight scales.
`students` measures the gradients of the networks that docs/trainability.md trains.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from pathlib import Path

import numpy as np
from harness import RESULTS, hardware, interleaved, ratio

from simcore import Run, simulate
from simcore.sampling.choose import sampler_for
from simcore.sampling.contract import Signals
from simcore.statistics.blocks import Task

SIZES = ((4096, 200, 16), (256, 200, 64), (64, 50, 256))
"""Width, depth and networks of `cost`."""

TORCH = (4096, 20, 16)
"""Width, depth and networks of `torch`: so deep, the weights of one network fit into memory."""

STRENGTHS = (1.0, 10.0, math.inf)
DEPTHS = (5, 10, 20, 30, 50)
VARIANCES = (1.0, 2.0, 3.0)
"""Squared weight scales of `dispersion`: below, at and above 2."""

BIAS = 1.0
"""Bias scale of `dispersion`."""


def work(run):
    """Return a function that runs a task and returns its CPU time."""
    sampler = sampler_for(run)
    sampler.prepare()
    task = Task(0, 0, -(-run.trials // 64), run.trials)

    def once():
        start = time.process_time()
        sampler.run(task, None, Signals.sharing())
        return time.process_time() - start

    return once


def cost():
    found = []
    for width, depth, trials in SIZES:
        options = {"width": (width,), "depth": depth, "trials": trials, "keep": 0}
        runs = {
            name: work(Run(**options, gradients=name == "with")) for name in ("without", "with")
        }
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = interleaved(runs, 9)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        own = {"width": width, "depth": depth, "ratio": ratio(times, "with", "without")}
        found.append({**own, "trials_per_second": trials / min(times["with"]), "grown_kB": grown})
    return found


def torch_network(width, depth):
    """Return a function that draws a network, goes forward and back, and returns its CPU time."""
    import torch

    scale = math.sqrt(2.0 / width)

    def once():
        start = time.process_time()
        weights = [torch.randn(width, width).mul_(scale) for _ in range(depth)]
        h = [weights[0] @ torch.randn(width, 2)]
        for w in weights[1:]:
            h.append(w @ torch.relu(h[-1]))
        delta = torch.randn(width, 1) / math.sqrt(width) * (h[-1] > 0)
        for w, x in zip(weights[:0:-1], h[-2::-1], strict=True):
            delta = (w.T @ delta) * (x > 0)
        return time.process_time() - start

    return once


def torch_rate():
    width, depth, trials = TORCH
    run = Run(width=(width,), depth=depth, trials=trials, keep=0, gradients=True)
    times = interleaved({"torch": torch_network(width, depth), "simcore": work(run)}, 3)
    found = ratio(times, "torch", "simcore")
    return {"width": width, "depth": depth} | {name: x * trials for name, x in found.items()}


def growth():
    found = []
    for k in STRENGTHS:
        ds = simulate(width=4096, depth=50, k=k, trials=2000, gradients=True, seed=1)
        log = ds["log_gradient1"].to_numpy()
        first = ds["log_gradient1_theory_1n"].to_numpy()
        layers = len(log) - 1
        factor = math.exp((log[0] - log[-1]) / layers)
        error = factor * float(ds["log_gradient1_stderr"][0]) / layers
        g = float(ds["g"])
        expected = math.exp((first[0] - first[-1]) / layers)
        row = {"k": str(k), "factor": factor, "error": error, "infinite": math.pi / (math.pi - g)}
        found.append(row | {"first_order": expected})
    return found


def variance():
    """E w²/(E w)² of weight gradients at layer 1, of 100,000 networks in twenty parts."""
    found = []
    for width, depth in ((100, 10), (100, 20), (25, 4), (400, 50)):
        moments = []
        for part in range(20):
            ds = simulate(width=width, depth=depth, trials=5000, gradients=True, seed=part)
            mean, std = (float(ds[f"weight_gradient1{end}"][0]) for end in ("", "_std"))
            moments.append((mean, std**2 + mean**2))
        means, squares = np.array(moments).T
        whole = squares.mean() / means.mean() ** 2
        # The ratio's error, to first order in those of both moments.
        parts = squares / means.mean() ** 2 - 2.0 * whole * means / means.mean()
        row = {"width": width, "depth": depth, "measured": float(whole)}
        row["error"] = float(np.std(parts, ddof=1) / math.sqrt(len(parts)))
        row |= {"exact": (1.0 + 5.0 / width) ** depth, "exp": math.exp(5.0 * depth / width)}
        found.append(row)
    return found


def dispersion():
    """Standard deviation over mean of the whole tangent kernel.

    Without bias a network of ReLU is homogeneous, and the spread is the same at every scale.
    """
    found = []
    for square in VARIANCES:
        for depth in DEPTHS:
            parts = []
            for seed in range(10):
                options = {"width": 100, "depth": depth, "trials": 2000, "seed": seed}
                options |= {"sigma_w": math.sqrt(square), "sigma_b": BIAS}
                ds = simulate(gradients=True, **options)
                mean, std = (float(ds[f"tangent11{end}"][-1]) for end in ("", "_std"))
                parts.append(std / mean)
            predicted = float(ds["tangent11_theory_1n_std"][-1] / ds["tangent11_theory_1n"][-1])
            row = {"sigma_w2": square, "depth": depth, "measured": float(np.mean(parts))}
            row["error"] = float(np.std(parts, ddof=1) / math.sqrt(len(parts)))
            found.append(row | {"predicted": predicted})
    return found


def students():
    """Growth ln(|δ¹|²/|δ^L|²) of networks of width 64, and its theory, by k and depth."""
    found = []
    for k in (-0.5, 0.0, 1.0, 10.0, math.inf):
        for depth in (2, 5, 10, 20, 50):
            ds = simulate(width=64, depth=depth, k=k, trials=2000, gradients=True)
            log = ds["log_gradient1"].to_numpy()
            grown = {
                "measured": float(log[0] - log[-1]),
                "error": float(ds.log_gradient1_stderr[0]),
            }
            theory = ds["log_gradient1_theory"].to_numpy()
            row = {"k": str(k), "depth": depth, **grown}
            found.append(row | {"infinite": float(theory[0] - theory[-1])})
    return found


PARTS = {
    "cost": cost,
    "torch": torch_rate,
    "growth": growth,
    "variance": variance,
    "dispersion": dispersion,
    "students": students,
}


def draw(saved, path):
    """Draw growth by k, and the spread of the tangent kernel against L/N."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from simcore.figures.style import STYLE

    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(5.4, 2.6))
        left, right = figure.subplots(1, 2)
        for k in ("-0.5", "0.0", "1.0", "10.0", "inf"):
            own = [row for row in saved["students"] if row["k"] == k]
            depth = [row["depth"] for row in own]
            label = rf"$k = {k.removesuffix('.0')}$".replace("inf", r"\infty")
            (dots,) = left.plot(depth, [r["measured"] for r in own], "o", ms=3, label=label)
            left.plot(depth, [r["infinite"] for r in own], "--", color=dots.get_color(), lw=0.8)
        left.set(
            xlabel="hidden layers $L$", ylabel=r"$\langle\ln |\delta^1|^2/|\delta^L|^2\rangle$"
        )
        left.set_title("growth of gradients, $N = 64$", fontsize=8)
        left.legend(fontsize=7)
        for square in VARIANCES:
            own = [row for row in saved["dispersion"] if row["sigma_w2"] == square]
            ratios = [row["depth"] / 100 for row in own]
            (dots,) = right.plot(
                ratios, [r["measured"] for r in own], "o", ms=3, label=rf"$\sigma_w^2 = {square:g}$"
            )
            right.plot(ratios, [r["predicted"] for r in own], ":", color=dots.get_color())
        right.set(xlabel="$L/N$", ylabel=r"std/mean of $\Theta_{11}$")
        right.set_title("spread of the tangent kernel, $N = 100$", fontsize=8)
        right.legend(fontsize=7)
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    target = RESULTS / "gradients.json"
    saved = json.loads(target.read_text()) if target.exists() else {}
    for name in options.parts or ([] if options.figure else PARTS):
        saved[name] = PARTS[name]()
        print(name, json.dumps(saved[name], indent=1))
        saved["hardware"] = hardware()
        target.write_text(json.dumps(saved, indent=1) + "\n")
    if options.figure:
        draw(saved, options.figure)


if __name__ == "__main__":
    main()
