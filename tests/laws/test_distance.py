"""`distance` and its kin against plain covariance matrices in many digits, on the same normals.

The oracle knows nothing of the difference form: it forms K from the activations of every node
(theory.md (2)) with 90 digits, which is room for 1 − c = 1e-30 and its square.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import mpmath as mp
import numpy as np
import pytest

from simcore.runs.run import Run
from simcore.sampling.pair import physics as pair_physics
from simcore.sampling.pair.physics import GAMMA, KAPPA, MANTISSA, RHO
from tests.support.pair_driver import Walk, layer_normals, walk, walk_on

TOLERANCE = 1e-6
OF_SIZE_ONE = ("log_q1", "log_q2", "correlation", "cosine", "log_sine")
"""Of these the error is absolute: a logarithm's is relative in q, and a correlation or a cosine is
a sum of terms of size 1, whatever is left of them."""

DIGITS = 90
STRENGTHS = (-0.9, -0.5, 0.0, 1.0, math.inf)
SIZES = ((5, 6), (20, 5), (64, 4), (100, 4), (600, 2))
"""Widths, with the number of layers: below 64 the sampler sums in float64."""

Matrix = tuple[mp.mpf, mp.mpf, mp.mpf]


def run(width: int, depth: int, k: float, sigma_b: float) -> Run:
    return Run(depth=depth, width=(width,), ensemble="correlated", k=(k,), sigma_b=(sigma_b,))


def recursion(walked: Walk, start: Matrix) -> Iterator[dict[str, mp.mpf]]:
    """Yield the observables of each layer of trial 0, by theory.md (2) and 3."""
    physics, (k11, k12, k22) = walked.physics, start
    g, w2, s = (mp.mpf(x) for x in (physics.g, physics.sigma_w2, physics.sigma_b2))
    for layer, width in enumerate(walked.widths.tolist(), start=1):
        z1, z2 = layer_normals(physics, 0, layer, width)
        across = mp.sqrt(max(mp.mpf(0), k22 - k12**2 / k11))
        u = [mp.sqrt(k11) * mp.mpf(float(z)) for z in z1]
        v = [
            k12 / mp.sqrt(k11) * mp.mpf(float(a)) - across * mp.mpf(float(b))
            for a, b in zip(z1, z2, strict=True)
        ]
        x, y = ([max(value, mp.mpf(0)) for value in values] for values in (u, v))
        q1, q2 = (sum(h * h for h in values) / width for values in (u, v))
        c = sum(a * b for a, b in zip(u, v, strict=True)) / width / mp.sqrt(q1 * q2)
        xx, yy = sum(a * a for a in x), sum(b * b for b in y)
        xy = sum(a * b for a, b in zip(x, y, strict=True))
        observed = {"q1": q1, "q2": q2, "log_q1": mp.log(q1), "log_q2": mp.log(q2)}
        observed |= {"correlation": c, "distance": 1 - c, "angle": mp.acos(c)}
        if xx * yy == 0:
            yield observed
            return  # a signal has died: the tests of the law look at that
        apart = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        observed |= {"cosine": xy / mp.sqrt(xx * yy), "mean1": sum(x) / width}
        observed |= {"mean2": sum(y) / width, "variance": apart / 2 / width}
        observed |= {"product": xy / width}
        if sum(a + b > 0 for a, b in zip(x, y, strict=True)) > 1:  # one node is one direction
            observed |= {"log_sine": mp.log(1 - xy**2 / xx / yy)}
        yield observed
        sx, sy = sum(x), sum(y)
        k11 = w2 / width * (xx - g / width * sx * sx) + s
        k12 = w2 / width * (xy - g / width * sx * sy) + s
        k22 = w2 / width * (yy - g / width * sy * sy) + s


def agree(walked: Walk, start: Matrix) -> None:
    """Compare every layer until a signal dies or the two become parallel."""
    checked = 0
    for layer, expected in enumerate(recursion(walked, start)):
        if walked["distance"][0, layer] == 0.0:
            break
        checked += 1
        sizes = dict.fromkeys(OF_SIZE_ONE, mp.mpf(1))
        # Sums that may cancel.
        sizes["product"] = mp.sqrt(expected["q1"] * expected["q2"])
        sizes["variance"] = 10 * expected.get("variance", 0)
        for name, value in expected.items():
            got = walked[name][0, layer]
            size = sizes.get(name, value)
            error = abs(mp.mpf(got) - value) / size
            assert error < TOLERANCE, (name, layer + 1, got, value)
        log_distance = walked["log_distance"][0, layer]
        assert abs(mp.mpf(log_distance) - mp.log(expected["distance"])) < TOLERANCE
    assert checked >= 1


@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
@pytest.mark.parametrize("k", STRENGTHS)
@pytest.mark.parametrize("distance", [1.5, 1e-3, 1e-12, 1e-30])
def test_equal_lengths(k: float, sigma_b: float, distance: float) -> None:
    for width, depth in SIZES:
        walked = walk(run(width, depth, k, sigma_b), 1, distance=distance)
        with mp.workdps(DIGITS):
            k11 = mp.mpf(walked.physics.sigma_w2) + mp.mpf(walked.physics.sigma_b2)
            k12 = k11 - mp.mpf(walked.physics.sigma_w2) * mp.mpf(distance)
            agree(walked, (k11, k12, k11))


@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
@pytest.mark.parametrize("k", STRENGTHS)
@pytest.mark.parametrize(("distance", "length"), [(0.5, 3.0), (1e-12, 3.0), (1e-30, 1.0 / 3.0)])
def test_unequal_lengths(k: float, sigma_b: float, distance: float, length: float) -> None:
    """Start from √K₂₂ = length · √K₁₁, which no input of a run gives in the first layer."""
    for width, depth in SIZES:
        plan = run(width, depth, k, sigma_b)
        physics = pair_physics.Physics.of(plan.points[0])
        states = np.empty((1, pair_physics.STATE))
        pair_physics.start(physics, states)
        states[0, MANTISSA] = 1.0
        states[0, KAPPA] = length * (1.0 - distance)
        states[0, RHO] = 1.0 - length + length * distance
        states[0, GAMMA] = length * math.sqrt(distance * (2.0 - distance))
        walked = walk_on(physics, plan.points[0].layer_widths(depth), states)
        with mp.workdps(DIGITS):
            overlap = mp.mpf(length) * (1 - mp.mpf(distance))
            agree(walked, (mp.mpf(1), overlap, mp.mpf(length) ** 2))


def test_great_depth_in_the_ordered_phase() -> None:
    """1 − c falls through 1e-30 by itself, and the lengths drift apart on the way."""
    walked = walk(run(100, 60, -0.9, 0.0), 1, distance=1e-4)
    with mp.workdps(200):
        k11 = mp.mpf(walked.physics.sigma_w2)
        agree(walked, (k11, k11 * (1 - mp.mpf(1e-4)), k11))
    assert walked["distance"][0, -1] < 1e-30


def test_a_wrong_recursion_is_seen() -> None:
    """The comparison fails for a strength off by one part in ten thousand."""
    plan = run(100, 4, 1.0, 0.0)
    walked = walk(plan, 1, distance=1e-12, g=0.50005)
    right = Walk(pair_physics.Physics.of(plan.points[0]), walked.widths, walked.states, walked.rows)
    with mp.workdps(DIGITS):
        k11 = mp.mpf(right.physics.sigma_w2)
        start = (k11, k11 * (1 - mp.mpf(1e-12)), k11)
        with pytest.raises(AssertionError):
            agree(right, start)
