"""`simcore.initializers` draws the weights that the simulator samples.

The tests of laws together raise a false alarm with a probability of at most `FALSE_ALARM`
(Bonferroni over the cases, and in a case over its comparisons).
"""

from __future__ import annotations

import doctest
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, truncnorm, uniform

from simcore import initializers
from simcore.errors import InputError
from simcore.initializers import layer
from simcore.runs.ensemble import Ensemble
from tests.support.weight_laws import CASES, dense_sample, least_p

FALSE_ALARM = 1e-3
SEED = 1
FAN_IN, ROWS = 12, 4000


@pytest.mark.parametrize("name", CASES)
def test_weights_have_the_law_of_the_dense_sampler(name: str) -> None:
    ensemble = CASES[name]
    drawn = layer(ensemble, FAN_IN, ROWS, np.random.default_rng(SEED))
    p, where = least_p(ensemble, drawn, dense_sample(ensemble, FAN_IN, ROWS, SEED))
    assert p > FALSE_ALARM / len(CASES), where


WRONG = {
    "other k": (Ensemble.correlated(k=1.0), Ensemble.correlated(k=0.3)),
    "other scale": (Ensemble.he(), Ensemble.he(sigma_w=1.5)),
    "not correlated": (Ensemble.raai(k=math.inf), Ensemble.rai()),
    "other bias": (Ensemble.rai(), Ensemble.rai(sigma_b=0.1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_law_is_noticed(name: str) -> None:
    ensemble, other = WRONG[name]
    drawn = layer(other, FAN_IN, ROWS, np.random.default_rng(SEED))
    expected = dense_sample(ensemble, FAN_IN, ROWS, SEED)
    assert least_p(ensemble, drawn, expected)[0] < FALSE_ALARM / len(CASES)


def test_a_bias_that_is_never_replaced_is_noticed() -> None:
    ensemble = CASES["raai:inf"]
    weight, bias = layer(ensemble, FAN_IN, ROWS, np.random.default_rng(SEED))
    kept = bias < 0.01
    expected = dense_sample(ensemble, FAN_IN, ROWS, SEED)
    p, _ = least_p(ensemble, (weight[kept], bias[kept]), expected)
    assert p < FALSE_ALARM / len(CASES)


# Laws as the documentation of each framework states them, of weights and of biases (None: zeros).
N_NODES = 3000
PLUS_MINUS = uniform(-(FAN_IN**-0.5), 2.0 * FAN_IN**-0.5)
LIKE = {
    "pytorch": (PLUS_MINUS, PLUS_MINUS),
    "mlx": (PLUS_MINUS, PLUS_MINUS),
    "keras": (uniform(-((3.0 / FAN_IN) ** 0.5), 2.0 * (3.0 / FAN_IN) ** 0.5), None),
    "flax": (truncnorm(-2.0, 2.0, scale=FAN_IN**-0.5 / truncnorm(-2.0, 2.0).std()), None),
}


@pytest.mark.parametrize("name", LIKE)
def test_default_laws_of_frameworks(name: str) -> None:
    weight, bias = layer(Ensemble.like(name), FAN_IN, N_NODES, np.random.default_rng(SEED))
    of_weight, of_bias = LIKE[name]
    # Exact Kolmogorov-Smirnov tests; a false alarm in 1 of 1000 for each of the six.
    assert kstest(weight.ravel(), of_weight.cdf).pvalue > FALSE_ALARM
    assert not bias.any() if of_bias is None else kstest(bias, of_bias.cdf).pvalue > FALSE_ALARM
    wrong = Ensemble.he(sigma_w=Ensemble.like(name).resolved_sigma_w)  # a normal law is noticed
    normal, _ = layer(wrong, FAN_IN, N_NODES, np.random.default_rng(SEED))
    assert kstest(normal.ravel(), of_weight.cdf).pvalue < FALSE_ALARM


def test_a_law_that_initializers_do_not_draw_is_refused() -> None:
    with pytest.raises(InputError, match=r"name = tensorflow: is not known. Choose"):
        Ensemble.like("tensorflow")
    with pytest.raises(InputError, match=r"weights = laplace: is not known"):
        Ensemble("he", weights="laplace")
    with pytest.raises(InputError, match=r"sigma_b = fan: must be a number or fan-in"):
        Ensemble.he(sigma_b="fan")


@pytest.mark.parametrize("fan_in", [2, 3, 1000])
def test_weights_of_infinite_k_sum_to_zero(fan_in: int) -> None:
    weight, bias = layer(Ensemble.correlated(k=math.inf), fan_in, 50, np.random.default_rng(0))
    for row in weight.tolist():
        assert abs(math.fsum(row)) < 2.0**-52 * math.fsum(map(abs, row))
    assert np.all(np.abs(weight).max(axis=1) > 1e-3)
    assert not bias.any()


def test_biases_are_zero_where_there_are_none() -> None:
    for ensemble in (Ensemble.he(), Ensemble.correlated(k=-0.5), Ensemble.he(sigma_b=0.0)):
        assert not layer(ensemble, 3, 5, np.random.default_rng(0))[1].any()


def test_shapes_and_generators() -> None:
    first, again = (layer(Ensemble.rai(), 1, 7, np.random.default_rng(3)) for _ in range(2))
    assert first[0].shape == (7, 1)
    assert first[1].shape == (7,)
    for x, y in zip(first, again, strict=True):
        assert x.dtype == np.float64
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("ensemble", "fan_in", "fan_out", "field"),
    [
        (Ensemble.he(), 0, 3, "fan_in"),
        (Ensemble.he(), 2.5, 3, "fan_in"),
        (Ensemble.he(), 3, 0, "fan_out"),
        (Ensemble.correlated(k=math.inf), 1, 3, "fan_in"),
    ],
)
def test_what_is_refused(ensemble: Ensemble, fan_in: Any, fan_out: int, field: str) -> None:
    with pytest.raises(InputError) as refused:
        layer(ensemble, fan_in, fan_out, np.random.default_rng(0))
    assert refused.value.field == field


def test_other_kinds_of_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="rng = 0: must be a numpy"):
        layer(Ensemble.he(), 3, 3, 0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ensemble = 'he': must be a simcore"):
        layer("he", 3, 3, np.random.default_rng(0))  # type: ignore[arg-type]


def test_the_docstring_example_runs() -> None:
    assert doctest.testmod(initializers).failed == 0
