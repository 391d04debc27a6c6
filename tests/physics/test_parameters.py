"""Numbers of any type, as every entry takes them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import simcore
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
NO_NUMBERS = (
    *(True, np.True_, np.array(False), "0.5", b"1", np.str_("1"), 1j, np.complex64(1)),
    *(None, object(), [1.0], np.ones(1), np.eye(2), 10**400),
)


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


@pytest.mark.parametrize(
    "value",
    [*NO_NUMBERS[:-1], 2.0, np.float32(2), np.array(2.0)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"must be a whole number"):
        whole("depth", value)


def test_lists_tuples_and_arrays_are_several_values() -> None:
    for values in ([2, 1], (2, 1), np.array([2, 1]), {2: "", 1: ""}):
        assert sorted_grid("k", values) == (1, 2)
    assert several("12") == ("12",)
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
    for law in ({"k": 0.5, "sigma_w": 1.5, "sigma_b": 0.25}, {"k": 0.5, "sigma_w": 1.25}):
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
