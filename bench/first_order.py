"""Claim: first order in 1/N is right where mean field fails, and how far.

    python bench/first_order.py            # some eight minutes of one core

Three measurements against Monte Carlo, an observable's *remainder* being what is left of its mean
after theory.md (8): z-scores and standard deviations at L/N ≤ 0.08; the slope of the remainder
over widths at one depth; and the L/N at which the remainder passes 10 % of what (8) says finite
width does to the mean. What one trial tells is not repeated: errors are over trials.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from harness import RESULTS, save

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore import Ensemble, simulate  # noqa: E402
from simcore.theory import FIRST_ORDER, first_order  # noqa: E402

SETTINGS: tuple[tuple[float, float | None, float], ...] = (
    (0.0, None, 0.0),
    (1.0, None, 0.0),
    (0.0, None, 0.3),
    (1.0, None, 0.3),
    (math.inf, None, 0.0),
    (1.0, 1.3, 0.3),
    (-0.5, None, 0.0),
    (math.inf, None, 0.3),
    (-0.5, None, 0.3),
    (0.0, 1.3, 0.3),
)
"""(k, σ_w, σ_b); where σ_w is given q is bounded, at k = 1 in the chaotic phase."""

KEYS = ("width", "k", "sigma_w", "sigma_b")

ENOUGH = 0.1
"""Share of the shift by finite width that may remain."""


def measured(
    width: int, depth: int, trials: int, k: float, sigma_w: float | None, sigma_b: float
) -> dict[str, dict[str, Any]]:
    """Measured and predicted numbers of each observable, arrays over layers."""
    ensemble = Ensemble.correlated(k=k, sigma_w=sigma_w, sigma_b=sigma_b)
    options = {"width": width, "depth": depth, "trials": trials, "correlation": 0.5}
    ds = simulate(ensemble, threads=1, **options)  # type: ignore[arg-type]
    order = first_order(depth, width=width, k=k, sigma_w=sigma_w, sigma_b=sigma_b, correlation=0.5)
    found = {}
    for name in FIRST_ORDER:
        found[name] = {
            "mean": ds[name].values,
            "error": ds[f"{name}_stderr"].values,
            "std": ds[f"{name}_std"].values,
            "mean_field": ds[f"{name}_theory"].values,
            "first_order": order.mean[name],
            "first_order_std": order.std[name],
        }
    return found


def largest(values: np.ndarray) -> float | None:
    """The value of largest size among those that are numbers, to three digits; None if none is."""
    numbers = values[np.isfinite(values)]
    return float(f"{numbers[np.argmax(np.abs(numbers))]:.3g}") if numbers.size else None


def quality(width: int, trials: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of one setting after the other."""
    depth = int(0.08 * width)
    for k, sigma_w, sigma_b in SETTINGS:
        rows = []
        for name, x in measured(width, depth, trials, k, sigma_w, sigma_b).items():
            row = {
                "width": width,
                "depth": depth,
                "k": str(k),
                "sigma_w": sigma_w,
                "sigma_b": sigma_b,
                "observable": name,
                "layers": int(np.isfinite(x["first_order"]).sum()),
                "z_mean_field": largest((x["mean"] - x["mean_field"]) / x["error"]),
                "z": largest((x["mean"] - x["first_order"]) / x["error"]),
                "std_percent": largest(100.0 * (x["std"] / x["first_order_std"] - 1.0)),
            }
            rows.append(row)
            fails = abs(row["z_mean_field"] or 0.0) > 10.0
            missed = abs(row["std_percent"] or 0.0) > 3.0 or (fails and abs(row["z"] or 0.0) > 4.0)
            print("misses" if missed else "meets", row, flush=True)
        yield rows


def falling(trials_per_node: int) -> list[dict[str, Any]]:
    """Fit the slope of the remainder over widths at one depth."""
    rows = []
    for k, sigma_w, sigma_b in ((0.0, None, 0.0), (1.0, None, 0.0), (1.0, 1.3, 0.3)):
        depth, widths = 20, (16, 24, 32, 48, 64, 96, 128)
        results = [measured(n, depth, trials_per_node * n, k, sigma_w, sigma_b) for n in widths]
        for name in FIRST_ORDER:
            last = [{key: x[-1] for key, x in result[name].items()} for result in results]
            remainder = np.array([abs(x["mean"] - x["first_order"]) for x in last])
            error = np.array([x["error"] for x in last])
            shift = np.array([abs(x["first_order"] - x["mean_field"]) for x in last])
            clear = remainder > 4.0 * error
            slope = None
            if clear.sum() >= 3:
                n, r, e = np.array(widths)[clear], remainder[clear], error[clear]
                fit, covariance = np.polyfit(np.log(n), np.log(r), 1, w=r / e, cov="unscaled")
                slope = [round(float(fit[0]), 2), round(math.sqrt(covariance[0, 0]), 2)]
            share = [
                round(float(r / s), 4) if s > 0.0 else None
                for r, s in zip(remainder, shift, strict=True)
            ]
            row = {
                "k": str(k),
                "sigma_w": sigma_w,
                "sigma_b": sigma_b,
                "depth": depth,
                "widths": widths,
                "observable": name,
                "remainder": [float(r) if np.isfinite(r) else None for r in remainder],
                "error": error.tolist(),
                "share_of_shift": share,
                "slope": slope,
            }
            rows.append(row)
            print(row["k"], row["sigma_b"], name, "slope", slope, "share", share, flush=True)
    return rows


def reach(trials: int) -> list[dict[str, Any]]:
    """Return the least L/N from which the remainder is above `ENOUGH` of the shift."""
    rows = []
    for width in (64, 128):
        for k in (0.0, 1.0):
            depth = 3 * width // 2
            for name, x in measured(width, depth, trials, k, None, 0.0).items():
                remainder = np.abs(x["mean"] - x["first_order"]) - 2.0 * x["error"]
                shift = np.abs(x["first_order"] - x["mean_field"])
                spread = np.abs(x["std"] / x["first_order_std"] - 1.0)
                rows.append(
                    {
                        "width": width,
                        "k": str(k),
                        "observable": name,
                        "mean": first(remainder > ENOUGH * shift, width),
                        "mean_in_deviations": first(remainder > ENOUGH * x["std"], width),
                        "std": first(spread > ENOUGH, width),
                    }
                )
                print(rows[-1], flush=True)
    return rows


def first(beyond: np.ndarray, width: int) -> float | None:
    """L/N of the first layer from which three in a row are beyond; None if it stays within."""
    three = beyond[:-2] & beyond[1:-1] & beyond[2:]
    return round(float(np.argmax(three) + 1) / width, 3) if three.any() else None


def reach_table(rows: list[dict[str, Any]]) -> str:
    """The L/N of `reach` at N = 128 in Markdown."""
    chosen = {(r["observable"], r["k"]): r for r in rows if r["width"] == 128}
    lines = ["| | mean, k = 0 | std, k = 0 | mean, k = 1 | std, k = 1 |", "|---|---|---|---|---|"]
    for name in FIRST_ORDER:
        cells = [chosen[name, k][key] for k in ("0.0", "1.0") for key in ("mean", "std")]
        shown = " | ".join("> 1.5" if x is None else f"{x:.2f}" for x in cells)
        lines.append(f"| `{name}` | {shown} |")
    return "\n".join(lines)


def quality_table(rows: list[dict[str, Any]]) -> str:
    """The worst of all observables and layers for each setting in Markdown."""
    lines = ["| N | k | σ_w | σ_b | layers | z, mean field | z | std |", "|" + "---|" * 8]
    for width in (256, 1024):
        for k, sigma_w, sigma_b in SETTINGS:
            setting = (width, str(k), sigma_w, sigma_b)
            own = [r for r in rows if setting == tuple(r[x] for x in KEYS)]
            if not own:
                continue
            failing = [r for r in own if abs(r["z_mean_field"] or 0.0) > 10.0]
            field, z = (max(abs(r[x]) for r in failing) for x in ("z_mean_field", "z"))
            percent = max(abs(r["std_percent"]) for r in own)
            scale = "default" if sigma_w is None else f"{sigma_w:g}"
            layers = min(r["layers"] for r in own)
            shown = (width, f"{k:g}", scale, f"{sigma_b:g}", f"{layers} of {own[0]['depth']}")
            shown += (f"{field:.0f}", f"{z:.1f}", f"{percent:.1f} %")
            lines.append("| " + " | ".join(map(str, shown)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--trials-per-node", type=int, default=3_000)
    parser.add_argument("--parts", nargs="*", help="measure these again, keep the others")
    parser.add_argument("--table", action="store_true", help="print the saved results as tables")
    options = parser.parse_args()
    if options.table:
        saved = json.loads((RESULTS / "first_order.json").read_text())
        print(reach_table(saved["reach"]))
        print(quality_table(saved["quality_256"] + saved["quality_1024"]))
        return
    parts: dict[str, Callable[[], Iterable[list[dict[str, Any]]]]] = {
        "reach": lambda: [reach(options.trials)],
        "quality_256": lambda: quality(256, options.trials),
        "falling": lambda: [falling(options.trials_per_node)],
        "quality_1024": lambda: quality(1024, options.trials),
    }
    path = RESULTS / "first_order.json"
    result = json.loads(path.read_text()) if options.parts and path.exists() else {}
    result["options"] = {"trials": options.trials, "trials_per_node": options.trials_per_node}
    for name in options.parts or parts:
        result[name] = []
        for rows in parts[name]():
            result[name] += rows
            save("first_order", result)


if __name__ == "__main__":
    main()
