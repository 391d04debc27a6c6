"""The whole law at the last layer beside that of networks whose depth grows with their width.

Where L = tN the law of the correlation has a limit (`theory.sde`): that of c for shaped ReLU, that
of l²(1 − c) for ReLU, which is compared where first order in 1/N has ended. It is tested by the
largest difference of the distribution functions at the edges of the histogram's bins, by
Kolmogorov's law: the p-value is too large rather than too small, for the edges are few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.physics.slopes import shape_of
from simcore.runs.predictions import REACH

from .points import points
from .words import MAX_LISTED, SYMBOLS, point_words

if TYPE_CHECKING:
    from simcore.theory.diffusion import DepthWidthLaw

Floats = npt.NDArray[np.float64]

LEAST_TRIALS = 64
"""Networks below which a histogram says little about a law."""

MOST_LAWS = 12
"""Different limits that are computed for one Dataset, some 0.2 s each; a larger grid has none."""


@dataclass(frozen=True)
class WholeLaw:
    """One observable of one point at the last layer, here and in the limit L = tN.

    Parameters
    ----------
    point
        The swept parameters.
    observable
        ``"correlation"`` for shaped ReLU, ``"log_distance"`` for ReLU.
    layer, time
        The last layer l, and t = l/N.
    mean, error, std
        Of the networks: mean, its standard error, standard deviation.
    limit_mean, limit_std
        Of the limit.
    apart
        Largest difference of the distribution functions at the edges of bins.
    p_value
        Probability of so large a one from as many networks of the limit.
    trials
        Number of networks.
    agrees
        Whether `p_value` is at least the false-alarm probability of the comparison.
    """

    point: Mapping[str, Any]
    observable: str
    layer: int
    time: float
    mean: float
    error: float
    std: float
    limit_mean: float
    limit_std: float
    apart: float
    p_value: float
    trials: int
    agrees: bool

    @property
    def words(self) -> str:
        """Both laws in one sentence, without the point."""
        symbol = SYMBOLS[self.observable]
        verdict = "agree" if self.agrees else "differ"
        return (
            f"In the limit of depth with width (L = tN, t = {self.time:.3g}) {symbol} at layer "
            f"{self.layer} has mean {self.limit_mean:.4g} and standard deviation "
            f"{self.limit_std:.3g}, here {self.mean:.4g} +- {self.error:.1g} and {self.std:.3g}; "
            f"the two laws {verdict} (p = {self.p_value:.2g}, distribution functions up to "
            f"{self.apart:.2g} apart)."
        )


def whole_laws(dataset: xr.Dataset, false_alarm: float) -> Iterator[WholeLaw]:
    """Yield the laws of all points that have a limit of depth with width.

    They are those of `he` (k = 0) without bias, whose layers have one width, with normal weights,
    from `LEAST_TRIALS` networks on; none of a grid that needs more than `MOST_LAWS` limits.

    Parameters
    ----------
    dataset
        A complete run, as for `compare`.
    false_alarm
        Probability that two equal laws are said to differ.
    """
    slopes = str(dataset.attrs.get("slopes", ""))
    shape = shape_of(slopes)
    named = "correlation" if shape else "log_distance"
    if (slopes and shape is None) or dataset.attrs.get("weights", "normal") != "normal":
        return
    if not {f"{named}_histogram", "g", "initial_distance", "width"} <= set(dataset.variables):
        return
    if "layer" in dataset["width"].dims:
        return
    last = dataset[_needed(dataset, named)].isel(layer=-1)
    wanted = []
    for point, place in points(dataset):
        own = last.isel(place)
        layer, width = int(own["layer"]), int(own["width"])
        biased = "sigma_b" in own.variables and float(own["sigma_b"]) != 0.0
        if float(own["g"]) == 0.0 and not biased and (shape or layer > REACH * width):
            start = 1.0 - float(own["initial_distance"]) if shape else None
            if start is None or abs(start) < 1.0:
                wanted.append((point, own, layer, (layer / width, shape, start)))
    if len({limit for *_, limit in wanted}) > MOST_LAWS:
        return
    for point, own, layer, limit in wanted:
        found = _compared(own, named, _law(*limit), layer)
        if found is not None:
            agrees = found["p_value"] >= false_alarm
            yield WholeLaw(point, named, layer, limit[0], agrees=agrees, **found)


def _needed(dataset: xr.Dataset, observable: str) -> list[str]:
    """Return the variables that a law is made of: a hundred others make each point slow."""
    of_run = ("g", "initial_distance", "width", "sigma_b")
    ends = ("", "_stderr", "_std", "_histogram", "_bin_lower", "_bin_width")
    names = (*of_run, *(observable + end for end in ends))
    return [name for name in names if name in dataset.variables]


def summary(laws: Sequence[WholeLaw]) -> Iterator[str]:
    """Yield lines on laws: on all of one point, or how many of a grid differ and which."""
    if len(laws) == 1:
        yield laws[0].words
    elif laws:
        away = [law for law in laws if not law.agrees]
        symbol = SYMBOLS[laws[0].observable]
        yield (
            f"The law of {symbol} at the last layer, in the limit of depth with width (L = tN): "
            f"{len(away)} of {len(laws)} points differ{'s' * (len(away) == 1)}."
        )
        for law in sorted(away, key=lambda law: law.p_value)[:MAX_LISTED]:
            yield f"  {point_words(law.point)}: {law.words}"


@lru_cache(maxsize=64)
def _law(time: float, shape: tuple[float, float] | None, start: float | None) -> DepthWidthLaw:
    from simcore.theory.diffusion import sde

    return sde(time, shape=shape, correlation=start)


def _compared(
    last: xr.Dataset, observable: str, law: DepthWidthLaw, layer: int
) -> dict[str, Any] | None:
    """Return the numbers of a `WholeLaw`; None from too few networks, or if all are alike."""
    counts = last[f"{observable}_histogram"].to_numpy().astype(np.float64)
    step = float(last[f"{observable}_bin_width"])
    trials = int(counts.sum())
    if trials < LEAST_TRIALS or not step > 0.0:
        return None
    edges = float(last[f"{observable}_bin_lower"]) + step * np.arange(counts.size - 1)
    values = law.points
    if observable == "log_distance":
        scale = 2.0 * math.log(layer)
        edges, values = np.exp(np.minimum(edges + scale, 700.0)), np.log(values) - scale
    here = np.cumsum(counts)[:-1] / trials
    apart = float(np.abs(here - law.probability(edges)[0]).max())
    return {
        **_moments(values, law.cdf[0]),
        "mean": float(last[observable]),
        "error": float(last[f"{observable}_stderr"]),
        "std": float(last[f"{observable}_std"]),
        "apart": apart,
        "p_value": _kolmogorov(math.sqrt(trials) * apart),
        "trials": trials,
    }


def _moments(values: Floats, cdf: Floats) -> dict[str, float]:
    """Return mean and standard deviation of a law given at the edges of cells."""
    share, middle = np.diff(cdf), 0.5 * (values[1:] + values[:-1])
    mean = float(share @ middle)
    return {"limit_mean": mean, "limit_std": math.sqrt(float(share @ (middle - mean) ** 2))}


def _kolmogorov(scaled: float) -> float:
    from scipy.special import kolmogorov

    return float(kolmogorov(scaled))
