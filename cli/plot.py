"""The command `simcore plot`: one figure of a run, or of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simcore.errors import InputError
from simcore.figures.kinds import OF_RUNS, OF_TRAINING

from .config import Given, named
from .errors import CommandError
from .files import existing, expanded
from .options import Overwrite
from .table import wrapped

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A run, a quoted pattern of several: 'runs/*.h5', or training."
    ),
]
Kind = Annotated[
    str | None,
    typer.Argument(
        metavar="KIND",
        help=f"What to plot: {', '.join(OF_RUNS)}; of training: {', '.join(OF_TRAINING)}. "
        "Left out, they are listed with a line each.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Picture to write; its ending says the format. Default: the file's name and the "
        "kind, as PNG, in this folder.",
        show_default=False,
    ),
]
Observable = Annotated[
    str | None,
    typer.Option(
        help="What deviation, z, distribution and scaling show.", show_default="correlation"
    ),
]
Layer = Annotated[
    int | None,
    typer.Option(help="The layer of distribution and scaling.", show_default="the last"),
]
Size = Annotated[
    float | None,
    typer.Option(metavar="MM", help="Width: 86 is one column, 178 two.", show_default="137"),
]
Caption = Annotated[bool, typer.Option("--caption", help="Also print a draft of the caption.")]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("plot")(_plot)


def _plot(
    file: File,
    kind: Kind = None,
    output: Output = None,
    observable: Observable = None,
    layer: Layer = None,
    size: Size = None,
    caption: Caption = False,
    overwrite: Overwrite = False,
) -> int:
    """Plot a run, or training: one figure, as a paper would have it."""
    path = Path(file) if any(sign in file for sign in "*?[") else existing(file)
    if kind is None:
        return _list_kinds(path)
    from simcore.figures.runs import SIZE
    from simcore.figures.runs import drawn as draw

    stem = path.stem.strip("*?[]") or "runs"
    picture = expanded(output) if output else Path(f"{stem}-{kind}.png")
    given = {"output": str(picture), "observable": observable or ""}
    given |= {"layer": str(layer), "size": str(size)}
    try:
        made = draw(
            path,
            kind,
            picture,
            observable=observable,
            layer=layer,
            size=SIZE if size is None else size,
            overwrite=overwrite,
        )
    except InputError as error:
        if error.field == "kind":
            text = f"KIND {kind}: {error.rule}. {error.remedy}"
            raise CommandError(text, error.exit_code) from error
        if error.field == "dataset":
            text = f"{path}: {error.rule}. {error.remedy}"
            raise CommandError(text, error.exit_code) from error
        raise named(error, Given(given), set(given)) from error
    typer.echo(f"written to {picture}", err=caption)
    if caption:
        typer.echo(made.caption)
    return 0


def _list_kinds(path: Path) -> int:
    """List the figures that a file has, on stderr; return the exit code of a missing argument."""
    from simcore.file_types import TRAINING, file_type

    try:
        training = path.is_file() and file_type(path) == TRAINING
    except InputError as error:
        raise named(error, Given({}), ()) from error
    kinds = OF_TRAINING if training else OF_RUNS
    width = max(map(len, kinds))
    lines = (f"  {name:<{width}}  {words}" for name, words in kinds.items())
    typer.echo("Missing argument KIND: what to plot, one of", err=True)
    for line in wrapped(lines, indent=" " * (width + 2)):
        typer.echo(line, err=True)
    return InputError.exit_code
