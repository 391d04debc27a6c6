"""One run, however it comes about, gives the same bytes; shards that do not fit are refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simcore.errors import FileFormatError, InputError
from simcore.execution.execute import execute, resume
from simcore.execution.merge import merge
from simcore.execution.progress import Control, Progress
from simcore.execution.stopping import PILOT, deciding_error, needed
from simcore.files.run_file import info, read_state
from simcore.files.run_results import RunResults
from simcore.inputs.input_set import InputSet
from simcore.results.open_run import open_run
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from tests.support.same_results import differences

TRIALS = 1500
GRID = Run(depth=20, width=(64, 100), ensemble="correlated", k=(0.0, 1.0), trials=TRIALS)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expected") / "run.h5"
    execute(GRID, output=path, threads=1)
    return path


def stopped(run: Run, path: Path, after: int) -> None:
    """Run until so many trials are done, and leave the file."""
    control = Control()

    def look(progress: Progress) -> None:
        if progress.trials >= after:
            control.stop.set()

    assert not execute(run, output=path, threads=2, control=control, report=look).complete


def on_threads(threads: int) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        execute(GRID, output=path, threads=threads)

    return work


def on_processes(processes: int) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        execute(GRID, output=path, scheduler=f"local:{processes}")

    return work


def stopped_and_resumed(path: Path) -> None:
    stopped(GRID, path, 700)
    assert not info(path)["complete"]
    resume(path, threads=2)


def stopped_twice_and_resumed_on_processes(path: Path) -> None:
    stopped(GRID, path, 100)
    control = Control()

    def look(progress: Progress) -> None:
        if progress.trials >= 2000:
            control.stop.set()

    assert not resume(path, threads=1, control=control, report=look).complete
    resume(path, scheduler="local:1")


def extended(path: Path) -> None:
    execute(replace(GRID, trials=40), output=path, threads=2)
    resume(path, trials=1000, threads=1)
    resume(path, trials=TRIALS, threads=2)


def sharded(path: Path) -> None:
    pieces = [(0, 64), (64, 640), (704, 320), (1024, TRIALS - 1024)]
    files = []
    for first, trials in pieces:
        files.append(path.with_name(f"shard{first}.h5"))
        shard = replace(GRID, first_trial=first, trials=trials)
        execute(shard, output=files[-1], threads=2)
    orders = list(itertools.permutations(files))
    merge(orders[0], path)
    for order in (9, 23):
        other = path.with_name(f"order{order}.h5")
        merge(orders[order], other)
        assert differences(other, path) == []


def sharded_with_one_resumed(path: Path) -> None:
    one, other = path.with_name("one.h5"), path.with_name("other.h5")
    stopped(replace(GRID, trials=1024), one, 500)
    resume(one, threads=2)
    execute(replace(GRID, first_trial=1024, trials=300), output=other, threads=2)
    resume(other, trials=TRIALS - 1024, threads=2)
    merge([other, one], path)


def merged_with_a_gap_that_is_filled(path: Path) -> None:
    one, other = path.with_name("one.h5"), path.with_name("other.h5")
    execute(replace(GRID, trials=256), output=one, threads=2)
    execute(replace(GRID, first_trial=1024, trials=TRIALS - 1024), output=other, threads=2)
    merge([other, one], path, allow_gaps=True)
    assert info(path)["gaps"] == "256-1023"
    assert int(open_run(path)["inactive1_count"].min()) == TRIALS - 1024 + 256
    resume(path, threads=2)


WAYS: dict[str, Callable[[Path], None]] = {
    "1 thread": on_threads(1),
    "2 threads": on_threads(2),
    "7 threads": on_threads(7),
    "local:1": on_processes(1),
    "local:3": on_processes(3),
    "stopped and resumed": stopped_and_resumed,
    "stopped twice, resumed on processes": stopped_twice_and_resumed_on_processes,
    "extended twice": extended,
    "four shards in three orders": sharded,
    "shards, one stopped, one extended": sharded_with_one_resumed,
    "merged with a gap, then filled": merged_with_a_gap_that_is_filled,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_results_are_the_same_bytes(way: str, tmp_path: Path, expected: Path) -> None:
    path = tmp_path / "run.h5"
    WAYS[way](path)
    assert differences(path, expected) == []


def test_the_comparison_sees_another_seed_and_one_trial_less(
    tmp_path: Path, expected: Path
) -> None:
    for name, other in {
        "entry/state/point_key": replace(GRID, seed=1),
        "entry/correlation/count": replace(GRID, trials=TRIALS - 1),
    }.items():
        path = tmp_path / "other.h5"
        execute(other, output=path, threads=2)
        assert name in differences(path, expected)


def test_a_target_is_reached_alike_in_every_way(tmp_path: Path) -> None:
    run = replace(GRID, trials=20_000, until_stderr=2e-3)
    whole, other = tmp_path / "whole.h5", tmp_path / "other.h5"
    outcome = execute(run, output=whole, threads=1)
    done = [point.trials() for point in outcome.points]
    assert len(set(done)) > 1
    assert outcome.unmet == []
    ds = open_run(whole)
    errors = ds["correlation_stderr"]
    if "correlation_controlled" in ds:
        errors = ds["correlation_controlled_stderr"].fillna(errors)
    assert float(errors.max()) <= 2e-3
    for point, statistics in zip(run.points, outcome.points, strict=True):
        trials = PILOT
        for _ in range(5):  # by runs of their own, look by look
            fixed = replace(run, trials=trials, until_stderr=None)
            alone = replace(fixed, width=point.widths, k=(point.k,))
            moments = execute(alone).points[0].published()
            assert moments is not None
            error = deciding_error(alone, moments, "correlation")
            if error <= 2e-3:
                break
            trials = needed(trials, error, 2e-3)
        assert statistics.trials() == statistics.look == trials
    stopped(run, other, 1000)
    resume(other, scheduler="local:2")
    assert differences(whole, other) == []
    short = replace(run, trials=500)
    assert execute(short, output=other).unmet
    resume(other, trials=20_000, threads=2)
    assert differences(whole, other) == []


@pytest.mark.parametrize("ensemble", ["he", "rai"])
def test_runs_with_inputs_of_a_file_go_on(tmp_path: Path, ensemble: str) -> None:
    matrix = np.random.default_rng(1).normal(size=(3, 12))
    source, moved = tmp_path / "inputs.npy", tmp_path / "moved.npy"
    np.save(source, matrix)
    inputs = InputSet.read(str(source))
    run = Run(depth=2, width=(16,), ensemble=ensemble, inputs=inputs, trials=300)
    whole, path = tmp_path / "whole.h5", tmp_path / "run.h5"
    execute(run, output=whole, threads=2)
    execute(replace(run, trials=128), output=path, threads=2)
    resume(path, trials=200, threads=2)  # the file says where its inputs are
    source.rename(moved)
    with pytest.raises(InputError, match=r"inputs\.npy"):
        resume(path, trials=300)
    resume(path, trials=300, inputs=str(moved), threads=2)
    assert differences(path, whole) == []
    shards = [tmp_path / "a.h5", tmp_path / "b.h5"]
    moved.rename(source)
    execute(replace(run, trials=128), output=shards[0], threads=2)
    execute(replace(run, first_trial=128, trials=172), output=shards[1], threads=2)
    merge(shards, path)
    assert differences(path, whole) == []
    assert info(path)["provenance"]["inputs"] == str(source)
    source.rename(moved)
    with pytest.raises(InputError, match=r"inputs\.npy"):
        merge(shards, path)
    merge(shards, path, inputs=str(moved))
    assert differences(path, whole) == []
    np.save(moved, matrix + 1.0)
    with pytest.raises(InputError, match="does not hold the inputs"):
        resume(path, trials=400, inputs=str(moved))


# --- what is refused ----------------------------------------------------------------------------


def shard(path: Path, first: int = 0, trials: int = 64, **changes: Any) -> Path:
    values: dict[str, Any] = {"depth": 3, "width": (8,), "bins": 4, "keep": 10} | changes
    execute(Run(first_trial=first, trials=trials, **values), output=path, threads=1)
    return path


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"depth": 4}, "depth is 4, not 3"),
        ({"width": (9,)}, "width is [9], not [8]"),
        ({"seed": 1}, "seed is 1, not 0"),
        ({"sigma_b": (0.1,)}, "sigma_b is [0.1], not [0.0]"),
        ({"weights": "uniform"}, "sampler is"),
        ({"keep": 11}, "keep is 11, not 10"),
        ({"bins": 5}, "bins is 5, not 4"),
    ],
)
def test_a_shard_of_another_run_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    one, other = shard(tmp_path / "a.h5"), shard(tmp_path / "b.h5", 64, **changes)
    for files in ([one, other], [other, one]):
        with pytest.raises(InputError, match=r"b\.h5") as caught:
            merge(files, tmp_path / "out.h5")
        assert told in str(caught.value)
    assert not (tmp_path / "out.h5").exists()


def test_overlaps_gaps_and_targets_are_refused(tmp_path: Path) -> None:
    a, b = shard(tmp_path / "a.h5", 0, 128), shard(tmp_path / "b.h5", 64)
    c = shard(tmp_path / "c.h5", 256, 70)
    out = tmp_path / "out.h5"
    with pytest.raises(InputError, match=r"b\.h5: has trials 64 to 127, and so has .*a\.h5"):
        merge([b, a], out)
    with pytest.raises(InputError, match="lack trials 128-255"):
        merge([c, a], out)
    with pytest.raises(InputError, match="files = none: are missing"):
        merge([], out)
    target = shard(tmp_path / "t.h5", until_stderr=0.5)
    with pytest.raises(InputError, match="ends at a standard error"):
        merge([target], out)
    assert not out.exists()
    merge([a, c], out, allow_gaps=True)
    assert info(out)["gaps"] == "128-255"
    assert info(out)["trials_done"] == [198, 198]
    # One in the middle that ends inside a block: that block is a gap.
    d = shard(tmp_path / "d.h5", 128, 70)
    with pytest.raises(InputError, match="lack trials 192-255"):
        merge([a, d, c], out)


def test_the_missing_shard_fills_a_gap_with_its_trajectories(tmp_path: Path) -> None:
    whole = shard(tmp_path / "whole.h5", 0, 320, keep=300)
    a, b, c, d = (
        shard(tmp_path / f"{first}.h5", first, trials, keep=300)
        for first, trials in ((0, 64), (64, 64), (128, 64), (192, 128))
    )
    one, two, three = (tmp_path / name for name in ("one.h5", "two.h5", "three.h5"))
    merge([c, a], one, allow_gaps=True)
    merge([d, one], two, allow_gaps=True)
    assert info(two)["gaps"] == "64-127"
    merge([two, b], three)
    assert differences(three, whole) == []
    resume(two, threads=2)
    assert differences(two, whole) == []
    with pytest.raises(InputError, match=r"64\.h5: has trials 64 to 127, and so has .*three"):
        merge([three, b], tmp_path / "out.h5")


def test_a_shard_shorter_than_a_block_is_a_gap_unless_it_ends_the_run(tmp_path: Path) -> None:
    a, b = shard(tmp_path / "a.h5", 0, 40), shard(tmp_path / "b.h5", 64)
    out = tmp_path / "out.h5"
    with pytest.raises(InputError, match="would lack trials 0-63"):
        merge([a, b], out)
    merge([a, b], out, allow_gaps=True)
    resume(out, threads=1)
    assert differences(out, shard(tmp_path / "whole.h5", 0, 128)) == []
    merge([a], out)
    assert differences(out, a) == []


def test_an_unfinished_shard_is_a_gap(tmp_path: Path) -> None:
    run = replace(GRID, trials=1024)
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    stopped(run, a, 300)
    execute(replace(run, first_trial=1024, trials=64), output=b)
    with pytest.raises(InputError, match="would lack trials"):
        merge([a, b], tmp_path / "out.h5")


def test_shards_with_other_bins_are_refused(tmp_path: Path) -> None:
    from simcore.files.run_file import write_run

    a, b = shard(tmp_path / "a.h5"), shard(tmp_path / "b.h5", 64)
    run, points = read_state(b)
    assert points[0].bins is not None
    points[0].bins.lower[1, 1] += 1e-9
    write_run(b, RunResults(run, points, complete=True), provenance={})
    with pytest.raises(FileFormatError, match=r"b\.h5: has other histogram bins at point 0"):
        merge([a, b], tmp_path / "out.h5")


def test_an_extension_must_extend(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.h5", 0, 128)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"trials = 100: is less than the run has, 128"):
        resume(path, trials=100)
    assert path.read_bytes() == before


def test_an_extension_that_is_stopped_at_once_is_remembered(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.h5", 0, 70)
    control = Control()
    control.stop.set()
    assert not resume(path, trials=200, control=control).complete
    facts = info(path)
    assert (facts["complete"], facts["trials"], facts["trials_done"]) == (False, 200, [64, 64])
    resume(path, threads=1)
    assert differences(path, shard(tmp_path / "whole.h5", 0, 200)) == []


def test_inputs_go_with_a_run_that_has_some(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.h5", 0, 128)
    with pytest.raises(InputError, match=r"inputs = x\.npy: goes with a run of inputs"):
        resume(path, trials=200, inputs="x.npy")


def test_a_target_excludes_pieces() -> None:
    with pytest.raises(InputError, match=r"until_stderr = 0\.1: excludes first_trial"):
        Run(depth=3, width=(8,), until_stderr=0.1, first_trial=BLOCK)
    for wrong in (0.0, -1.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="until_stderr"):
            Run(depth=3, width=(8,), until_stderr=wrong)


def test_a_run_without_a_target_keeps_its_identity() -> None:
    """The option came later: files and default names from before are still theirs."""
    assert "until_stderr" not in GRID.config()
    target = replace(GRID, until_stderr=0.1)
    assert Run.from_config(target.config()) == target
    assert [p.key for p in target.points] == [p.key for p in GRID.points]
