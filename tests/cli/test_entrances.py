"""The doors of the command line: names, help, completion, and where a mistake points to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from simcore.cli import main as commands
from simcore.cli import simulate as simulating

from simcore import open_run
from simcore.errors import FileFormatError
from simcore.execution.execute import execute
from simcore.figures import runs, training
from simcore.figures.kinds import OF_RUNS, OF_TRAINING
from simcore.files.run_file import info
from simcore.runs.run import Run

SMALL = "--width 8 --depth 2 --trials 64 --quiet --controls off"
OWN = [command.name or command.callback.__name__ for command in commands.app.registered_commands]
NAMES = OWN + [group.name for group in commands.app.registered_groups]

HEAVY: tuple[str, ...] = (
    "numpy",
    "numba",
    "h5py",
    "xarray",
    "pandas",
    "scipy",
    "matplotlib",
    "bokeh",
    "jinja2",
)
HEAVY += ("torch", "distributed", "dask")


def python(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )


# --- names ----------------------------------------------------------------------------------------


def test_simcore_simulate_is_simulate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = f"{SMALL} -o".split()
    assert simulating.main([*words, "a.h5"]) == 0
    monkeypatch.setattr(sys, "argv", ["simcore", "simulate", *words, "b.h5"])
    assert commands.main() == 0
    a, b = (info(name) for name in ("a.h5", "b.h5"))
    assert a["config_sha256"] == b["config_sha256"]
    assert b["provenance"]["command_line"] == f"simcore simulate {' '.join(words)} b.h5"
    assert commands.main(["slurm", "simcore", "simulate", *words, "c.h5"]) == 0
    assert "simulate --width 8" in capsys.readouterr().out


def test_python_m_in_a_folder_with_stray_modules(tmp_path: Path) -> None:
    for name in ("numpy", "typer", "rich", "typing_extensions", "cli", "simulate"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    done = python("-m", "simcore", *f"simulate {SMALL} --dry-run --json".split(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dry_run"] is True


# --- a current folder that is gone ---------------------------------------------------------------

GONE = "the current folder is gone: change to another one, and try again"


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the current one was in, which is removed."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "work"),
    [
        (f"simulate {SMALL} -o", "simcore.execution.execute.execute"),
        ("doctor", "simcore.execution.known_answer.digest"),
        ("theory fixed-point", "simcore.theory.tables.fixed_points"),
    ],
)
def test_where_numba_compiles_in_no_folder_one_line_says_so(
    gone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    work: str,
) -> None:
    """Numba asks for the current folder while it compiles, as this work does."""
    monkeypatch.setattr(work, lambda *_, **__: Path.cwd())
    words += f" {gone}/a.h5" * words.endswith(" -o")
    assert commands.main(words.split()) == 1
    assert capsys.readouterr().err.splitlines() == [f"stopped ({GONE})"]


@pytest.mark.usefixtures("gone")
def test_a_name_in_a_folder_that_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["show", "a.h5"], ["resume", "a.h5"], ["theory", "phase-diagram", "-o", "b.png"]):
        assert commands.main(words) == 2
        assert capsys.readouterr().err.endswith(f" ({GONE})\n")
    with pytest.raises(FileFormatError, match="does not exist"):
        open_run("a.h5")


def test_a_run_goes_on_where_nothing_compiles(
    gone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = gone / "a.h5"
    execute(Run(depth=2, width=(8,), trials=64, controls="off"), output=path)
    before = path.read_bytes()
    words = ["resume", str(path), "--trials", "128", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr("simcore.execution.execute.resume", lambda *_, **__: Path.cwd())
        assert commands.main(words) == 1
    assert capsys.readouterr().err == f"stopped ({GONE})\n"
    assert path.read_bytes() == before
    assert commands.main(words) == 0


@pytest.mark.usefixtures("gone")
def test_python_m_needs_no_current_folder() -> None:
    command = [sys.executable, "-m", "simcore", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- help -----------------------------------------------------------------------------------------


def test_every_help_is_light(tmp_path: Path) -> None:
    """The modules are the test, since a time would depend on the machine."""
    code = f"""
import sys
from simcore.cli import main, simulate
assert simulate.main(["--help"]) == 0
for words in ("", *{NAMES}, "train digits", "theory map"):
    assert main.main([*words.split(), "--help"]) == 0
print("loaded", [name for name in {HEAVY} if name in sys.modules])
"""
    done = python("-c", code, folder=tmp_path)
    assert done.stdout.splitlines()[-1:] == ["loaded []"], done.stderr


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        ("simulate --widht 3", "simcore simulate"),
        ("plot", "simcore plot"),
        ("plot x.h5 q --size wide", "simcore plot"),
        ("plot x.h5 q --size", "simcore plot"),
        ("theory fixed-point --k", "simcore theory fixed-point"),
        ("merge a.h5 b.h5", "simcore merge"),
        ("theory pie", "simcore theory"),
        ("theory trajectory --widht 3", "simcore theory trajectory"),
        ("train digits --seeeds 3", "simcore train digits"),
        ("inof", "simcore"),
    ],
)
def test_a_mistake_points_to_the_help_of_its_command(
    words: str, help_of: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(words.split()) == 2
    assert capsys.readouterr().err.endswith(f"See {help_of} --help.\n")
    assert commands.main([*help_of.split()[1:], "--help"]) == 0


# --- completion -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("simulate --wi", {"--width", "--widths"}),
        ("simcore pl", {"plot"}),
        ("simcore theory tr", {"trajectory"}),
        ("simcore simulate --wi", {"--width", "--widths"}),
        ("simcore plot --ov", {"--overwrite"}),
    ],
)
def test_bash_completes(
    line: str,
    expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = line.split(maxsplit=1)[0]
    monkeypatch.setenv(f"_{program.upper()}_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit) as end:
        (simulating if program == "simulate" else commands).main([])
    assert not end.value.code
    assert set(capsys.readouterr().out.split()) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["simulate", "simcore"])
def test_every_shell_gets_its_script(
    shell: str, program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: (shell, f"/bin/{shell}"))
    main = simulating.main if program == "simulate" else commands.main
    with pytest.raises(SystemExit) as end:
        main(["--show-completion"])
    assert not end.value.code
    out = capsys.readouterr().out
    assert f"_{program.upper()}_COMPLETE=complete_{shell}" in out


# --- kinds of figures -----------------------------------------------------------------------------


def test_plot_without_a_kind_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(depth=2, width=(8,), trials=64, controls="off")
    execute(run, output=Path("x.h5"), threads=1)
    for file in ("x.h5", "*.h5"):
        assert commands.main(["plot", file]) == 2
        told = capsys.readouterr()
        assert not told.out
        first, *lines = told.err.splitlines()
        assert first.startswith("Missing argument KIND")
        assert [line.split()[0] for line in lines if line[2] != " "] == list(OF_RUNS)
        assert all(len(line) <= 80 for line in lines)
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["x.h5"]


def test_every_kind_has_its_line() -> None:
    assert tuple(OF_RUNS) == runs.KINDS
    assert tuple(OF_TRAINING) == training.KINDS
