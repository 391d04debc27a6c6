"""Jobs of training and their results: plain values that pass between agenda, engine and file."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
_NONE = np.empty((0, 0))


class Job(NamedTuple):
    """Networks of an ensemble, by its label, that are trained as one batched model at one rate.

    The role is ``"pilot"`` or ``"measured"``; `end` is the number of the one after the last.
    """

    ensemble: str
    role: str
    rate: float
    first: int
    end: int


class Trained(NamedTuple):
    """Results of a job; NaN from the step at which a network diverged.

    - `diverged_step`: updates after which a network was found to have diverged, −1 if it did not,
      shape (networks,).
    - `validation`: final loss on validation samples, shape (networks,). Empty but for pilots.
    - `loss`, `train_loss`, `accuracy`: of the test set and of a part of the training set, shape
      (networks, recorded). The accuracy is empty where a number is predicted, all three for pilots.
    - `dead_before`, `dead_after`: fraction of nodes inactive for all inputs of the test set, shape
      (networks, hidden layers). Empty for pilots.
    """

    diverged_step: Numbers
    validation: Numbers = _NONE
    loss: Numbers = _NONE
    train_loss: Numbers = _NONE
    accuracy: Numbers = _NONE
    dead_before: Numbers = _NONE
    dead_after: Numbers = _NONE


class Pilots(NamedTuple):
    """Mean of the pilots' final validation losses at a rate, NaN if any of them diverged."""

    loss: float
    diverged: int
