"""`python -m simcore`: the command `simcore`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # The folder that one works in comes first here, and its numpy.py or types.py is not meant.
    if sys.path and Path(sys.path[0]).resolve() == Path.cwd():
        del sys.path[0]
    from simcore.cli.main import main

    sys.exit(main())
