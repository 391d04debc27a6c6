"""Rebuild circle.h5: inputs on a great circle, the manifold of Poole et al., arXiv 1606.05340.

    python data/make_circle.py

h(φ) = √(N₀ q) (u₀ cos φ + u₁ sin φ) at equally spaced angles φ = 2πi/M, with u₀ and u₁ orthonormal
and of zero mean. The plane is isotropic among those: two rows of normals, by Box and Muller from
words of NumPy's Philox4x64-10, are centred and orthonormalised by Gram and Schmidt.
"""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

FILE = Path(__file__).with_name("circle.h5")

COMPONENTS = 256
INPUTS = 64
MEAN_SQUARE = 1.0
KEY = 1606_05340

Floats = npt.NDArray[np.float64]


def plane() -> tuple[Floats, Floats]:
    """Draw u₀ and u₁, each of shape (N₀,)."""
    words = np.random.Philox(key=KEY).random_raw(2 * COMPONENTS).reshape(2, COMPONENTS)
    uniform = ((words >> np.uint64(11)) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2.0 * np.log(uniform[0])), 2.0 * math.pi * uniform[1]
    u0 = _unit(radius * np.cos(angle))
    u1 = _unit(radius * np.sin(angle))
    return u0, _unit(u1 - (u0 @ u1) * u0)


def _unit(x: Floats) -> Floats:
    """Centre a vector and give it length 1."""
    centred = x - x.mean()
    return np.asarray(centred / np.linalg.norm(centred))


def circle() -> tuple[Floats, Floats]:
    """Return the angles, shape (M,), and the inputs, shape (M, N₀)."""
    u0, u1 = plane()
    angle = 2.0 * math.pi * np.arange(INPUTS) / INPUTS
    shape = np.outer(np.cos(angle), u0) + np.outer(np.sin(angle), u1)
    return angle, math.sqrt(COMPONENTS * MEAN_SQUARE) * shape


def attributes() -> dict[str, str | float]:
    """Return what the file says of the curve."""
    return {
        "title": "Great circle h(phi) = sqrt(N0 q) (u0 cos phi + u1 sin phi), all of zero mean",
        "source": "recipe in data/make_circle.py, after B. Poole et al., arXiv 1606.05340",
        "licence": "MIT, as simcore",
        "q": MEAN_SQUARE,
        "correlation": "c(phi, phi') = cos(phi - phi')",
        "length": 2.0 * math.pi * math.sqrt(COMPONENTS * MEAN_SQUARE),
        "length_formula": "2 pi sqrt(N0 q)",
    }


def main(path: Path = FILE) -> None:
    """Write the inputs and their angles, in radians."""
    angle, inputs = circle()
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs.update(attributes())
        for name, values in (("inputs", inputs), ("angle", angle)):
            file.create_dataset(
                name, data=values, chunks=values.shape, fletcher32=True, track_times=False
            )
        file["angle"].attrs["units"] = "radian"


if __name__ == "__main__":
    main()
