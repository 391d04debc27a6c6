"""Resolution of a description: gaps are filled, values checked, options held against each other.

Every rule of a run stands here and nowhere else. Options that a message names stand in backquotes,
so that a front door can spell them in its own way (`InputError.worded`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

from simcore.errors import InputError, one_line
from simcore.inputs.input_set import InputSet
from simcore.physics.ensembles import (
    ASYMMETRIC,
    CRITICAL,
    ENSEMBLES,
    FAN_IN,
    WITHOUT_K,
    ensemble_name,
)
from simcore.physics.observables import GRADIENT_NAMES, NAMES, NETWORK_NAMES
from simcore.physics.parameters import (
    MAX_DEPTH,
    SCALE_LIMITS,
    check_choice,
    check_scale,
    correlation_strength,
    number,
    several,
    shown,
    sorted_grid,
    whole,
)
from simcore.physics.weight_laws import parse_weights
from simcore.statistics.blocks import BLOCK
from simcore.theory.scales import default_sigma_w

from . import limits
from .activation import activation, check_slopes
from .controls import controlled, no_controls
from .costs import sampler_costs
from .ensemble import FRAMEWORKS, Ensemble
from .grid import axes, has_slopes, scales
from .limits import DEFAULTS, EXCLUSIVE
from .spec import RunSpec
from .target import Target

if TYPE_CHECKING:
    from .run import Run

_IMPLIED = (("shared_network", True), ("q0", (DEFAULTS.q0,)))
"""Values that a resolved run has because of its inputs."""


def resolved(spec: RunSpec) -> dict[str, Any]:
    """Return a value for every field of a `Run`; values that are resolved already stay.

    Raises
    ------
    InputError
        If a value breaks a rule, naming field, value, rule and remedy.
    """
    spec = _normalised(spec)
    _check_exclusive(spec)
    spec = _spelled_out(spec)
    values = _layers(spec) | _law(spec) | _statistics(spec) | _signals(spec) | activation(spec)
    if has_slopes(cast("Run", RunSpec(**values))):
        values["sigma_w_of_k"] = None  # the default follows the slopes of a point, too
    if values["sigma_b"] == FAN_IN:
        values["sigma_b"] = _scales_of_width(cast("Run", RunSpec(**values)))
    check_choice("device", spec.device, limits.DEVICES)
    check_choice("sampler", spec.sampler, (*limits.SAMPLERS, "auto"))
    values |= {"device": spec.device, "sampler": spec.sampler, "gradients": spec.gradients}
    draft = cast("Run", RunSpec(**values))  # only the sampler may be open
    points = math.prod(len(numbers) for numbers in axes(draft).values())
    if points > limits.MAX_POINTS:
        rule = f"must have at most {limits.MAX_POINTS}"
        raise InputError("grid", f"{points} points", rule, "Split the grid.")
    values["sampler"] = _sampler(draft)
    draft = cast("Run", RunSpec(**values))
    _check_gradients(draft)
    check_slopes(draft)
    return values | {"controls": _controls(draft, spec.controls)}


WHOLE = ("depth", "trials", "first_trial", "seed", "keep", "bins")
SCALES = ("sigma_w", "sigma_b")
NUMBERS = (
    *("k", "sigma_w", "sigma_b", "negative_slope", "correlation", "distance", "q0", "levels"),
)


def _normalised(spec: RunSpec) -> RunSpec:
    """Return a description with Python's own numbers, and tuples where several may be given."""
    values: dict[str, Any] = {}
    for name in WHOLE:
        value = getattr(spec, name)
        values[name] = None if value is None else whole(name, value)
    for name in NUMBERS:
        value = getattr(spec, name)
        if value is not None and not (name in SCALES and isinstance(value, str)):
            values[name] = tuple(number(name, x) for x in several(value))
    for name in ("width", "layer_widths"):
        value = getattr(spec, name)
        values[name] = None if value is None else tuple(whole(name, x) for x in several(value))
    if spec.pairs is not None and not _is_list(spec.pairs):
        values["pairs"] = whole("pairs", spec.pairs)
    if spec.until_stderr is not None:
        values["until_stderr"] = Target.of(spec.until_stderr).plain()
    for name in ("shared_network", "gradients"):
        values[name] = _truth(name, getattr(spec, name))
    given = {field.name: getattr(spec, field.name) for field in fields(RunSpec)}
    return RunSpec(**given | values)


def _is_list(pairs: Any) -> bool:
    """Return whether pairs are listed, in a file or in memory, and not a number of them."""
    several = isinstance(pairs, Iterable) and getattr(pairs, "ndim", None) != 0
    return several or isinstance(pairs, os.PathLike)


def _spelled_out(spec: RunSpec) -> RunSpec:
    """Return a description with the law of a framework in place of its name."""
    if spec.like is None:
        return spec
    check_choice("like", spec.like, FRAMEWORKS)
    law = Ensemble.like(spec.like)
    drawn = "normal" if law.weights == "truncated" else law.weights
    return replace(
        spec,
        like=None,
        ensemble=law.name,
        sigma_w=(law.resolved_sigma_w,),
        sigma_b=law.sigma_b if isinstance(law.sigma_b, str) else None,
        weights=spec.weights or drawn,
    )


def _truth(name: str, value: object) -> bool:
    if type(value).__name__ != "bool":  # Python's, or NumPy's of the same name
        raise InputError(name, value, "must be True or False", "Write one of them.")
    return bool(value)


def _check_exclusive(spec: RunSpec) -> None:
    for name, other in EXCLUSIVE:
        if _given(spec, name) and _given(spec, other):
            value = getattr(spec, name)
            if isinstance(value, tuple):
                value = value[0] if len(value) == 1 else shown(value[:8])
            text = value if isinstance(value, str | int | float) else one_line(value)
            raise InputError(name, text, f"excludes `{other}`", "Give one of the two.")


def _given(spec: RunSpec, name: str) -> bool:
    value = getattr(spec, name)
    if isinstance(spec.inputs, InputSet) and (name, value) in _IMPLIED:
        return False
    if name == "first_trial":
        return bool(value != 0)
    return not (value is None or value is False or (isinstance(value, tuple) and not value))


# --- the network --------------------------------------------------------------------------------


def _layers(spec: RunSpec) -> dict[str, Any]:
    """Return depth, width and layer_widths."""
    width, profile = sorted_grid("width", spec.width), None
    if spec.layer_widths is not None:
        profile = cast("tuple[int, ...]", spec.layer_widths)
        for nodes in profile:
            whole("layer_widths", nodes, 1, limits.MAX_WIDTH)
    elif not width:
        raise InputError("width", "none", "is missing", "Give the nodes of a layer, such as 4096.")
    for nodes in width:
        whole("width", nodes, 1, limits.MAX_WIDTH)
    depth = spec.depth
    if depth is None and profile is None:
        raise InputError("depth", "none", "is missing", "Give the number of layers, such as 200.")
    depth = len(profile or ()) if depth is None else depth
    whole("depth", depth, 1, MAX_DEPTH)
    if profile is not None and len(profile) != depth:
        rule = f"must have a width for each of the {depth} layers"
        remedy = "Change the widths, or the depth."
        raise InputError("layer_widths", f"{len(profile)} layers", rule, remedy)
    if profile is not None and len(set(profile)) == 1:
        # A constant profile is the same network as a single width, and has the same key.
        width, profile = profile[:1], None
    return {"depth": depth, "width": width, "layer_widths": profile}


def _law(spec: RunSpec) -> dict[str, Any]:
    """Return ensemble, k, sigma_w, sigma_w_of_k, sigma_b and weights."""
    ensemble = ensemble_name(spec.ensemble, has_k=spec.k is not None)
    check_choice("ensemble", ensemble, ENSEMBLES)
    k = (0.0,) if spec.k is None else sorted_grid("k", spec.k)
    for value in k:
        correlation_strength(value)
    if ensemble in WITHOUT_K and k != (0.0,):
        rule = f"must be 0 for the ensemble {ensemble}"
        other = ENSEMBLES[ENSEMBLES.index(ensemble) + 1]
        raise InputError("k", shown(k), rule, f"Leave it out, or take the ensemble {other}.")
    asymmetric = ensemble in ASYMMETRIC
    sigma_b: tuple[float, ...] | str | None = None if asymmetric else (0.0,)
    if isinstance(spec.sigma_b, str):
        if spec.sigma_b != FAN_IN:
            rule = f"must be numbers, or {FAN_IN}"
            raise InputError("sigma_b", spec.sigma_b, rule, "Leave it out for the default.")
        sigma_b = None if asymmetric else FAN_IN
    elif spec.sigma_b is not None:
        sigma_b = _scales("sigma_b", spec.sigma_b, positive=False)
    sigma_w: tuple[float, ...] | str | None = None
    if isinstance(spec.sigma_w, str):
        check_choice("sigma_w", spec.sigma_w, (CRITICAL,))
        sigma_w = CRITICAL if asymmetric else None
    elif spec.sigma_w is not None:
        sigma_w = _scales("sigma_w", spec.sigma_w, positive=True)
    return {
        "ensemble": ensemble,
        "k": k,
        "sigma_w": sigma_w,
        "sigma_w_of_k": None if isinstance(sigma_w, tuple) else _scales_of_k(spec, ensemble, k),
        "sigma_b": sigma_b,
        "weights": str(parse_weights(spec.weights or "normal")),
    }


def _scales_of_width(run: Run) -> tuple[float, ...] | str:
    """Return σ_b = σ_w/√n as a number where every layer of the run has the same fan-in n and σ_w.

    Else it stays a word, of which controls, first order and hazards, those of normal weights, know
    nothing.
    """
    size = None if run.inputs is None else run.inputs.size
    width = run.width[0] if len(run.width) == 1 and not run.layer_widths else 0
    if len(scales(run)) == 1:
        if width >= 3 and size in (None, width):
            return (scales(run)[0] / math.sqrt(width),)
        if run.weights != "normal" and len(run.k) == 1:
            return FAN_IN
    remedy = "Simulate each by itself, give `sigma_b` as a number, or take `weights` uniform."
    if not width or len(scales(run)) != 1:
        rule = "needs one `sigma_w`, and layers of one width where weights are normal"
        raise InputError("sigma_b", FAN_IN, rule, remedy)
    rule = f"needs inputs of the width of the layers, {width}, and three nodes or more"
    raise InputError("sigma_b", FAN_IN, f"{rule}, where weights are normal", remedy)


def _scales(name: str, values: Any, *, positive: bool) -> tuple[float, ...]:
    scales = sorted_grid(name, values)
    for value in scales:
        check_scale(name, value, positive=positive)
    return scales


def _scales_of_k(
    spec: RunSpec, ensemble: str, k: tuple[float, ...]
) -> tuple[tuple[float, float], ...]:
    """Return each k with the σ_w that stands for a default, or for ``"critical"``."""
    critical = spec.sigma_w == CRITICAL and ensemble in ASYMMETRIC
    # A value that was found numerically is read back and never found again.
    known = dict(spec.sigma_w_of_k or ()) if critical else {}
    return tuple(
        (x, known[x] if x in known else default_sigma_w(ensemble, x, critical=critical)) for x in k
    )


def _sampler(run: Run) -> str:
    """Return the sampler: the one that is named, or the cheaper one that can draw the weights."""
    normal, sampler = run.weights == "normal", run.sampler
    if sampler == "gram" and not normal:
        rule = f"draws layers from the law of normal weights, not of {run.weights} ones"
        raise InputError("sampler", "gram", rule, "Use the sampler dense, or auto.")
    if sampler == "auto":
        explicit = not normal or (run.gradients and run.ensemble in ASYMMETRIC)
        sampler = "dense" if explicit else "gram"
        if run.shared_network and not explicit:
            costs = sampler_costs(run)
            sampler = min(costs, key=lambda name: costs[name])
    if run.ensemble in ASYMMETRIC and sampler == "gram" and not run.shared_network:
        for nodes in run.layer_widths or run.width:
            whole("width", nodes, 1, limits.MAX_ASYMMETRIC_WIDTH)
    if run.ensemble not in ASYMMETRIC and sampler == "gram" and not run.shared_network:
        _check_pair(run)
    return sampler


def _check_pair(run: Run) -> None:
    """Refuse scales that leave float64 in the sampler of a pair, theory.md (4)."""
    low, high = limits.PAIR_SIGMA_W
    for scale in scales(run):
        if not low <= scale <= high:
            rule = f"must be between {low:g} and {high:g} for the sampler gram"
            raise InputError(
                "sigma_w", scale, rule, "Choose a value in that range, or use `sampler` dense."
            )
    gaps = run.distance or tuple(1.0 - c for c in run.correlation or ())
    least = min((gap for gap in gaps if gap > 0.0), default=1.0)
    if min(scales(run)) ** 2 * min(run.q0) * least < limits.PAIR_DIFFERENCE:
        rule = f"makes `sigma_w`^2 `q0` (1 - c0) less than {limits.PAIR_DIFFERENCE:g}"
        name = "correlation" if run.distance is None else "distance"
        raise InputError(name, f"{least:g}", rule, "Use larger values of the three.")


def _check_gradients(run: Run) -> None:
    """Refuse gradients where no sampler follows them."""
    if run.gradients and run.ensemble in ASYMMETRIC and run.sampler == "gram":
        rule = "goes back through explicit weights for rai and raai"
        raise InputError("gradients", "on", rule, "Use the `sampler` dense, or auto.")


# --- control variates ---------------------------------------------------------------------------


def _controls(run: Run, asked: str | bool) -> bool:
    """Return whether there are controlled values: where some apply, and are not turned off."""
    if not isinstance(asked, bool):
        check_choice("controls", asked, limits.CONTROLS)
    some = bool(controlled(run))
    if not some and asked in (True, "on"):
        remedy = "Leave the option out, or choose off."
        raise InputError("controls", "on", f"has no meaning here: {no_controls(run)}", remedy)
    return some and asked not in (False, "off")


# --- statistics ---------------------------------------------------------------------------------


def _statistics(spec: RunSpec) -> dict[str, Any]:
    """Return trials, first_trial, until_stderr, seed, keep, bins and levels."""
    trials, target = spec.trials, spec.until_stderr
    if target is not None:
        observable = Target.of(target).observable
        if observable in NETWORK_NAMES and not (spec.shared_network or spec.inputs is not None):
            rule = f"is of inputs that share a network ({observable})"
            raise InputError("until_stderr", target, rule, f"Take one of {', '.join(NAMES)}.")
        if observable in GRADIENT_NAMES and not spec.gradients:
            rule = f"is of the way back ({observable})"
            raise InputError("until_stderr", target, rule, "Add `gradients`.")
    if trials is None:
        trials = DEFAULTS.trials if target is None else DEFAULTS.most_trials
    whole("trials", trials, 1, limits.MAX_RUN_TRIALS)
    whole("first_trial", spec.first_trial, 0, limits.MAX_TRIALS - trials)
    if spec.first_trial % BLOCK:
        rule = f"must be a multiple of {BLOCK}, a block of trials"
        remedy = f"Use {spec.first_trial // BLOCK * BLOCK}."
        raise InputError("first_trial", spec.first_trial, rule, remedy)
    whole("seed", spec.seed, 0, limits.MAX_SEED)
    whole("keep", spec.keep, 0, limits.MAX_TRIALS)
    whole("bins", spec.bins, 1, limits.MAX_BINS)
    levels = sorted_grid("levels", spec.levels)
    for level in levels:
        if not 0.0 < level < 1.0:
            raise InputError("levels", level, "must be between 0 and 1", "Give 0.5, for example.")
    return {
        "trials": trials,
        "first_trial": spec.first_trial,
        "until_stderr": target,
        "seed": spec.seed,
        "keep": spec.keep,
        "bins": spec.bins,
        "levels": levels,
    }


# --- the inputs ---------------------------------------------------------------------------------


def _signals(spec: RunSpec) -> dict[str, Any]:
    """Return inputs, shared_network, pairs, correlation, distance and q0."""
    inputs, shared, pairs = _inputs(spec), spec.shared_network, spec.pairs
    q0 = sorted_grid("q0", DEFAULTS.q0 if spec.q0 is None else spec.q0)
    low, high = SCALE_LIMITS
    for square in q0:
        if not low <= square <= high:
            rule = f"must be between {low:g} and {high:g}"
            raise InputError("q0", square, rule, "Give |x|^2/N of an input.")
    if inputs is not None:
        whole("pairs", len(inputs.pairs), 1, limits.MAX_PAIRS)
        found = {"inputs": inputs, "shared_network": True, "pairs": len(inputs.pairs), "q0": q0}
        return found | {"correlation": None, "distance": None}
    if pairs is not None and not shared:
        rule = "goes with `shared_network` or `inputs`"
        raise InputError("pairs", pairs, rule, "Add one of them.")
    if pairs is not None and _is_list(pairs):
        remedy = "A list of the pairs goes with `inputs`."
        raise InputError("pairs", pairs, "must be a whole number", remedy)
    name = "correlation" if spec.distance is None else "distance"
    overlaps = _overlaps(name, spec)
    if shared:
        pairs = len(overlaps) if pairs is None else pairs
        whole("pairs", pairs, 1, limits.MAX_PAIRS)
        overlaps = overlaps * pairs if len(overlaps) == 1 else overlaps
        if len(overlaps) != pairs:
            rule = f"must name one overlap, or one for each of the {pairs} pairs"
            remedy = "Change it, or the number of pairs."
            raise InputError(name, shown(overlaps[:8]), rule, remedy)
    found = {"correlation": None, "distance": None, name: overlaps, "q0": q0}
    return found | {"inputs": None, "shared_network": shared, "pairs": pairs}


def _inputs(spec: RunSpec) -> InputSet | None:
    """Return the inputs, read if only their file or their array is known."""
    inputs: InputSet | None = spec.inputs
    if inputs is not None and not isinstance(inputs, InputSet):
        inputs = InputSet.read(inputs, pairs=spec.pairs, seed=spec.seed)
    if inputs is not None:
        whole("inputs", inputs.count, 2, limits.MAX_INPUTS)
        whole("inputs", inputs.size, 1, limits.MAX_INPUTS)
    return inputs


def _overlaps(name: str, spec: RunSpec) -> tuple[float, ...]:
    """Return the overlaps, or distances, of the pairs; those of a shared network in their order."""
    given = getattr(spec, name)
    values = several(DEFAULTS.correlation if given is None else given)
    values = values if spec.shared_network else sorted_grid(name, values)
    for x in values:
        if name == "correlation" and not -1.0 <= x <= 1.0:
            remedy = "Give the overlap of the pair."
            raise InputError(name, x, "must be between -1 and 1", remedy)
        if name == "distance" and not (x == 0.0 or limits.SMALLEST_DISTANCE <= x <= 2.0):
            rule = f"must be 0, or between {limits.SMALLEST_DISTANCE:g} and 2"
            raise InputError(name, x, rule, "Give 1 - c0, where c0 is the overlap of the pair.")
    return values
