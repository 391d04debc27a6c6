"""Damaged and foreign files: refused in one line, or read with every number right."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import netCDF4
import numpy as np
import pytest

from simcore.errors import FileFormatError
from simcore.files.run_file import info, read_state, write_run
from simcore.files.run_results import RunResults
from simcore.results.open_run import open_run
from simcore.runs.run import Run
from tests.support.results import statistics

FLIPS = 150
"""Bits flipped in a file of each kind, half of them anywhere and half where numbers are not."""

RUN = Run(depth=3, width=(8, 16), trials=104, keep=2, bins=6)
OTHER = Run(depth=3, width=(8, 20), trials=104, keep=2, bins=6)


# --- what is in a file ----------------------------------------------------------------------------


def state_numbers(path: Path) -> list[object]:
    """Everything that resume and merge read, as bytes."""
    run, points = read_state(path)
    found: list[object] = [run]
    for point in points:
        found += [sorted(point.tree.nodes), point.kept, point.trials()]
        parts = [moments for _, _, moments in point.tree.ordered()]
        parts += [point.partial] if point.partial is not None else []
        found += [array.tobytes() for moments in parts for array in moments]
        held = [point.histogram, point.trajectories, point.partial_histogram, *(point.bins or ())]
        found += [None if array is None else (array.shape, array.tobytes()) for array in held]
    return found


def result_numbers(path: Path) -> list[object]:
    """Everything that open_run reads, coordinates and attributes too, as bytes."""
    dataset = open_run(path)
    found: list[object] = [repr(dataset.attrs)]
    for name, variable in dataset.variables.items():
        values = variable.values
        found += [name, variable.dims, values.dtype, values.tobytes(), repr(variable.attrs)]
    return found


def described(path: Path) -> dict[str, Any]:
    """Everything that info reads, but provenance, which is outside of results, and the name."""
    return {name: x for name, x in info(path).items() if name not in ("provenance", "file")}


READERS: tuple[Callable[[Path], object], ...] = (state_numbers, result_numbers, described)


class Whole(NamedTuple):
    """A file that nothing happened to, and what its readers give."""

    path: Path
    data: bytes
    right: list[object]


def write(path: Path, *, complete: bool) -> Whole:
    notes = {"host": "here", "threads": 2}
    write_run(path, RunResults(RUN, statistics(RUN), complete=complete), provenance=notes)
    return Whole(path, path.read_bytes(), [read(path) for read in READERS])


@pytest.fixture(scope="module", params=["complete", "checkpoint"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A last write with a partial block, and a checkpoint."""
    path = tmp_path_factory.mktemp(request.param) / "run.h5"
    return write(path, complete=request.param == "complete")


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return write(tmp_path_factory.mktemp("alone") / "run.h5", complete=True)


def refused(read: Callable[[Path], object], path: Path, right: object) -> bool:
    """Whether a reader refuses a file, in one line; otherwise its numbers have to be right."""
    try:
        found = read(path)
    except FileFormatError as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
        return True
    assert found == right
    return False


# --- damage at random -----------------------------------------------------------------------------


STRUCTURES = {
    "object headers and their attributes": rb"OHDR|OCHK",
    "heaps": rb"FRHP|FHDB|FHIB|GCOL",
    "trees and tables of chunks": rb"BTHD|BTIN|BTLF|FAHD|FADB|EAHD|EAIB",
}


def targets(whole: Whole) -> dict[str, list[range]]:
    """Where each kind of thing lies in a file."""
    found = {
        name: [range(m.start(), m.start() + 200) for m in re.finditer(signs, whole.data)]
        for name, signs in STRUCTURES.items()
    }
    found["superblock"] = [range(48)]
    found["anywhere"] = [range(len(whole.data))]
    found["coordinates"] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.is_scale and item.shape != ():
            chunk = item.id.get_chunk_info(0)
            found["coordinates"].append(range(chunk.byte_offset, chunk.byte_offset + chunk.size))

    with h5py.File(whole.path) as file:
        file.visititems(visit)
    return found


def flips(whole: Whole) -> Iterator[tuple[str, int, int]]:
    """Yield what is hit, and the byte and bit to flip."""
    rng = np.random.default_rng(19)
    places = targets(whole)
    assert all(places.values())
    kinds = ["anywhere"] * (len(places) - 1) + [kind for kind in places if kind != "anywhere"]
    for i in range(FLIPS):
        kind = kinds[i % len(kinds)]
        place = places[kind][rng.integers(len(places[kind]))]
        at = int(rng.integers(place.start, min(place.stop, len(whole.data))))
        yield kind, at, int(rng.integers(8))


def test_a_flipped_bit_never_passes_for_a_result(whole: Whole, tmp_path: Path) -> None:
    path = tmp_path / "bad.h5"
    noticed: dict[str, int] = {}
    for kind, at, bit in flips(whole):
        data = bytearray(whole.data)
        data[at] ^= 1 << bit
        path.write_bytes(data)
        by = [refused(read, path, x) for read, x in zip(READERS, whole.right, strict=True)]
        noticed[kind] = noticed.get(kind, 0) + any(by)
    # Coordinates are for other readers: simcore makes its own of the configuration.
    assert all(noticed[kind] >= 5 for kind in noticed if kind != "coordinates"), noticed
    assert noticed["anywhere"] > FLIPS // 8


@pytest.mark.parametrize("size", [512, 4096])
def test_lost_sectors_never_pass_for_results(whole: Whole, tmp_path: Path, size: int) -> None:
    path = tmp_path / "bad.h5"
    rng = np.random.default_rng(23)
    noticed = 0
    for at in rng.choice(len(whole.data) // size, 25, replace=False) * size:
        data = bytearray(whole.data)
        data[at : at + size] = bytes(len(data[at : at + size]))
        path.write_bytes(data)
        by = [refused(read, path, x) for read, x in zip(READERS, whole.right, strict=True)]
        noticed += any(by)
    assert noticed >= 10


def test_a_copy_that_was_cut_off_never_passes_for_the_file(whole: Whole, tmp_path: Path) -> None:
    """Its length was there from the start, and the rest is zeros."""
    path = tmp_path / "bad.h5"
    for at in np.random.default_rng(27).integers(1, len(whole.data), size=25).tolist():
        path.write_bytes(whole.data[:at] + bytes(len(whole.data) - at))
        by = [refused(read, path, x) for read, x in zip(READERS, whole.right, strict=True)]
        assert any(by), at


def test_a_file_of_any_other_length_is_refused(whole: Whole, tmp_path: Path) -> None:
    path = tmp_path / "short.h5"
    size = len(whole.data)
    some = np.random.default_rng(29).integers(size, size=60).tolist()
    for length in (0, 1, 7, 8, 9, 47, 48, 96, 512, size // 2, size - 512, size - 1, *some):
        path.write_bytes(whole.data[:length])
        for read in (open_run, read_state, info):
            assert refused(read, path, None), length


# --- other files ----------------------------------------------------------------------------------


def change_attribute(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value


def foreign_text(path: Path) -> None:
    path.write_text("layer,correlation\n1,0.5\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = [1.0]


def foreign_netcdf(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", 3)
        file.createVariable("x", "f8", ("x",))[:] = [1.0, 2.0, 3.0]


def classic_netcdf(path: Path) -> None:
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("x", 3)


def other_type(path: Path) -> None:
    change_attribute(path, "filetype", np.arange(3))


def no_configuration(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["config_json"]


def removed(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def newer(path: Path) -> None:
    change_attribute(path, "format_version", [2, 0])


def strange_version(path: Path) -> None:
    change_attribute(path, "format_version", [1, 0, 0])


def other_config(path: Path) -> None:
    change_attribute(path, "config_json", OTHER.config_json())


def other_run(path: Path) -> None:
    change_attribute(path, "config_json", OTHER.config_json())
    change_attribute(path, "config_sha256", OTHER.digest())


def other_depth(path: Path) -> None:
    run = Run(depth=4, width=(8, 16), trials=104, keep=2, bins=6)
    change_attribute(path, "config_json", run.config_json())
    change_attribute(path, "config_sha256", run.digest())


def without_a_dataset(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["entry/correlation/mean"]
        del file["entry/state/correlation/node_mean"]
        del file["entry/state/trials_done"]


def a_group_for_a_dataset(path: Path) -> None:
    without_a_dataset(path)
    with h5py.File(path, "r+") as file:
        file.create_group("entry/correlation/mean")
        file.create_group("entry/state/correlation/node_mean")
        file.create_group("entry/state/trials_done")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (foreign_text, "is not an HDF5 file"),
        (empty, "is not an HDF5 file"),
        (foreign_hdf5, "is not the file of a run"),
        (foreign_netcdf, "is not the file of a run"),
        (classic_netcdf, "is not an HDF5 file"),
        (other_type, "is damaged"),
        (no_configuration, "is damaged"),
        (removed, "does not exist"),
        (folder, "is a folder"),
        (pipe, "is a pipe"),
        (loop, "symbolic links"),
        (newer, "format version 2.0.*Update simcore"),
        (strange_version, "is damaged"),
        (other_config, "is damaged .*checksum"),
        (without_a_dataset, "is damaged"),
        (a_group_for_a_dataset, "is damaged"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    complete: Whole, tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(complete.data)
    spoil(path)
    for read in (open_run, read_state, info):
        with pytest.raises(FileFormatError, match=says) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spoil", "says"), [(other_run, "keys"), (other_depth, "is f.*, not")])
def test_the_state_of_another_run_is_refused(
    complete: Whole, tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(complete.data)
    spoil(path)
    with pytest.raises(FileFormatError, match=f"is damaged .*{says}"):
        read_state(path)


@pytest.mark.parametrize(
    ("name", "place", "value", "says"),
    [
        ("node_point", 1, 1, "not those of a run"),
        ("node_point", 0, 2, "not those of a run"),
        ("node_point", 3, -1, "not those of a run"),
        ("node_level", 0, 1, "not those of a run"),
        ("node_level", 1, 0, "not those of a run"),
        ("node_level", 0, -1, "not those of a run"),
        ("node_level", 0, 2**62, "not those of a run"),
        ("node_index", 0, 1, "not those of a run"),
        ("node_index", 0, -1, "not those of a run"),
        ("node_index", 1, 2, "not those of a run"),
        ("trials_done", 0, 64, "other trials are said"),
        ("trajectories_done", 0, 3, "more trajectories"),
        ("trajectories_done", 1, -1, "more trajectories"),
        ("point_key", 0, 1, "keys of its points"),
        ("dead_network1/node_count", (0, 0), 256, "other trials than its blocks"),
        ("inactive1/histogram", (0, 0, 1), 7, "histograms count other"),
        ("angle/bin_lower", (0, 0), np.nan, "bins are missing"),
    ],
)
def test_parts_of_the_state_that_do_not_fit_are_refused(
    complete: Whole, tmp_path: Path, name: str, place: Any, value: float, says: str
) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(complete.data)
    with h5py.File(path, "r+") as file:
        file[f"entry/state/{name}"][place] = value
    with pytest.raises(FileFormatError, match=f"is damaged .*{says}"):
        read_state(path)
