"""Known mistakes in clipping gradients by value."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.regularization import reference
from dlcheck.regularization.clipping_faults import NOT_BOUNDED, SHRUNK, TURNED, Array, gone, rows_only
from dlcheck.regularization.reference import Grads


def _value(id: str, says: str, effect: str, fix: str, replaces: dict[str, Any]) -> Fault:
    return Fault(id, "clip_grad_value", says, effect, fix, replaces)


def _elements(change: Callable[[Array, float], Array]) -> dict[str, Any]:
    def clip_grad_value(grads: Grads, clip_value: float) -> list[Array | None]:
        return [None if grad is None else change(np.asarray(grad), clip_value) for grad in grads]

    return {"clip_grad_value": clip_grad_value}


def _first_only(grads: Grads, clip_value: float) -> list[Array | None]:
    return [*reference.clip_grad_value(grads[:1], clip_value), *grads[1:]]


def _until_none(grads: Grads, clip_value: float) -> list[Array | None]:
    reached = next((index for index, grad in enumerate(grads) if grad is None), len(grads))
    return [*reference.clip_grad_value(grads[:reached], clip_value), *grads[reached:]]


def _to_norm(grads: Grads, clip_value: float) -> list[Array | None]:
    return reference.clip_grad_norm(grads, clip_value)[0]


VALUE = (
    _value(
        "clip-value-above-only", "only values above are bounded", "Steep falls pass unbounded.",
        "clamp on both sides", _elements(np.minimum),
    ),
    _value(
        "clip-value-below-only", "only values below are bounded", "Steep rises pass unbounded.",
        "clamp on both sides", _elements(lambda grad, limit: np.maximum(grad, -limit)),
    ),
    _value(
        "clip-value-sign-lost", "values beyond the limit become +limit", TURNED, "clamp to [-c, c]",
        _elements(lambda grad, limit: np.where(np.abs(grad) > limit, limit, grad)),
    ),
    _value(
        "clip-value-nan-to-zero", "NaN becomes 0", "A diverged step goes unnoticed.", "let NaN through",
        _elements(lambda grad, limit: np.clip(np.where(np.isnan(grad), 0.0, grad), -limit, limit)),
    ),
    _value(
        "clip-value-stops-at-none", "it stops at the first parameter without a gradient", NOT_BOUNDED,
        "continue, not break", {"clip_grad_value": _until_none},
    ),
    _value(
        "clip-value-below-zero", "negative values are set to zero", TURNED, "clamp to [-c, c]",
        _elements(lambda grad, limit: np.clip(grad, 0.0, limit)),
    ),
    _value(
        "clip-value-absolute", "it gives absolute values", TURNED, "clamp to [-c, c]",
        _elements(lambda grad, limit: np.minimum(np.abs(grad), limit)),
    ),
    _value(
        "clip-value-zeroes", "values beyond the limit are set to zero", TURNED, "clamp to [-c, c]",
        _elements(lambda grad, limit: np.where(np.abs(grad) > limit, 0.0, grad)),
    ),
    _value(
        "clip-value-scales", "all are scaled by the largest", SHRUNK, "clamp to [-c, c]",
        _elements(lambda grad, limit: grad * min(1.0, limit / max(np.abs(grad).max(initial=0.0), limit, 1e-300))),
    ),
    _value(
        "clip-value-is-norm", "the norm is bounded, not the elements", SHRUNK, "clamp to [-c, c]",
        {"clip_grad_value": _to_norm},
    ),
    _value(
        "clip-value-limit-ignored", "the limit is 1 whatever is asked for", NOT_BOUNDED, "use clip_value",
        _elements(lambda grad, limit: np.clip(grad, -1.0, 1.0)),
    ),
    _value(
        "clip-value-squashed", "values are squashed by tanh", SHRUNK, "clamp to [-c, c]",
        _elements(lambda grad, limit: limit * np.tanh(grad / limit) if limit else 0.0 * grad),
    ),
    _value(
        "clip-value-not-in-place", "the gradients are left as they were", NOT_BOUNDED, "change .grad in place",
        _elements(lambda grad, limit: grad),
    ),
    _value(
        "clip-value-first-only", "only the first tensor is clipped", NOT_BOUNDED, "clip all tensors",
        {"clip_grad_value": _first_only},
    ),
    _value(
        "clip-value-generator-spent", "a generator is spent before anything is clipped",
        "model.parameters() is a generator: nothing is clipped.", "go through the parameters once",
        {"reached": gone},
    ),
    _value(
        "clip-value-nan-hidden", "NaN becomes the limit", "A diverged step goes unnoticed.", "let NaN through",
        _elements(lambda grad, limit: np.fmax(np.fmin(grad, limit), -limit)),
    ),
    _value(
        "clip-value-to-the-limit", "every value becomes the limit with its sign", TURNED, "clamp to [-c, c]",
        _elements(lambda grad, limit: limit * np.nan_to_num(np.sign(grad))),
    ),
    _value(
        "clip-value-half", "the limits are half of what is asked for", SHRUNK, "clamp to [-c, c]",
        _elements(lambda grad, limit: np.clip(grad, -limit / 2, limit / 2)),
    ),
    _value(
        "clip-value-single-tensor", "a single tensor is gone through row by row", "Nothing is clipped.",
        "parameters = [parameters] where it is a tensor", {"reached": rows_only},
    ),
)  # fmt: skip
