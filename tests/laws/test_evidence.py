"""The small size of every row of ``python -m tests.evidence``, and wrong constants, which fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evidence.__main__ import ROWS, WRONG, main
from tests.evidence.row import CONTRADICTED, REPRODUCED, Effort, Found, Sample, Spread
from tests.evidence.writing import PICTURE

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"


def by_source(names: Iterable[str]) -> list[Any]:
    """Rows of one source share runs: one worker measures them."""
    return [
        pytest.param(name, marks=pytest.mark.xdist_group(f"evidence {name.partition('/')[0]}"))
        for name in names
    ]


# A row of the small size fails by chance at 4 standard errors or p = 1e-4, those of kurtosis and
# E q²/(E q)², whose estimates have long tails, in 0.1 to 0.6 % (by draws of their law): in 2 % of
# all together. Tried on 20 seeds: no alarm; the largest z of some 1,700 was 3.2.
@pytest.mark.parametrize("name", by_source(ROWS))
def test_the_verdict_is_the_one_of_the_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", name]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", by_source(WRONG))
def test_a_wrong_constant_is_contradicted(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", "--wrong", name]) == 1
    assert f"| {CONTRADICTED}  EXPECTED: {REPRODUCED}" in capsys.readouterr().out


def test_every_row_has_its_verdict_on_the_page() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    for name, row in ROWS.items():
        (line,) = (text for text in lines if text.startswith(f"| `{name}` |"))
        assert f"| **{row.expected}**" in line
        assert row.expected in (REPRODUCED, CONTRADICTED)


def test_names_list_plots_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["no such row"]) == 2
    assert capsys.readouterr().err.startswith("no row is called no such row")
    assert main(["--list", "lu/"]) == 0
    assert "simulate --width 3 --depth 10" in capsys.readouterr().out
    name = next(iter(ROWS))
    seen = []

    def measure(effort: Effort) -> Found:
        seen.append(effort)
        sample = Sample("x", np.arange(9.0), np.arange(9.0))
        spread = Spread(np.ones(4), np.ones(4), np.ones(4), 0.1)
        return Found("1 | 2", REPRODUCED, sample, {"k = 0": spread})

    monkeypatch.setitem(ROWS, name, replace(ROWS[name], measure=measure))
    written = ["--plots", str(tmp_path), "--markdown", str(tmp_path / "page.md")]
    assert main([name, "--seed", "7", *written]) == 0
    assert seen == [Effort(1, 7)]
    assert len(list(tmp_path.glob("*.png"))) == 2
    page = (tmp_path / "page.md").read_text("utf-8")
    assert f"| `{name}` |" in page
    assert f"({PICTURE})" in page
    assert (tmp_path / PICTURE).exists()


def test_rows_are_shared_by_processes() -> None:
    """As a command, whose module processes do not know as ``__main__``."""
    command = [sys.executable, "-m", "tests.evidence", "--jobs", "2", "nfnets/exact gain"]
    done = subprocess.run(command, cwd=PAGE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"| {REPRODUCED}" in done.stdout
