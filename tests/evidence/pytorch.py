"""Dead units of a network with PyTorch's default initial weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from simcore import Ensemble
from simcore.initializers import layer
from tests.evidence.row import NOT_COMPARABLE, Effort, Found, Row

Floats = npt.NDArray[np.float64]

UVA = "UvA Deep Learning tutorial 3 (stored output): FashionMNIST, untrained, dead units by layer"
DIGITS = Path(__file__).parents[2] / "data" / "digits.h5"
PROFILES = {
    (256,) * 5 + (128,) * 5: (0, 0, 7, 27, 89, 60, 58, 61, 72, 56),
    (512, 256, 256, 128): (0, 0, 3, 10),
}


def enlarged() -> Floats:
    """The 8 × 8 digits enlarged to 28 × 28, with mean 0 and variance 1 over all pixels."""
    from scipy.ndimage import zoom

    with h5py.File(DIGITS) as file:
        small = np.asarray(file["inputs"], dtype=np.float64)
    images = zoom(small.reshape(-1, 8, 8), (1, 3.5, 3.5), order=1)
    rows = images.reshape(len(images), -1)
    return np.asarray((rows - rows.mean()) / rows.std())


COMMAND = 'simcore.initializers.layer(simcore.Ensemble.like("pytorch"), n, N, rng), layer by layer'


def dead(effort: Effort, widths: tuple[int, ...]) -> Found:
    """Return the mean number of dead units of each layer, over 16 networks."""
    inputs = enlarged()[:: 1 if effort.divisor == 1 else 20]
    ensemble, counts = Ensemble.like("pytorch"), []
    for network in range(16 if effort.divisor == 1 else 2):
        rng = np.random.default_rng([effort.seed, network])
        x, own = inputs, []
        for width in widths:
            weight, bias = layer(ensemble, x.shape[1], width, rng)
            x = np.maximum(x @ weight.T + bias, 0.0)
            own.append(np.sum(~x.any(axis=0)))
        counts.append(own)
    means = np.mean(counts, axis=0)
    return Found(", ".join(f"{mean:.0f}" for mean in means), NOT_COMPARABLE)


ROWS = [
    Row(
        f"uva/dead units, {len(widths)} layers",
        UVA,
        COMMAND,
        ", ".join(map(str, published)),
        partial(dead, widths=widths),
        expected=NOT_COMPARABLE,
        why="other inputs: 1,797 digits at 28 × 28, mean 0, variance 1, for 60,000 garments",
    )
    for widths, published in PROFILES.items()
]
WRONG: list[Row] = []
