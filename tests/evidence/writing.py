"""The table of evidence as a page, and QQ plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.evidence.row import Found, Row, Sample, Spread

# ruff: noqa: E501 - a paragraph of the page is a line
HEAD = """\
# Evidence: the numbers of others, measured again

Each row is a published number, our command, our value, and a verdict. `python -m tests.evidence` measures them all and writes this page (`--markdown docs/evidence.md`); `--list` shows the rows, a name or its beginning chooses some, `--plots DIR` draws QQ plots where whole laws are compared, `--wrong` takes wrong constants, all of which must fail. It exits with 1 where a verdict is not the one below.

A value's error is one standard error in its last digits: 0.1759(12) is 0.1759 ± 0.0012. *Reproduced*: within four standard errors, with the published number's own rounding, or what the row names, added. *Contradicted* is by more. A law is compared by Kolmogorov and Smirnov's test (p above 1e-4). INPUTS.npy stands for an array that the row makes (tests/evidence/death.py and pytorch.py; the rows `uva` need the package mlxtend). All rows take seven minutes of CPU time. At the small size of the tests (25 times fewer networks) no row has had another verdict on 20 seeds.

"""

PICTURE = "batch-spread.png"
SPREAD = f"""\
## Why centring steadies the mean square of a batch

![Spread over networks of the batch mean of q against depth, for k = 0, 1 and infinity, and the mean correlation of two inputs]({PICTURE})

Left: standard deviation over networks of the logarithm of the batch mean of q (512 inputs, orthogonal before the first layer), N = 128; dashed: of q of one input. Right: mean correlation of two of the inputs. A layer's weights are the same for all inputs of a batch, and so is the factor by which they change q where the inputs are alike. With independent weights (k = 0) inputs merge, c → 1: the batch is one input, and its mean wanders like a single one, with a variance of 5/N a layer. Zero-sum weights (k = ∞) keep inputs apart, c → 0: every layer changes the q of different inputs nearly independently, and the mean over the batch averages that out. A single input is no steadier for it (dashed): not the centring of one signal does it, but the decorrelation of many. k = 1 lies between, as its c* does.
"""


def markdown(done: Sequence[tuple[Row, Found]], seed: int) -> str:
    """Return the page of docs/evidence.md."""
    lines = ["| row | source | published | ours | verdict |", "|---|---|---|---|---|"]
    commands = ["", "## Commands", ""]
    for row, found in done:
        verdict = f"**{found.verdict}**" + (f": {row.why}" if row.why else "")
        cells = (f"`{row.name}`", row.source, row.published, found.value, verdict)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if any(found.spread is not None for _, found in done):
        lines += ["", SPREAD.rstrip()]
    for command in dict.fromkeys(row.command for row, _ in done):
        names = ", ".join(f"`{row.name}`" for row, _ in done if row.command == command)
        seeded = f"{command} --seed {seed}" if command.startswith("simulate") else command
        commands += [f"- {names}:", "", f"      {seeded}", ""]
    return HEAD + "\n".join([*lines, *commands]).rstrip() + "\n"


def draw_spread(spread: Mapping[str, Spread], path: Path) -> None:
    """Draw the spread over networks of a batch's mean q, and why: how far its inputs have merged."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from simcore.figures.style import COLOURS, STYLE

    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(7.0, 2.8), layout="constrained")
        spreads, merged = figure.subplots(1, 2)
        for (label, curve), colour in zip(spread.items(), COLOURS, strict=False):
            layers = np.arange(1, curve.batch.size + 1)
            spreads.plot(layers, curve.batch, color=colour, label=label)
            spreads.plot(layers, curve.single, "--", color=colour, linewidth=0.9)
            merged.plot(layers, curve.correlation, color=colour, label=label)
        spreads.plot([], [], "--", color="grey", label="one input")
        spreads.set(xlabel="layer", ylabel="std of ln of the batch mean of q", ylim=0)
        merged.set(xlabel="layer", ylabel="mean correlation c of two inputs", ylim=(-0.05, 1.0))
        for axes in (spreads, merged):
            axes.set_xticks(range(0, layers[-1] + 1, 5))
            axes.set_xlim(1)
        spreads.legend()
        figure.savefig(path)


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
