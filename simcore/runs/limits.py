"""Defaults and limits of a run; importing this module loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

MAX_WIDTH = 2**25
"""Nodes of a layer: 24 bits of node groups in the counter, two nodes to a group."""

MAX_ASYMMETRIC_WIDTH = 2**24
"""… and one where a node has a group to itself, in the pair sampler of asymmetric weights."""

MAX_TRIALS = 2**40
"""Number of a point's last trial: 40 bits in the counter."""

MAX_RUN_TRIALS = 2**32 - 1
"""Trials in one run: the histograms count in uint32."""

MAX_SEED = 2**64 - 1
MAX_BINS = 2**16
MAX_POINTS = 100_000
"""Points of a grid: each holds its statistics in memory."""

MAX_PAIRS = 4096
"""Pairs through one network: each has its own statistics."""

MAX_INPUTS = 2**22
"""Inputs through one network, and components of an input."""

SMALLEST_DISTANCE = 1e-280
"""Smallest 1 − c₀ above 0: products of distances stay normal numbers."""

PAIR_SIGMA_W = (1e-60, 1e70)
"""Smallest and largest σ_w of the sampler gram for a pair: σ_w⁴ times a mean square is finite."""

PAIR_DIFFERENCE = 1e-300
"""Smallest σ_w² q₀ (1 − c₀) above 0 of the same sampler, which starts from it."""

KEEP_BYTES = 64 * 1024 * 1024
"""Room for kept trajectories over the whole grid, all observables together."""

EXCLUSIVE = (
    ("layer_widths", "width"),
    ("distance", "correlation"),
    ("inputs", "correlation"),
    ("inputs", "distance"),
    ("inputs", "q0"),
    ("inputs", "shared_network"),
    ("until_stderr", "first_trial"),
    ("negative_slope", "slopes"),
    *(("like", name) for name in ("ensemble", "k", "sigma_w", "sigma_b")),
)
"""Options of which one is given."""

REMOVED = frozenset({"tf32", "fast_normals"})
"""Options of earlier versions, which a stored configuration may name."""

SAMPLERS = ("gram", "dense")
DEVICES = ("cpu", "cuda")
CONTROLS = ("auto", "on", "off")

MOST_DEATHS = 1e-7
"""Largest probability that a network dies, at which control variates apply."""

LEAST_CONTROLLED = 20
"""Least nodes of a layer for them where no network dies: means of its own sampling are series."""


@dataclass(frozen=True)
class Defaults:
    """Public defaults of a run; `most_trials` is `trials` of a run that ends at a standard error.

    `checkpoint` is the time between two checkpoints of the file, in seconds.
    """

    correlation: float = 0.5
    q0: float = 1.0
    trials: int = 1000
    most_trials: int = 10**6
    seed: int = 0
    keep: int = 100
    bins: int = 62
    levels: tuple[float, ...] = (0.025, 0.16, 0.5, 0.84, 0.975)
    checkpoint: float = 30.0


DEFAULTS = Defaults()
