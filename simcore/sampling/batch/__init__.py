"""Many inputs through one network: by the exact law of a layer, or by explicit weights.

`gram` and `dense` draw a layer on the CPU, `draws` on arrays of NumPy or CuPy. Start with `cpu`.
"""
