"""Claim: a run that ends at a standard error has the mean of one with a fixed number of trials.

    python bench/until_stderr.py            # about ten minutes on two cores

Runs of different seeds end at a target of the mean correlation, where its law is skewed (1 - c0 =
1e-6, N = 64, L = 20). The true mean is that of all their trials. Of each rule: the mean deviation
in standard errors, and the share of means within two of their own standard errors. "doubling" looks
at the standard error itself after 256, 512, 1024, ... trials, which is what biases.
"""

from __future__ import annotations

import argparse

from harness import save

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported
import numpy.typing as npt  # noqa: E402

from simcore import Run  # noqa: E402
from simcore.execution.execute import execute  # noqa: E402
from simcore.physics.observables import KEPT  # noqa: E402

Floats = npt.NDArray[np.float64]

POOL = 2**15
"""Trials of each seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--needed", type=int, nargs="+", default=[500, 1000, 2000, 4000, 8000])
    parser.add_argument("--observable", default="correlation")
    options = parser.parse_args()
    network = {"width": 64, "depth": 20, "distance": 1e-6, "trials": POOL}
    pools = [pool(Run(**network, keep=POOL, seed=seed)) for seed in range(options.seeds)]
    true, deviation = of_all(pools)
    rows = []
    for number in options.needed:
        target = deviation / np.sqrt(number)
        if options.observable == "log_distance":
            target = np.std(np.log(pools[0])) / np.sqrt(number)
        given = f"{options.observable}={target:.3g}"
        runs = [
            execute(Run(**network, until_stderr=given, seed=seed, keep=0)).points[0].trials()
            for seed in range(options.seeds)
        ]
        ends = {"fixed": [number] * options.seeds, given: runs}
        if options.observable == "correlation":
            ends["doubling"] = [doubling(values, target) for values in pools]
        for rule, trials in ends.items():
            rows.append({"rule": rule, "needed": number, **judged(pools, trials, true, target)})
            print(rows[-1], flush=True)
    save("until_stderr", {"options": vars(options), "rows": rows})


def pool(run: Run) -> Floats:
    """Return 1 - c at the last layer of every trial, where its error is the largest."""
    values: Floats = execute(run).points[0].trajectories[:, -1, KEPT.index("log_distance")]
    return np.exp(values)


def of_all(pools: list[Floats]) -> tuple[float, float]:
    """Return mean and standard deviation of 1 - c."""
    every = np.concatenate(pools)
    return float(every.mean()), float(every.std())


def doubling(values: Floats, target: float) -> int:
    """Return the number of trials at which the standard error itself is small enough."""
    trials = 256
    while trials < POOL and values[:trials].std(ddof=1) > target * np.sqrt(trials):
        trials *= 2
    return trials


def judged(pools: list[Floats], trials: list[int], true: float, target: float) -> dict[str, float]:
    """Return bias, its error, and coverage of the mean correlation over these runs."""
    parts = [values[:n] for values, n in zip(pools, trials, strict=True)]
    means = true - np.array([part.mean() for part in parts])  # of c, not of 1 - c
    errors = np.array([part.std(ddof=1) / np.sqrt(part.size) for part in parts])
    return {
        "trials": float(np.mean(trials)),
        "bias": float(means.mean() / errors.mean()),
        "bias_stderr": float(means.std(ddof=1) / errors.mean() / np.sqrt(len(parts))),
        "within_two": float(np.mean(np.abs(means) <= 2.0 * errors)),
        "reached": float(np.mean(errors <= target)),
    }


if __name__ == "__main__":
    main()
