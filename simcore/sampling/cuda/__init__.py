"""Memory, launches and statistics that the drivers of all samplers on a CUDA device share.

Start with `driver`.
"""
