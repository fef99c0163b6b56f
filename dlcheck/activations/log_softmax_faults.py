"""Known mistakes in log_softmax."""

from typing import Any

import numpy as np

from dlcheck.activations import reference
from dlcheck.activations.mistakes import NAN, NO_LEARNING, SAMPLES_MIX, Array, Gradients, Replaces, upstream_ignored
from dlcheck.activations.reference import DefaultAxis
from dlcheck.activations.row_mistakes import average, axis_of, composed, row_gradient, total
from dlcheck.activations.softmax_faults import SHARED
from dlcheck.component import Fault


def _log_softmax(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "log_softmax", says, effect, fix, replaces, happened)


def _max_not_restored(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
    axis = axis_of(x, dim, default_dim)
    return reference.log_softmax(x, dim, default_dim=default_dim) + x.max(axis=axis, keepdims=True, initial=-np.inf)


def _max_not_restored_backward(
    grad_output: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank"
) -> Gradients:
    axis = axis_of(x, dim, default_dim)
    largest = x == x.max(axis=axis, keepdims=True, initial=-np.inf)
    right = reference.log_softmax_backward(grad_output, x, dim, default_dim=default_dim)["x"]
    return {"x": right + largest / np.maximum(total(largest, axis), 1) * total(grad_output, axis)}


def _log_total(x: Array, axis: Any) -> Array:
    return np.logaddexp.reduce(x, axis=axis, keepdims=True)


def _scaled_log_softmax(factor: float) -> Replaces:
    return {
        "log_softmax": lambda x, *where, **axis: factor * reference.log_softmax(x, *where, **axis),
        "log_softmax_backward": lambda grad_output, x, *where, **axis: reference.log_softmax_backward(
            factor * grad_output, x, *where, **axis
        ),
    }


def _with_epsilon(epsilon: float) -> Replaces:
    def forward(x: Array, *where: Any, **axis: Any) -> Array:
        return np.log(reference.softmax(x, *where, **axis) + epsilon)

    def backward(grad_output: Array, x: Array, *where: Any, **axis: Any) -> Gradients:
        upstream = grad_output / (reference.softmax(x, *where, **axis) + epsilon)
        return reference.softmax_backward(upstream, x, *where, **axis)

    return {"log_softmax": forward, "log_softmax_backward": backward}


def _held_above(least: float) -> Replaces:
    def forward(x: Array, *where: Any, **axis: Any) -> Array:
        return np.maximum(reference.log_softmax(x, *where, **axis), least)

    def backward(grad_output: Array, x: Array, *where: Any, **axis: Any) -> Gradients:
        reached = reference.log_softmax(x, *where, **axis) >= least
        return reference.log_softmax_backward(np.where(reached, grad_output, 0.0), x, *where, **axis)

    return {"log_softmax": forward, "log_softmax_backward": backward}


LOG_SOFTMAX = (
    *(fault for fault in SHARED if fault.component == "log_softmax"),
    _log_softmax(
        "logsoftmax-backward-input-plus-grad", "the gradient is grad + exp(y)", NO_LEARNING,
        "grad - exp(y) * sum(grad)",
        row_gradient("log_softmax", lambda g, x, s, axis: g + s),
        "https://github.com/mlpack/mlpack/issues/2360", "https://github.com/mlpack/mlpack/pull/2364",
        "https://github.com/mlpack/mlpack/pull/3469",
    ),
    _log_softmax(
        "log-softmax-backward-one-hot", "the gradient grad - s expects a one-hot grad",
        "Right below a cross-entropy of hard "
        "labels only.", "grad - exp(y) * sum(grad)", row_gradient("log_softmax", lambda g, x, s, axis: g - s),
    ),
    _log_softmax(
        "log-softmax-backward-along-last-axis", "the gradient sums along the last axis, whatever dim is", NO_LEARNING,
        "sum along dim", row_gradient("log_softmax", lambda g, x, s, axis: g - s * total(g, -1)),
    ),
    _log_softmax(
        "log-softmax-backward-weighted", "the sum of the gradients is weighted by s, as in softmax", NO_LEARNING,
        "grad - exp(y) * sum(grad)", row_gradient("log_softmax", lambda g, x, s, axis: g - s * total(g * s, axis)),
    ),
    _log_softmax(
        "log-softmax-backward-of-output", "the gradient takes y, not exp(y)", NO_LEARNING,
        "grad - exp(y) * sum(grad)",
        row_gradient("log_softmax", lambda g, x, s, axis: g - (x - _log_total(x, axis)) * total(g, axis)),
    ),
    *(
        _log_softmax(
            f"log-softmax-epsilon-{epsilon}", f"it is log(softmax(x) + {epsilon})",
            "Unlikely classes get no gradient.", "x - m - log(sum(exp(x - m)))",
            _with_epsilon(float(epsilon)),
        )
        for epsilon in ("1e-6", "1e-7", "1e-8", "1e-9", "1e-10", "1e-12")
    ),
    _log_softmax(
        "log-softmax-backward-over-all", "the gradient is summed over the whole tensor", SAMPLES_MIX,
        "sum along dim", row_gradient("log_softmax", lambda g, x, s, axis: g - s * g.sum()),
    ),
    _log_softmax(
        "log-softmax-backward-averaged", "a mean is subtracted in place of the sum", NO_LEARNING,
        "grad - exp(y) * sum(grad)", row_gradient("log_softmax", lambda g, x, s, axis: g - s * average(g, axis)),
    ),
    _log_softmax(
        "log-softmax-base-two", "the logarithm has base 2", "The loss of it is 1.44 times as large.",
        "natural logarithm", _scaled_log_softmax(1 / np.log(2)),
    ),
    _log_softmax(
        "log-softmax-base-ten", "the logarithm has base 10", "The loss of it is 0.43 times as large.",
        "natural logarithm", _scaled_log_softmax(1 / np.log(10)),
    ),
    _log_softmax(
        "log-softmax-backward-elementwise", "the gradient is elementwise, 1 - s", NO_LEARNING,
        "grad - exp(y) * sum(grad)",
        row_gradient("log_softmax", lambda g, x, s, axis: g * (1 - s)),
    ),
    _log_softmax(
        "log-softmax-backward-of-softmax", "the gradient is that of softmax", NO_LEARNING, "grad - exp(y) * sum(grad)",
        row_gradient("log_softmax", lambda g, x, s, axis: s * (g - total(g * s, axis))),
    ),
    _log_softmax(
        "log-softmax-log-of-softmax", "log(softmax(x)) underflows to -inf", NAN, "x - m - log(sum(exp(x - m)))",
        composed("log_softmax", "log", "softmax"),
    ),
    _log_softmax(
        "log-softmax-without-log", "it is softmax, without the logarithm",
        "The loss of it is bounded and hardly learns.",
        "x - m - log(sum(exp(x - m)))",
        {"log_softmax": reference.softmax, "log_softmax_backward": reference.softmax_backward},
    ),
    _log_softmax(
        "log-softmax-max-not-restored", "the maximum is not added back to the log-sum",
        "Shifting a row changes the result.",
        "x - m - log(sum(exp(x - m)))",
        {"log_softmax": _max_not_restored, "log_softmax_backward": _max_not_restored_backward},
    ),
    _log_softmax(
        "log-softmax-negated", "the sign is wrong", "Training climbs the loss.", "x - m - log(sum(exp(x - m)))",
        _scaled_log_softmax(-1.0),
    ),
    _log_softmax(
        "log-softmax-clamped", "it is held above -100", "Confident wrong rows get no gradient.",
        "x - m - log(sum(exp(x - m)))", _held_above(-100.0),
    ),
    upstream_ignored("log_softmax"),
)  # fmt: skip
