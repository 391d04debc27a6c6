"""Two samples of networks have the same law: whole distributions, observable by observable.

A sample is a dict of observables by name: of a pair, shape (trial, layer) or (trial, pair, layer);
of a shared network, shape (trial, layer), but `activation_rate` (trial, layer, bin). A value that
is undefined is NaN. The two samples may differ in their number of networks.

Why the false alarms can be stated. A single comparison is valid because its values are independent,
one number of each network. Hence pairs of one network are compared one by one and never pooled:
they are dependent, there are fewer networks than values, and a pooled test would raise more false
alarms than it says. The comparisons themselves (layers, observables, pairs of the same networks)
are dependent too, but Bonferroni's bound does not ask for independence: the least p-value times the
number of comparisons is below α with a probability of at most α. `worst` returns that product.
Several cases share their α among them in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

__all__ = ["Sample", "compare", "counts", "one_pair", "p_values", "table", "worst"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Sample = Mapping[str, Floats]

POOLED = 50
"""Least number of networks, both samples together, in a cell of a contingency table."""

FEW_VALUES = 40
"""A sample of at most so many different values is compared by counts, not by ranks."""

DIGITS = 9
"""Values are rounded before they are compared, so that atoms of both samples (a cosine of 0 or 1)
meet: the sampler leaves up to 1e-10 of rounding there."""

LARGE = 0.05
"""A p-value above it need not be exact."""

BINNED = "activation_rate"
"""The observable with a value for each bin: its last axis is no layer."""


def worst(
    sampled: Sample,
    expected: Sample,
    layers: Sequence[int],
    *,
    names: Sequence[str] | None = None,
    pairs: Sequence[int] | None = None,
) -> tuple[float, str]:
    """Return the least p-value, times the number of comparisons, and what it compares.

    The parameters are those of `p_values`.
    """
    found = p_values(sampled, expected, layers, names=names, pairs=pairs)
    where = min(found, key=lambda name: found[name])
    return found[where] * len(found), where


def p_values(
    sampled: Sample,
    expected: Sample,
    layers: Sequence[int],
    *,
    names: Sequence[str] | None = None,
    pairs: Sequence[int] | None = None,
) -> dict[str, float]:
    """Compare two samples; return p-values by what was compared.

    A comparison that no data can fail is left out.

    Parameters
    ----------
    sampled, expected
        The two samples.
    layers
        Layers to compare, counted from 1.
    names
        Observables to compare; None is all that `sampled` has.
    pairs
        Pairs to compare, counted from 0, where the observables have an axis of pairs; None is all.
    """
    found = {}
    for layer in layers:
        for name in sampled if names is None else names:
            columns = zip(
                _columns(sampled, name, layer, pairs),
                _columns(expected, name, layer, pairs),
                strict=True,
            )
            for (which, a), (_, b) in columns:
                for kind, p in compare(a, b):
                    found[f"{name} of layer {layer}{which}, {kind}"] = p
                if name == "distance":
                    for _, p in counts(a == 0.0, b == 0.0):
                        found[f"parallel signals in layer {layer}{which}"] = p
    return found


def one_pair(sample: Sample, pair: int) -> dict[str, Floats]:
    """Return the observables of one pair of a shared network, shape (trial, layer) each.

    Parameters
    ----------
    sample
        Observables of pairs and of the network; the latter are left out.
    pair
        Which pair, counted from 0.
    """
    return {
        name: values[:, pair]
        for name, values in sample.items()
        if values.ndim == 3 and name != BINNED
    }


def _columns(
    sample: Sample, name: str, layer: int, pairs: Sequence[int] | None
) -> Iterator[tuple[str, Floats]]:
    """Yield what is compared of an observable, shape (trial,): of each pair, or of each bin."""
    values = sample[name]
    if values.ndim == 2:
        yield "", values[:, layer - 1]
    elif name == BINNED:
        for b in range(values.shape[2]):
            yield f", bin {b}", values[:, layer - 1, b]
    else:
        for pair in range(values.shape[1]) if pairs is None else pairs:
            yield f", pair {pair}", values[:, pair, layer - 1]


def compare(a: Floats, b: Floats) -> Iterator[tuple[str, float]]:
    """Yield p-values for "two samples, NaN where undefined, have the same law"."""
    undefined = np.isnan(a), np.isnan(b)
    yield from counts(*undefined)
    a, b = (np.sort(np.round(x[~gone], DIGITS)) for x, gone in zip((a, b), undefined, strict=True))
    if min(a.size, b.size) < POOLED:
        return  # Their number was compared; their values could not differ significantly.
    both = np.concatenate([a, b])
    order = np.argsort(both, kind="stable")  # joins what is sorted
    both = both[order]
    last = np.flatnonzero(np.append(both[1:] != both[:-1], True))
    first = np.cumsum(order < a.size)[last]
    up_to = np.stack([first, last + 1 - first])
    if last.size <= FEW_VALUES:
        yield from table(np.diff(up_to, prepend=0))
    else:
        yield "values", kolmogorov_smirnov(up_to)


def kolmogorov_smirnov(up_to: Integers) -> float:
    """Return the p-value of `ks_2samp(method="asymp")`, from numbers of values up to each value.

    Its law of the distance takes milliseconds. A large p-value is that of the limit with Vrbik's
    correction, the same within 0.01.
    """
    a, b = up_to[:, -1].tolist()
    apart = float(np.abs(up_to[0] / a - up_to[1] / b).max())
    number = round(a * b / (a + b))
    scaled = math.sqrt(number) * apart
    shift = 1.0 / (6.0 * math.sqrt(number)) + (scaled - 1.0) / (4.0 * number)
    limit = float(special.kolmogorov(scaled + shift))
    return limit if limit > LARGE else float(stats.kstwo.sf(apart, number))


def counts(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    """Yield Fisher's p-value for two counts out of two numbers of networks."""
    here, there = int(a.sum()), int(b.sum())
    if 0 < here + there < a.size + b.size:
        yield "how many", fisher(here, a.size, there, b.size)


@cache
def fisher(here: int, of: int, there: int, of_there: int) -> float:
    """Return Fisher's p-value; observables of a layer are undefined in the same networks."""
    cells = np.array([[here, of - here], [there, of_there - there]])
    return float(stats.fisher_exact(cells).pvalue)


def table(both: Integers) -> Iterator[tuple[str, float]]:
    """Yield the p-value of a χ² test of discrete values; rare neighbours share a cell.

    `both` counts the networks of each sample (rows) with each value (columns), in order.
    """
    edges, pooled = [0], 0
    for i, n in enumerate(both.sum(axis=0)):
        pooled += n
        if pooled >= POOLED:
            edges.append(i + 1)
            pooled = 0
    if len(edges) > 2:
        edges[-1] = both.shape[1]  # what is left over joins the last cell
        cells = np.add.reduceat(both, edges[:-1], axis=1)
        yield "values", chi_squared(cells)


def chi_squared(cells: Integers) -> float:
    """Return the p-value of `chi2_contingency(correction=False)`, as `kolmogorov_smirnov` does."""
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / cells.sum()
    statistic = np.sum((cells - expected) ** 2 / expected)
    return float(special.chdtrc(cells.shape[1] - 1, statistic))
