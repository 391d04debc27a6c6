"""Inputs from a user's file, and the pairs of them that a run follows.

`matrices` reads .npy, .npz, HDF5 and .csv; `rows` checks and digests them; `pairs` chooses pairs
and measures how they lie; `input_set` is what a run keeps of all that. Start with `input_set`.

May import `physics` and `numerics`.
"""
