"""The command ``python -m tests.verify``: run checks, print a table, exit with 1 if one fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from tests.support.table_command import chosen, measured
from tests.support.table_command import options as options_of
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
    checks = chosen(WRONG if options.wrong else CHECKS, options.names)
    if not checks:
        print(f"no check is called {' or '.join(options.names)}; --list shows all", file=sys.stderr)
        return 2
    effort = replace(SMALL if options.small else FULL, seed=options.seed)
    show = _Table(checks)
    if options.list:
        show.row("check", "source", "bound", "false alarm")
        for check in checks:
            show.check(check, check.source)
        return 0
    show.row("check", "figure", "bound", "false alarm", "verdict")
    failed = 0
    names = [check.name for check in checks]
    results = measured(_measure, "tests.verify.__main__", names, effort, options.jobs)
    for check, outcome in zip(checks, results, strict=True):
        show.check(check, outcome.figure, "holds" if outcome.holds else "FAILS")
        failed += not outcome.holds
    by_chance = sum(check.false_alarm for check in checks)
    print(f"{len(checks)} checks, {failed} failed; by chance at most {by_chance:.2g} on average")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = options_of(
        "checks", round(FULL.factor / SMALL.factor), "run deliberately wrong laws", seed=1
    )
    parser.prog = "python -m tests.verify"
    parser.description = "Checks the simulator against theory and explicit networks."
    return parser


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
