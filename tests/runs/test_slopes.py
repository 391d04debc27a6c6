"""Slopes as an option of a run: names, points and keys, and what refuses them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import simcore
from simcore.errors import InputError
from simcore.files.layout import coordinates, observables_of
from simcore.inputs.input_set import InputSet
from simcore.physics.observables import HAZARDS, MORTAL
from simcore.physics.slopes import norm_preserving_sigma_w, parse_slopes, slopes_at
from simcore.runs.controls import in_words
from simcore.runs.network_predictions import network_predictions
from simcore.runs.run import Run


def run(**options: Any) -> Run:
    return Run(**{"depth": 3, "width": (64,), **options})


@pytest.mark.parametrize(
    ("given", "text", "slopes"),
    [
        ("relu", "1,0", (1.0, 0.0)),
        ("leaky:0.01", "1,0.01", (1.0, 0.01)),
        ("abs", "1,-1", (1.0, -1.0)),
        ("linear", "1,1", (1.0, 1.0)),
        (" 0.7, -0.3", "0.7,-0.3", (0.7, -0.3)),
        ([1, np.float64(0.2)], "1,0.2", (1.0, 0.2)),
        ("shaped:0,-1", "shaped:0,-1", (1.0, 0.875)),
    ],
)
def test_names(given: Any, text: str, slopes: tuple[float, float]) -> None:
    assert parse_slopes(given) == text
    assert slopes_at(text, 64) == slopes


@pytest.mark.parametrize(
    "given", ["foo", "1", "1,2,3", "1,nan", "leaky:x", "0,1", "-1,0", "1,1e9", "shaped:1", (1.0,)]
)
def test_other_texts_are_refused_in_one_line(given: Any) -> None:
    with pytest.raises(InputError, match="slopes") as raised:
        parse_slopes(given)
    assert "\n" not in str(raised.value)


def test_relu_is_the_run_without_slopes() -> None:
    plain = run()
    for same in (run(slopes="1,0"), run(slopes="relu"), run(negative_slope=0.0)):
        assert same.config_json() == plain.config_json()
        assert same.points[0].key == plain.points[0].key


def test_points_and_keys() -> None:
    sweep = run(negative_slope=(0.0, 0.2, 1.0), k=(0.0, 1.0))
    assert sweep.shape == (2, 3)
    point = sweep.points[4]
    assert point.slopes == (1.0, 0.2)
    assert point.sigma_w == norm_preserving_sigma_w(1.0, (1.0, 0.2))
    assert point.key == run(slopes="leaky:0.2", k=(1.0,)).points[0].key
    assert sweep.points[3].key == run(k=(1.0,)).points[0].key
    assert len({p.key for p in sweep.points}) == 6
    assert Run.from_config(sweep.config()).points == sweep.points
    shaped = run(slopes="shaped:0,-1", width=(16, 64))
    assert [p.slopes for p in shaped.points] == [(1.0, 0.75), (1.0, 0.875)]
    assert Run.from_config(shaped.config()).points == shaped.points


def test_coordinates() -> None:
    found = coordinates(run(negative_slope=(0.0, 1.0), k=(0.0, 1.0)))
    assert found["sigma_w"].dims == ("k", "negative_slope")
    assert found["sigma_w"].values[1, 0] == norm_preserving_sigma_w(1.0)
    assert found["positive_slope"].values == 1.0
    found = coordinates(run(slopes="shaped:0,-1", width=(16, 64)))
    assert found["negative_slope"].dims == ("width",)
    assert found["negative_slope"].values.tolist() == [0.75, 0.875]
    assert "negative_slope" not in coordinates(run())


def test_dead_networks_are_absent_where_no_signal_dies() -> None:
    leaky = run(slopes="leaky:0.2")
    assert not set(HAZARDS) & {o.name for o in observables_of(leaky)}
    assert in_words(leaky).endswith(
        "inactive_both; dead networks are absent: no signal dies where s- is not 0; "
        "exact at any width: the theory of inactive1, inactive2"
    )
    narrow = in_words(run(slopes="leaky:0.2", width=(16,)))
    assert narrow.startswith(
        "none: they need layers of at least 20 nodes; dead networks are absent"
    )
    for dying in (run(slopes="0.5,0"), run(negative_slope=(0.0, 1.0))):
        assert set(HAZARDS) <= {o.name for o in observables_of(dying)}
    dataset = simcore.simulate(width=8, depth=2, slopes="leaky:0.2", trials=64)
    assert "dead_network1" not in dataset
    assert dataset.attrs["slopes"] == "1,0.2"
    assert dataset.mean1.shape == (2,)
    assert "correlation_controlled" not in dataset
    assert dataset.correlation_theory_1n.shape == (2,)
    np.testing.assert_array_equal(dataset.inactive1_theory, 0.5)


def test_points_of_a_sweep_that_has_controls() -> None:
    """ReLU dies too often at this width; the others do not."""
    given: dict[str, Any] = {"width": 20, "depth": 2, "trials": 64, "negative_slope": (0.0, 0.2)}
    dataset = simcore.simulate(**given)
    known = np.isfinite(dataset.correlation_controlled).all("layer")
    assert known.values.tolist() == [False, True]


def test_inputs_of_one_network() -> None:
    """Deaths are absent, or of the points where signals die; nodes inactive for all inputs stay."""
    law: dict[str, Any] = {"width": 8, "depth": 3, "shared_network": True, "pairs": 2}
    leaky = run(**law, slopes="leaky:0.2")
    assert not set(MORTAL) & {o.name for o in observables_of(leaky)}
    assert {"dead", "activation_rate"} <= {o.name for o in observables_of(leaky)}
    assert "dead_inputs" not in network_predictions(leaky)
    mixed = run(**law, negative_slope=(0.0, 0.2))
    lost = network_predictions(mixed)["dead_inputs"]["theory"]
    np.testing.assert_array_equal(np.isnan(lost), [[False] * 3, [True] * 3])
    # For an odd φ without bias every node is inactive for half of the law of its inputs.
    inputs = np.array([[1.0, 0.5], [-1.0, -0.5]])
    odd = run(width=8, depth=3, inputs=InputSet.read(inputs), slopes="linear", sigma_b=(0.0,))
    assert network_predictions(odd)["dead"]["theory"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ensemble": "rai"}, "rai and raai"),
        ({"controls": "on", "width": (16,)}, "at least 20 nodes"),
        ({"until_stderr": "dead_network1=0.1"}, "no signal dies"),
        ({"until_stderr": "dead_inputs=0.1", "shared_network": True}, "no signal dies"),
    ],
)
def test_what_knows_only_relu_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        run(slopes="leaky:0.2", **options)
    assert "\n" not in str(raised.value)


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="follow one width"):
        run(slopes="shaped:0,-1", width=(), layer_widths=(10, 20, 30))
    opposite = InputSet.read(np.array([[1.0, 2.0, -1.0], [-1.0, -2.0, 1.1]]))
    for inputs in ({"correlation": -0.99}, {"inputs": opposite}):
        with pytest.raises(InputError, match="nearly even"):
            run(slopes="abs", **inputs)
    with pytest.raises(InputError, match="excludes"):
        run(slopes="abs", negative_slope=0.1)
    assert math.isclose(run(slopes="abs", correlation=-0.5).points[0].sigma_w, 1.0)
