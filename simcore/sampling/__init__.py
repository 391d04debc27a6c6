"""Samplers: each draws independent networks and observes them layer by layer.

`contract` defines a sampler, `choose` picks one for a run; `driver` and `row` are common to all. A
folder for each family (`pair`, `asymmetric`, `batch`) has files of the same names: physics,
cpu_kernels, cpu, cuda_kernels, cuda. The folder `cuda` has the common parts of drivers on GPUs.
Start with `contract`, then `pair`.

May import `runs`, `statistics`, `physics` and `numerics`.
"""
