"""Size of the file of a run before it is written: its arrays, and how far each is compressed.

Means, errors and trajectories are noise in all but some bytes of a float64; shares of nodes of a
width that is a power of two have few digits; counts in histograms have as many bytes as their
logarithm. Measured on files of runs; a test compares the two.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import BY_NAME
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK

from .layout import Field, base, coordinates, fields, sizes
from .resume_state import state_coordinates, state_fields

_ARRAY, _SCALAR, _GROUP = 430, 400, 700
"""Bytes of an array, a single value and a group beside their content: header and attributes."""

_AXIS = 60
"""Bytes of the link between an array and the scale of an axis."""

_STREAM = 13
"""Bytes of a compressed chunk beside its content: header and checksum."""

_NOISE = 0.86
"""Share that is left of float64 whose digits are noise but for the first ones."""

_CONSTANT = 0.02


def estimate_bytes(run: Run) -> int:
    """Return about how many bytes the finished file of a run has."""
    size = {**sizes(run), "node": _nodes(run) * math.prod(run.shape)}
    held = [*fields(run, complete=True), *state_fields(run)]
    total = sum(
        _array(field.dims, _bytes(field, size) * _left(field, run) * _held(field, run))
        for field in held
    )
    shared = coordinates(run)
    for folder in {field.path.split("/")[0] for field in held if not _in_state(field)}:
        own = [field for field in held if field.path.split("/")[0] == folder]
        used = {dim for field in own for dim in field.dims}
        scales = [array for array in shared.values() if set(array.dims) <= used]
        total += _GROUP + sum(_array(a.dims, a.values.nbytes) for a in scales)
    scales = list(state_coordinates(run, size["node"]).values())
    total += sum(_array(a.dims, a.values.nbytes) for a in scales)
    groups = {field.path.rpartition("/")[0] for field in held if _in_state(field)}
    return round(total + _GROUP * (len(groups) + 3) + 2 * len(run.config_json()))


def _in_state(field: Field) -> bool:
    return field.path.startswith("state/")


def _nodes(run: Run) -> int:
    """Return how many nodes the statistics of a point have: whole blocks as a tree has them."""
    place, end = run.first_trial // BLOCK, run.end_trial // BLOCK
    count = int(run.end_trial % BLOCK != 0)
    while place < end:
        largest = place & -place or 1 << end.bit_length()
        while largest > end - place:
            largest //= 2
        place, count = place + largest, count + 1
    return count


def _bytes(field: Field, size: dict[str, int]) -> int:
    return math.prod(size[dim] for dim in field.dims) * np.dtype(field.dtype).itemsize


def _array(dims: tuple[str, ...], stored: float) -> float:
    return _ARRAY + _AXIS * len(dims) + _STREAM + stored if dims else _SCALAR


def _left(field: Field, run: Run) -> float:
    """Return the share of an array that compression leaves."""
    *_, folder, name = field.path.split("/")
    observable = base(name if folder in ("trajectories", "covariance") else folder)
    if name == "histogram":
        return min(0.42, 0.071 + 0.055 * max(0.0, math.log10(run.trials / 64.0)))
    if field.dtype != "f8" or name.endswith("count"):
        return _CONSTANT
    if observable not in BY_NAME:
        return _NOISE
    if observable.startswith("dead_network"):
        return _NOISE if run.trials * (1.0 - _survival(run)[-1]) > 1.0 else _CONSTANT
    if observable.startswith("inactive") and name in (observable, "node_mean", "node_m2"):
        return _shares(run, name)
    known = observable.startswith(("q", "log_q", "inactive1", "inactive2"))
    if name.startswith("theory") and known and not any(run.sigma_b or (0.0,)):
        return 0.15
    return 0.8 if name in ("mean", "node_mean", "theory", "quantile") else _NOISE


def _survival(run: Run) -> npt.NDArray[np.float64]:
    """Return the probability by layer that a network of the least width is not dead yet."""
    widths = np.array(run.layer_widths or (min(run.width),) * run.depth, dtype=np.float64)
    return np.asarray(np.exp(np.cumsum(np.log1p(-(2.0**-widths)))))


def _held(field: Field, run: Run) -> float:
    """Return the share of an array's layers that a network reaches alive; the rest is NaN."""
    if "layer" not in field.dims or field.dtype != "f8":
        return 1.0
    networks = 1 if "trial" in field.dims else run.trials
    return float(np.minimum(1.0, networks * _survival(run)).mean())


def _shares(run: Run, name: str) -> float:
    """Return the share that is left of shares of nodes, or of their means over 2^j networks."""
    widths = run.layer_widths or run.width
    if any(width & (width - 1) for width in widths):
        return 0.72
    return {"node_mean": 0.3, "node_m2": 0.48}.get(name, 0.145)
