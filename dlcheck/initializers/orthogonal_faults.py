"""Known mistakes in orthogonal initializers."""

import math
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.initializers import reference
from dlcheck.initializers.mistakes import (
    OFF_SCALE,
    Array,
    Shape,
    gains,
    mistake,
    not_random,
    sampled,
    unreached,
    without_gain,
)

TENSORFLOW = "https://github.com/tensorflow/tensorflow/pull/9429"
CHAINER = "https://github.com/chainer/chainer/pull/5615"
BLOCKS = "https://github.com/mila-iqia/blocks/pull/346"
UNIFORM = "https://github.com/tensorflow/tensorflow/pull/10719"

SPREAD = "Singular values are spread, and long products of such matrices shrink or grow."


def _matrix(shape: Shape) -> Shape:
    return shape[0], math.prod(shape[1:])


def _tall(shape: Shape) -> Shape:
    """The shape of a matrix, or of its transpose if it is wide."""
    return max(_matrix(shape)), min(_matrix(shape))


def _shaped(q: Array, shape: Shape, gain: float) -> Array:
    return gain * (q if q.shape == _matrix(shape) else q.T).reshape(shape)


def _unsigned_q(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    return _shaped(np.linalg.qr(rng.standard_normal(_tall(shape)))[0], shape, gain)


def _of_uniform(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    q, r = np.linalg.qr(rng.uniform(0, 1, _tall(shape)))
    return _shaped(q * np.where(np.diag(r) < 0, -1.0, 1.0), shape, gain)


def _unsigned_of_uniform(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    return _shaped(np.linalg.qr(rng.uniform(0, 1, _tall(shape)))[0], shape, gain)


def _square(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    return reference.orthogonal_((shape[0], shape[0]), rng, gain)


def _regrouped(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **settings: Any) -> Array:
    return reference.orthogonal_(_tall(shape), rng, gain, **settings).reshape(shape)


def _unit(axis: int) -> Any:
    def sampler(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
        drawn = rng.standard_normal(_matrix(shape))
        return (gain * drawn / np.linalg.norm(drawn, axis=axis, keepdims=True)).reshape(shape)

    return sampler


def _unit_along_longer(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    rows, columns = _matrix(shape)
    return _unit(1 if rows <= columns else 0)(shape, rng, gain)


def _scaled_gaussian(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    return gain * rng.standard_normal(shape) / math.sqrt(max(_matrix(shape)))


def _last_axis_as_columns(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **settings: Any) -> Array:
    flat = (math.prod(shape[:-1]), shape[-1])
    return reference.orthogonal_(flat, rng, gain, **settings).reshape(shape)


def _each_position(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **settings: Any) -> Array:
    made = [reference.orthogonal_(shape[:2], rng, gain, **settings) for _ in range(math.prod(shape[2:]))]
    return np.stack(made, axis=-1).reshape(shape)


def _middle_only(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **settings: Any) -> Array:
    made = np.zeros(shape)
    made[(..., *(size // 2 for size in shape[2:]))] = reference.orthogonal_(shape[:2], rng, gain, **settings)
    return made


def _fault(id: str, says: str, sampler: Any, effect: str, fix: str, *happened: str) -> Fault:
    return mistake("orthogonal_", id, says, sampled("orthogonal_", sampler), effect, fix, *happened)


ORTHOGONAL = (
    _fault(
        "init-orthogonal-no-sign-fix", "the signs of R's diagonal are not taken out of Q", _unsigned_q,
        "LAPACK fixes signs, so the matrices are not uniformly distributed: the first entry is never positive.",
        "Q = Q * sign(diag(R))", TENSORFLOW, CHAINER,
    ),
    _fault(
        "init-orthogonal-of-uniform", "the factored matrix is uniform from 0 to 1, not normal", _of_uniform,
        "All first columns are nearly alike, and so are the first filters.", "Q, R = qr(randn(rows, columns))", UNIFORM,
    ),
    _fault(
        "init-orthogonal-of-uniform-unsigned", "a uniform matrix is factored, and signs are left in Q",
        _unsigned_of_uniform, "All first columns are nearly alike, and so are the first filters.",
        "Q, R = qr(randn(rows, columns)); Q = Q * sign(diag(R))", UNIFORM,
    ),
    _fault(
        "init-orthogonal-nonsquare-made-square", "a square matrix comes back for any shape", _square,
        "The layer silently has another width.", "draw a matrix of shape (rows, columns)", BLOCKS,
    ),
    _fault(
        "init-orthogonal-regrouped", "a wide matrix is the tall one reshaped, not transposed", _regrouped, SPREAD,
        "Q = Q.T if rows < columns",
    ),
    _fault(
        "init-orthogonal-unit-rows", "rows have unit length but are not orthogonal", _unit(1), SPREAD,
        "use the Q of a QR factorisation",
    ),
    _fault(
        "init-orthogonal-unit-length", "rows or columns have unit length but are not orthogonal", _unit_along_longer,
        SPREAD, "use the Q of a QR factorisation",
    ),
    _fault(
        "init-orthogonal-gaussian", "a scaled Gaussian matrix, not an orthogonal one", _scaled_gaussian, SPREAD,
        "use the Q of a QR factorisation",
    ),
    _fault(
        "init-orthogonal-last-axis", "a kernel is flattened around its last axis", _last_axis_as_columns,
        "The map of a convolution's inputs to its outputs is not orthogonal.", "matrix = w.reshape(out, -1)",
    ),
    _fault(
        "init-orthogonal-each-position", "a kernel has one orthogonal matrix at each position", _each_position,
        "Outputs are larger by the root of the number of positions.", "matrix = w.reshape(out, -1)",
    ),
    _fault(
        "init-orthogonal-middle-only", "a kernel is zero but for an orthogonal matrix in its middle", _middle_only,
        "It is a delta-orthogonal kernel, whose norm differs where out > in.", "matrix = w.reshape(out, -1)",
    ),
    *gains("orthogonal_"),
    mistake(
        "orthogonal_", "init-orthogonal-gain-ignored-where-wide", "gain is ignored for wide matrices",
        without_gain("orthogonal_", lambda shape: _matrix(shape)[0] < _matrix(shape)[1]), OFF_SCALE,
        "multiply by gain, whatever the shape",
    ),
    *not_random("orthogonal_")[:2],
    *unreached("orthogonal_"),
)  # fmt: skip
