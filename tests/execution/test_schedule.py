"""What is left to do: tasks cover the trials once, in any order of arrival, from any beginning."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcore.execution.execute import empty_point
from simcore.execution.schedule import Agenda
from simcore.execution.stopping import deciding_error, needed
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins, Moments, empty_moments
from simcore.statistics.tree import PointStatistics

NO_BINS = Bins(np.zeros((1, 6)), np.zeros((1, 6)))


def run(**options: Any) -> Run:
    values: dict[str, Any] = {"depth": 1, "width": (4,), "trials": 1000, "keep": 0} | options
    return Run(**values)


def moments(trials: int, std: float = 1.0) -> Moments:
    """Moments of so many trials, all observables alike."""
    made = empty_moments(1, 1)
    made.count[:] = trials
    made.m2[:] = std * std * trials
    return made


def absorb(point: PointStatistics, task: Task, run: Run, std: float = 1.0) -> None:
    point.bins = NO_BINS
    if task.first_block * BLOCK < run.first_trial:
        return
    if task.partial:
        point.partial = moments(task.trials, std)
    else:
        point.tree.add(task.level, task.first_block >> task.level, moments(task.trials, std))


def work(
    agenda: Agenda, run: Run, points: list[PointStatistics], size: int, order: random.Random
) -> list[Task]:
    """Do all that is to be done, a few tasks in flight, done in a random order."""
    flying: list[Task] = []
    done: list[Task] = []
    while True:
        while len(flying) < 5 and (task := agenda.next_task(lambda _: size)) is not None:
            flying.append(task)
        if not flying:
            return done
        task = flying.pop(order.randrange(len(flying)))
        absorb(points[task.point], task, run)
        agenda.done(task)
        done.append(task)


@settings(deadline=None)
@given(
    first=st.integers(0, 50).map(lambda n: n * BLOCK),
    trials=st.integers(1, 5000),
    level=st.integers(0, 6),
    seed=st.integers(0, 9),
)
def test_tasks_cover_the_trials_once_and_are_nodes_of_the_tree(
    first: int, trials: int, level: int, seed: int
) -> None:
    plan = run(first_trial=first, trials=trials, width=(4, 5))
    points = [empty_point(plan) for _ in plan.points]
    tasks = work(Agenda(plan, points), plan, points, 1 << level, random.Random(seed))
    for number in range(2):
        own = [task for task in tasks if task.point == number]
        if first:
            assert own.pop(0) == Task(number, 0, 1, BLOCK)  # for the bins alone
        place = first
        for task in sorted(own, key=lambda task: task.first_block):
            assert task.first_block * BLOCK == place
            assert task.blocks <= 1 << level
            assert task.first_block % task.blocks == 0
            place += task.trials
            assert not task.partial or place == first + trials
        assert place == first + trials


@settings(deadline=None)
@given(done=st.sets(st.integers(0, 30)), seed=st.integers(0, 9))
def test_only_what_is_missing_is_done(done: set[int], seed: int) -> None:
    plan = run(trials=31 * BLOCK + 5)
    points = [empty_point(plan)]
    for block in done:
        absorb(points[0], Task(0, block, 1, BLOCK), plan)
    tasks = work(Agenda(plan, points), plan, points, 8, random.Random(seed))
    blocks = [block for t in tasks for block in range(t.first_block, t.first_block + t.blocks)]
    assert sorted(blocks) == sorted(set(range(32)) - done)
    assert Agenda(plan, points).finished


def test_the_number_that_is_needed() -> None:
    """The error falls like 1/sqrt(n): a third takes nine times the trials, in blocks."""
    assert needed(256, 0.3, 0.1) == 9 * 256
    assert needed(256, 0.3, 0.0999) == 9 * 256 + BLOCK
    assert needed(6400, 0.1001, 0.1) == 6848  # a sixteenth more
    assert needed(256, np.inf, 0.1) == 512
    assert needed(256, 1.0, 1e-300) == 2**32 - BLOCK


@pytest.mark.parametrize(
    ("target", "ends"), [(0.07, 256), (0.063, 256), (0.05, 448), (0.036, 832), (0.001, 1000)]
)
def test_a_point_ends_at_the_number_of_its_pilot(target: float, ends: int) -> None:
    """The standard error after n trials of deviation 1 (ddof 0) is 1/sqrt(n - 1)."""
    plan = run(until_stderr=target)
    points = [empty_point(plan)]
    agenda = Agenda(plan, points)
    work(agenda, plan, points, 4, random.Random(1))
    assert agenda.finished
    assert points[0].trials() == ends
    moments = points[0].published()
    assert moments is not None
    assert deciding_error(plan, moments, "correlation") == pytest.approx((ends - 1) ** -0.5)
    assert [point for point, _ in agenda.unmet()] == ([0] if ends**-0.5 > target else [])


def test_the_user_hears_once_what_the_pilots_say() -> None:
    plan = run(until_stderr=0.02, trials=2000, width=(4, 5))
    points = [empty_point(plan) for _ in plan.points]
    agenda = Agenda(plan, points)
    told = []
    while (task := agenda.next_task(lambda _: 8)) is not None:
        told.append(agenda.news())
        absorb(points[task.point], task, plan)
        agenda.done(task)
        told.append(agenda.news())
    (line,) = [line for line in told if line is not None]
    assert line == (
        "a standard error of 0.02 (correlation) needs about 2560 networks at 2 of 2 points; "
        "with 2000, the most it may have, it will be about 0.023."
    )
    assert [point.trials() for point in points] == [2000, 2000]
    # Gone on with, it is said again, from what the file holds.
    assert Agenda(run(until_stderr=0.02, width=(4, 5), trials=3000), points).news() == (
        "a standard error of 0.02 (correlation) needs about 2560 networks at 2 of 2 points."
    )


@pytest.mark.parametrize(("held", "ends"), [(512, 512), (576, 1024), (1024, 1152)])
def test_files_whose_trials_doubled_go_on(held: int, ends: int) -> None:
    """They do not say when their points are judged: at 256, 512, 1024, … trials."""
    plan = run(until_stderr={512: 0.05, 1024: 0.032, 1152: 0.03}[ends], trials=3000)
    points = [empty_point(plan)]
    for block in range(held // BLOCK):
        absorb(points[0], Task(0, block, 1, BLOCK), plan)
    work(Agenda(plan, points), plan, points, 8, random.Random(1))
    assert points[0].trials() == ends


@settings(deadline=None)
@given(stop=st.integers(0, 40), cap=st.sampled_from([600, 1000, 3000]))
def test_a_target_goes_on_from_any_checkpoint_as_if_never_stopped(stop: int, cap: int) -> None:
    """Stopped after some tasks under another limit, then gone on with to the end."""
    target = 0.03
    whole = run(until_stderr=target, trials=3000)
    expected = [empty_point(whole)]
    work(Agenda(whole, expected), whole, expected, 2, random.Random(1))
    before = run(until_stderr=target, trials=cap)
    points = [empty_point(before)]
    agenda = Agenda(before, points)
    for _ in islice(range(stop), stop):
        task = agenda.next_task(lambda _: 1)
        if task is None:
            break
        absorb(points[0], task, before)
        agenda.done(task)
    points[0].partial = None
    if not points[0].tree.nodes:
        points[0].bins = None
    work(Agenda(whole, points), whole, points, 2, random.Random(2))
    assert points[0].trials() == expected[0].trials() == 1152
    assert points[0].look == expected[0].look


def test_a_layer_without_values_is_never_good_enough() -> None:
    plan = run(until_stderr=0.5)
    points = [empty_point(plan)]
    held = moments(256)
    points[0].tree.add(2, 0, held)
    held.count[:, plan.columns.of("correlation")] = 1.0
    points[0].bins = NO_BINS
    assert deciding_error(plan, held, "correlation") == np.inf
    agenda = Agenda(plan, points)
    assert not agenda.finished
    assert agenda.expected_trials() == [512]
    news = agenda.news()
    assert news is not None
    assert "some layer has fewer than two networks with a value after 256" in news


def test_values_beyond_float64_end_a_point_at_its_pilot() -> None:
    plan = run(until_stderr="q1=0.5")
    points = [empty_point(plan)]
    held = moments(256)
    held.count[:, plan.columns.of("q1")] = 255.0
    points[0].tree.add(2, 0, held)
    points[0].bins = NO_BINS
    agenda = Agenda(plan, points)
    assert agenda.finished
    assert np.isnan(agenda.unmet()[0][1])
