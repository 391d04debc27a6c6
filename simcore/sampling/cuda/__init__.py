"""Common parts of all samplers on a CUDA device.

`device`: memory, copies, launches. `driver`: tasks put into launches. `pieces`: a launch, and the
tables that kernels read of it. `statistics`: moments and histograms reduced on the device by
`statistics_kernels`. `controls`: control variates, before that, by `controls_kernels`. Start with
`driver`.
"""
