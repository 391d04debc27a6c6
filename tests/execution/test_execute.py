"""The loop: threads, stop, checkpoints, shards."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simcore.execution.execute
import simcore.execution.loop
from simcore.errors import ClusterError
from simcore.execution.engines import ThreadEngine
from simcore.execution.execute import execute, resume
from simcore.execution.merge import merge
from simcore.execution.progress import Control, Progress
from simcore.files.run_file import info, read_state
from simcore.files.run_results import RunResults
from simcore.numerics.kernels import compilations
from simcore.physics.observables import NAMES
from simcore.results.open_run import open_run
from simcore.runs.run import Run
from simcore.sampling.pair.cpu import PairSampler
from simcore.statistics.blocks import BLOCK
from simcore.statistics.tree import MomentTree, PointStatistics
from tests.support.same_results import differences


def run(**options: Any) -> Run:
    values: dict[str, Any] = {"depth": 6, "width": (100,), "trials": 1000} | options
    return Run(**values)


def same(a: PointStatistics, b: PointStatistics) -> bool:
    one, other = a.published(), b.published()
    assert one is not None
    assert other is not None
    return (
        all(x.tobytes() == y.tobytes() for x, y in zip(one, other, strict=True))
        and a.published_histogram().tobytes() == b.published_histogram().tobytes()
        and a.trajectories.tobytes() == b.trajectories.tobytes()
    )


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_any_number_of_threads_gives_the_same_bytes(threads: int) -> None:
    grid = run(width=(16, 100), k=(0.0, 1.0), ensemble="correlated", sigma_b=(0.0, 0.1))
    expected = execute(grid, threads=1)
    outcome = execute(grid, threads=threads)
    assert outcome.complete
    assert outcome.node_updates == expected.node_updates == 4 * 1000 * 6 * 116
    assert all(map(same, outcome.points, expected.points))


def test_a_single_trial_runs() -> None:
    outcome = execute(run(trials=1), threads=2)
    (point,) = outcome.points
    assert point.trials() == 1
    assert point.kept == 1


def test_shards_have_the_bytes_of_one_run() -> None:
    whole = execute(run(), threads=2).points[0]
    shards = [
        execute(run(first_trial=first, trials=trials), threads=2).points[0]
        for first, trials in ((0, 192), (192, 512), (704, 296))
    ]
    tree = MomentTree()
    for shard in reversed(shards):
        for level, index, moments in shard.tree.ordered():
            tree.add(level, index, moments)
    merged = PointStatistics(
        tree=tree,
        histogram=sum((s.histogram for s in shards[1:]), start=shards[0].histogram),
        trajectories=whole.trajectories,
        partial=shards[-1].partial,
        partial_histogram=shards[-1].partial_histogram,
    )
    assert same(merged, whole)


def test_a_longer_run_holds_a_shorter_one() -> None:
    short, long = (execute(run(trials=n), threads=2).points[0] for n in (640, 1280))
    tree = MomentTree()
    for level, index, moments in short.tree.ordered():
        tree.add(level, index, moments)
    rest = execute(run(first_trial=640, trials=640), threads=2).points[0]
    for level, index, moments in rest.tree.ordered():
        tree.add(level, index, moments)
    one, other = tree.fold(), long.published()
    assert one is not None
    assert other is not None
    assert all(x.tobytes() == y.tobytes() for x, y in zip(one, other, strict=True))


def test_progress_grows_to_the_whole(tmp_path: Path) -> None:
    seen: list[Progress] = []
    outcome = execute(run(), threads=2, output=tmp_path / "run.h5", report=seen.append)
    assert seen[0].phase == "loading"
    assert seen[-1].phase == "writing"
    assert [p.trials for p in seen] == sorted(p.trials for p in seen)
    assert seen[-1].trials == seen[-1].total_trials == 1000
    assert seen[-1].node_updates == outcome.node_updates == seen[-1].total_node_updates


@pytest.mark.parametrize("threads", [1, 2])
def test_stop_leaves_whole_blocks_in_a_readable_file(tmp_path: Path, threads: int) -> None:
    control = Control()

    def stop_soon(progress: Progress) -> None:
        if progress.trials >= 128:
            control.stop.set()

    path = tmp_path / "run.h5"
    plan = run(trials=10**6)
    outcome = execute(plan, threads=threads, output=path, report=stop_soon, control=control)
    assert not outcome.complete
    done = outcome.points[0].trials()
    assert done % BLOCK == 0
    assert 128 <= done < 10**6
    dataset = open_run(path)
    assert int(dataset["inactive1_count"][0]) == done
    again, points = read_state(path)
    assert again == plan
    assert points[0].tree.blocks == done // BLOCK
    if threads == 1:  # with more, blocks may be done out of order, and others are missing
        expected = execute(run(trials=done), threads=1).points[0].published()
        folded = points[0].tree.fold()
        assert expected is not None
        assert folded is not None
        assert all(x.tobytes() == y.tobytes() for x, y in zip(folded, expected, strict=True))


def test_stop_while_compiling_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, go_on = Control(), threading.Event()
    monkeypatch.setattr(PairSampler, "prepare", lambda _: go_on.wait())

    def stop(progress: Progress) -> None:
        control.stop.set()

    path = tmp_path / "run.h5"
    outcome = execute(run(), output=path, report=stop, control=control)
    go_on.set()
    assert not outcome.complete
    assert int(open_run(path)["inactive1_count"].sum()) == 0


def test_a_stop_that_also_ends_the_others_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm ends a job's scheduler together with the run, which then fails to ask it."""
    control = Control()

    def fail(_: object) -> None:
        control.stop.set()
        raise ClusterError("the scheduler is lost")

    monkeypatch.setattr(PairSampler, "prepare", fail)
    outcome = execute(run(), output=tmp_path / "run.h5", control=control)
    assert not outcome.complete


def test_checkpoint_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bool] = []
    original = simcore.execution.loop.Loop.write

    def count(self: Any, results: RunResults | None = None) -> None:
        written.append(results is not None)
        original(self, results)

    monkeypatch.setattr(simcore.execution.loop.Loop, "write", count)
    monkeypatch.setattr(simcore.execution.loop, "AGAIN_SECONDS", 0.0)
    control = Control()

    def ask_once(progress: Progress) -> None:
        if progress.trials >= 64 and len(written) == 1:
            control.checkpoint.set()

    path = tmp_path / "run.h5"
    execute(run(trials=20_000), threads=1, output=path, report=ask_once, control=control)
    # An empty file at the start, the checkpoint that was asked for, all trials, theory with them.
    assert written == [False, False, False, True]


def stop_in_last_write(progress: Progress) -> None:
    if progress.phase == "writing":
        raise KeyboardInterrupt


def test_an_interrupt_before_the_last_write_keeps_all_trials(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with pytest.raises(KeyboardInterrupt):
        execute(run(trials=640), threads=1, output=path, report=stop_in_last_write)
    assert info(path)["trials_done"] == [640, 640]
    resume(path, threads=1)
    execute(run(trials=640), threads=1, output=tmp_path / "at_once.h5")
    assert differences(path, tmp_path / "at_once.h5") == []


@pytest.mark.parametrize("broken", ["predict", "arrays"])
def test_an_error_in_theory_or_in_the_last_write_keeps_all_trials(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(RunResults, broken)

    def fail(self: RunResults, *rest: Any) -> Any:
        if self.complete:
            message = "broken"
            raise ArithmeticError(message)
        return original(self, *rest)

    path = tmp_path / "run.h5"
    with monkeypatch.context() as patched:
        patched.setattr(RunResults, broken, fail)
        with pytest.raises(ArithmeticError, match="broken"):
            execute(run(trials=640), threads=1, output=path)
    assert info(path)["trials_done"] == [640, 640]
    assert resume(path, threads=1).complete


def test_a_kill_in_theory_keeps_all_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.h5"
    seen = []

    def look(self: RunResults, told: object) -> None:
        del self, told
        seen.append(info(path)["trials_done"])

    monkeypatch.setattr(RunResults, "predict", look)
    monkeypatch.setattr(simcore.execution.loop, "AGAIN_SECONDS", 0.0)
    execute(run(trials=640), threads=1, output=path)
    assert seen == [[640, 640]]


def test_compiling_is_told_with_its_count_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(self: ThreadEngine, stopping: Callable[[], bool]) -> None:
        real(self, stopping)
        compilations.begun += 2
        time.sleep(0.3)
        compilations.done += 2

    real = ThreadEngine.prepare
    monkeypatch.setattr(ThreadEngine, "prepare", prepare)
    told: list[Progress] = []
    said: list[str] = []
    short = Run(depth=2, width=(8,), trials=64, controls="off")
    execute(short, threads=1, report=told.append, announce=said.append)
    phases = [progress.phase for progress in told]
    assert phases.index("loading") < phases.index("compiling") < phases.index("running")
    (line,) = said
    found = re.fullmatch(r"compiled (\d+) kernels in .* s, kept for other runs", line)
    assert found is not None
    assert int(found[1]) >= 2
    monkeypatch.setattr(ThreadEngine, "prepare", real)
    told.clear()
    execute(short, threads=1, report=told.append, announce=said.append)
    assert "compiling" not in [progress.phase for progress in told]
    assert said == [line]


def test_theory_tells_where_it_is(tmp_path: Path) -> None:
    told: list[Progress] = []
    shards = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for i, path in enumerate(shards):
        part = Run(depth=2, width=(8, 16), trials=64, first_trial=64 * i, controls="off")
        execute(part, threads=1, output=path, report=told.append)
    merge(shards, tmp_path / "c.h5", report=told.append)
    details = [progress.detail for progress in told if progress.phase == "theory"]
    assert details.count("point 1 of 2") == 3
    assert details[-1] == "first order in 1/N"


def test_a_stop_in_theory_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = Control()
    predicted = []

    def slow(run_: Run, point: object, pair: int, inputs: object) -> Any:
        del point, inputs
        predicted.append(pair)
        control.stop.set()
        return np.zeros((len(NAMES), run_.depth)), np.zeros((len(NAMES), run_.depth))

    monkeypatch.setattr("simcore.runs.predictions._predict", slow)
    path = tmp_path / "run.h5"
    several = run(width=(8, 16), correlation=(0.1, 0.2), trials=640)
    outcome = execute(several, threads=1, output=path, control=control)
    assert not outcome.complete
    assert predicted == [0]
    assert info(path)["trials_done"] == [640, 640]
    assert not info(path)["complete"]


def test_an_error_in_a_task_is_raised_and_leaves_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "broken"
        raise RuntimeError(message)

    monkeypatch.setattr(PairSampler, "run", fail)
    monkeypatch.setattr(PairSampler, "prepare", lambda _: None)
    path = tmp_path / "run.h5"
    with pytest.raises(RuntimeError, match="broken"):
        execute(run(), threads=1, output=path)
    assert int(open_run(path)["inactive1_count"].sum()) == 0


def test_bins_come_from_the_first_block_even_in_a_shard() -> None:
    whole = execute(run(trials=256), threads=1).points[0]
    shard = execute(run(trials=64, first_trial=128), threads=1).points[0]
    assert whole.bins is not None
    assert shard.bins is not None
    np.testing.assert_array_equal(whole.bins.lower, shard.bins.lower)
    assert shard.trials() == 64


def test_an_interrupt_in_the_middle_of_a_result_saves_nothing_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C may come in Python where nobody handles it: the last checkpoint is whole."""
    path, original, calls = tmp_path / "run.h5", MomentTree.add, []

    def torn(self: MomentTree, *given: Any) -> None:
        original(self, *given)
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(MomentTree, "add", torn)
    monkeypatch.setattr(simcore.execution.loop, "CHECKPOINT_COST", 0.0)
    with pytest.raises(KeyboardInterrupt):
        execute(run(trials=20_000), threads=1, output=path, checkpoint=1e-9)
    monkeypatch.undo()
    _, points = read_state(path)
    assert points[0].tree.blocks > 0
    assert simcore.execution.execute.resume(path).complete


def test_a_stop_during_the_predictions_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of many asymmetric points take longer than all the rest of the last write."""
    import simcore.runs.predictions

    control, path, original = Control(), tmp_path / "run.h5", simcore.runs.predictions._predict
    predicted: list[object] = []

    def slow(*given: Any) -> Any:
        predicted.append(given)
        control.stop.set()
        return original(*given)

    monkeypatch.setattr(simcore.runs.predictions, "_predict", slow)
    grid = run(width=(8, 16, 32), trials=64)
    outcome = execute(grid, output=path, threads=1, control=control)
    assert not outcome.complete
    assert len(predicted) == 1
    assert not open_run(path).attrs["complete"]
    monkeypatch.undo()
    assert simcore.execution.execute.resume(path).complete
