"""The pair sampler of `rai` and `raai`: its law node by node, its bytes, parallels, its range."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from simcore.numerics.rng import Stream, fill_words, normal_pair
from simcore.physics.observables import NAMES
from simcore.runs.run import Run
from simcore.sampling.asymmetric.cpu import AsymmetricSampler
from simcore.sampling.contract import Signals
from simcore.sampling.pair.physics import Physics
from simcore.sampling.random_inputs import draw_pair

Floats = npt.NDArray[np.float64]
COLUMN = {name: i for i, name in enumerate(NAMES)}
mp = mpmath.mp.clone()
mp.dps = 100


def asymmetric_run(k: float, widths: tuple[int, ...], **options: Any) -> Run:
    ensemble = "rai" if k == 0.0 else "raai"
    return Run(depth=len(widths), layer_widths=widths, ensemble=ensemble, k=(k,), **options)


def walk(run: Run, trials: int, first_trial: int = 0) -> dict[str, Floats]:
    """Return the observables of single trials by name, shape (trial, layer)."""
    sampler = AsymmetricSampler(run)
    rows = np.empty((trials, run.depth, len(NAMES)))
    signals = Signals.sharing()
    sampler.advance(0, first_trial, 0, sampler.carry(0, 1), rows, signals)
    return {name: rows[:, :, i] for i, name in enumerate(NAMES)}


# --- the law, from explicit covariances on the same words ---------------------------------------


@njit
def _normals(words: Any, z: Any) -> None:  # pragma: no cover - compiled
    for i in range(z.shape[1]):
        z[0, i], z[1, i] = normal_pair(words[0, i], words[1, i])


def layer_draws(run: Run, trial: int, layer: int, n: int) -> tuple[Any, Any, Any]:
    """Return normals (2, N), replaced indices and β of a layer (from 1), from the counter."""
    point = run.points[0]
    width = int(point.layer_widths(run.depth)[layer - 1])
    physics = Physics.of(point)
    words = np.empty((4, width), dtype=np.uint32)
    stream = np.uint64(Stream.ASYMMETRIC)
    fill_words(words, 0, width, stream, 0, trial, layer, physics.key0, physics.key1)
    z = np.empty((2, width))
    _normals(words, z)
    index = [(int(w) * (n + 1)) >> 32 for w in words[2]]
    u = ((words[3] >> 1).astype(np.float32).astype(float) + 0.5) * 2.0**-31
    return z, index, np.sqrt(u.astype(np.float32)).astype(float)


def inputs(run: Run, trial: int) -> tuple[Any, Any]:
    """Return the two inputs of a trial, in many digits."""
    point, n0 = run.points[0], run.points[0].inputs_n
    physics = Physics.of(point)
    e1, e2, words = np.empty(n0), np.empty(n0), np.empty((4, 256), dtype=np.uint32)
    draw_pair(n0, point.q0, 0, trial, physics.key0, physics.key1, words, e1, e2)
    d = mp.mpf(point.distance)
    first, second = [mp.mpf(a) for a in e1], [mp.mpf(a) for a in e2]
    root = mp.sqrt(d * (2 - d))
    return first, [(1 - d) * a + root * b for a, b in zip(first, second, strict=True)]


def reference(run: Run, trial: int) -> list[dict[str, Any]]:
    """Return what is seen of every layer of a trial: theory.md (3) word by word, in 100 digits."""
    point = run.points[0]
    g = mp.mpf(1) if math.isinf(point.k) else mp.mpf(point.k) / (1 + mp.mpf(point.k))
    w2 = mp.mpf(point.sigma_w) ** 2
    x, y = inputs(run, trial)
    seen = []
    for layer in range(1, run.depth + 1):
        n = len(x)
        z, index, beta = layer_draws(run, trial, layer, n)
        b2 = w2 / n if point.sigma_b is None else mp.mpf(point.sigma_b) ** 2
        sums = [mp.fsum(x), mp.fsum(y), mp.fdot(x, x), mp.fdot(x, y), mp.fdot(y, y)]
        pairs = []
        for i in range(z.shape[1]):
            j, strength = index[i], mp.mpf(float(beta[i]))
            xj, yj = (x[j], y[j]) if j < n else (mp.mpf(0), mp.mpf(0))
            bias = b2 if j < n else mp.mpf(0)
            sx, sy = sums[0] - xj, sums[1] - yj
            kuu = w2 / n * (sums[2] - xj * xj - g / n * sx * sx) + bias
            kuv = w2 / n * (sums[3] - xj * yj - g / n * sx * sy) + bias
            kvv = w2 / n * (sums[4] - yj * yj - g / n * sy * sy) + bias
            mean_u, mean_v = (strength * xj, strength * yj) if j < n else (strength, strength)
            pairs.append(correlated_pair(mean_u, mean_v, kuu, kuv, kvv, *z[:, i]))
        u, v = [p[0] for p in pairs], [p[1] for p in pairs]
        seen.append(observed(u, v))
        x, y = [max(a, mp.mpf(0)) for a in u], [max(a, mp.mpf(0)) for a in v]
    return seen


def correlated_pair(
    mean_u: Any, mean_v: Any, kuu: Any, kuv: Any, kvv: Any, z1: float, z2: float
) -> tuple[Any, Any]:
    """Draw from a bivariate normal; what cancels to 1e-70 is 0."""
    if abs(kuu) < mp.mpf("1e-70") * abs(kvv) or kuu <= 0:
        return mean_u, mean_v - mp.sqrt(max(kvv, mp.mpf(0))) * mp.mpf(float(z2))
    root = mp.sqrt(kuu)
    rest = mp.sqrt(max(kvv - kuv * kuv / kuu, mp.mpf(0)))
    u = mean_u + root * mp.mpf(float(z1))
    return u, mean_v + kuv / root * mp.mpf(float(z1)) - rest * mp.mpf(float(z2))


def distance_of(u: Any, v: Any) -> tuple[Any, Any]:
    """Return 1 − c and c of two vectors in many digits, None where one is zero."""
    lengths = mp.sqrt(mp.fdot(u, u)), mp.sqrt(mp.fdot(v, v))
    if lengths[0] == 0 or lengths[1] == 0:
        return None, None
    gaps = [a / lengths[0] - b / lengths[1] for a, b in zip(u, v, strict=True)]
    half = mp.fdot(gaps, gaps) / 2
    return half, 1 - half


def observed(u: Any, v: Any) -> dict[str, Any]:
    distance, correlation = distance_of(u, v)
    off1, off2 = [a <= 0 for a in u], [a <= 0 for a in v]
    zero = mp.mpf(0)
    return {
        "q1": mp.fdot(u, u) / len(u),
        "q2": mp.fdot(v, v) / len(v),
        "distance": distance,
        "correlation": correlation,
        "inactive1": sum(off1) / len(u),
        "inactive2": sum(off2) / len(v),
        "inactive_both": sum(a and b for a, b in zip(off1, off2, strict=True)) / len(u),
        **of_activations([max(a, zero) for a in u], [max(a, zero) for a in v]),
    }


def of_activations(x: list[Any], y: list[Any]) -> dict[str, Any]:
    """Return their means and products, and the cosine and ln sin² of their angle, or None."""
    distance, cosine = distance_of(x, y)
    bent = distance is not None and min(distance, 2 - distance) > mp.mpf("1e-80")
    gaps = [a - b for a, b in zip(x, y, strict=True)]
    return {
        "cosine": cosine,
        "log_sine": mp.log(distance * (2 - distance)) if bent else None,
        "mean1": mp.fsum(x) / len(x),
        "mean2": mp.fsum(y) / len(x),
        "product": mp.fdot(x, y) / len(x),
        "variance": mp.fdot(gaps, gaps) / 2 / len(x),
    }


CASES = [
    (0.0, (3, 3, 3, 3, 3), None, 1.0),
    (0.0, (5, 2, 4, 4, 4, 4), None, 1e-3),
    (1.0, (20, 20, 20, 20, 20), None, 1e-10),
    (math.inf, (3, 5, 4, 4), None, 1e-4),
    (math.inf, (40, 7, 40, 10), 0.3, 1e-20),
    (-0.5, (10, 10, 10, 10, 10), 0.0, 1e-30),
    (0.0, (6, 6, 6, 6, 6, 6), 0.0, 1e-2),
    (0.0, (64, 100, 80, 70), None, 1e-30),
    (1.0, (100, 100, 100), 0.3, 1e-6),
    (math.inf, (70, 90, 65), 0.0, 1.9),
    (-0.5, (30, 100, 30, 100), None, 1.0),
]


RELATIVE = {"q1": 1e-12, "q2": 1e-6, "mean1": 1e-12, "mean2": 1e-6, "variance": 1e-6}


@pytest.mark.parametrize(("k", "widths", "sigma_b", "distance"), CASES)
@pytest.mark.parametrize("sigma_w", [0.6007, 1.5])
def test_layers_follow_the_explicit_law(
    k: float, widths: tuple[int, ...], sigma_b: float | None, distance: float, sigma_w: float
) -> None:
    """Every layer against 100 digits on the same words: 1 − c and q2 to 1e-6, q1 to 1e-12.

    The exceptions: one amplitude in 1e7 is given up where variances cancel (the module says where),
    and one trial of some hundred is enough to see it in q. It shows at few nodes only.
    """
    scale = None if sigma_b is None else (sigma_b,)
    run = asymmetric_run(k, widths, sigma_w=(sigma_w,), sigma_b=scale, distance=(distance,))
    trials = 12 if max(widths) < 50 else 2
    found = walk(run, trials)
    for trial in range(trials):
        for j, seen in enumerate(reference(run, trial)):
            where = (trial, j)
            for name in ("inactive1", "inactive2", "inactive_both"):
                assert found[name][where] == seen[name], (name, where)
            for name, rel in RELATIVE.items():
                assert found[name][where] == pytest.approx(float(seen[name]), rel=rel), name
            size = float(mp.sqrt(seen["q1"] * seen["q2"]))
            assert found["product"][where] == pytest.approx(float(seen["product"]), abs=1e-6 * size)
            check_angle(found, seen, where)


def check_angle(found: dict[str, Floats], seen: dict[str, Any], where: tuple[int, int]) -> None:
    for name in ("correlation", "cosine", "log_sine"):
        if seen[name] is None:
            assert math.isnan(found[name][where]), (name, where)
        else:
            near = 1e-6 if name == "log_sine" else 1e-7
            assert found[name][where] == pytest.approx(float(seen[name]), abs=near), (name, where)
    if seen["distance"] is None:
        assert math.isnan(found["distance"][where])
    elif seen["distance"] < mp.mpf("1e-80"):
        assert found["distance"][where] == 0.0
    elif 2 - seen["distance"] < mp.mpf("1e-80"):
        assert found["distance"][where] == 2.0
    else:
        expected = float(seen["distance"])
        assert found["distance"][where] == pytest.approx(expected, rel=1e-6), where
