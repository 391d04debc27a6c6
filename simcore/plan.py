"""What is to be simulated: `Run`, its grid of points, its blocks and tasks, keys and identities.

A `Run` is validated here and nowhere else. Every default and limit of a run has its one home in
this file.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .checks import check_choice, check_integer, plain, shown, sorted_grid
from .ensembles import (
    ENSEMBLES,
    SCALE_LIMITS,
    check_scale,
    correlation_strength,
    norm_preserving_sigma_w,
)
from .errors import InputError
from .points import BLOCK, Point, Task, point_key

__all__ = ["BLOCK", "DEFAULTS", "Defaults", "Point", "Run", "Task"]

MAX_WIDTH = 2**25
"""Nodes of a layer: 24 bits of node groups in the counter, two nodes to a group."""

MAX_DEPTH = 2**24 - 1
"""Layers: 24 bits in the counter, counted from 1."""

MAX_TRIALS = 2**40
"""Number of a point's last trial: 40 bits in the counter."""

MAX_RUN_TRIALS = 2**32 - 1
"""Trials in one run: the histograms count in uint32."""

MAX_SEED = 2**64 - 1
MAX_POINTS = 100_000
"""Points of a grid: each holds its statistics in memory."""

MAX_COVARIANCE_LAYERS = 32
SAMPLERS = ("gram",)
DEVICES = ("cpu",)
WEIGHTS = ("normal",)


@dataclass(frozen=True)
class Defaults:
    """The public defaults of a run."""

    ensemble: str = "he"
    sigma_b: float = 0.0
    correlation: float = 0.5
    q0: float = 1.0
    trials: int = 1000
    seed: int = 0
    keep: int = 100
    bins: int = 62
    levels: tuple[float, ...] = (0.025, 0.16, 0.5, 0.84, 0.975)
    checkpoint: float = 30.0


DEFAULTS = Defaults()


@dataclass(frozen=True)
class Run:
    """A validated, immutable description of a simulation: a grid of points with its statistics.

    All grid parameters are tuples, sorted and free of duplicates; one value is no dimension.

    Parameters
    ----------
    depth
        Number of layers.
    width
        Widths to sweep; empty where `layer_widths` is given.
    layer_widths
        A width for each layer (one network, no sweep of widths).
    ensemble
        ``"he"`` or ``"correlated"``.
    k
        Correlation parameters, −1 < k ≤ ∞.
    sigma_w
        Weight scales; None is the norm-preserving value of each k.
    sigma_b
        Bias scales.
    correlation
        Initial overlaps c₀ of the pair; exclusive with `distance`.
    distance
        Initial distances 1 − c₀, for pairs closer than 1e-16.
    q0
        Mean square of each input.
    trials, first_trial
        Number of independent networks per point, and the number of the first.
    seed
        Seed, 0 … 2⁶⁴ − 1.
    keep
        How many of the first trials keep their whole trajectory.
    bins
        Equal bins of a histogram, beside its two open ends.
    levels
        Levels of the quantiles.
    sampler, weights, device
        Only ``"gram"``, ``"normal"`` and ``"cpu"`` for now.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """

    depth: int
    width: tuple[int, ...] = ()
    layer_widths: tuple[int, ...] | None = None
    ensemble: str = DEFAULTS.ensemble
    k: tuple[float, ...] = (0.0,)
    sigma_w: tuple[float, ...] | None = None
    sigma_b: tuple[float, ...] = (DEFAULTS.sigma_b,)
    correlation: tuple[float, ...] | None = None
    distance: tuple[float, ...] | None = None
    q0: tuple[float, ...] = (DEFAULTS.q0,)
    trials: int = DEFAULTS.trials
    first_trial: int = 0
    seed: int = DEFAULTS.seed
    keep: int = DEFAULTS.keep
    bins: int = DEFAULTS.bins
    levels: tuple[float, ...] = field(default=DEFAULTS.levels)
    sampler: str = "gram"
    weights: str = "normal"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.correlation is None and self.distance is None:
            object.__setattr__(self, "correlation", (DEFAULTS.correlation,))
        if self.layer_widths is not None and len(set(self.layer_widths)) == 1:
            # A constant profile is the same network as a single width, and has the same key.
            self._check_profile()
            object.__setattr__(self, "width", (self.layer_widths[0],))
            object.__setattr__(self, "layer_widths", None)
        for name in ("width", "k", "sigma_w", "sigma_b", "correlation", "distance", "q0", "levels"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, sorted_grid(name, values))
        self._check()

    # --- validation -----------------------------------------------------------------------------

    def _check(self) -> None:
        check_choice("ensemble", self.ensemble, ENSEMBLES)
        check_choice("sampler", self.sampler, SAMPLERS)
        check_choice("weights", self.weights, WEIGHTS)
        check_choice("device", self.device, DEVICES)
        check_integer("depth", self.depth, 1, MAX_DEPTH)
        check_integer("trials", self.trials, 1, MAX_RUN_TRIALS)
        check_integer("first_trial", self.first_trial, 0, MAX_TRIALS - self.trials)
        check_integer("seed", self.seed, 0, MAX_SEED)
        check_integer("keep", self.keep, 0, MAX_TRIALS)
        check_integer("bins", self.bins, 1, 2**16)
        if self.first_trial % BLOCK:
            raise InputError(
                "first_trial",
                self.first_trial,
                f"must be a multiple of {BLOCK}, a block of trials",
                f"Use {self.first_trial // BLOCK * BLOCK}.",
            )
        self._check_profile()
        self._check_ensemble()
        self._check_inputs()
        points = math.prod(len(values) for values in self.axes.values())
        if points > MAX_POINTS:
            raise InputError(
                "grid", f"{points} points", f"must have at most {MAX_POINTS}", "Split the grid."
            )

    def _check_profile(self) -> None:
        if self.layer_widths is None:
            if not self.width:
                raise InputError("width", "none", "is missing", "Give the nodes of a layer: 4096.")
            for value in self.width:
                check_integer("width", value, 1, MAX_WIDTH)
            return
        if self.width:
            raise InputError(
                "widths", "and width", "exclude each other", "Give one width, or one per layer."
            )
        for value in self.layer_widths:
            check_integer("widths", value, 1, MAX_WIDTH)
        if len(self.layer_widths) != self.depth:
            raise InputError(
                "widths",
                f"{len(self.layer_widths)} layers",
                f"must name a width for each of the {self.depth} layers",
                f"Repeat a width as in 512x{self.depth}, or change the depth.",
            )

    def _check_ensemble(self) -> None:
        for k in self.k:
            correlation_strength(k)
        if self.ensemble == "he" and self.k != (0.0,):
            raise InputError(
                "k",
                shown(self.k),
                "must be 0 for the ensemble he",
                "Leave the ensemble out, or name the ensemble correlated.",
            )
        for value in self.sigma_w or ():
            check_scale("sigma_w", value, positive=True)
        for value in self.sigma_b:
            check_scale("sigma_b", value, positive=False)

    def _check_inputs(self) -> None:
        if self.correlation is not None and self.distance is not None:
            raise InputError(
                "correlation",
                shown(self.correlation),
                "excludes distance, which is 1 - correlation",
                "Give one of the two.",
            )
        for c in self.correlation or ():
            if not -1.0 <= c <= 1.0:
                raise InputError(
                    "correlation", c, "must be between -1 and 1", "Give the overlap of the pair."
                )
        for d in self.distance or ():
            if not (d == 0.0 or 1e-280 <= d <= 2.0):
                raise InputError(
                    "distance",
                    d,
                    "must be 0, or between 1e-280 and 2",
                    "Give 1 - c0, where c0 is the overlap of the pair.",
                )
        for q in self.q0:
            low, high = SCALE_LIMITS
            if not low <= q <= high:
                raise InputError(
                    "q0", q, f"must be between {low:g} and {high:g}", "Give |x|^2/N of an input."
                )
        for level in self.levels:
            if not 0.0 < level < 1.0:
                raise InputError("levels", level, "must be inside 0 ... 1", "Give 0.5, say.")

    # --- the grid -------------------------------------------------------------------------------

    @cached_property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """Every grid parameter with its values, in order; single values included."""
        axes: dict[str, tuple[float, ...]] = {}
        if self.layer_widths is None:
            axes["width"] = self.width
        axes["k"] = self.k
        if self.sigma_w is not None:
            axes["sigma_w"] = self.sigma_w
        axes["sigma_b"] = self.sigma_b
        if self.distance is not None:
            axes["initial_distance"] = self.distance
        else:
            axes["overlap"] = self.correlation or ()
        axes["q0"] = self.q0
        return axes

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
        return tuple(self._points())

    def _points(self) -> Iterator[Point]:
        names = list(self.axes)
        swept = [i for i, name in enumerate(names) if name in self.dimensions]
        ranges = [range(len(values)) for values in self.axes.values()]
        for place in itertools.product(*ranges):
            value = {name: self.axes[name][i] for name, i in zip(names, place, strict=True)}
            k = value["k"]
            overlap = value.get("overlap")
            yield self._point(
                index=tuple(place[i] for i in swept),
                widths=self.layer_widths or (int(value["width"]),),
                k=k,
                sigma_w=value.get("sigma_w", norm_preserving_sigma_w(k)),
                sigma_b=value["sigma_b"],
                distance=value["initial_distance"] if overlap is None else 1.0 - overlap,
                q0=value["q0"],
            )

    def _point(
        self,
        *,
        index: tuple[int, ...],
        widths: tuple[int, ...],
        k: float,
        sigma_w: float,
        sigma_b: float,
        distance: float,
        q0: float,
    ) -> Point:
        key = point_key(
            asymmetric=False,
            widths=widths,
            floats=(k, sigma_w, sigma_b, q0, distance),
            weights=self.weights,
            sampler=self.sampler,
            seed=self.seed,
        )
        g = correlation_strength(k)
        return Point(index, widths, k, g, sigma_w, sigma_b, distance, q0, key)

    # --- trials ---------------------------------------------------------------------------------

    @property
    def end_trial(self) -> int:
        """One past the last trial."""
        return self.first_trial + self.trials

    @property
    def kept(self) -> int:
        """How many trials keep their trajectory: trials 0 … keep − 1 that this run holds.

        At most `KEEP_BYTES` over the grid for one observable times their number.
        """
        held = max(0, min(self.keep, self.end_trial) - self.first_trial)
        room = KEEP_BYTES // (8 * self.depth * len(KEPT) * len(self.points))
        return int(min(held, room))

    @cached_property
    def covariance_layers(self) -> tuple[int, ...]:
        """Up to 32 log-spaced layers (from 1) whose covariance is kept."""
        spaced = np.geomspace(1.0, self.depth, min(self.depth, MAX_COVARIANCE_LAYERS))
        return tuple(sorted({round(x) for x in spaced}))

    def tasks(self, point: int, first: int, end: int, blocks: int) -> Iterator[Task]:
        """Cut trials [first, end) of a point into aligned tasks of at most `blocks` blocks.

        `first` is a multiple of 64; `blocks` a power of two.
        """
        block, last = first // BLOCK, end // BLOCK
        while block < last:
            size = min(blocks, block & -block) if block else blocks
            while block + size > last:
                size //= 2
            yield Task(point, block, size, size * BLOCK)
            block += size
        if end % BLOCK:
            yield Task(point, last, 1, end % BLOCK)

    # --- identity -------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """Physics and statistics as plain values ("inf" as a string): what `config_json` holds."""
        return {
            "ensemble": self.ensemble,
            "depth": self.depth,
            "width": list(self.width),
            "layer_widths": None if self.layer_widths is None else list(self.layer_widths),
            "k": [plain(x) for x in self.k],
            "sigma_w": None if self.sigma_w is None else list(self.sigma_w),
            "sigma_b": list(self.sigma_b),
            "correlation": None if self.correlation is None else list(self.correlation),
            "distance": None if self.distance is None else list(self.distance),
            "q0": list(self.q0),
            "trials": self.trials,
            "first_trial": self.first_trial,
            "seed": self.seed,
            "keep": self.keep,
            "bins": self.bins,
            "levels": list(self.levels),
            "sampler": self.sampler,
            "weights": self.weights,
            "device": self.device,
        }

    def config_json(self) -> str:
        """`config` as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.config(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of `config_json`, hexadecimal."""
        return hashlib.sha256(self.config_json().encode()).hexdigest()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Run:
        """Rebuild a run from `config` (or its JSON read back)."""
        values = dict(config)
        values["k"] = [float(x) for x in values["k"]]
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        if values["layer_widths"] is not None:
            values["width"] = ()
        return cls(**values)

    def default_filename(self) -> str:
        """`<ensemble>-n4096-l200-<8 hex of the configuration>.h5`."""
        n = "profile" if self.layer_widths is not None else "-".join(str(w) for w in self.width[:3])
        return f"{self.ensemble}-n{n}-l{self.depth}-{self.digest()[:8]}.h5"


KEPT = ("correlation", "log_distance", "log_q1", "log_q2", "inactive1", "inactive_both")
"""Observables whose first trajectories are kept whole."""

KEEP_BYTES = 64 * 1024 * 1024
"""Room for kept trajectories over the whole grid, all observables together."""
