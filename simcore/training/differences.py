"""Differences of ensembles from a baseline: paired, with intervals, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from .statistics import HUGE, TINY, baseline_of, final, reference_losses, steps_to_reach, trained

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 9999


@dataclass(frozen=True)
class Difference:
    """Difference of an ensemble from the baseline in one measure, over pairs of runs.

    The two runs of a pair share seed, data and batches. For ``loss`` and ``steps`` the difference
    of a pair is the logarithm of a ratio, for ``accuracy`` it is a difference of shares.

    - `target`: the loss that is reached, for ``steps``; None for final loss and accuracy.
    - `estimate`: least and largest median over pairs that the data allow; the two are the same
      unless too many runs end before they reach the target.
    - `interval`: the percentile bootstrap's, at `CONFIDENCE`, of the median.
    - `better`, `worse`: pairs in which the ensemble is surely so. The rest are ties, or open.
    - `p_value`: of the sign test, two-sided, over the pairs that are better or worse. It is exact
      where the ensemble makes no difference: which run of a pair comes first is then a fair coin,
      among pairs of which one arrives in time as among all.
    - `p_corrected`: the same after Holm's correction for all differences that were asked for.
    """

    ensemble: str
    baseline: str
    measure: str
    target: float | None
    pairs: int
    estimate: tuple[float, float]
    interval: tuple[float, float]
    better: int
    worse: int
    p_value: float
    p_corrected: float = math.nan

    @property
    def decided(self) -> bool:
        """True if there is a difference, with at most 5 % false alarms in the whole table."""
        return self.p_corrected < 1.0 - CONFIDENCE

    @property
    def hinted(self) -> bool:
        """True if the interval excludes "no difference", a weaker claim than `decided`."""
        return self.interval[0] > 0.0 or self.interval[1] < 0.0

    @property
    def is_better(self) -> bool:
        """True if the ensemble is better in more pairs than it is worse."""
        return self.better > self.worse


def differences(
    dataset: xr.Dataset,
    baseline: str | None = None,
    losses: Sequence[float] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Compare every ensemble with a baseline, pair by pair.

    Intervals are percentile bootstrap intervals of the median over pairs; BCa has no use for
    medians, whose jackknife is degenerate. With 20 pairs they covered the true median in 94 to 97 %
    of 400 simulated files. What is open because training ended is taken once as small and once as
    large as it can be: the interval holds whatever would have come. Decisions are by the sign test,
    which is exact for any law, and Holm's correction for the number of differences: an interval can
    leave out "no difference" where the correction does not let it be called one.

    The baseline is he, or the first ensemble if there is none, unless one is named; `losses` as for
    `steps_to_reach`. Every difference has the same `resamples`. The result has, by ensemble, steps
    to every loss, final loss, final accuracy; it is empty if the baseline or everything else is not
    trained. InputError if the baseline is absent or a loss is not positive.
    """
    against = baseline_of(dataset, baseline)
    names = trained(dataset)
    if against not in names:
        return ()
    targets = reference_losses(dataset, against) if losses is None else losses
    reach, ends = steps_to_reach(dataset, targets), final(dataset)
    pairs = ends.sizes["seed"]
    chosen = np.random.default_rng(seed).integers(0, pairs, (resamples, pairs))
    found = []
    for name in names:
        if name == against:
            continue
        for measure, target, low, high in _paired(reach, ends, name, against):
            about = (name, against, measure, target, pairs)
            found.append(Difference(*about, **_judged(measure, low, high, chosen)))
    return _corrected(found)


def _paired(
    reach: xr.Dataset, ends: xr.Dataset, name: str, against: str
) -> Iterator[tuple[str, float | None, Floats, Floats]]:
    """Yield measure, target, and the lower and upper bounds of the difference of each pair."""
    last = float(reach.attrs["last_step"])
    for i, target in enumerate(reach["target"].to_numpy().tolist()):
        own, other = (
            _log_steps(reach.isel(target=i).sel(ensemble=x), last) for x in (name, against)
        )
        yield "steps", target, _minus(own[0], other[1]), _minus(own[1], other[0])
    own_loss, other_loss = (
        np.log(np.maximum(ends["loss"].sel(ensemble=x).to_numpy(), TINY)) for x in (name, against)
    )
    gap = _minus(own_loss, other_loss)
    yield "loss", None, gap, gap
    if "accuracy" in ends:
        share = ends["accuracy"].sel(ensemble=name) - ends["accuracy"].sel(ensemble=against)
        yield "accuracy", None, share.to_numpy(), share.to_numpy()


def _log_steps(reach: xr.Dataset, last: float) -> tuple[Floats, Floats]:
    """Return bounds of ln steps of each run; a loss met at the start counts as one step."""
    steps, censored = reach["steps"].to_numpy(), reach["censored"].to_numpy()
    most = np.log(np.maximum(steps, 1.0))
    return np.where(censored, math.log(max(last, 1.0)), most), most


def _minus(left: Floats, right: Floats) -> Floats:
    """Return a difference in which two runs that never arrive are equal."""
    both = np.isinf(left) & (left == right)
    with np.errstate(invalid="ignore"):
        return np.where(both, 0.0, left - right)


def _judged(
    measure: str, low: Floats, high: Floats, chosen: npt.NDArray[np.int64]
) -> dict[str, Any]:
    tail = 50.0 * (1.0 - CONFIDENCE)
    # An infinity of the cautious side outweighs one of the other where a median lies between them.
    below = np.clip(low, -HUGE, HUGE / 1e3)
    above = np.clip(high, -HUGE / 1e3, HUGE)
    interval = (-math.inf, math.inf)
    if len(low) > 1:
        least = np.percentile(np.median(below[chosen], axis=1), tail, method="lower")
        most = np.percentile(np.median(above[chosen], axis=1), 100.0 - tail, method="higher")
        interval = _unclipped(least), _unclipped(most)
    smaller, larger = int((high < 0.0).sum()), int((low > 0.0).sum())
    better, worse = (larger, smaller) if measure == "accuracy" else (smaller, larger)
    return {
        "estimate": (_unclipped(np.median(below)), _unclipped(np.median(above))),
        "interval": interval,
        "better": better,
        "worse": worse,
        "p_value": _sign_test(better, worse),
    }


def _unclipped(value: Any) -> float:
    return math.copysign(math.inf, value) if abs(value) > math.sqrt(HUGE) else float(value)


def _sign_test(better: int, worse: int) -> float:
    if better == worse:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue)


def _corrected(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return differences with the p-values of Holm (1979)."""
    values = np.array([d.p_value for d in found])
    order = values.argsort(kind="stable")
    corrected = np.empty_like(values)
    steps = values[order] * np.arange(len(found), 0, -1)
    corrected[order] = np.maximum.accumulate(np.minimum(1.0, steps))
    return tuple(replace(d, p_corrected=p) for d, p in zip(found, corrected.tolist(), strict=True))
