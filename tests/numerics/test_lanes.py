"""The one order of summation against sums written out, byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.numerics import lanes

Floats = npt.NDArray[np.float64]
SIZES = [1, 15, 16, 17, 1000]


def in_order(terms: Floats) -> float:
    """Return the sum over nodes by lanes, then over lanes."""
    total = 0.0
    for lane in range(16):
        part = 0.0
        for term in terms[lane::16]:
            part += float(term)
        total += part
    return total


def drawn(n: int, kind: Any = np.float64) -> Any:
    """Return numbers of all sizes, whose sum shows its order."""
    random = np.random.default_rng(n)
    return (random.standard_normal(n) * 10.0 ** random.integers(-8, 8, n)).astype(kind)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_products_and_means(n: int, kind: Any) -> None:
    a, b, room = drawn(n, kind), drawn(n + 1)[:n], np.empty(lanes.LANES)
    assert lanes.product(a, b, room) == in_order(a.astype(np.float64) * b)
    assert lanes.mean(a, 0.5, room) == in_order(a.astype(np.float64) - 0.5) / n


def test_another_order_is_another_sum() -> None:
    a = drawn(1000)
    assert in_order(a) != in_order(a[::-1])
    assert in_order(a) != float(a.sum())


def test_sums_of_a_lane_go_out_and_in() -> None:
    load: Any = lanes.load.py_func
    store: Any = lanes.store.py_func
    sums, counts = np.arange(8.0 * lanes.LANES), np.arange(lanes.LANES)
    before = (sums.copy(), counts.copy())
    for lane in range(lanes.LANES):
        held = load(sums, counts, lane)
        assert held == (*(lane + 16.0 * k for k in range(8)), lane)
        store(held, sums, counts, lane)
    np.testing.assert_array_equal(sums, before[0])
    np.testing.assert_array_equal(counts, before[1])
