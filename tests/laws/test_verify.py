"""The small size of every check of ``python -m tests.verify``, and wrong laws, which fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.verify.__main__ import CHECKS, WRONG, main
from tests.verify.check import Effort, Outcome

SHARED = ("width", "first order", "population")
"""Families in which wrong laws have the networks of a check: one worker simulates them."""


def by_family(names: Iterable[str]) -> list[Any]:
    families = ((name, name.partition("/")[0]) for name in names)
    return [
        pytest.param(name, marks=[pytest.mark.xdist_group(f"verify {of}")] * (of in SHARED))
        for name, of in families
    ]


@pytest.mark.parametrize("name", by_family(CHECKS))
def test_the_check_holds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", name]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", by_family(WRONG))
def test_the_check_fails_for_a_wrong_law(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", "--wrong", name]) == 1, capsys.readouterr().out
    assert "FAILS" in capsys.readouterr().out


def test_list_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert all(name in capsys.readouterr().out for name in ("normals/battery",))


def test_an_unknown_name_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no such check"]) == 2
    assert capsys.readouterr().err.startswith("no check is called no such check")


def test_the_small_size_is_smaller_and_the_seed_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def measure(effort: Effort) -> Outcome:
        seen.append(effort)
        return Outcome("0", True)

    name = next(iter(CHECKS))
    monkeypatch.setitem(CHECKS, name, type(CHECKS[name])(name, "", "", 1e-3, measure))
    assert main([name, "--small", "--seed", "7"]) == 0
    assert main([name]) == 0
    assert [(effort.factor, effort.seed) for effort in seen] == [(0.5, 7), (4.0, 1)]
