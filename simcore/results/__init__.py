"""Results as a user asks for them: a Dataset from one file or many, and comparisons with theory.

`open_run` reads, `combine` unites several files; `compare` and `scaling` test theory, `words` says
the verdict. Start with `open_run`.

May import `files`, `theory`, `physics`; nothing that simulates.
"""
