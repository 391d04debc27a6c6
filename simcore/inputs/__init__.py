"""Inputs from a user's file, and the pairs of them that a run follows.

`matrices` reads .npy, .npz, HDF5 and .csv; `rows` checks and digests them; `pairs` chooses pairs
and measures their geometry; `input_set` is the part of all this that a run keeps. Start with
`input_set`.

May import `physics` and `numerics`.
"""
