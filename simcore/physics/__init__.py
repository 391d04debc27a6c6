"""The physics, once: parameters, ensembles, weights, activation, update, rounding, observables.

`parameters` turns k into g and checks single values; `ensembles` names the laws of the weights,
`weight_laws` those of single weights; `activation` is φ with its residual, `update` the step
theory.md (4); `rounding` says when a state counts as dead or parallel; `observables` is the one
register of what is measured. Start with `observables`.

May import `numerics`.
"""
