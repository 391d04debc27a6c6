"""The figures of runs by kind: observables, labels, and the function that draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from simcore.physics.observables import (
    BY_NAME,
    COVARIANCE,
    GRADIENT_COVARIANCE,
    GRADIENT_HISTOGRAMS,
    HISTOGRAMMED,
)

from .along import draw_along
from .deviation import OBSERVABLES as DEVIATIONS
from .deviation import draw_deviation
from .distribution import draw_distribution
from .scaling import draw_scaling
from .scores import draw_scores


class Kind(NamedTuple):
    """A figure: its function, the observables in it, and the names of its axis and of what is left.

    `choices` are the observables of which one can be shown instead. The axis of means may be
    logarithmic if `log`; their theory is not only that of infinite width if `exact`.
    """

    draw: Callable[..., None]
    observables: tuple[str, ...]
    label: str = ""
    short: str = ""
    choices: tuple[str, ...] = ()
    log: bool = False
    exact: bool = False


def _mean(
    label: str, short: str, *observables: str, log: bool = False, exact: bool = False
) -> Kind:
    return Kind(draw_along, observables, label, short, log=log, exact=exact)


_C, _D = BY_NAME["correlation"], BY_NAME["distance"]

FIGURES = {
    "correlation": _mean(_C.tex_label, _C.tex, "correlation"),
    "distance": _mean(_D.tex_label, f"({_D.tex})", "distance", log=True),
    "q": _mean(r"$\langle\ln q\rangle$", r"$\langle\ln q\rangle$", "log_q1"),
    "inactive": _mean("share of inactive nodes", "share", "inactive1", "inactive_both"),
    "dead": _mean(
        "share of dead networks",
        "share",
        "dead_network1",
        "dead_network_both",
        log=True,
        exact=True,
    ),
    "dead-inputs": _mean("share", "share", "dead", "dead_inputs"),
    "gradient": _mean(
        r"$\langle\ln |\delta|^2\rangle$", r"$\langle\ln |\delta|^2\rangle$", "log_gradient1"
    ),
    "gradient-correlation": _mean(
        BY_NAME["gradient_correlation"].label, "corr.", "gradient_correlation"
    ),
    "tangent": _mean("tangent kernel", r"$\Theta$", "tangent11", "tangent12"),
    "deviation": Kind(draw_deviation, ("correlation",), choices=DEVIATIONS),
    "z": Kind(draw_scores, COVARIANCE, choices=COVARIANCE + GRADIENT_COVARIANCE),
    "distribution": Kind(
        draw_distribution, ("correlation",), choices=HISTOGRAMMED + GRADIENT_HISTOGRAMS
    ),
    "scaling": Kind(draw_scaling, ("correlation",), choices=COVARIANCE),
}
"""Every figure by name."""
