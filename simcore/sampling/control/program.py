"""The equations (9) to (11) of theory.md as a list of steps, and the passes that take them.

A step adds a coefficient times a row, or times the product of two, to a row (`STEPS`); a pass takes
some steps (`program_of`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .places import (
    A_SQUARE,
    ACROSS,
    AFTER,
    ALONG,
    AVERAGES,
    B_EXCESS,
    BEND,
    COEFFICIENTS,
    CONTROL,
    DELTA,
    DEVIATION,
    EPSILON,
    EVERY,
    EXCESS,
    FIRST_MEAN,
    FIRST_OWN,
    MEAN,
    MINUS,
    MIXED,
    NODES_NODES,
    NOISE,
    NOISE_2,
    NOISE_NOISE,
    NOISY,
    NOTHING,
    OBSERVED,
    OF_ACTIVATIONS,
    OF_SCALAR,
    ONE,
    ONES,
    OWN,
    OWN_OWN,
    PAIRS3,
    PAIRS5,
    PART,
    PER_NODE,
    PER_NODE_2,
    SCALAR,
    SCALAR_ROWS,
    SCALARS,
    SIGMA,
    SLOPE,
    SLOPE_SLOPE,
    SOURCE,
    SPARE,
    SQUARE,
    STATE_NODES,
    STATE_STATE,
    STATES,
    TWO,
    ZERO,
    A,
    B,
    T,
)

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int32]

TERMS, FEW = 4, 2
"""Terms of one pass, a sum of up to so many; of one that takes two thirds of the time."""


class Step(NamedTuple):
    """Adds coefficient `by` times row `of` times row `and_of` to row `to`."""

    to: int
    by: int
    of: int
    and_of: int = ONES


def _place(i: int, j: int) -> int:
    """Return the place of an element of a symmetric matrix."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


def _below(n: int) -> Iterator[tuple[int, int, int]]:
    """Yield the places of a symmetric matrix of n rows, with row and column."""
    for i in range(n):
        for j in range(i + 1):
            yield _place(i, j), i, j


def _deviations() -> Iterator[Step]:
    """Yield the steps to m, m mᵀ − Σ/N and w wᵀ − diag(2, 1, 2)/N."""
    for i in range(AVERAGES):
        yield Step(DEVIATION + i, ONE, FIRST_MEAN + i)
        yield Step(DEVIATION + i, MINUS, MEAN + i)
    for place, i, j in _below(AVERAGES):
        yield Step(EXCESS + place, ONE, DEVIATION + i, DEVIATION + j)
        yield Step(EXCESS + place, PER_NODE, SIGMA + place)
    for place, i, j in _below(OWN):
        yield Step(OWN_OWN + place, ONE, FIRST_OWN + i, FIRST_OWN + j)
        if i == j:
            yield Step(OWN_OWN + place, PER_NODE if i == 1 else PER_NODE_2, ONES)


def _scalar(number: int) -> Iterator[Step]:
    """Yield the steps to the three controls of a scalar (theory.md (11))."""
    k, along, own = SCALAR + number * OF_SCALAR, PART + 2 * number, PART + 2 * number + 1
    one, two, quadratic = (SCALAR_ROWS + 3 * number + order for order in range(3))
    noise, squares, chosen = FIRST_OWN, OWN_OWN, EVERY
    if number == OF_ACTIVATIONS:
        noise, squares, chosen = DEVIATION, EXCESS, NOISY
    for i in range(STATES):
        yield Step(along, k + SLOPE + i, DELTA + i)
        yield Step(two, k + SLOPE + i, EPSILON + i)
    yield Step(two, k + BEND, SQUARE + _place(T, T))
    for i in range(OWN):
        yield Step(own, k + NOISE + i, noise + chosen[i])
        yield Step(two, k + MIXED + i, DELTA + T, noise + chosen[i])
    for place, i, j in _below(STATES):
        yield Step(quadratic, k + SLOPE_SLOPE + place, SQUARE + place)
        square = squares + _place(chosen[i], chosen[j])
        yield Step(two, k + NOISE_NOISE + place, square)
        yield Step(quadratic, k + NOISE_2 + place, square)
    yield Step(one, ONE, along)
    yield Step(one, ONE, own)
    yield Step(quadratic, TWO, along, own)


def _observables() -> Iterator[Step]:
    """Yield the steps to the control of each observable."""
    for order, row in enumerate((DELTA + T, EPSILON + T, SQUARE + _place(T, T))):
        yield Step(SCALAR_ROWS + 3 * SCALARS + order, ONE, row)
    for i, scalar in enumerate(SOURCE):
        for order in range(3):
            yield Step(CONTROL + i, OBSERVED + 3 * i + order, SCALAR_ROWS + 3 * scalar + order)


def _next_layer() -> Iterator[Step]:
    """Yield the steps to the next layer's δ, ε and Z (theory.md (9), (10))."""
    for n in range(STATES):
        for i in range(STATES):
            a = A + n * STATES + i
            yield Step(ALONG + n, a, DELTA + i)
            yield Step(AFTER + STATES + n, a, EPSILON + i)
            for j in range(STATES):
                yield Step(A_SQUARE + n * STATES + j, a, SQUARE + _place(i, j))
        for i in range(AVERAGES):
            b = B + n * AVERAGES + i
            yield Step(ACROSS + n, b, DEVIATION + i)
            for j in range(AVERAGES):
                yield Step(B_EXCESS + n * AVERAGES + j, b, EXCESS + _place(i, j))
        for place in range(PAIRS3):
            yield Step(AFTER + STATES + n, STATE_STATE + n * PAIRS3 + place, SQUARE + place)
        for i in range(STATES):
            for j in range(AVERAGES):
                by = STATE_NODES + (n * STATES + i) * AVERAGES + j
                yield Step(AFTER + STATES + n, by, DELTA + i, DEVIATION + j)
        for place in range(PAIRS5):
            yield Step(AFTER + STATES + n, NODES_NODES + n * PAIRS5 + place, EXCESS + place)
        yield Step(AFTER + n, ONE, ALONG + n)
        yield Step(AFTER + n, ONE, ACROSS + n)
    for place, n, m in _below(STATES):
        to = AFTER + 2 * STATES + place
        for i in range(STATES):
            yield Step(to, A + m * STATES + i, A_SQUARE + n * STATES + i)
        for i in range(AVERAGES):
            yield Step(to, B + m * AVERAGES + i, B_EXCESS + n * AVERAGES + i)
        yield Step(to, ONE, ALONG + n, ACROSS + m)
        yield Step(to, ONE, ALONG + m, ACROSS + n)


def _all_steps() -> Steps:
    steps = [*_deviations()]
    for number in range(SCALARS):
        steps += _scalar(number)
    steps += [*_observables(), *_next_layer()]
    return np.array(steps, dtype=np.int32)


STEPS = _all_steps()
"""Steps of a layer, shape (step, 4)."""

TO, FROM, FORM, FIRST_TERM = 0, 1, 2, 3
"""Of a pass: the row that is written, the one that it begins with, which of four loops it takes."""

PRODUCTS, MANY = 2, 1
"""Of a form, a sum of these: a term is a product of two rows; there are more terms than `FEW`."""


def program_of(k: Floats) -> Steps:
    """Return the passes of a layer for coefficients (…, COEFFICIENTS), shape (pass, 3 + 3 TERMS).

    Steps whose coefficient is 0 in every layer, as many derivatives are, are left out. What remains
    is taken row by row, where the last step to it stands, `TERMS` at a time.
    """
    used = (k != 0.0).reshape(-1, COEFFICIENTS).any(axis=0)
    terms: dict[int, list[list[int]]] = {}
    for to, *term in STEPS[used[STEPS[:, 1]]].tolist():
        terms[to] = [*terms.pop(to, []), term]
    passes = []
    for to, all_of_row in terms.items():
        begins_with = NOTHING
        for first in range(0, len(all_of_row), TERMS):
            some = all_of_row[first : first + TERMS]
            form = PRODUCTS * any(and_of != ONES for _, _, and_of in some)
            form += MANY * (len(some) > FEW)
            some += [[ZERO, NOTHING, ONES]] * (TERMS - len(some))
            is_last = first + TERMS >= len(all_of_row)
            onto = to if is_last else SPARE + first // TERMS % 2
            passes.append([onto, begins_with, form, *chain(*some)])
            begins_with = onto
    return np.array(passes, dtype=np.int32).reshape(-1, FIRST_TERM + 3 * TERMS)
