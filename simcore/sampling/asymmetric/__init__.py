"""A pair of signals of `rai` or `raai`, node by node from their exact law.

Start with `physics` (the law between layers), then `nodes`, `cpu_kernels`, `cpu`.
"""
