"""Training of small ReLU networks from several kinds of initial weights; needs PyTorch.

The public names are listed in the stub beside this file and load on first use. `plan` describes a
run, `agenda` lists its jobs, `engine` trains one, `run` hands them out, `store` is the file,
`statistics`, `differences` and `verdict` evaluate it. Start with `plan`.

May import `files`, `execution.progress`, `machine`, `initializers`, `runs` and `physics`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
