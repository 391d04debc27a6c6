"""Interleaved timing, the hardware it ran on, and results as JSON: shared by the benchmarks."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def interleaved(work: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run each piece of work once per round, in turn; return what each returned, by name.

    Work returns the seconds it took. One round before the first is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(rounds + 1):
        for name, run in work.items():
            seconds = run()
            if round_:
                times[name].append(seconds)
    return times


def timed(run: Callable[[], Any]) -> float:
    before = time.perf_counter()
    run()
    return time.perf_counter() - before


def ratio(times: Mapping[str, list[float]], slow: str, fast: str) -> dict[str, float]:
    """Median, minimum and maximum of the per-round ratios slow/fast."""
    ratios = [a / b for a, b in zip(times[slow], times[fast], strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def hardware() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
        flags = next((x for x in lines if x.startswith("flags")), "")
        vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "SSE2"
    else:
        vectors = "unknown"
    return {
        "cpu": model,
        "vectors": vectors,
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
    }


def write(path: Path, result: Mapping[str, Any]) -> str:
    """Write a result as JSON, with the hardware, and return the text.

    A file that is there is replaced at once, so that whoever is stopped leaves a whole one.
    """
    text = json.dumps({"hardware": hardware(), **result}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text + "\n")
    part.replace(path)
    return text


def save(name: str, result: Mapping[str, Any]) -> None:
    """Print a result and write it to bench/results/NAME.json."""
    print(write(RESULTS / f"{name}.json", result))
