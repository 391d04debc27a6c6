"""The names of initial weights that training compares, and the random streams it draws from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from simcore.physics.ensembles import ENSEMBLES, WITHOUT_K
from simcore.runs.ensemble import Ensemble

from ..errors import InputError

REFERENCES = ("torch", "orthogonal")
"""Initial weights in common use: PyTorch's default of a Linear layer; `orthogonal_`, gain √2."""


@dataclass(frozen=True)
class Start:
    """Initial weights of the hidden layers: a name of `ENSEMBLES` or `REFERENCES`, and its k.

    k is 0 where the name takes none.
    """

    name: str
    k: float = 0.0

    @property
    def ensemble(self) -> Ensemble:
        """The simulator's law of the weights, for a name of `ENSEMBLES`."""
        return Ensemble(self.name, self.k)

    @property
    def key(self) -> int:
        """A 32-bit number that stands for it in the keys of random streams."""
        return _number(f"{self.name}:{self.k!r}")


def parse_label(field: str, label: str) -> Start:
    """Read a label such as ``he``, ``correlated:1``, ``raai:10``, ``torch``.

    InputError, which names `field`, if it is unknown, or its k missing, superfluous or out of
    range.
    """
    name, colon, number = (part.strip() for part in label.partition(":"))
    allowed = ", ".join((*(e if e in WITHOUT_K else f"{e}:K" for e in ENSEMBLES), *REFERENCES))
    remedy = f"Choose among: {allowed}."
    if name not in (*ENSEMBLES, *REFERENCES):
        raise InputError(field, label, "is not known", remedy)
    if name in WITHOUT_K or name in REFERENCES:
        if colon:
            raise InputError(field, label, f"has a k, but {name} takes none", remedy)
        return Start(name)
    if not number:
        raise InputError(field, label, "lacks k after a colon", f"Write {name}:1, say.")
    try:
        k = float(number)
    except ValueError:
        k = math.nan
    if not k > -1.0:
        rule = "has a k that is not a number above -1 (inf is allowed)"
        raise InputError(field, label, rule, f"Write {name}:1, say.")
    return Start(name, k + 0.0)


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
