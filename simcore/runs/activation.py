"""The activation of a run: its slopes, and what refuses other slopes than ReLU's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simcore.errors import InputError
from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import MORTAL
from simcore.physics.parameters import shown, sorted_grid
from simcore.physics.slopes import SHAPED, parse_slopes

from .grid import all_slopes, has_slopes, never_dies
from .spec import RunSpec
from .target import Target

if TYPE_CHECKING:
    from .run import Run


def activation(spec: RunSpec) -> dict[str, Any]:
    """Return slopes and negative_slope; ReLU is None."""
    slopes = None if spec.slopes is None else parse_slopes(spec.slopes)
    negative = spec.negative_slope
    if negative is not None:
        negative = tuple(float(x) for x in sorted_grid("negative_slope", negative))
        for slope in negative:
            parse_slopes((1.0, slope))
    if slopes == "1,0" or negative == (0.0,):
        slopes = negative = None
    return {"slopes": slopes, "negative_slope": negative}


def check_slopes(run: Run) -> None:
    """Refuse slopes where only ReLU is known, and what would lose digits."""
    if not has_slopes(run):
        return
    name, value = "slopes", str(run.slopes)
    if run.slopes is None:
        name, value = "negative_slope", shown(run.negative_slope or ())
    if run.ensemble in ASYMMETRIC:
        remedy = f"Take `ensemble` he, or leave `{name}` out."
        raise InputError(name, value, "are not for the ensembles rai and raai", remedy)
    if run.layer_widths is not None and str(run.slopes).startswith(SHAPED):
        rule = "follow one width, not a width for each layer"
        raise InputError(name, value, rule, "Give two numbers, or one `width`.")
    target = run.until_stderr
    if target is not None and never_dies(run) and Target.of(target).observable in MORTAL:
        rule = "is of dead networks, and no signal dies where s- is not 0"
        raise InputError("until_stderr", run.until_stderr, rule, "Take another observable.")
    if any(abs(sum(slopes)) < 0.01 * slopes[0] for slopes in all_slopes(run)) and _opposite(run):
        rule = "need a `correlation` of -0.9 or more where phi is nearly even"
        remedy = "Opposite signals have nearly the same activations: take the positive overlap."
        raise InputError(name, value, rule, remedy)


def _opposite(run: Run) -> bool:
    """Return whether two inputs of a pair are nearly opposite."""
    gaps = run.distance or tuple(1.0 - c for c in run.correlation or ())
    if run.inputs is not None:
        gaps = run.inputs.distance
    return any(gap > 1.9 for gap in gaps)
