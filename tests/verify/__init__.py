"""Long statistical checks of the simulator against theory: ``python -m tests.verify``.

Each check compares simulations with a result of docs/theory.md or with explicit networks, and has a
bound whose rate of false alarms is known. `--list` shows all, names (or their beginnings) choose
some, `--small` takes the size that the tests of tests/laws run.

`check` says what a check is; each of the other modules has a family of checks, `CHECKS`, and the
same with a deliberately wrong law, `WRONG`, all of which must fail.
"""
