"""Claim: control variates divide the variance of means by up to ten million, at 3 to 42 % of time.

    python bench/control.py cut         # variance of the plain mean over that of the controlled one
    python bench/control.py cost        # time with and without, interleaved
    python bench/control.py unbiased    # against plain means of up to 10⁷ networks
    python bench/control.py coverage    # of ±1 and ±2 standard errors, 1,000 short runs each
    python bench/control.py second      # the coefficient of 1/N², docs/second-order.md
    python bench/control.py --table     # tables of what was measured

Every part adds its own entry to results/control.json.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from harness import RESULTS, hardware

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore import Ensemble, simulate  # noqa: E402
from simcore.physics.observables import CONTROLLED  # noqa: E402

FILE = RESULTS / "control.json"
SHOWN = ("correlation", "log_q1", "log_distance")

TABLE = (
    (256, 10, 0.0),
    (256, 20, 0.0),
    (1024, 10, 0.0),
    (1024, 50, 0.0),
    (1024, 50, 1.0),
    (1024, 50, math.inf),
    (4096, 20, 0.0),
    (4096, 200, 0.0),
    (4096, 50, 1.0),
    (16384, 200, 0.0),
)
"""Width, layers, k."""

LAWS = tuple((k, b) for k in (-0.5, 0.0, 1.0, math.inf) for b in (0.0, 0.3))
"""k and σ_b."""

WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096)
DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200)
DEEPEST = 0.25
"""Largest L/N that enters a fit of the coefficient of 1/N²."""


def _law(k: float, sigma_b: float = 0.0) -> Ensemble:
    return Ensemble.correlated(k=k, sigma_b=sigma_b)


def cut() -> dict[str, Any]:
    """Measure the ratio of variances at the last layer of each row of the table."""
    found = {}
    for width, depth, k in TABLE:
        networks = 4000 if width <= 1024 else 2000 if width * depth < 10**6 else 1000
        last = simulate(_law(k), width=width, depth=depth, trials=networks, seed=1).isel(layer=-1)
        ratios = {
            name: float(last[f"{name}_stderr"] / last[f"{name}_controlled_stderr"]) ** 2
            for name in SHOWN
        }
        found[f"{width}, {depth}, {k:g}"] = {"networks": networks, **ratios}
    return found


def cost() -> dict[str, Any]:
    """Time runs with and without controls in turn, in one thread, by CPU time."""
    found = {}
    for width, depth, networks in ((4096, 200, 1024), (64, 200, 4096)):
        seconds: dict[str, list[float]] = {"on": [], "off": []}
        for round_ in range(5):
            for controls, list_ in seconds.items():
                before = time.process_time()
                simulate(
                    _law(0.0), width=width, depth=depth, trials=networks, seed=round_,
                    controls=controls, threads=1,
                )  # fmt: skip
                if round_:
                    list_.append(time.process_time() - before)
        ratios = [a / b for a, b in zip(seconds["on"], seconds["off"], strict=True)]
        found[f"{width}, {depth}"] = {
            "networks": networks,
            "ratio": float(np.median(ratios)),
            **seconds,
        }
    return found


def unbiased() -> dict[str, Any]:
    """Compare controlled means with plain ones of many other networks."""
    found = {}
    for width, few, many in ((32, 10**5, 10**7), (64, 10**5, 10**6), (256, 10**4, 10**6)):
        for k, sigma_b in LAWS:
            law = _law(k, sigma_b)
            ours = simulate(law, width=width, depth=6, trials=few, seed=1)
            plain = simulate(law, width=width, depth=6, trials=many, seed=2, controls="off")
            worst = 0.0
            for name in CONTROLLED:
                error = np.hypot(ours[f"{name}_controlled_stderr"], plain[f"{name}_stderr"])
                z = (ours[f"{name}_controlled"] - plain[name]) / error
                worst = max(worst, float(np.abs(z).max()))
            found[f"{width}, {k:g}, {sigma_b:g}"] = {"networks": [few, many], "largest |z|": worst}
    return found


def coverage() -> dict[str, Any]:
    """Count how often a mean lies within 1 and 2 standard errors of the truth, layer 10, N = 64."""
    found = {}
    options: dict[str, Any] = {"width": 64, "depth": 10, "threads": 1}
    for k in (0.0, 1.0):
        truth = simulate(_law(k), trials=10**6, seed=10**6, **options).isel(layer=-1)
        for networks in (64, 128, 1000):
            z: dict[str, list[float]] = {name: [] for name in SHOWN}
            for seed in range(1000):
                last = simulate(_law(k), trials=networks, seed=seed, **options).isel(layer=-1)
                for name, list_ in z.items():
                    gap = last[f"{name}_controlled"] - truth[f"{name}_controlled"]
                    list_.append(float(gap / last[f"{name}_controlled_stderr"]))
            found[f"{k:g}, {networks}"] = {
                name: [float(np.mean(np.abs(list_) <= reach)) for reach in (1.0, 2.0)]
                for name, list_ in z.items()
            }
    return found


def second() -> dict[str, Any]:
    """Fit N² (mean − first order) = a + b/N at each layer, over widths with L/N ≤ 1/4.

    And find the L/N from which on first order leaves more than a tenth of its own shift.
    """
    found: dict[str, Any] = {}
    for k in (0.0, 1.0, math.inf):
        runs = {}
        for width in WIDTHS:
            depth = max(d for d in DEPTHS if d <= width)
            networks = int(min(4e5, max(4e3, 4e9 / (width * depth))))
            runs[width] = simulate(_law(k), width=width, depth=depth, trials=networks, seed=4)
        for name in SHOWN:
            found[f"{k:g}, {name}"] = {
                "coefficients": {depth: _fitted(runs, name, depth) for depth in DEPTHS},
                "tenth": _tenth(runs[128], name, 128),
            }
    return found


def _remainder(ds: Any, name: str) -> tuple[Any, Any]:
    gap = ds[f"{name}_controlled"] - ds[f"{name}_theory_1n"]
    return gap.to_numpy(), ds[f"{name}_controlled_stderr"].to_numpy()


def _fitted(runs: dict[int, Any], name: str, depth: int) -> list[float] | None:
    """Return the coefficient of 1/N² at a layer, and its standard error."""
    rows = []
    for width, ds in runs.items():
        if depth <= DEEPEST * width and depth <= ds.sizes["layer"]:
            gap, error = (values[depth - 1] for values in _remainder(ds, name))
            rows.append((1.0 / width, gap * width**2, error * width**2))
    if len(rows) < 3 or not all(row[2] > 0.0 for row in rows):  # too few, or exact
        return None
    inverse, value, error = np.array(rows).T
    design = np.stack([np.ones_like(inverse), inverse], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    solution = covariance @ design.T @ (value / error)
    return [float(solution[0]), float(math.sqrt(covariance[0, 0]))]


def _tenth(ds: Any, name: str, width: int) -> float | None:
    """Return the first L/N at which a tenth of the shift by first order remains, with certainty."""
    gap, error = _remainder(ds, name)
    shift = np.abs((ds[f"{name}_theory_1n"] - ds[f"{name}_theory"]).to_numpy())
    beyond = np.nonzero(np.abs(gap) - 2.0 * error > 0.1 * shift)[0]
    return float((beyond[0] + 1) / width) if len(beyond) else None


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "cut": cut,
    "cost": cost,
    "unbiased": unbiased,
    "coverage": coverage,
    "second": second,
}


def table(results: dict[str, Any]) -> Iterator[str]:
    """Yield the measured numbers as Markdown."""
    yield "| N, layers, k | c | ln q1 | ln(1 − c) |\n|---|---|---|---|"
    for case, ratios in results.get("cut", {}).items():
        yield f"| {case} | " + " | ".join(f"{ratios[name]:,.3g}" for name in SHOWN) + " |"
    yield "\n| k, observable | " + " | ".join(f"L = {d}" for d in DEPTHS) + " | a tenth at L/N |"
    yield "|" + "---|" * (len(DEPTHS) + 2)
    for case, fit in results.get("second", {}).items():
        cells = [
            "" if pair is None else f"{pair[0]:.3g} ± {pair[1]:.1g}"
            for pair in fit["coefficients"].values()
        ]
        tenth = fit["tenth"]
        yield (
            f"| {case} | "
            + " | ".join(cells)
            + f" | {'none' if tenth is None else f'{tenth:.2f}'} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in asked.parts:
        results[name] = PARTS[name]()
        results["hardware"] = hardware()
        FILE.write_text(json.dumps(results, indent=1) + "\n")
        print(name, json.dumps(results[name], indent=1))
    if asked.table:
        print("\n".join(table(results)))


if __name__ == "__main__":
    main()
