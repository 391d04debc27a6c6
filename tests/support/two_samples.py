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

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["Sample", "compare", "counts", "one_pair", "p_values", "table", "worst"]

Floats = npt.NDArray[np.float64]
Sample = Mapping[str, Floats]

POOLED = 50
"""Least number of networks, both samples together, in a cell of a contingency table."""

FEW_VALUES = 40
"""A sample of at most so many different values is compared by counts, not by ranks."""

DIGITS = 9
"""Values are rounded before they are compared, so that atoms of both samples (a cosine of 0 or 1)
meet: the sampler leaves up to 1e-10 of rounding there."""

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
    yield from counts(np.isnan(a), np.isnan(b))
    a, b = (np.round(x[~np.isnan(x)], DIGITS) for x in (a, b))
    if min(a.size, b.size) < POOLED:
        return  # Their number was compared; their values could not differ significantly.
    if np.unique(np.concatenate([a, b])).size <= FEW_VALUES:
        yield from table(a, b)
    else:
        yield "values", float(stats.ks_2samp(a, b, method="asymp").pvalue)


def counts(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    """Yield Fisher's p-value for two counts out of two numbers of networks."""
    if 0 < a.sum() + b.sum() < a.size + b.size:
        cells = np.array([[a.sum(), (~a).sum()], [b.sum(), (~b).sum()]])
        yield "how many", float(stats.fisher_exact(cells).pvalue)


def table(a: Floats, b: Floats) -> Iterator[tuple[str, float]]:
    """Yield the p-value of a χ² test of discrete values; rare neighbours share a cell."""
    values = np.unique(np.concatenate([a, b]))
    both = np.array([[np.sum(x == value) for value in values] for x in (a, b)])
    edges, pooled = [0], 0
    for i, n in enumerate(both.sum(axis=0)):
        pooled += n
        if pooled >= POOLED:
            edges.append(i + 1)
            pooled = 0
    if len(edges) > 2:
        edges[-1] = values.size  # what is left over joins the last cell
        cells = np.add.reduceat(both, edges[:-1], axis=1)
        yield "values", float(stats.chi2_contingency(cells, correction=False).pvalue)
