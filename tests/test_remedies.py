"""Remedies that name packages: what they install, and that it is what pyproject.toml asks for."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import simcore

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = {words for group in EXTRAS.values() for words in group}
WORD = r"(?:'[^']*'|[^\s'`.,;&)]+|\.(?=[\s`'\[]))"
COMMAND = re.compile(rf"pip install ((?:-\S+ )*{WORD}(?: '[^']*')*)")


def texts() -> Iterator[tuple[str, str]]:
    """Yield the string literals of the sources and the documentation, each with its place."""
    for path in sorted(Path(simcore.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield str(path), node.value
    for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        yield str(path), path.read_text("utf-8")


def test_no_text_sends_users_to_a_package_index_for_simcore() -> None:
    """The index has no simcore: whoever takes the name there gets our users."""
    wrong = re.compile(r"pip3? install [^\n`]*(?<![\w./-])simcore\b|simcore\[")
    found = [(place, match[0]) for place, text in texts() for match in wrong.finditer(text)]
    assert found == []


def test_what_is_to_be_installed_is_what_the_project_asks_for() -> None:
    """An older version may be there already, so a name without its version changes nothing."""
    named = [(place, match[1]) for place, text in texts() for match in COMMAND.finditer(text)]
    assert len(named) > 8
    for place, words in named:
        for word in shlex.split(words):
            checkout = re.fullmatch(r"-\w+|\.|\.\[(\S+)\]", word)
            if checkout:
                assert checkout[1] is None or checkout[1] in EXTRAS, (place, word)
            else:
                assert word in REQUIREMENTS, (place, word)
