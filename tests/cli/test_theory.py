"""`simcore theory`: every table on the terminal and as every kind of file, and every mistake."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import netCDF4
import pandas as pd
import pytest
import xarray as xr
from simcore.cli import theory as commands
from simcore.cli.main import main
from simcore.cli.theory_output import DATA, PICTURES

from simcore.figures.theory import SHOWN
from simcore.theory import tables

KINDS = {
    "trajectory": "--depth 12 --k 0,inf --width 256 --gradients",
    "fixed-point": "--k 0,1,inf --sigma-w 1.2:1.8:4 --sigma-b 0.3",
    "map": "--k 0,inf",
    "phase-diagram": "--k -0.5,0,1,inf --sigma-w 1,1.5,2",
    "growth": "--k 0,1 --sigma-w 1.2,1.6",
}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def theory(line: str) -> int:
    return int(main(["theory", *line.split()]))


def printed(capsys: pytest.CaptureFixture[str], line: str) -> list[list[str]]:
    assert theory(line) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) <= 25
    return [row.split() for row in out.splitlines()]


# --- the terminal -------------------------------------------------------------------------------


def test_a_trajectory_is_shown_at_a_few_layers(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "trajectory")
    assert lines[0][:4] == ["layer", "c", "1-c", "angle"]
    assert lines[1][:4] == ["1", "0.5", "0.5", "1.0472"]
    assert lines[11][:2] == ["100", "0.99649"]


def test_a_grid_of_trajectories_is_shown_at_the_last_layer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(capsys, "trajectory --depth 20 --k 0,inf --width 64")
    assert lines[0][:4] == ["k", "sigma-w", "layer", "c"]
    assert lines[2][:3] == ["inf", "1.71286", "20"]
    assert " ".join(lines[3] + lines[4]).endswith("about 0.1, here it is up to 0.31")


def test_a_trajectory_is_shown_with_its_way_back(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "trajectory --depth 3 --gradients")
    tangent = ["tangent11", "tangent12", "tangent22"]
    assert lines[0] == ["layer", "c", "ln", "grad", "grad", "corr", *tangent]
    assert [line[4] for line in lines[1:4]] == ["1", "2", "3"]


def test_gradients_of_a_grid_are_shown_where_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "trajectory --depth 5 --k 0,1 --gradients")
    assert [line[2] for line in lines[1:5]] == ["1", "5", "1", "5"]
    assert float(lines[3][4]) > float(lines[4][4])  # they grow towards the input for k > 0


def test_shaped_slopes_are_those_of_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    shaped = printed(capsys, "trajectory --depth 3 --slopes shaped:0,-1 --width 256")
    assert shaped == printed(capsys, "trajectory --depth 3 --slopes 1,0.9375 --width 256")


def test_only_columns_that_are_shown_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(" ".join(line) for line in printed(capsys, "fixed-point --k 0,1"))
    assert "growth" not in text
    assert "xi: depth scales in layers" in text


def test_fixed_points_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "fixed-point --k -0.5,0,1,inf")
    assert [line[2] for line in lines[1:5]] == ["ordered", "critical", "chaotic", "chaotic"]
    assert lines[2][8] == "inf"
    assert lines[4][3] == "0"
    assert lines[4][7:] == ["1.46694", "2.60974"]


def test_fixed_points_of_slopes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "fixed-point --slopes abs --k 0,inf")
    assert [line[:4] for line in lines[1:3]] == [
        ["0", "1", "critical", "1"],
        ["inf", "1.6589", "chaotic", "0"],
    ]
    border = next(x for x in printed(capsys, "growth --slopes abs") if "preserving" in x[0])
    assert border[2] == "1"


def test_long_tables_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "fixed-point --k 0:1:30")
    assert " ".join(lines[21]) == "... and 10 more points; -o table.csv has all of them"


def test_a_map_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "map --k 0,1")
    assert lines[0] == ["c", "k=0", "k=1"]
    assert lines[11][:2] == ["0", "0.31831"]
    assert " ".join(lines[-2]) == "fixed point c*: 1 (k=0), 0.72663 (k=1)"


def test_a_phase_diagram_is_shown_with_its_phases(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "phase-diagram")
    assert lines[0] == ["k", "s=1", "s=1.5", "s=2", "s=2.5", "s=3", "s=3.5", "s=4"]
    by_k = {line[0]: line[2::2] for line in lines[1:12]}
    assert by_k["-0.5"] == list("ooOOOOO")
    assert by_k["0"] == list("oo|||||")
    assert by_k["inf"] == list("oo|cCCC")


def test_growth_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "growth --k 0,inf")
    assert ["2", "2", "1.36338"] in lines
    assert " ".join(lines[-2]) == "norm-preserving sigma-w: 1.41421 (k=0), 1.71286 (k=inf)"
    assert printed(capsys, "growth --ensemble rai --sigma-w 0.6007")[1] == ["0.764556"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert theory("fixed-point --k 0,inf --json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["table"] == "fixed-point"
    assert [row["k"] for row in shown["rows"]] == [0.0, "inf"]
    assert shown["rows"][0]["phase"] == "critical"


def test_a_slow_table_tells_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for interval in ("FIRST_INTERVAL", "LONGEST_INTERVAL"):
        monkeypatch.setattr(f"simcore.cli.live.{interval}", 0.0)
    assert theory("growth --k 0,1 --sigma-w 1.4") == 0
    assert "computing theory: point 2 of 2\n" in capsys.readouterr().err


# --- files --------------------------------------------------------------------------------------

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(kind: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for ending in (*DATA, *PICTURES):
        assert theory(f"{kind} {KINDS[kind]} -o t{ending}") == 0
        assert capfd.readouterr() == (f"written to t{ending}\n", "")
    for ending, start in STARTS.items():
        assert Path(f"t{ending}").read_bytes().startswith(start)
    with xr.open_dataset("t.h5", engine="h5netcdf") as table:
        table.load()
    frame = pd.read_csv("t.csv")
    assert set(frame.columns[: len(table.dims)]) == set(table.dims)
    assert len(frame) == math.prod(table.sizes.values())
    assert {str(name) for name in table.variables} == set(frame.columns)
    with netCDF4.Dataset("t.nc") as file:
        assert file.table == kind
        assert all(v.units for v in file.variables.values())
    assert {path.name for path in folder.iterdir()} == {f"t{e}" for e in (*DATA, *PICTURES)}


SINGLE = {
    "trajectory": "--depth 1 --width 16",
    "fixed-point": "",
    "map": "--correlation 0.3",
    "growth": "--sigma-w 1.4",
}
"""Commands with a single value; a phase diagram has axes."""


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_point_has_every_kind_of_output(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"{kind} {SINGLE[kind]}"
    assert theory(command) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 2
    assert theory(f"{command} --json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    for ending in DATA:
        assert theory(f"{command} -o t{ending}") == 0
    frame = pd.read_csv("t.csv")
    assert len(frame) == 1
    numbers = {n: math.nan if x is None else float(x) for n, x in row.items() if n != "phase"}
    assert frame.iloc[0][list(numbers)].to_dict() == pytest.approx(numbers, rel=1e-15, nan_ok=True)
    for name in ("t.h5", "t.nc"):
        with xr.open_dataset(name, engine="h5netcdf") as table:
            assert {str(n) for n in table.variables} == row.keys()
            shown = {n: table[n].to_numpy().item() for n in numbers}
            assert shown == pytest.approx(numbers, rel=1e-15, nan_ok=True)
    capsys.readouterr()
    for ending in PICTURES:
        code = theory(f"{command} -o t{ending}")
        told = capsys.readouterr().err
        assert (code, Path(f"t{ending}").exists()) in ((0, True), (2, False))
        assert told.count("\n") == (code == 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", ["", "0:1:0", ","])
def test_no_points_are_one_line(
    kind: str, values: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in ([], ["--json"], ["-o", "t.csv"]):
        depth = ["--depth", "3"] if kind == "trajectory" else []
        assert main(["theory", kind, *depth, "--k", values, *output]) == 2
        told = capsys.readouterr()
        assert told.err.startswith("--k")
        assert told.err.count("\n") == 1
        assert not told.out
    assert not list(folder.iterdir())


def test_a_csv_is_tidy() -> None:
    assert theory("trajectory --depth 3 --k 0,inf --width 8,16 -o t.csv") == 0
    frame = pd.read_csv("t.csv")
    assert list(frame.columns[:3]) == ["width", "k", "layer"]
    assert set(frame.columns[3:8]) == {"g", "sigma_w", "sigma_b", "overlap", "q0"}
    row = frame[(frame.width == 16) & (frame.k == math.inf) & (frame.layer == 3)].iloc[0]
    table = tables.trajectories(3, k=math.inf, width=16)
    assert row.correlation == float(table.correlation[2])
    assert row.correlation_1n == pytest.approx(float(table.correlation_1n[2]), rel=1e-12)
    assert row.sigma_w == float(table.sigma_w)


def test_options_reach_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    line = "--depth 4 --k 0.5 --sigma-w 1.3 --sigma-b 0.2 --distance 1e-20 --q0 3 -o t.h5"
    assert theory(f"trajectory {line}") == 0
    with xr.open_dataset("t.h5", engine="h5netcdf") as found:
        expected = tables.trajectories(4, k=0.5, sigma_w=1.3, sigma_b=0.2, distance=1e-20, q0=3.0)
        xr.testing.assert_equal(found, expected)


def test_files_are_not_overwritten() -> None:
    Path("t.csv").write_text("mine")
    assert theory("map -o t.csv") == 2
    assert Path("t.csv").read_text() == "mine"
    assert theory("map -o t.csv --overwrite") == 0
    assert len(pd.read_csv("t.csv")) == 201


# --- mistakes -----------------------------------------------------------------------------------

MISTAKES = [
    ("pie", "No such command 'pie'"),
    ("trajectory --widht 3", "No such option: --widht"),
    ("fixed-point --depth 3", "No such option: --depth"),
    ("trajectory --depth 0", "--depth 0: must be between"),
    ("trajectory --depth 3.5", "--depth 3.5: must be a whole number"),
    ("trajectory --width 0", "--width 0: must be between"),
    ("trajectory --k -1", "--k -1: must be above -1"),
    ("trajectory --k 0:1", "--k 0:1: must be start:stop:count"),
    ("trajectory --k 0,0", "--k 0,0: names a value twice (0)"),
    ("trajectory --ensemble rai", "--width: is missing"),
    ("trajectory --ensemble raai --width 8", "--ensemble raai: needs the strength"),
    ("trajectory --ensemble he --k 1", "--k 1: must be 0 for the ensemble he"),
    ("trajectory --ensemble hee", "--ensemble hee: is not known"),
    ("trajectory --correlation 0 --distance 1", "--distance 1: excludes --correlation"),
    ("trajectory --correlation 2", "--correlation 2: must be between -1 and 1"),
    ("trajectory --q0 0", "--q0 0: must be between"),
    ("trajectory --depth 1e6 --k 0:1:50", "grid = 50000000 values: must have at most"),
    ("trajectory --show angle", "--show angle: is for figures"),
    ("trajectory --gradients --ensemble rai --width 8", "--gradients: have no theory for rai"),
    ("trajectory --show tangent12 -o f.png", "--show tangent12: is of the way back"),
    ("trajectory --show foo -o f.png", "--show foo: is not known for trajectory"),
    ("trajectory -o f.xyz", "--output f.xyz: has no known ending"),
    ("trajectory -o none/f.csv", "--output none/f.csv: is in no folder"),
    ("trajectory -o .", "--output .: is a folder"),
    ("fixed-point --sigma-w 1,critical", "--sigma-w 1,critical: must be numbers"),
    ("fixed-point -o f.png", "--k: has one value"),
    ("map --sigma-b 1", "--sigma-w 1.41421356237: makes q grow"),
    ("map --correlation 0 --distance 1", "--distance 1: excludes --correlation"),
    ("map --correlation 3", "--correlation 3: must be between"),
    ("map --correlation 0.5 -o f.svg", "--correlation 0.5: has one value"),
    ("phase-diagram --k 1", "--k 1: must have several values"),
    ("phase-diagram --sigma-b 0,1", "--sigma-b 1: must be one value"),
    ("phase-diagram --sigma-w critical", "--sigma-w critical: must be numbers"),
    ("growth --ensemble rai --slopes abs", "--slopes abs: are not for rai"),
    ("fixed-point --slopes leaky", "--slopes leaky: is not known"),
    ("map --slopes shaped:0,-1", "--slopes shaped:0,-1: follow the width"),
    ("trajectory --slopes shaped:0,-1 --width 8,9", "--slopes shaped:0,-1: follow the width"),
    ("growth --ensemble rai --sigma-w 0.1", "--sigma-w 0.1: must be at least 0.4"),
    ("growth --sigma-w 1.2 -o f.pdf", "has one value"),
]


@pytest.mark.parametrize(("line", "told"), MISTAKES)
def test_a_mistake_is_one_line(
    line: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert theory(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object, path: Path, **__: object) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    Path("t.csv").write_text("mine")
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert theory("map -o t.csv --overwrite") == 1
    assert capsys.readouterr().err == (
        "can't write t.csv: No space left on device; choose another folder\n"
    )
    assert Path("t.csv").read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == ["t.csv"]


# --- help ---------------------------------------------------------------------------------------


def test_help_is_light_and_names_every_table() -> None:
    heavy = ("numpy", "numba", "h5py", "xarray", "matplotlib", "scipy")
    code = (
        "import sys; from simcore.cli.main import main; main(['theory', '--help']);"
        f"print('loaded', [m for m in {heavy} if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "loaded []"
    for kind in KINDS:
        assert re.search(rf"{kind} +[A-Z]", shown.stdout)


def test_theory_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert theory("") == 0
    assert "phase-diagram" in capsys.readouterr().out


def test_the_help_names_what_figures_can_show() -> None:
    texts = {"trajectory": commands.ShowObservable, "phase-diagram": commands.ShowColour}
    assert texts.keys() == SHOWN.keys()
    for kind, annotated in texts.items():
        words = annotated.__metadata__[0].help
        assert all(re.search(rf"\b{name}\b", words) for name in SHOWN[kind])
        assert words.endswith(f"Default: {next(iter(SHOWN[kind]))}.")


def test_the_help_tells_the_defaults_of_the_tables() -> None:
    assert "Default: 0.8:2.2:15;" in commands.GrowthScale.__metadata__[0].help
    scales = tables.growth_rates().sigma_w.to_numpy()
    assert (scales[0], scales[-1], scales.size) == (0.8, 2.2, 15)
    assert "Default: -1:1:201." in commands.MapCorrelation.__metadata__[0].help
    assert tables.maps().c.size == 201
    diagram = tables.phase_diagram()
    assert (diagram.k.size, diagram.sigma_w.size) == (81, 121)
    assert "81 values" in commands.AxisK.__metadata__[0].help
    assert "121 values" in commands.AxisScale.__metadata__[0].help


DOCS = Path(__file__).parents[2] / "docs" / "theory-command.md"


@pytest.mark.slow
def test_the_pictures_of_the_docs_are_made_by_their_commands(folder: Path) -> None:
    text = DOCS.read_text()
    commands_shown = re.findall(r"^simcore theory (.* -o \S+\.png)$", text, re.MULTILINE)
    assert all(theory(line) == 0 for line in commands_shown)
    made = {path.name for path in folder.iterdir()}
    assert made == set(re.findall(r"!\[[^]]*\]\((.*)\)", text))
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    exec(compile(block, str(DOCS), "exec"), {})
    assert (folder / "phases.pdf").exists()
