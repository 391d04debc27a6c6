"""The oracle's way back, against finite differences of the networks themselves.

A ReLU network is linear in any one parameter near its value, so a central difference has the
rounding of float64 alone, 1e-16 of f over the step: 1e-9 for steps of 1e-7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.oracle import (
    GRADIENTS,
    FixedInputs,
    Law,
    Layer,
    forward,
    simulate,
    simulate_shared,
)

Floats = npt.NDArray[np.float64]

STEP = 1e-7
ROWS = np.array([[1.3, -0.4, 0.9], [0.2, 1.1, -0.7], [-2.0, 0.5, 0.3]])
"""Three inputs of unequal lengths."""

LAWS = [
    Law((4, 3, 5), sigma_b=0.4),
    Law((5, 6, 4), g=-0.5),
    Law((6, 5, 6), g=1.0, sigma_w=1.1, sigma_b=0.2),
    Law((3, 3), g=0.5, sigma_w=0.9, sigma_b=None, asymmetric=True),
    Law((3, 3), sigma_w=0.7, sigma_b=0.0, asymmetric=True),
]


def rng_of(*seed: int) -> np.random.Generator:
    return np.random.default_rng([27, *seed])


def outputs(layers: Sequence[tuple[Floats, Floats]], x: Floats, v: Floats) -> Floats:
    """Return f of every input, from weights and biases."""
    for weights, bias in layers:
        x = np.maximum(weights @ x + bias, 0.0)
    return np.asarray(v @ x / math.sqrt(len(v)))


def differences(network: Sequence[Layer], v: Floats) -> list[tuple[Floats, Floats]]:
    """Return ∂f/∂W, shape (node, fan-in, input), and ∂f/∂b of every layer of one network."""
    layers = [
        (layer.weights[0].copy(), (layer.h - layer.weights @ layer.x)[0, :, :1].copy())
        for layer in network
    ]
    found = []
    for pair in layers:
        both = []
        for numbers in pair:
            slopes = np.empty((*numbers.shape, network[0].x.shape[2]))
            for place in np.ndindex(*numbers.shape):
                kept = numbers[place]
                ends = []
                for step in (STEP, -STEP):
                    numbers[place] = kept + step
                    ends.append(outputs(layers, network[0].x[0], v))
                numbers[place] = kept
                slopes[place] = (ends[0] - ends[1]) / (2.0 * STEP)
            both.append(slopes)
        found.append((both[0], both[1][:, 0]))
    return found


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_gradients_and_tangent_kernel_are_those_of_finite_differences(law: Law) -> None:
    pairs = ((0, 1), (2, 1))
    inputs = FixedInputs(ROWS, pairs)
    found = simulate_shared(law, inputs, 1, rng_of(1), gradients=True)
    rng = rng_of(1)
    network = list(forward(law, inputs, 1, rng))
    v = rng.standard_normal(law.widths[-1])
    tangent = np.zeros((3, 3))
    for i, (weights, bias) in enumerate(differences(network, v)):
        n = network[i].x.shape[1]
        tangent += law.sigma_w**2 / n * np.einsum("ija,ijb->ab", weights, weights)
        tangent += law.bias_scale(n) ** 2 * (bias.T @ bias)
        for p, (a, b) in enumerate(pairs):
            delta = bias[:, a], bias[:, b]
            sizes = [np.linalg.norm(x) for x in delta]
            assert min(sizes) > 0.0  # a dead signal has kinks: differences would be half a slope
            expected = {
                "weight_gradient1": np.sum(weights[:, :, a] ** 2) / n,
                "tangent11": tangent[a, a],
                "tangent12": tangent[a, b],
                "tangent22": tangent[b, b],
                "log_gradient1": 2.0 * math.log(sizes[0]),
                "log_gradient2": 2.0 * math.log(sizes[1]),
                "gradient_correlation": delta[0] @ delta[1] / (sizes[0] * sizes[1]),
            }
            for name, value in expected.items():
                assert found[name][0, p, i] == pytest.approx(value, rel=1e-6, abs=1e-8), name


def test_the_same_weights_are_drawn_with_and_without_the_way_back() -> None:
    """One batch: then the draws of the way there are the same."""
    law = Law((5, 4), g=0.5, sigma_b=0.1)
    there, both = (simulate(law, 20, rng_of(2), gradients=way) for way in (False, True))
    assert set(both) == {*there, *GRADIENTS}
    assert all(np.array_equal(both[name], there[name], equal_nan=True) for name in there)
    assert {both[name].shape for name in GRADIENTS} == {(20, 2)}


def test_a_dead_signal_has_no_gradient_below_its_death() -> None:
    found = simulate(Law((2, 2, 2)), 400, rng_of(3), gradients=True)
    dead = found["dead_network1"][:, -1] == 1.0
    assert 0 < dead.sum() < 400
    assert np.isnan(found["log_gradient1"][dead]).all()
    assert np.isnan(found["gradient_correlation"][dead]).all()
    for name in ("weight_gradient1", "tangent11", "tangent12"):
        assert np.all(found[name][dead] == 0.0)
    assert np.isfinite(found["log_gradient1"][~dead]).all()
    biased = simulate(Law((2, 2, 2), sigma_b=0.5), 400, rng_of(4), gradients=True)
    first, last = (biased["dead_network1"][:, layer] == 1.0 for layer in (0, -1))
    assert np.isnan(biased["log_gradient1"][first, 0]).all()
    revived = first & np.isfinite(biased["log_gradient1"][:, -1])
    assert revived.sum() > 20
    assert (first | ~np.isnan(biased["log_gradient1"][:, 0]) | last).all()


def test_equal_inputs_have_one_gradient() -> None:
    rows = np.stack([ROWS[0], ROWS[0]])
    inputs = FixedInputs(rows, ((0, 1),))
    found = simulate_shared(Law((3, 3), sigma_b=0.1), inputs, 50, rng_of(5), gradients=True)
    live = ~np.isnan(found["log_gradient1"])
    assert live.any()
    assert np.all(found["gradient_correlation"][live] == 1.0)
    assert np.array_equal(found["log_gradient1"], found["log_gradient2"], equal_nan=True)
