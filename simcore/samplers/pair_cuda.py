"""Driver of the pair sampler on a CUDA device: how trials start, and what is launched for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ensembles import ASYMMETRIC
from ..errors import DeviceError
from ..plan import BLOCK, Run, Task
from . import pair
from .contract import Signals
from .cuda_blocks import CudaBlockSampler, Device

__all__ = ["PairCudaSampler"]

NODE_SECONDS, LAYER_SECONDS = 1e-11, 2e-9
"""Rough costs of a node and of a trial's layer on a device that is full; they size tasks only."""


class PairCudaSampler(CudaBlockSampler):
    """The pair sampler of Gaussian ensembles on a CUDA device (`contract.Sampler`).

    Its bytes are those of `pair_cpu.PairSampler`.

    Parameters
    ----------
    run
        The run to sample.
    device
        Where to run the kernel; None is the current CUDA device.

    Raises
    ------
    DeviceError
        If the run is of another kind, or a launch needs more memory than the device has free.
    """

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run, device)
        if run.ensemble in ASYMMETRIC or run.shared or run.sampler == "dense":
            kind = run.ensemble if run.ensemble in ASYMMETRIC else run.sampler
            raise DeviceError(
                "device",
                "cuda",
                f"samples he and correlated pairs in networks of their own, not {kind}",
                "Use --device cpu.",
            )
        self.physics = [pair.Physics.of(point) for point in run.points]

    def prepare(self) -> None:
        """Compile the kernel and those of the statistics, by running one trial."""
        tiny = PairCudaSampler(Run(depth=1, width=(1,), trials=1, keep=0, bins=1), self.device)
        tiny.run(Task(0, 0, 1, 1), None, Signals.sharing(np.zeros(1, dtype=np.int64)))

    def seconds_per_block(self, point: int) -> float:
        """Return a rough estimate of the time for a block of 64 trials, with many others."""
        widths = self.widths[point]
        return BLOCK * (float(widths.sum()) * NODE_SECONDS + widths.size * LAYER_SECONDS)

    def carried_bytes(self, point: int) -> int:
        """Return the size of a state."""
        return 8 * pair.STATE

    def start(self, point: int, first_trial: int, trials: int) -> Any:
        """Return the states of trials before their first layer, on the device."""
        states = np.empty((trials, pair.STATE))
        pair.start(self.physics[point], states)
        return self.device.put(states)

    def make_rows(self, point: int, first_trial: int, layer0: int, carried: Any, rows: Any) -> None:
        """Launch a thread block for each trial."""
        from . import pair_kernels

        self.device.launch(
            pair_kernels.advance,
            rows.shape[0],
            pair_kernels.THREADS,
            self.physics[point],
            self.device.put(self.widths[point]),
            first_trial,
            layer0,
            carried,
            rows,
        )
