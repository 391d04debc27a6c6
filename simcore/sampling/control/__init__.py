"""Control variates of a pair: estimates of means with most of the sampling noise subtracted.

Each layer's randomness enters through node averages whose conditional mean and covariance are known
exactly (theory.md 6). `path` has the derivatives near infinite width, once per pair; `node_law` the
conditional moments at a network's own angle; `follow` carries the controls of networks from layer
to layer, between a sampler's rows and their statistics; `way_back` has those of gradients. The room
imports sampling.row, theory and what lies below. Start with `follow`.
"""
