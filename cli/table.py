"""Tables that fit the terminal: columns leave in a fixed order, and lines wrap at words.

A row is broken between cells at most, never inside a number.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import typer

ELSEWHERE = 80
"""Characters of a line where there is no terminal, and none are asked for by COLUMNS."""

LEAST, MOST = 40, 100
"""Shortest and longest line of text that is wrapped, whatever the terminal."""

GAP = "  "

NO_BREAK = "\xa0"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    heading
        Its heading.
    cells
        Its cells, one for each row.
    key
        Name by which it leaves a table that is too wide; columns of one name leave together.
    alone
        Heading where the column before it has left.
    note
        Explanation, for the lines below the table.
    """

    heading: str
    cells: Sequence[str]
    key: str = ""
    alone: str = ""
    note: str = ""

    @property
    def width(self) -> int:
        """Characters of its longest cell."""
        return max(map(len, (self.heading, *self.cells)))


def line_width() -> int:
    """Return the characters of a line: those of the terminal, COLUMNS, or `ELSEWHERE`."""
    return shutil.get_terminal_size((ELSEWHERE, 24)).columns


def fitted(columns: Sequence[Column], leaving: Sequence[str], width: int) -> list[Column]:
    """Return the columns that fit: those named in `leaving` go first, in that order."""
    gone: set[str] = set()
    for key in (*leaving, None):
        shown = [
            replace(column, heading=column.alone) if column.alone and before else column
            for column, before in zip(columns, _without_left(columns, gone), strict=True)
            if not column.key or column.key not in gone
        ]
        if key is None or table_width(shown) <= width:
            return shown
        gone.add(key)
    raise AssertionError


def _without_left(columns: Sequence[Column], gone: set[str]) -> list[bool]:
    """Return for each column whether the one before it has left."""
    left = [bool(column.key) and column.key in gone for column in columns]
    return [False, *left[:-1]]


def table_width(columns: Sequence[Column]) -> int:
    """Return the characters of a row."""
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def show_table(columns: Sequence[Column], leaving: Sequence[str] = ()) -> list[Column]:
    """Print a table whose columns are aligned to the right, and return those that are shown.

    Those named in `leaving` go where the line is too short, in that order.
    """
    width = line_width()
    shown = fitted(columns, leaving, width)
    head, *body = lines(shown, width)
    typer.echo(head)
    if sys.stdout.isatty():
        typer.echo("─" * min(width, table_width(shown)))
    for row in body:
        typer.echo(row)
    return shown


def lines(columns: Sequence[Column], width: int) -> Iterator[str]:
    """Yield heading and rows as text, each of them broken between cells where it is too long."""
    widths = [column.width for column in columns]
    for row in zip(*([column.heading, *column.cells] for column in columns), strict=True):
        cells = [cell.rjust(size) for cell, size in zip(row, widths, strict=True)]
        line, parts = cells[0], []
        for cell in cells[1:]:
            if len(line) + len(GAP) + len(cell) > width:
                parts.append(line)
                line = 2 * GAP + cell
            else:
                line += GAP + cell
        yield "\n".join([*parts, line])


def show_text(paragraphs: Iterable[str], indent: str = "") -> None:
    """Print paragraphs, wrapped at words."""
    for line in wrapped(paragraphs, indent):
        typer.echo(line)


def wrapped(paragraphs: Iterable[str], indent: str = "") -> Iterator[str]:
    """Yield the lines of paragraphs; `indent` begins all but the first of each.

    Spaces that begin a paragraph stay. Long words, such as paths, are not broken.
    """
    width = max(LEAST, min(MOST, line_width()))
    for paragraph in paragraphs:
        start = paragraph[: len(paragraph) - len(paragraph.lstrip())]
        # Formulas, such as 1 - c and k = 0, and percentages stay whole.
        whole = re.sub(r"(?<=\S) ([=-]) (?=\S)", rf"{NO_BREAK}\1{NO_BREAK}", paragraph)
        whole = re.sub(r" %", f"{NO_BREAK}%", whole)
        found = textwrap.wrap(
            whole,
            width,
            subsequent_indent=start + indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield from (line.replace(NO_BREAK, " ") for line in found or [""])
