"""A run: what is simulated, its grid of points, its limits and its cost. It computes no result.

`run` is the frozen description; `grid` its points and the keys of their randomness; `limits` the
defaults and the rules; `costs` and `ensemble` what these need. Start with `run`.

May import `inputs`, `statistics`, `theory` (for the default of σ_w), `physics` and `numerics`.
"""
