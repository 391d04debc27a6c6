import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from simcore.cli.live import PlainReport, choose_report, describe
from simcore.cli.numbers import bytes_text, duration, rate_text, with_error
from simcore.cli.result_table import MOST_ROWS, columns, notes
from simcore.cli.show import show_facts, show_json
from simcore.cli.summary import Row, chosen_layers, json_rows, rows

import simcore
from simcore.execution.progress import Progress
from simcore.runs.run import Run


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.048, "0.048 s"),
        (12.3, "12 s"),
        (59.7, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (3725.0, "1 h 02 min"),
        (200_000.0, "2 d 07 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_and_rates() -> None:
    assert rate_text(8.5e8) == "850 M node updates/s"
    assert rate_text(12.0) == "12 node updates/s"
    assert bytes_text(1_234_567) == "1.23 MB"
    assert bytes_text(12) == "12 B"


@given(st.integers(1, 2**24 - 1))
def test_chosen_layers_span_the_network(depth: int) -> None:
    layers = chosen_layers(depth)
    assert layers[0] == 1
    assert layers[-1] == depth
    assert len(layers) <= 12
    assert layers == sorted(set(layers))


def dataset(run: Run) -> xr.Dataset:
    """A dataset as `open_run` makes it, of two of the observables."""
    dims = (*run.dimensions, "layer")
    shape = (*run.shape, run.depth)
    c = np.linspace(0.1, 0.9, math.prod(shape)).reshape(shape)
    error = np.full(shape, 0.01)
    error[..., 0] = 0.0
    return xr.Dataset(
        {
            "correlation": (dims, c),
            "correlation_stderr": (dims, error),
            "correlation_theory": (dims, c - 0.02),
            "inactive1": (dims, np.full(shape, np.nan)),
        },
        coords={name: list(values) for name, values in run.dimensions.items()},
    )


def shown(result: list[Row]) -> dict[str, list[str]]:
    """The columns by heading; z of c alone."""
    found: dict[str, list[str]] = {}
    for column in columns(result):
        found.setdefault(column.heading, list(column.cells))
    return found


def below(result: list[Row], networks: int) -> str:
    return "\n".join(notes(result, columns(result), networks))


def test_rows_of_a_single_point() -> None:
    run = Run(depth=200, width=(64,))
    result = rows(run, dataset(run))
    assert [row.layer for row in result] == chosen_layers(200)
    assert math.isnan(result[0].z())
    assert result[-1].z() == pytest.approx(2.0)
    table = shown(result)
    assert list(table)[:4] == ["layer", "c", "mean field", "z"]
    last = {heading: cells[-1] for heading, cells in table.items()}
    assert last["c"] == "0.900(10)"
    assert last["mean field"] == "0.880"
    assert last["z"] == "+2.0"
    assert last["inactive"] == "-"


def test_rows_of_a_grid_are_its_points_at_the_last_layer() -> None:
    run = Run(depth=5, width=(64, 128), ensemble="correlated", k=(0.0, math.inf))
    result = rows(run, dataset(run))
    assert [row.point for row in result] == [
        {"width": 64, "k": 0.0},
        {"width": 64, "k": math.inf},
        {"width": 128, "k": 0.0},
        {"width": 128, "k": math.inf},
    ]
    assert {row.layer for row in result} == {5}
    assert [shown(result)[name][1] for name in ("width", "k", "layer")] == ["64", "inf", "5"]
    plain_rows = json.loads(json.dumps(json_rows(result), allow_nan=False))
    assert plain_rows[1]["k"] == "inf"
    assert plain_rows[0]["inactive1"] is None


def test_probabilities_of_dead_networks_have_errors() -> None:
    run = Run(depth=3, width=(24,), ensemble="rai", trials=128)
    row = rows(run, simcore.simulate(run))[0]
    (found,) = shown([row])["dead"]
    assert found == with_error(*row.best("dead_network1"))
    assert re.fullmatch(r"3\.\d+\(\d\d\)e-08", found)
    assert row.values["dead_network1"] == 0.0
    assert "dead: probability" in below([row], 128)
    assert "No network" not in below([row], 128)
    run = Run(depth=3, width=(24,), ensemble="rai", trials=128, controls=False)
    counted = rows(run, simcore.simulate(run))
    assert "dead" not in shown(counted)
    assert "No network of 128 died for signal 1 (below 2.3 % at 95 %)." in below(counted, 128)


def test_a_long_table_is_cut_and_says_so() -> None:
    run = Run(depth=2, width=tuple(range(1, 51)))
    result = rows(run, dataset(run))
    assert {len(column.cells) for column in columns(result)} == {MOST_ROWS}
    assert below(result, 64).startswith("... and 30 more points, all in the file")


def test_facts_and_sections(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"trials": 5, "k": [0.0, math.inf], "provenance": {"host": "x", "git": None}})
    assert capsys.readouterr().out == (
        "trials  5\nk       0.0, inf\n\nprovenance\n  host  x\n  git   -\n"
    )


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": np.float64("nan"), "b": np.arange(2), "c": {"d": np.int64(3)}, "e": math.inf})
    assert json.loads(capsys.readouterr().out) == {
        "a": None,
        "b": [0, 1],
        "c": {"d": 3},
        "e": "inf",
    }


def progress(phase: str, nodes: int, seconds: float) -> Progress:
    return Progress(phase, nodes // 10, 100, nodes, 1000, seconds)


def test_progress_in_words() -> None:
    assert describe(progress("loading", 0, 0.0)) == ""
    assert describe(replace(progress("theory", 1000, 9.0), detail="layer 2 of 9")) == "layer 2 of 9"
    assert describe(progress("running", 0, 0.0)) == "0 of 100 trials"
    assert describe(progress("running", 500, 20.0)) == (
        "50 of 100 trials, 25 node updates/s, about 20 s left"
    )
    assert "left" not in describe(progress("writing", 1000, 20.0))


LIVE = """
import time
from simcore.cli.live import choose_report
import simcore
from simcore.execution.progress import Progress
with choose_report(quiet=False) as report:
    report(Progress("compiling", 0, 100, 0, 1000, 0.0))
    time.sleep(0.3)
    report(Progress("running", 10, 100, 100, 1000, 2.0))
    time.sleep(0.3)
"""


def test_a_terminal_gets_a_live_line() -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", LIVE], stderr=theirs, check=True, env=environment)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "compiling kernels" in shown
    assert "10 of 100 trials, 50 node updates/s, about 18 s left" in " ".join(shown.split())


def test_a_terminal_without_a_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    with choose_report(quiet=False) as report:
        assert isinstance(report, PlainReport)
    monkeypatch.setenv("TERM", "xterm")
    with choose_report(quiet=False) as report:
        assert not isinstance(report, PlainReport)


def test_plain_lines_come_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    report = PlainReport(clock=lambda: now[0])
    report(progress("loading", 0, 0.0))
    for tick in range(1, 301):
        now[0] = tick * 0.1
        report(replace(progress("compiling", 0, 0.0), detail=f"{tick} so far"))
    for tick in range(301, 901):
        now[0] = tick * 0.1
        report(progress("writing" if tick % 100 == 0 else "running", tick, now[0]))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compiling kernels, once per installation, about half a minute"
    assert lines[1].startswith("running")
    assert len(lines) <= 2 + 60 / 5


def test_a_run_without_compiling_says_little(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    report = PlainReport(clock=lambda: now[0])
    for phase in ("loading", "running", "theory", "writing"):
        now[0] += 1.0
        report(progress(phase, 0, now[0]))
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["running"]


def test_long_theory_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    report = PlainReport(clock=lambda: now[0])
    for layer in range(1, 31):
        now[0] += 1.0
        report(
            replace(progress("theory", 1000, now[0]), detail=f"point 1 of 1, layer {layer} of 30")
        )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "computing theory: point 1 of 1, layer 5 of 30"
    assert 4 <= len(lines) <= 6


def test_a_block_that_runs_counts_its_networks() -> None:
    """A block of a batch may take minutes; its networks are known from the nodes they have done."""
    running = Progress("running", 0, 64, 300, 640, 10.0)
    assert describe(running).startswith("30 of 64 trials")
    assert describe(replace(running, points=2)).startswith("0 of 64 trials")


def test_rows_from_memory_are_those_of_the_dataset() -> None:
    from simcore.cli.summary import rows_of_results

    from simcore.execution.execute import execute
    from simcore.results.open_run import to_dataset

    for widths in ((16,), (8, 16)):
        run = Run(depth=20, width=widths, trials=100)
        results = execute(run, threads=1).results
        assert json_rows(rows_of_results(results)) == json_rows(rows(run, to_dataset(results)))


def test_few_networks_get_a_warning() -> None:
    run = Run(depth=2, width=(64,))
    result = rows(run, dataset(run))
    assert "fewer than 64 networks" in below(result, 63)
    assert "networks" not in below(result, 64)
