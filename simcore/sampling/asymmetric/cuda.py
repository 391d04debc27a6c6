"""Driver of the pair sampler of `rai` and `raai` on a CUDA device."""

from __future__ import annotations

from typing import Any

from simcore.physics.ensembles import ASYMMETRIC
from simcore.runs.run import Run
from simcore.sampling.contract import Signals
from simcore.sampling.cuda.driver import CudaBlockSampler, Device
from simcore.sampling.pair.physics import Physics
from simcore.statistics.blocks import BLOCK, Task

from .physics import DEVICE_HEAD

PARTS = 4
"""Arrays of nodes that a trial carries after its state: x and r of two layers."""


class AsymmetricCudaSampler(CudaBlockSampler):
    """The pair sampler of the asymmetric ensembles on a CUDA device.

    Its bytes are those of `cpu.AsymmetricSampler`; DeviceError if the run is of another kind.
    """

    node_seconds, layer_seconds = 1.4e-11, 5e-9

    def __init__(self, run: Run, device: Device | None = None) -> None:
        super().__init__(run, device)
        self.only_pairs(ASYMMETRIC)
        self.physics = [Physics.of(point) for point in run.points]

    def prepare(self) -> None:
        """Compile the kernels, and those of the statistics, by running one trial and two blocks."""
        signals = Signals.sharing()
        for task in (Task(0, 0, 1, 1), Task(0, 0, 2, 2 * BLOCK)):
            run = Run(depth=1, width=(1,), ensemble="rai", trials=task.trials, keep=0, bins=1)
            AsymmetricCudaSampler(run, self.device).run(task, None, signals)

    def carried_bytes(self, point: int) -> int:
        """Return the size of what one trial carries: its state, and the nodes of two layers."""
        return 8 * (DEVICE_HEAD + PARTS * (self.nodes(point) + 1))

    def start(self, point: int, first_trial: int, trials: int) -> Any:
        """Return room with the inputs of trials, which a thread block draws for each."""
        from . import cuda_inputs as kernels

        carried = super().start(point, first_trial, trials)
        size = int(self.fan_ins[point][0])
        arguments = (self.physics[point], size, first_trial, carried)
        self.device.launch(kernels.begin, trials, kernels.THREADS, *arguments)
        return carried

    def make_rows(self, point: int, first_trial: int, layer0: int, carried: Any, rows: Any) -> None:
        """Launch a thread block for each trial."""
        from . import cuda_kernels as kernels

        sizes = self.device.put(self.fan_ins[point]), self.device.put(self.widths[point])
        arguments = (self.physics[point], *sizes, first_trial, layer0, carried, rows)
        self.device.launch(kernels.advance, rows.shape[0], kernels.THREADS, *arguments)
