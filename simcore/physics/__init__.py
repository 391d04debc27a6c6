"""The physics, once: parameters, ensembles, weights, the activation, rounding, and observables.

`parameters` turns k into g and checks single values; `ensembles` names the laws of the weights,
`weight_laws` those of single weights; `activation` is φ with its residual, `rounding` says when a
state counts as dead or parallel; `observables` is the one register of what is measured.
Start with `observables`.

May import `numerics`.
"""
