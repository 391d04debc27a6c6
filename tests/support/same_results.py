"""Equality of files of results, byte for byte, as `h5diff` would have it, provenance apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

OUTSIDE = ("entry/provenance",)
REFERENCES = ("DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates")


def contents(path: Path) -> dict[str, object]:
    """Every dataset (type, shape, bytes) and every attribute of a file by its path."""
    found: dict[str, object] = {}

    def take(name: str, item: Any) -> None:
        if name.startswith(OUTSIDE):
            return
        for key, value in item.attrs.items():
            if key not in REFERENCES:
                found[f"{name}@{key}"] = np.asarray(value).tolist()
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item[()])
            found[name] = (values.dtype.str, values.shape, values.tobytes())

    with h5py.File(path, "r") as file:
        take("", file)
        file.visititems(take)
    return found


def differences(one: Path, other: Path) -> list[str]:
    """Names of what differs between two files; empty if their results are the same bytes."""
    a, b = contents(one), contents(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
