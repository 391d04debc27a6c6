"""The observables: one register of names, meanings and units, in the order of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COVARIANCE", "HISTOGRAMMED", "NAMES", "OBSERVABLES", "Observable", "column"]


@dataclass(frozen=True)
class Observable:
    """One measured quantity of a pair of signals in one layer of one network, theory.md 3.

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
    """

    name: str
    long_name: str
    units: str = "1"
    histogram: bool = False
    covariance: bool = False


OBSERVABLES = (
    Observable("q1", "mean squared pre-activation of signal 1"),
    Observable("q2", "mean squared pre-activation of signal 2"),
    Observable(
        "log_q1", "natural logarithm of the mean squared pre-activation of signal 1", histogram=True
    ),
    Observable("log_q2", "natural logarithm of the mean squared pre-activation of signal 2"),
    Observable(
        "correlation", "correlation of the pre-activations", histogram=True, covariance=True
    ),
    Observable("distance", "1 - correlation of the pre-activations"),
    Observable(
        "log_distance", "natural logarithm of 1 - correlation", histogram=True, covariance=True
    ),
    Observable("angle", "angle between the pre-activations", units="rad", histogram=True),
    Observable("cosine", "cosine of the angle between the activations"),
    Observable("inactive1", "fraction of nodes inactive for signal 1", histogram=True),
    Observable("inactive2", "fraction of nodes inactive for signal 2"),
    Observable("inactive_both", "fraction of nodes inactive for both signals", histogram=True),
    Observable("dead_network1", "some layer so far has every node inactive for signal 1"),
    Observable("dead_network2", "some layer so far has every node inactive for signal 2"),
    Observable("dead_network_both", "the network is dead for signal 1 and for signal 2"),
)
"""Every observable, in the order of the columns of a trajectory."""

NAMES = tuple(o.name for o in OBSERVABLES)
HISTOGRAMMED = tuple(o.name for o in OBSERVABLES if o.histogram)
COVARIANCE = tuple(o.name for o in OBSERVABLES if o.covariance)


def column(name: str) -> int:
    """Return the column of an observable in a trajectory."""
    return NAMES.index(name)
