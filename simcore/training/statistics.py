"""Statistics of training runs: curves, steps to a loss, how they end, dead units.

Everything takes the Dataset of `simcore.training.open_training` and changes nothing. Three rules
hold throughout:

- **Ranks, not means.** Losses of seeds differ by powers of ten and some runs diverge, so that means
  say little or do not exist. Middle values over seeds are medians, bands reach from the 16 % to the
  84 % quantile. Neither changes if losses are replaced by their logarithms.
- **A diverged run counts.** From the step at which it diverged its loss is infinite and its
  accuracy 0, the worst there is, and it never reaches a loss. Left out it would make its ensemble
  look better.
- **A loss that is not reached is censored.** A run that ends above a loss would reach it later or
  never. All runs end at the same step, so Kaplan and Meier's estimate is the plain distribution up
  to there: quantiles are what they are, or only known to lie beyond the last step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import InputError

Floats = npt.NDArray[np.float64]

BASELINE = "he"
"""Ensemble that the others are compared with."""

LEVELS = (0.16, 0.5, 0.84)
"""Quantiles over seeds: the band and the median."""

FRACTIONS = (0.5, 0.1, 0.01)
"""Reference losses, in units of the loss of a network that has learned nothing."""

ZERO_LOSS = {"teacher-student": 1.0, "digits": math.log(10.0)}
"""Test loss by task of the best constant answer: the target's variance, ln of the classes."""

REACHED_BY = 0.75
"""Share of the baseline's runs that reach the baseline's own reference loss."""

HUGE = 1e300
"""Stands for infinity where quantiles and medians lie between two values."""

TINY = 1e-300


def baseline_of(dataset: xr.Dataset, baseline: str | None = None) -> str:
    """Return the ensemble that others are compared to: `BASELINE`, or the first if it is absent.

    InputError if one is asked for that is not there.
    """
    names = [str(x) for x in dataset["ensemble"].to_numpy()]
    if baseline is None:
        return BASELINE if BASELINE in names else names[0]
    if baseline not in names:
        raise InputError("baseline", baseline, "is not in the file", f"Choose of: {names}.")
    return baseline


# --- one run after the other ----------------------------------------------------------------------


def trained(dataset: xr.Dataset) -> list[str]:
    """Return the ensembles all of whose runs have ended, diverged or not."""
    loss = _ordered(dataset["loss"])[:, :, -1]
    diverged = _ordered(dataset["diverged"]).astype(bool)
    whole = (np.isfinite(loss) | diverged).all(axis=1)
    names = dataset["ensemble"].to_numpy().tolist()
    return [str(name) for name, ended in zip(names, whole, strict=True) if ended]


def _ordered(array: xr.DataArray) -> npt.NDArray[Any]:
    dims = [d for d in ("ensemble", "seed", "layer", "step") if d in array.dims]
    return array.transpose(*dims).to_numpy()


def _outcomes(dataset: xr.Dataset, name: str) -> Floats:
    """Return a curve of every run, (ensemble, seed, step), the worst there is once it diverged."""
    values = _ordered(dataset[name]).astype(np.float64)
    diverged = _ordered(dataset["diverged"]).astype(bool)
    since = np.where(diverged, _ordered(dataset["diverged_step"]), np.inf)
    gone = dataset["step"].to_numpy() >= since[:, :, np.newaxis]
    # A curve may turn NaN before the step at which divergence was noticed.
    gone |= diverged[:, :, np.newaxis] & ~np.isfinite(values)
    return np.where(gone, 0.0 if name == "accuracy" else np.inf, values)


def _quantiles(values: Floats, axis: int) -> Floats:
    """Return the `LEVELS` of values that may be infinite, as the first axis."""
    found = np.quantile(np.where(np.isinf(values), HUGE, values), LEVELS, axis=axis)
    return np.where(found > math.sqrt(HUGE), np.inf, found)


def curves(dataset: xr.Dataset) -> xr.Dataset:
    """Return median and band over seeds at every recorded step.

    ``loss`` and ``train_loss``, and ``accuracy`` where the task has one, of shape (ensemble, level,
    step): the quantiles `LEVELS` over seeds; infinite where so many runs diverged.
    """
    usable = _usable(dataset)
    names = [n for n in ("loss", "train_loss", "accuracy") if n in usable]
    arrays = {n: np.moveaxis(_quantiles(_outcomes(usable, n), 1), 0, 1) for n in names}
    return xr.Dataset(
        {name: (("ensemble", "level", "step"), array) for name, array in arrays.items()},
        {"ensemble": usable["ensemble"], "level": list(LEVELS), "step": usable["step"]},
    )


def final(dataset: xr.Dataset) -> xr.Dataset:
    """Return the final loss and accuracy of the runs.

    ``loss`` and, where the task has one, ``accuracy`` of shape (ensemble, seed), at the last step;
    ``loss_quantile`` and ``accuracy_quantile`` (ensemble, level); ``diverged`` (ensemble), the
    number of runs that did.
    """
    usable = _usable(dataset)
    found = xr.Dataset(coords={"ensemble": usable["ensemble"], "seed": usable["seed"]})
    found = found.assign_coords(level=list(LEVELS))
    for name in [n for n in ("loss", "accuracy") if n in usable]:
        last = _outcomes(usable, name)[:, :, -1]
        found[name] = ("ensemble", "seed"), last
        found[f"{name}_quantile"] = ("ensemble", "level"), _quantiles(last, 1).T
    found["diverged"] = ("ensemble",), _ordered(usable["diverged"]).astype(int).sum(axis=1)
    return found


def dead_units(dataset: xr.Dataset) -> xr.Dataset:
    """Return the mean share of units that no test input activates, with its standard error.

    ``before``, ``after`` and ``before_stderr``, ``after_stderr`` of shape (ensemble, layer), and
    the number of runs, ``before_count`` and ``after_count``, of shape (ensemble,).
    Diverged runs are left out of ``after``; NaN where too few are left.
    """
    usable = _usable(dataset)
    healthy = ~_ordered(usable["diverged"]).astype(bool)
    kept = {"before": np.ones_like(healthy), "after": healthy}
    found = xr.Dataset(coords={"ensemble": usable["ensemble"], "layer": usable["layer"]})
    for name, runs in kept.items():
        share = _ordered(usable[f"dead_{name}"]).astype(np.float64)
        count = runs.sum(axis=1)[:, np.newaxis].astype(np.float64)
        weight = runs[:, :, np.newaxis]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(weight, share, 0.0).sum(axis=1) / count
            gap = np.where(weight, share - mean[:, np.newaxis], 0.0)
            error = np.sqrt((gap**2).sum(axis=1) / (count - 1.0) / count)
        found[name] = ("ensemble", "layer"), mean
        found[f"{name}_stderr"] = ("ensemble", "layer"), error
        found[f"{name}_count"] = "ensemble", runs.sum(axis=1)
    return found


def _usable(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.sel(ensemble=trained(dataset))


# --- steps to a loss ------------------------------------------------------------------------------


def reference_loss(dataset: xr.Dataset, baseline: str) -> float | None:
    """Return the test loss that three of four of the baseline's runs reach, at two digits.

    It is the measure of speed that is defined in every task, easy or hard. None if more of its runs
    diverged, or did no better than a network that has learned nothing.
    """
    if baseline not in trained(dataset):
        return None
    own = dataset.sel(ensemble=[baseline])
    loss = _outcomes(own, "loss")[0]
    # What a run had before it diverged is not what training reached.
    least = np.where(_ordered(own["diverged"])[0].astype(bool), np.inf, loss.min(axis=1))
    lowest = float(np.quantile(least, REACHED_BY, method="higher"))
    if not 0.0 < lowest < min(_unit(dataset), float(np.median(loss[:, 0]))):
        return None
    power = 10.0 ** (math.floor(math.log10(lowest)) - 1)
    return float(f"{math.ceil(lowest / power - 1e-9) * power:.6g}")


def _unit(dataset: xr.Dataset) -> float:
    return ZERO_LOSS.get(str(dataset.attrs.get("task")), 1.0)


def reference_losses(dataset: xr.Dataset, baseline: str | None = None) -> list[float]:
    """Return the default losses for `steps_to_reach`, the largest first.

    They are 1/2, 1/10 and 1/100 of the loss of a network that has learned nothing (`ZERO_LOSS`),
    as far as at least one run reaches them, and `reference_loss`.
    """
    usable = _usable(dataset)
    if not usable.sizes["ensemble"]:
        return []
    lowest = float(_outcomes(usable, "loss").min())
    found = {float(f"{_unit(dataset) * fraction:.3g}") for fraction in FRACTIONS}
    own = reference_loss(dataset, baseline or baseline_of(dataset))
    return sorted({x for x in found if x >= lowest} | ({own} if own else set()), reverse=True)


def steps_to_reach(dataset: xr.Dataset, losses: Sequence[float] | None = None) -> xr.Dataset:
    """Return the number of steps after which each run first reaches given test losses.

    Between the two recorded steps where the loss is passed, ln loss is taken as linear in the step.
    ``steps`` (ensemble, seed, target) is infinite where the loss is not reached; ``censored``, true
    where that is so because training ended; ``reached`` (ensemble, target), how many runs did;
    ``quantile`` (ensemble, target, level), infinite where beyond the last step. The last step is
    the attribute ``last_step``. InputError if a loss is not positive; without any,
    `reference_losses`.
    """
    usable = _usable(dataset)
    targets = reference_losses(dataset) if losses is None else [float(x) for x in losses]
    for target in targets:
        if not (target > 0.0 and math.isfinite(target)):
            raise InputError("losses", target, "must be positive numbers", "Give 0.1, say.")
    loss, at = _outcomes(usable, "loss"), usable["step"].to_numpy().astype(np.float64)
    steps = np.stack([_first(loss, at, x) for x in targets] or [loss[:, :, 0]], axis=2)
    steps = steps[:, :, : len(targets)]
    diverged = _ordered(usable["diverged"]).astype(bool)[:, :, np.newaxis]
    reached = np.isfinite(steps)
    quantile = np.moveaxis(_quantiles(steps, 1), 0, 2)
    return xr.Dataset(
        {
            "steps": (("ensemble", "seed", "target"), steps),
            "censored": (("ensemble", "seed", "target"), ~reached & ~diverged),
            "reached": (("ensemble", "target"), reached.sum(axis=1)),
            "quantile": (("ensemble", "target", "level"), quantile),
        },
        {
            "ensemble": usable["ensemble"],
            "seed": usable["seed"],
            "target": targets,
            "level": list(LEVELS),
        },
        {"last_step": int(at[-1])},
    )


def _first(loss: Floats, at: Floats, target: float) -> Floats:
    """Return the step at which each curve, (ensemble, seed, step), first is as low as a target."""
    below = loss <= target
    first = below.argmax(axis=2)[:, :, np.newaxis]
    before = np.maximum(first - 1, 0)
    high, low = (np.take_along_axis(loss, i, axis=2)[:, :, 0] for i in (before, first))
    with np.errstate(divide="ignore", invalid="ignore"):
        passed = np.log(high / target) / np.log(high / np.maximum(low, TINY))
    start, end = (at[i[:, :, 0]] for i in (before, first))
    steps = start + np.where(first[:, :, 0] == 0, 0.0, passed) * (end - start)
    return np.where(below.any(axis=2), steps, np.inf)
