"""PyTorch models by the laws of the simulator: initialize them, and lay them beside theory.

The names are listed in the stub beside this file. They load PyTorch on first use, which comes with
the extra `simcore[torch]`; importing this package does not.
"""

from __future__ import annotations

from importlib.util import find_spec

import lazy_loader

from ..errors import InputError

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__ and find_spec("torch") is None:
        rule = "needs PyTorch, which is not installed"
        raise InputError("simcore.torch", name, rule, "Run: pip install 'simcore[torch]'.")
    return _load(name)
