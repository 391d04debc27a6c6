"""`simcore.initializers` draws the weights that the simulator samples.

The tests of laws together raise a false alarm with a probability of at most `FALSE_ALARM`
(Bonferroni over the cases, and in a case over its comparisons).
"""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

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
        (Ensemble.he(), 2.0, 3, "fan_in"),
        (Ensemble.he(), 3, 0, "fan_out"),
        (Ensemble.correlated(k=math.inf), 1, 3, "fan_in"),
    ],
)
def test_what_is_refused(ensemble: Ensemble, fan_in: int, fan_out: int, field: str) -> None:
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
