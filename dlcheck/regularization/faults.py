"""The known mistakes in regularisation, in the order of the components: here those in penalties."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.regularization.clipping_faults import NORM
from dlcheck.regularization.clipping_value_faults import VALUE
from dlcheck.regularization.dropout_faults import DROPOUT
from dlcheck.regularization.stopping_faults import STOPPING

Array = np.ndarray

OTHER_STRENGTH = "It pulls more or less than its strength says."
NO_PULL = "Weights are not pulled to zero as asked for."


def _penalty(name: str, value: Callable[[Array, float], Any], slope: Callable[[Array, float], Any]) -> dict[str, Any]:
    """Another penalty and its gradient, of the weights and the strength."""

    def forward(weight: Array, strength: float = 1.0, **_: Any) -> Array:
        return np.asarray(value(weight, strength), np.float64)

    def backward(grad_output: Array, weight: Array, strength: float = 1.0, **_: Any) -> dict[str, Array]:
        return {"weight": grad_output * slope(weight, strength) * np.ones_like(weight)}

    return {name: forward, f"{name}_backward": backward}


def _gradient(name: str, slope: Callable[[Array, float], Any]) -> dict[str, Any]:
    mistaken = _penalty(name, lambda w, c: 0.0, slope)[f"{name}_backward"]
    return {f"{name}_backward": mistaken}


def _upstream_ignored(name: str, slope: Callable[[Array, float], Any]) -> dict[str, Any]:
    return {f"{name}_backward": lambda grad_output, weight, strength=1.0, **_: {"weight": slope(weight, strength)}}


def _rows(w: Array) -> int:
    return max(len(w), 1) if w.ndim else 1


def _column_sums(w: Array) -> Array:
    """Those of a matrix; of anything else the sum."""
    return np.abs(w).sum(axis=0) if w.ndim == 2 else np.abs(w).sum()


def _l1(id: str, says: str, effect: str, fix: str, replaces: dict[str, Any]) -> Fault:
    return Fault(id, "l1_penalty", says, effect, fix, replaces)


L1 = (
    _l1(
        "l1-penalty-mean", "it averages over the weights", OTHER_STRENGTH, "sum",
        _penalty("l1_penalty", lambda w, c: c * np.mean(np.abs(w)) if w.size else 0.0,
                 lambda w, c: c * np.sign(w) / max(w.size, 1)),
    ),
    _l1(
        "l1-penalty-halved", "it is halved, as the L2 penalty", OTHER_STRENGTH, "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: c / 2 * np.sum(np.abs(w)), lambda w, c: c / 2 * np.sign(w)),
    ),
    _l1(
        "l1-penalty-signed", "the weights are added with their signs", "Negative weights lower the loss without bound.",
        "strength * sum(|w|)", _penalty("l1_penalty", lambda w, c: c * np.sum(w), lambda w, c: c),
    ),
    _l1(
        "l1-penalty-squared", "the weights are squared", "Weights do not become zero.", "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: c * np.sum(w**2), lambda w, c: 2 * c * w),
    ),
    _l1(
        "l1-penalty-of-sum", "the absolute value is of the sum", NO_PULL, "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: c * np.abs(np.sum(w)), lambda w, c: c * np.sign(np.sum(w))),
    ),
    _l1(
        "l1-penalty-largest-column", "it is the matrix norm: the largest column's sum", NO_PULL,
        "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: c * np.max(_column_sums(w), initial=0.0),
                 lambda w, c: c * np.sign(w) * (_column_sums(w) == np.max(_column_sums(w)))),
    ),
    _l1(
        "l1-penalty-over-rows", "it is divided by the number of rows", OTHER_STRENGTH, "sum",
        _penalty("l1_penalty", lambda w, c: c * np.sum(np.abs(w)) / _rows(w), lambda w, c: c * np.sign(w) / _rows(w)),
    ),
    _l1(
        "l1-penalty-largest", "it is the largest absolute value", NO_PULL, "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: c * np.max(np.abs(w), initial=0.0),
                 lambda w, c: c * np.sign(w) * (np.abs(w) == np.max(np.abs(w), initial=0.0))),
    ),
    _l1(
        "l1-penalty-strength-squared", "strength is squared", OTHER_STRENGTH, "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: c**2 * np.sum(np.abs(w)), lambda w, c: c**2 * np.sign(w)),
    ),
    _l1(
        "l1-penalty-nan-at-zero", "|w| is the root of the square: NaN at 0", "A weight that is 0 becomes NaN.",
        "abs(w)", _gradient("l1_penalty", lambda w, c: np.where(w == 0, np.nan, c * np.sign(w))),
    ),
    _l1(
        "l1-penalty-strength-ignored", "strength is ignored", OTHER_STRENGTH, "strength * sum(|w|)",
        _penalty("l1_penalty", lambda w, c: np.sum(np.abs(w)), lambda w, c: np.sign(w)),
    ),
    _l1(
        "l1-penalty-gradient-of-l2", "the gradient is that of the squares", "Weights do not become zero.",
        "strength * sign(w)", _gradient("l1_penalty", lambda w, c: c * w),
    ),
    _l1(
        "l1-penalty-gradient-unsigned", "the gradient has no sign", "Negative weights are driven further down.",
        "strength * sign(w)", _gradient("l1_penalty", lambda w, c: c * np.abs(np.sign(w))),
    ),
    _l1(
        "l1-penalty-gradient-negated", "the gradient has the wrong sign", "Weights are pushed away from zero.",
        "strength * sign(w)", _gradient("l1_penalty", lambda w, c: -c * np.sign(w)),
    ),
    _l1(
        "l1-penalty-gradient-without-strength", "the gradient lacks strength", OTHER_STRENGTH, "strength * sign(w)",
        _gradient("l1_penalty", lambda w, c: np.sign(w)),
    ),
    _l1(
        "l1-penalty-upstream-ignored", "the upstream gradient is left out", OTHER_STRENGTH,
        "multiply by grad_output", _upstream_ignored("l1_penalty", lambda w, c: c * np.sign(w)),
    ),
)  # fmt: skip


def _l2(id: str, says: str, effect: str, fix: str, replaces: dict[str, Any]) -> Fault:
    return Fault(id, "l2_penalty", says, effect, fix, replaces)


def _halved(value: Callable[[Array], Any], slope: Callable[[Array], Any], power: int = 1) -> dict[str, Any]:
    """Another function than the sum of squares, and its gradient; strength and factor multiply it."""

    def forward(weight: Array, strength: float = 1.0, *, factor: float = 0.5) -> Array:
        return np.asarray(factor * strength**power * value(weight), np.float64)

    return {"l2_penalty": forward, **_l2_gradient(lambda w, c: c**power * slope(w) / 2)}


def _l2_gradient(slope: Callable[[Array, float], Any]) -> dict[str, Any]:
    """Another gradient, of the weights and the strength, where the factor is 1/2."""

    def backward(grad_output: Array, weight: Array, strength: float = 1.0, *, factor: float = 0.5) -> dict[str, Array]:
        return {"weight": 2 * factor * grad_output * slope(weight, strength) * np.ones_like(weight)}

    return {"l2_penalty_backward": backward}


def _euclidean(w: Array) -> Any:
    return np.sqrt(np.sum(w**2))


def _spectral(w: Array) -> tuple[float, Array]:
    """The square of a matrix's largest singular value, and its gradient; of anything else those of all squares."""
    if w.ndim != 2 or not w.size:
        return float(np.sum(w**2)), 2 * w
    left, sizes, right = np.linalg.svd(w, full_matrices=False)
    return float(sizes[0] ** 2), 2 * sizes[0] * np.outer(left[:, 0], right[0])


L2 = (
    _l2(
        "l2-penalty-root", "the root of the squares is taken", "All weights are pulled to zero together, or none.",
        "strength / 2 * sum(w^2)", _halved(_euclidean, lambda w: w / (_euclidean(w) or 1.0)),
    ),
    _l2(
        "l2-penalty-row-norms", "the norms of the rows are added", "Whole rows are pulled to zero.",
        "strength / 2 * sum(w^2)", _halved(
            lambda w: np.sum(np.sqrt(np.sum(np.atleast_1d(w) ** 2, axis=-1))) if w.ndim else w**2,
            lambda w: w / np.sqrt(np.sum(w**2, axis=-1, keepdims=True)) if w.ndim else 2 * w,
        ),
    ),
    _l2(
        "l2-penalty-spectral", "it is the matrix norm: the largest singular value", NO_PULL,
        "strength / 2 * sum(w^2)", _halved(lambda w: _spectral(w)[0], lambda w: _spectral(w)[1]),
    ),
    _l2(
        "l2-penalty-mean", "it averages over the weights", OTHER_STRENGTH, "sum",
        _halved(lambda w: np.mean(w**2) if w.size else 0.0, lambda w: 2 * w / max(w.size, 1)),
    ),
    _l2(
        "l2-penalty-over-rows", "it is divided by the number of rows", OTHER_STRENGTH, "sum",
        _halved(lambda w: np.sum(w**2) / _rows(w), lambda w: 2 * w / _rows(w)),
    ),
    _l2(
        "l2-penalty-strength-squared", "strength is squared", OTHER_STRENGTH, "strength / 2 * sum(w^2)",
        _halved(lambda w: np.sum(w**2), lambda w: 2 * w, power=2),
    ),
    _l2(
        "l2-penalty-strength-ignored", "strength is ignored", OTHER_STRENGTH, "strength / 2 * sum(w^2)",
        _halved(lambda w: np.sum(w**2), lambda w: 2 * w, power=0),
    ),
    _l2(
        "l2-penalty-absolute", "absolute values are added, as in L1", "Small weights vanish.",
        "strength / 2 * sum(w^2)", _halved(lambda w: np.sum(np.abs(w)), np.sign),
    ),
    _l2(
        "l2-penalty-square-of-sum", "the sum is squared", NO_PULL, "strength / 2 * sum(w^2)",
        _halved(lambda w: np.sum(w) ** 2, lambda w: 2 * np.sum(w)),
    ),
    _l2(
        "l2-penalty-gradient-doubled", "the gradient keeps the 2 that the 1/2 cancels", OTHER_STRENGTH, "strength * w",
        _l2_gradient(lambda w, c: 2 * c * w),
    ),
    _l2(
        "l2-penalty-gradient-halved", "the gradient is halved like the value", OTHER_STRENGTH, "strength * w",
        _l2_gradient(lambda w, c: c / 2 * w),
    ),
    _l2(
        "l2-penalty-gradient-negated", "the gradient has the wrong sign", "Weights grow without bound.",
        "strength * w", _l2_gradient(lambda w, c: -c * w),
    ),
    _l2(
        "l2-penalty-gradient-without-strength", "the gradient lacks strength", OTHER_STRENGTH, "strength * w",
        _l2_gradient(lambda w, c: w),
    ),
    _l2(
        "l2-penalty-upstream-ignored", "the upstream gradient is left out", OTHER_STRENGTH,
        "multiply by grad_output", {"l2_penalty_backward": lambda grad_output, weight, strength=1.0, *, factor=0.5: {
            "weight": 2 * factor * strength * weight}},
    ),
)  # fmt: skip

FAULTS: tuple[Fault, ...] = (*DROPOUT, *L1, *L2, *NORM, *VALUE, *STOPPING)
