"""The pair sampler with gradients on the CPU: forward through all layers of a network, and back.

No activation is kept: a layer's normals are functions of their counter, and are drawn again from a
few numbers that the way forward leaves of each layer (`way_back.keep`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.numerics.kernels import njit
from simcore.numerics.lanes import LANES
from simcore.physics.activation import in_single
from simcore.sampling.control import way_back as control

from . import back_sums, way_back
from . import sums as in_lanes
from .cpu_kernels import Scratch, draw_layer
from .physics import LIVE, NONE_LEFT, finish_layer, take_aim
from .sums import AIM, GROUPS, SUMS, TOTALS


class Back(NamedTuple):
    """Working arrays of one thread for the way back: see `way_back`."""

    nodes: back_sums.Nodes
    words: npt.NDArray[np.uint32]
    trace: npt.NDArray[np.float64]
    gradient: npt.NDArray[np.float64]
    coefficients: npt.NDArray[np.float64]
    noise_bias: npt.NDArray[np.float64]
    directions: npt.NDArray[np.float64]


@njit(nogil=True, cache=True)
def _sum_noise(slopes, width, coefficients, nodes, scratch):
    """Sum a layer's nodes, first pass, into `scratch.totals`."""
    if width < in_lanes.SMALL:
        cotangent, scale = in_lanes.double(scratch.aim)
        aim = cotangent, scale, slopes
        back_sums.small_noise(width, nodes, aim, coefficients, scratch.totals)
    else:
        cotangent, scale = in_lanes.single(scratch.aim)
        aim = cotangent, scale, in_single(slopes)
        c = back_sums.in_single(coefficients)
        back_sums.wide_noise(width, nodes, aim, c, scratch, scratch.totals)


@njit(nogil=True, cache=True)
def _sum_gradient(slopes, width, coefficients, nodes, scratch):
    """Sum a layer's nodes, second pass, into `scratch.totals`."""
    if width < in_lanes.SMALL:
        cotangent, scale = in_lanes.double(scratch.aim)
        aim = cotangent, scale, slopes
        back_sums.small_gradient(width, nodes, aim, coefficients, scratch.totals)
    else:
        cotangent, scale = in_lanes.single(scratch.aim)
        aim = cotangent, scale, in_single(slopes)
        c = back_sums.in_single(coefficients)
        back_sums.wide_gradient(width, nodes, aim, c, scratch, scratch.totals)


@njit(nogil=True, cache=True)
def _go_back(physics, widths, trial, variates, rows, back, scratch):
    """Take the gradients of one trial from the last layer to the first.

    `rows`, (layer, column), has `GRADIENTS` and perhaps the controlled values of some. A network
    that is dead for both signals has none.
    """
    trace, gradient, depth = back.trace, back.gradient, rows.shape[0]
    gradient[:] = 0.0
    for layer in range(depth - 1, -1, -1):
        width, last = widths[layer], layer == depth - 1
        alive = trace[layer, LIVE] > NONE_LEFT if last else not way_back.vanishes(gradient)
        if alive:
            back_sums.draw_nodes(physics, trial, layer + 1, width, back.nodes)
            take_aim(trace[layer], scratch.aim)
            if last:
                way_back.read_out(width, back.coefficients, gradient)
            else:
                back_sums.draw_bias(physics, trial, layer + 1, back.words, back.noise_bias)
                way_back.aim_noise(trace[layer], trace[layer + 1], gradient, back.coefficients)
                _sum_noise(physics.slopes, width, back.coefficients, back.nodes, scratch)
                way_back.aim_back(
                    physics,
                    width,
                    trace[layer],
                    trace[layer + 1],
                    scratch.totals,
                    back.noise_bias,
                    gradient,
                    back.directions,
                    back.coefficients,
                )
            _sum_gradient(physics.slopes, width, back.coefficients, back.nodes, scratch)
            for i in range(SUMS):
                gradient[i] = scratch.totals[i]
        below = max(layer - 1, 0)
        nodes_below = widths[below] if layer > 0 else 0
        way_back.observe_back(
            physics, nodes_below, trace[layer], trace[below], gradient, rows[layer]
        )
    way_back.add_up(rows)
    control.subtract(variates, rows)


@njit(nogil=True, cache=True)
def there_and_back(physics, widths, first_trial, variates, states, rows, forward, stop, progress):
    """Take consecutive trials through all layers and back.

    As `cpu_kernels.advance`; the first `forward` columns of `rows` are of the way forward and have
    its bytes, the others are `GRADIENTS` and, controlled by `variates` (`control.way_back`), some
    of them.
    """
    depth = rows.shape[1]
    scratch = Scratch(
        np.empty((4, GROUPS), np.uint32),
        np.empty(SUMS * LANES, np.float32),
        np.empty(LANES, np.int32),
        in_lanes.accumulators(),
        np.empty(TOTALS, np.float64),
        np.empty(AIM, np.float64),
    )
    back = Back(
        back_sums.nodes_of(widths[:depth].max()),
        np.empty((4, GROUPS), np.uint32),
        np.empty((depth, way_back.TRACE)),
        np.empty(way_back.GRADIENT),
        np.empty(way_back.COEFFICIENTS),
        np.empty(2),
        np.empty((2, 3)),
    )
    for t in range(states.shape[0]):
        for j in range(depth):
            if stop[0] != 0:
                return
            state, width = states[t], widths[j]
            if state[LIVE] > NONE_LEFT:
                draw_layer(physics, first_trial + t, j + 1, width, state, scratch)
            way_back.keep(physics, width, state, scratch.totals, back.trace[j])
            finish_layer(physics, width, scratch.totals, state, rows[t, j, :forward])
            progress[0] += width
        own = rows[t, :, forward:]
        _go_back(physics, widths, first_trial + t, variates, own, back, scratch)
