"""No test is lost between the light tests and the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOME = ("laws/test_distance.py", "machine", "numerics/test_arithmetic.py", "promises/test_kills.py")
"""Tests that are quick to import: by folder light or not, marked slow, and marked gpu."""


def collected(selection: str) -> set[str]:
    named = [f"tests/{name}" for name in SOME]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", selection, *named]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_light_tests_and_the_rest_are_all_tests() -> None:
    light, rest = collected("--light"), collected("--rest")
    assert light
    assert rest
    assert not light & rest
    assert light | rest == collected("--all")
