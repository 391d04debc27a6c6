"""Slow oracle of control variates: theory.md 6 with whole matrices, one layer after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simcore.physics.slopes import RELU, Slopes
from simcore.theory.expansion import Expansion
from simcore.theory.node_moments import Angle, mean_curves, node_covariance

Floats = npt.NDArray[np.float64]

FAULTS = ("covariance", "sign", "path")
"""Mistakes that `controls` can make on purpose: Σ is 5 % off in one entry, F'' has the other sign,
derivatives are those at the network's own state."""


MANY = 1000
"""Networks from which on the law is interpolated between as many angles, to 1e-6."""


def law(theta: Floats, phi: Slopes = RELU) -> tuple[Floats, Floats]:
    """Return μ, shape (5, n), and Σ, (5, 5, n), of one node of n networks, by quadrature."""
    if theta.size > MANY:
        grid = np.linspace(theta.min(), theta.max(), MANY)
        parts = [
            np.interp(theta, grid, row) for part in law(grid, phi) for row in part.reshape(-1, MANY)
        ]
        return np.array(parts[:5]), np.array(parts[5:]).reshape(5, 5, theta.size)
    angle = Angle.of(np.log(np.tan(theta / 2.0)))
    means, slopes, _ = mean_curves(angle, phi)
    return means, node_covariance(angle, means, slopes, phi)[0]


def controls(
    seen: Floats,
    widths: Sequence[int] | npt.NDArray[np.int64],
    path: Expansion,
    fault: str = "",
    phi: Slopes = RELU,
) -> dict[str, list[tuple[Floats, Floats, Floats]]]:
    """Return the controls, first order, second order, quadratic: of ln K₁₁, of t without and with
    the layer's own sampling, and of t of the activations.

    `seen`, shape (n, layer, 10), is what samplers write of n networks (`row.FEATURES`). Each list
    has an item for each layer, of arrays (n,).
    """
    n, layers = seen.shape[:2]
    d, e, z = np.zeros((3, n)), np.zeros((3, n)), np.zeros((3, 3, n))
    found: dict[str, list[tuple[Floats, Floats, Floats]]] = {
        "log_k": [],
        "own t": [],
        "t": [],
        "cosine_t": [],
    }
    for layer in range(layers):
        cosine, sine, *rest = seen[:, layer].T
        theta = np.arctan2(sine, cosine)
        means, covariance = law(theta, phi)
        if fault == "covariance":
            covariance = covariance.copy()
            covariance[1, 1] *= 1.05
        m, w = np.array(rest[:5]) - means, np.array(rest[5:])
        excess = np.einsum("an,bn->abn", m, m) - covariance / widths[layer]
        own = np.einsum("an,bn->abn", w, w)
        own -= np.diag([2.0, 1.0, 2.0])[:, :, None] / widths[layer]
        both = np.zeros((8, 8, n))
        both[:3, :3], both[3:, 3:] = z, excess
        both[:3, 3:] = np.einsum("an,bn->abn", d, m)
        both[3:, :3] = both[:3, 3:].transpose(1, 0, 2)
        step = np.concatenate([d, m])

        found["log_k"].append((d[0], e[0], z[0, 0]))
        found["own t"].append((d[2], e[2], z[2, 2]))
        c, s = -np.tanh(path.t[0, layer]), 1.0 / np.cosh(path.t[0, layer])
        slope = np.array([-0.5 * c, s, 0.5 * c])
        turn = s * np.array([0.5 * s, c, -0.5 * s])
        bend = np.array(
            [
                [0.25 * c, -0.5 * s, 0.25 * c],
                [-0.5 * s, -c, -0.5 * s],
                [0.25 * c, -0.5 * s, -0.75 * c],
            ]
        ) + c * np.outer(slope, slope)
        found["t"].append(
            (
                d[2] + slope @ w,
                e[2] + d[2] * (turn @ w) + 0.5 * np.einsum("ij,ijn->n", bend, own),
                z[2, 2] + 2.0 * d[2] * (slope @ w) + np.einsum("i,j,ijn->n", slope, slope, own),
            )
        )
        gradient, hessian = path.activation_gradient[0, layer], path.activation_hessian[0, layer]
        found["cosine_t"].append(
            (
                gradient @ step,
                gradient[:3] @ e + 0.5 * np.einsum("ij,ijn->n", hessian, both),
                np.einsum("i,j,ijn->n", gradient, gradient, both),
            )
        )
        gradient, hessian = path.gradient[0, layer], path.hessian[0, layer].copy()
        if fault == "sign":
            hessian[:, :3, :3] *= -1.0
        ours = np.repeat(gradient[:, :, None], n, axis=2)
        if fault == "path":
            ours = ours + np.einsum("kij,jn->kin", hessian, step)
        a, b = ours[:, :3], ours[:, 3:]
        e = np.einsum("ijn,jn->in", a, e) + 0.5 * np.einsum("kij,ijn->kn", hessian, both)
        along, across = np.einsum("ijn,jn->in", a, d), np.einsum("ijn,jn->in", b, m)
        mixed = np.einsum("an,bn->abn", along, across)
        z = np.einsum("ain,ijn,bjn->abn", a, z, a) + mixed + mixed.transpose(1, 0, 2)
        z = z + np.einsum("ain,ijn,bjn->abn", b, excess, b)
        d = along + across
    return found
