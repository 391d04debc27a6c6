"""Claim: control variates divide the variance of means by up to ten million, at 2 to 27 % of time.

    python bench/control.py cut         # variance of the plain mean over that of the controlled one
    python bench/control.py slopes      # the same for other activations than ReLU
    python bench/control.py cost        # time with and without, interleaved
    python bench/control.py unbiased    # against plain means of up to 10⁷ networks
    python bench/control.py coverage    # of ±1 and ±2 standard errors, 1,000 short runs each
    python bench/control.py hazards     # probabilities of death against counts
    python bench/control.py second      # the coefficient of 1/N², docs/second-order.md
    python bench/control.py --table     # tables of what was measured

Every case of a part adds its own entry to results/control.json; `--cases 32` measures those whose
names begin so.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from harness import RESULTS, hardware

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore import Ensemble, simulate  # noqa: E402
from simcore.physics.observables import CONTROLLED  # noqa: E402

FILE = RESULTS / "control.json"
Cases = dict[str, Callable[[], dict[str, Any]]]

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

SLOPED = (
    ("shaped:0,-1", 256, 13),
    ("shaped:0,-1", 1024, 51),
    ("leaky:0.2", 256, 13),
    ("abs", 256, 13),
)
"""Slopes, width, layers: L/N = 0.05."""

LAWS = tuple((k, b) for k in (-0.5, 0.0, 1.0, math.inf) for b in (0.0, 0.3))
"""k and σ_b."""

WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096)
DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200)
ROUNDS = 4
TRUTH = 10**6
"""Networks of the mean that counts as true."""

RUNS = 1000

DEEPEST = 0.25
"""Largest L/N that enters a fit of the coefficient of 1/N²."""


def _law(k: float, sigma_b: float = 0.0) -> Ensemble:
    return Ensemble.correlated(k=k, sigma_b=sigma_b)


def cut() -> Cases:
    """Measure the ratio of variances at the last layer of each row of the table."""

    def case(width: int, depth: int, k: float) -> dict[str, Any]:
        networks = 4000 if width <= 1024 else 2000 if width * depth < 10**6 else 1000
        last = simulate(_law(k), width=width, depth=depth, trials=networks, seed=1).isel(layer=-1)
        return {"networks": networks, **_ratios(last)}

    return {f"{width}, {depth}, {k:g}": partial(case, width, depth, k) for width, depth, k in TABLE}


def slopes() -> Cases:
    """Measure it for other activations than ReLU, k = 0."""

    def case(phi: str, width: int, depth: int) -> dict[str, Any]:
        networks = 4000
        run = simulate(_law(0.0), width=width, depth=depth, trials=networks, seed=1, slopes=phi)
        return {"networks": networks, **_ratios(run.isel(layer=-1))}

    return {
        f"{phi}, {width}, {depth}": partial(case, phi, width, depth) for phi, width, depth in SLOPED
    }


def _ratios(last: Any) -> dict[str, float]:
    return {
        name: float(last[f"{name}_stderr"] / last[f"{name}_controlled_stderr"]) ** 2
        for name in SHOWN
    }


def cost() -> Cases:
    """Time runs with and without controls in turn, in one thread, by CPU time; of rai, hazards."""

    def case(law: Ensemble, width: int, depth: int, networks: int) -> dict[str, Any]:
        seconds: dict[str, list[float]] = {"on": [], "off": []}
        for round_ in range(ROUNDS + 1):
            for controls, list_ in seconds.items():
                before = time.process_time()
                simulate(
                    law, width=width, depth=depth, trials=networks, seed=round_,
                    controls=controls, threads=1,
                )  # fmt: skip
                if round_:
                    list_.append(time.process_time() - before)
        ratios = [a / b for a, b in zip(seconds["on"], seconds["off"], strict=True)]
        return {"networks": networks, "ratio": float(np.median(ratios)), **seconds}

    sizes = ((4096, 200, 1024), (64, 200, 4096))
    hazards = ((6, 10, 65536), (16, 10, 32768), (40, 10, 16384), (63, 10, 16384), (256, 10, 4096))
    return {f"{size[0]}, {size[1]}": partial(case, _law(0.0), *size) for size in sizes} | {
        f"rai, {size[0]}, {size[1]}": partial(case, Ensemble.rai(), *size) for size in hazards
    }


def unbiased() -> Cases:
    """Compare controlled means with plain ones of many other networks, 6 layers."""

    def case(width: int, few: int, many: int, law: Ensemble) -> dict[str, Any]:
        options: dict[str, Any] = {"width": width, "depth": 6, "threads": 1}
        ours = simulate(law, trials=few, seed=1, **options)
        plain = simulate(law, trials=many, seed=2, controls="off", **options)
        found: dict[str, Any] = {"networks": [few, many]}
        for name in CONTROLLED:
            error = np.hypot(ours[f"{name}_controlled_stderr"], plain[f"{name}_stderr"])
            z = (ours[f"{name}_controlled"] - plain[name]) / error
            found[name] = float(np.abs(z).max())
        return found

    sizes = ((32, 10**5, 10**7), (64, 10**5, 10**6), (256, 10**4, 10**6))
    return {
        f"{width}, {k:g}, {b:g}": partial(case, width, few, many, _law(k, b))
        for width, few, many in sizes
        for k, b in LAWS
    }


def coverage() -> Cases:
    """Count how often a mean lies within 1 and 2 standard errors of the truth, layer 10, N = 64."""
    options: dict[str, Any] = {"width": 64, "depth": 10, "threads": 1}

    def case(k: float, networks: int) -> dict[str, Any]:
        truth = simulate(_law(k), trials=TRUTH, seed=10**6, **options).isel(layer=-1)
        z: dict[str, list[float]] = {name: [] for name in SHOWN}
        for seed in range(RUNS):
            last = simulate(_law(k), trials=networks, seed=seed, **options).isel(layer=-1)
            for name, list_ in z.items():
                gap = last[f"{name}_controlled"] - truth[f"{name}_controlled"]
                list_.append(float(gap / last[f"{name}_controlled_stderr"]))
        within = {
            name: [float(np.mean(np.abs(list_) <= reach)) for reach in (1.0, 2.0)]
            for name, list_ in z.items()
        }
        return {"runs": RUNS, **within}

    return {
        f"{k:g}, {networks}": partial(case, k, networks)
        for k in (0.0, 1.0)
        for networks in (64, 128, 1000)
    }


def hazards() -> Cases:
    """Compare probabilities of death within ten layers with counts, and find very small ones."""

    def case(law: Ensemble, width: int, few: int, many: int) -> dict[str, Any]:
        options: dict[str, Any] = {"width": width, "depth": 10, "threads": 1}
        last = simulate(law, trials=few, seed=1, **options).isel(layer=-1)
        found: dict[str, Any] = {"networks": [few, many]}
        if many:
            counts = simulate(law, trials=many, seed=2, controls="off", **options).isel(layer=-1)
        for name in ("dead_network1", "dead_network_both"):
            value = float(last[f"{name}_controlled"])
            error = float(last[f"{name}_controlled_stderr"])
            found[name] = {"probability": value, "relative error": error / value}
            if many:
                share = float(counts[name])
                of_count = math.sqrt(value * (1.0 - value) / many)
                z = (value - share) / math.hypot(error, of_count)
                found[name] |= {"counted": share, "z": z}
        return found

    laws = {
        "rai": Ensemble.rai(),
        "raai, k = 1": Ensemble.raai(k=1.0),
        "raai, k = 10": Ensemble.raai(k=10.0),
    }
    return {
        f"{name}, {width}": partial(case, law, width, few, many)
        for name, law in laws.items()
        for width, few, many in (
            (3, 20_000, 10**6),
            (6, 20_000, 10**6),
            (24, 4096, 0),
            (40, 4096, 0),
        )
    }


def second() -> Cases:
    """Fit N² (mean − first order) = a + b/N at each layer, over widths with L/N ≤ 1/4.

    And find the L/N from which on first order leaves more than a tenth of its own shift.
    """

    def case(k: float) -> dict[str, Any]:
        runs = {}
        for width in WIDTHS:
            depth = max(d for d in DEPTHS if d <= width)
            networks = int(min(4e5, max(4e3, 4e9 / (width * depth))))
            runs[width] = simulate(_law(k), width=width, depth=depth, trials=networks, seed=4)
        return {
            name: {
                "coefficients": {depth: _fitted(runs, name, depth) for depth in DEPTHS},
                "tenth": _tenth(runs[128], name, 128),
            }
            for name in SHOWN
        }

    return {f"{k:g}": partial(case, k) for k in (0.0, 1.0, math.inf)}


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
    if len(rows) < 3:
        return None
    inverse, value, error = np.array(rows).T
    if not error.any():  # exact: the coefficient is that of a polynomial through all widths
        return [float(np.linalg.solve(np.vander(inverse, increasing=True), value)[0]), 0.0]
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


PARTS: dict[str, Callable[[], Cases]] = {
    "cut": cut,
    "cost": cost,
    "unbiased": unbiased,
    "coverage": coverage,
    "hazards": hazards,
    "second": second,
    "slopes": slopes,
}


def table(results: dict[str, Any]) -> Iterator[str]:
    """Yield the measured numbers as Markdown."""
    yield "| N, layers, k | c | ln q1 | ln(1 − c) |\n|---|---|---|---|"
    for case, ratios in [*results.get("cut", {}).items(), *results.get("slopes", {}).items()]:
        yield f"| {case} | " + " | ".join(f"{ratios[name]:,.3g}" for name in SHOWN) + " |"
    yield "\n| k, observable | " + " | ".join(f"L = {d}" for d in DEPTHS) + " | a tenth at L/N |"
    yield "|" + "---|" * (len(DEPTHS) + 2)
    for k, observables in results.get("second", {}).items():
        for name, fit in observables.items():
            cells = [
                ""
                if pair is None
                else f"{pair[0]:.3g}" + f" ± {float(f'{pair[1]:.1g}'):g}" * (pair[1] > 0.0)
                for pair in fit["coefficients"].values()
            ]
            tenth = "none" if fit["tenth"] is None else f"{fit['tenth']:.2f}"
            yield f"| {k}, {name} | " + " | ".join([*cells, tenth]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--cases", default="", help="only those whose names begin so")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    for name in asked.parts:
        for case, measure in PARTS[name]().items():
            if case.startswith(asked.cases):
                found = measure()
                results = json.loads(FILE.read_text()) if FILE.exists() else {}
                results.setdefault(name, {})[case] = found
                results["hardware"] = hardware()
                FILE.write_text(json.dumps(results, indent=1) + "\n")
                print(name, case, json.dumps(found), flush=True)
    if asked.table:
        print("\n".join(table(json.loads(FILE.read_text()))))


if __name__ == "__main__":
    main()
