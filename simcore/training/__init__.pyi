from .plan import Digits as Digits
from .plan import TeacherStudent as TeacherStudent
from .run import resume as resume
from .run import train as train
from .store import open_training as open_training

__all__ = ["Digits", "TeacherStudent", "open_training", "resume", "train"]
