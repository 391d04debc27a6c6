"""Dead units of a network with PyTorch's default initial weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from tests.evidence.row import NOT_COMPARABLE, Effort, Found, Row, simulated

Floats = npt.NDArray[np.float64]

UVA = "UvA Deep Learning tutorial 3 (stored output): FashionMNIST, untrained, dead units by layer"
DIGITS = Path(__file__).parents[2] / "data" / "digits.h5"
PROFILES = {
    "256x5,128x5": (0, 0, 7, 27, 89, 60, 58, 61, 72, 56),
    "512,256x2,128": (0, 0, 3, 10),
}


def enlarged() -> Floats:
    """The 8 × 8 digits enlarged to 28 × 28, with mean 0 and variance 1 over all pixels."""
    from scipy.ndimage import zoom

    with h5py.File(DIGITS) as file:
        small = np.asarray(file["inputs"], dtype=np.float64)
    images = zoom(small.reshape(-1, 8, 8), (1, 3.5, 3.5), order=1)
    rows = images.reshape(len(images), -1)
    return np.asarray((rows - rows.mean()) / rows.std())


def command(widths: str) -> str:
    return (
        f"simulate --widths {widths} --like pytorch --weights normal --inputs INPUTS.npy --pairs 1 "
        "--trials 24"
    )


def dead(effort: Effort, widths: str) -> Found:
    """Return the mean number of dead units of each layer."""
    short = command(widths).replace("24", "2") if effort.divisor > 1 else command(widths)
    ds = simulated(short, Effort(1, effort.seed), few if effort.divisor > 1 else enlarged)
    sizes = ds["layer_width"].values if "layer_width" in ds else _sizes(widths)
    counts = ds.dead.values * sizes
    return Found(", ".join(f"{x:.0f}" for x in counts), NOT_COMPARABLE)


def few() -> Floats:
    return enlarged()[::20]


def _sizes(widths: str) -> Floats:
    found: list[float] = []
    for part in widths.split(","):
        size, _, times = part.partition("x")
        found += [float(size)] * int(times or 1)
    return np.array(found)


ROWS = [
    Row(
        f"uva/dead units, {widths}",
        UVA,
        command(widths),
        ", ".join(map(str, published)),
        partial(dead, widths=widths),
        expected=NOT_COMPARABLE,
        why="other inputs: 1,797 digits at 28 × 28, mean 0, variance 1, for 60,000 garments",
    )
    for widths, published in PROFILES.items()
]
WRONG: list[Row] = []
