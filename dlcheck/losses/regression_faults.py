"""Known mistakes in the losses of real targets: squared, absolute and Huber's."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses import reference
from dlcheck.losses.mistakes import (
    NAN,
    NO_LEARNING,
    OTHER_LOSS,
    RATE,
    Array,
    Replaces,
    absolute,
    arguments,
    differentiated,
    formula,
    forward_only,
    gradient,
    scaled,
    shared,
)

_STEP_AT_DELTA = "The loss jumps at delta; its value says little about progress."


def _per_batch(input: Array, reduction: str = "mean", **_: Any) -> float:
    """What turns a mean over elements into one over the batch."""
    return input.size / max(len(input), 1) if reduction == "mean" and input.ndim else 1.0


def _per_last_axis(input: Array, reduction: str = "mean", **_: Any) -> float:
    """The same for one over the last axis, the rest added up."""
    return input.size / max(input.shape[-1], 1) if reduction == "mean" and input.ndim else 1.0


def _other_means(name: str, short: str) -> Iterator[Fault]:
    """Divisors other than the number of elements."""
    fix = "divide by the number of elements"

    def fault(id: str, says: str, effect: str, replaces: Replaces) -> Fault:
        return Fault(f"{short}-{id}", name, says, effect, fix, replaces)

    yield fault("mean-over-batch", "the mean divides by the batch size only", RATE, scaled(name, _per_batch))
    says = "the mean divides by the length of the last axis only"
    yield fault("sum-of-means", says, RATE, scaled(name, _per_last_axis))
    says = "the gradient is divided by the batch size, the mean is not"
    by_batch = gradient(name, lambda g, **given: g * _per_batch(**given))
    yield fault("gradient-over-batch", says, "Value and gradient disagree.", by_batch)


def _reduce(values: Array, reduction: str) -> Array:
    return values if reduction == "none" else np.asarray(values.mean() if reduction == "mean" else values.sum())


def _crossed(name: str, short: str, loss: Callable[[Array], Array]) -> Fault:
    """A column that lost its axis, less a column."""

    def forward(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
        column = input.ndim > 1 and input.shape[-1] == 1
        return _reduce(loss((input[..., 0] if column else input) - target), reduction)

    return Fault(
        f"{short}-pairs", name, "a column is squeezed: (N) less (N, 1) compares all pairs",
        "Predictions go to the mean of all targets.", "squeeze both or neither", differentiated(name, forward),
    )  # fmt: skip


# --- squared error ---------------------------------------------------------------------------------------------------


def _mse(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "mse_loss", says, effect, fix, replaces, happened)


def _root_of_mean(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
    squares = _reduce((input - target) ** 2, reduction)
    return _root(squares) if reduction == "mean" else squares


def _rooted(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
    return _root(_reduce((input - target) ** 2, reduction))


def _root(values: Array) -> Array:
    """The square root, with the derivative NaN at 0 that autograd gives to the root of a square."""
    return np.where(np.abs(values) < 1e-50, complex(0.0, np.nan), values**0.5)


def _squared_mean(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
    error = input - target
    return error**2 if reduction == "none" else _reduce(error, reduction) ** 2


def _last_axis(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
    squares = (input - target) ** 2
    return squares.mean(axis=-1) if reduction == "mean" and input.ndim else _reduce(squares, reduction)


MSE = (
    *shared("mse_loss"),
    _mse(
        "mse-root", "the root of the mean is returned", OTHER_LOSS, "leave the root out", differentiated(
            "mse_loss", _rooted)
    ),
    _mse(
        "mse-root-of-mean-only", "the mean has a root that the sum has not", OTHER_LOSS, "leave the root out",
        differentiated("mse_loss", _root_of_mean),
    ),
    _mse(
        "mse-absolute", "the error is not squared, but made positive", OTHER_LOSS, "(x - y)^2",
        formula("mse_loss", lambda input, target, **_: absolute(input - target)),
    ),
    _mse(
        "mse-square-of-mean", "the mean error is squared", "Errors of opposite signs cancel.", "mean((x - y)^2)",
        differentiated("mse_loss", _squared_mean),
    ),
    _mse(
        "mse-gradient-without-two", "the gradient lacks the factor 2", "Half the learning rate.", "2 (x - y) / n",
        gradient("mse_loss", lambda g, **_: g / 2),
    ),
    _mse(
        "mse-value-halved", "the value is halved, the gradient is not", "Value and gradient disagree.",
        "mean((x - y)^2)", forward_only("mse_loss", lambda **given: np.asarray(reference.mse_loss(**given) / 2)),
    ),
    *_other_means("mse_loss", "mse"),
    _crossed("mse_loss", "mse", lambda d: d**2),
    _mse(
        "mse-sum-halved", "the sum is halved, the mean is not", OTHER_LOSS, "sum (x - y)^2",
        scaled("mse_loss", lambda reduction="mean", **_: 0.5 if reduction == "sum" else 1.0),
    ),
    _mse(
        "mse-mean-over-last-axis", "the mean runs over the last axis only", "One loss an example is returned.",
        "mean over all elements", differentiated("mse_loss", _last_axis),
    ),
    _mse(
        "mse-divided-by-n-minus-one", "the mean divides by n - 1", RATE, "divide by n",
        scaled("mse_loss", lambda input, reduction="mean", **_: (
            input.size / (input.size - 1) if reduction == "mean" and input.size > 1 else 1.0)),
    ),
    _mse(
        "mse-square-expanded", "x^2 - 2xy + y^2 cancels", "Large values close together lose all digits.",
        "(x - y)^2", formula("mse_loss", lambda input, target, **_: input**2 - 2 * input * target + target**2),
    ),
    _mse(
        "mse-signed", "the square keeps the error's sign", "Errors of opposite signs cancel.", "(x - y)^2",
        formula("mse_loss", lambda input, target, **_: (input - target) * absolute(input - target)),
    ),
    _mse(
        "mse-of-sum", "input and target are added", OTHER_LOSS, "(x - y)^2",
        formula("mse_loss", lambda input, target, **_: (input + target) ** 2),
    ),
)  # fmt: skip


# --- absolute error --------------------------------------------------------------------------------------------------


def _l1(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "l1_loss", says, effect, fix, replaces, happened)


def _norm(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
    error = input - target
    return absolute(error) if reduction == "none" else _root(_reduce(error**2, reduction))


def _absolute_mean(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
    error = input - target
    return absolute(error if reduction == "none" else _reduce(error, reduction))


L1 = (
    *shared("l1_loss"),
    _l1(
        "l1-absolute-of-mean", "the absolute value is of the mean error", "Errors of opposite signs cancel.",
        "mean(|x - y|)", differentiated("l1_loss", _absolute_mean),
    ),
    _l1(
        "l1-squared", "the error is squared", OTHER_LOSS, "|x - y|",
        formula("l1_loss", lambda input, target, **_: (input - target) ** 2),
    ),
    _l1(
        "l1-signed", "the absolute value is not taken", "Errors of opposite signs cancel.", "|x - y|",
        formula("l1_loss", lambda input, target, **_: input - target),
    ),
    _l1("l1-is-l2", "the root of the squares is returned", OTHER_LOSS, "|x - y|", differentiated("l1_loss", _norm)),
    _l1(
        "l1-smoothed", "it is squared near zero, as smooth L1", OTHER_LOSS, "|x - y| down to 0",
        formula("l1_loss", lambda input, target, **_: np.where(
            np.abs(input - target) < 1, (input - target) ** 2 / 2, absolute(input - target) - 0.5)),
    ),
    _l1(
        "l1-root-of-square", "the root of the square has no gradient at 0", NAN, "|x - y|, whose gradient is a sign",
        gradient("l1_loss", lambda g, input, target, **_: np.where(input == target, np.nan, g)),
    ),
    *(
        _l1(
            f"l1-rounded-off-{epsilon}", f"it is the root of e^2 + {epsilon}", "The loss does not reach 0.", "|x - y|",
            formula("l1_loss", lambda input, target, more=float(epsilon), **_: np.sqrt((input - target) ** 2 + more)),
        )
        for epsilon in ("1e-6", "1e-8")
    ),
    _l1(
        "l1-of-magnitudes", "the magnitudes are subtracted, not the values", "Errors of sign go unseen.", "|x - y|",
        formula("l1_loss", lambda input, target, **_: absolute(absolute(input) - absolute(target))),
    ),
    _l1(
        "l1-gradient-of-input", "the gradient is the input's sign, not the error's", NO_LEARNING, "sign(x - y)",
        gradient("l1_loss", lambda g, input, **_: np.abs(g) * np.sign(input)),
    ),
    _l1(
        "l1-gradient-unsigned", "the gradient has no sign", NO_LEARNING, "sign(x - y)",
        gradient("l1_loss", lambda g, input, target, **_: g * np.sign(input - target)),
    ),
    _l1(
        "l1-gradient-of-square", "the gradient is that of the squared error", NO_LEARNING, "sign(x - y)",
        gradient("l1_loss", lambda g, input, target, **_: 2 * g * np.abs(input - target)),
    ),
    *_other_means("l1_loss", "l1"),
    _crossed("l1_loss", "l1", absolute),
    _l1(
        "l1-relative", "the error is divided by the target", OTHER_LOSS, "|x - y|",
        formula("l1_loss", lambda input, target, **_: absolute(input - target) / absolute(target)),
    ),
)  # fmt: skip


# --- Huber -----------------------------------------------------------------------------------------------------------


def _huber(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "huber_loss", says, effect, fix, replaces, happened)


def _pieces(near: Any, far: Any, is_near: Any = lambda e, d: np.abs(e) <= d) -> Replaces:
    """Two branches as functions of the error (signed) and delta, and where the first one holds."""

    def terms(input: Array, target: Array, delta: float = 1.0, **_: Any) -> Array:
        error = input - target
        return np.where(is_near(error.real, delta), near(error, delta), far(error, delta))

    return formula("huber_loss", terms)


def _square(e: Array, d: float) -> Array:
    return e**2 / 2


def _line(e: Array, d: float) -> Array:
    return d * (absolute(e) - d / 2)


def _coded_gradient(slope: Any) -> Any:
    """A gradient as coded by hand: a slope of error and delta, which replaces the right one."""

    def change(g: Array, input: Array, target: Array, delta: float = 1.0, **_: Any) -> Array:
        error = input - target
        right = np.clip(error, -delta, delta)
        return g / np.where(right == 0, 1.0, right) * slope(error, delta)

    return gradient("huber_loss", change)


HUBER = (
    *shared("huber_loss"),
    _huber(
        "huber-quadratic-normalised", "the squared part is divided by 1 + e^2",
        "Value and gradient disagree; the loss jumps at delta.", "e^2 / 2 for |e| <= delta",
        {"huber_loss": _pieces(lambda e, d: _square(e, d) / (1 + e**2), _line)["huber_loss"]},
        "https://github.com/unibas-gravis/scalismo/issues/260",
    ),
    _huber(
        "huber-positive-tail-only", "far below the target it costs nothing", "Large negative errors are never mended.",
        "|e| > delta, not e > delta", _pieces(_square, lambda e, d: np.where(e.real > 0, _line(e, d), 0.0 * e)),
        "https://github.com/marlbenchmark/on-policy/issues/47",
    ),
    _huber(
        "huber-linear-reversed", "the linear part lacks |e|: delta (y - x)", "Large errors of one sign are rewarded.",
        "delta (|e| - delta / 2)", _pieces(_square, lambda e, d: d * (-e - d / 2)),
        "https://github.com/PaddlePaddle/Paddle/issues/44019",
    ),
    _huber(
        "huber-linear-branch-offset", "the linear part is 2 (|e| - delta) delta", _STEP_AT_DELTA,
        "(2 |e| - delta) delta, or half of it",
        _pieces(lambda e, d: e**2, lambda e, d: 2 * (absolute(e) - d) * d), "https://github.com/h2oai/h2o-3/pull/6015",
    ),
    _huber(
        "smooth-l1-beta-denominator-missing", "smooth L1 is not divided by its beta",
        "The loss jumps at beta; right for beta = 1 only.", "e^2 / (2 beta), |e| - beta / 2",
        _pieces(_square, lambda e, d: absolute(e) - 0.5), "https://github.com/keras-team/keras-cv/issues/920",
        "https://github.com/pytorch/pytorch/issues/17447",
    ),
    _huber(
        "huber-cancellation-large-error", "(e^2 - max(|e| - delta, 0)^2) / 2 cancels",
        "Large errors lose all digits, and overflow in float16.", "delta (|e| - delta / 2) for |e| > delta",
        formula("huber_loss", lambda input, target, delta=1.0, **_: (
            (input - target) ** 2 - np.where(np.abs(input - target) > delta, absolute(input - target) - delta, 0) ** 2
        ) / 2), "https://github.com/chainer/chainer/pull/6940",
    ),
    _huber(
        "huber-delta-ignored", "delta is ignored, it is 1", "Outliers count more or less than asked for.", "use delta",
        formula("huber_loss", lambda input, target, **_: np.where(
            np.abs(input - target) <= 1, (input - target) ** 2 / 2, absolute(input - target) - 0.5)),
    ),
    _huber(
        "huber-offset-missing", "the linear part lacks -delta^2 / 2", _STEP_AT_DELTA, "delta (|e| - delta / 2)",
        _pieces(_square, lambda e, d: d * absolute(e)),
    ),
    _huber(
        "huber-offset-doubled", "the linear part subtracts delta^2, not half of it", _STEP_AT_DELTA,
        "delta (|e| - delta / 2)", _pieces(_square, lambda e, d: d * (absolute(e) - d)),
    ),
    _huber(
        "huber-slope-one", "the linear part has the slope 1", _STEP_AT_DELTA, "delta (|e| - delta / 2)",
        _pieces(_square, lambda e, d: d * d / 2 + absolute(e) - d),
    ),
    _huber(
        "huber-offset-unscaled", "the linear part subtracts 1/2, not delta / 2", _STEP_AT_DELTA,
        "delta (|e| - delta / 2)", _pieces(_square, lambda e, d: d * (absolute(e) - 0.5)),
    ),
    _huber(
        "huber-slope-missing", "the linear part lacks the factor delta", _STEP_AT_DELTA, "delta (|e| - delta / 2)",
        _pieces(_square, lambda e, d: absolute(e) - d / 2),
    ),
    _huber(
        "huber-square-not-halved", "the squared part lacks the factor 1/2", _STEP_AT_DELTA, "e^2 / 2",
        _pieces(lambda e, d: e**2, _line),
    ),
    _huber(
        "huber-compares-square", "the squared error is compared with delta", _STEP_AT_DELTA, "|e| <= delta",
        _pieces(_square, _line, lambda e, d: e**2 <= d),
    ),
    _huber(
        "huber-compares-signed", "the signed error is compared with delta", "Errors below zero stay squared.",
        "|e| <= delta", _pieces(_square, _line, lambda e, d: e <= d),
    ),
    _huber(
        "huber-branches-swapped", "the branches are swapped", "Outliers dominate, small errors never settle.",
        "squared where |e| <= delta", _pieces(_square, _line, lambda e, d: np.abs(e) > d),
    ),
    _huber(
        "huber-linear-signed", "the linear part lacks the absolute value", "Errors below zero lower the loss.",
        "delta (|e| - delta / 2)", _pieces(_square, lambda e, d: d * (e - d / 2)),
    ),
    _huber(
        "huber-gradient-not-clipped", "the gradient is the error, unclipped", "Outliers dominate the step.",
        "clip(x - y, -delta, delta)", _coded_gradient(lambda e, d: e),
    ),
    _huber(
        "huber-gradient-clipped-at-one", "the gradient is clipped at 1, not at delta", NO_LEARNING,
        "clip(x - y, -delta, delta)", _coded_gradient(lambda e, d: np.clip(e, -1, 1)),
    ),
    _huber(
        "huber-gradient-unsigned", "far out the gradient has no sign", "Errors below zero are driven further down.",
        "clip(x - y, -delta, delta)", _coded_gradient(lambda e, d: np.where(np.abs(e) <= d, e, d)),
    ),
    *_other_means("huber_loss", "huber"),
    _huber(
        "huber-default-delta", "delta is 1.35 where none is given", "Outliers count more than by default.",
        "delta = 1", arguments("huber_loss", lambda given: {"delta": 1.35, **given}),
    ),
    _huber(
        "huber-log-cosh", "it is log(cosh(e))", OTHER_LOSS, "use the two branches",
        formula("huber_loss", lambda input, target, **_: np.log(np.cosh(input - target))),
    ),
    _huber(
        "huber-pseudo", "it is delta^2 (sqrt(1 + (e/delta)^2) - 1)", OTHER_LOSS, "use the two branches",
        formula("huber_loss", lambda input, target, delta=1.0, **_: (
            delta**2 * (np.sqrt(1 + ((input - target) / delta) ** 2) - 1))),
    ),
)  # fmt: skip

REGRESSION = (*MSE, *L1, *HUBER)
