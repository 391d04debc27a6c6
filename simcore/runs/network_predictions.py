"""Predictions for the observables of a network that many inputs share, theory.md 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.slopes import silent

from .grid import Point, never_dies
from .run import Run

Floats = npt.NDArray[np.float64]


def predicted_of_network(run: Run) -> dict[str, tuple[str, ...]]:
    """Return which observables of a shared network have a prediction, and which arrays of it."""
    if not run.shared or run.ensemble in ASYMMETRIC:
        return {}
    found: dict[str, tuple[str, ...]] = {"dead": ("theory",)}
    if run.inputs is not None:
        found["dead"] = ("theory", "theory_errors")
    if run.weights == "normal" and not never_dies(run):
        found["dead_inputs"] = ("theory",)
    return found


def network_predictions(
    run: Run, look: Callable[[str], object] = str
) -> dict[str, dict[str, Floats]]:
    """Return the predictions of all points by observable and array, each (point, layer).

    `look` is called before each layer of those that take seconds, with its number, in words; may
    raise to give it up.
    """
    arrays = predicted_of_network(run)
    shape = (len(run.points), run.depth)
    found = {name: {part: np.empty(shape) for part in parts} for name, parts in arrays.items()}
    if not found:
        return found
    inputs = None if run.inputs is None else run.inputs.load()
    known: dict[tuple[Any, ...], tuple[Floats, Floats]] = {}
    for i, point in enumerate(run.points):
        scales = (point.k, point.sigma_w, point.sigma_b, None if inputs is not None else point.q0)
        physics = (*scales, point.slopes, point.widths if point.sigma_b is None else ())
        if physics not in known:
            where = f"point {i + 1} of {len(run.points)}"
            known[physics] = _dead_nodes(run, point, inputs, partial(_told, look, where))
        for part, values in zip(("theory", "theory_errors"), known[physics], strict=True):
            if part in found["dead"]:
                found["dead"][part][i] = values
        if "dead_inputs" in found:
            found["dead_inputs"]["theory"][i] = _dead_inputs(run, point, inputs)
    return found


def _told(look: Callable[[str], object], where: str, layer: str) -> None:
    look(f"{where}, {layer}")


def _dead_nodes(
    run: Run, point: Point, inputs: Floats | None, look: Callable[[str], object]
) -> tuple[Floats, Floats]:
    """Return the share of nodes inactive for all inputs, theory.md (7e), and its error."""
    from simcore.theory.data_set import dead_of_inputs, dead_of_pairs

    law: dict[str, Any] = {"k": point.k, "sigma_w": point.sigma_w}
    law |= {"sigma_b": point.biases(run.depth), "slopes": point.slopes}
    if inputs is not None:
        return dead_of_inputs(inputs, run.depth, look=look, **law)
    values = dead_of_pairs(run.depth, q0=point.q0, distances=point.distances, **law)
    return values, np.zeros(run.depth)


def _dead_inputs(run: Run, point: Point, inputs: Floats | None) -> Floats:
    """Return the mean share of inputs that are dead: exact at any width, since each input's is."""
    from simcore.theory.data_set import seen_inputs
    from simcore.theory.meanfield import dead_network

    if not silent(point.slopes):
        return np.full(run.depth, math.nan)
    zero_sum = point.g == 1.0 and not point.sigma_b
    died = dead_network(point.layer_widths(run.depth), zero_sum=zero_sum)
    if inputs is None or point.sigma_b:
        return died
    lost = 1.0 - float(seen_inputs(inputs, point.g).any(axis=1).mean())
    return np.asarray(lost + (1.0 - lost) * died)
