"""Statistics over networks: blocks of 64, mergeable moments, and the binary tree that joins them.

`blocks` says what a block and a task are; `moments` holds means, squares, covariances and
histograms in an order of summation that fixes their bytes; `tree` joins them, and holds all
statistics of a point. Start with `blocks`.

May import `physics` and `numerics`.
"""
