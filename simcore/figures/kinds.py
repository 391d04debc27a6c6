"""Names of the figures of runs and of training, and what they show; importing it is light."""

from __future__ import annotations

OF_RUNS = {
    "correlation": "mean correlation of the two signals by layer, with theory",
    "distance": "1 - c by layer on a logarithmic axis, for signals that merge",
    "q": "mean of ln q by layer: whether signals grow or vanish",
    "inactive": "share of inactive nodes by layer, for one signal and for both",
    "dead": "share of networks by layer that are dead",
    "dead-inputs": "share of dead nodes and of dead inputs by layer, in a run of many inputs",
    "gradient": "mean of ln |gradient|^2 by layer: whether gradients grow on their way back",
    "gradient-correlation": "correlation of the two signals' gradients by layer",
    "tangent": "tangent kernel of the pair, summed over the layers so far",
    "deviation": "mean less mean field by layer, with first order in 1/N and what that leaves",
    "z": "deviation from theory by layer, in standard errors",
    "distribution": "distribution over networks at a layer",
    "scaling": "mean at a layer against 1/N, from a run or several of different widths",
}
OF_TRAINING = {
    "loss": "test loss against the updates of the weights",
    "accuracy": "accuracy against the updates of the weights, of digits",
    "steps": "updates until the test loss reaches a reference",
    "final": "last test loss of every network, and the median",
    "differences": "ratios to the baseline, of updates and of final losses, with intervals",
    "dead": "share of nodes by layer that no input activates, before and after training",
}
