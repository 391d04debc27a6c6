"""PyTorch models by the laws of the simulator: initialize them, and compare them with theory.

The names are listed in the stub beside this file and load PyTorch on first use. May import
`initializers`, `inputs`, `runs` and `physics`. Start with `initialization`.
"""

from __future__ import annotations

from importlib.util import find_spec

import lazy_loader

from ..errors import InputError

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__ and find_spec("torch") is None:
        rule = "needs PyTorch, which is not installed"
        raise InputError("simcore.torch", name, rule, "Run: pip install 'torch>=2.4'.")
    return _load(name)
