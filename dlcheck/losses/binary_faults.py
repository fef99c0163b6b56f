"""Known mistakes in the binary cross-entropy of logits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses.mistakes import (
    EPSILONS,
    NAN,
    STALLS,
    UNWEIGHTED,
    Array,
    Replaces,
    arguments,
    clipped,
    formula,
    gradient,
    of_logarithm,
    positive,
    scaled,
    shared,
    sigmoid,
    softplus,
)

BCE_NAME = "binary_cross_entropy_with_logits"


def _weight_on_positive(input: Array, target: Array, weight: Any = None, pos_weight: Any = None, **_: Any) -> Array:
    scale = (1.0 if weight is None else weight) * (1.0 if pos_weight is None else pos_weight)
    return scale * target * softplus(-input) + (1 - target) * softplus(input)


def _bce(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, BCE_NAME, says, effect, fix, replaces, happened)


def _binary(terms: Callable[[Array, Array], Array]) -> Replaces:
    """Another formula of logits and targets for the loss without weights."""

    def weighted(input: Array, target: Array, weight: Any = None, pos_weight: Any = None, **_: Any) -> Array:
        values = terms(input, target)
        if pos_weight is not None:  # it belongs to the term of target 1
            values = values + (pos_weight - 1) * target * terms(input, np.ones_like(target))
        return values if weight is None else weight * values

    return formula(BCE_NAME, weighted)


def _of_probability(log: Callable[[Array], Array], p: Callable[[Array], Array] = sigmoid) -> Replaces:
    """The loss by way of a probability and a way to take its logarithm."""
    return _binary(lambda x, y: -(y * log(p(x)) + (1 - y) * log(1 - p(x))))


def _slope_at_zero(wrong: Callable[[Array], Array]) -> Replaces:
    """Another slope at logit 0, a function of the target, in place of 1/2 - y."""

    def change(right: Array, input: Array, target: Array, **given: Any) -> Array:
        slope = 0.5 - target + (np.asarray(given.get("pos_weight", 1.0)) - 1) * -0.5 * target
        return np.where(input == 0, right * wrong(target) / np.where(slope == 0, 1.0, slope), right)

    return gradient(BCE_NAME, change)


def _positives(terms: Callable[[Array, Array, Any], Array]) -> Replaces:
    """Another use of pos_weight, in a formula of logits, targets and the weight; without one, right or not."""

    def weighted(input: Array, target: Array, weight: Any = None, pos_weight: Any = None, **_: Any) -> Array:
        values = terms(input, target, 1.0 if pos_weight is None else pos_weight)
        return values if weight is None else weight * values

    return formula(BCE_NAME, weighted)


def _along(given: dict[str, Any], name: str, axis_of: Callable[[tuple[int, ...]], int | None]) -> dict[str, Any]:
    """Weights of one axis, laid along another one where there is one and they fit it."""
    weights, shape = given.get(name), given["input"].shape
    axis = axis_of(shape)
    if weights is None or axis is None or np.shape(weights) != (shape[axis],):
        return given
    return {**given, name: np.reshape(weights, (-1, *(1,) * (len(shape) - axis - 1)))}


def _plain(x: Array, y: Array) -> Array:
    return (1 - y) * x + softplus(-x)


BCE = (
    *shared(BCE_NAME),
    _bce(
        "bce-probabilities-log-zero-times-zero", "0 log 0 is NaN where the probability is 0 or 1", NAN,
        "(1 - y) x + log(1 + exp(-x)), of logits", _of_probability(np.log),
        "https://github.com/tracel-ai/burn/pull/2741",
    ),
    _bce(
        "bce-logits-abs-gradient-at-zero", "at logit 0 the gradients of max and |x| do not add up",
        "Layers that start at 0 get a wrong first step.", "sigmoid(x) - y", _slope_at_zero(lambda y: -y),
        "https://github.com/pytorch/pytorch/pull/1792", "https://github.com/pytorch/pytorch/issues/2195",
    ),
    _bce(
        "bce-logits-abs-gradient-at-zero-from-right", "at logit 0 the gradients of clamp and |x| do not add up",
        "Layers that start at 0 get a wrong first step.", "sigmoid(x) - y", _slope_at_zero(lambda y: 1 - y),
        "https://github.com/pytorch/pytorch/issues/2195",
    ),
    _bce(
        "bce-exp-overflow", "log(1 + exp(-x)) overflows", NAN, "max(-x, 0) + log(1 + exp(-|x|))",
        _binary(lambda x, y: (1 - y) * x + np.log(1 + np.exp(-x))),
    ),
    _bce(
        "bce-exp-overflow-on-both-sides", "log(1 + exp(x)) overflows, and is NaN times 0", NAN,
        "max(-x, 0) + log(1 + exp(-|x|))",
        _binary(lambda x, y: y * np.log(1 + np.exp(-x)) + (1 - y) * np.log(1 + np.exp(x))),
    ),
    _bce(
        "bce-log-clamped", "logarithms of probabilities are held at -100", STALLS, "work on logits",
        _of_probability(lambda p: clipped(np.log(p), -100.0, 0.0)),
    ),
    _bce(
        "bce-of-sigmoid", "it is torch's binary_cross_entropy of the sigmoid", STALLS, "work on logits",
        _of_probability(lambda p: clipped(np.log(p), -100.0, 0.0)) | gradient(BCE_NAME, lambda g, input, **_: (
            g * np.minimum(sigmoid(input) * (1 - sigmoid(input)) / 1e-12, 1.0))),
    ),
    *(
        _bce(
            f"bce-probability-clipped-{bound}", f"the probability is clipped to [{bound}, 1 - {bound}]", STALLS,
            "work on logits", _of_probability(np.log, lambda x, low=float(bound): clipped(sigmoid(x), low, 1 - low)),
        )
        for bound in ("1e-6", "1e-7", "1e-8", "1e-12")
    ),
    *(
        _bce(
            f"bce-probability-epsilon-{epsilon}", f"{epsilon} is added to the probability",
            "The loss is bounded and its gradient off.", "work on logits",
            _of_probability(lambda p, more=float(epsilon): np.log(p + more)),
        )
        for epsilon in EPSILONS
    ),
    _bce(
        "bce-sigmoid-twice", "the sigmoid is taken twice", "The loss cannot reach 0.", "pass logits",
        _binary(lambda x, y: (1 - y) * sigmoid(x) + softplus(-sigmoid(x))),
    ),
    _bce(
        "bce-takes-probabilities", "logits are taken for probabilities", NAN, "apply the sigmoid",
        of_logarithm(lambda log: _of_probability(log, lambda x: x)),
    ),
    _bce(
        "bce-without-negatives", "the term of the negative class is missing", "All outputs drift to 1.",
        "-(y log p + (1 - y) log(1 - p))", _binary(lambda x, y: y * softplus(-x)),
    ),
    _bce(
        "bce-classes-swapped", "the classes are swapped", "It learns the opposite.", "y log p + (1 - y) log(1 - p)",
        _binary(lambda x, y: y * x + softplus(-x)),
    ),
    _bce(
        "bce-of-signs", "log(1 + exp(-y x)) is used with labels 0 and 1", "Negatives push nothing.",
        "log(1 + exp(-(2y - 1) x))", _binary(lambda x, y: softplus(-y * x)),
    ),
    _bce(
        "bce-is-squared", "it is the squared error of the sigmoid", STALLS, "cross-entropy",
        _binary(lambda x, y: (sigmoid(x) - y) ** 2),
    ),
    _bce(
        "bce-weight-ignored", "weight is ignored", "All elements count the same.", "multiply by weight",
        arguments(BCE_NAME, lambda given: {**given, "weight": None}),
    ),
    _bce(
        "bce-weight-on-positive", "weight multiplies the term of target 1 only", "Half of the weights have no effect.",
        "weight (y log p + (1 - y) log(1 - p))", formula(BCE_NAME, _weight_on_positive),
    ),
    _bce(
        "bce-weight-normalised", "the mean divides by the sum of the weights", "Weights lose their scale.",
        "divide by the number of elements", scaled(BCE_NAME, lambda input, weight=None, reduction="mean", **_: (
            1.0 if weight is None or reduction != "mean"
            else input.size / np.broadcast_to(weight, input.shape).sum())),
    ),
    _bce(
        "bce-weight-sum-divides", "the mean divides by the weights' sum as they are given", "Weights lose their scale.",
        "divide by the number of elements", scaled(BCE_NAME, lambda input, weight=None, reduction="mean", **_: (
            1.0 if weight is None or reduction != "mean" else input.size / np.sum(weight))),
    ),
    _bce(
        "bce-pos-weight-ignored", "pos_weight is ignored", UNWEIGHTED, "multiply the positive term by pos_weight",
        arguments(BCE_NAME, lambda given: {**given, "pos_weight": None}),
    ),
    _bce(
        "bce-pos-weight-on-negatives", "pos_weight is applied to the negative class", UNWEIGHTED,
        "multiply the positive term by pos_weight",
        _positives(lambda x, y, p: y * softplus(-x) + p * (1 - y) * softplus(x)),
    ),
    _bce(
        "bce-pos-weight-on-both", "pos_weight is applied to both classes", UNWEIGHTED,
        "multiply the positive term by pos_weight",
        _positives(lambda x, y, p: p * _plain(x, y)),
    ),
    _bce(
        "bce-pos-weight-not-less-one", "the positive term is weighed by 1 + pos_weight", UNWEIGHTED,
        "1 + (pos_weight - 1) y", _positives(
            lambda x, y, p: _plain(x, y) if np.ndim(p) == 0 and p == 1 else (1 - y) * x + (1 + p * y) * softplus(-x)),
    ),
    _bce(
        "bce-pos-weight-on-log-term", "pos_weight is not applied to max(x, 0) - x y", UNWEIGHTED,
        "(1 + (pos_weight - 1) y) log(1 + exp(-x)), with max(-x, 0) in the logarithm",
        _positives(lambda x, y, p: _plain(x, y) + (p - 1) * y * (softplus(-x) - positive(-x))),
    ),
    _bce(
        "bce-pos-weight-times-target", "the target is multiplied by pos_weight", UNWEIGHTED,
        "multiply the positive term alone", _positives(lambda x, y, p: _plain(x, p * y)),
    ),
    *(
        _bce(
            f"bce-pos-weight-where-{slug}", f"pos_weight multiplies both terms where {says}",
            "With soft labels negatives are weighed too.", "1 + (pos_weight - 1) y",
            _positives(lambda x, y, p, where=where: np.where(where(y), p, 1.0) * _plain(x, y)),
        )
        for slug, says, where in (
            ("one", "y is 1", lambda y: y == 1), ("above-half", "y > 1/2", lambda y: y > 0.5))
    ),
    _bce(
        "bce-weight-ignored-with-pos-weight", "weight is ignored where pos_weight is given", UNWEIGHTED,
        "multiply by both", arguments(BCE_NAME, lambda given: (
            given if given.get("pos_weight") is None else {**given, "weight": None})),
    ),
    _bce(
        "bce-weight-by-example", "one weight a column is taken for one a row where it fits", UNWEIGHTED,
        "broadcast along the last axis",
        arguments(BCE_NAME, lambda given: _along(given, "weight", lambda shape: 0 if len(shape) == 2 else None)),
    ),
    _bce(
        "bce-pos-weight-by-example", "one pos_weight a column is taken for one a row where it fits", UNWEIGHTED,
        "broadcast along the last axis",
        arguments(BCE_NAME, lambda given: _along(given, "pos_weight", lambda shape: 0 if len(shape) == 2 else None)),
    ),
    _bce(
        "bce-pos-weight-along-channels", "pos_weight runs along axis 1, not the last", UNWEIGHTED,
        "broadcast along the last axis",
        arguments(BCE_NAME, lambda given: _along(given, "pos_weight", lambda shape: 1 if len(shape) > 2 else None)),
    ),
    _bce(
        "bce-soft-targets-rounded", "targets are rounded to 0 and 1", "Soft labels are lost.",
        "use the target as it is",
        arguments(BCE_NAME, lambda given: {**given, "target": 1.0 * (given["target"] > 0.5)}),
    ),
    *(
        _bce(
            f"bce-logits-clipped-{bound}", f"logits are clipped to [-{bound}, {bound}]", STALLS,
            "max(-x, 0) + log(1 + exp(-|x|)) needs no clipping",
            _binary(lambda x, y, most=float(bound): _plain(clipped(x, -most, most), y)),
        )
        for bound in ("10", "15", "20", "30")
    ),
    _bce(
        "bce-gradient-by-probability", "the gradient is that by the probability, not the logit",
        "Confident outputs get enormous steps.", "sigmoid(x) - y",
        gradient(BCE_NAME, lambda g, input, **_: g / (sigmoid(input) * (1 - sigmoid(input)))),
    ),
    _bce(
        "bce-gradient-times-slope", "the gradient is multiplied by the sigmoid's slope", STALLS, "sigmoid(x) - y",
        gradient(BCE_NAME, lambda g, input, **_: g * sigmoid(input) * (1 - sigmoid(input))),
    ),
    _bce(
        "bce-gradient-without-pos-weight", "the gradient lacks pos_weight", UNWEIGHTED, "w ((1 - y) s - p y (1 - s))",
        {f"{BCE_NAME}_backward": arguments(
            BCE_NAME, lambda given: {**given, "pos_weight": None})[f"{BCE_NAME}_backward"]},
    ),
)  # fmt: skip
