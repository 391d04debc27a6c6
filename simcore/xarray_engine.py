"""The engine ``simcore`` of xarray, so that ``xarray.open_dataset("run.h5")`` shows the results.

xarray loads this module when it looks for an engine for any file, so importing it loads no room.
It asks the engines of netCDF first, and these take every HDF5 file, of which they would show the
root group alone: an empty Dataset. Therefore they are told to leave the files of simcore alone.
Named, and for one group of a file, they open these as they do others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from xarray.backends import (
    BackendEntrypoint,
    H5netcdfBackendEntrypoint,
    NetCDF4BackendEntrypoint,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Engine"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"

_DECODING = frozenset(
    (
        *("mask_and_scale", "decode_times", "decode_timedelta", "use_cftime"),
        *("concat_characters", "decode_coords"),
    )
)
"""Options of xarray for numbers that are stored encoded; in these files none are."""


def is_results(filename: object) -> bool:
    """Return whether a path is that of a file of results; it opens nothing but HDF5 files."""
    if not isinstance(filename, str | os.PathLike):
        return False
    with suppress(OSError, ValueError), open(filename, "rb") as file:  # noqa: PTH123 - bytes, too
        if file.read(len(_SIGNATURE)) == _SIGNATURE:
            return _is_known(filename)
    return False


def _is_known(path: str | os.PathLike[str]) -> bool:
    from .errors import InputError
    from .file_types import file_type

    try:
        file_type(path)
    except InputError:
        return False
    return True


class Engine(H5netcdfBackendEntrypoint):
    """Opens the files of simcore as `open_run` does; their groups as the engine h5netcdf does."""

    description = "Open the results of simcore (.h5)"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "group")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return whether a path is that of a file of results."""
        return is_results(filename_or_obj)

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Return the Dataset of a file; its large arrays are read when they are used."""
        if group is not None:
            return super().open_dataset(
                filename_or_obj, drop_variables=drop_variables, group=group, **options
            )
        if unknown := sorted(options.keys() - _DECODING):
            message = f"the engine simcore has no option {', '.join(unknown)}"
            raise TypeError(message)
        from .file_types import opened
        from .results.backend import held

        kind, stored = opened(filename_or_obj)
        return held(stored, kind.dataset, drop_variables)


def _leaves_results(engine: type[BackendEntrypoint]) -> None:
    """Let an engine of xarray leave the files of simcore to the engine that knows them."""
    asked = engine.guess_can_open

    def guess_can_open(self: BackendEntrypoint, filename_or_obj: Any) -> bool:
        return asked(self, filename_or_obj) and not is_results(filename_or_obj)

    engine.guess_can_open = guess_can_open  # type: ignore[method-assign]


_leaves_results(NetCDF4BackendEntrypoint)
_leaves_results(H5netcdfBackendEntrypoint)
