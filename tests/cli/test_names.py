"""Names of files that the system refuses, and texts as other programs write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from simcore.cli import main as commands
from simcore.cli.simulate import main as simulate

RUN = ["--width", "8", "--depth", "2", "--trials", "64", "--quiet"]


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x.h5", "a" * 300, "loop"])
@pytest.mark.parametrize("command", ["info", "resume", "report"])
def test_refused_names_are_one_line(
    name: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    assert commands.main([command, name]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert simulate([*RUN, "-o", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_config_with_a_byte_order_mark_and_a_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    rows = "1,0\n0,1\n"
    (tmp_path / "x.csv").write_text(rows, encoding="utf-8")
    config = tmp_path / "run.toml"
    config.write_text('inputs = "~/x.csv"\noutput = "~/x.h5"\n', encoding="utf-8-sig")
    assert simulate([*RUN, "--dry-run", "--config", "~/run.toml"]) == 0


def test_a_name_that_is_no_utf8_is_simulated_and_reported(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.h5")
    assert simulate([*RUN, "-o", name]) == 0
    assert commands.main(["report", name, "-o", str(tmp_path / "r.html")]) == 0
