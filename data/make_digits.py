"""Rebuild digits.h5 from the handwritten digits that scikit-learn ships.

    python data/make_digits.py

scikit-learn is needed for this alone (``pip install scikit-learn``); simcore does not depend on it.
With one build of HDF5 and zlib the file comes out the same byte for byte.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

FILE = Path(__file__).with_name("digits.h5")

ATTRIBUTES = {
    "title": "Optical Recognition of Handwritten Digits, test part: 8x8 images, values 0 to 16",
    "source": (
        "E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, "
        "https://doi.org/10.24432/C50P49; the copy that scikit-learn (BSD-3-Clause) ships as "
        "sklearn/datasets/data/digits.csv.gz"
    ),
    "licence": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    "changes": "values unchanged, stored as 8-bit integers in HDF5, images and labels apart",
}


def main(path: Path = FILE) -> None:
    """Write the images, shape (1797, 64), and their labels, shape (1797,)."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs.update(ATTRIBUTES)
        for name, values in (("inputs", images), ("labels", labels)):
            small = values.astype(np.uint8)
            if not np.array_equal(small, values):
                raise ValueError(f"the {name} are not whole numbers from 0 to 255")
            file.create_dataset(
                name,
                data=small,
                chunks=small.shape,
                compression="gzip",
                compression_opts=9,
                fletcher32=True,
                track_times=False,
            )


if __name__ == "__main__":
    main()
