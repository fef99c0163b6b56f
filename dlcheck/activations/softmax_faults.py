"""Known mistakes in softmax and log_softmax."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dlcheck.activations import reference
from dlcheck.activations.mistakes import (
    NAN,
    NO_LEARNING,
    OTHER_FUNCTION,
    SAMPLES_MIX,
    Array,
    Gradients,
    Replaces,
    Sloped,
    upstream_ignored,
)
from dlcheck.activations.reference import DefaultAxis
from dlcheck.component import Fault

# --- softmax ---------------------------------------------------------------------------------------------------------


def _axis(x: Array, dim: int | None, default_dim: DefaultAxis) -> Any:
    """The axis that the reference takes, seen from the shape of a maximum along it."""
    rank = {"by_rank": 0 if x.ndim in (0, 1, 3) else 1, "last": -1, "one": 1, "flattened": tuple(range(1, x.ndim))}
    return () if not x.ndim else rank[default_dim] if dim is None else dim


def _shifted_by(shift: Sloped, through_shift: Sloped = lambda grad, x: grad) -> dict[str, Replaces]:
    """softmax and log_softmax that subtract another shift than the row's maximum, by name.

    ``through_shift`` adds what reaches x by way of the shift: nothing, where its share cancels.
    """

    def softmax(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
        axis = _axis(x, dim, default_dim)
        exponentials = np.exp(x - shift(x, axis))
        return exponentials / _total(exponentials, axis)

    def log_softmax(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
        axis = _axis(x, dim, default_dim)
        shifted = x - shift(x, axis)
        return shifted - np.log(_total(np.exp(shifted), axis))

    def gradient(g: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Gradients:
        s = softmax(x, dim, default_dim)
        return {"x": through_shift(s * (g - _total(g * s, _axis(x, dim, default_dim))), x)}

    def log_gradient(g: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Gradients:
        s = softmax(x, dim, default_dim)
        return {"x": through_shift(g - s * _total(g, _axis(x, dim, default_dim)), x)}

    return {
        "softmax": {"softmax": softmax, "softmax_backward": gradient},
        "log_softmax": {"log_softmax": log_softmax, "log_softmax_backward": log_gradient},
    }


def _through_global_max(grad: Array, x: Array) -> Array:
    """One NaN row reaches the element that all rows were shifted by."""
    return np.where(x == x.max(initial=-np.inf), grad - grad.sum() / max(np.sum(x == x.max(initial=-np.inf)), 1), grad)


def _on_axis(name: str, axis: Callable[[Array], int]) -> Replaces:
    """The right function along an axis of the mistake's choice, whatever was asked for."""

    def forward(x: Array, *_: Any, **__: Any) -> Array:
        return getattr(reference, name)(x, axis(x))

    def backward(grad_output: Array, x: Array, *_: Any, **__: Any) -> Gradients:
        return getattr(reference, f"{name}_backward")(grad_output, x, axis(x))

    return {name: forward, f"{name}_backward": backward}


def _over_all(name: str) -> Replaces:
    def forward(x: Array, *_: Any, **__: Any) -> Array:
        return getattr(reference, name)(x.ravel(), 0).reshape(x.shape)

    def backward(grad_output: Array, x: Array, *_: Any, **__: Any) -> Gradients:
        return {"x": getattr(reference, f"{name}_backward")(grad_output.ravel(), x.ravel(), 0)["x"].reshape(x.shape)}

    return {name: forward, f"{name}_backward": backward}


def _row_gradient(name: str, gradient: Callable[[Array, Array, Array, Any], Array]) -> Replaces:
    """The gradient mistaken: a function of grad_output, x, softmax(x) and the axis."""

    def backward(
        grad_output: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank"
    ) -> Gradients:
        s = reference.softmax(x, dim, default_dim=default_dim)
        return {"x": gradient(grad_output, x, s, _axis(x, dim, default_dim))}

    return {f"{name}_backward": backward}


def _total(values: Array, axis: Any) -> Array:
    return values.sum(axis=axis, keepdims=True)


def _composed(name: str, outer: str, inner: str) -> Replaces:
    """One function of the reference after another, along the same axis, in place of ``name``."""

    def forward(x: Array, *where: Any, **axis: Any) -> Array:
        return _call(outer, _call(inner, x, *where, **axis), *where, **axis)

    def backward(grad_output: Array, x: Array, *where: Any, **axis: Any) -> Gradients:
        middle = _call(inner, x, *where, **axis)
        upstream = _call(f"{outer}_backward", grad_output, middle, *where, **axis)["x"]
        return _call(f"{inner}_backward", upstream, x, *where, **axis)

    return {name: forward, f"{name}_backward": backward}


def _call(name: str, *arguments: Any, **axis: Any) -> Any:
    """A function of the reference, or the logarithm, which has no axis."""
    if name == "log":
        return np.log(arguments[0])
    if name == "log_backward":
        return {"x": arguments[0] / arguments[1]}
    return getattr(reference, name)(*arguments, **axis)


def _both(
    id: str, says: str, effects: tuple[str, str], fix: str, replaces: Callable[[str], Any], *happened: str
) -> Iterator[Fault]:
    """The same mistake in softmax and in log_softmax."""
    for name, effect in zip(("softmax", "log_softmax"), effects, strict=True):
        yield Fault(f"{name.replace('_', '-')}-{id}", name, says, effect, fix, replaces(name), happened)


GLOBAL = _shifted_by(lambda x, axis: x.max(initial=-np.inf), _through_global_max)
UNSHIFTED = _shifted_by(lambda x, axis: np.zeros_like(x))
CLAMPED = _shifted_by(lambda x, axis: x.max(axis=axis, keepdims=True, initial=0.0))
SHIFT = "subtract the largest of each row"

SHARED = (
    *_both(
        "global-max", "the whole tensor's maximum is subtracted", (f"{SAMPLES_MIX} Rows far below become NaN.",
        f"{SAMPLES_MIX} Rows far below become infinite."), SHIFT, GLOBAL.__getitem__,
        "https://github.com/lzx1413/PytorchSSD/issues/22",
    ),
    *_both(
        "no-max-subtraction", "no maximum is subtracted, exp overflows", (NAN, NAN), SHIFT, UNSHIFTED.__getitem__,
        "https://github.com/uTensor/uTensor/pull/176", "https://github.com/apache/singa/pull/540",
        "https://github.com/blue-oil/blueoil/pull/945",
    ),
    *_both(
        "max-clamped-at-zero", "the maximum subtracted starts at 0", (NAN, NAN), f"{SHIFT}, negative or not",
        CLAMPED.__getitem__, "https://github.com/FluxML/NNlib.jl/pull/43",
        "https://github.com/uTensor/uTensor/pull/176",
    ),
    *_both(
        "last-axis-always", "dim is ignored, it runs along the last axis", (OTHER_FUNCTION, OTHER_FUNCTION),
        "run along dim", lambda name: _on_axis(name, lambda x: -1),
    ),
    *_both(
        "first-axis-always", "it runs along axis 0, over the batch", (SAMPLES_MIX, SAMPLES_MIX), "run along dim",
        lambda name: _on_axis(name, lambda x: 0),
    ),
    *_both(
        "over-all", "it runs over the whole tensor", (SAMPLES_MIX, SAMPLES_MIX), "run along dim", _over_all,
    ),
)  # fmt: skip


def _softmax(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "softmax", says, effect, fix, replaces, happened)


SOFTMAX = (
    *(fault for fault in SHARED if fault.component == "softmax"),
    _softmax(
        "softmax-backward-diagonal-only", "the gradient is elementwise, s (1 - s)", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        _row_gradient("softmax", lambda g, x, s, axis: g * s * (1 - s)),
        "https://github.com/deeplearning4j/libnd4j/issues/440",
        "https://github.com/HomericIntelligence/Odyssey/issues/2134",
        "https://github.com/RoboticsClubIITJ/ML-DL-implementation/pull/153",
    ),
    _softmax(
        "softmax-backward-without-mean", "the weighted mean is not subtracted", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        _row_gradient("softmax", lambda g, x, s, axis: g * s),
    ),
    _softmax(
        "softmax-backward-unweighted", "the sum subtracted is not weighted by s", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        _row_gradient("softmax", lambda g, x, s, axis: s * (g - _total(g, axis))),
    ),
    _softmax(
        "softmax-backward-along-last-axis", "the gradient sums along the last axis, whatever dim is", NO_LEARNING,
        "sum along dim", _row_gradient("softmax", lambda g, x, s, axis: s * (g - _total(g * s, -1))),
    ),
    _softmax(
        "softmax-backward-of-input", "the gradient uses the input for the output", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        _row_gradient("softmax", lambda g, x, s, axis: x * (g - _total(g * x, axis))),
    ),
    _softmax(
        "softmax-backward-of-log-softmax", "the gradient is that of log_softmax", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        _row_gradient("softmax", lambda g, x, s, axis: g - s * _total(g, axis)),
    ),
    _softmax(
        "softmax-twice", "softmax is taken twice",
        "Outputs lie between 1/(n - 1 + e) and e/(n - 1 + e): the loss cannot "
        "reach 0.", "pass logits, or leave out one softmax", _composed("softmax", "softmax", "softmax"),
    ),
    _softmax(
        "softmax-of-minus-x", "the exponent's sign is wrong: exp(-x)", OTHER_FUNCTION, "exp(x) / sum(exp(x))",
        {
            "softmax": lambda x, *where, **axis: reference.softmax(-x, *where, **axis),
            "softmax_backward": lambda grad_output, x, *where, **axis: reference.softmax_backward(
                -grad_output, -x, *where, **axis
            ),
        },
    ),
    upstream_ignored("softmax"),
)  # fmt: skip


def _log_softmax(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "log_softmax", says, effect, fix, replaces, happened)


def _max_not_restored(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
    axis = _axis(x, dim, default_dim)
    return reference.log_softmax(x, dim, default_dim=default_dim) + x.max(axis=axis, keepdims=True, initial=-np.inf)


def _max_not_restored_backward(
    grad_output: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank"
) -> Gradients:
    axis = _axis(x, dim, default_dim)
    largest = x == x.max(axis=axis, keepdims=True, initial=-np.inf)
    right = reference.log_softmax_backward(grad_output, x, dim, default_dim=default_dim)["x"]
    return {"x": right + largest / np.maximum(_total(largest, axis), 1) * _total(grad_output, axis)}


def _log_total(x: Array, axis: Any) -> Array:
    return np.logaddexp.reduce(x, axis=axis, keepdims=True)


def _with_epsilon(epsilon: float) -> Replaces:
    def forward(x: Array, *where: Any, **axis: Any) -> Array:
        return np.log(reference.softmax(x, *where, **axis) + epsilon)

    def backward(grad_output: Array, x: Array, *where: Any, **axis: Any) -> Gradients:
        upstream = grad_output / (reference.softmax(x, *where, **axis) + epsilon)
        return reference.softmax_backward(upstream, x, *where, **axis)

    return {"log_softmax": forward, "log_softmax_backward": backward}


LOG_SOFTMAX = (
    *(fault for fault in SHARED if fault.component == "log_softmax"),
    _log_softmax(
        "logsoftmax-backward-input-plus-grad", "the gradient is grad + exp(y)", NO_LEARNING,
        "grad - exp(y) * sum(grad)",
        _row_gradient("log_softmax", lambda g, x, s, axis: g + s),
        "https://github.com/mlpack/mlpack/issues/2360", "https://github.com/mlpack/mlpack/pull/2364",
        "https://github.com/mlpack/mlpack/pull/3469",
    ),
    _log_softmax(
        "log-softmax-backward-one-hot", "the gradient grad - s expects a one-hot grad",
        "Right below a cross-entropy of hard "
        "labels only.", "grad - exp(y) * sum(grad)", _row_gradient("log_softmax", lambda g, x, s, axis: g - s),
    ),
    _log_softmax(
        "log-softmax-backward-along-last-axis", "the gradient sums along the last axis, whatever dim is", NO_LEARNING,
        "sum along dim", _row_gradient("log_softmax", lambda g, x, s, axis: g - s * _total(g, -1)),
    ),
    _log_softmax(
        "log-softmax-backward-weighted", "the sum of the gradients is weighted by s, as in softmax", NO_LEARNING,
        "grad - exp(y) * sum(grad)", _row_gradient("log_softmax", lambda g, x, s, axis: g - s * _total(g * s, axis)),
    ),
    _log_softmax(
        "log-softmax-backward-of-output", "the gradient takes y, not exp(y)", NO_LEARNING,
        "grad - exp(y) * sum(grad)",
        _row_gradient("log_softmax", lambda g, x, s, axis: g - (x - _log_total(x, axis)) * _total(g, axis)),
    ),
    *(
        _log_softmax(
            f"log-softmax-epsilon-{epsilon}", f"it is log(softmax(x) + {epsilon})",
            "Unlikely classes get no gradient.", "x - m - log(sum(exp(x - m)))",
            _with_epsilon(float(epsilon)),
        )
        for epsilon in ("1e-7", "1e-8", "1e-9", "1e-12")
    ),
    _log_softmax(
        "log-softmax-backward-elementwise", "the gradient is elementwise, 1 - s", NO_LEARNING,
        "grad - exp(y) * sum(grad)",
        _row_gradient("log_softmax", lambda g, x, s, axis: g * (1 - s)),
    ),
    _log_softmax(
        "log-softmax-backward-of-softmax", "the gradient is that of softmax", NO_LEARNING, "grad - exp(y) * sum(grad)",
        _row_gradient("log_softmax", lambda g, x, s, axis: s * (g - _total(g * s, axis))),
    ),
    _log_softmax(
        "log-softmax-log-of-softmax", "log(softmax(x)) underflows to -inf", NAN, "x - m - log(sum(exp(x - m)))",
        _composed("log_softmax", "log", "softmax"),
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
        {
            "log_softmax": lambda x, *where, **axis: -reference.log_softmax(x, *where, **axis),
            "log_softmax_backward": lambda grad_output, x, *where, **axis: reference.log_softmax_backward(
                -grad_output, x, *where, **axis
            ),
        },
    ),
    upstream_ignored("log_softmax"),
)  # fmt: skip
