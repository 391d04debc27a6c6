from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simcore
from simcore.runs.run import Run

DEPTH = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")

    def write(name: str, **changes: object) -> None:
        small: dict[str, Any] = {"depth": DEPTH, "width": (16,), "trials": 64, "keep": 2}
        run = Run(**small | changes)
        simcore.simulate(run, output=place / f"{name}.h5")

    write("he")
    write("wide", width=(32,), seed=1, depth=DEPTH + 2)
    write("k1", ensemble="correlated", k=(1.0,))
    write("many-k", ensemble="correlated", k=(2.0, np.inf))
    write("other-seed", seed=9)
    write("laplace", weights="laplace", sampler="dense")
    write("shared", shared_network=True, pairs=2)
    write("profile", width=(), layer_widths=(8, 9, 10, 11))
    return place


def test_a_parameter_that_differs_becomes_a_dimension(folder: Path) -> None:
    ds = simcore.open_run([folder / "k1.h5", folder / "he.h5", folder / "many-k.h5"])
    assert ds.correlation.dims == ("k", "layer")
    assert ds.k.values.tolist() == [0.0, 1.0, 2.0, np.inf]
    assert ds.g.dims == ds.sigma_w.dims == ("k",)
    assert ds.g.values.tolist() == pytest.approx([0.0, 0.5, 2.0 / 3.0, 1.0])
    one = simcore.open_run(folder / "k1.h5")
    np.testing.assert_array_equal(ds.correlation.sel(k=1.0), one.correlation)
    np.testing.assert_array_equal(ds.angle_histogram.sel(k=1.0), one.angle_histogram)
    assert ds.sigma_w.sel(k=1.0) == one.sigma_w
    assert ds.width == 16
    assert ds.attrs["complete"] == 1
    assert "ensemble" not in ds.dims  # he is correlated at k = 0
    assert len(simcore.compare(ds).verdicts) == 4 * 6


@pytest.mark.parametrize("name", ["correlation", "distance"])
def test_overlaps_become_a_dimension(tmp_path: Path, name: str) -> None:
    dim, other = ("overlap", "initial_distance")[:: 1 if name == "correlation" else -1]
    for value in (0.125, 0.5):
        run = Run(depth=3, width=(8,), trials=64, **{name: (value,)})  # type: ignore[arg-type]
        simcore.simulate(run, output=tmp_path / f"{value}.h5")
    ds = simcore.open_run(str(tmp_path / "*.h5"))
    assert ds.correlation.dims == (dim, "layer")
    assert ds[other].dims == (dim,)
    assert ds[other].values.tolist() == [0.875, 0.5]


def test_files_may_lack_what_others_have(tmp_path: Path) -> None:
    """In any order: kept trajectories, what comes with the last write, what was added to files."""
    from simcore.files.run_file import write_run
    from simcore.files.run_results import RunResults
    from tests.support.results import statistics

    whole = Run(depth=3, width=(8,), trials=64)
    bare = Run(depth=3, width=(16,), trials=64, keep=0)
    unfinished = Run(depth=3, width=(32,), trials=64)
    for run, complete in ((whole, True), (bare, True), (unfinished, False)):
        path = tmp_path / f"{run.width[0]}.h5"
        write_run(path, RunResults(run, statistics(run), complete=complete), provenance={})
    paths = [tmp_path / f"{n}.h5" for n in (8, 16, 32)]
    one, other = simcore.open_run(paths), simcore.open_run(paths[::-1])
    assert one.attrs["complete"] == other.attrs["complete"] == 0
    assert one.correlation.dims == other.correlation.dims
    assert set(one) == set(other)
    assert one.log_q1_covariance_count.dtype == other.log_q1_covariance_count.dtype
    assert one.log_q1_covariance_count.values.tolist() == [64, 64, 0]


def test_memory_is_in_proportion_to_the_whole(tmp_path: Path) -> None:
    """Aligning every file with the whole grid would take 20 times the memory of the result."""
    import tracemalloc

    from simcore.files.run_file import write_run
    from simcore.files.run_results import RunResults
    from tests.support.results import statistics

    for seed in range(20):
        run = Run(depth=100, width=(8 + seed,), trials=64, keep=0, seed=seed)
        results = RunResults(run, statistics(run), complete=False)
        write_run(tmp_path / f"{seed}.h5", results, provenance={})
    tracemalloc.start()
    ds = simcore.open_run(str(tmp_path / "*.h5"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ds.correlation.sizes == {"width": 20, "layer": 100}
    assert peak < 8 * ds.nbytes


def test_points_that_no_file_has_are_empty(folder: Path) -> None:
    ds = simcore.open_run([folder / "k1.h5", folder / "wide.h5"])
    assert ds.correlation.dims == ("width", "k", "layer")
    assert ds.sizes["layer"] == DEPTH + 2
    assert ds.correlation_count.dtype.kind == "i"
    counts = ds.inactive1_count.max("layer").values
    assert counts.tolist() == [[0, 64], [64, 0]]
    assert np.isnan(ds.correlation.sel(width=16, k=0.0)).all()
    assert np.isnan(ds.correlation.sel(width=16, k=1.0, layer=DEPTH + 1))
    words = [v.words for v in simcore.compare(ds).verdicts if v.point["width"] == 16]
    assert "no file has this point" in words[0]


def test_a_law_of_weights_is_a_dimension_too(folder: Path) -> None:
    ds = simcore.open_run([folder / "he.h5", folder / "laplace.h5"])
    assert ds.weights.values.tolist() == ["laplace", "normal"]
    assert ds.correlation.dims == ("weights", "layer")


def test_a_pattern_is_all_files_that_match(folder: Path) -> None:
    ds = simcore.open_run(str(folder / "*k*.h5"))
    assert ds.k.values.tolist() == [1.0, 2.0, np.inf]
    with pytest.raises(simcore.FileFormatError, match="matches no file"):
        simcore.open_run(str(folder / "*.nothing"))


def test_a_file_with_such_a_name_is_no_pattern(folder: Path) -> None:
    name = folder / "a[1].h5"
    name.write_bytes((folder / "he.h5").read_bytes())
    assert simcore.open_run(name).sizes["layer"] == DEPTH


def test_a_table_has_a_row_for_each_point_and_layer(folder: Path) -> None:
    ds = simcore.open_run(folder / "many-k.h5")
    table = simcore.to_dataframe(ds)
    assert len(table) == 2 * DEPTH
    assert {"width", "k", "layer", "correlation", "angle_stderr", "log_q1_theory_1n"} <= {*table}
    assert not [name for name in table if "histogram" in str(name) or "trajectories" in str(name)]
    row = table[(table.k == 2.0) & (table.layer == 3)].iloc[0]
    assert row.correlation == float(ds.correlation.sel(k=2.0, layer=3))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["he", "other-seed"], "holds the same point as .*simcore merge"),
        (["he", "shared"], "has other parameters than"),
        (["he", "profile"], "so they are no parts of one grid"),
    ],
)
def test_files_that_are_no_grid(folder: Path, names: list[str], message: str) -> None:
    with pytest.raises(simcore.InputError, match=message):
        simcore.open_run([folder / f"{name}.h5" for name in names])


def test_no_files_at_all() -> None:
    with pytest.raises(simcore.InputError, match="at least one file"):
        simcore.open_run([])
