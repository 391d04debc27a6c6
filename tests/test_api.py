"""The public API: what importing costs, `simulate`, docstring examples."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import xarray as xr

import simcore
from simcore import calls as simulation
from simcore.results import compare as comparison
from simcore.results import open_run as analysis
from simcore.results import scaling as width_scaling
from simcore.runs.spec import RunSpec


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


@pytest.mark.parametrize("module", [simulation, analysis, comparison, width_scaling])
def test_docstring_examples_run(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, width in (("run.h5", 128), ("narrow.h5", 64)):
        simcore.simulate(simcore.Ensemble.he(), width=width, depth=5, trials=128, output=name)
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


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


OPTIONS: dict[str, Any] = {
    "width": 9,
    "depth": 2,
    "like": "pytorch",
    "k": [0, 1],
    "sigma_w": "critical",
    "sigma_b": 0.1,
    "layer_widths": [8, 9],
    "correlation": 0.1,
    "distance": 0.1,
    "q0": 1.0,
    "pairs": 2,
    "shared_network": False,
    "inputs": "x.npy",
    "slopes": "relu",
    "negative_slope": 0.1,
    "weights": "normal",
    "sampler": "auto",
    "trials": 10,
    "until_stderr": 0.1,
    "first_trial": 64,
    "keep": 3,
    "bins": 9,
    "controls": "auto",
    "gradients": False,
    "seed": 0,
    "device": "cpu",
}
"""Options of `simulate` that belong to a Run; even its own values are not to be given twice."""


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_has_its_own_options(name: str) -> None:
    run = simcore.Run(depth=3, width=(8,))
    with pytest.raises(simcore.InputError, match="is part of the Run") as caught:
        simcore.simulate(run, **{name: OPTIONS[name]})
    assert caught.value.field == name


def test_options_beside_a_run_are_all_named() -> None:
    run = simcore.Run(depth=3, width=(8,))
    with pytest.raises(simcore.InputError, match=r"^q0, seed = 2.0, 1: are part of the Run"):
        simcore.simulate(run, seed=1, q0=2.0)


def test_every_option_of_a_run_is_known_to_be_one() -> None:
    options = set(inspect.signature(simcore.simulate).parameters) - {"ensemble"}
    described = {field.name for field in fields(RunSpec)}
    assert options & described == OPTIONS.keys()
    others = {"output", "overwrite", "threads", "scheduler", "checkpoint", "progress", "report"}
    assert options - described == others


def test_simulate_until_a_standard_error() -> None:
    ds = simcore.simulate(simcore.Ensemble.he(), width=64, depth=3, until_stderr=0.01)
    assert float(ds.correlation_stderr.max()) <= 0.01
    assert int(ds.correlation_count[0]) in (256, 512, 1024)
    assert ds.attrs["trials"] == 10**6
