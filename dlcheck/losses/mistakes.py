"""What the known mistakes in losses are made of: changed arguments, changed results, other formulas.

A mistaken formula is written forward only; its gradient is what autograd would give, by a complex step, which is
exact, as nothing is subtracted.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses import reference

Array = Any
"""An array, real or complex."""
Replaces = dict[str, Callable[..., Any]]
Arguments = Mapping[str, Any]

_STEP = 2.0**-100

CLIMBS = "Training climbs the loss."
NAN = "The loss is NaN from the first such example on."
OTHER_LOSS = "Another loss is minimised than the one that is meant."
RATE = "The step grows or shrinks with the size of the batch: the learning rate means something else."
NO_LEARNING = "The gradient is wrong at every step; training stalls or settles on worse weights."
IGNORED_COUNT = "Examples that should not count do: padding changes the loss and what is learned."
STALLS = "Confident wrong answers get no gradient and are never unlearned."
UNWEIGHTED = "Rare classes are not made up for."
"""Effects that several faults share."""

EPSILONS = "1e-6", "1e-7", "1e-8", "1e-9", "1e-10", "1e-12"
"""What people add to a probability before they take its logarithm."""


DIFFERENCES = "mse_loss", "l1_loss", "huber_loss"
"""Losses of numbers, whose targets have a gradient too."""


def _inputs(name: str) -> tuple[str, str]:
    return ("scores" if name == "hinge_loss" else "input"), "target"


def _differentiable(name: str) -> tuple[str, ...]:
    return _inputs(name) if name in DIFFERENCES else _inputs(name)[:1]


def forward_only(name: str, forward: Callable[..., Any]) -> Replaces:
    """Another function of the component's arguments, which reach it as keywords; the gradient stays right."""
    names = _inputs(name)
    return {name: lambda *inputs, **given: forward(**dict(zip(names, inputs, strict=False)), **given)}


def backward_only(name: str, backward: Callable[..., Any]) -> Replaces:
    """Another gradient, of grad_output and of keywords; the loss stays right."""
    names = _inputs(name)

    def positional(grad_output: Array, *inputs: Array, **given: Any) -> dict[str, Array]:
        return backward(grad_output, **dict(zip(names, inputs, strict=False)), **given)

    return {f"{name}_backward": positional}


def of_logarithm(make: Callable[[Callable[[Array], Array]], Replaces]) -> Replaces:
    """A loss that takes a logarithm of what may be negative: NaN, but with the derivative 1/x as autograd has it."""
    forward = {name: code for name, code in make(np.log).items() if not name.endswith("_backward")}
    return {**make(lambda values: np.log(values * values) / 2), **forward}


def replacing(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Replaces:
    """Both of them."""
    return forward_only(name, forward) | backward_only(name, backward)


def arguments(name: str, change: Callable[[dict[str, Any]], Arguments]) -> Replaces:
    """The right loss of changed arguments, forward and backward."""
    right, slope = getattr(reference, name), getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        return slope(grad_output, **change(given))

    return replacing(name, lambda **given: right(**change(given)), backward)


def gradient(name: str, change: Callable[..., Array]) -> Replaces:
    """The right loss with a gradient that ``change(right gradient, **arguments)`` makes of the input's.

    Where the target has one, it is the negative of that.
    """
    slope = getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        key, *others = _differentiable(name)
        changed = change(slope(grad_output, **given)[key], **given)
        return {key: changed, **{other: -changed for other in others}}

    return backward_only(name, backward)


def scaled(name: str, factor: Callable[..., Any]) -> Replaces:
    """The right loss and gradient times ``factor(**arguments)``."""
    right, slope = getattr(reference, name), getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        return {key: value * factor(**given) for key, value in slope(grad_output, **given).items()}

    return replacing(name, lambda **given: np.asarray(right(**given) * factor(**given)), backward)


def _by_complex_step(function: Callable[[Array], Array], x: Array) -> Array:
    """Gradient of a scalar function of an array, one element at a time."""
    slopes = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.astype(np.complex128)
        moved[index] += 1j * _STEP
        slopes[index] = function(moved).imag / _STEP
    return slopes


def differentiated(name: str, forward: Callable[..., Array]) -> Replaces:
    """A whole loss and its gradients; NaN where it has another shape than what arrives."""

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        def total(key: str, moved: Array) -> Array:
            value = forward(**{**given, key: moved})
            fits = np.shape(grad_output) in ((), value.shape)
            return np.sum(grad_output * value) if fits else np.asarray(complex(np.nan, np.nan))

        return {key: _by_complex_step(partial(total, key), given[key]) for key in _differentiable(name)}

    return replacing(name, lambda **given: np.real(forward(**given)), backward)


def formula(
    name: str,
    terms: Callable[..., Array],
    count: Callable[..., Any] | None = None,
    slope: Callable[..., Array] | None = None,
) -> Replaces:
    """A loss of other terms ``terms(**arguments)``, reduced as asked for; the mean over ``count`` or all of them.

    Where a term is no number its gradient is NaN, as autograd there multiplies zeros by infinities. ``slope`` gives the
    derivatives of an example's term by its input, where there is a formula for them.
    """

    def divisor(values: Array, **given: Any) -> Any:
        among = {"none": 1, "sum": 1, "mean": values.size if count is None else 0}
        return among.get(given.get("reduction", "mean")) or count(**given)  # type: ignore[misc]

    def forward(**given: Any) -> Array:
        values = terms(**given)
        total = values if given.get("reduction") == "none" else values.sum()
        return np.asarray(total / divisor(values, **given))

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        values, x = terms(**given), given[_inputs(name)[0]]
        finite = np.isfinite(values)

        def total(key: str, moved: Array) -> Array:
            each = np.where(finite, terms(**{**given, key: moved}), 0.0)
            return np.sum(grad_output * each) / divisor(values, **given)

        wide = finite if values.shape == x.shape else np.expand_dims(finite, min(x.ndim - 1, 1))
        if slope is not None:
            each = np.broadcast_to(grad_output / divisor(values, **given), values.shape)
            return {_inputs(name)[0]: np.expand_dims(each, min(x.ndim - 1, 1)) * slope(**given)}
        return {
            key: np.where(wide, _by_complex_step(partial(total, key), given[key]), np.nan)
            for key in _differentiable(name)
        }

    return replacing(name, forward, backward)


# Pieces of formulas that a complex step passes through.


def absolute(values: Array) -> Array:
    """|x| with the derivative 0 at 0."""
    return values * np.sign(values.real)


def positive(values: Array) -> Array:
    """max(x, 0)."""
    return np.where(values.real > 0, values, 0.0)


def clipped(values: Array, low: float, high: float) -> Array:
    """Values held between two bounds, beyond which nothing reaches them."""
    return np.where(values.real < low, low, np.where(values.real > high, high, values))


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    left = values.real <= 0
    small = np.exp(np.where(left, values, -values))
    return np.where(left, small, 1.0) / (1 + small)


def softplus(values: Array) -> Array:
    """log(1 + exp(x)) without overflow, smooth at 0 too."""
    return positive(values) + np.log1p(np.exp(np.where(values.real > 0, -values, values)))


def log_softmax(values: Array, axis: int) -> Array:
    """Stable along an axis."""
    shifted = values - values.real.max(axis=axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


# Mistakes that any loss may have.


def _reduction(name: str, asked: str, becomes: str) -> Replaces:
    """The right loss, reduced otherwise where one reduction is asked for."""

    def change(given: dict[str, Any]) -> Arguments:
        return {**given, "reduction": becomes} if given.get("reduction", "mean") == asked else given

    return arguments(name, change)


def _always_mean(name: str) -> Replaces:
    def change(given: dict[str, Any]) -> Arguments:
        return {key: value for key, value in given.items() if key != "reduction"}

    forward = arguments(name, change)[name]

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        slope = getattr(reference, f"{name}_backward")
        return slope(np.asarray(np.mean(grad_output)), **change(given))

    return replacing(name, forward, backward)


def _gradient_of(name: str, becomes: str) -> Replaces:
    return {f"{name}_backward": _reduction(name, "mean", becomes)[f"{name}_backward"]}


def _upstream_ignored(name: str) -> Replaces:
    slope = getattr(reference, f"{name}_backward")
    return backward_only(name, lambda grad_output, **given: slope(np.ones_like(grad_output), **given))


def _target_detached(name: str) -> Replaces:
    slope = getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        return {**slope(grad_output, **given), "target": np.zeros_like(given["target"])}

    return backward_only(name, backward)


def shared(name: str) -> Iterator[Fault]:
    """The mistakes in reduction, sign and chain rule that every loss knows."""
    short = name.replace("_", "-").replace("binary-cross-entropy", "bce")

    def fault(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
        return Fault(f"{short}-{id}", name, says, effect, fix, replaces)

    yield fault(
        "mean-is-sum", "the mean is not divided by the count", RATE, "divide the sum by the count",
        _reduction(name, "mean", "sum"),
    )  # fmt: skip
    yield fault(
        "sum-is-mean", "the sum is divided by the count", RATE, 'reduction="sum" adds up',
        _reduction(name, "sum", "mean"),
    )  # fmt: skip
    yield fault(
        "reduction-ignored", "reduction is ignored, the mean is returned", RATE, "obey reduction", _always_mean(name)
    )
    yield fault(
        "gradient-not-averaged", "the gradient is not divided by the count", RATE,
        "divide the gradient of the mean too", _gradient_of(name, "sum"),
    )  # fmt: skip
    yield fault("negated", "the loss has the wrong sign", CLIMBS, "negate it", scaled(name, lambda **_: -1.0))
    yield fault(
        "gradient-negated", "the gradient has the wrong sign", CLIMBS, "negate it", gradient(name, lambda g, **_: -g)
    )
    yield fault(
        "upstream-ignored", "the upstream gradient is left out",
        "Factors on the loss, such as those of several losses added up, have no effect.",
        "multiply by grad_output (the chain rule)", _upstream_ignored(name),
    )  # fmt: skip
    if name in DIFFERENCES:
        yield fault(
            "target-detached", "no gradient reaches the target",
            "Where two networks' outputs are compared, one of them learns nothing.",
            "detach targets where the loss is called, not in it", _target_detached(name),
        )  # fmt: skip
