"""The public API: what importing costs, `simulate`, figures, docstring examples."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import simcore
from simcore import plots, simulation


def test_importing_simcore_loads_nothing_heavy() -> None:
    code = (
        "import sys, simcore; simcore.__version__;"
        "print([m for m in ('numba', 'numpy', 'h5py', 'xarray', 'scipy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_public_name_loads() -> None:
    for name in simcore.__all__:
        assert getattr(simcore, name) is not None


def test_docstring_examples_run() -> None:
    assert doctest.testmod(simulation).failed == 0
    assert doctest.testmod(simulation).attempted > 0


def test_simulate_in_memory_and_from_its_file_are_one(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    ds = simcore.simulate(
        simcore.Ensemble.correlated(k=1.0),
        width=[16, 32],
        depth=4,
        correlation=[0.1, 0.5],
        trials=100,
        output=path,
    )
    assert ds.correlation.dims == ("width", "overlap", "layer")
    xr.testing.assert_identical(simcore.open_run(path), ds)


def test_simulate_takes_a_run() -> None:
    plan = simcore.Run(depth=3, width=(8,), k=(0.0, 1.0), ensemble="correlated", trials=64)
    assert simcore.simulate(plan).sizes["k"] == 2
    with pytest.raises(simcore.InputError, match="width"):
        simcore.simulate(plan, width=9)


def test_simulate_refuses_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("mine")
    with pytest.raises(simcore.InputError, match="exists"):
        simcore.simulate(simcore.Ensemble.he(), width=8, depth=2, trials=2, output=path)
    assert path.read_text() == "mine"


def test_simulate_needs_a_depth() -> None:
    with pytest.raises(simcore.InputError, match="depth"):
        simcore.simulate(simcore.Ensemble.he(), width=8)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "grid.h5"
    plan = simcore.Run(depth=8, width=(16,), k=(0.0, 1.0), ensemble="correlated", trials=128)
    simcore.simulate(plan, output=path)
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shared") / "shared.h5"
    he = simcore.Ensemble.he()
    pairs = (0.1, 0.9)
    simcore.simulate(
        he, width=16, depth=8, correlation=pairs, shared_network=True, trials=128, output=path
    )
    return path


@pytest.mark.parametrize("kind", plots.KINDS)
@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_figures_are_drawn(
    grid: Path, shared: Path, tmp_path: Path, kind: str, ending: str
) -> None:
    source = shared if kind == "dead-inputs" else grid
    target = plots.plot(source, kind, tmp_path / f"figure.{ending}")
    start = target.read_bytes()[:4]
    assert start == {"png": b"\x89PNG", "pdf": b"%PDF"}[ending]


def test_figures_refuse_what_they_do_not_know(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(simcore.InputError, match="kind"):
        plots.plot(grid, "magic", tmp_path / "f.png")
    with pytest.raises(simcore.InputError, match="many inputs"):
        plots.plot(grid, "dead-inputs", tmp_path / "f.png")
    with pytest.raises(simcore.InputError, match="ending"):
        plots.plot(grid, "q", tmp_path / "f.xyz")
    with pytest.raises(simcore.OutputError):
        plots.plot(grid, "q", tmp_path / "missing" / "f.png")


def test_runs_go_on_and_shards_unite_from_python(tmp_path: Path) -> None:
    ensemble = simcore.Ensemble.he()
    whole = simcore.simulate(ensemble, width=8, depth=3, trials=200)
    path, rest, both = tmp_path / "run.h5", tmp_path / "rest.h5", tmp_path / "both.h5"
    simcore.simulate(ensemble, width=8, depth=3, trials=128, output=path)
    run = simcore.Run(depth=3, width=(8,), first_trial=128, trials=72)
    simcore.simulate(run, output=rest)
    xr.testing.assert_identical(simcore.merge([rest, path], both).drop_attrs(), whole.drop_attrs())
    with pytest.raises(simcore.InputError, match="exists already"):
        simcore.merge([rest, path], both)
    xr.testing.assert_identical(simcore.resume(path, trials=200).drop_attrs(), whole.drop_attrs())
    xr.testing.assert_identical(simcore.open_run(path).drop_attrs(), whole.drop_attrs())


def test_a_run_has_its_own_trials() -> None:
    run = simcore.Run(depth=3, width=(8,))
    for given in ({"trials": 10}, {"until_stderr": 0.1}, {"depth": 2}):
        with pytest.raises(simcore.InputError, match="is part of the Run"):
            simcore.simulate(run, **given)


def test_simulate_until_a_standard_error() -> None:
    ds = simcore.simulate(simcore.Ensemble.he(), width=64, depth=3, until_stderr=0.01)
    assert float(ds.correlation_stderr.max()) <= 0.01
    assert int(ds.correlation_count[0]) in (256, 512, 1024)
    assert ds.attrs["trials"] == 10**6
