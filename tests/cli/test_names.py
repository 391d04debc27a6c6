"""Names of files that the system refuses, and texts as other programs write them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simcore.cli import main as commands
from simcore.cli.simulate import main as simulate

from simcore.files.run_file import info

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


def test_a_tilde_is_the_home_folder_of_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "before.csv").write_text("1,0\n0,1\n", encoding="utf-8")
    shard = ["--width", "8", "--depth", "2", "--quiet", "--inputs", "~/before.csv"]
    for name, first, trials in (("a", 0, 64), ("b", 64, 60)):
        options = ["--first-trial", str(first), "--trials", str(trials), "-o", f"~/{name}.h5"]
        assert simulate([*shard, *options]) == 0
    # A merge and a resumed run of half a block read the inputs, which have moved.
    (tmp_path / "before.csv").rename(tmp_path / "after.csv")
    moved = ["--inputs", "~/after.csv", "--quiet"]
    assert commands.main(["merge", "~/a.h5", "~/b.h5", "-o", "~/whole.h5", *moved]) == 0
    assert commands.main(["resume", "~/whole.h5", "--trials", "128", *moved]) == 0
    assert commands.main(["info", "~/whole.h5"]) == 0
    assert info(tmp_path / "whole.h5")["trials_done"] == [128, 128]


def test_a_figure_needs_no_backend_and_no_latex_of_the_user(tmp_path: Path) -> None:
    """A notebook sets MPLBACKEND for what it starts; a matplotlibrc may ask for LaTeX."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n", encoding="utf-8")
    code = "import sys; from simcore.cli.main import main; sys.exit(main(sys.argv[1:]))"
    assert simulate([*RUN, "-o", str(tmp_path / "x.h5")]) == 0
    for name, *words in (("a", "plot", "x.h5", "correlation"), ("b", "theory", "map")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "-o", f"{name}.svg"],
            cwd=tmp_path,
            env=os.environ | {"MPLBACKEND": "module://not_here", "MATPLOTLIBRC": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "<text" in (tmp_path / f"{name}.svg").read_text("utf-8")


def test_a_name_that_is_no_utf8_is_simulated_and_reported(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.h5")
    assert simulate([*RUN, "-o", name]) == 0
    assert commands.main(["report", name, "-o", str(tmp_path / "r.html")]) == 0
