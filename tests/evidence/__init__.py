"""The numbers of others, measured again: ``python -m tests.evidence``.

Each row has a published number, its source, our command, our value with its error, and a verdict.
`--list` shows all, names (or their beginnings) choose some, `--small` takes the size that the tests
run, `--plots` draws whole distributions, `--markdown` writes docs/evidence.md.

`row` says what a row is and how a verdict is found; each of the other modules has the rows of some
sources, `ROWS`, and some of them with a deliberately wrong constant, `WRONG`.
"""
