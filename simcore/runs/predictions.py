"""Infinite-width predictions for every point and pair of a run: which theory each needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import FIRST_ORDER, GRADIENT_FIRST_ORDER
from simcore.physics.slopes import silent

from .grid import Point
from .run import Run

Floats = npt.NDArray[np.float64]

REACH = 1.0
"""Largest Σ 1/N over the layers of a run's shortest network at which (8) still says anything."""

POPULATIONS = 4
"""Pairs of a shared network whose population is followed, seconds for each; others have none."""


def predictions(run: Run, look: Callable[[str], object] = str) -> dict[str, Floats]:
    """Return the predictions of all points and, for asymmetric weights, their standard errors.

    Parameters
    ----------
    run
        The run.
    look
        Called before each prediction, some of which take seconds, with the number of the point, in
        words; may raise to give it up.

    Returns
    -------
    dict
        ``theory`` and ``theory_errors``, each of shape (observable, point, pair, layer); NaN where
        there is none (theory.md 3).
    """
    shape = (len(run.columns.names), len(run.points), run.columns.pairs, run.depth)
    found = {"theory": np.full(shape, np.nan), "theory_errors": np.full(shape, np.nan)}
    inputs = None if run.inputs is None else run.inputs.load()
    known: dict[tuple[Any, ...], tuple[Floats, Floats]] = {}
    for i, point in enumerate(run.points):
        pairs = range(run.columns.pairs)
        for pair in pairs[:POPULATIONS] if point.asymmetric else pairs:
            physics = (*_physics(run, point), pair if inputs is not None else point.distances[pair])
            if physics not in known:
                look(_place(i, len(run.points), pair, len(pairs)))
                known[physics] = _predict(run, point, pair, inputs)
            found["theory"][:, i, pair], found["theory_errors"][:, i, pair] = known[physics]
        if not point.asymmetric and run.weights == "normal" and silent(point.slopes):
            _add_deaths(run, point, found["theory"][:, i])
    return found


def _place(point: int, points: int, pair: int, pairs: int) -> str:
    """Return a point of the grid and a pair, numbered from 0, in words."""
    of_pairs = f", pair {pair + 1} of {pairs}" if pairs > 1 else ""
    return f"point {point + 1} of {points}{of_pairs}"


def has_first_order(run: Run) -> bool:
    """Tell whether theory.md (8) covers the run: Gaussian weights, none of them replaced."""
    return run.ensemble not in ASYMMETRIC and run.weights == "normal"


def exact_first_order(run: Run) -> tuple[str, ...]:
    """Return observables of the way back whose prediction of first order is exact at any width.

    Those of independent weights, theory.md (16).
    """
    independent = has_first_order(run) and all(k == 0.0 for k in run.k)
    return GRADIENT_FIRST_ORDER if run.gradients and independent else ()


def first_order_predictions(run: Run) -> dict[str, dict[str, Floats]]:
    """Return the predictions of all points at first order in 1/N, theory.md (8).

    Parameters
    ----------
    run
        The run, one that `has_first_order`.

    Returns
    -------
    dict
        ``theory_1n`` and ``theory_1n_std``; each has an array of shape (point, pair, layer) for
        every observable that has a value everywhere, and none for the others. Both are empty where
        every point is deeper than it is wide.
    """
    from simcore.theory.finite_width import first_order_grid

    found: dict[str, dict[str, Floats]] = {"theory_1n": {}, "theory_1n_std": {}}
    if min((1.0 / point.layer_widths(run.depth)).sum() for point in run.points) > REACH:
        return found
    given = [signals(run, point) for point in run.points]
    rows = [
        (
            *point.layer_widths(run.depth),
            point.g,
            point.sigma_w,
            point.sigma_b or 0.0,
            *signal,
            *read,
            *point.slopes,
        )
        for point, pairs in zip(run.points, given, strict=True)
        for signal, read in zip(pairs, _read(run, point), strict=True)
    ]
    known, place = np.unique(np.array(rows), axis=0, return_inverse=True)
    columns = dict(zip(_OF_PAIR, known[:, run.depth :].T, strict=True))
    if not (np.minimum(columns["q1"], columns["q2"]) > 0.0).all():
        return found  # a signal that the weights do not see
    columns["widths"] = known[:, : run.depth]
    read = {name: columns.pop(name) for name in ("read1", "read2")}
    slopes = columns.pop("above"), columns.pop("below")
    mean, std = first_order_grid(run.depth, slopes=slopes, **columns)
    if run.gradients:
        from simcore.theory.gradient_widths import gradient_law

        del columns["distance"]
        back = gradient_law(run.depth, slopes=slopes, **columns, **read)
        mean, std = mean | back[0], std | back[1]
    shape = (len(run.points), run.columns.pairs, run.depth)
    for name in FIRST_ORDER + GRADIENT_FIRST_ORDER * run.gradients:
        if np.isfinite(mean[name]).all() and np.isfinite(std[name]).all():
            found["theory_1n"][name] = mean[name][place.ravel()].reshape(shape)
            found["theory_1n_std"][name] = std[name][place.ravel()].reshape(shape)
    return found


_OF_PAIR = ("g", "sigma_w", "sigma_b", "q1", "q2", "distance", "read1", "read2", "above", "below")


def _read(run: Run, point: Point) -> list[tuple[float, float]]:
    """Return the mean squares of the inputs of each pair as they are."""
    if run.inputs is None:
        return [(point.q0, point.q0) for _ in point.distances]
    return list(zip(run.inputs.q1, run.inputs.q2, strict=True))


def signals(run: Run, point: Point) -> list[tuple[float, float, float]]:
    """Return q₁, q₂ and 1 − c₀ of each pair as correlated weights see them."""
    if run.inputs is None:
        return [(point.q0, point.q0, distance) for distance in point.distances]
    inputs = run.inputs.load()
    return [seen(inputs[list(pair)], point.g) for pair in run.inputs.pairs]


def _add_deaths(run: Run, point: Point, values: Floats) -> None:
    """Add the probability of a dead network, exact at any width, where a pair has a prediction."""
    from simcore.theory.meanfield import dead_network

    zero_sum = point.g == 1.0 and not point.sigma_b
    dead = dead_network(point.layer_widths(run.depth), zero_sum=zero_sum)
    live = np.isfinite(values[run.columns.names.index("q1")])
    for name in ("dead_network1", "dead_network2"):
        values[run.columns.names.index(name)] = np.where(live, dead, np.nan)


def _physics(run: Run, point: Point) -> tuple[Any, ...]:
    """Return what the prediction of a pair depends on, beside the pair."""
    network = point.widths if point.asymmetric or point.sigma_b is None else ()
    inputs = point.q0 if run.inputs is None else 0.0
    return (point.k, point.sigma_w, point.sigma_b, inputs, network, point.slopes)


def _predict(run: Run, point: Point, pair: int, inputs: Floats | None) -> tuple[Floats, Floats]:
    """Return predictions and standard errors for one pair, shape (observable, layer)."""
    chosen = None if inputs is None or run.inputs is None else inputs[list(run.inputs.pairs[pair])]
    if chosen is not None and not chosen.any(axis=1).all():
        return _stacked(run, None), _stacked(run, None)  # a zero input has no direction
    if point.asymmetric:
        return _population(run, point, pair, chosen)
    from simcore.theory.meanfield import trajectory

    q1, q2, distance = point.q0, point.q0, point.distances[pair]
    if chosen is not None:
        q1, q2, distance = seen(chosen, point.g)
    if not (q1 > 0.0 and q2 > 0.0):
        return _stacked(run, None), _stacked(run, None)  # k = ∞ does not see a constant input
    law: dict[str, Any] = {
        "k": point.k,
        "sigma_w": point.sigma_w,
        "sigma_b": point.biases(run.depth),
    }
    path = trajectory(run.depth, q1=q1, q2=q2, distance=distance, slopes=point.slopes, **law)
    if not run.gradients:
        return _stacked(run, path), _stacked(run, None)
    from simcore.theory.gradients import follow_back, products

    read = (q1, q2, (1.0 - distance) * q1) if chosen is None else products(*chosen)
    back = follow_back(path, read, slopes=point.slopes, **law)
    return _stacked(run, path, back), _stacked(run, None)


def seen(pair: Floats, g: float) -> tuple[float, float, float]:
    """Return the mean squares and 1 − c that correlated weights see of two inputs, theory.md (2).

    They see each input less a share of its mean, 1 − √(1 − g).
    """
    if not pair.any(axis=1).all():
        return 0.0, 0.0, 0.0  # a zero input has no direction
    reduced = pair - (1.0 - np.sqrt(1.0 - g)) * pair.mean(axis=1, keepdims=True)
    q1, q2 = (reduced**2).mean(axis=1)
    tiny = np.finfo(np.float64).eps ** 2
    if q1 <= tiny * (pair[0] ** 2).mean() or q2 <= tiny * (pair[1] ** 2).mean():
        return 0.0, 0.0, 0.0
    gap = reduced[0] / np.sqrt(q1) - reduced[1] / np.sqrt(q2)
    return float(q1), float(q2), float(min(2.0, 0.5 * (gap**2).mean()))


def _population(run: Run, point: Point, pair: int, inputs: Floats | None) -> tuple[Floats, Floats]:
    from simcore.theory.population import population_trajectory

    path = population_trajectory(
        point.fan_ins(run.depth),
        k=point.k,
        sigma_w=point.sigma_w,
        sigma_b=point.sigma_b,
        q0=1.0 if inputs is not None else point.q0,
        distance=0.0 if inputs is not None else point.distances[pair],
        inputs=None if inputs is None else inputs.T,
    )
    return _stacked(run, path), _stacked(run, path.errors)


def _stacked(run: Run, path: object, back: object = None) -> Floats:
    """Return what two paths predict of a run's observables; NaN where neither does."""
    none = np.full(run.depth, np.nan)
    return np.stack([getattr(path, x, getattr(back, x, none)) for x in run.columns.names])
