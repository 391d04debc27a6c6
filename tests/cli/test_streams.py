"""Runs whose stdout or stderr is closed, full, or has lost its reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simcore.files.run_file import info

RUN = "import sys; from simcore.cli.simulate import main; sys.exit(main())"
SIMCORE = "import sys; from simcore.cli.main import main; sys.exit(main())"
SMALL = "--width 8 --depth 2 --trials 64 -o x.h5"

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of bash in which $RUN is simulate and $SIMCORE is simcore."""
    names = {"RUN": RUN, "SIMCORE": SIMCORE, "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=os.environ | names,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param("2>/dev/full", marks=needs_full),
        pytest.param(">/dev/full", marks=needs_full),
        ">&-",
        "2>&-",
        "<&- >&- 2>&-",
        "2>&1 | true",
    ],
)
def test_a_run_ends_by_itself(tmp_path: Path, streams: str) -> None:
    done = shell(f'"$PYTHON" -c "$RUN" {SMALL} {streams}', tmp_path)
    assert done.returncode == 0
    for mistake in ("Traceback", "Exception", "Error"):
        assert mistake not in done.stderr + done.stdout
    assert info(tmp_path / "x.h5")["complete"]


@needs_full
@pytest.mark.parametrize(
    "command", ["$SIMCORE theory trajectory --depth 3", "$RUN --width 8 --depth 2 --dry-run"]
)
def test_a_command_whose_result_is_its_output_fails_in_one_line(
    tmp_path: Path, command: str
) -> None:
    code, _, options = command.partition(" ")
    done = shell(f'"$PYTHON" -c "{code}" {options} >/dev/full', tmp_path)
    assert done.returncode == 1
    assert done.stderr == "standard output could not be written (No space left on device)\n"


def test_a_reader_that_has_enough_is_no_mistake(tmp_path: Path) -> None:
    done = shell('"$PYTHON" -c "$SIMCORE" theory trajectory --depth 3 | true', tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
