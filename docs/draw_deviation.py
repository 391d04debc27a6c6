"""Make docs/deviation.png, the picture of the README: the main run against first order in 1/N.

    python docs/draw_deviation.py

It simulates for some seconds; the run is that of `simulate --width 4096 --depth 200`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from simcore.execution.execute import execute
from simcore.figures.runs import plot
from simcore.runs.run import Run


def main() -> None:
    """Simulate the main run and draw its deviation from mean field."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "main.h5")
        execute(Run(depth=200, width=(4096,)), output=run)
        picture = Path(__file__).with_name("deviation.png")
        plot(run, "deviation", picture, overwrite=True)


if __name__ == "__main__":
    main()
