"""Notes on a run for its user, to be read before the results."""

from __future__ import annotations

from simcore.physics.ensembles import ASYMMETRIC

from .costs import sampler_costs
from .run import Run

UNBOUNDED = (
    "with `sigma_b` above 0 and the norm-preserving `sigma_w` the mean square q grows without "
    "bound; a smaller `sigma_w` bounds it"
)


def notes(run: Run, *, chosen: bool) -> list[str]:
    """Return the notes; options stand in backquotes, as in errors.

    Parameters
    ----------
    run
        The run.
    chosen
        Whether its sampler was chosen and not named.
    """
    found = []
    if run.sigma_w is None and any(run.sigma_b or ()) and run.ensemble not in ASYMMETRIC:
        found.append(UNBOUNDED)
    if run.shared:
        text = f"{run.batch} inputs through each network, sampler {run.sampler}"
        if chosen and run.weights == "normal":
            each = (f"{name} {seconds:.2g} s" for name, seconds in sampler_costs(run).items())
            text += f" ({', '.join(each)} a network, estimated)"
        found.append(text)
    if run.inputs is not None:
        from simcore.inputs.rows import notes as input_notes

        found += input_notes(run.inputs.load())
    return found
