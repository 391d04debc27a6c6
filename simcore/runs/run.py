"""A run, resolved: its grid of points, its trials, its identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.errors import InputError
from simcore.inputs.input_set import InputSet
from simcore.physics.observables import KEPT, Columns
from simcore.physics.parameters import plain

from .controls import controlled
from .grid import Point, axes, grid_points
from .limits import KEEP_BYTES, REMOVED
from .resolve import resolved
from .spec import RunSpec
from .target import Target

MAX_COVARIANCE_LAYERS = 32

CONFIG = (
    *("ensemble", "depth", "width", "layer_widths", "k", "sigma_w", "sigma_w_of_k", "sigma_b"),
    *("correlation", "distance", "q0", "trials", "first_trial", "seed", "keep", "bins", "levels"),
    *("sampler", "weights", "device", "shared_network", "pairs", "inputs"),
)
"""Fields of every configuration, in its order."""


class Run(RunSpec):
    """A validated, immutable description of a simulation: a grid of points with its statistics.

    A `Run` is a `RunSpec` with nothing left open: its constructor takes what the user gave, and
    every field is set once, to its resolved value. Resolving changes nothing that is resolved, so
    ``dataclasses.replace(run, trials=2000)`` is the run with other trials. A subclass, and not a
    class of its own, so that the fields are listed once.

    All grid parameters are tuples, sorted and free of duplicates; one value is no dimension.

    Parameters
    ----------
    depth
        Number of layers; left out, it is the length of `layer_widths`.
    width
        Widths to sweep; empty where `layer_widths` is given.
    layer_widths
        A width for each layer (one network, no sweep of widths).
    ensemble
        ``"he"``, ``"correlated"``, ``"rai"`` or ``"raai"``; left out, it is ``"correlated"`` where
        `k` is given, else ``"he"``.
    k
        Correlation parameters, −1 < k ≤ ∞.
    sigma_w
        Weight scales; None is the norm-preserving value of each k, or 0.6007 for `rai` and `raai`;
        ``"critical"`` is the norm-preserving value for these, too.
    sigma_b
        Bias scales; None is 0, or σ_w/√n for `rai` and `raai`. ``"fan-in"`` is σ_w/√n. Normal
        weights need one σ_w then, and layers and inputs of one width, so that it is a number.
    correlation
        Initial overlaps c₀ of the pair, 0.5 if left out; exclusive with `distance`. With
        `shared_network` one for each pair, or one for all, in any order and more than once.
    distance
        Initial distances 1 − c₀, for pairs closer than 1e-16.
    q0
        Mean square |x|²/N₀ of each input; 1 if left out.
    trials, first_trial
        Number of independent networks per point, and the number of the first. With `until_stderr`
        the most that a point may have. Left out, it is 1000, and 10⁶ with `until_stderr`.
    seed
        Seed, 0 … 2⁶⁴ − 1; the same seed gives the same bytes.
    keep
        How many of the first trials keep their whole trajectory.
    bins
        Equal bins of a histogram, beside its two open ends.
    levels
        Levels of the quantiles.
    sampler
        ``"gram"`` (layers from their exact law), ``"dense"`` (every weight drawn) or ``"auto"``,
        which is the cheaper one.
    weights
        Law of the weights, such as ``"uniform"`` or ``"student:5"`` (`weight_laws.parse_weights`);
        all but ``"normal"`` need explicit weights. Left out, it is ``"normal"``.
    slopes
        Slopes s₊, s₋ of the activation above and below 0: two numbers, such as ``"1,0.2"``, or
        ``"relu"`` (1, 0), ``"leaky:0.01"``, ``"abs"`` (1, −1), ``"linear"`` (1, 1), or
        ``"shaped:0,-1"``, which is 1 + c±/√N with c± = 0, −1. None is ReLU. Pairs of `he` and
        `correlated` have them.
    negative_slope
        Slopes s₋ to sweep, with s₊ = 1.
    device
        ``"cpu"`` or ``"cuda"``, the kind that draws the samples. It is part of the configuration
        and of no key: the numbers of a point do not depend on it.
    shared_network
        Whether several pairs go through one network; they are the dimension ``pair``.
    pairs
        How many random pairs, drawn anew in each trial; None is one for each overlap given. With
        `inputs` how many pairs of them are followed, drawn by the seed, or a file that lists them.
    inputs
        File of inputs (.npy, .npz, .h5, .csv; rows are inputs; FILE:DATASET names an array in it)
        that go through one network instead of random pairs.
    sigma_w_of_k
        (k, σ_w) where `sigma_w` has no values; found here, and given where a run is read back.
    until_stderr
        Standard error at which a point ends, at every layer and pair: a number, of the mean
        correlation, or ``"log_q1=1e-3"``, of any observable. The trials that this takes are
        computed from a pilot of 256 (`simcore.execution.stopping`). None runs all trials.
    controls
        Whether means are also estimated with control variates (theory.md 6): ``"on"``, ``"off"``
        or ``"auto"``, which is on where they apply: normal weights, none of them replaced, and
        layers wide enough that no network dies. Likewise the probabilities of dead networks, of
        normal weights.
    gradients
        Whether the way back is followed, too: gradients of a random read-out and the tangent kernel
        (`GRADIENTS` in `physics.observables`, theory.md 7). What is measured on the way forward has
        the bytes of the run without.
    like
        A framework, ``"pytorch"``, ``"keras"``, ``"flax"`` or ``"mlx"``, whose default law stands
        for ensemble, scales and weights (`Ensemble.like`; `weights` may be given). Normal weights
        stand for truncated ones, and biases are normal.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """

    depth: int
    width: tuple[int, ...]
    layer_widths: tuple[int, ...] | None
    ensemble: str
    k: tuple[float, ...]
    sigma_w: tuple[float, ...] | str | None
    sigma_b: tuple[float, ...] | str | None
    correlation: tuple[float, ...] | None
    distance: tuple[float, ...] | None
    q0: tuple[float, ...]
    weights: str
    slopes: str | None
    negative_slope: tuple[float, ...] | None
    trials: int
    levels: tuple[float, ...]
    pairs: int | None
    inputs: InputSet | None
    controls: bool

    if not TYPE_CHECKING:  # a type checker takes the arguments from RunSpec

        @wraps(RunSpec.__init__)
        def __init__(self, *values: Any, **named: Any) -> None:
            super().__init__(**resolved(RunSpec(*values, **named)))

    # --- the grid -------------------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """True if several inputs go through one network."""
        return self.shared_network

    @cached_property
    def columns(self) -> Columns:
        """Columns of a trial's trajectory."""
        followed = controlled(self) if self.controls else ()
        return Columns(self.pairs or 1, self.shared, followed, self.gradients)

    @property
    def batch(self) -> int:
        """M, the number of inputs through one network."""
        return self.inputs.count if self.inputs is not None else 2 * (self.pairs or 1)

    @property
    def multiplies(self) -> bool:
        """True if layers are products of matrices: batches, and explicit weights."""
        return self.shared or self.sampler == "dense"

    @cached_property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """Every grid parameter with its values, in order; single values included."""
        return axes(self)

    @cached_property
    def dimensions(self) -> dict[str, tuple[float, ...]]:
        """The swept parameters (more than one value) with their values, in order."""
        return {name: values for name, values in self.axes.items() if len(values) > 1}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the grid: one number per swept parameter; () for a single point."""
        return tuple(len(values) for values in self.dimensions.values())

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """All points, in row-major order of `shape`."""
        return tuple(grid_points(self))

    # --- trials ---------------------------------------------------------------------------------

    @property
    def end_trial(self) -> int:
        """One past the last trial."""
        return self.first_trial + self.trials

    @property
    def node_updates(self) -> int:
        """Node updates of all trials, of which a run to a standard error may need few."""
        return self.trials * sum(point.nodes(self.depth) for point in self.points)

    @property
    def kept(self) -> int:
        """Number of trials that keep their trajectory: trials 0 … keep − 1 that this run holds.

        At most `KEEP_BYTES` over the grid, all observables and pairs together.
        """
        held = max(0, min(self.keep, self.end_trial) - self.first_trial)
        columns = len(KEPT) * self.columns.pairs
        room = KEEP_BYTES // (8 * self.depth * columns * len(self.points))
        return int(min(held, room))

    @cached_property
    def covariance_layers(self) -> tuple[int, ...]:
        """Up to 32 log-spaced layers (from 1) whose covariance is kept."""
        spaced = np.geomspace(1.0, self.depth, min(self.depth, MAX_COVARIANCE_LAYERS))
        return tuple(sorted({round(x) for x in spaced}))

    @cached_property
    def target(self) -> Target | None:
        """The standard error that ends a point, and of what; None where all trials are run."""
        return None if self.until_stderr is None else Target.of(self.until_stderr)

    # --- identity -------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """Physics and statistics as plain values ("inf" as a string): what `config_json` holds."""
        # An option that came later is named only where it is used: earlier files keep their digest.
        used = (f.name for f in fields(self) if getattr(self, f.name) not in (f.default, False))
        later = (name for name in used if name not in CONFIG)
        return {name: _plain(getattr(self, name)) for name in (*later, *CONFIG)}

    def config_json(self) -> str:
        """`config` as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.config(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of `config_json`, hexadecimal."""
        return hashlib.sha256(self.config_json().encode()).hexdigest()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Run:
        """Rebuild a run from `config` (or its JSON read back).

        Raises
        ------
        InputError
            If the configuration breaks a rule, or names an option that only earlier versions had.
        """
        for name in REMOVED & config.keys():
            rule = "is an option that this version of simcore no longer has"
            raise InputError(name, config[name], rule, "Simulate again without it.")
        values = {"controls": False} | {name: _tuples(value) for name, value in config.items()}
        values["k"] = tuple(float(x) for x in values["k"])
        if values["sigma_w_of_k"] is not None:
            values["sigma_w_of_k"] = tuple((float(k), w) for k, w in values["sigma_w_of_k"])
        if values["layer_widths"] is not None:
            values["width"] = ()
        if values["inputs"] is not None:
            values["inputs"] = InputSet.from_config(config["inputs"])
        return cls(**values)

    def default_filename(self) -> str:
        """`<ensemble>-n4096-l200-<8 hex of the configuration>.h5`."""
        n = "profile" if self.layer_widths is not None else "-".join(str(w) for w in self.width[:3])
        return f"{self.ensemble}-n{n}-l{self.depth}-{self.digest()[:8]}.h5"


def _plain(value: Any) -> Any:
    """Return a field as JSON can hold it: a tuple is a list, infinity is "inf"."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, InputSet):
        return value.config()
    return plain(value) if isinstance(value, float) else value


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def resolve(spec: RunSpec) -> Run:
    """Return the run that a description stands for.

    Raises
    ------
    InputError
        If a value breaks a rule, naming field, value, rule and remedy.
    """
    return Run(**{field.name: getattr(spec, field.name) for field in fields(spec)})
