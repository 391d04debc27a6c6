"""Intervals of counted shares, as variables of a Dataset: ``dead_network1_low`` and ``_high``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from simcore.physics.observables import COUNTED

from .intervals import LEVEL, of_share

ENDS = {"low": "lower", "high": "upper"}
"""Endings of the variables, and which end each is."""


class _End(BackendArray):
    """One end of the intervals around shares, found when it is used."""

    def __init__(self, share: xr.Variable, count: xr.Variable, end: int) -> None:
        self.share, self.count, self.end = share, count, end
        self.shape, self.dtype = share.shape, np.dtype(np.float64)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._found)

    def _found(self, key: tuple[Any, ...]) -> Any:
        share, count = (values[key].to_numpy() for values in (self.share, self.count))
        return of_share(share, count)[self.end]


def intervals(variables: Mapping[str, xr.Variable]) -> dict[str, xr.Variable]:
    """Return the ends of the intervals around the counted shares among some variables."""
    found = {}
    for name in COUNTED:
        share, count = variables.get(name), variables.get(f"{name}_count")
        if share is None or count is None:
            continue
        for place, (ending, end) in enumerate(ENDS.items()):
            values = indexing.LazilyIndexedArray(_End(share, count, place))
            about = f"{end} end of its {100.0 * LEVEL:.0f} % interval"
            attributes = {"long_name": f"{share.attrs.get('long_name', name)}: {about}"}
            attributes["units"] = "1"
            found[f"{name}_{ending}"] = xr.Variable(share.dims, values, attributes)
    return found
