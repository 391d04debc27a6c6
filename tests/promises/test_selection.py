"""No test is lost between the light tests and the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOME = ("tests/laws", "tests/machine", "tests/numerics", "tests/promises", "tests/files")


def collected(selection: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", selection, *SOME]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_light_tests_and_the_rest_are_all_tests() -> None:
    light, rest = collected("--light"), collected("--rest")
    assert light
    assert rest
    assert not light & rest
    assert light | rest == collected("--all")
