from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import netCDF4
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import simcore
from simcore.errors import FileFormatError, OutputError
from simcore.execution.execute import resume
from simcore.execution.merge import merge
from simcore.files import hdf5
from simcore.files.destination import identity
from simcore.files.layout import Array
from simcore.files.run_file import WriteStopped, info, read_state, write_run
from simcore.files.run_results import RunResults
from simcore.files.writer import Stacked
from simcore.inputs.input_set import InputSet
from simcore.machine.provenance import collect_provenance
from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import (
    BY_NAME,
    COVARIANCE,
    FIRST_ORDER,
    GRADIENT_COVARIANCE,
    GRADIENT_HISTOGRAMS,
    GRADIENT_NAMES,
    HISTOGRAMMED,
    KEPT,
    NAMES,
    NETWORK_NAMES,
)
from simcore.results.open_run import open_run
from simcore.runs.grid import has_slopes
from simcore.runs.predictions import has_first_order
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from simcore.statistics.tree import PointStatistics
from tests.support.results import statistics

Floats = npt.NDArray[Any]
Written = tuple[Run, list[PointStatistics], Path]

INPUTS = str(Path(__file__).parents[2] / "data" / "circle.h5")
RUNS = {
    "single": Run(depth=6, width=(8,), trials=200, keep=5),
    "grid": Run(
        depth=4,
        width=(8,),
        ensemble="correlated",
        k=(-0.5, np.inf),
        sigma_b=(0.0, 0.1),
        distance=(1e-20, 0.5),
        trials=100,
        keep=3,
    ),
    "widths": Run(
        depth=3,
        width=(8, 16),
        sigma_w=(1.3, 1.5),
        correlation=(0.1, 0.5),
        q0=(2.0,),
        trials=192,
        keep=1,
    ),
    "profile": Run(depth=3, layer_widths=(8, 16, 8), trials=40, keep=0),
    "shared": Run(
        depth=3,
        width=(8, 16),
        ensemble="raai",
        k=(1.0,),
        shared_network=True,
        distance=(0.5, 1e-20, 0.5),
        trials=200,
        keep=2,
    ),
    "inputs": Run(
        depth=3, width=(8,), inputs=InputSet.read(INPUTS, pairs=2), k=(0.0,), trials=70, keep=1
    ),
}


@pytest.fixture(scope="module", params=["grid", "widths", "profile", "shared", "inputs"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A complete file of each kind of run; some of them end in a partial block."""
    run = RUNS[request.param]
    points = statistics(run)
    path = tmp_path_factory.mktemp(request.param) / "run.h5"
    write_run(
        path, RunResults(run, points, complete=True), provenance=collect_provenance(threads=3)
    )
    return run, points, path


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Written:
    run = RUNS["single"]
    points = statistics(run)
    path = tmp_path_factory.mktemp("single") / "run.h5"
    write_run(path, RunResults(run, points, complete=True), provenance={"host": "here"})
    return run, points, path


def datasets(path: Path) -> dict[str, Any]:
    """Every dataset of a file by its path, with values and attributes."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            own = (Path(name).name,)
            dims = (
                own
                if item.is_scale
                else tuple(h5py.h5ds.get_scale_name(d[0].id).decode() for d in item.dims)
            )
            found[f"/{name}"] = (item[()], dims, item.attrs["units"].decode())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def assert_same_datasets(first: Path, second: Path, *, without: str = "^$") -> None:
    a, b = (
        {n: v for n, v in datasets(p).items() if not re.search(without, n)} for p in (first, second)
    )
    assert a.keys() == b.keys()
    for name in a:
        assert a[name][0].dtype == b[name][0].dtype
        assert a[name][0].tobytes() == b[name][0].tobytes(), name


# --- the format -----------------------------------------------------------------------------------


class Row(NamedTuple):
    """A row of the tables of datasets in docs/file-format.md."""

    pattern: re.Pattern[str]
    dtype: str
    dims: str
    unit: str
    when: list[str]


@cache
def documented() -> list[Row]:
    page = Path(simcore.__file__).parents[1] / "docs" / "file-format.md"
    rows = []
    plots = "|".join((*NAMES, *NETWORK_NAMES, "trajectories", "covariance"))
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("| /"):
            path, dtype, dims, unit, when, _ = (c.strip() for c in line.strip("|").split(" | "))
            path = path.replace("`<observable>`", f"(?P<name>{'|'.join(NAMES)})")
            path = path.replace("`<network>`", f"(?P<name>{'|'.join(NETWORK_NAMES)})")
            path = path.replace("`<plot>`", f"(?:{plots})")
            rows.append(Row(re.compile(path), dtype, dims, unit, when.split(", ")))
    return rows


def assert_described(row: Row, match: re.Match[str], run: Run, array: Any) -> None:
    values, dims, units = array
    name = match.string
    assert row.dtype == values.dtype.str[1:], name
    observable = match.groupdict().get("name")
    stands = {
        "swept": list(run.dimensions),
        "(pair)": ["pair"] * run.shared,
        "(rate)": ["rate"] * (observable == "activation_rate"),
    }
    choices = [choice.split(", ") for choice in row.dims.split(" or ")]
    allowed = [[d for c in choice for d in stands.get(c, [c])] for choice in choices]
    assert list(dims) in [[d for d in choice if d != "none"] for choice in allowed], name
    own = BY_NAME[observable].units if observable else "1"
    squared = own if own == "1" else f"{own}2"
    assert units == {"own": own, "squared": squared, "1": "1"}[row.unit], name


@pytest.mark.parametrize("complete", [True, False])
def test_every_dataset_is_documented_and_the_other_way_round(
    written: Written, tmp_path: Path, complete: bool
) -> None:
    run, points, path = written
    if not complete:
        path = tmp_path / "checkpoint.h5"
        write_run(path, RunResults(run, points, complete=False), provenance={})
    widths = max((point.layer_widths(run.depth).tolist() for point in run.points), key=min)
    absent = {
        *["last"] * (not complete),
        *["kept"] * (run.kept == 0),
        *["target"] * (run.until_stderr is None),
        *["controlled"] * (not run.columns.controlled),
        *["controls"] * ("correlation" not in run.columns.controlled),
        *["blocks"] * (not points[0].tree.nodes and not complete),
        *["shared"] * (not run.shared),
        "file" if run.inputs is None else "random",
        *["scale"] * (run.sigma_b is None),
        *["slopes"] * (not has_slopes(run)),
        *(["symmetric", "Gaussian"] if run.ensemble in ASYMMETRIC else ["asymmetric"]),
        *["first order"] * (not has_first_order(run) or sum(1 / n for n in widths) > 1.0),
    }
    seen = set()
    for name, array in datasets(path).items():
        matching = [(row, m) for row in documented() if (m := row.pattern.fullmatch(name))]
        assert len(matching) == 1, name
        row, match = matching[0]
        assert_described(row, match, run, array)
        assert absent.isdisjoint(row.when), name
        seen.add(row.pattern)
    assert len(documented()) > 40
    for row in documented():
        assert (row.pattern in seen) == absent.isdisjoint(row.when), row.pattern


def test_the_documented_groups_of_observables_are_those_of_the_code() -> None:
    page = (Path(simcore.__file__).parents[1] / "docs" / "file-format.md").read_text("utf-8")
    assert f"`<observable>`: {', '.join(NAMES)}; with gradients also" in page
    assert f"gradients also {', '.join(GRADIENT_NAMES)}, the observables of the way back" in page
    assert f"`<network>`: {', '.join(NETWORK_NAMES)}:" in page
    assert f"**histograms** for {', '.join(HISTOGRAMMED)} and, with gradients," in page
    assert f"with gradients, {', '.join(GRADIENT_HISTOGRAMS)};" in page
    assert f"**covariances** for {', '.join(COVARIANCE)} and, with gradients," in page
    assert f"with gradients, {', '.join(GRADIENT_COVARIANCE)};" in page
    assert f"**first order** for {', '.join(FIRST_ORDER)} of" in page
    assert f"single trials of {', '.join(KEPT)};" in page


def test_every_array_is_checksummed_and_has_scales(written: Written) -> None:
    _, _, path = written
    compressed = 0

    def check(name: str, item: Any) -> None:
        nonlocal compressed
        if not isinstance(item, h5py.Dataset):
            return
        layout = item.id.get_create_plist().get_layout()
        if item.shape == ():
            assert layout == h5py.h5d.COMPACT, name
            return
        assert layout == h5py.h5d.CHUNKED, name
        assert item.fletcher32, name
        assert item.compression == "gzip", name
        compressed += item.shuffle
        if not item.is_scale:
            assert all(len(dim) == 1 for dim in item.dims), name

    with h5py.File(path, libver=("v110", "v110")) as file:
        file.visititems(check)
    assert compressed > 10


def test_a_checkpoint_is_not_compressed(single: Written, tmp_path: Path) -> None:
    run, points, _ = single
    path = tmp_path / "checkpoint.h5"
    write_run(path, RunResults(run, points, complete=False), provenance={})
    with h5py.File(path) as file:
        assert file.attrs["complete"] == 0
        for name in ("angle/histogram", "angle/node_count", "correlation/node_cov_m2"):
            array = file[f"entry/state/{name}"]
            assert not array.shuffle
            assert array.id.get_storage_size() > array.nbytes


@pytest.mark.parametrize("written", ["grid", "profile"], indirect=True, scope="module")
def test_xarray_opens_every_group_without_a_warning(written: Written) -> None:
    run, _, path = written
    for group in ("/", "entry/correlation", "entry/state", "entry/state/angle"):
        for engine in ("h5netcdf", "netcdf4"):
            with xr.open_dataset(path, group=group, engine=engine) as opened:
                opened.load()
    with xr.open_dataset(path, group="entry/correlation") as opened:
        assert opened["mean"].dims == (*run.dimensions, "layer")
        assert set(opened.coords) >= {"k", "g", "sigma_w", "sigma_b", "q0", "overlap", "layer"}
        assert opened["mean"].attrs["units"] == "1"
        assert opened.attrs["estimator"].startswith("mean over trials of the per-trial")


def test_xarray_opens_the_whole_tree_without_a_warning(single: Written, tmp_path: Path) -> None:
    run, points, _ = single
    path = tmp_path / "checkpoint.h5"
    write_run(path, RunResults(run, points, complete=False), provenance={})
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["entry/state"].sizes["point"] == 1
        assert tree.attrs["filetype"] == "simcore-run"
        assert tree.attrs["config_json"] == run.config_json()
        assert set(tree["entry"].children) == {
            *NAMES,
            "provenance",
            "state",
            "trajectories",
        }


@pytest.mark.parametrize("written", ["grid", "profile"], indirect=True, scope="module")
def test_netcdf4_reads_every_variable(written: Written) -> None:
    _, _, path = written
    arrays = datasets(path)
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        for name, (values, dims, _) in arrays.items():
            variable = file[name]
            assert variable.dimensions == (dims or variable.dimensions), name
            np.testing.assert_array_equal(variable[...], values)
            assert isinstance(variable.long_name, str)


@pytest.mark.needs("silx")
def test_silx_finds_the_plot(written: Written) -> None:
    import silx.io
    import silx.io.nxdata

    run, _, path = written
    silx_io: Any = silx.io
    with silx_io.open(str(path)) as file:
        plot: Any = silx_io.nxdata.get_default(file)
        assert plot.is_valid, plot.issues
        assert plot.signal_dataset_name == "mean"
        pair = ["pair"] * run.shared
        assert plot.axes_dataset_names == [*run.dimensions, *pair, "layer"]
        assert plot.errors is not None


# --- going on -------------------------------------------------------------------------------------


def assert_same_bytes(first: Iterable[Floats | None], second: Iterable[Floats | None]) -> None:
    for x, y in zip(first, second, strict=True):
        assert x is not None
        assert y is not None
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
        assert y.flags.c_contiguous


@pytest.mark.parametrize("complete", [True, False])
def test_the_state_comes_back_bit_by_bit(written: Written, tmp_path: Path, complete: bool) -> None:
    run, points, path = written
    if not complete:
        path = tmp_path / "checkpoint.h5"
        write_run(path, RunResults(run, points, complete=False), provenance={})
    again, back = read_state(path)
    assert again == run
    for a, b in zip(points, back, strict=True):
        assert a.tree.nodes.keys() == b.tree.nodes.keys()
        for (_, _, left), (_, _, right) in zip(a.tree.ordered(), b.tree.ordered(), strict=True):
            assert_same_bytes(left, right)
        assert_same_bytes([a.histogram, a.trajectories], [b.histogram, b.trajectories])
        assert a.kept == b.kept
        if complete and a.partial is not None:
            assert b.partial is not None
            assert_same_bytes(a.partial, b.partial)
            assert_same_bytes([a.partial_histogram], [b.partial_histogram])
        else:
            assert b.partial is None
            assert b.partial_histogram is None
        if a.tree.nodes or complete:
            assert_same_bytes(a.bins or (), b.bins or ())
        else:
            assert b.bins is None


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("complete", [True, False])
def test_writing_what_was_read_gives_the_same_file(
    tmp_path: Path, name: str, complete: bool
) -> None:
    run = RUNS[name]
    # Checkpoints publish a partial block that they do not hold.
    points = statistics(run, None if complete else run.trials // BLOCK * BLOCK)
    first, second = tmp_path / "first.h5", tmp_path / "second.h5"
    write_run(first, RunResults(run, points, complete=complete), provenance={"host": "here"})
    again, back = read_state(first)
    assert again == run
    # `run` also knows where its inputs lie, which their predictions need.
    write_run(second, RunResults(run, back, complete=complete), provenance={"host": "there"})
    assert_same_datasets(first, second)


def test_a_shard_of_a_partial_block_has_the_bins_of_block_0(tmp_path: Path) -> None:
    run = Run(depth=3, width=(8,), first_trial=128, trials=40, keep=0)
    points = statistics(run)
    assert points[0].bins is not None
    for complete in (True, False):
        write_run(tmp_path / "run.h5", RunResults(run, points, complete=complete), provenance={})
        _, back = read_state(tmp_path / "run.h5")
        assert back[0].trials() == 40 * complete
        assert_same_bytes(points[0].bins, back[0].bins or ())


def test_an_empty_run_is_a_valid_file(tmp_path: Path) -> None:
    run = RUNS["grid"]
    path = tmp_path / "run.h5"
    for complete in (False, True):
        write_run(path, RunResults(run, statistics(run, 0), complete=complete), provenance={})
        ds = open_run(path)
        assert not ds.correlation_count.any()
        assert np.isnan(ds.correlation).all()
        _, back = read_state(path)
        assert not back[0].tree.nodes
        with xr.open_dataset(path, group="entry/state") as state:
            assert "node" not in state.sizes


def test_points_that_are_not_begun_are_empty(tmp_path: Path) -> None:
    run = RUNS["widths"]
    points = [*statistics(run)[:1], *statistics(run, 0)[1:]]
    write_run(tmp_path / "run.h5", RunResults(run, points, complete=False), provenance={})
    ds = open_run(tmp_path / "run.h5")
    assert ds.correlation_count.values[..., 0].ravel().tolist() == [192] + 7 * [0]
    assert info(tmp_path / "run.h5")["trials_done"] == [0, 192]
    _, back = read_state(tmp_path / "run.h5")
    assert back[1].bins is None
    assert back[0].bins is not None


def test_info_describes_the_file(written: Written) -> None:
    run, points, path = written
    found = info(path)
    assert found["config"] == run.config()
    assert found["complete"] is True
    assert found["gaps"] == ""
    assert found["format_version"] == "1.6"
    assert found["trials_done_per_point"] == [point.trials() for point in points]
    assert found["bytes"] == path.stat().st_size
    assert found["provenance"]["threads"] == 3
    assert found["provenance"]["numba_version"].count(".") >= 1


def test_gaps_are_noted_where_there_are_any(single: Written, tmp_path: Path) -> None:
    run, points, path = single
    gaps = "64-127, 192-199"
    write_run(tmp_path / "run.h5", RunResults(run, points, complete=True), provenance={}, gaps=gaps)
    assert info(tmp_path / "run.h5")["gaps"] == gaps
    with h5py.File(path) as file:
        assert "gaps" not in file.attrs


# --- other versions -------------------------------------------------------------------------------


def change_attribute(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value


def test_results_of_format_1_1_are_read_but_not_extended(single: Written, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(single[2].read_bytes())
    change_attribute(path, "format_version", [1, 1])
    added = ["covariance/log_q1", "covariance/log_q1_mean", "covariance/log_q1_count"]
    added += [f"state/log_q1/node_cov_{kind}" for kind in ("count", "mean", "m2")]
    added += [f"{name}/theory_1n{std}" for name in FIRST_ORDER for std in ("", "_std")]
    with h5py.File(path, "r+") as file:
        for name in added:
            del file[f"entry/{name}"]
    ds, new = open_run(path), open_run(single[2])
    gone = [name for name in new if name not in ds]
    assert len(gone) == 3 + 2 * len(FIRST_ORDER)
    xr.testing.assert_identical(ds, new.drop_vars(gone))
    with pytest.raises(FileFormatError, match=r"format 1.1.*not extended or merged"):
        read_state(path)


def test_results_of_format_1_4_are_read_but_not_extended(single: Written, tmp_path: Path) -> None:
    """The remedy is the same for `simcore resume` and `merge`."""
    path, names = tmp_path / "run.h5", ("mean1", "mean2", "product", "variance", "log_sine")
    path.write_bytes(single[2].read_bytes())
    change_attribute(path, "format_version", [1, 4])
    with h5py.File(path, "r+") as file:
        for name in names:
            del file[f"entry/{name}"]
    ds, new = open_run(path), open_run(single[2])
    gone = [name for name in new if str(name).startswith(names)]
    xr.testing.assert_identical(ds, new.drop_vars(gone))
    for work in (resume, lambda own: merge([own], tmp_path / "whole.h5")):
        with pytest.raises(FileFormatError, match=r"format 1.4.*not extended.*Simulate again"):
            work(path)


def test_gradients_of_format_1_5_are_not_extended_where_they_have_controls(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    for k in (0.0, 1.0):
        run = Run(depth=2, width=(8,), k=(k,), trials=64, gradients=True)
        write_run(path, RunResults(run, statistics(run), complete=True), provenance={})
        change_attribute(path, "format_version", [1, 5])
        if k == 0.0:
            assert read_state(path)[0] == run
        else:
            with pytest.raises(FileFormatError, match=r"lacks the control variates of gradients"):
                read_state(path)


@pytest.mark.parametrize("ensemble", ["rai", "he"])
def test_runs_of_format_1_5_are_extended_unless_weights_are_replaced(
    ensemble: str, tmp_path: Path
) -> None:
    path, run = tmp_path / "run.h5", Run(depth=2, width=(4,), ensemble=ensemble, trials=64)
    simcore.simulate(run, output=path)
    change_attribute(path, "format_version", [1, 5])
    if ensemble == "he":
        assert read_state(path)[0] == run
        return
    with h5py.File(path, "r+") as file:
        for name in ("controlled", "controlled_errors"):
            del file[f"entry/dead_network_both/{name}"]
    assert "dead_network_both_controlled" not in open_run(path)
    for work in (resume, lambda own: merge([own], tmp_path / "whole.h5")):
        with pytest.raises(FileFormatError, match=r"that both signals are dead.*Simulate again"):
            work(path)


def test_results_of_format_1_2_are_read(tmp_path: Path) -> None:
    run, path = (
        Run(depth=2, width=(4,), k=(0.0,), shared_network=True, trials=64),
        tmp_path / "a.h5",
    )
    write_run(path, RunResults(run, statistics(run), complete=True), provenance={})
    new = open_run(path).load()
    new.close()
    change_attribute(path, "format_version", [1, 2])
    with h5py.File(path, "r+") as file:
        del file["entry/dead/theory"], file["entry/dead_inputs/theory"]
    with open_run(path) as old:
        gone = ["dead_theory", "dead_inputs_theory"]
        xr.testing.assert_identical(old.load(), new.drop_vars(gone))


@pytest.mark.parametrize(
    ("weights", "sigma_b", "layout"),
    [
        ("rademacher", (0.0,), 2),
        ("bernoulli:0.5", (0.3, 0.0), 2),
        ("rademacher", (0.3,), 1),
        ("laplace", (0.0,), 1),
    ],
)
def test_a_run_from_before_ties_were_zeros_is_not_continued(
    tmp_path: Path, weights: str, sigma_b: tuple[float, ...], layout: int
) -> None:
    run = Run(
        depth=2, width=(8,), trials=64, sampler="dense", weights=weights, sigma_b=sigma_b, k=(0.0,)
    )
    path = tmp_path / "run.h5"
    write_run(path, RunResults(run, statistics(run), complete=True), provenance={})
    with h5py.File(path, "r") as file:
        assert file.attrs["rng_layout"] == layout
    read_state(path)
    change_attribute(path, "rng_layout", 1)
    with open_run(path) as ds:
        assert ds.attrs["rng_layout"] == 1
    if layout == 1:
        read_state(path)
        return
    for work in (resume, lambda own: merge([own], tmp_path / "whole.h5")):
        with pytest.raises(FileFormatError, match=r"weights cancelled.*Simulate again\."):
            work(path)


def test_a_file_that_was_left_open_is_not_damaged(single: Written, tmp_path: Path) -> None:
    """Nor is one that is open elsewhere: its mark is the same."""
    path = tmp_path / "run.h5"
    path.write_bytes(single[2].read_bytes())
    assert identity(path) == (RUNS["single"].digest(), True)
    code = "import h5py, os, sys; file = h5py.File(sys.argv[1], 'a'); file.flush(); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, path], check=True)
    for work in (info, identity):
        with pytest.raises(FileFormatError, match=r"open for writing.*h5clear -s"):
            work(path)


def test_additions_of_a_newer_minor_version_are_ignored(single: Written, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(single[2].read_bytes())
    change_attribute(path, "format_version", [1, 7])
    with h5py.File(path, "r+") as file:
        file["entry/correlation/novelty"] = [1.0]
    xr.testing.assert_identical(open_run(path), open_run(single[2]))
    # A rewritten file would be without them.
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=r"format 1\.7.*Update simcore"):
        resume(path, trials=10**4)
    with pytest.raises(FileFormatError, match=r"format 1\.7.*Update simcore"):
        merge([path], tmp_path / "all.h5")
    assert path.read_bytes() == before


# --- faults in writing ----------------------------------------------------------------------------


@pytest.fixture
def old(single: Written, tmp_path: Path) -> Iterator[Path]:
    """An earlier file, which no failure may touch."""
    path = tmp_path / "run.h5"
    path.write_bytes(single[2].read_bytes())
    yield path
    assert path.read_bytes() == single[2].read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def write(path: Path) -> None:
    run = RUNS["profile"]
    write_run(path, RunResults(run, statistics(run), complete=True), provenance={})


def test_a_file_size_limit_is_reported(old: Path) -> None:
    before, limits = open_descriptors(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"could not be written: File too large\. Free space"):
            write(old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert open_descriptors() == before


@pytest.mark.parametrize("call", [0, 60, -1])
@pytest.mark.parametrize(
    ("failure", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), OutputError), (KeyboardInterrupt(), None)],
)
def test_a_failure_in_mid_write_leaves_the_old_file(
    old: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    failure: BaseException,
    raised: type[BaseException] | None,
) -> None:
    before, pwrite, calls = open_descriptors(), os.pwrite, [0]

    def failing(descriptor: int, data: Any, offset: int) -> int:
        calls[0] += 1
        # The superblock at 0 is written first and last: a fault at the very end.
        if (calls[0] > call >= 0) or (call < 0 and offset == 0 and calls[0] > 1):
            raise failure
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(raised or KeyboardInterrupt):
        write(old)
    assert open_descriptors() == before


@pytest.mark.parametrize("name", ["fsync", "open"])
def test_a_disk_that_fails_to_flush_or_open_is_reported(
    old: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing)
        with pytest.raises(OutputError, match="that you may write to"):
            write(old)


def test_a_missing_folder_and_a_folder_as_a_file_are_reported(old: Path) -> None:
    with pytest.raises(OutputError, match="Create the folder, or choose another"):
        write(old.parent / "missing" / "run.h5")
    with pytest.raises(OutputError, match="Choose another folder"):
        write(old / "run.h5")
    (old.parent / "folder").mkdir()
    with pytest.raises(OutputError, match="Name a file, not a folder"):
        write(old.parent / "folder")
    (old.parent / "folder").rmdir()


@pytest.mark.parametrize("complete", [True, False])
def test_a_write_can_be_given_up_at_any_time(old: Path, complete: bool) -> None:
    run = RUNS["profile"]
    points = statistics(run)
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > last

    before, last = open_descriptors(), 10**9
    scratch = old.with_name("scratch.h5")
    write_run(scratch, RunResults(run, points, complete=complete), provenance={}, stopping=stopping)
    scratch.unlink()
    times = asked
    assert times > 100
    for last in (0, 1, times // 2, times - 1):
        asked = 0
        with pytest.raises(WriteStopped):
            write_run(
                old, RunResults(run, points, complete=complete), provenance={}, stopping=stopping
            )
        assert asked == last + 1
    assert open_descriptors() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "run.h5"
    link.symlink_to(tmp_path / "there" / "run.h5")
    write(link)
    assert link.is_symlink()
    assert info(link)["complete"]


# --- chunks --------------------------------------------------------------------------------------


def constants_and_noise(shape: tuple[int, ...]) -> Floats:
    """Values some of whose chunks and bytes are constant, and others are not."""
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) % 7
    values[: shape[0] // 2] = -0.0
    values.reshape(-1)[-1] = np.nan
    return values


def few_counts(shape: tuple[int, ...]) -> Floats:
    rng = np.random.default_rng(3)
    return rng.poisson(np.linspace(0.0, 300.0, shape[-1]), size=shape).astype(np.uint32)


def flags(shape: tuple[int, ...]) -> Floats:
    return (few_counts(shape) % 2).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1,), (3, 70_001), (700, 13, 64), (2, 400_000), (5, 1, 9)])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("make", [constants_and_noise, few_counts, flags])
@pytest.mark.parametrize("stacked", [False, True])
def test_arrays_of_many_chunks_come_back(
    tmp_path: Path,
    shape: tuple[int, ...],
    packed: bool,
    make: Callable[[tuple[int, ...]], Floats],
    stacked: bool,
) -> None:
    values = make(shape)
    with hdf5.replacing(tmp_path / "x.h5") as writer:
        dims = tuple(f"d{i}" for i in range(len(shape)))
        for name, n in zip(dims, shape, strict=True):
            writer.array(f"/entry/{name}", np.arange(n), Array((name,), np.arange(n), name))
        written = Stacked(list(values)) if stacked else values
        writer.array("/entry/x", written, Array(dims, values, "x"), packed=packed)
    with h5py.File(tmp_path / "x.h5") as file:
        dataset = file["entry/x"]
        assert dataset[()].tobytes() == values.tobytes()
        assert np.prod(dataset.chunks) * values.itemsize <= 2**20
        assert dataset.fletcher32
        assert dataset.compression == "gzip"
        assert dataset.shuffle == packed
        if values.size > 10_000:
            assert (dataset.id.get_storage_size() < values.nbytes) == packed
