"""A pair of signals of `he` or `correlated` through networks of its own, without weight matrices.

Start with `physics` (the state between layers), then `sums` (one layer), `cpu_kernels`, `cpu`.
"""
