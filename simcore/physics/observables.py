"""The observables: one register of names, meanings and units, in the order of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "COVARIANCE",
    "FIRST_ORDER",
    "HISTOGRAMMED",
    "KEPT",
    "NAMES",
    "NETWORK",
    "NETWORK_NAMES",
    "OBSERVABLES",
    "RATE_BINS",
    "Columns",
    "Observable",
    "column",
]


@dataclass(frozen=True)
class Observable:
    """One measured quantity of a layer of one network, theory.md 3.

    Parameters
    ----------
    name
        Name in files, in Python and on the command line.
    long_name
        Its meaning, for axis labels and readers of the file.
    units
        "1" for a pure number, "rad" for an angle.
    histogram
        Whether its distribution over trials is kept as a histogram.
    covariance
        Whether its covariance between layers is kept (`simcore.compare` needs it).
    first_order
        Whether theory.md (8) predicts it at first order in 1/N.
    """

    name: str
    long_name: str
    units: str = "1"
    histogram: bool = False
    covariance: bool = False
    first_order: bool = False
    rates: bool = False
    """True if it has a value for each of the `RATE_BINS` bins of the activation rate."""


OBSERVABLES = (
    Observable("q1", "mean squared pre-activation of signal 1"),
    Observable("q2", "mean squared pre-activation of signal 2"),
    Observable(
        "log_q1",
        "natural logarithm of the mean squared pre-activation of signal 1",
        histogram=True,
        covariance=True,
        first_order=True,
    ),
    Observable(
        "log_q2",
        "natural logarithm of the mean squared pre-activation of signal 2",
        first_order=True,
    ),
    Observable(
        "correlation",
        "correlation of the pre-activations",
        histogram=True,
        covariance=True,
        first_order=True,
    ),
    Observable("distance", "1 - correlation of the pre-activations", first_order=True),
    Observable(
        "log_distance",
        "natural logarithm of 1 - correlation",
        histogram=True,
        covariance=True,
        first_order=True,
    ),
    Observable(
        "angle",
        "angle between the pre-activations",
        units="rad",
        histogram=True,
        first_order=True,
    ),
    Observable("cosine", "cosine of the angle between the activations", first_order=True),
    Observable(
        "inactive1", "fraction of nodes inactive for signal 1", histogram=True, first_order=True
    ),
    Observable("inactive2", "fraction of nodes inactive for signal 2", first_order=True),
    Observable(
        "inactive_both",
        "fraction of nodes inactive for both signals",
        histogram=True,
        first_order=True,
    ),
    Observable("dead_network1", "some layer so far has every node inactive for signal 1"),
    Observable("dead_network2", "some layer so far has every node inactive for signal 2"),
    Observable("dead_network_both", "the network is dead for signal 1 and for signal 2"),
)
"""Every observable of a pair, in the order of the columns of a trajectory."""

NETWORK = (
    Observable("dead", "fraction of nodes inactive for all inputs"),
    Observable(
        "dead_inputs", "fraction of inputs for which some layer so far has every node inactive"
    ),
    Observable("dead_network_all", "the network is dead for every input"),
    Observable(
        "activation_rate", "fraction of nodes active for that share of the inputs", rates=True
    ),
)
"""Observables of a network that many inputs share, in the order of their columns."""

RATE_BINS = 22
"""Bins of the activation rate: exactly 0, twentieths of the open interval (0, 1), exactly 1.

Bin b = 1 … 20 holds (b − 1)/20 < rate ≤ b/20, but for rate 1, which has the last bin to itself.
"""

NAMES = tuple(o.name for o in OBSERVABLES)
HISTOGRAMMED = tuple(o.name for o in OBSERVABLES if o.histogram)
COVARIANCE = tuple(o.name for o in OBSERVABLES if o.covariance)
FIRST_ORDER = tuple(o.name for o in OBSERVABLES if o.first_order)
KEPT = ("correlation", "log_distance", "log_q1", "log_q2", "inactive1", "inactive_both")
"""Observables whose first trajectories are kept whole."""


NETWORK_NAMES = tuple(o.name for o in NETWORK)


def column(name: str) -> int:
    """Return the column of a pair's observable in a trajectory."""
    return NAMES.index(name)


@dataclass(frozen=True)
class Columns:
    """The columns of a trajectory: the observables of one pair after the other, then the network's.

    Parameters
    ----------
    pairs
        Pairs of inputs that go through the same network.
    shared
        Whether the observables of a shared network follow.
    """

    pairs: int = 1
    shared: bool = False

    @property
    def count(self) -> int:
        """Number of columns."""
        network = sum(RATE_BINS if o.rates else 1 for o in NETWORK) if self.shared else 0
        return self.pairs * len(NAMES) + network

    def of(self, name: str) -> list[int]:
        """Return the columns of an observable: one for each pair, or for each bin of the rate."""
        if name in NAMES:
            return [pair * len(NAMES) + NAMES.index(name) for pair in range(self.pairs)]
        first = self.pairs * len(NAMES) + NETWORK_NAMES.index(name)
        rates = NETWORK[NETWORK_NAMES.index(name)].rates
        return list(range(first, first + (RATE_BINS if rates else 1)))

    def of_pairs(self, names: tuple[str, ...]) -> list[int]:
        """Return the columns of some observables, all of one pair after the other."""
        return [p * len(NAMES) + NAMES.index(name) for p in range(self.pairs) for name in names]
