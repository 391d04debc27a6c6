from . import theory as theory
from .analysis import open_run as open_run
from .ensembles import Ensemble as Ensemble
from .errors import ClusterError as ClusterError
from .errors import DeviceError as DeviceError
from .errors import FileFormatError as FileFormatError
from .errors import InputError as InputError
from .errors import OutputError as OutputError
from .errors import SimcoreError as SimcoreError
from .plan import Run as Run
from .simulation import merge as merge
from .simulation import resume as resume
from .simulation import simulate as simulate

__version__: str
__all__ = [
    "ClusterError",
    "DeviceError",
    "Ensemble",
    "FileFormatError",
    "InputError",
    "OutputError",
    "Run",
    "SimcoreError",
    "merge",
    "open_run",
    "resume",
    "simulate",
    "theory",
]
