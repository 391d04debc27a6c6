"""The physics, once: parameters, ensembles, laws of single weights, and the observables.

`parameters` turns k into g and checks single values; `ensembles` names the laws of the weights,
`weight_laws` those of single weights; `observables` is the one register of what is measured.
Start with `observables`.

May import `numerics`.
"""
