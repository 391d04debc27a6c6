"""Claim: weights that are not Gaussian approach the Gaussian trajectory like 1/N.

    python bench/universality.py [--figure docs/universality.png]

Explicit weights of several laws, anti-correlated (k = 1): how far the mean correlation of a late
layer is from mean field, against the width, with the fitted power of N. And how often Rademacher
networks die: their sums have ties, so more often than the 2^-N a layer of laws without ties.
"""

from __future__ import annotations

import argparse

from harness import save

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore.execution.execute import execute  # noqa: E402
from simcore.physics.observables import column  # noqa: E402
from simcore.runs.run import Run  # noqa: E402
from simcore.theory import dead_network, trajectory  # noqa: E402

LAWS = ("normal", "uniform", "rademacher", "laplace")
LAYER = 10


def mean_and_error(run, name):
    """Mean and standard error of an observable in the last layer."""
    moments = execute(run, threads=2).points[0].published()
    place = -1, column(name)
    count, mean, m2 = moments.count[place], moments.mean[place], moments.m2[place]
    return mean, float(np.sqrt(m2 / (count - 1) / count))


def deviations(weights, widths, work):
    """How far the mean correlation is from mean field at each width; `work` nodes·fan-in each."""
    expected = trajectory(LAYER, k=1.0, correlation=0.5).correlation[-1]
    found = []
    for width in widths:
        trials = int(min(2**17, max(2**10, work / (width * width * LAYER))))
        run = Run(
            depth=LAYER,
            width=(width,),
            ensemble="correlated",
            k=(1.0,),
            weights=weights,
            sampler="dense",
            trials=trials,
            keep=0,
        )
        mean, error = mean_and_error(run, "correlation")
        found.append((width, mean - expected, error))
    return found


def power(found):
    """Fitted power of N and its standard error."""
    widths, deviation, error = (np.array(x) for x in zip(*found, strict=True))
    fit, covariance = np.polyfit(
        np.log(widths), np.log(np.abs(deviation)), 1, w=np.abs(deviation) / error, cov="unscaled"
    )
    return float(fit[0]), float(np.sqrt(covariance[0, 0]))


def deaths(widths, depth, trials):
    """Share of dead networks: Rademacher, normal, and 1 - (1 - 2^-N)^L."""
    found = []
    for width in widths:
        shares = []
        for weights in ("rademacher", "normal"):
            run = Run(
                depth=depth,
                width=(width,),
                weights=weights,
                sampler="dense",
                trials=trials,
                keep=0,
            )
            shares += list(mean_and_error(run, "dead_network1"))
        expected = float(dead_network([width] * depth)[-1])
        found.append((width, *shares, expected))
    return found


def draw(by_law, dead, path):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from simcore.figures.style import COLOURS, STYLE

    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(8.2, 3.4))
        left, right = figure.subplots(1, 2)
        for colour, (law, found) in zip(COLOURS, by_law.items(), strict=False):
            width, deviation, error = zip(*found, strict=True)
            left.errorbar(
                width, np.abs(deviation), error, color=colour, label=law, marker="o", ms=3
            )
        width = np.array(width, dtype=float)
        left.plot(width, 0.5 / width, color="black", ls=(0, (4, 3)), lw=0.9, label="1/N")
        left.set(xscale="log", yscale="log", xlabel="width N")
        left.set_xticks(width, [f"{w:.0f}" for w in width], minor=False)
        left.minorticks_off()
        left.set(ylabel=f"|mean correlation - mean field|, layer {LAYER}")
        left.legend()
        width, rademacher, r_error, normal, n_error, expected = zip(*dead, strict=True)
        right.errorbar(
            width, rademacher, r_error, color=COLOURS[1], label="rademacher", marker="o", ms=3
        )
        right.errorbar(width, normal, n_error, color=COLOURS[0], label="normal", marker="o", ms=3)
        right.plot(
            width, expected, color="black", ls=(0, (4, 3)), lw=0.9, label=r"$1-(1-2^{-N})^L$"
        )
        right.set(yscale="log", xlabel="width N", ylabel="share of dead networks")
        right.legend()
        figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=float, default=1e9)
    parser.add_argument("--figure")
    options = parser.parse_args()
    widths = [16, 32, 64, 128]
    by_law = {law: deviations(law, widths, options.work) for law in LAWS}
    depth, trials = 10, 2**15
    dead = deaths(range(3, 10), depth, trials)
    result = {
        "layer": LAYER,
        "deviation_by_width": by_law,
        "power_of_width": {law: power(found) for law, found in by_law.items()},
        "dead": {
            "depth": depth,
            "trials": trials,
            "width_rademacher_error_normal_error_expected": dead,
        },
    }
    save("universality", result)
    if options.figure:
        draw(by_law, dead, options.figure)


if __name__ == "__main__":
    main()
