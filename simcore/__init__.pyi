from . import initializers as initializers
from . import report as report
from . import theory as theory
from . import torch as torch
from . import training as training
from .calls import merge as merge
from .calls import resume as resume
from .calls import save as save
from .calls import simulate as simulate
from .errors import ClusterError as ClusterError
from .errors import DeviceError as DeviceError
from .errors import FileFormatError as FileFormatError
from .errors import InputError as InputError
from .errors import OutputError as OutputError
from .errors import SimcoreError as SimcoreError
from .figures.axes import plot as plot
from .kernel_matrices import kernels as kernels
from .results.compare import Comparison as Comparison
from .results.compare import Verdict as Verdict
from .results.compare import compare as compare
from .results.open_run import open_run as open_run
from .results.open_run import to_dataframe as to_dataframe
from .results.scaling import Scaling as Scaling
from .results.scaling import scaling as scaling
from .runs.ensemble import Ensemble as Ensemble
from .runs.run import Run as Run

__version__: str
__all__ = [
    "ClusterError",
    "Comparison",
    "DeviceError",
    "Ensemble",
    "FileFormatError",
    "InputError",
    "OutputError",
    "Run",
    "Scaling",
    "SimcoreError",
    "Verdict",
    "compare",
    "initializers",
    "kernels",
    "merge",
    "open_run",
    "plot",
    "report",
    "resume",
    "save",
    "scaling",
    "simulate",
    "theory",
    "to_dataframe",
    "torch",
    "training",
]
