"""The command ``python -m tests.evidence``: measure, print; 1 where a verdict is another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.evidence import (
    angles,
    death,
    depth_width,
    lengths,
    phases,
    priors,
    pytorch,
    scales,
    slopes,
)
from tests.evidence.row import FULL, SMALL, Effort, Found, Row
from tests.evidence.writing import PICTURE, draw_spread, markdown, plot
from tests.support.table_command import chosen, measured
from tests.support.table_command import options as options_of

FAMILIES = (angles, lengths, scales, death, priors, phases, slopes, depth_width, pytorch)
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}
WRONG: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.WRONG}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 where every verdict is the one that was found before."""
    options = _parser().parse_args(arguments)
    register = WRONG if options.wrong else ROWS
    rows = chosen(register, options.names)
    if not rows:
        asked = " or ".join(options.names)
        print(f"no row is called {asked}; --list shows all", file=sys.stderr)
        return 2
    if options.list:
        for row in rows:
            print(f"{row.name}\n    {row.source}\n    $ {row.command}\n    {row.published}")
        return 0
    effort = replace(SMALL if options.small else FULL, seed=options.seed)
    names = [row.name for row in rows]
    results = measured(
        _measure, "tests.evidence.__main__", names, effort, options.jobs, together=_source
    )
    done, surprises = [], 0
    for row, found in zip(rows, results, strict=True):
        surprise = found.verdict != row.expected
        surprises += surprise
        mark = f"  EXPECTED: {row.expected}" if surprise else ""
        print(f"{row.name}: {row.published} | {found.value} | {found.verdict}{mark}", flush=True)
        done.append((row, found))
        if options.plots and found.sample is not None:
            plot(row, found.sample, Path(options.plots))
    print(f"{len(rows)} rows, {surprises} with another verdict than before")
    if options.markdown:
        page = Path(options.markdown)
        page.write_text(markdown(done, options.seed), "utf-8")
        for _, found in done:
            if found.spread is not None:
                draw_spread(found.spread, page.with_name(PICTURE))
    return 1 if surprises else 0


def _parser() -> argparse.ArgumentParser:
    parser = options_of("rows", SMALL.divisor, "wrong constants", seed=0)
    parser.prog = "python -m tests.evidence"
    parser.description = "Measures published numbers again."
    parser.add_argument("--plots", metavar="DIR", help="draw QQ plots of whole laws into a folder")
    parser.add_argument("--markdown", metavar="FILE", help="write the table as a page")
    return parser


def _source(name: str) -> str:
    """Return the source of a row: rows of one source share runs, so one process measures them."""
    return name.partition("/")[0]


def _measure(name: str, effort: Effort) -> Found:
    return (ROWS | WRONG)[name].measure(effort)


if __name__ == "__main__":
    sys.exit(main())
