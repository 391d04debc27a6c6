"""Tables fit the terminal: columns leave in order, lines wrap at words, no number is broken."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simcore.cli.main import main as simcore
from simcore.cli.result_table import columns, show_rows
from simcore.cli.simulate import main as simulate
from simcore.cli.summary import Row
from simcore.cli.table import Column, fitted, line_width, lines, show_table, table_width, wrapped

WIDTHS = (60, 80, 120, 200)
Told = pytest.CaptureFixture[str]


@given(
    st.lists(st.lists(st.text("0123456789.-", min_size=1, max_size=9), min_size=3, max_size=3)),
    st.integers(20, 80),
)
def test_any_table_fits_and_keeps_every_cell(cells: list[list[str]], width: int) -> None:
    """Columns leave in the order that is asked for, and the others are whole."""
    made = [Column(f"c{i}", own, f"c{i}") for i, own in enumerate(cells)]
    order = [column.key for column in made[:0:-1]]
    shown = fitted(made, order, width) if made else []
    assert [column.key for column in shown] == [column.key for column in made[: len(shown)]]
    if len(shown) < len(made):
        assert table_width(made[: len(shown) + 1]) > width
    text = "\n".join(lines(shown, width))
    assert all(len(line) <= width for line in text.splitlines())
    rows = zip(*([c.heading, *c.cells] for c in shown), strict=True)
    assert text.split() == [cell for row in rows for cell in row]


def test_a_heading_stands_alone_where_the_column_before_it_has_left() -> None:
    pair = [Column("mean", ["1.0"], "mean"), Column("z", ["+1"], alone="z mean")]
    assert [c.heading for c in fitted(pair, ["mean"], 80)] == ["mean", "z"]
    assert [c.heading for c in fitted(pair, ["mean"], 7)] == ["z mean"]


def test_rows_that_are_too_long_are_broken_between_cells() -> None:
    made = [Column(name, ["-0.123456789(12)e-10"]) for name in "abc"]
    assert list(lines(made, 45))[1].splitlines() == [
        "-0.123456789(12)e-10  -0.123456789(12)e-10",
        "    -0.123456789(12)e-10",
    ]


def test_text_wraps_at_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    told = (
        "  Of the first points the logarithm ln(1 - c) has 0.3 % of k = 0, not /a/path-of/one-file."
    )
    found = list(wrapped([told], "  "))
    assert max(map(len, found)) <= 44
    assert "".join(found).split() == told.split()
    assert any("ln(1 - c)" in line for line in found)
    assert [len(line) - len(line.lstrip()) for line in found] == [2, 4, 4]


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    assert line_width() == 123
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr("sys.__stdout__", None)
    assert line_width() == 80


def test_a_terminal_gets_a_rule(capsys: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    show_table([Column("a", ["1", "100"]), Column("long", ["2", "3"])])
    assert capsys.readouterr().out == "  a  long\n  1     2\n100     3\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_table([Column("a [b]", ["0.123456789(12)"])])
    assert capsys.readouterr().out.splitlines()[1] == "─" * 15


# --- the table of a run ---------------------------------------------------------------------------


def long_row(**point: float) -> Row:
    """A row of numbers that are as long as they get."""
    values = {
        "correlation": -0.99999999123,
        "correlation_stderr": 3.1e-10,
        "correlation_theory": -0.5,
        "correlation_theory_1n": -0.9999999915,
        "distance": 1.99999999123,
        "log_distance": -123456.789,
        "log_distance_stderr": 12.0,
        "log_distance_theory": -1e-300,
        "log_q1": -1.23456789e-290,
        "log_q1_stderr": 1.2e-295,
        "log_q1_theory": -1e-290,
        "inactive1": 0.5,
        "inactive1_stderr": 1e-5,
        "inactive_both": 1e-9,
        "inactive_both_stderr": 1e-10,
        "dead_network1": 0.123,
        "dead_network1_stderr": 0.01,
        "dead_network1_count": 1000.0,
    }
    return Row(point, 16777215, values)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("swept", [(), ("width", "k"), ("width", "k", "sigma_w", "overlap")])
def test_the_longest_rows_fit(
    width: int, swept: tuple[str, ...], capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = long_row(**dict.fromkeys(swept, -1.23456789012e-05))
    show_rows([row, row], 1000)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    whole = {cell for column in columns([row]) for cell in (column.heading, *column.cells)}
    numbers = [word for word in out.split("(12):")[0].split() if re.match(r"[-+]?\d", word)]
    assert {"-0.99999999123(31)", "16777215"} <= set(numbers)
    assert all(any(word in cell.split() for cell in whole) for word in numbers)


def test_what_is_not_there_is_not_explained(capsys: Told) -> None:
    """One network has no error, no share of deaths, and no z that could be too large."""
    values = {"correlation": 0.5, "correlation_theory": 0.4, "dead_network1": 0.0}
    show_rows([Row({}, 1, values | {"dead_network1_count": 1.0})], 1)
    assert "z: (c - theory)/error" in (out := capsys.readouterr().out)
    assert not any(words in out for words in ("(12)", "No network", "too small"))
    exact = {"correlation": 1.0, "log_q1": 0.5, "log_q1_stderr": 0.1}  # an error of ln q alone
    show_rows([Row({}, 1, values | exact)], 64)
    assert "(12): one standard error" in capsys.readouterr().out


def test_gradients_of_a_grid_have_the_first_layer_and_the_last(capsys: Told) -> None:
    values = {"correlation": 0.5, "log_gradient1": 1.0}
    names = ("gradient_correlation", "tangent11", "tangent12")
    values |= dict.fromkeys(names, 0.25)
    show_rows([Row({"k": k}, layer, values) for k in (0.0, 1.0) for layer in (1, 9)], 100)
    first, second = capsys.readouterr().out.split("\n\n")
    assert [line.split()[:2] for line in first.splitlines()[1:3]] == [["0", "9"], ["1", "9"]]
    ends = [["0", "1"], ["0", "9"], ["1", "1"], ["1", "9"]]
    assert [line.split()[:2] for line in second.splitlines()[1:5]] == ends


def test_columns_leave_in_a_fixed_order(monkeypatch: pytest.MonkeyPatch, capsys: Told) -> None:
    shown = []
    for width in (300, *WIDTHS[::-1]):
        monkeypatch.setenv("COLUMNS", str(width))
        show_rows([long_row()], 1000)
        shown.append(capsys.readouterr().out.splitlines()[0].split())
    assert shown[0][:6] == ["layer", "c", "mean", "field", "z", "1/N"]
    for wide, narrow in itertools.pairwise(shown):
        assert len(narrow) <= len(wide)
    assert "inactive" in shown[0]
    assert "inactive" not in shown[3]
    assert shown[-1][:2] == ["layer", "c"]


def parallel(distance: float) -> Row:
    """A row whose c rounds to 1 at the digits shown, unless the distance is large."""
    log, error = math.log(distance), 0.01
    values = {
        "correlation": 1.0 - distance,
        "correlation_stderr": distance * error,
        "correlation_theory": 1.0 - 1.1 * distance,
        "distance": distance,
        "distance_theory": 1.1 * distance,
        "log_distance": log,
        "log_distance_stderr": error,
        "log_distance_theory": log + 3.0 * error,
    }
    return Row({}, 1, values)


def test_where_c_rounds_to_one_its_distance_is_compared() -> None:
    near = {c.heading: c.cells for c in columns([parallel(1e-20), parallel(0.1)])}
    assert list(near)[:4] == ["layer", "ln(1-c)", "mean field", "z"]
    assert near["ln(1-c)"][0] == "-46.052(10)"
    assert near["mean field"][0] == "-46.022"
    assert next(c for c in columns([parallel(1e-20)]) if c.heading == "z").cells == ["-3.0"]
    far = [c.heading for c in columns([parallel(1e-5), parallel(0.1)])]
    assert far[:4] == ["layer", "c", "mean field", "z"]
    same = parallel(1e-20)
    same.values.update(dict.fromkeys(("log_distance", "log_distance_stderr"), math.nan))
    assert [c.heading for c in columns([same])][1] == "c"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, ""),
        (0.003, "0.3% (0.062-0.87)"),
        (0.5, "50% (47-53)"),
        (0.999, "99.9% (99.4-99.997)"),
        (1.0, ">99.7%"),
    ],
)
def test_counted_deaths_have_intervals(share: float, text: str) -> None:
    row = long_row()
    row.values["dead_network1"] = share
    found = [column.cells[0] for column in columns([row]) if column.heading == "dead"]
    assert found == ([text] if text else [])
    low = Row({}, 1, {**row.values, "dead_network1": 0.0})
    (both,) = [c.cells for c in columns([row, low]) if c.heading == "dead"] or [("", "")]
    assert both[1] == ("<0.3%" if text else "")


# --- every command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards of a grid of two widths and two k."""
    folder = tmp_path_factory.mktemp("made")
    grid = ["--width", "8,16", "--k", "-0.5,inf", "--depth", "3", "--device", "cpu", "--quiet"]
    for name, first in (("a.h5", "0"), ("b.h5", "64")):
        shard = ["--trials", "64", "--first-trial", first, "-o", str(folder / name)]
        assert simulate([*grid, *shard]) == 0
    return folder


COMMANDS = (
    "simulate --width 8,16 --k -0.5,inf --depth 3 --trials 64 --device cpu -o new.h5",
    "merge a.h5 b.h5 -o both.h5",
    "resume a.h5",
    "resume a.h5 --trials 100",
    "show a.h5",
    "compare a.h5",
    "theory trajectory --depth 50 --k 1 --width 256",
    "theory trajectory --depth 50 --k 0,1,inf --sigma-b 0,0.1",
    "theory fixed-point --k 0,1,inf --sigma-b 0.3 --sigma-w 1.2:1.6:9",
    "theory map --k 0:3:20",
    "theory phase-diagram",
    "theory growth --k 0:3:20",
)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("line", COMMANDS)
def test_what_commands_print_fits(
    line: str, width: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    for name in ("a.h5", "b.h5"):
        shutil.copy(made / name, name)
    name, *arguments = line.split()
    code = simulate(arguments) if name == "simulate" else simcore([name, *arguments])
    assert code in ((0, 3) if name == "compare" else (0,))
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) > 3
    assert [text for text in shown if len(text) > width] == []
