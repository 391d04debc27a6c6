"""Gradients and the tangent kernel in theory: many digits, and explicit networks.

A mean over networks may be off by `Z` = 5 standard errors of its own sample, a false alarm in 6e-7
of some 200 comparisons; a distribution may have a p-value of 1e-4 over the number of comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from mpmath import mp, mpf
from scipy import special, stats

from simcore.errors import InputError
from simcore.physics.observables import GRADIENT_FIRST_ORDER, GRADIENT_NAMES
from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import RELU, Slopes
from simcore.theory import gradient_trajectory
from simcore.theory.gradient_widths import _of_width, gradient_law, gradient_terms
from tests.support.oracle import FixedInputs, Law, simulate, simulate_shared

Floats = npt.NDArray[np.float64]

Z = 5.0
LOGARITHMS = ("log_gradient1", "log_gradient2")


# --- infinite width -----------------------------------------------------------------------------


def overlap(c: Any) -> Any:
    """J(c) of theory.md (6)."""
    return (mp.sqrt(1 - c * c) + c * (mp.pi - mp.acos(c))) / (2 * mp.pi)


def recursion(
    depth: int,
    k: float,
    sigma_w: float,
    sigma_b: float,
    inputs: tuple[float, float, Any],
    slopes: Slopes = RELU,
) -> dict[str, list[Any]]:
    """Return the observables by theory.md (5), (6) and (13), layer by layer, in many digits."""
    above, below = (mpf(x) for x in slopes)
    square, step = (above**2 + below**2) / 2, above - below

    def turned(angle: Any) -> Any:
        """Return E φ'(u)φ'(v) by the chances of each sign."""
        both = (mp.pi - angle) / (2 * mp.pi)
        return both * (above**2 + below**2) + (1 - 2 * both) * above * below

    g, weight, bias = mpf(correlation_strength(k)), mpf(sigma_w) ** 2, mpf(sigma_b) ** 2
    q1, q2 = mpf(inputs[0]), mpf(inputs[1])
    reads = [(q1, q2, mp.sqrt(q1 * q2) * inputs[2])]
    seen, angles = reads[0], []
    for _ in range(depth):
        k11, k22, k12 = (weight * x + bias for x in seen)
        c = k12 / mp.sqrt(k11 * k22)
        angles.append(mp.acos(c))
        mixed = above * below * c + step**2 * overlap(c)
        reads.append((square * k11, square * k22, mp.sqrt(k11 * k22) * mixed))
        means = [step * mp.sqrt(x / (2 * mp.pi)) for x in (k11, k22)]
        lost = (means[0] ** 2, means[1] ** 2, means[0] * means[1])
        seen = tuple(x - g * m for x, m in zip(reads[-1], lost, strict=True))
    inner = [[square, square, turned(angles[-1])]]
    for angle in angles[-2::-1]:
        shares = square, square, turned(angle)
        inner.insert(0, [weight * p * x for p, x in zip(shares, inner[0], strict=True)])
    terms = [
        [(weight * x + bias) * d for x, d in zip(read, deltas, strict=True)]
        for read, deltas in zip(reads, inner, strict=False)
    ]
    sums = [[mp.fsum(term[i] for term in terms[: j + 1]) for j in range(depth)] for i in range(3)]
    return {
        "log_gradient1": [mp.log(d[0]) for d in inner],
        "log_gradient2": [mp.log(d[1]) for d in inner],
        "gradient_correlation": [d[2] / mp.sqrt(d[0] * d[1]) for d in inner],
        "weight_gradient1": [d[0] * read[0] for d, read in zip(inner, reads, strict=False)],
        "tangent11": sums[0],
        "tangent12": sums[2],
        "tangent22": sums[1],
    }


@pytest.mark.parametrize("k", [-0.5, 0.0, 1.0, math.inf])
@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
@pytest.mark.parametrize(("q1", "q2", "distance"), [(1.0, 1.0, 0.7), (0.3, 2.0, 1.6), (1, 1, 1e-9)])
def test_infinite_width_is_the_recursion_in_many_digits(
    k: float, sigma_b: float, q1: float, q2: float, distance: float
) -> None:
    law: dict[str, Any] = {"k": k, "sigma_w": 1.3, "sigma_b": sigma_b}
    found = gradient_trajectory(12, q1=q1, q2=q2, distance=distance, **law)
    with mp.workdps(60):
        expected = recursion(12, k, 1.3, sigma_b, (q1, q2, 1 - mpf(distance)))
        for name in GRADIENT_NAMES:
            values = [float(x) for x in expected[name]]
            np.testing.assert_allclose(found.observable(name), values, rtol=2e-13, err_msg=name)


@pytest.mark.parametrize("slopes", [(1.0, 0.2), (1.0, -1.0), (0.7, -0.3), (0.5, 0.0), (2.0, 2.0)])
def test_infinite_width_with_slopes(slopes: Slopes) -> None:
    """Products of gradients turn negative at large angles where φ is more even than ReLU."""
    for k, sigma_b, distance in ((0.0, 0.0, 1.7), (1.0, 0.3, 0.7), (-0.5, 0.0, 1e-9)):
        law: dict[str, Any] = {"k": k, "sigma_w": 1.1, "sigma_b": sigma_b}
        found = gradient_trajectory(8, distance=distance, slopes=slopes, **law)
        with mp.workdps(60):
            expected = recursion(8, k, 1.1, sigma_b, (1.0, 1.0, 1 - mpf(distance)), slopes)
            for name in GRADIENT_NAMES:
                values = [float(x) for x in expected[name]]
                np.testing.assert_allclose(found.observable(name), values, rtol=2e-12, err_msg=name)
    if slopes == (1.0, -1.0):
        assert gradient_trajectory(1, correlation=-0.5, slopes=slopes).gradient_correlation[0] < 0.0


def test_opposite_inputs_keep_their_digits() -> None:
    """Near c = −1, ⟨x₁x₂⟩ falls like the third power of the angle that is missing to π."""
    with mp.workdps(60):
        angle = mpf(float(mp.acos(-1 + mpf("1e-6"))))
        expected = recursion(2, 0.0, 1.0, 0.0, (1.0, 1.0, mp.cos(angle)))
        term = float(expected["tangent12"][1] - expected["tangent12"][0])
    found = gradient_trajectory(2, sigma_w=1.0, correlation=math.cos(float(angle)))
    assert found.tangent12[1] - found.tangent12[0] == pytest.approx(term, rel=1e-6)
    opposite = gradient_trajectory(3, correlation=-1.0)
    assert opposite.gradient_correlation[0] == 0.0
    assert (opposite.tangent12[:2] == 0.0).all()


def test_one_signal_twice_has_one_gradient_and_one_kernel() -> None:
    found = gradient_trajectory(30, k=1.0, sigma_b=0.2, distance=0.0)
    assert (found.gradient_correlation == 1.0).all()
    np.testing.assert_allclose(found.tangent12, found.tangent11, rtol=1e-13)


@pytest.mark.parametrize(("k", "chi"), [(0.0, 1.0), (1.0, math.pi / (math.pi - 0.5))])
def test_lengths_change_by_chi_in_every_layer(k: float, chi: float) -> None:
    """At the norm-preserving σ_w; at k = 0 for good, without the rounding of √2."""
    logs = gradient_trajectory(1000, k=k, correlation=0.5).log_gradient1
    np.testing.assert_allclose(np.diff(logs), -math.log(chi), atol=1e-12)
    if k == 0.0:
        assert (logs == math.log(0.5)).all()


def test_mean_field_of_weights_that_vanish_stays_finite() -> None:
    found = gradient_trajectory(20_000, sigma_w=1.2, correlation=0.5)
    assert np.isfinite(found.log_gradient1).all()
    assert found.tangent11[0] == 0.0
    assert not np.isnan(np.concatenate([found.tangent11, found.tangent12])).any()


def test_an_unknown_observable_is_refused() -> None:
    with pytest.raises(InputError, match="log_gradient1"):
        gradient_trajectory(2, correlation=0.5).observable("q1")


# --- any width ----------------------------------------------------------------------------------


def predicted(law: Law) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return the predictions for a law, shape (depth,) each."""
    found = gradient_law(
        len(law.widths),
        widths=[law.widths],
        g=[law.g],
        sigma_w=[law.sigma_w],
        sigma_b=[law.sigma_b or 0.0],
        q1=[law.q0],
        q2=[law.q0],
        slopes=law.slopes,
    )
    mean, std = ({name: rows[0] for name, rows in part.items()} for part in found)
    return mean, std


def scores(sample: Floats, mean: Floats, std: Floats) -> tuple[Floats, Floats]:
    """Return by how many standard errors mean and standard deviation of a sample are off."""
    x = sample[~np.isnan(sample).any(axis=1)]
    off = x - x.mean(axis=0)
    variance = (off**2).mean(axis=0)
    error = np.sqrt(((off**2 - variance) ** 2).mean(axis=0) / len(x))
    z_mean = (x.mean(axis=0) - mean) / np.sqrt(variance / len(x))
    return z_mean, (variance - std**2) / error


EXACT = [
    Law((3, 3, 3)),
    Law((6, 4, 8), sigma_w=1.2, sigma_b=0.4, q0=0.7),
    Law((16,) * 5, sigma_w=1.5, sigma_b=0.3),
    Law((6, 4, 8), sigma_w=1.2, sigma_b=0.4, slopes=(1.0, -0.6)),
]


@pytest.mark.parametrize("law", EXACT, ids=str)
def test_independent_weights_have_an_exact_law_at_any_width(law: Law) -> None:
    """ln ‖δ^l‖² by its distribution, means and spreads by their values.

    A square's own spread is not tested at width 3, where its sample knows it by its largest value.
    """
    found = simulate(law, 20_000, np.random.default_rng(1), gradients=True)
    mean, std = predicted(law)
    for name in GRADIENT_FIRST_ORDER:
        logarithm = name in LOGARITHMS
        rows = found[name] if law.sigma_b == 0.0 or not logarithm else found[name][:, -1:]
        last = slice(-rows.shape[1], None)
        z_mean, z_std = scores(rows, mean[name][last], std[name][last])
        assert np.abs(z_mean).max() < Z, name
        assert not logarithm or np.abs(z_std).max() < Z, name
    sums = np.zeros(200_000)
    rng = np.random.default_rng(2)
    p_values = []
    for layer in range(len(law.widths) - 1, -1, -1):
        width = law.widths[layer]
        active = rng.binomial(width, 0.5, sums.size)
        squares = [chi_square(rng, nodes) for nodes in (active, width - active)]
        with np.errstate(divide="ignore"):
            sums += np.log(sum(s**2 * x for s, x in zip(law.slopes, squares, strict=True)) / width)
        values = found["log_gradient1"][:, layer]
        live = values[~np.isnan(values)]
        p_values.append(stats.ks_2samp(live, sums[np.isfinite(sums)], method="asymp").pvalue)
        sums += 2.0 * math.log(law.sigma_w)
    assert min(p_values) * len(p_values) > 1e-4


def chi_square(rng: np.random.Generator, nodes: npt.NDArray[np.int64]) -> Floats:
    return rng.chisquare(np.maximum(nodes, 1)) * (nodes > 0)


def bruteforce(law: Law) -> Iterator[tuple[float, float]]:
    """Yield mean and variance of Σ_{j≤l} K^j Π_{m≥j} (σ_w²/N)χ²_K over draws of the factors."""
    rng, count, depth = np.random.default_rng(3), 400_000, len(law.widths)
    growth, bias = law.sigma_w**2, (law.sigma_b or 0.0) ** 2
    lengths, factors = [np.full(count, growth * law.q0 + bias)], []
    for width in law.widths:
        active = rng.binomial(width, 0.5, count)
        forth, back = (chi_square(rng, active) for _ in range(2))
        lengths.append(growth * lengths[-1] * forth / width + bias)
        factors.append(growth * back / width)
    total = np.zeros(count)
    for j in range(depth):
        total = total + lengths[j] * np.prod(factors[j:], axis=0) / growth
        yield float(total.mean()), float(total.var())


@pytest.mark.parametrize("sigma_b", [0.0, 0.5])
def test_the_spread_of_the_tangent_kernel_is_that_of_its_factors(sigma_b: float) -> None:
    law = Law((40, 24, 32, 30), sigma_w=1.3, sigma_b=sigma_b)
    mean, std = predicted(law)
    for layer, (m, v) in enumerate(bruteforce(law)):
        assert mean["tangent11"][layer] == pytest.approx(m, rel=0.005)
        assert std["tangent11"][layer] == pytest.approx(math.sqrt(v), rel=0.01)


def test_networks_show_the_spread_of_tangent_kernel_and_weight_gradients() -> None:
    for slopes in (RELU, (1.0, -0.6)):
        law = Law((24,) * 4, sigma_b=0.3, slopes=slopes)
        found = simulate(law, 10_000, np.random.default_rng(4), gradients=True)
        mean, std = predicted(law)
        for name in ("weight_gradient1", "tangent11", "tangent22"):
            both = np.concatenate(scores(found[name], mean[name], std[name]))
            assert np.abs(both).max() < Z, name


CORRELATED = [
    Law((32,) * 5, g=0.5, sigma_w=1.5),
    Law((24, 40, 24, 40), g=1.0, sigma_w=1.6, sigma_b=0.4),
    Law((64,) * 4, g=-1.0, sigma_w=1.2, sigma_b=0.3),
    Law((32,) * 5, g=0.5, sigma_w=1.5, slopes=(1.0, -0.3)),
]


@pytest.mark.parametrize("law", CORRELATED, ids=str)
def test_correlated_weights_to_first_order(law: Law) -> None:
    """Without the term of the correlations the mean of the first layer would be far off."""
    found = simulate(law, 8_000, np.random.default_rng(6), gradients=True)
    means, stds = predicted(law)
    known = np.isfinite(means["log_gradient1"])
    assert known[1:].all()
    for name in GRADIENT_FIRST_ORDER:
        if np.isfinite(means[name]).all() or name in LOGARITHMS:
            both = scores(found[name], means[name], stds[name])
            assert np.abs([z[known] for z in both]).max() < Z, name
    plain = predicted(replace(law, g=0.0))[0]
    lacking, _ = scores(found["log_gradient1"], plain["log_gradient1"], stds["log_gradient1"])
    assert np.abs(lacking[known]).max() > 1.5 * Z


def test_what_inputs_are_read_may_be_more_than_what_weights_see() -> None:
    """As of inputs from a file: two thirds of the mean square are the mean, which k = ∞ loses."""
    rows = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, -1.0]])
    seen = np.var(rows, axis=1)
    law = Law((48,) * 2, g=1.0, sigma_w=1.5)
    pair = FixedInputs(rows, ((0, 1),))
    sample = simulate_shared(law, pair, 4_000, np.random.default_rng(8), gradients=True)
    mean, std = gradient_law(
        2,
        widths=[law.widths],
        g=[1.0],
        sigma_w=[1.5],
        sigma_b=[0.0],
        q1=seen[:1],
        q2=seen[1:],
        read1=np.mean(rows[:1] ** 2, axis=1),
        read2=np.mean(rows[1:] ** 2, axis=1),
    )
    for name in GRADIENT_FIRST_ORDER:
        both = scores(sample[name][:, 0], mean[name][0], std[name][0])
        assert np.abs(both).max() < Z, name


def test_positively_correlated_weights_have_a_prediction_near_the_read_out_only() -> None:
    """There h·δ = f is kept, so that ‖δ‖² falls below f²/(Nq) in no layer."""
    mean, _ = predicted(Law((64,) * 30, g=-1.0, sigma_w=1.2))
    known = np.isfinite(mean["log_gradient1"])
    assert known[-3:].all()
    assert not known[:20].any()
    found = simulate(
        Law((64,) * 30, g=-1.0, sigma_w=1.2), 50, np.random.default_rng(7), gradients=True
    )
    limit = gradient_trajectory(30, k=-0.5, sigma_w=1.2, correlation=0.5).log_gradient1
    assert found["log_gradient1"][:, 0].mean() > limit[0] + 2.0


def test_wide_networks_approach_infinite_width() -> None:
    mean, std = predicted(Law((2**24,) * 3, g=0.0, sigma_w=1.3, sigma_b=0.2))
    limit = gradient_trajectory(3, sigma_w=1.3, sigma_b=0.2, correlation=0.5)
    for name in GRADIENT_FIRST_ORDER:
        np.testing.assert_allclose(mean[name], limit.observable(name), rtol=1e-5)
        assert std[name].max() < 2e-3
        assert std[name].min() > 1e-5


def test_the_mean_logarithm_with_two_slopes() -> None:
    """Equal sizes have χ²_N, a slope of 0 the law of ReLU, and one node a sum of two logarithms."""
    for nodes in (1, 5, 300):
        mean, variance = _of_width(nodes, 1.0, -1.0)
        assert mean == pytest.approx(
            special.digamma(0.5 * nodes) - math.log(0.5 * nodes), abs=1e-14
        )
        assert variance == pytest.approx(special.polygamma(1, 0.5 * nodes), rel=1e-11)
    np.testing.assert_allclose(_of_width(300, 0.5, 1e-12), _of_width(300, 0.5, 0.0), rtol=1e-12)
    own = special.digamma(0.5) + math.log(2.0)
    mean, variance = _of_width(1, 2.0, 1e-3)
    assert mean == pytest.approx(own + math.log(2e-3), abs=1e-13)
    assert variance == pytest.approx(0.5 * math.pi**2 + math.log(2e3) ** 2, rel=1e-12)


def test_terms_of_control_variates() -> None:
    """E ln(χ²_K/N) is the mean of the read-out's layer; the noise's share is near 1 for k >= 0.

    For k < 0 (h·δ)² remains while the noise's part falls, so that the share falls to that ratio.
    """
    nodes = np.full(60, 64)
    for g in (-1.0, 0.0, 0.5, 1.0):
        mean, share = gradient_terms(nodes, g=g, sigma_w=1.4, sigma_b=0.0, q=1.0)
        law, _ = gradient_law(*(60,), widths=nodes, g=0.0, sigma_w=1.4, sigma_b=0.0, q1=1.0, q2=1.0)
        assert np.allclose(mean, law["log_gradient1"][0, -1], rtol=1e-14)
        assert share[-1] == 1.0
        assert (share <= 1.0).all()
        assert (share[:-1] > 1.0 - 2.5 / 64).all() == (g >= 0.0)
    falls = gradient_terms(nodes, g=-1.0, sigma_w=1.4, sigma_b=0.0, q=1.0)[1]
    assert falls[0] == pytest.approx(1.0 / (1.0 + 1.0 / math.pi), rel=1e-3)
