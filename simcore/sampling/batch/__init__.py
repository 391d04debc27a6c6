"""Many inputs through one network: by the exact law of a layer, or by explicit weights.

`physics`: scalars of the law. On the CPU (`cpu`): `cpu_kernels` before the weights, `gram` (exact
law) or `dense` (explicit weights), `cpu_observe` after them. On CUDA (`cuda`): `arrays`, `draws`
and `array_observe`, the same as array code on CuPy or NumPy, with random numbers from
`cuda_kernels`. `common`: facts of a run for both drivers. Start with `physics`, then `cpu`.
"""
