"""The command ``python -m tests.evidence``: measure, print; 1 where a verdict is another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from tests.evidence import angles, death, lengths, phases, priors, pytorch, scales
from tests.evidence.row import FULL, SMALL, Effort, Found, Row
from tests.evidence.writing import markdown, plot

FAMILIES = (angles, lengths, scales, death, priors, phases, pytorch)
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}
WRONG: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.WRONG}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 where every verdict is the one that was found before."""
    options = _parser().parse_args(arguments)
    register = WRONG if options.wrong else ROWS
    rows = [
        row
        for name, row in register.items()
        if not options.names
        or any(name == x if x in register else name.startswith(x) for x in options.names)
    ]
    if not rows:
        names = " or ".join(options.names)
        print(f"no row is called {names}; --list shows all", file=sys.stderr)
        return 2
    if options.list:
        for row in rows:
            print(f"{row.name}\n    {row.source}\n    $ {row.command}\n    {row.published}")
        return 0
    effort = replace(SMALL if options.small else FULL, seed=options.seed)
    done, surprises = [], 0
    for row, found in zip(rows, _measured(rows, effort, options.jobs), strict=True):
        surprise = found.verdict != row.expected
        surprises += surprise
        mark = f"  EXPECTED: {row.expected}" if surprise else ""
        print(f"{row.name}: {row.published} | {found.value} | {found.verdict}{mark}", flush=True)
        done.append((row, found))
        if options.plots and found.sample is not None:
            plot(row, found.sample, Path(options.plots))
    print(f"{len(rows)} rows, {surprises} with another verdict than before")
    if options.markdown:
        Path(options.markdown).write_text(markdown(done, options.seed), "utf-8")
    return 1 if surprises else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.evidence", description="Measures published numbers again."
    )
    parser.add_argument("names", nargs="*", help="names of rows or their beginnings (default: all)")
    parser.add_argument("--list", action="store_true", help="show the rows and run none")
    parser.add_argument("--small", action="store_true", help="25 times fewer networks")
    parser.add_argument("--wrong", action="store_true", help="wrong constants: all must fail")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulations (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--plots", metavar="DIR", help="draw QQ plots of whole laws into a folder")
    parser.add_argument("--markdown", metavar="FILE", help="write the table as a page")
    return parser


def _measured(rows: Sequence[Row], effort: Effort, jobs: int) -> Iterator[Found]:
    if jobs == 1:
        yield from (row.measure(effort) for row in rows)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_measure, [row.name for row in rows], repeat(effort))


def _measure(name: str, effort: Effort) -> Found:
    return (ROWS | WRONG)[name].measure(effort)


if __name__ == "__main__":
    sys.exit(main())
