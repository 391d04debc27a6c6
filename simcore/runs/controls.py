"""Where control variates apply (theory.md 6), and the hazards of dead networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simcore.numerics.text import counted
from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import CONTROLLED, EXACT, GRADIENT_CONTROLLED, HAZARDS
from simcore.physics.slopes import Slopes, silent

from . import limits
from .grid import never_dies, slopes_of

if TYPE_CHECKING:
    from .run import Run


def controlled(run: Run) -> tuple[str, ...]:
    """Return the observables that have controlled values, unless they are turned off."""
    variates = () if no_controls(run) else CONTROLLED
    back = () if no_gradient_controls(run) else GRADIENT_CONTROLLED
    return variates + (() if no_hazards(run) else _hazards(run)) + back


def no_controls(run: Run) -> str:
    """Return why a run has no control variates; "" if some of its points have them."""
    if run.ensemble in ASYMMETRIC:
        return f"the node averages of {run.ensemble} have no closed law"
    if run.weights != "normal":
        return f"the node averages of {run.weights} weights have no closed law"
    profiles = [run.layer_widths] if run.layer_widths else [(width,) for width in run.width]
    negative = run.negative_slope or (None,)
    laws = [(widths, slopes_of(run, widths[0], a)) for widths in profiles for a in negative]
    if any(has_controls(widths, run.depth, slopes) for widths, slopes in laws):
        return ""
    if never_dies(run):
        return f"they need layers of at least {limits.LEAST_CONTROLLED} nodes"
    return (
        f"a network of this width dies with a probability above {limits.MOST_DEATHS:g} within "
        f"{counted(run.depth, 'layer')}, and means over the others are not those of all"
    )


def no_gradient_controls(run: Run) -> str:
    """Return why a run has no control variates of the way back; "" if it has them."""
    if not run.gradients:
        return "gradients are not followed"
    if run.ensemble in ASYMMETRIC or run.weights != "normal":
        return no_controls(run)
    if all(k == 0.0 for k in run.k):
        return "means over independent weights are known exactly"
    if run.shared_network or run.sampler == "dense":
        return "the noise of their nodes is known only for pairs in networks of their own"
    return ""


def has_controls(widths: Sequence[int], depth: int, slopes: Slopes) -> bool:
    """Return whether the controls of networks with normal weights have mean 0.

    `widths` are those of the layers, or one of all. A network must die rarely, if it may die: the
    bias that this leaves is of the order of the probability, times a standard deviation of one
    network: less than a thousandth of a standard error for up to 10⁸ networks.
    """
    if not silent(slopes):
        return min(widths) >= limits.LEAST_CONTROLLED
    layers = widths if len(widths) > 1 else (*widths,) * depth
    return sum(2.0 ** (1 - min(width, 1000)) for width in layers) <= limits.MOST_DEATHS


def no_hazards(run: Run) -> str:
    """Return why dead networks are only counted; "" if their hazards are summed, too."""
    if run.weights != "normal":
        return f"sums of {run.weights} weights have no closed law"
    if never_dies(run):
        return "no signal dies where s- is not 0"
    return ""


def _hazards(run: Run) -> tuple[str, ...]:
    """Return the probabilities that no theory has exactly."""
    return HAZARDS if run.ensemble in ASYMMETRIC else HAZARDS[2:]


def in_words(run: Run) -> str:
    """Return what controlled values a run has, or why it has none, and what is only counted."""
    from .predictions import exact_first_order

    if not run.controls and controlled(run):
        return "none: turned off, or simulated before simcore had them"
    if not run.controls:
        dead = "absent" if never_dies(run) else "counted"
        return f"none: {no_controls(run)}; dead networks are {dead}: {no_hazards(run)}"
    parts = [", ".join(controlled(run))]
    if no_controls(run):
        parts.append(f"no others: {no_controls(run)}")
    elif run.gradients and no_gradient_controls(run):
        parts.append(f"none of gradients: {no_gradient_controls(run)}")
    parts += _counted(run)
    exact = tuple(x for x in EXACT if not (x in HAZARDS and never_dies(run)))
    if run.ensemble not in ASYMMETRIC:
        exact = HAZARDS[:2] if no_controls(run) else exact
        parts.append(f"exact at any width: the theory of {', '.join(exact)}")
    back = () if no_controls(run) else exact_first_order(run)
    if back:
        parts.append(f"theory_1n of {', '.join(back)}")
    return "; ".join(parts)


def _counted(run: Run) -> list[str]:
    """Say which shares of dead networks are only counted or absent, and why."""
    if never_dies(run):
        return [f"dead networks are absent: {no_hazards(run)}"]
    return ["dead_network_all is counted: that of many inputs has no closed law"] * run.shared
