"""The conclusion of a comparison: what it says, and when theory holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simcore.results.conclusion import conclusion, holds
from simcore.results.words import FIRST_ORDER, MEAN_FIELD, Verdict


def verdict(observable: str, against: str, p: float | None, **more: Any) -> Verdict:
    point = {"k": more.pop("k")} if "k" in more else {}
    if p is None:
        return Verdict(observable, against, point, **more)
    told = {"trials": 1000, "layer": 200, "z": -41.0 if p < 0.01 else 1.2, "deviation": -2.0}
    return Verdict(observable, against, point, agrees=p >= 0.01, p_value=p, **(told | more))


def told(*verdicts: Verdict) -> str:
    return " ".join(conclusion(verdicts, 0.01))


def test_first_order_explains_what_infinite_width_does_not() -> None:
    found = [
        verdict("log_q1", MEAN_FIELD, 1e-9),
        verdict("log_q1", FIRST_ORDER, 0.4),
        verdict("correlation", MEAN_FIELD, 0.3, z=2.0),
        verdict("correlation", FIRST_ORDER, 0.3),
        verdict("log_distance", MEAN_FIELD, 1e-5, z=17.04, layer=3),
        verdict("log_distance", FIRST_ORDER, 0.5),
    ]
    assert told(*found) == (
        "Infinite width fails for ln q and ln(1 - c) (|z| up to 41.0 for ln q at layer 200); "
        "it holds for c. First order in 1/N explains both."
    )
    assert holds(found, 0.01)
    assert not holds(found[::2], 0.01)


def test_what_first_order_leaves_is_said() -> None:
    found = [
        verdict("log_q1", MEAN_FIELD, 0.0),
        verdict("log_q1", FIRST_ORDER, 1e-3, z=4.2, layer=142, deviation=0.1, expected=-20.0),
    ]
    left = "leaves 0.5 % of the deviation for ln q (|z| up to 4.2 at layer 142)."
    assert told(*found).endswith(f"First order in 1/N {left}")
    assert not holds(found, 0.01)
    found[1] = verdict("log_q1", FIRST_ORDER, 1e-3, z=4.2, layer=142, deviation=9.0, expected=-10.0)
    assert "First order in 1/N fails for ln q (|z| up to 4.2 at layer 142)." in told(*found)


def test_where_there_is_no_first_order_infinite_width_decides() -> None:
    found = [
        verdict("correlation", MEAN_FIELD, 0.0),
        verdict("log_distance", MEAN_FIELD, None, missing="no trial has a value"),
    ]
    assert told(*found) == (
        "Infinite width fails for c (|z| up to 41.0 at layer 200). First order in 1/N makes no "
        "prediction here. No verdict on ln(1 - c): no trial has a value."
    )
    assert not holds(found, 0.01)
    assert holds(found[1:], 0.01)
    assert told(verdict("correlation", MEAN_FIELD, 0.2)) == (
        "Infinite width holds for c (|z| up to 1.2 at layer 200)."
    )
    assert told() == ""


def test_points_of_a_grid_are_counted_and_the_first_is_named() -> None:
    found = [verdict("correlation", MEAN_FIELD, p, k=k) for k, p in enumerate((0.5, 1e-9, 1e-8))]
    assert "for c at 2 of 3 points (first: k = 1)" in told(*found)
    assert "at k = 1, layer 200" in told(*found)
    found = [verdict("correlation", MEAN_FIELD, 1e-9, k=k) for k in range(2)]
    assert "for c at both points" in told(*found)


def test_chance_fails_a_grid_as_often_as_a_point() -> None:
    """Of 4000 grids of 50 points where theory holds: 40 ± 6.3; a bound at 4.5, 7e-6 by chance."""
    rng = np.random.default_rng(5)
    failed = sum(
        not holds(
            [verdict("correlation", MEAN_FIELD, float(p), k=i) for i, p in enumerate(row)], 0.01
        )
        for row in rng.random((4000, 50))
    )
    assert abs(failed - 40) < 4.5 * 6.3
    away = [verdict("correlation", MEAN_FIELD, 0.005, k=k) for k in range(50)]
    assert not holds(away, 0.01)
    assert holds(
        [away[0], *(verdict("correlation", MEAN_FIELD, 0.5, k=k) for k in range(49))], 0.01
    )


@pytest.mark.parametrize("count", [1, 7])
def test_a_single_verdict_is_that_of_compare(count: int) -> None:
    for p in (0.0099, 0.01, 0.0101):
        found = verdict("correlation", MEAN_FIELD, p)
        assert holds([found] * count, 0.01) == found.agrees
