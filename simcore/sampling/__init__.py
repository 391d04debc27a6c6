"""Samplers: each draws independent networks and observes them layer by layer.

`contract` says what a sampler is, `choose` picks the one of a run, `driver` and `row` hold what
all share. A folder for each family (`pair`, `asymmetric`, `batch`) has files of the same names:
physics, cpu_kernels, cpu, cuda_kernels, cuda; `cuda` holds what drivers on GPUs share.
Start with `contract`, then `pair`.

May import `runs`, `statistics`, `physics` and `numerics`.
"""
