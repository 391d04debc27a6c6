"""What is to be simulated: `Run`, its grid of points, its blocks and tasks, keys and identities.

A `Run` is validated when it is made and nowhere else, by `rules`, the home of every default and
limit.
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

from simcore.errors import InputError
from simcore.inputs.input_set import InputSet
from simcore.physics.ensembles import ASYMMETRIC, CRITICAL
from simcore.physics.observables import KEPT, Columns
from simcore.physics.parameters import correlation_strength, plain, sorted_grid
from simcore.physics.weight_laws import parse_weights
from simcore.theory.scales import default_sigma_w

from .grid import Point, point_key
from .limits import DEFAULTS, MAX_PAIRS, check_grid, check_profile, check_run

__all__ = ["Run"]

MAX_COVARIANCE_LAYERS = 32


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
        ``"he"``, ``"correlated"``, ``"rai"`` or ``"raai"``.
    k
        Correlation parameters, −1 < k ≤ ∞.
    sigma_w
        Weight scales; None is the norm-preserving value of each k, or 0.6007 for `rai` and `raai`;
        ``"critical"`` is the norm-preserving value for these, too.
    sigma_b
        Bias scales; None is 0, or σ_w/√n for `rai` and `raai`.
    correlation
        Initial overlaps c₀ of the pair; exclusive with `distance`. With `shared_network` one for
        each pair, or one for all, in any order and more than once.
    distance
        Initial distances 1 − c₀, for pairs closer than 1e-16.
    q0
        Mean square of each input.
    shared_network
        Whether several pairs go through one network; they are the dimension ``pair``.
    pairs
        How many random pairs, drawn anew in each trial; None is one for each overlap given.
    inputs
        Inputs of a file and pairs of them, which go through one network instead of random pairs.
    sigma_w_of_k
        What stands for `sigma_w` where it has no values, as (k, σ_w): resolved here, and given
        where a run is read back.
    trials, first_trial
        Number of independent networks per point, and the number of the first. With `until_stderr`
        the most that a point may have.
    until_stderr
        Standard error of the mean correlation at which a point ends, at every layer and pair
        (`simcore.execution.schedule`); None runs all trials.
    seed
        Seed, 0 … 2⁶⁴ − 1.
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
        Law of the weights, `weights.parse_weights`; all but ``"normal"`` need explicit weights.
    device
        ``"cpu"`` or ``"cuda"``, the kind that draws the samples. It is part of the configuration
        and of no key: the numbers of a point do not depend on it.

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
    sigma_w: tuple[float, ...] | str | None = None
    sigma_b: tuple[float, ...] | None = None
    correlation: tuple[float, ...] | None = None
    distance: tuple[float, ...] | None = None
    q0: tuple[float, ...] = (DEFAULTS.q0,)
    trials: int = DEFAULTS.trials
    first_trial: int = 0
    seed: int = DEFAULTS.seed
    keep: int = DEFAULTS.keep
    bins: int = DEFAULTS.bins
    levels: tuple[float, ...] = field(default=DEFAULTS.levels)
    sampler: str = "auto"
    weights: str = "normal"
    device: str = "cpu"
    shared_network: bool = False
    pairs: int | None = None
    inputs: InputSet | None = None
    sigma_w_of_k: tuple[tuple[float, float], ...] | None = None
    until_stderr: float | None = None

    def __post_init__(self) -> None:
        self._settle_inputs()
        if self.layer_widths is not None and len(set(self.layer_widths)) == 1:
            # A constant profile is the same network as a single width, and has the same key.
            check_profile(self)
            self._set("width", (self.layer_widths[0],))
            self._set("layer_widths", None)
        for name in ("width", "k", "sigma_w", "sigma_b", "correlation", "distance", "q0", "levels"):
            values = getattr(self, name)
            listed = self.shared and name in ("correlation", "distance")
            if values is not None and not isinstance(values, str) and not listed:
                self._set(name, sorted_grid(name, values))
        self._set("weights", str(parse_weights(self.weights)))
        check_run(self)
        self._settle_scales()
        check_grid(self)
        if self.sampler == "auto":
            self._set("sampler", cheaper_sampler(self))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _settle_inputs(self) -> None:
        """Give every pair its overlap."""
        if self.inputs is not None:
            self._set("shared_network", True)
            self._set("pairs", len(self.inputs.pairs))
            return
        if self.correlation is None and self.distance is None:
            self._set("correlation", (DEFAULTS.correlation,))
        if self.shared_network:
            name = "distance" if self.correlation is None else "correlation"
            values = tuple(getattr(self, name))
            if self.pairs is None:
                self._set("pairs", len(values))
            elif len(values) == 1:
                values *= min(max(self.pairs, 1), MAX_PAIRS + 1)
            self._set(name, values)

    def _settle_scales(self) -> None:
        """Resolve the scales that were left out, once and for all."""
        if self.sigma_b is None and self.ensemble not in ASYMMETRIC:
            self._set("sigma_b", (0.0,))
        if self.sigma_w == CRITICAL and self.ensemble not in ASYMMETRIC:
            self._set("sigma_w", None)
        if isinstance(self.sigma_w, tuple):
            self._set("sigma_w_of_k", None)
            return
        # What was found numerically is found once, and read back ever after.
        critical = self.sigma_w == CRITICAL
        known = dict(self.sigma_w_of_k or ()) if critical else {}
        found = [
            known[k] if k in known else default_sigma_w(self.ensemble, k, critical=critical)
            for k in self.k
        ]
        self._set("sigma_w_of_k", tuple(zip(self.k, found, strict=True)))

    # --- the grid -------------------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """Whether several inputs go through one network."""
        return self.shared_network or self.inputs is not None

    @property
    def columns(self) -> Columns:
        """The columns of a trial's trajectory."""
        return Columns(self.pairs or 1, self.shared)

    @property
    def batch(self) -> int:
        """M, the number of inputs through one network."""
        return self.inputs.count if self.inputs is not None else 2 * (self.pairs or 1)

    @cached_property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """Every grid parameter with its values, in order; single values included."""
        axes: dict[str, tuple[float, ...]] = {}
        if self.layer_widths is None:
            axes["width"] = self.width
        axes["k"] = self.k
        if isinstance(self.sigma_w, tuple):
            axes["sigma_w"] = self.sigma_w
        if self.sigma_b is not None:
            axes["sigma_b"] = self.sigma_b
        if not self.shared:
            if self.distance is not None:
                axes["initial_distance"] = self.distance
            else:
                axes["overlap"] = self.correlation or ()
        if self.inputs is None:
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
        of_k = dict(self.sigma_w_of_k or ())
        for place in itertools.product(*ranges):
            value = {name: self.axes[name][i] for name, i in zip(names, place, strict=True)}
            k = value["k"]
            yield self._point(
                index=tuple(place[i] for i in swept),
                widths=self.layer_widths or (int(value["width"]),),
                k=k,
                sigma_w=value["sigma_w"] if "sigma_w" in value else of_k[k],
                sigma_b=value.get("sigma_b"),
                distances=self._distances(value),
                q0=value.get("q0", math.nan),
            )

    def _distances(self, value: dict[str, float]) -> tuple[float, ...]:
        """Return 1 − c₀ of every pair of a point."""
        if self.inputs is not None:
            return self.inputs.distance
        if self.shared:
            return self.distance or tuple(1.0 - c for c in self.correlation or ())
        overlap = value.get("overlap")
        return (value["initial_distance"] if overlap is None else 1.0 - overlap,)

    def _point(
        self,
        *,
        index: tuple[int, ...],
        widths: tuple[int, ...],
        k: float,
        sigma_w: float,
        sigma_b: float | None,
        distances: tuple[float, ...],
        q0: float,
    ) -> Point:
        asymmetric = self.ensemble in ASYMMETRIC
        bias = math.nan if sigma_b is None else sigma_b
        drawn = () if self.inputs is not None else (q0, *distances)
        key = point_key(
            asymmetric=asymmetric,
            widths=widths,
            floats=(k, sigma_w, bias, *drawn),
            weights=self.weights,
            sampler=self.sampler,
            inputs=self._input_law(),
            seed=self.seed,
        )
        return Point(
            index=index,
            widths=widths,
            k=k,
            g=correlation_strength(k),
            sigma_w=sigma_w,
            sigma_b=sigma_b,
            distances=distances,
            q0=q0,
            key=key,
            asymmetric=asymmetric,
            input_size=0 if self.inputs is None else self.inputs.size,
        )

    def _input_law(self) -> str:
        """Return what the key of a point says of its inputs; "" for a single random pair."""
        if self.inputs is None:
            return "random pairs" if self.shared else ""
        return f"{self.inputs.digest} {self.inputs.pairs}"

    # --- trials ---------------------------------------------------------------------------------

    @property
    def end_trial(self) -> int:
        """One past the last trial."""
        return self.first_trial + self.trials

    @property
    def kept(self) -> int:
        """How many trials keep their trajectory: trials 0 … keep − 1 that this run holds.

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

    # --- identity -------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """Physics and statistics as plain values ("inf" as a string): what `config_json` holds."""
        # An option that came later is named only where it is used: earlier files keep their digest.
        later: dict[str, Any] = {}
        later |= {} if self.until_stderr is None else {"until_stderr": self.until_stderr}
        return later | {
            "ensemble": self.ensemble,
            "depth": self.depth,
            "width": list(self.width),
            "layer_widths": None if self.layer_widths is None else list(self.layer_widths),
            "k": [plain(x) for x in self.k],
            "sigma_w": list(self.sigma_w) if isinstance(self.sigma_w, tuple) else self.sigma_w,
            "sigma_w_of_k": None
            if self.sigma_w_of_k is None
            else [[plain(k), scale] for k, scale in self.sigma_w_of_k],
            "sigma_b": None if self.sigma_b is None else list(self.sigma_b),
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
            "shared_network": self.shared_network,
            "pairs": self.pairs,
            "inputs": None if self.inputs is None else self.inputs.config(),
        }

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
        values = dict(config)
        for name in REMOVED & values.keys():
            raise InputError(
                name,
                values[name],
                "is an option that this version of simcore no longer has",
                "Simulate again without it.",
            )
        values["k"] = [float(x) for x in values["k"]]
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        if values.get("sigma_w_of_k") is not None:
            values["sigma_w_of_k"] = tuple((float(k), w) for k, w in values["sigma_w_of_k"])
        if values["layer_widths"] is not None:
            values["width"] = ()
        if values.get("inputs") is not None:
            values["inputs"] = InputSet.from_config(values["inputs"])
        return cls(**values)

    def default_filename(self) -> str:
        """`<ensemble>-n4096-l200-<8 hex of the configuration>.h5`."""
        n = "profile" if self.layer_widths is not None else "-".join(str(w) for w in self.width[:3])
        return f"{self.ensemble}-n{n}-l{self.depth}-{self.digest()[:8]}.h5"


def cheaper_sampler(run: Run) -> str:
    """Return the sampler that needs fewer operations; the dense one where the law demands it."""
    if run.weights != "normal":
        return "dense"
    if not run.shared:
        return "gram"
    from .costs import sampler_costs

    costs = sampler_costs(run)
    return min(costs, key=lambda name: costs[name])


REMOVED = frozenset({"fast_normals", "tf32"})
"""Options that a configuration may still name: approximate arithmetic on a GPU."""

KEEP_BYTES = 64 * 1024 * 1024
"""Room for kept trajectories over the whole grid, all observables together."""
