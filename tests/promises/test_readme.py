"""Every command and every Python block of the README and of some pages runs as written."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stdout
from pathlib import Path

import pytest
from simcore.cli.main import main
from simcore.cli.simulate import main as simulate_main

from tests.support.same_results import differences

pytestmark = [pytest.mark.xdist_group("readme"), pytest.mark.needs("torch")]

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/simulate.md",
    "docs/python.md",
    "docs/long-runs.md",
    "docs/report.md",
    "docs/theory-command.md",
    "docs/initializers.md",
)
"""In the order in which they are run: later commands use earlier files."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of each code block of a page."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


COMMANDS = [
    re.sub(r"\s+# .*", "", line)
    for page in PAGES
    for language, block in blocks(page)
    if not language
    for line in block.splitlines()
    if line.strip()
]
SET_UP = [line for line in COMMANDS if "-m venv" in line]
ACTIVATE = "source .venv/bin/activate"
MAIN_JOB = "simulate --width 4096 --depth 200"
OTHERS = [line for line in COMMANDS if "-m venv" not in line and line != ACTIVATE]
PLAIN = list(dict.fromkeys([MAIN_JOB, *OTHERS]))
"""Each once: a page may repeat a command of an earlier one."""


def run(line: str, place: Path) -> None:
    """Run a command, its output to the file behind a ">".

    The first of all, the main job, runs as the installed program; the others in this process, which
    spares each some seconds of imports. Of the digits 2 networks of 5 layers are simulated instead
    of 16 of 20, nearly all of it linear algebra, alike in every layer and trial. Students are small
    ones, from six seeds, for the same reason.
    """
    if "--inputs data/digits.h5" in line:
        line = line.replace("--trials 16", "--trials 2").replace("--depth 20", "--depth 5")
        assert "--trials 2 " in line
        assert "--depth 5 " in line
    if line.startswith("simcore train"):
        line += " --width 8 --depth 2 --steps 20 --seeds 6 --pilots 1 --rates 0.01,0.03,0.1"
    command, _, printed = line.partition(" > ")
    name, *arguments = shlex.split(command)
    if name == "simulate" and "--help" not in arguments:
        arguments.append("--quiet")
    # Theory may fail, which `simcore compare` says by 3.
    codes = (0, 3) if line.startswith("simcore compare") else (0,)
    if line == MAIN_JOB:
        program = str(Path(sys.executable).with_name(name))
        done = subprocess.run([program, *arguments], cwd=place, capture_output=True, check=False)
        assert done.returncode in codes, done.stderr.decode()
        return
    shown = io.StringIO()
    with chdir(place), redirect_stdout(shown):
        code = {"simulate": simulate_main, "simcore": main}[name](arguments)
    assert code in codes, line
    if printed:
        (place / printed).write_text(shown.getvalue())


@contextmanager
def serving(line: str, place: Path) -> Iterator[None]:
    """Run a server of Dask, on this machine alone, until the others are done."""
    name, *arguments = shlex.split(line)
    command = [str(Path(sys.executable).with_name(name)), *arguments, "--host", "127.0.0.1"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, "--no-dashboard"], cwd=place, stdout=quiet, stderr=quiet
    ) as process:
        end = time.monotonic() + 60.0
        while "scheduler" in arguments and not (place / "cluster.json").exists():
            assert process.poll() is None, line
            assert time.monotonic() < end, line
            time.sleep(0.1)
        try:
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all commands were run, in order: later ones use earlier files."""
    place = tmp_path_factory.mktemp("readme")
    (place / "data").symlink_to(ROOT / "data")
    with ExitStack() as servers:
        for line in PLAIN:
            if line.startswith("dask "):
                servers.enter_context(serving(line, place))
            else:
                run(line, place)
    return place


def test_the_first_screen_has_the_set_up_the_run_and_the_activation() -> None:
    assert COMMANDS[:2] == [SET_UP[0], ACTIVATE]
    assert SET_UP[0].endswith(f"&& .venv/bin/{MAIN_JOB}")
    assert len(SET_UP) == 2
    assert "pytest" in SET_UP[1]
    assert len((ROOT / "README.md").read_bytes()) < 9000


def test_the_table_of_the_readme_reproduces(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the last digit, and the verdict with it."""
    (file,) = folder.glob("he-n4096-l200-*.h5")
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["show", str(file)]) == 0
    printed = next(block for language, block in blocks("README.md") if language == "text")
    assert capsys.readouterr().out == printed


def test_the_commands_run(folder: Path) -> None:
    made = {path.name for path in folder.iterdir()}
    assert {
        "grid.h5",
        "correlation.png",
        "whole.h5",
        "cluster.h5",
        "job.sh",
        "students.png",
        "digits.png",
        "phase-diagram.png",
    } <= made


def test_runs_of_the_same_trials_have_the_same_bytes(folder: Path) -> None:
    for one in ("processes.h5", "cluster.h5"):
        assert differences(folder / one, folder / "long.h5") == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in (ROOT / page).read_text("utf-8")]
)
def test_the_python_blocks_run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for language, block in blocks(page):
        if language == "python":
            exec(compile(block, page, "exec"), names)
