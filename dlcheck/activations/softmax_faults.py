"""Known mistakes in softmax, and those that log_softmax shares."""

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
    Function,
    Gradients,
    Replaces,
    upstream_ignored,
)
from dlcheck.activations.reference import DefaultAxis
from dlcheck.activations.row_mistakes import (
    average,
    axis_of,
    composed,
    on_axis,
    over_all,
    row_gradient,
    shifted_by,
    total,
)
from dlcheck.component import Fault


def _through_global_max(grad: Array, x: Array) -> Array:
    """One NaN row reaches the element that all rows were shifted by."""
    return np.where(x == x.max(initial=-np.inf), grad - grad.sum() / max(np.sum(x == x.max(initial=-np.inf)), 1), grad)


def _first_max(x: Array, axis: Any = 0) -> Array:
    return x.max(axis=0, keepdims=True, initial=-np.inf) if x.ndim else x


def _through_first_max(grad: Array, x: Array) -> Array:
    """Elements of a row are shifted by different amounts, whose gradients do not cancel."""
    if not x.ndim:
        return np.zeros_like(grad)
    largest = x == _first_max(x)
    return grad - largest / np.maximum(total(largest, 0), 1) * total(grad, 0)


def _normalised(
    numerator: Function, derivative: Function, more: float, shifted: bool = True, whole: bool = False
) -> Replaces:
    """Another function of x, less the row's maximum if ``shifted``, over its sum and ``more``."""

    def pieces(x: Array, dim: int | None, default_dim: DefaultAxis) -> tuple[Array, Array, Array, Any]:
        axis = axis_of(x, dim, default_dim)
        z = x - x.max(axis=axis, keepdims=True, initial=-np.inf) if shifted else x
        along = tuple(range(x.ndim)) if whole else axis
        return z, numerator(z), total(numerator(z), along) + more, along

    def forward(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
        _, above, below, _ = pieces(x, dim, default_dim)
        return above / below

    def backward(g: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Gradients:
        z, above, below, along = pieces(x, dim, default_dim)
        reached = derivative(z) / below * (g - total(g * above / below, along))
        if not shifted:
            return {"x": reached}
        axis = axis_of(x, dim, default_dim)
        largest = x == x.max(axis=axis, keepdims=True, initial=-np.inf)
        return {"x": reached - largest / np.maximum(total(largest, axis), 1) * total(reached, axis)}

    return {"softmax": forward, "softmax_backward": backward}


def _both(
    id: str, says: str, effects: tuple[str, str], fix: str, replaces: Callable[[str], Any], *happened: str
) -> Iterator[Fault]:
    """The same mistake in softmax and in log_softmax."""
    for name, effect in zip(("softmax", "log_softmax"), effects, strict=True):
        yield Fault(f"{name.replace('_', '-')}-{id}", name, says, effect, fix, replaces(name), happened)


GLOBAL = shifted_by(lambda x, axis: x.max(initial=-np.inf), _through_global_max)
UNSHIFTED = shifted_by(lambda x, axis: np.zeros_like(x))
CLAMPED = shifted_by(lambda x, axis: x.max(axis=axis, keepdims=True, initial=0.0))
SHIFT = "subtract the largest of each row"
NARROW = "Digits are lost, or sums overflow, that were to be kept in a wider dtype."

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
        "run along dim", lambda name: on_axis(name, lambda x: -1),
    ),
    *_both(
        "first-axis-always", "it runs along axis 0, over the batch", (SAMPLES_MIX, SAMPLES_MIX), "run along dim",
        lambda name: on_axis(name, lambda x: 0),
    ),
    *_both(
        "max-of-axis-zero", "the maximum subtracted is that over the batch", (SAMPLES_MIX, SAMPLES_MIX), SHIFT,
        shifted_by(_first_max, _through_first_max).__getitem__,
    ),
    *_both(
        "dtype-ignored", "dtype= is ignored", (NARROW, NARROW),
        "x.to(dtype) before the exponentials", lambda name: {"dtype_of_result": lambda asked, own: own},
    ),
    *_both(
        "over-all", "it runs over the whole tensor", (SAMPLES_MIX, SAMPLES_MIX), "run along dim", over_all,
    ),
)  # fmt: skip


def _small_are_zero(least: float) -> Replaces:
    def forward(x: Array, *where: Any, **axis: Any) -> Array:
        s = reference.softmax(x, *where, **axis)
        return np.where(s < least, 0.0, s)

    def backward(grad_output: Array, x: Array, *where: Any, **axis: Any) -> Gradients:
        s = reference.softmax(x, *where, **axis)
        return reference.softmax_backward(np.where(s < least, 0.0, grad_output), x, *where, **axis)

    return {"softmax": forward, "softmax_backward": backward}


def _softmax(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "softmax", says, effect, fix, replaces, happened)


SOFTMAX = (
    *(fault for fault in SHARED if fault.component == "softmax"),
    _softmax(
        "softmax-backward-diagonal-only", "the gradient is elementwise, s (1 - s)", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        row_gradient("softmax", lambda g, x, s, axis: g * s * (1 - s)),
        "https://github.com/deeplearning4j/libnd4j/issues/440",
        "https://github.com/HomericIntelligence/Odyssey/issues/2134",
        "https://github.com/RoboticsClubIITJ/ML-DL-implementation/pull/153",
    ),
    _softmax(
        "softmax-backward-without-mean", "the weighted mean is not subtracted", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        row_gradient("softmax", lambda g, x, s, axis: g * s),
    ),
    _softmax(
        "softmax-backward-unweighted", "the sum subtracted is not weighted by s", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        row_gradient("softmax", lambda g, x, s, axis: s * (g - total(g, axis))),
    ),
    _softmax(
        "softmax-backward-along-last-axis", "the gradient sums along the last axis, whatever dim is", NO_LEARNING,
        "sum along dim", row_gradient("softmax", lambda g, x, s, axis: s * (g - total(g * s, -1))),
    ),
    _softmax(
        "softmax-backward-of-input", "the gradient uses the input for the output", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        row_gradient("softmax", lambda g, x, s, axis: x * (g - total(g * x, axis))),
    ),
    _softmax(
        "softmax-backward-of-log-softmax", "the gradient is that of log_softmax", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        row_gradient("softmax", lambda g, x, s, axis: g - s * total(g, axis)),
    ),
    _softmax(
        "softmax-twice", "softmax is taken twice",
        "Outputs lie between 1/(n - 1 + e) and e/(n - 1 + e): the loss cannot "
        "reach 0.", "pass logits, or leave out one softmax", composed("softmax", "softmax", "softmax"),
    ),
    *(
        _softmax(
            f"softmax-{slug}", says, OTHER_FUNCTION, "exp(x) / sum(exp(x))", _normalised(numerator, derivative, more))
        for slug, says, numerator, derivative, more in (
            ("base-two", "powers of 2 stand in place of exp", lambda z: 2.0**z, lambda z: np.log(2) * 2.0**z, 0.0),
            ("plus-one", "1 is added to the sum of exponentials", np.exp, np.exp, 1.0),
        )
    ),
    _softmax(
        "softmax-without-exp", "x is divided by its sum, without exp", OTHER_FUNCTION, "exp(x) / sum(exp(x))",
        _normalised(lambda x: x, np.ones_like, 0.0, shifted=False),
    ),
    *(
        _softmax(
            f"softmax-epsilon-{epsilon}", f"{epsilon} is added to the sum of exponentials",
            "Rows do not sum to 1.", "the sum is at least 1 with the maximum subtracted",
            _normalised(np.exp, np.exp, float(epsilon)),
        )
        for epsilon in ("1e-6", "1e-7", "1e-8", "1e-9", "1e-10")
    ),
    _softmax(
        "softmax-sum-over-all", "exponentials are divided by the sum over the whole tensor", SAMPLES_MIX,
        "sum along dim", _normalised(np.exp, np.exp, 0.0, whole=True),
    ),
    _softmax(
        "softmax-backward-of-cross-entropy", "the gradient is s - grad, as below a cross-entropy", NO_LEARNING,
        "s * (grad - sum(grad * s))", row_gradient("softmax", lambda g, x, s, axis: s - g),
    ),
    _softmax(
        "softmax-backward-averaged", "a mean is subtracted in place of the sum", NO_LEARNING,
        "s * (grad - sum(grad * s))",
        row_gradient("softmax", lambda g, x, s, axis: s * (g - average(g * s, axis))),
    ),
    _softmax(
        "softmax-backward-not-multiplied", "the difference is not multiplied by s", NO_LEARNING,
        "s * (grad - sum(grad * s))", row_gradient("softmax", lambda g, x, s, axis: g - total(g * s, axis)),
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
    _softmax(
        "softmax-small-are-zero", "probabilities below 1e-6 become 0", "The loss of rare classes is infinite.",
        "exp(x) / sum(exp(x)), however small", _small_are_zero(1e-6),
    ),
    upstream_ignored("softmax"),
)  # fmt: skip
