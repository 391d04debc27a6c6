"""Activations with slopes in the sampler of pairs: digits, parallel signals, no deaths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from simcore.runs.run import Run
from simcore.sampling.pair.physics import DIED1, GAMMA, KAPPA, MANTISSA, POWER
from tests.support.network_driver import sample
from tests.support.pair_driver import Walk, layer_normals, walk
from tests.support.two_samples import one_pair, worst

SLOPES = ("1,0.2", "1,-1", "0.7,-0.3", "1,1")


def sloped(width: int, depth: int, slopes: str, k: float = 0.0, **options: Any) -> Walk:
    run = Run(depth=depth, width=(width,), ensemble="correlated", k=(k,), slopes=slopes, **options)
    return walk(run, 16)


def next_distance(walked: Walk, distance: float, slopes: str, trial: int) -> float:
    """1 − c of the covariance that layer 2 has, by theory.md (2) from the normals of layer 1."""
    physics, width = walked.physics, int(walked.widths[0])
    above, below = (mpf(x) for x in slopes.split(","))
    z1, z2 = layer_normals(physics, trial, 1, width)
    with mp.workdps(90):
        w, g, s = (mpf(x) for x in (physics.sigma_w2, physics.g, physics.sigma_b2))
        k11, k12 = w + s, w * (1 - mpf(distance)) + s
        root, slope = mp.sqrt(k11), k12 / k11
        across = mp.sqrt(k11 - k12 * k12 / k11)
        u = [root * mpf(float(z)) for z in z1]
        v = [slope * a - across * mpf(float(z)) for a, z in zip(u, z2, strict=True)]
        x, y = ([above * max(h, 0) + below * min(h, 0) for h in hs] for hs in (u, v))

        def covariance(a: list[Any], b: list[Any]) -> Any:
            product = mp.fsum(p * q for p, q in zip(a, b, strict=True)) / width
            return w * (product - g * mp.fsum(a) * mp.fsum(b) / width**2) + s

        return float(1 - covariance(x, y) / mp.sqrt(covariance(x, x) * covariance(y, y)))


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("width", [8, 100])
def test_the_distance_keeps_its_digits(slopes: str, width: int) -> None:
    """Relative to 1e-6 in a layer of 8 nodes, whose sums are float64, and 1e-5 in one of 100."""
    for k, sigma_b in ((0.0, 0.0), (math.inf, 0.0), (1.0, 0.3)):
        for distance in (1e-30, 1e-8, 0.5, 1.3):
            made = sloped(width, 1, slopes, k, sigma_b=(sigma_b,), distance=(distance,))
            for trial in range(2):
                state = made.states[trial]
                x, y = state[KAPPA] * math.sqrt(state[MANTISSA]), state[GAMMA]
                assert state[POWER] == 0.0
                # 1 − cos of the point (x, y), without a difference of nearly equal numbers
                found = 2.0 * math.sin(0.5 * math.atan2(y, x)) ** 2
                expected = next_distance(made, distance, slopes, trial)
                assert found == pytest.approx(expected, rel=1e-6 if width < 64 else 1e-5)


@pytest.mark.parametrize("options", [{"shared_network": True}, {"sampler": "dense"}])
def test_distances_in_a_batch_are_those_of_a_pair(options: dict[str, Any]) -> None:
    """ln(1 − c) from 1e-30 on. False alarms: six comparisons, 1e-3 together."""
    law: dict[str, Any] = {"width": (6,), "ensemble": "correlated", "k": (1.0,), "sigma_b": (0.3,)}
    given: dict[str, Any] = {**law, "depth": 4, "slopes": "1,-0.5", "distance": (1e-30,)}
    batch = (
        one_pair(sample(Run(**given, **options), 1000), 0)
        if "shared_network" in options
        else (sample(Run(**given, **options), 1000))
    )
    alone = sample(Run(**given), 1000)
    assert np.nanmax(batch["distance"][:, 0]) < 1e-25
    assert worst(batch, alone, (1, 2, 4), names=("log_distance", "variance"))[0] > 1e-3


def test_no_signal_dies_and_activations_may_be_negative() -> None:
    walked = sloped(3, 30, "0.2,1")
    assert np.isnan(walked["dead_network1"]).all()
    assert np.isnan(walked["dead_network_both"]).all()
    assert np.isfinite(walked["correlation"]).all()
    assert (walked["inactive1"] == 1.0).any()
    assert np.isnan(walked.states[:, DIED1]).all()
    assert (walked["mean1"] < 0.0).any()
    assert (walked["product"] < 0.0).any()


def test_the_slopes_0_5_and_0_die_as_relu_does() -> None:
    walked, relu = sloped(3, 30, "0.5,0"), sloped(3, 30, "1,0")
    assert walked["dead_network1"].max() == 1.0 == relu["dead_network1"].max()
    assert np.isnan(walked["correlation"]).any()


def test_layers_without_a_node_between_them_are_parallel() -> None:
    """One node, two whose weights sum to 0, and opposite signals whose activations agree."""
    for width, k in ((1, 0.0), (2, math.inf)):
        walked = sloped(width, 8, "1,-1", k)
        assert (walked["distance"][:, 1:] == 0.0).sum() > 0
        assert set(np.unique(walked["distance"][:, 3:])) <= {0.0, 2.0}
    opposite = sloped(5, 6, "0.7,-0.3", correlation=(-1.0,))
    same_side = np.isin(opposite["inactive1"][:, 0], (0.0, 1.0))
    np.testing.assert_array_equal(opposite["distance"][same_side, 1], 0.0)
    assert np.isnan(opposite["log_sine"][same_side, 0]).all()
    assert (opposite["distance"][~same_side, 1] > 1e-6).all()
