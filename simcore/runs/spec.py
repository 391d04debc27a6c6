"""A run as the user describes it: `RunSpec`, with single values, lists and gaps for defaults.

Importing this module loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .limits import DEFAULTS

Integers = int | Sequence[int]
Numbers = float | Sequence[float]


@dataclass(frozen=True)
class RunSpec:
    """Description of a run as it was given, by any front door; nothing is checked yet.

    The parameters are those of `Run`, which resolves them, but a single value may stand for a list
    of one, `inputs` may be the name of a file or an array (and `pairs` then a list of pairs, or the
    name of its file), and None stands for the default.
    """

    depth: int | None = None
    width: Integers = ()
    layer_widths: Sequence[int] | None = None
    ensemble: str | None = None
    k: Numbers | None = None
    sigma_w: Numbers | str | None = None
    sigma_b: Numbers | str | None = None
    correlation: Numbers | None = None
    distance: Numbers | None = None
    q0: Numbers | None = None
    trials: int | None = None
    first_trial: int = 0
    seed: int = DEFAULTS.seed
    keep: int = DEFAULTS.keep
    bins: int = DEFAULTS.bins
    levels: Sequence[float] = DEFAULTS.levels
    sampler: str = "auto"
    weights: str | None = None
    slopes: str | Sequence[float] | None = None
    negative_slope: Numbers | None = None
    device: str = "cpu"
    shared_network: bool = False
    pairs: Any = None
    inputs: Any = None
    sigma_w_of_k: tuple[tuple[float, float], ...] | None = None
    until_stderr: float | str | None = None
    controls: str | bool = "auto"
    gradients: bool = False
    like: str | None = None
