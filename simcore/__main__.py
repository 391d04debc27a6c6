"""`python -m simcore`: the command `simcore`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    # The folder that one works in comes first here, and its numpy.py or types.py is not meant.
    with suppress(FileNotFoundError):  # a folder that is gone is not there, either
        if sys.path and Path(sys.path[0]).resolve() == Path.cwd():
            del sys.path[0]
    from simcore.cli.main import main

    sys.exit(main())
