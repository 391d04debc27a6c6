"""The checks of `bench/gpu.py`: the doctor, the tests on hardware, bytes or law of the CPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from simcore.runs.run import Run

ROOT = Path(__file__).resolve().parents[1]

HARDWARE_TESTS = "tests/machine/test_on_hardware.py"
"""All tests that are marked `gpu`: to collect the others takes longer, and needs more packages."""

DOCTOR = """
import dataclasses, json
from simcore.doctor import examine
print(json.dumps([dataclasses.asdict(check) for check in examine()]))
"""

WIDTHS = (1, 5, 63, 64, 511, 512, 4096, 270_000)
KS = (-0.5, 0.0, 1.0, float("inf"))

LEAST_P = 1e-4
"""False alarms of the two-sample tests, all runs together: one in a thousand."""

TAIL = 30
"""Lines that are shown of tests that fail."""


def environment() -> dict[str, str]:
    """Return the environment of a child that finds simcore in this checkout."""
    path = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


def compile_apart() -> list[subprocess.Popen[bytes]]:
    """Start to compile the CPU's kernels, a process for each kind, if there are none yet.

    The tests on hardware need all kinds, and would compile one after the other.
    """
    from simcore.numerics.compiling import cache_folder
    from tests.support.warm_up import KINDS

    if any(cache_folder().glob("*")):
        return []
    commands = [[sys.executable, "-m", "tests.support.warm_up", kind] for kind in KINDS]
    return [subprocess.Popen(command, cwd=ROOT, env=environment()) for command in commands]


def wait(processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """Wait for processes, all together no longer than so many seconds."""
    end = time.monotonic() + seconds
    with suppress(subprocess.TimeoutExpired):
        for process in processes:
            process.wait(max(0.0, end - time.monotonic()))


def doctor(seconds: float) -> list[dict[str, str]]:
    """Return the checks of `simcore doctor`, made in a process that lets go of the GPU."""
    done = subprocess.run(
        [sys.executable, "-c", DOCTOR],
        check=False,
        cwd=ROOT,
        env=environment(),
        timeout=seconds,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"simcore doctor: {done.stderr.strip()[-200:]}")
    checks: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    for check in checks:
        print(f"{check['state']:8}{check['name']:20}{check['found']}")
        if check["state"] == "wrong":
            print(f"{'':28}{check['remedy']}")
    return checks


def hardware_tests(seconds: float) -> dict[str, Any]:
    """Return how the tests on hardware ended, and the names of those that did not pass.

    Those that are not done within the seconds are left out.
    """
    command = [sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider"]
    command += ["-m", "gpu", "--require-gpu", HARDWARE_TESTS]
    whole = True
    with tempfile.TemporaryFile("w+") as output:
        try:
            subprocess.run(
                command,
                check=False,
                cwd=ROOT,
                env=environment(),
                timeout=seconds,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except subprocess.TimeoutExpired:
            whole = False
        output.seek(0)
        text = output.read()
    ended = re.findall(r"::(.+?) (PASSED|FAILED|ERROR|SKIPPED)\b +\[", text)
    counts = Counter(state.lower() for _, state in ended)
    missed = {name: state.lower() for name, state in ended if state != "PASSED"}
    print(", ".join(f"{count} {state}" for state, count in counts.items()) or "no test has ended")
    if missed or not ended:
        print("\n".join(text.splitlines()[-TAIL:]))
    if not whole:
        print(f"cut after {seconds:.0f} s")
    return {"counts": dict(counts), "not_passed": missed, "whole": whole}


def runs(most: float) -> Iterator[Run]:
    """Return runs of every kind that the kernels of pairs know, of at most so many node updates."""
    for width in WIDTHS:
        depth, trials = (3, 70) if width > 5000 else (20, 200)
        settings: dict[str, Any] = {"ensemble": "correlated", "k": KS, "sigma_b": (0.0, 0.1)}
        if depth * trials * width * 2 * len(KS) <= most:
            yield Run(width=(width,), depth=depth, trials=trials, **settings)
    kinds: tuple[dict[str, Any], ...] = (
        {"width": (512,), "depth": 10, "trials": 128, "ensemble": "raai", "k": (1.0,)},
        {"width": (512,), "depth": 10, "trials": 128, "gradients": True},
        {"width": (70_000,), "depth": 2, "trials": 1024},
    )
    for kind in kinds:
        if kind["width"][0] * kind["depth"] * kind["trials"] <= most:
            yield Run(**kind)


def compare(most: float) -> dict[str, Any]:
    """Compare the GPU with the CPU: a line for each run, and whether all agree in law."""
    from simcore.execution.known_answer import digest

    lines: list[dict[str, Any]] = []
    for run in runs(most):
        same = digest(run) == digest(replace(run, device="cuda"))
        least = 1.0 if same else least_p(run)
        line = {"ensemble": run.ensemble, "width": run.width[0], "gradients": run.gradients}
        lines.append(line | {"same_bytes": same, "least_p": least})
        told = "same bytes" if same else f"other bytes, p = {least:.2g}"
        print(f"{run.ensemble}, N = {run.width[0]}{', gradients' * run.gradients}: {told}")
    return {"runs": lines, "same_law": all(line["least_p"] > LEAST_P for line in lines)}


def least_p(run: Run) -> float:
    """Return the least p-value, over the points, of two-sample tests of the last layer."""
    import numpy as np
    from scipy.stats import ks_2samp

    from simcore.execution.execute import execute

    many = replace(run, trials=1000, keep=1000)
    kinds = (many, replace(many, device="cuda", seed=1))
    points = [execute(plan, threads=1).points for plan in kinds]
    found = []
    for one, other in zip(*points, strict=True):
        last = [np.nan_to_num(point.trajectories[:, -1, 1], nan=1e3) for point in (one, other)]
        found.append(ks_2samp(*last).pvalue)
    return min(1.0, float(min(found)) * len(found))
