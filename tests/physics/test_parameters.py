"""Numbers of any type, as every entry takes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import simcore
from simcore import theory
from simcore.errors import InputError
from simcore.physics.parameters import number, several, sorted_grid, whole

Make = Callable[[Any], Any]


def _torch(value: Any) -> Any:
    torch = pytest.importorskip("torch")
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


REALS: list[Make] = [
    *(np.float16, np.float32, np.float64, np.longdouble, np.array),
    *(Fraction, lambda x: Decimal(repr(x)), lambda x: np.array(x, dtype=">f8"), _torch),
]
WHOLES: list[Make] = [np.int8, np.uint64, np.intp, np.array, _torch]
NO_NUMBERS: tuple[Any, ...] = (
    *(True, np.True_, np.array(False), "0.5", b"1", np.str_("1"), 1j, np.complex64(1)),
    *(np.ma.masked, np.ma.array(0.5, mask=True)),
    *(None, object(), [1.0], {1.0}, np.ones(1), np.eye(2), 10**400),
)
LONG = (10**400, -(10**5000), [0.5] * 1000, np.full((40, 40), 0.5), {"a": "\n" * 200})
"""What takes many lines, or cannot be written at all."""


@pytest.mark.parametrize("make", REALS)
def test_a_real_number_of_any_type_is_a_float_of_python(make: Make) -> None:
    found = number("q0", make(0.375))
    assert (found, type(found)) == (0.375, float)


@pytest.mark.parametrize("make", WHOLES)
def test_a_whole_number_of_any_type_is_an_int_of_python(make: Make) -> None:
    for found in (whole("depth", make(7)), number("q0", make(7))):
        assert (found, type(found)) == (7, int)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(InputError, match=r"^q0 = .*must be a number") as caught:
        number("q0", value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", LONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("field", ["depth", "q0", "pairs"])
def test_a_refused_value_is_shown_on_a_line(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{field} = ") as caught:
        simcore.Run(**{"depth": 2, "width": 8, field: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def _trajectory(name: str) -> Callable[[Any], object]:
    return lambda x: theory.trajectory(2, **{"distance": 0.5, name: x})


SINGLE: dict[str, Callable[[Any], object]] = {
    **{name: _trajectory(name) for name in ("k", "sigma_w", "sigma_b", "q1", "q2", "distance")},
    "correlation": lambda x: theory.trajectory(2, correlation=x),
    "width": lambda x: theory.first_order(2, width=[x, 4], distance=0.5),
    "widths": lambda x: theory.dead_network([x, 4]),
    "fan_ins": lambda x: theory.population_trajectory([x, 4], sigma_w=0.6),
    "q0": lambda x: theory.population_trajectory([4], sigma_w=0.6, q0=x),
    "inputs": lambda x: theory.population_trajectory([2], sigma_w=0.6, inputs=[[x, 1], [1, 2]]),
    "resolution": lambda x: theory.late_growth(0.6, resolution=x),
}
"""Calls of the theory with a single number of each kind, by the name of its parameter."""


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", SINGLE)
def test_the_theory_refuses_what_is_no_number(name: str, value: Any) -> None:
    if value is None and name in ("sigma_w", "q2", "correlation"):
        return  # the default
    with pytest.raises(InputError, match=rf"^{name} = ") as caught:
        SINGLE[name](value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1.0, 0.2, 9, np.inf, np.nan])
def test_a_resolution_is_a_moderate_factor(value: float) -> None:
    for call in (theory.asymmetric_sigma_w, lambda **x: theory.late_growth(0.6, **x)):
        with pytest.raises(InputError, match=r"^resolution = .*must be between 0\.25 and 8"):
            call(resolution=value)


@pytest.mark.parametrize(
    "value",
    [*NO_NUMBERS[:-1], 2.5, np.float32(2.5), np.array(2.5), math.inf, math.nan, -1e-300],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"must be a whole number"):
        whole("depth", value)


@pytest.mark.parametrize("value", [1e3, np.float32(1e3), np.array(1e3), np.int16(1000), 1e22])
def test_a_whole_number_may_be_written_as_a_float(value: Any) -> None:
    found = whole("trials", value)
    assert (type(found), found) == (int, int(value))


def test_lists_tuples_and_arrays_are_several_values() -> None:
    for values in ([2, 1], (2, 1), np.array([2, 1]), {2: "", 1: ""}):
        assert sorted_grid("k", values) == (1, 2)
    assert several("12") == ("12",)
    assert sorted_grid("k", np.ma.array([2, 1], mask=False)) == (1, 2)
    for unclear in ({4, 8}, np.ma.array([4, 8], mask=[False, True])):
        with pytest.raises(InputError, match=r"^layer_widths = .*must be a whole number"):
            simcore.Run(depth=2, layer_widths=unclear)  # type: ignore[arg-type]
    masked: Any = [0.5, np.ma.masked]
    with pytest.raises(InputError, match=r"^c = .*holds masked values"):
        theory.correlation_map(masked, k=1.0)


@pytest.mark.parametrize("value", ["no", 1, None, np.array([True]), np.ma.masked])
def test_a_flag_is_a_truth_value(value: Any) -> None:
    with pytest.raises(InputError, match=r"^shared_network = .*must be True or False"):
        simcore.Run(depth=2, width=8, shared_network=value)
    assert simcore.Run(depth=2, width=8, shared_network=np.True_).shared_network is True  # type: ignore[arg-type]
    assert sorted_grid("k", np.array(3.0)) == (3.0,)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("integer", WHOLES)
def test_types_of_numbers_do_not_change_a_run(real: Make, integer: Make) -> None:
    def run(real: Make, integer: Make) -> simcore.Run:
        wholes = dict.fromkeys(("width", "depth", "trials", "seed", "keep", "bins"), 16)
        reals = dict.fromkeys(("k", "sigma_w", "sigma_b", "correlation", "q0"), 0.75)
        reals["until_stderr"] = 0.25
        return simcore.Run(
            **{name: integer(x) for name, x in wholes.items()},
            **{name: real(x) for name, x in reals.items()},
        )

    assert run(real, integer).config_json() == run(float, int).config_json()


@pytest.mark.parametrize("real", REALS)
def test_types_of_numbers_do_not_change_an_ensemble_or_its_theory(real: Make) -> None:
    ensemble = simcore.Ensemble.raai(real(0.5), sigma_w=real(0.75), sigma_b=real(0.25))
    assert ensemble == simcore.Ensemble.raai(0.5, sigma_w=0.75, sigma_b=0.25)
    weight, _ = simcore.initializers.layer(ensemble, _int(4), _int(3), np.random.default_rng(0))
    assert weight.shape == (3, 4)
    theory = simcore.theory
    laws: list[dict[str, Any]] = [{"k": 0.5, "sigma_w": 1.5, "sigma_b": 0.25}, {"k": 0.5}]
    for law in laws:
        typed = {name: real(x) for name, x in law.items()}
        assert theory.fixed_point(**typed) == theory.fixed_point(**law)
    assert theory.correlation_map(real(0.5)) == theory.correlation_map(0.5)
    assert theory.late_growth(real(0.75)) == theory.late_growth(0.75)


def _int(value: int) -> Any:
    return np.array(value)


@pytest.mark.parametrize(
    "value", [True, "0.5", np.array([0.5])], ids=lambda value: type(value).__name__
)
def test_an_ensemble_refuses_what_is_no_number(value: Any) -> None:
    for name in ("sigma_b", "k"):
        with pytest.raises(InputError, match=rf"^{name} = .*must be a number"):
            simcore.Ensemble("raai", **{"k": 1.0, name: value})
    with pytest.raises(InputError, match=r"^sigma_w = "):
        simcore.Ensemble.he(sigma_w=value)


def test_simulate_takes_numbers_and_arrays_of_numpy() -> None:
    ensemble = simcore.Ensemble.he()
    given: dict[str, Any] = {
        "width": np.array([8, 16]),
        "depth": np.int64(2),
        "correlation": np.array([0.0, 0.5], dtype=np.float32),
        "trials": np.uint8(64),
        "seed": np.int64(5),
        "threads": np.int64(1),
    }
    dataset = simcore.simulate(ensemble, **given)
    plain = simcore.simulate(
        ensemble, width=[8, 16], depth=2, correlation=[0.0, 0.5], trials=64, seed=5, threads=1
    )
    assert dataset.identical(plain)
