"""A pair of signals of `rai` or `raai`, node by node from their exact law.

Start with `cpu_kernels`, whose docstring explains state and units; `nodes` has the functions of a
node, `physics` those between layers, `death` and `death_of_both` the probability that a layer dies,
`cpu` the driver. `cuda_inputs` and `cuda_kernels` do the same on a GPU; `cuda` is their driver.
"""
