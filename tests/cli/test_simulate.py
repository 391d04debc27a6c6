"""The command `simulate` against a stand-in for the simulation, and once for real."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from simcore.cli.simulate import EPILOG, main

from simcore.runs.limits import DEFAULTS
from simcore.runs.run import Run
from tests.cli.fakes import BASIC, FakeRun, fake_dataset

# --- what reaches the run -----------------------------------------------------------------------


def test_defaults_are_those_of_a_run(fake: FakeRun) -> None:
    assert main(BASIC) == 0
    assert fake.run == Run(depth=5, width=(64,))
    assert fake.calls[0]["checkpoint"] == DEFAULTS.checkpoint
    assert fake.calls[0]["output"] == Path(fake.run.default_filename())


def test_every_option_reaches_the_run(fake: FakeRun) -> None:
    options = (
        "--width 128,64 --depth 1e1 --ensemble correlated --k 0:1:3,inf --sigma-w 1.2:1.4:3 "
        "--sigma-b 0.1 --distance 1e-20 --q0 2 --trials 1_000 --first-trial 128 --keep 7 --bins 9 "
        "--seed 3 --sampler gram --weights normal --device cpu --threads 3 --checkpoint 5 -o x.h5"
    )
    assert main(options.split()) == 0
    assert fake.run == Run(
        depth=10,
        width=(64, 128),
        ensemble="correlated",
        k=(0.0, 0.5, 1.0, float("inf")),
        sigma_w=(1.2, 1.3, 1.4),
        sigma_b=(0.1,),
        distance=(1e-20,),
        q0=(2.0,),
        trials=1000,
        first_trial=128,
        keep=7,
        bins=9,
        seed=3,
    )
    assert fake.calls[0]["threads"] == 3
    assert fake.calls[0]["checkpoint"] == 5.0
    assert fake.calls[0]["output"] == Path("x.h5")


def test_k_alone_means_correlated(fake: FakeRun) -> None:
    assert main([*BASIC, "--k", "-0.5"]) == 0
    assert fake.run.ensemble == "correlated"


@pytest.mark.parametrize(
    "options",
    [
        ["--like", "pytorch", "--weights", "normal"],
        ["--sigma-w", repr(1.0 / 3.0**0.5), "--sigma-b", "fan-in"],
    ],
)
def test_the_law_of_a_framework_and_a_bias_by_fan_in(fake: FakeRun, options: list[str]) -> None:
    assert main([*BASIC, *options]) == 0
    sigma_w = 1.0 / 3.0**0.5
    assert fake.run == Run(depth=5, width=(64,), sigma_w=(sigma_w,), sigma_b=(sigma_w / 8.0,))


def test_critical_is_the_default_scale(fake: FakeRun) -> None:
    assert main([*BASIC, "--sigma-w", "critical"]) == 0
    assert fake.run.sigma_w is None


def test_a_profile_gives_the_depth(fake: FakeRun) -> None:
    assert main(["--widths", "784,512x3"]) == 0
    assert fake.run.layer_widths == (784, 512, 512, 512)
    assert fake.run.depth == 4


def test_help_names_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    for option, value in {
        "correlation": f"{DEFAULTS.correlation:g}",
        "q0": f"{DEFAULTS.q0:g}",
        "trials": DEFAULTS.trials,
        "seed": DEFAULTS.seed,
        "keep": DEFAULTS.keep,
        "bins": DEFAULTS.bins,
        "checkpoint": f"{DEFAULTS.checkpoint:g}",
    }.items():
        told = re.search(rf"--{option} [A-Z].*?Default: (\S+)\. ", words)
        assert told is not None, option
        assert told[1] == str(value), option


def test_examples_of_the_help_are_valid(fake: FakeRun, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(Path(__file__).parents[2] / "data")
    examples = [line for line in EPILOG.splitlines() if line.startswith("simulate ")]
    assert len(examples) >= 4
    for example in examples:
        arguments = [word for word in example.split()[1:] if word != "--dry-run"]
        assert main([*arguments, "--dry-run"]) == 0, example
    assert fake.calls == []


# --- the output file ----------------------------------------------------------------------------


def test_a_named_file_is_not_overwritten(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.h5").write_text("precious")
    assert main([*BASIC, "-o", "x.h5"]) == 2
    assert capsys.readouterr().err.startswith("--output x.h5: exists already. Add --overwrite")
    assert (tmp_path / "x.h5").read_text() == "precious"
    assert main([*BASIC, "-o", "x.h5", "--overwrite"]) == 0
    assert len(fake.calls) == 1


def test_the_same_run_is_shown_not_repeated(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(BASIC) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("simcore.results.open_run.open_run", lambda _: fake_dataset(fake.run))
    assert main(BASIC) == 0
    second = capsys.readouterr()
    assert len(fake.calls) == 1
    assert "holds this run, complete" in second.out
    assert first.splitlines()[0] in second.out.splitlines()
    assert second.err == ""
    assert main([*BASIC, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["already_complete"] is True
    assert main([*BASIC, "--overwrite", "--quiet"]) == 0
    assert len(fake.calls) == 2


def test_an_unfinished_default_file_is_named(
    fake: FakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.during = lambda control: control.stop.set()
    assert main([*BASIC, "--quiet"]) == 130
    assert main(BASIC) == 2
    err = capsys.readouterr().err
    assert "is an unfinished run of this configuration" in err
    assert "To finish it: simcore resume he-n64-l5-" in err
    assert len(fake.calls) == 1


def test_a_foreign_file_of_the_default_name_stays(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / Run(depth=5, width=(64,)).default_filename()
    path.write_text("precious")
    assert main(BASIC) == 2
    assert "is not this run" in capsys.readouterr().err
    assert path.read_text() == "precious"


def test_dry_run(fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [*BASIC, "--k", "0,1", "--sigma-b", "0.1", "--dry-run"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert re.search(r"^points +2 \(k 2\)$", out, re.MULTILINE)
    assert re.search(r"^node updates +6\.4e\+05$", out, re.MULTILINE)
    assert "without bound" in out
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["node_updates"] == 2 * 1000 * 64 * 5
    assert plan["file_bytes"] > 0
    assert plan["memory_bytes"] > 0
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert fake.calls == []
    assert list(tmp_path.iterdir()) == []


# --- what is printed ----------------------------------------------------------------------------


def test_the_table_and_what_to_do_next(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--sigma-b", "0.1", "-o", "my run.h5"]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split()[:2] == ["layer", "c"]
    assert lines[5].split()[:4] == ["5", "0.500(10)", "0.480", "+2.0"]
    assert "  simcore info 'my run.h5'" in lines
    assert "  simcore plot 'my run.h5' correlation" in lines
    assert "1000 trials, 5 layers in 2 s (500 node updates/s" in told.out
    assert "\x1b" not in told.out + told.err
    assert told.err.startswith("note: with --sigma-b above 0")
    assert "0 of 1000 trials" in told.err


def test_quiet_is_quiet(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--sigma-b", "0.1", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_json_is_one_object(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--k", "0,inf", "--json", "-o", "x.h5"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["configuration"] == fake.run.config()
    assert result["output"] == "x.h5"
    assert result["complete"] is True
    assert (result["seconds"], result["node_updates"]) == (2.0, 1000)
    assert result["node_updates_per_second"] == 500.0
    assert [row["k"] for row in result["table"]] == [0.0, "inf"]
    assert result["table"][0]["z"] == pytest.approx(2.0)
    assert result["table"][0]["log_distance"] is None


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"simcore \d+\.\d+\.\d+\n", capsys.readouterr().out)


# --- the whole way ------------------------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom simcore.cli.{0} import main\ncode = main(['--help'])\n"
        "heavy = {{'numba', 'numpy', 'h5py', 'xarray', 'scipy'}} & set(sys.modules)\n"
        "sys.exit(code or ' '.join(heavy) or 0)"
    )
    for command in ("simulate", "main"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(command)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_real_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simcore.cli.simulate", "--width", "32", "--depth", "6"]
    command += ["--k", "1", "--trials", "100", "-o", "x.h5", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["layer"] for row in result["table"]] == [1, 2, 3, 4, 5, 6]
    assert result["node_updates"] == 100 * 32 * 6
    # Layers of one run: |z| > 6 has a probability below 1e-8, and the seed is fixed.
    assert result["table"][0]["z"] is None  # c is exact there
    assert all(abs(row["z"]) < 6.0 for row in result["table"][1:])
    assert "Warning" not in done.stderr
    assert (tmp_path / "x.h5").is_file()
