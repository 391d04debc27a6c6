"""The package as it is installed: every room of the sources is in it."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_room_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    rooms = [
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "simcore").rglob("__init__.py")
    ]
    assert sorted(listed) == sorted([*rooms, "simcore.cli", "simcore.data"])


def test_every_file_of_a_room_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["setuptools"]["package-data"]
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "simcore"], capture_output=True, text=True, check=True
    )
    missing = []
    for name in listed.stdout.splitlines():
        file = Path(name)
        patterns = shipped.get(".".join(file.parent.parts), [])
        if file.suffix != ".py" and not any(file.match(pattern) for pattern in patterns):
            missing.append(name)
    assert not missing
