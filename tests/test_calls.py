"""Python as the command line: grids, numbers, inputs from memory; interrupted, saved, drawn."""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_strict
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from simcore.cli.main import main
from simcore.cli.simulate import main as simulate_main

import simcore
from simcore.calls import _run_of
from simcore.errors import SimcoreWarning
from simcore.execution import live
from simcore.execution.progress import Progress
from tests.support.same_results import differences

SMALL: dict[str, Any] = {"width": 16, "depth": 3, "trials": 100, "seed": 3}
INPUTS = np.random.default_rng(5).normal(size=(5, 7)).astype(np.float32)


def told(*args: Any, **options: Any) -> str:
    with pytest.raises(simcore.InputError) as caught:
        simcore.simulate(*args, **options)
    return str(caught.value)


# --- grids and numbers ----------------------------------------------------------------------------


def test_every_parameter_of_the_command_line_is_swept(tmp_path: Path) -> None:
    typed = "--width 8:16:2 --depth 2 --k 0,inf --sigma-w 1.2,1.4 --sigma-b 1 --q0 1 "
    typed += "--correlation 0,0.5 --trials 64 --ensemble correlated --threads 1 --quiet"
    command, python = tmp_path / "command.h5", tmp_path / "python.h5"
    assert simulate_main([*typed.split(), "-o", str(command)]) == 0
    ds = simcore.simulate(
        "correlated",
        width=range(8, 17, 8),
        depth=2.0,
        k=[0, np.inf],
        sigma_w=np.array([1.2, 1.4]),
        sigma_b=1,
        correlation=(0, 0.5),
        q0=np.float32(1.0),
        trials=6.4e1,
        output=python,
    )
    assert ds.correlation.shape == (2, 2, 2, 2, 2)
    assert differences(command, python) == []


@pytest.mark.parametrize(
    "make", [tuple, np.array, pd.Series, xr.DataArray, lambda x: (y for y in x)]
)
def test_several_values_are_any_that_can_be_listed(make: Callable[[Any], Any]) -> None:
    names = ("k", "sigma_w", "sigma_b", "q0", "correlation")
    values = {name: make([0.5, 1]) for name in names}
    run = _run_of("correlated", {"width": make([8, 16]), "depth": 2, **values}, None)
    assert run.shape == (2,) * 6
    assert {name: getattr(run, name) for name in names} == dict.fromkeys(names, (0.5, 1.0))


def test_names_and_numbers_are_those_of_an_ensemble() -> None:
    ensemble = simcore.Ensemble.correlated(k=2, sigma_b=0.5)
    ds = simcore.simulate(ensemble, **SMALL)
    xr.testing.assert_identical(simcore.simulate("correlated", k=2, sigma_b=0.5, **SMALL), ds)
    he = simcore.simulate(simcore.Ensemble.he(), **SMALL)
    xr.testing.assert_identical(simcore.simulate(**SMALL), he)


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ({"width": "x"}, "--width x"),
        ({"width": 2.5}, "--width 2.5"),
        ({"width": 0}, "--width 0"),
        ({"depth": 1e9}, "--depth 1000000000"),
        ({"k": -1.0}, "--k=-1.0"),
        ({"k": [0.0, 0.0]}, "--k 0.0,0.0"),
        ({"correlation": 2.0}, "--correlation 2.0"),
        ({"trials": 0}, "--trials 0"),
        ({"first_trial": 3}, "--first-trial 3"),
        ({"checkpoint": 0.0}, "--checkpoint 0.0"),
        ({"weights": "cauchy"}, "--weights cauchy"),
        ({"inputs": "absent.npy"}, "--inputs absent.npy"),
        ({"ensemble": "xavier"}, "--ensemble xavier"),
    ],
)
def test_errors_are_those_of_the_command_line(
    options: dict[str, Any], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"width": 8, "depth": 2, **options}
    words = typed.split() if "width" in options else ["--width", "8", *typed.split()]
    words += [] if "depth" in options else ["--depth", "2"]
    assert simulate_main(words) == 2
    rule_and_remedy = told(**given).split(": ", 1)[1]
    assert rule_and_remedy in capsys.readouterr().err


def test_the_ensemble_s_own_numbers_are_given_once() -> None:
    words = told(simcore.Ensemble.correlated(k=1.0), **SMALL, k=2.0, sigma_b=0.5)
    assert words.startswith("k, sigma_b = 2.0, 0.5: are part of the Ensemble")


# --- inputs from memory ---------------------------------------------------------------------------


def torch_tensor() -> Any:
    torch = pytest.importorskip("torch")
    return torch.tensor(INPUTS, dtype=torch.float32, requires_grad=True)


MEMORY: dict[str, Callable[[], Any]] = {
    "NumPy": lambda: INPUTS,
    "order": lambda: np.asfortranarray(INPUTS),
    "lists": INPUTS.tolist,
    "torch": torch_tensor,
    "pandas": lambda: pd.DataFrame(INPUTS),
    "nullable": lambda: pd.DataFrame(INPUTS.astype(float)).convert_dtypes(),
    "xarray": lambda: xr.DataArray(INPUTS),
    "array API": lambda: array_api_strict.asarray(INPUTS.astype(float)),
}


@pytest.fixture(scope="module")
def from_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    np.save(folder / "x.npy", INPUTS)
    np.save(folder / "pairs.npy", [(0, 1), (2, 4)])
    names: dict[str, Any] = {"inputs": folder / "x.npy", "pairs": str(folder / "pairs.npy")}
    simcore.simulate(**SMALL, **names, output=folder / "run.h5")
    return folder / "run.h5"


@pytest.mark.parametrize("name", MEMORY)
def test_inputs_from_memory_are_those_of_a_file(name: str, from_file: Path) -> None:
    ds = simcore.simulate(**SMALL, inputs=MEMORY[name](), pairs=[(0, 1), (2, 4)])
    xr.testing.assert_identical(ds, simcore.open_run(from_file))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (INPUTS[0], "inputs = ndarray in memory: has the shape [7], with 1 dimensions."),
        (INPUTS * np.nan, "inputs = ndarray in memory: holds 35 NaN or infinite values"),
        ([[1, 2], [3]], "inputs = list in memory: is no array"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), "inputs = DataFrame in memory: has a column 'b'"),
        (pd.DataFrame({"a": [1, None]}), "inputs = DataFrame in memory: holds 1 NaN"),
        (np.ma.masked_less(INPUTS, 0), "inputs = MaskedArray in memory: holds"),
        (INPUTS * 1j, "inputs = ndarray in memory: holds values of the type complex"),
        (object(), "inputs = object in memory: holds values of the type object"),
        (INPUTS[:1], "inputs = 1: is too few inputs for a pair"),
    ],
)
def test_what_is_no_matrix_is_refused_in_one_line(inputs: Any, words: str) -> None:
    message = told(**SMALL, inputs=inputs)
    assert message.startswith(words)
    assert "\n" not in message


def test_a_run_of_inputs_from_memory_goes_on_with_them(from_file: Path, tmp_path: Path) -> None:
    path, pairs = tmp_path / "run.h5", np.array([(0, 1), (2, 4)])
    simcore.simulate(**SMALL, inputs=INPUTS, pairs=pairs, output=path)
    assert differences(path, from_file) == []
    with pytest.raises(
        simcore.InputError, match=r"inputs = none: were in memory.* Give them as inp"
    ):
        simcore.resume(path, trials=200)
    with pytest.raises(simcore.InputError, match="does not hold the inputs that the run was plan"):
        simcore.resume(path, trials=200, inputs=INPUTS + 1)
    assert differences(path, from_file) == []
    simcore.resume(path, trials=150, inputs=INPUTS)
    longer = simcore.resume(path, trials=200, inputs=from_file.with_name("x.npy"))
    whole = simcore.simulate(**SMALL | {"trials": 200}, inputs=INPUTS, pairs=pairs)
    xr.testing.assert_identical(longer.drop_attrs(), whole.drop_attrs())


def test_inputs_that_were_changed_meanwhile_are_noticed() -> None:
    inputs = INPUTS.astype(float)
    run = simcore.Run(**SMALL, inputs=inputs)
    inputs[0] = 0.0
    with pytest.raises(simcore.InputError, match="the array in memory: does not hold"):
        simcore.simulate(run)


def test_a_cluster_is_told_that_inputs_are_in_memory() -> None:
    assert "scheduler = local:1: needs inputs from a file" in told(
        **SMALL, inputs=INPUTS, scheduler="local:1"
    )


# --- interrupted, shown, saved --------------------------------------------------------------------


def interrupting(progress: Progress) -> None:
    if progress.phase == "running":
        signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_gives_what_it_has(tmp_path: Path) -> None:
    options = SMALL | {"trials": 10**6}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with pytest.warns(
        SimcoreWarning, match=r"interrupted: its Dataset is incomplete, with \d+ tri"
    ):
        ds = simcore.simulate(**options, threads=1, report=interrupting)
    assert ds.attrs["complete"] == 0
    assert 0 < int(ds.correlation_count.max()) < 10**6
    assert "correlation_theory" not in ds
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    path = simcore.save(ds, tmp_path / "part.h5")
    xr.testing.assert_identical(simcore.open_run(path), ds)
    assert "unfinished" in " ".join(simcore.report(path, tmp_path / "part.html").notes)  # type: ignore[operator]


def test_a_saved_run_is_the_one_that_is_written_at_once(tmp_path: Path) -> None:
    once, later = tmp_path / "once.h5", tmp_path / "later.h5"
    ds = simcore.simulate("correlated", k=[0, 1], **SMALL)
    simcore.simulate("correlated", k=[0, 1], **SMALL, output=once)
    assert simcore.save(ds, str(later)) == later
    assert differences(once, later) == []
    with pytest.raises(simcore.InputError, match="exists"):
        simcore.save(ds, later)
    simcore.save(pickle.loads(pickle.dumps(ds)), later, overwrite=True)
    assert differences(once, later) == []
    assert main(["info", str(later), "--json"]) == 0
    for path in (once, later):
        simcore.resume(path, trials=200)
    assert differences(once, later) == []


def test_only_a_whole_run_is_saved(tmp_path: Path) -> None:
    ds = simcore.simulate("correlated", k=[0, 1], **SMALL)
    path = simcore.save(ds, tmp_path / "run.h5")
    for part in (ds.isel(k=0), ds.drop_vars("angle"), ds.assign(angle=ds.angle + 1)):
        with pytest.raises(simcore.InputError, match="is a part of a run, or was changed"):
            simcore.save(part, tmp_path / "part.h5")
    with pytest.raises(simcore.InputError, match="holds no state of a run: it was read from"):
        simcore.save(simcore.open_run(path), tmp_path / "part.h5")
    assert list(tmp_path.glob("part*")) == []
    ds.to_netcdf(tmp_path / "plain.nc")


def test_progress_is_shown_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    ds = simcore.simulate(**SMALL, progress=True, report=seen.append)
    assert seen
    xr.testing.assert_identical(ds, simcore.simulate(**SMALL))


def test_a_notebook_has_one_line_that_is_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []

    def display(text: dict[str, str], **options: Any) -> Any:
        assert options == {"raw": True, "display_id": True}
        shown.append(text["text/plain"])
        return SimpleNamespace(update=lambda text, raw: shown.append(text["text/plain"]))

    module = ModuleType("IPython.display")
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with live.shown(None, bar=True) as told:
        assert told is not None
        told(Progress("compiling", 0, 100, 0, 1000, 0.0))
        told(Progress("running", 50, 100, 500, 1000, 1.0))
    assert [line.split()[0] for line in shown] == ["compiling", "running"]
    assert "50 of 100 trials" in shown[1]


# --- figures and pages ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> xr.Dataset:
    return simcore.simulate("correlated", k=[0, 1], **SMALL | {"width": 64})


def test_a_figure_is_drawn_on_the_axes_that_are_given(drawn: xr.Dataset, tmp_path: Path) -> None:
    one = plt.figure().add_subplot()
    assert simcore.plot(drawn, ax=one) is one
    assert one.lines
    file = simcore.save(drawn, tmp_path / "run.h5")
    made = simcore.plot(file, "deviation")
    assert made.figure is plt.gcf()
    assert len(made.figure.axes) == 2
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "loss"}, "kind"),
        ({"kind": "nothing"}, "kind"),
        ({"kind": "scaling"}, "kind"),
    ]
    for options, field in wrong:
        with pytest.raises(simcore.InputError) as caught:
            simcore.plot(drawn, **options)
        assert caught.value.field == field
    plt.close("all")


@pytest.mark.parametrize("given", ["run.h5", 3, xr.Dataset()])
def test_what_is_no_result_is_refused_in_one_line(given: Any, tmp_path: Path) -> None:
    calls: list[Callable[[Any], Any]] = [
        *(simcore.compare, simcore.scaling, simcore.to_dataframe),
        lambda data: simcore.save(data, tmp_path / "a.h5"),
    ]
    if not isinstance(given, str):  # names of files are allowed here
        calls.append(lambda data: simcore.report(data, tmp_path / "a.html"))  # type: ignore[operator]
    for call in calls:
        with pytest.raises(simcore.InputError, match=r"dataset = .*simcore\.open_run") as caught:
            call(given)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_both_runs_and_training_have_is_drawn_of_a_run(drawn: xr.Dataset) -> None:
    assert "dead" in simcore.plot(drawn, "dead").get_ylabel()
    with pytest.raises(simcore.InputError, match="must be a Dataset"):
        simcore.plot(3, "dead")  # type: ignore[arg-type]


def test_a_page_is_about_datasets_and_files(drawn: xr.Dataset, tmp_path: Path) -> None:
    report: Any = simcore.report
    file = simcore.save(drawn, tmp_path / "run.h5")
    page = tmp_path / "page.html"
    for data in (drawn, [simcore.open_run(file)], file):
        page.unlink(missing_ok=True)
        assert report(data, page).problems == ()
        assert page.stat().st_size > 10_000
    assert report.report is not None
    with pytest.raises(simcore.InputError, match="is a part of"):
        report(simcore.open_run(file).isel(k=0), tmp_path / "part.html")
    with pytest.raises(simcore.InputError, match="is a part of"):
        report(drawn.isel(k=0), tmp_path / "part.html")
