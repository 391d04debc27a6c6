"""A pair of signals of `he` or `correlated` through networks of its own, without weight matrices.

Start with `physics` (the state between layers), then `sums` (one layer), `cpu_kernels` (loops) and
`cpu` (the driver). `cuda_kernels` takes a trial through its layers, `cuda_wide_kernels` shares wide
layers of few trials; `cuda` is their driver.
"""
