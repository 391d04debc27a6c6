"""A run: what is simulated, its grid of points, its limits and its cost. It computes no result.

`spec` is the description as a user gives it; `resolve` fills its gaps and holds every rule; `run`
is the resolved, frozen description; `grid` has its points and the keys of their randomness;
`limits` the defaults and limits; `costs` and `notes` say what to expect of it. Start with `run`.

May import `inputs`, `statistics`, `theory` (for the default of σ_w), `physics` and `numerics`.
"""
