"""Ties: pre-activations of Rademacher and Bernoulli weights that are exactly 0.

The oracle takes inputs through the same weights in whole numbers: floats are multiples of a power
of two, so that nothing rounds. Inputs have mean 0, a relation that rounding breaks: the last
component is set again.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.numerics.rng import ROOM, Stream
from simcore.runs.run import Run
from simcore.sampling.batch.cpu import BatchSampler
from simcore.sampling.variates import fill_variates
from tests.support.array_driver import array_rows, cpu_rows

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[Any]
"""Of Python's integers."""

COUNTS = ("inactive1", "inactive2", "inactive_both", "dead_network1", "dead_network2")

CASES: dict[str, dict[str, Any]] = {
    "three nodes": {"weights": "rademacher", "width": (3,), "depth": 12},
    "four nodes": {"weights": "rademacher", "width": (4,), "depth": 30},
    "five nodes": {"weights": "rademacher", "width": (5,), "distance": (1e-20,)},
    "nine nodes": {"weights": "rademacher", "width": (9,), "distance": (0.01,)},
    "many pairs": {"weights": "rademacher", "width": (6,), "shared_network": True, "pairs": 3},
    "opposite": {"weights": "rademacher", "width": (6,), "distance": (2.0,)},
    "sparse": {"weights": "bernoulli:0.2", "width": (8,)},
    "very sparse": {"weights": "bernoulli:0.01", "width": (200,), "depth": 3},
    "sparse and close": {"weights": "bernoulli:0.3", "width": (6,), "distance": (1e-12,)},
}
TRIALS = 60


def run_of(case: str) -> Run:
    settings: dict[str, Any] = {"depth": 6, "sampler": "dense", "trials": 1}
    return Run(**(settings | CASES[case]))


def whole(numbers: Any, bits: int) -> Whole:
    """Return numbers times 2^bits, which are to be whole."""
    scaled = [Fraction(x) * 2**bits for x in numbers]
    assert all(x.denominator == 1 for x in scaled)
    return np.array([int(x) for x in scaled], dtype=object)


def whole_inputs(sampler: BatchSampler, trial: int) -> list[tuple[Whole, Whole]]:
    """Return both inputs of each pair of a trial, with mean 0, as whole numbers."""
    [batch] = sampler.carry(0, 1)
    sampler._start(0, trial, batch, np.empty((4, ROOM), dtype=np.uint32))
    point, pairs = sampler.run_plan.points[0], sampler.pairs
    n = point.inputs_n
    x = batch.signals[: 2 * pairs * n].reshape(2 * pairs, n)
    made = []
    for p, distance in enumerate(point.distances):
        first = [Fraction(float(v)) for v in x[p]]
        residual = [Fraction(float(v)) for v in x[pairs + p]]
        kappa = 1 - Fraction(distance)
        second = [kappa * a - b for a, b in zip(first, residual, strict=True)]
        first[-1] -= sum(first, Fraction())
        second[-1] -= sum(second, Fraction())
        made.append((whole(first, 400), whole(second, 400)))
    return made


def weights_of(sampler: BatchSampler, trial: int, layer: int) -> Whole:
    """Return the standardised weights of a layer in units of 2⁻²⁰⁰, shape (N, n)."""
    law = sampler.laws[0]
    z = np.empty((sampler.widths[0][layer - 1], sampler.fan_ins[0][layer - 1]), dtype=np.float32)
    for i, row in enumerate(z):
        place = (np.uint64(Stream.WEIGHT), i, trial, layer, law.key0, law.key1)
        fill_variates(row, law.code, law.parameter, np.empty((4, ROOM), np.uint32), *place)
    return whole(z.astype(float).ravel(), 200).reshape(z.shape)


def exact_counts(run: Run, trial: int) -> tuple[Floats, int]:
    """Return the counts of a trial, shape (layer, count, pair), and how many ties there are."""
    sampler = BatchSampler(run)
    pairs = whole_inputs(sampler, trial)
    dead = np.zeros((len(pairs), 2))
    counts, ties = np.empty((run.depth, len(COUNTS), len(pairs))), 0
    for layer in range(1, run.depth + 1):
        z = weights_of(sampler, trial, layer)
        for p, signals in enumerate(pairs):
            h = [z.dot(x) for x in signals]
            ties += sum(
                int(np.sum((a == 0) & bool(np.any(x)))) for a, x in zip(h, signals, strict=True)
            )
            off = [np.array(a <= 0, dtype=bool) for a in h]
            dead[p] = np.maximum(dead[p], [float(a.all()) for a in off])
            shares = [off[0].mean(), off[1].mean(), (off[0] & off[1]).mean()]
            counts[layer - 1, :, p] = [*shares, *dead[p]]
            pairs[p] = (np.maximum(h[0], 0), np.maximum(h[1], 0))
    return counts, ties


def counts_of(run: Run, rows: Floats) -> Floats:
    """Return the same of a sampler, shape (trial, layer, count, pair)."""
    columns = [run.columns.of(name) for name in COUNTS]
    return np.stack([rows[:, :, c].reshape(*rows.shape[:2], -1) for c in columns], axis=2)


@pytest.mark.parametrize("case", CASES)
def test_ties_are_inactive(case: str) -> None:
    run = run_of(case)
    trials = 3 if run.width[0] > 100 else TRIALS
    exact = [exact_counts(run, trial) for trial in range(trials)]
    assert sum(ties for _, ties in exact) > trials / 10
    expected = np.stack([counts for counts, _ in exact])
    np.testing.assert_array_equal(counts_of(run, cpu_rows(run, trials)), expected)
    np.testing.assert_array_equal(counts_of(run, array_rows(run, trials)), expected)


def test_a_second_signal_of_ties_alone_is_dead() -> None:
    """Its length is 0 and has no logarithm, although the first signal lives."""
    run = run_of("sparse")
    rows = cpu_rows(run, 400)
    q1, q2, log_q2, angle = (
        rows[:, :, run.columns.of(name)] for name in ("q1", "q2", "log_q2", "angle")
    )
    alone = (q1 > 0.0) & (q2 == 0.0)
    assert alone.any()
    assert np.isnan(log_q2[q2 == 0.0]).all()
    assert np.isnan(angle[q2 == 0.0]).all()
    assert q2[q2 > 0.0].min() > 1e-20


def test_a_share_of_nodes_without_weights_or_active_inputs() -> None:
    """At layer 1 a node is inactive with 1 − (1 − (1 − P)^N)/2; N = 3 nodes of ±1 with ½ + ⅛."""
    shares = {"rademacher": 0.625, "bernoulli:0.3": 1.0 - 0.5 * (1.0 - 0.7**3)}
    for weights, share in shares.items():
        run = Run(depth=1, width=(3,), weights=weights, distance=(0.5,), trials=1)
        counts = counts_of(run, cpu_rows(run, 4000))[:, 0, :2, 0]
        # Weights of ±1: all nodes of a network share inputs, but ties do not depend on these.
        error = np.sqrt(share * (1.0 - share) / (3 * 4000))
        # 5 standard errors: four comparisons, a false alarm in 4e5 seeds.
        assert np.abs(counts.mean(axis=0) - share).max() < 5.0 * error
