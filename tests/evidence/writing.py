"""The table of evidence as a page, and QQ plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.evidence.row import Found, Row, Sample

# ruff: noqa: E501 - a paragraph of the page is a line
HEAD = """\
# Evidence: the numbers of others, measured again

Each row is a published number, our command, our value, and a verdict. `python -m tests.evidence` measures them all and writes this page (`--markdown docs/evidence.md`); `--list` shows the rows, a name or its beginning chooses some, `--plots DIR` draws QQ plots where whole laws are compared, `--wrong` takes wrong constants, all of which must fail. It exits with 1 where a verdict is not the one below.

A value's error is one standard error in its last digits: 0.1759(12) is 0.1759 ± 0.0012. *Reproduced*: within four standard errors, with the published number's own rounding, or what the row names, added. *Contradicted* is by more. A law is compared by Kolmogorov and Smirnov's test (p above 1e-4). INPUTS.npy stands for an array that the row makes (tests/evidence/death.py).

"""


def markdown(done: Sequence[tuple[Row, Found]], seed: int) -> str:
    """Return the page of docs/evidence.md."""
    lines = ["| row | source | published | ours | verdict |", "|---|---|---|---|---|"]
    commands = ["", "## Commands", ""]
    for row, found in done:
        verdict = f"**{found.verdict}**" + (f": {row.why}" if row.why else "")
        cells = (f"`{row.name}`", row.source, row.published, found.value, verdict)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for command in dict.fromkeys(row.command for row, _ in done):
        names = ", ".join(f"`{row.name}`" for row, _ in done if row.command == command)
        seeded = f"{command} --seed {seed}" if command.startswith("simulate") else command
        commands += [f"- {names}:", "", f"      {seeded}", ""]
    return HEAD + "\n".join([*lines, *commands]).rstrip() + "\n"


def plot(row: Row, sample: Sample, folder: Path) -> None:
    """Draw the quantiles of ours against those of the published law."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    shares = (np.arange(200) + 0.5) / 200
    ours, published = (np.quantile(x, shares) for x in (sample.ours, sample.published))
    figure = Figure(figsize=(4.0, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(published, published, color="black", linewidth=0.8)
    axes.plot(published, ours, ".", markersize=3)
    axes.set(xlabel=f"{sample.quantity}, published law", ylabel="simcore", title=row.name)
    figure.savefig(folder / (row.name.replace("/", " ").replace(" ", "-") + ".png"), dpi=150)
