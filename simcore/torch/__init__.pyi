from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .initialization import correlated_ as correlated_
from .initialization import he_ as he_
from .initialization import raai_ as raai_
from .initialization import rai_ as rai_
from .models import Initialized as Initialized
from .models import initialize_ as initialize_
from .tracing import trace as trace

__all__ = [
    "Comparison",
    "Initialized",
    "compare",
    "correlated_",
    "he_",
    "initialize_",
    "raai_",
    "rai_",
    "trace",
]
