"""Known mistakes in clipping gradients by their norm: norms, factors, and what is done to whom."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.regularization import reference
from dlcheck.regularization.reference import Grads

Array = np.ndarray
Clipped = tuple[list[Array | None], float]

NOT_BOUNDED = "Steps are not bounded as asked for."
TURNED = "The step no longer points along the gradient."
SHRUNK = "Small gradients are changed, too."

HELD = 0.5
"""What every element of every parameter holds, whose gradient is clipped."""


def _norm_of(values: Array, norm_type: float) -> float:
    return float(np.linalg.norm(values.ravel(), norm_type)) if values.size else 0.0


def _all(grads: Grads) -> Array:
    return np.concatenate([[], *(np.ravel(grad) for grad in grads if grad is not None)])


def _scaled(
    norm: Callable[[Grads, float], float] = lambda grads, p: _norm_of(_all(grads), p),
    factor: Callable[[float, float, float], float] | None = None,
    returned: Callable[[float, float], float] = lambda total, factor: total,
    applied: Callable[[int, Array, float], Array] = lambda index, grad, factor: grad * factor,
) -> dict[str, Any]:
    """Clipping with another norm, factor, result, or another way to apply the factor."""

    def clip_grad_norm(
        grads: Grads, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, **given: Any
    ) -> Clipped:
        total = norm(grads, norm_type)
        if error_if_nonfinite and not np.isfinite(total):
            raise ValueError("the norm is not finite")
        conventions = {name: given[name] for name in ("epsilon", "nonfinite") if name in given}
        scale = reference.clipping_factor(total, max_norm, **conventions)
        if factor is not None and np.isfinite(total):
            scale = factor(total, max_norm, given.get("epsilon", 1e-6))
        after = [None if grad is None else applied(index, grad, scale) for index, grad in enumerate(grads)]
        return after, returned(total, scale)

    return {"clip_grad_norm": clip_grad_norm}


def _given(change: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The right clipping at changed settings."""

    def clip_grad_norm(grads: Grads, **settings: Any) -> Clipped:
        return reference.clip_grad_norm(grads, **{**settings, **change(**settings)})

    return {"clip_grad_norm": clip_grad_norm}


def _by_value(grads: Grads, **settings: Any) -> Clipped:
    total = reference.clip_grad_norm(grads, **settings)[1]
    return reference.clip_grad_value(grads, settings["max_norm"]), total


def _by_value_above(grads: Grads, **settings: Any) -> Clipped:
    total = reference.clip_grad_norm(grads, **settings)[1]
    return (_by_value(grads, **settings)[0] if total > settings["max_norm"] else list(grads)), total


def _all_but_last(grads: Grads, **settings: Any) -> Clipped:
    after, total = reference.clip_grad_norm(grads, **settings)
    return [*after[:-1], *grads[-1:]], total


def _normalised(total: float, limit: float, epsilon: float) -> float:
    return limit / (total + epsilon) if total + epsilon else 1.0


def _sum_of_norms(grads: Grads, p: float) -> float:
    return sum(_norm_of(grad, p) for grad in grads if grad is not None)


def _root_mean_of_norms(grads: Grads, p: float) -> float:
    return _norm_of(_all(grads), p) / max(sum(grad is not None for grad in grads), 1)


def _without_infinity(grads: Grads, p: float) -> float:
    return _norm_of(_all(grads), 2.0 if np.isinf(p) else p)


def rows_only(given_as: str, before: list[Array | None], after: list[Array | None]) -> list[Array | None]:
    return before if given_as == "alone" else after


def _matrices_only(grads: Grads, **settings: Any) -> Clipped:
    """Vectors, which biases are, left out of the norm and of the clipping."""
    of_matrices = [grad if grad is not None and np.ndim(grad) > 1 else None for grad in grads]
    after, total = reference.clip_grad_norm(of_matrices, **settings)
    return [grad if clipped is None else clipped for grad, clipped in zip(grads, after, strict=True)], total


def _without_scalars(index: int, grad: Array, factor: float) -> Array:
    return grad * factor if np.ndim(grad) else grad


def _signed_norm(grads: Grads, p: float) -> float:
    if np.isinf(p) or p % 2 == 0:
        return _norm_of(_all(grads), p)
    return float(np.sum(_all(grads) ** p) ** (1 / p))


def gone(given_as: str, before: list[Array | None], after: list[Array | None]) -> list[Array | None]:
    return before if given_as == "generator" else after


def _norm(id: str, says: str, effect: str, fix: str, replaces: dict[str, Any], *happened: str) -> Fault:
    return Fault(id, "clip_grad_norm", says, effect, fix, replaces, happened)


NORM = (
    _norm(
        "clip-norm-zero-gradient-nan", "gradients of zeros are divided by their norm", "Weights become NaN.",
        "scale only where the norm is above max_norm",
        _scaled(factor=lambda total, limit, epsilon: (
            np.nan if total == 0 else reference.clipping_factor(total, limit, epsilon))),
        "https://github.com/PaddlePaddle/Paddle/pull/30777", "https://github.com/google-deepmind/optax/issues/1752",
    ),
    _norm(
        "clip-norm-matrices-only", "vectors are left out", NOT_BOUNDED, "one norm over all tensors",
        {"clip_grad_norm": _matrices_only},
    ),
    _norm(
        "clip-norm-scalars-left", "numbers without axes are not scaled", NOT_BOUNDED, "scale every gradient",
        _scaled(applied=_without_scalars),
    ),
    _norm(
        "clip-norm-squared-twice", "squared norms are squared again", NOT_BOUNDED, "sqrt(sum of squared norms)",
        _scaled(norm=lambda grads, p: _norm_of(np.array(
            [_norm_of(grad, p) ** (p if np.isfinite(p) else 1) for grad in grads if grad is not None]), p)),
    ),
    _norm(
        "clip-norm-infinity-rooted", "the largest element is raised to the power 1/inf", NOT_BOUNDED,
        "max(|g|) for norm_type=inf",
        _scaled(norm=lambda grads, p: _norm_of(_all(grads), p) ** (0 if np.isinf(p) else 1)),
        "https://github.com/meta-pytorch/torchrec/pull/3199",
    ),
    _norm(
        "clip-norm-always-scales", "it scales up to max_norm as well", SHRUNK, "min(1, max_norm / norm)",
        _scaled(factor=_normalised),
    ),
    _norm(
        "clip-norm-sum-of-norms", "the norms of the tensors are added", "It clips too much.",
        "the root of the sum of all squares", _scaled(norm=_sum_of_norms),
    ),
    _norm(
        "clip-norm-largest-norm", "the largest norm of a tensor is taken", NOT_BOUNDED,
        "the root of the sum of all squares",
        _scaled(norm=lambda grads, p: max((_norm_of(grad, p) for grad in grads if grad is not None), default=0.0)),
    ),
    _norm(
        "clip-norm-mean-of-tensors", "the norm is divided by the number of tensors", NOT_BOUNDED,
        "the root of the sum of all squares", _scaled(norm=_root_mean_of_norms),
    ),
    _norm(
        "clip-norm-squared", "the norm's root is not taken", "It clips too much, or too little below 1.",
        "the root of the sum of all squares",
        _scaled(norm=lambda grads, p: _norm_of(_all(grads), p) ** (1 if np.isinf(p) else p)),
    ),
    _norm(
        "clip-norm-root-mean-square", "the mean of the squares is taken, not their sum", NOT_BOUNDED,
        "the root of the sum of all squares",
        _scaled(norm=lambda grads, p: _norm_of(_all(grads), p) / max(_all(grads).size, 1) ** 0.5),
    ),
    _norm(
        "clip-norm-first-tensor", "the norm is that of the first tensor", NOT_BOUNDED, "the norm of all tensors",
        _scaled(norm=lambda grads, p: next((_norm_of(grad, p) for grad in grads if grad is not None), 0.0)),
    ),
    _norm(
        "clip-norm-last-tensor", "the norm is that of the last tensor", NOT_BOUNDED, "the norm of all tensors",
        _scaled(norm=lambda grads, p: next((_norm_of(grad, p) for grad in grads[::-1] if grad is not None), 0.0)),
    ),
    _norm(
        "clip-norm-scales-first-only", "only the first tensor is scaled", TURNED, "scale all tensors",
        _scaled(applied=lambda index, grad, factor: grad * (factor if index == 0 else 1.0)),
    ),
    _norm(
        "clip-norm-by-value", "elements are bounded, not the norm", TURNED, "scale all by one factor",
        {"clip_grad_norm": _by_value},
    ),
    _norm(
        "clip-norm-inverse-factor", "it divides by the factor", "Large gradients grow.", "multiply by max_norm / norm",
        _scaled(applied=lambda index, grad, factor: grad / factor),
    ),
    _norm(
        "clip-norm-not-in-place", "the gradients are left as they were", NOT_BOUNDED, "change .grad in place",
        _scaled(applied=lambda index, grad, factor: grad),
    ),
    _norm(
        "clip-norm-zeroes", "gradients above the norm are set to zero", "Steps after a steep place are lost.",
        "scale them", _scaled(factor=lambda total, limit, epsilon: float(total + epsilon <= limit)),
    ),
    _norm(
        "clip-norm-limit-not-applied", "it divides by the norm, without max_norm", NOT_BOUNDED,
        "multiply by max_norm / norm",
        _scaled(factor=lambda total, limit, epsilon: (
            1.0 if total + epsilon <= limit else _normalised(total, 1.0, epsilon))),
    ),
    _norm(
        "clip-norm-factor-squared", "the factor is applied twice", "It clips too much.", "scale once",
        _scaled(applied=lambda index, grad, factor: grad * factor * factor),
    ),
    _norm(
        "clip-norm-compares-square", "the squared norm is compared with max_norm", SHRUNK, "norm <= max_norm",
        _scaled(factor=lambda total, limit, epsilon: (
            1.0 if total**2 <= limit else min(_normalised(total, limit, epsilon), 1.0))),
    ),
    _norm(
        "clip-norm-type-ignored", "norm_type is ignored, it is 2", "Another norm is bounded than asked for.",
        "use norm_type", _given(lambda **_: {"norm_type": 2.0}),
    ),
    _norm(
        "clip-norm-infinity-as-sum", "the infinity norm adds up the tensors' largest", "It clips too much.",
        "the largest element of all",
        _scaled(norm=lambda grads, p: _sum_of_norms(grads, p) if np.isinf(p) else _norm_of(_all(grads), p)),
    ),
    _norm(
        "clip-norm-fraction-not-rooted", "norm_type below 1 leaves the root out", "Another norm is bounded.",
        "sum(|g|^p)^(1/p) for any p",
        _scaled(norm=lambda grads, p: _norm_of(_all(grads), p) ** min(p, 1.0)),
    ),
    _norm(
        "clip-norm-type-whole", "norm_type is cut to a whole number", "Another norm is bounded than asked for.",
        "sum(|g|^p)^(1/p) for any p",
        _given(lambda norm_type=2.0, **_: {
            "norm_type": max(np.trunc(norm_type), 1.0)}),
    ),
    _norm(
        "clip-norm-one-of-norms", "norms of tensors are joined by the 2-norm", "Another norm is bounded.",
        "join them by norm_type",
        _scaled(norm=lambda grads, p: float(np.linalg.norm([_norm_of(g, p) for g in grads if g is not None] or [0.0]))),
    ),
    _norm(
        "clip-norm-two-of-each", "each tensor has its 2-norm whatever norm_type", "Another norm is bounded.",
        "norm_type for each tensor, too",
        _scaled(norm=lambda grads, p: _norm_of(np.array([_norm_of(g, 2) for g in grads if g is not None]), p)),
    ),
    _norm(
        "clip-norm-signed-powers", "powers of negative elements keep their sign", "Odd norms are NaN or too small.",
        "sum(|g|^p)^(1/p)", _scaled(norm=_signed_norm),
    ),
    _norm(
        "clip-norm-signed-largest", "the infinity norm is the largest, not the largest |g|", NOT_BOUNDED,
        "max(|g|)", _scaled(norm=lambda grads, p: (
            float(_all(grads).max(initial=-np.inf)) if p == np.inf else _norm_of(_all(grads), p))),
    ),
    _norm(
        "clip-norm-returns-clipped", "it returns the norm after clipping", "Steep places cannot be seen in its log.",
        "return the norm as it was", _scaled(returned=lambda total, factor: total * factor),
    ),
    _norm(
        "clip-norm-returns-factor", "it returns the factor", "Its log shows no norm.", "return the norm as it was",
        _scaled(returned=lambda total, factor: factor),
    ),
    _norm(
        "clip-norm-generator-spent", "a generator is spent once the norm is known",
        "model.parameters() is a generator: nothing is clipped.", "make a list of the parameters first",
        {"reached": gone},
    ),
    _norm(
        "clip-norm-error-ignored", "error_if_nonfinite is ignored", "A diverged step goes unnoticed.",
        "raise an error", _given(lambda **_: {"error_if_nonfinite": False}),
    ),
    _norm(
        "clip-norm-nonfinite-hidden", "infinite and NaN gradients become zero", "A diverged step goes unnoticed.",
        "let NaN through, or raise an error",
        _scaled(applied=lambda index, grad, factor: (
            np.nan_to_num(grad * factor, nan=0.0, posinf=0.0, neginf=0.0))),
    ),
    _norm(
        "clip-norm-by-value-above", "elements are bounded where the norm is too large", TURNED,
        "scale all by one factor", {"clip_grad_norm": _by_value_above},
    ),
    _norm(
        "clip-norm-compares-with-square", "the norm is compared with the square of max_norm", NOT_BOUNDED,
        "norm <= max_norm",
        _scaled(factor=lambda total, limit, epsilon: (
            1.0 if total <= limit**2 else min(_normalised(total, limit, epsilon), 1.0))),
    ),
    _norm(
        "clip-norm-infinity-as-two", "the infinity norm is taken for the 2-norm", NOT_BOUNDED,
        "the largest element of all", _scaled(norm=_without_infinity),
    ),
    _norm(
        "clip-norm-epsilon-large", "0.01 is added to the norm", "It clips too much.", "max_norm / (norm + 1e-6)",
        _scaled(factor=lambda total, limit, epsilon: min(_normalised(total, limit, 1e-2), 1.0)),
    ),
    _norm(
        "clip-norm-of-parameters", "the norm is that of the parameters", NOT_BOUNDED, "the norm of p.grad, not of p",
        _scaled(norm=lambda grads, p: _norm_of(np.full_like(_all(grads), HELD), p)),
    ),
    _norm(
        "clip-norm-last-left", "the last tensor is not scaled", TURNED, "scale all tensors",
        {"clip_grad_norm": _all_but_last},
    ),
    _norm(
        "clip-norm-single-tensor", "a single tensor is gone through row by row", "Nothing is clipped.",
        "parameters = [parameters] where it is a tensor", {"reached": rows_only},
    ),
)  # fmt: skip
