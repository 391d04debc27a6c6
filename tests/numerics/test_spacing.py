"""Places chosen among many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simcore.numerics.spacing import evenly, logarithmically


@given(st.integers(2, 10_000), st.integers(2, 60))
def test_places_are_few_sorted_and_have_both_ends(size: int, most: int) -> None:
    for chosen in (evenly(size, most), logarithmically(size, most)):
        assert chosen == sorted(set(chosen))
        assert (chosen[0], chosen[-1]) == (0, size - 1)
        assert len(chosen) == size if size <= most else len(chosen) <= most


def test_places_are_evenly_spaced() -> None:
    assert evenly(9, 5) == [0, 2, 4, 6, 8]
    assert logarithmically(1000, 4) == [0, 9, 99, 999]
