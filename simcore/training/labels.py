"""The names of initial weights that training compares, and the random streams it draws from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from simcore.physics.ensembles import ASYMMETRIC, CRITICAL, ENSEMBLES, WITHOUT_K
from simcore.physics.slopes import mean_square, norm_preserving_sigma_w
from simcore.runs.ensemble import Ensemble

from ..errors import InputError

REFERENCES = ("torch", "orthogonal")
"""Initial weights in common use: PyTorch's default of a Linear layer; `orthogonal_`, gain √2."""

LARGEST_SCALE = 1e3
"""Largest σ_w and σ_b of a label: float32 holds no deep network of larger ones."""

_SCALES = {"torch": 0, "orthogonal": 1}
"""Scales that a label may have, where it is not σ_w and σ_b."""


@dataclass(frozen=True)
class Start:
    """Initial weights of the hidden layers: a name of `ENSEMBLES` or `REFERENCES`, and its k.

    k is 0 where the name takes none. σ_w and σ_b are None where the label leaves them to their
    defaults; of ``orthogonal`` σ_w is the gain. `slope` is that of leaky ReLU below 0.
    """

    name: str
    k: float = 0.0
    sigma_w: float | str | None = None
    sigma_b: float | None = None
    slope: float = 0.0

    @property
    def ensemble(self) -> Ensemble:
        """The simulator's law of the weights, for a name of `ENSEMBLES`."""
        slopes = (1.0, self.slope) if self.slope else None
        return Ensemble(self.name, self.k, self.sigma_w, self.sigma_b, slopes=slopes)

    @property
    def gain(self) -> float:
        """Gain of orthogonal weights."""
        own = math.sqrt(2.0 / (1.0 + self.slope**2))
        return own if self.sigma_w is None else float(self.sigma_w)

    @property
    def key(self) -> int:
        """A 32-bit number that stands for it in the keys of random streams.

        Scale and slope have no part in it: the same weights at two scales make a closer pair.
        """
        return _number(f"{self.name}:{self.k!r}")


def parse_label(field: str, label: str) -> Start:
    """Read a label such as ``he``, ``raai:10``, ``he/0.01``, ``he@1.2``, ``correlated:1@1.41@0.1``.

    After a slash stands the slope of leaky ReLU below 0, after the first ``@`` σ_w, after the
    second σ_b. InputError, which names `field`, if the
    name is unknown, or a number missing, superfluous or out of range.
    """
    kind, *scales = (part.strip() for part in label.split("@"))
    kind, slash, leak = (part.strip() for part in kind.partition("/"))
    name, colon, number = (part.strip() for part in kind.partition(":"))
    allowed = ", ".join((*(e if e in WITHOUT_K else f"{e}:K" for e in ENSEMBLES), *REFERENCES))
    remedy = f"Choose among: {allowed}."
    if name not in (*ENSEMBLES, *REFERENCES):
        raise InputError(field, label, "is not known", remedy)
    if len(scales) > _SCALES.get(name, 2):
        rule = f"has more scales than {name} takes"
        raise InputError(field, label, rule, f"Write {name} without them.")
    without_k = name in WITHOUT_K or name in REFERENCES
    if without_k and colon:
        raise InputError(field, label, f"has a k, but {name} takes none", remedy)
    if not (without_k or number):
        raise InputError(field, label, "lacks k after a colon", f"Write {name}:1, say.")
    k = 0.0 if without_k else _read(number)
    if not k > -1.0:
        rule = "has a k that is not a number above -1 (inf is allowed)"
        raise InputError(field, label, rule, f"Write {name}:1, say.")
    slope = _slope(field, label, name, leak) if slash else 0.0
    return _scaled(field, label, Start(name, k + 0.0, slope=slope), scales)


def _slope(field: str, label: str, name: str, text: str) -> float:
    """Return the slope of a label."""
    slope = _read(text)
    if not -1.0 <= slope <= 1.0:
        rule = "has a slope that is not a number from -1 to 1"
        raise InputError(field, label, rule, "Write he/0.01, say.")
    if slope and name in ASYMMETRIC:
        rule = "has a slope, and rai and raai are laws for ReLU"
        raise InputError(field, label, rule, f"Write {name} without it.")
    return slope + 0.0


def _scaled(field: str, label: str, start: Start, scales: list[str]) -> Start:
    """Return initial weights with the scales of their label."""
    sigma_w: float | str | None = None
    if scales:
        named = scales[0] == CRITICAL and start.name in ENSEMBLES
        sigma_w = CRITICAL if named else _read(scales[0])
        if isinstance(sigma_w, float) and not 0.0 < sigma_w <= LARGEST_SCALE:
            rule = f"has a scale that is not a number above 0, and at most {LARGEST_SCALE:g}"
            remedy = f"Write {label.partition('@')[0].strip()}@1.2, say."
            raise InputError(field, label, rule, remedy)
    sigma_b = _read(scales[1]) if len(scales) > 1 else None
    if sigma_b is not None and not 0.0 <= sigma_b <= LARGEST_SCALE:
        rule = f"has a sigma_b that is not a number from 0 to {LARGEST_SCALE:g}"
        raise InputError(field, label, rule, "Write he@1.2@0.1, say.")
    return replace(start, sigma_w=sigma_w, sigma_b=sigma_b)


def _read(text: str) -> float:
    """Return a number, NaN for any other text."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def growth(start: Start) -> float:
    """Return the factor of the mean square q from layer to layer, deep in an infinite width.

    Biases of a σ_b that was asked for are left out. Orthogonal weights are counted as independent
    ones of their gain, which have the same mean.
    """
    square = mean_square((1.0, start.slope))
    if start.name == "orthogonal":
        return square * start.gain**2
    if start.name == "torch":
        return square / 3.0
    sigma_w = start.ensemble.resolved_sigma_w
    if start.name in ASYMMETRIC:
        from simcore.theory.asymmetric import late_growth

        return late_growth(sigma_w, start.k)
    return (sigma_w / norm_preserving_sigma_w(start.k, (1.0, start.slope))) ** 2


class Purpose(IntEnum):
    """Purposes of random streams; numbers are never reused."""

    TEACHER = 1
    INPUTS = 2
    NOISE = 3
    BATCHES = 4
    HIDDEN = 5
    OUTPUT = 6
    SPLIT = 7
    TEST_IMAGES = 8


def stream(seed: int, purpose: Purpose, *key: int | str) -> np.random.Generator:
    """Return the random numbers of one purpose, the same whatever else is drawn.

    The key is their owner: role, trial, ensemble, layer; texts stand for 32-bit numbers.
    """
    words = tuple(_number(part) if isinstance(part, str) else part for part in key)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), *words)))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
