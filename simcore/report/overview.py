"""All points at the last layer, the parameters in which they differ, and their fixed points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import CONTROL, SHARES
from simcore.physics.parameters import PARAMETERS
from simcore.physics.slopes import RELU, Slopes
from simcore.results.controlled import with_controls
from simcore.results.intervals import ends, reach

from .points import Point, point_label
from .sources import Source, is_asymmetric

Floats = npt.NDArray[np.float64]

LAST = ("correlation", "log_distance", "log_q1", "inactive1", "inactive_both", "dead_network1")
"""Observables of the last layer."""

MOST_ROWS = 5000
"""Points that are shown at the last layer."""

FREE = ("width", "k", "sigma_b", "overlap", "initial_distance", "q0", "pair")
"""Parameters that vary by themselves; σ_w may follow k, and g always does."""


def varied_parameters(points: Sequence[Point], sources: Sequence[Source]) -> list[str]:
    """Return the parameters in which points differ, in the order of a grid's dimensions."""
    found = {name for name in FREE if len(_distinct(p.values.get(name) for p in points)) > 1}
    if "pair" in found:
        found -= {"overlap", "initial_distance"}
    elif "overlap" in found and not _told_apart(points, "overlap"):
        found.discard("overlap")
    elif "overlap" in found:
        found.discard("initial_distance")
    if _scale_is_free(points, sources):
        found.add("sigma_w")
    names = [name for name in PARAMETERS if name in found]
    labels = {point_label(point, names) for point in points}
    clear = len(labels) == len(points) and "" not in labels
    return names if clear or len(sources) == 1 else ["file", *names]


def _distinct(values: Iterable[float | None]) -> set[float]:
    return {x for x in values if x is not None and not math.isnan(x)}


def _told_apart(points: Sequence[Point], name: str) -> bool:
    """Return True if c₀ distinguishes the points as well as 1 − c₀, which is finer near 1."""
    finer = _distinct(p.values.get("initial_distance") for p in points)
    return len(_distinct(p.values.get(name) for p in points)) == len(finer)


def _scale_is_free(points: Sequence[Point], sources: Sequence[Source]) -> bool:
    """Return True if σ_w differs where k does not."""
    of_k: dict[tuple[float, str], set[float]] = {}
    for point in points:
        key = point.values.get("k", 0.0), str(sources[point.source].config["ensemble"])
        of_k.setdefault(key, set()).add(point.values.get("sigma_w", math.nan))
    return any(len(_distinct(scales)) > 1 for scales in of_k.values())


def last_layer(
    sources: Sequence[Source], points: Sequence[Point], varied: Sequence[str]
) -> dict[str, list[Any]]:
    """Return a table of points at the last layer, column by column.

    Columns are the varied parameters and g, and of each observable of `LAST` the mean, its
    standard error, the reach of its interval (`intervals.reach`) and theory, of a share the ends of
    its interval (`intervals.ends`); of c also its fixed point c* and the depth scale.
    """
    columns: dict[str, list[Any]] = {"label": [], "source": [], "c_star": [], "scale": []}
    names = [*varied, *(["g"] if "k" in varied else [])]
    columns |= {name: [p.values.get(name, math.nan) for p in points] for name in names}
    for name in ("k", "sigma_w", "sigma_b"):
        columns[f"{name}_all"] = [p.values.get(name, 0.0) for p in points]
    columns["slopes_all"] = [slopes_of(p.values) for p in points]
    arrays = [_last_arrays(source) for source in sources]
    for variable in {name: None for found in arrays for name in found}:
        columns[variable] = [
            float(arrays[p.source][variable][p.place]) if variable in arrays[p.source] else math.nan
            for p in points
        ]
    for point in points:
        star, scale = fixed_point_of(point.values, asymmetric=is_asymmetric(sources[point.source]))
        columns["label"].append(point_label(point, varied))
        columns["source"].append(point.source)
        columns["c_star"].append(star)
        columns["scale"].append(scale)
    return columns


def _last_arrays(source: Source) -> dict[str, Floats]:
    endings = ("", "_stderr", "_theory", "_count")
    names = [name + suffix for name in LAST for suffix in endings]
    finer = [name + CONTROL + suffix for name in LAST for suffix in endings[:2]]
    held = [name for name in names + finer if name in source.dataset]
    dataset = with_controls(source.dataset[held])
    found = {
        name: dataset[name].isel(layer=-1).transpose(*source.swept).values
        for name in names
        if name in dataset
    }
    for name in [name for name in LAST if name in SHARES and name in found]:
        low, high = ends(name, *(found[f"{name}{e}"] for e in ("", "_stderr", "_count")))
        found |= {f"{name}_low": low, f"{name}_high": high}
    counts = [name for name in found if name.endswith("_count")]
    return found | {name.replace("_count", "_reach"): reach(found.pop(name)) for name in counts}


def slopes_of(values: Mapping[str, float]) -> Slopes:
    """Return the slopes of a point; files of ReLU do not name them."""
    return values.get("positive_slope", RELU[0]), values.get("negative_slope", RELU[1])


def fixed_point_of(values: Mapping[str, float], *, asymmetric: bool) -> tuple[float, float]:
    """Return c* and the depth scale of c; NaN for ensembles without a closed form."""
    from simcore.theory import fixed_point

    if asymmetric or not {"k", "sigma_b"} <= values.keys():
        return math.nan, math.nan
    law = {name: values[name] for name in ("k", "sigma_w", "sigma_b")}
    found = fixed_point(slopes=slopes_of(values), **law)
    return found.correlation, found.depth_scale_correlation
