"""Claim: students trained as one batched model learn the same as one after the other, and faster.

    python bench/training.py              # 20 students, 1000 steps of 128, width 100, depth 10
    python bench/training.py --steps 100  # fewer steps, on a busy machine

First the losses are compared: batched against one by one, at every recorded step, to 1e-5. Then
training alone is timed, interleaved in the same rounds: batched as `simcore train` does it, in
groups on all threads and on one; the same code one student after the other; and plain PyTorch
(`torch.nn.Sequential`, `torch.optim`), one student after the other. Seconds are of the wall and,
for a machine that others use, of the processor.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from harness import interleaved, ratio, save, timed
from quiet import Watch

from simcore.machine.cpus import default_threads
from simcore.training import engine
from simcore.training.engine import train_group
from simcore.training.jobs import Job
from simcore.training.plan import TeacherStudent
from simcore.training.tasks import Batches

STUDENTS = 20
RATE = 0.01
TOLERANCE = 1e-5

# Drawn in the round that is not counted: the time is that of training.
draw_data = engine.draw_data = functools.cache(engine.draw_data)


def groups(size, role):
    return [
        Job("he", role, RATE, first, min(first + size, STUDENTS))
        for first in range(0, STUDENTS, size)
    ]


def verified(plan):
    """Largest relative gap between the losses of students alone and in their groups."""
    worst = 0.0
    for job in groups(plan.group, "measured"):
        together = train_group(plan, job)
        for seed in range(job.first, job.end):
            alone = train_group(plan, job._replace(first=seed, end=seed + 1))
            for name in ("loss", "train_loss"):
                a, b = getattr(alone, name)[0], getattr(together, name)[seed - job.first]
                worst = max(worst, float(np.max(np.abs(a - b) / a)))
    if not worst <= TOLERANCE:
        raise SystemExit(f"losses differ by {worst:.1e}, more than {TOLERANCE:g}")
    return worst


def plain_students(plan):
    """Train students as anybody would, one after the other."""
    for seed in range(STUDENTS):
        sizes = [plan.fan_in, *[plan.width] * plan.depth]
        layers = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(plan.width, 1))
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
        data, batches = (
            draw_data(plan, "pilot", seed, seed + 1),
            Batches(plan, "pilot", seed, seed + 1),
        )
        for _ in range(plan.steps):
            inputs, targets = batches.take(data.train)
            loss = torch.nn.functional.mse_loss(network(inputs[0])[:, 0], targets[0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def work(plan, threads):
    """What is timed, by name."""
    pool = ThreadPoolExecutor(threads)
    batched, alone = groups(plan.group, "pilot"), groups(1, "pilot")

    def one_by_one(jobs):
        for job in jobs:
            train_group(plan, job)

    return {
        "batched": lambda: list(pool.map(lambda job: train_group(plan, job), batched)),
        "batched, one thread": lambda: one_by_one(batched),
        "one by one": lambda: one_by_one(alone),
        "plain PyTorch, one by one": lambda: plain_students(plan),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    plan = TeacherStudent(
        steps=arguments.steps, width=arguments.width, depth=arguments.depth, seeds=STUDENTS
    )
    worst = verified(plan)
    threads, watch = default_threads(), Watch()
    names = work(plan, threads)
    processor = {name: [] for name in names}

    def measured(name, run):
        def once():
            before = time.process_time()
            wall = timed(run)
            processor[name].append(time.process_time() - before)
            return wall

        return once

    wall = interleaved({name: measured(name, run) for name, run in names.items()}, arguments.rounds)
    processor = {name: times[1:] for name, times in processor.items()}
    save(
        "training" if (arguments.width, arguments.depth) == (100, 10) else "training_small",
        {
            "students": STUDENTS,
            "width": plan.width,
            "depth": plan.depth,
            "batch": plan.batch,
            "steps": plan.steps,
            "group": plan.group,
            "threads": threads,
            "torch": torch.__version__,
            "others_share_of_the_machine": watch.others(),
            "largest_relative_gap_of_losses": worst,
            "wall_seconds": {name: statistics.median(times) for name, times in wall.items()},
            "processor_seconds": {
                name: statistics.median(times) for name, times in processor.items()
            },
            "times_faster": {
                "batched than one by one": ratio(wall, "one by one", "batched"),
                "batched than plain PyTorch": ratio(wall, "plain PyTorch, one by one", "batched"),
                "on one thread than one by one": ratio(wall, "one by one", "batched, one thread"),
            },
            "times_fewer_processor_seconds": {
                "batched than one by one": ratio(processor, "one by one", "batched, one thread"),
                "batched than plain PyTorch": ratio(
                    processor, "plain PyTorch, one by one", "batched, one thread"
                ),
            },
        },
    )


if __name__ == "__main__":
    main()
