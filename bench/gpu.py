"""Claim: the GPU gives the bytes of the CPU for pairs, at a rate near what its instructions allow.

    python bench/gpu.py --first-contact    # a bare machine: doctor, tests, then the rates
    python bench/gpu.py                    # bytes against the CPU, then the rates

Not yet run on hardware. It needs a GPU and the packages for CUDA, for a ratio PyTorch too, and ends
within --seconds: a step for which they do not suffice is skipped. The most valuable come first, and
bench/results/gpu.json is written after each: a run that is cut off leaves all that it measured.

The rates are node updates a second, interleaved in the same rounds: of the kernel alone, by events;
of a task of the sampler, statistics included; of a whole run; of its normals alone, compiled alike;
of runs with and without controls and gradients; of PyTorch with explicit weights (randn and bmm,
float32, ReLU). Of whole jobs, and of a task, the launches and the milliseconds that are the host's:
all but the kernels'. Of 1, 8 and 64 trials: a thread block for each, against many for a layer of
each. Where CuPy is installed, batches: rows against the CPU's, to six digits, and weights a second.
The static limit is what the multiprocessors can issue over the instructions of a node. The end of
the output is what was reached. Without a GPU it says so and exits with 2; the exit code is 1 if
anything is wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # from a checkout, not installed

import gpu_batches
import gpu_verify
import gpu_work
from harness import RESULTS
from steps import Steps

from simcore.machine.gpu import Findings, cupy_obstacle, look, obstacle
from simcore.numerics.compiling import prefer_wide_vectors
from simcore.runs.run import Run

SECONDS = 480.0

WIDTHS = (4096, 1024, 256, 16_384, 65_536, 1_000_000, 262_144)
"""By value: the first are those of most runs."""

NODES, WEIGHTS = 4e10, 2e11
"""Node updates, and weights of `dense`, of a run that is timed: a tenth of a second and more."""

KEPT_FOR_RATES = 150.0
"""Seconds of the rates, which the tests on hardware may not take."""

LEAST_SHARED, MOST_EXPLICIT = 65_536, 16_384
"""Widths from which few trials are timed, and up to which PyTorch's weights fit."""

JOBS: dict[str, dict[str, Any]] = {
    "default": {"width": (4096,), "trials": 1000},
    "narrow": {"width": (256,), "trials": 65_536},
    "three points": {
        "width": (1024,),
        "trials": 1000,
        "ensemble": "correlated",
        "k": (0.0, 1.0, float("inf")),
    },
}
"""Whole jobs of 200 layers, whose launches are counted."""


@dataclass(frozen=True)
class Step:
    """A step of the rates: its name, the seconds that it needs by estimate, and its work."""

    name: str
    seconds: float
    work: Callable[[], Any]


def job(name: str, nodes: float, rounds: int) -> dict[str, Any]:
    """Return what a whole job costs, and its share of the GPU's time that is the host's."""
    settings = JOBS[name]
    of_layer = settings["width"][0] * settings["trials"]
    depth = max(1, min(200, int(nodes // of_layer)))
    if of_layer > nodes:
        settings = settings | {"trials": 64, "width": (64,)}
    work, updates = gpu_work.whole_run(Run(depth=depth, device="cuda", **settings))
    return {"node_updates": updates, "depth": depth, **gpu_work.cost(work, rounds)}


def plan(options: argparse.Namespace, *, torch: bool) -> list[Step]:
    """Return the steps of the rates, the most valuable first."""
    widths, nodes, rounds = options.widths, options.nodes, options.rounds
    first, later = widths[:3], widths[3:]
    few = [width for width in widths if width >= LEAST_SHARED] or widths[:1]
    depth = max(1, min(gpu_work.FEW_DEPTH, int(nodes // (64 * max(few)))))

    def rates(width: int, **settings: Any) -> Step:
        name = f"{settings.get('ensemble', 'pairs')}, N = {width}"
        return Step(name, 10.0, lambda: gpu_work.pairs(width, nodes, rounds, **settings))

    steps = [rates(width) for width in first]
    steps += [
        Step(f"job, {name}", 8.0, lambda name=name: job(name, nodes, rounds)) for name in JOBS
    ]
    width = widths[min(1, len(widths) - 1)]
    kinds = lambda: gpu_work.options(width, nodes / 4, rounds)  # noqa: E731
    steps += [Step(f"controls and gradients, N = {width}", 20.0, kinds)]
    steps += [rates(width, ensemble="rai") for width in first[:2]]
    for width in few[:2]:
        work = lambda width=width: gpu_work.few_trials(width, rounds, depth)  # noqa: E731
        steps.append(Step(f"few trials, N = {width}", 8.0, work))
    for width in [width for width in widths if torch and width <= MOST_EXPLICIT]:
        work = lambda width=width: gpu_work.against_torch(width, nodes, rounds)  # noqa: E731
        steps.append(Step(f"PyTorch, N = {width}", 12.0, work))
    steps += [rates(width) for width in later]
    return steps


def plan_of_batches(rounds: int, *, torch: bool) -> list[Step]:
    """Return the steps of batches, the smallest first."""

    def rates(width: int, pairs: int) -> Step:
        work = lambda: gpu_batches.measure(width, pairs, WEIGHTS, rounds, with_torch=torch)  # noqa: E731
        return Step(f"batch, N = {width}, {pairs} pairs", 20.0, work)

    return [rates(*size) for size in gpu_batches.SIZES]


# --- what was reached ---------------------------------------------------------------------------


def median(found: dict[str, Any], name: str) -> str:
    return f"{found[name]['median']:>12.3g}" if name in found else f"{'':>12}"


def show_rates(done: dict[str, Any], limit: float) -> None:
    """Print node updates a second."""
    names = ("kernel", "task", "run", "normals", "plain", "controls", "gradients", "torch")
    found = {
        name: step for name, step in done.items() if isinstance(step, dict) and "run" in step
    } | {name: step for name, step in done.items() if isinstance(step, dict) and "plain" in step}
    if not found:
        return
    print(f"\nnode updates a second (static limit {limit:.3g} at the highest clock)")
    shown = [name for name in names if any(name in step for step in found.values())]
    heads = "".join(f"{name:>12}" for name in shown)
    print(f"{'':<34}{heads}{'of limit':>12}")
    for name, step in found.items():
        cells = "".join(median(step, each) for each in shown)
        share = step["kernel"]["median"] / limit if "kernel" in step else None
        counts = share is not None and not name.startswith("rai")
        print(f"{name:<34}{cells}{f'{share:>12.2f}' if counts else ''}")


def show_costs(done: dict[str, Any]) -> None:
    """Print launches, and the milliseconds of the kernels and of the host."""
    costs = {
        f"task, {name}": step["of_a_task"] for name, step in done.items() if "of_a_task" in step
    }
    costs |= {name: step for name, step in done.items() if name.startswith("job")}
    if costs:
        print(f"\n{'':<34}{'launches':>12}{'kernels, ms':>12}{'host, ms':>12}")
    for name, cost in costs.items():
        milliseconds = f"{cost['kernels_ms']:>12.3g}{cost['host_ms']:>12.3g}"
        print(f"{name:<34}{cost['launches']:>12}{milliseconds}")


def show_few(done: dict[str, Any]) -> None:
    """Print the rates of few trials."""
    rows = [row for name, step in done.items() if name.startswith("few") for row in step]
    if rows:
        print(f"\n{'few trials':<34}{'one block':>12}{'many blocks':>12}")
    for row in rows:
        name = f"N = {row['width']}, {row['trials']} trials"
        print(f"{name:<34}{median(row, 'one block')}{median(row, 'many blocks')}")


def show_batches(done: dict[str, Any]) -> None:
    """Print weights a second of batches."""
    rows = {name: step for name, step in done.items() if name.startswith("batch, ")}
    if rows:
        print(f"\n{'weights a second':<34}{'dense':>12}{'gram':>12}{'torch':>12}")
    for name, row in rows.items():
        cells = (f"{row[each]:>12.3g}" for each in ("dense", "gram", "torch") if each in row)
        print(f"{name:<34}{''.join(cells)}")


def summary(steps: Steps) -> bool:
    """Print what was reached, and return whether nothing failed."""
    done, all_steps = steps.done, steps.found["steps"]
    show_rates(done, steps.found.get("static_limit", float("nan")))
    show_costs(done)
    show_few(done)
    show_batches(done)
    print()
    wrong = [f"{c['name']}: {c['found']}" for c in done.get("doctor", ()) if c["state"] == "wrong"]
    tests = done.get("tests on hardware")
    if tests is not None:
        wrong += [f"{name}: {state}" for name, state in tests["not_passed"].items()]
        counted = ", ".join(f"{count} {state}" for state, count in tests["counts"].items())
        print(f"tests on hardware: {counted or 'none'}{'' if tests['whole'] else ', not all'}")
    if "bytes of the CPU" in done:
        compared = done["bytes of the CPU"]["runs"]
        same = sum(run["same_bytes"] for run in compared)
        print(f"the CPU's bytes: {same} of {len(compared)} runs")
        wrong += [f"N = {r['width']}: other bytes" for r in compared if not r["same_bytes"]]
    for name, step in all_steps.items():
        if "reason" in step:
            print(f"{step['state']}: {name} ({step['reason']})")
    wrong += [name for name, step in all_steps.items() if step["state"] == "failed"]
    for line in wrong:
        print(f"wrong: {line}")
    print(f"{len(done)} of {len(all_steps)} steps are done: {steps.path}")
    return not wrong


# --- the command --------------------------------------------------------------------------------


def has_torch() -> bool:
    """Return whether there is PyTorch for CUDA."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def first_contact(steps: Steps) -> None:
    """Take the steps that come before all rates, in processes that let go of the GPU."""
    compiling = gpu_verify.compile_apart()
    tests = lambda: gpu_verify.hardware_tests(steps.left - KEPT_FOR_RATES)  # noqa: E731
    try:
        steps.take("doctor", 1.0, lambda: gpu_verify.doctor(steps.left))
        gpu_verify.wait(compiling, steps.left - KEPT_FOR_RATES)
        steps.take("tests on hardware", KEPT_FOR_RATES + 10.0, tests)
    finally:
        for process in compiling:
            process.kill()


def measure(steps: Steps, options: argparse.Namespace, found: Findings) -> None:
    """Compare the GPU with the CPU, and take the steps of the rates if they agree in law."""
    import numba  # noqa: F401 - the features are set between this import and the kernels'

    prefer_wide_vectors()
    compared = steps.take("bytes of the CPU", 20.0, lambda: gpu_verify.compare(options.nodes))
    if not (compared and compared["same_law"]):
        print("without the CPU's law nothing is timed")
        return
    limit, clock = gpu_work.static_limit()
    steps.save(static_limit=limit, clock=clock, instructions=gpu_work.INSTRUCTIONS)
    torch, problem = has_torch(), cupy_obstacle(found)
    if not torch:
        steps.skip("PyTorch", "PyTorch for CUDA is not installed")
    for step in plan(options, torch=torch):
        steps.take(step.name, step.seconds, step.work)
    if options.batches and problem is not None:
        steps.skip("batches", f"cuda {problem.rule}. {problem.remedy}.")
    elif options.batches and steps.take("batches, values", 15.0, gpu_batches.agree) is not None:
        for step in plan_of_batches(options.rounds, torch=torch):
            steps.take(step.name, step.seconds, step.work)


def parsed() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    add = parser.add_argument
    add("--first-contact", action="store_true", help="begin with doctor and the tests on hardware")
    add("--seconds", type=float, default=SECONDS, help="of all steps together")
    add("--no-batches", dest="batches", action="store_false", help="leave out matrix products")
    add("--widths", type=int, nargs="+", default=list(WIDTHS))
    add("--nodes", type=float, default=NODES, help="node updates of a run that is timed")
    add("--rounds", type=int, default=5)
    add("--output", type=Path, default=RESULTS / "gpu.json")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was reached is still shown
    found = look()
    problem = obstacle(found)
    if problem is not None:
        print(f"no GPU can be used: cuda {problem.rule}. {problem.remedy}.", file=sys.stderr)
        return 2
    head = {"options": {name: str(value) for name, value in vars(options).items()}}
    steps = Steps(options.output, options.seconds, head | {"device": asdict(found)})
    try:
        if options.first_contact:
            first_contact(steps)
        measure(steps, options, found)
    except KeyboardInterrupt:
        summary(steps)
        return 130
    return 0 if summary(steps) else 1


if __name__ == "__main__":
    sys.exit(main())
