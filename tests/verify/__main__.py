"""The command ``python -m tests.verify``: run checks, print a table, exit with 1 if one fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context

from tests.verify import (
    false_alarms,
    first_order,
    gradients,
    networks,
    normals,
    pairs,
    population,
    width,
)
from tests.verify.check import FULL, SMALL, Check, Effort, Outcome

FAMILIES = (normals, pairs, gradients, networks, width, first_order, population, false_alarms)
CHECKS: dict[str, Check] = {check.name: check for family in FAMILIES for check in family.CHECKS}
WRONG: dict[str, Check] = {check.name: check for family in FAMILIES for check in family.WRONG}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 where all checks hold, 1 where one fails."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(WRONG if options.wrong else CHECKS, options.names)
    if not chosen:
        print(f"no check is called {' or '.join(options.names)}; --list shows all", file=sys.stderr)
        return 2
    effort = replace(SMALL if options.small else FULL, seed=options.seed)
    show = _Table(chosen)
    if options.list:
        show.row("check", "source", "bound", "false alarm")
        for check in chosen:
            show.check(check, check.source)
        return 0
    show.row("check", "figure", "bound", "false alarm", "verdict")
    failed = 0
    for check, outcome in zip(chosen, _measured(chosen, effort, options.jobs), strict=True):
        show.check(check, outcome.figure, "holds" if outcome.holds else "FAILS")
        failed += not outcome.holds
    by_chance = sum(check.false_alarm for check in chosen)
    print(f"{len(chosen)} checks, {failed} failed; by chance at most {by_chance:.2g} on average")
    return 1 if failed else 0


def _chosen(register: Mapping[str, Check], names: Sequence[str]) -> list[Check]:
    """Checks of these names, or whose names begin with them."""
    return [
        check
        for name, check in register.items()
        if not names
        or any(name == given if given in register else name.startswith(given) for given in names)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.verify",
        description="Checks the simulator against theory and explicit networks.",
    )
    parser.add_argument(
        "names", nargs="*", help="names of checks or their beginnings (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="show the checks and run none")
    parser.add_argument("--small", action="store_true", help=f"{FULL.factor} times fewer networks")
    parser.add_argument(
        "--wrong", action="store_true", help="run deliberately wrong laws instead: all must fail"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulations (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    return parser


def _measured(checks: Sequence[Check], effort: Effort, jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes in order, each as soon as it is there."""
    if jobs == 1:
        yield from (check.measure(effort) for check in checks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_measure, [check.name for check in checks], repeat(effort))


def _measure(name: str, effort: Effort) -> Outcome:
    return (CHECKS | WRONG)[name].measure(effort)


class _Table:
    """Prints a table of checks row by row, since each takes a while."""

    def __init__(self, checks: Sequence[Check]) -> None:
        bound = max(len(check.bound) for check in checks)
        self._widths = (max(len(check.name) for check in checks), 55, bound, 11, 7)

    def row(self, *cells: str) -> None:
        padded = (cell.ljust(width) for cell, width in zip(cells, self._widths, strict=False))
        print("  ".join(padded).rstrip(), flush=True)

    def check(self, check: Check, second: str, *last: str) -> None:
        self.row(check.name, second, check.bound, f"{check.false_alarm:.1e}", *last)


if __name__ == "__main__":
    sys.exit(main())
