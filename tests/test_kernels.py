"""`simcore.kernels`: integrals, the theory of pairs, explicit networks, and what is refused.

A mean may be off by `Z` = 5 standard errors: a false alarm in 6e-7 of some 100 comparisons.
"""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from mpmath import mp

import simcore
from simcore import Ensemble, kernel_matrices
from simcore.errors import InputError
from simcore.theory import gradient_trajectory
from tests.support.oracle import FixedInputs, Law, simulate_shared

Floats = npt.NDArray[np.float64]

Z = 5.0
INPUTS = np.array([[1.3, -0.4, 0.9], [0.2, 1.1, -0.7], [-2.0, 0.5, 0.3], [0.0, 0.1, 0.1]])


def integrals(q1: Any, q2: Any, k12: Any, slopes: tuple[float, float]) -> tuple[Any, Any, Any]:
    """Return E φ(u)φ(v), E φ'(u)φ'(v) and E φ(u) E φ(v) over the direction of a normal pair."""
    cosine = k12 / mp.sqrt(q1 * q2)
    angle = mp.acos(min(1, max(-1, cosine)))
    half = mp.pi / 2
    ends = [-half, angle - half, half, angle + half, 3 * half]  # cos x or cos(x − θ) is 0
    moment = both = 0
    for low, high in pairwise(ends):
        signs = (mp.cos((low + high) / 2), mp.cos((low + high) / 2 - angle))
        share = math.prod(slopes[0] if sign > 0 else slopes[1] for sign in signs)
        product = mp.quad(lambda x: mp.cos(x) * mp.cos(x - angle), [low, high])
        moment += share * product / mp.pi
        both += share * (high - low) / (2 * mp.pi)
    mean = (slopes[0] - slopes[1]) * mp.quad(lambda z: z * mp.npdf(z), [0, 3, 12])
    return mp.sqrt(q1 * q2) * moment, both, mean**2 * mp.sqrt(q1 * q2)


def by_quadrature(law: Law, x: Floats, y: Floats) -> tuple[float, float]:
    """Return NNGP and tangent kernel of two inputs, layer by layer."""
    weight, bias = law.sigma_w**2, (law.sigma_b or 0.0) ** 2
    reads = [float(np.mean(a * b)) for a, b in ((x, x), (y, y), (x, y))]
    lost = [float(a.mean() * b.mean()) for a, b in ((x, x), (y, y), (x, y))]
    tangent: Any = None
    both: Any = None
    for _ in law.widths:
        q1, q2, k12 = (weight * (r - law.g * m) + bias for r, m in zip(reads, lost, strict=True))
        tangent = weight * reads[2] + bias + (0 if tangent is None else weight * both * tangent)
        pairs = ((q1, q1, q1), (q2, q2, q2), (q1, q2, k12))
        found = [integrals(*pair, law.slopes) for pair in pairs]
        reads, lost, both = [f[0] for f in found], [f[2] for f in found], found[2][1]
    return float(reads[2]), float(both * tangent + reads[2])


def ensemble_of(law: Law) -> Ensemble:
    k = math.inf if law.g == 1.0 else law.g / (1.0 - law.g)
    return Ensemble.correlated(k, sigma_w=law.sigma_w, sigma_b=law.sigma_b, slopes=law.slopes)


LAWS = [
    Law((8,) * 3),
    Law((8,) * 3, g=1.0, sigma_w=1.5, sigma_b=0.4),
    Law((8,) * 2, g=-1.0, sigma_w=1.2),
]


SLOPED = [
    Law((8,) * 3, g=0.5, sigma_w=1.1, sigma_b=0.3, slopes=(0.7, -0.3)),
    Law((8,) * 2, sigma_w=0.9, slopes=(1.0, -1.0)),
]


@pytest.mark.parametrize("law", LAWS + SLOPED, ids=str)
def test_infinite_width_is_what_integrals_say(law: Law) -> None:
    found = simcore.kernels(INPUTS, len(law.widths), ensemble_of(law))
    assert found.sizes == {"input": 4, "other_input": 4}
    for a, b in product(range(4), repeat=2):
        nngp, tangent = by_quadrature(law, INPUTS[a], INPUTS[b])
        assert float(found.nngp[a, b]) == pytest.approx(nngp, rel=1e-11)
        assert float(found.tangent[a, b]) == pytest.approx(tangent, rel=1e-11)


def test_a_pair_of_inputs_is_the_pair_of_the_theory() -> None:
    """The last layer's tangent kernel and the read-out's own term."""
    x, y = INPUTS[:2]
    q1, q2 = np.mean(x * x), np.mean(y * y)
    pair = {"q1": q1, "q2": q2, "correlation": np.mean(x * y) / math.sqrt(q1 * q2)}
    law: dict[str, Any] = {"sigma_w": 1.3, "sigma_b": 0.2}
    hidden = gradient_trajectory(20, **law, **pair).tangent12[-1]
    found = simcore.kernels(INPUTS[:2], 20, Ensemble.he(**law))
    assert float(found.tangent[0, 1] - found.nngp[0, 1]) == pytest.approx(hidden, rel=1e-12)


def test_many_inputs_are_followed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((30, 5))
    whole = simcore.kernels(rows, 4)
    monkeypatch.setattr(kernel_matrices, "ROWS", 7)
    parts = simcore.kernels(rows, 4)
    for name in ("nngp", "tangent"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-14)
        np.testing.assert_array_equal(parts[name], parts[name].T)
        assert np.linalg.eigvalsh(whole[name]).min() > 0.0


def test_equal_and_zero_inputs_and_those_that_weights_do_not_see() -> None:
    rows = np.array([[1.0, 2.0, -1.0], [1.0, 2.0, -1.0], [0.0, 0.0, 0.0], [3.0, 3.0, 3.0]])
    found = simcore.kernels(rows, 3, Ensemble.correlated(math.inf))
    for name in ("nngp", "tangent"):
        values = found[name].to_numpy()
        assert values[0, 1] == pytest.approx(values[0, 0], rel=1e-7)
        assert (values[2:] == 0.0).all()
        assert values[0, 0] > 0.0


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_networks_have_the_means_of_explicit_ones(law: Law) -> None:
    """Widths of 8, where infinite width would be far off."""
    pairs = ((0, 1), (2, 3))
    inputs = FixedInputs(INPUTS, pairs)
    networks = 3000
    slow = simulate_shared(law, inputs, networks, np.random.default_rng(1), gradients=True)
    found = simcore.kernels(
        INPUTS, len(law.widths), ensemble_of(law), networks=networks, width=8, seed=2
    )
    for p, (a, b) in enumerate(pairs):
        lengths = 0.25 * (slow["q1"][:, p, -1] + slow["q2"][:, p, -1])
        assert np.isfinite(lengths).all()
        for name, i, j in (("tangent11", a, a), ("tangent12", a, b), ("tangent22", b, b)):
            values = slow[name][:, p, -1]
            own = found.tangent_mean[i, j] - found.nngp_mean[i, j]
            error = math.hypot(
                values.std() / math.sqrt(networks), float(found.tangent_stderr[i, j])
            )
            assert abs(float(own) - values.mean()) < Z * error, name
    if law.g == 0.0:  # the mean length is exact at any width
        own = np.diagonal(found.nngp_mean - found.nngp) / np.diagonal(found.nngp_stderr)
        assert np.abs(own).max() < Z


def test_networks_with_slopes_have_the_exact_means() -> None:
    """Of independent weights both kernels of an input with itself are exact at any width."""
    law = Ensemble.he(sigma_w=1.1, sigma_b=0.3, slopes=(0.7, -0.3))
    found = simcore.kernels(INPUTS, 3, law, networks=3000, width=8, seed=2)
    for name in ("nngp", "tangent"):
        gap = np.diagonal(found[f"{name}_mean"] - found[name])
        assert np.abs(gap / np.diagonal(found[f"{name}_stderr"])).max() < Z, name
    assert found.attrs["slopes"] == "0.7,-0.3"


def test_the_seed_decides_the_networks() -> None:
    made = [
        simcore.kernels(INPUTS, 2, networks=3, width=(5, 7), seed=seed).tangent_mean
        for seed in (1, 1, 2)
    ]
    assert made[0].equals(made[1])
    assert not made[0].equals(made[2])


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"depth": 0}, "depth"),
    ({"depth": 2.5}, "depth"),
    ({"inputs": [[1.0, math.nan]]}, "inputs"),
    ({"ensemble": Ensemble.rai()}, "ensemble"),
    ({"ensemble": "he"}, "ensemble"),
    ({"ensemble": Ensemble.like("pytorch")}, "sigma_b"),
    ({"networks": 3}, "width"),
    ({"width": 3}, "networks"),
    ({"networks": 1, "width": 3}, "networks"),
    ({"networks": 3, "width": (3, 3, 3)}, "width"),
    ({"networks": 3, "width": 0}, "width"),
    ({"networks": 10**9, "width": 10**4}, "networks"),
    ({"networks": 3, "width": 3, "seed": -1}, "seed"),
    ({"depth": 5000, "ensemble": Ensemble.he(sigma_w=3.0)}, "depth"),
]


@pytest.mark.parametrize(("wrong", "field"), MISTAKES)
def test_a_mistake_is_one_line(wrong: dict[str, Any], field: str) -> None:
    given: dict[str, Any] = {"inputs": INPUTS, "depth": 2, **wrong}
    with pytest.raises(InputError) as caught:
        simcore.kernels(
            given.pop("inputs"), given.pop("depth"), given.pop("ensemble", None), **given
        )
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_matrices_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simcore.machine.memory.available_bytes", lambda: 300)
    with pytest.raises(InputError, match="memory"):
        simcore.kernels(INPUTS, 2)
