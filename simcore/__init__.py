"""Monte Carlo simulation of signal propagation in random ReLU networks.

The public names are listed in the stub beside this file and load on first use: importing simcore
compiles nothing, opens nothing and touches no device.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
