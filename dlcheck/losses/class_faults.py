"""Known mistakes in the losses of classes: binary and multi-class cross-entropy, negative log-likelihood."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses.mistakes import (
    IGNORED_COUNT,
    NAN,
    NO_LEARNING,
    OTHER_LOSS,
    STALLS,
    Arguments,
    Array,
    Replaces,
    arguments,
    clipped,
    formula,
    gradient,
    log_softmax,
    of_logarithm,
    replacing,
    scaled,
    shared,
    sigmoid,
    softplus,
)

_WEIGHTS = "Rare classes are not made up for."
EPSILONS = "1e-6", "1e-7", "1e-8", "1e-9", "1e-10", "1e-12"
"""What people add to a probability before they take its logarithm."""


# --- binary cross-entropy --------------------------------------------------------------------------------------------

BCE_NAME = "binary_cross_entropy_with_logits"


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


def _slope_at_zero(right: Array, input: Array, target: Array, **given: Any) -> Array:
    """The derivatives of max(x, 0) and |x| are each taken as 0 at 0: -y in place of 1/2 - y."""
    half = np.full_like(target, 0.5)
    slope = 0.5 - target + (np.asarray(given.get("pos_weight", 1.0)) - 1) * -0.5 * target
    return np.where(input == 0, right * (slope - half) / np.where(slope == 0, 1.0, slope), right)


BCE = (
    *shared(BCE_NAME),
    _bce(
        "bce-probabilities-log-zero-times-zero", "0 log 0 is NaN where the probability is 0 or 1", NAN,
        "(1 - y) x + log(1 + exp(-x)), of logits", _of_probability(np.log),
        "https://github.com/tracel-ai/burn/pull/2741",
    ),
    _bce(
        "bce-logits-abs-gradient-at-zero", "at logit 0 the gradients of max and |x| do not add up",
        "Layers that start at 0 get a wrong first step.", "sigmoid(x) - y", gradient(BCE_NAME, _slope_at_zero),
        "https://github.com/pytorch/pytorch/pull/1792", "https://github.com/pytorch/pytorch/issues/2195",
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
        "bce-pos-weight-ignored", "pos_weight is ignored", _WEIGHTS, "multiply the positive term by pos_weight",
        arguments(BCE_NAME, lambda given: {**given, "pos_weight": None}),
    ),
    _bce(
        "bce-pos-weight-on-negatives", "pos_weight is applied to the negative class", _WEIGHTS,
        "multiply the positive term by pos_weight",
        formula(BCE_NAME, lambda input, target, weight=None, pos_weight=None, **_: (
            (1.0 if weight is None else weight) * (
                target * softplus(-input)
                + (1.0 if pos_weight is None else pos_weight) * (1 - target) * softplus(input)))),
    ),
    _bce(
        "bce-pos-weight-on-both", "pos_weight is applied to both classes", _WEIGHTS,
        "multiply the positive term by pos_weight",
        formula(BCE_NAME, lambda input, target, weight=None, pos_weight=None, **_: (
            (1.0 if weight is None else weight) * (1.0 if pos_weight is None else pos_weight)
            * ((1 - target) * input + softplus(-input)))),
    ),
    _bce(
        "bce-gradient-times-slope", "the gradient is multiplied by the sigmoid's slope", STALLS, "sigmoid(x) - y",
        gradient(BCE_NAME, lambda g, input, **_: g * sigmoid(input) * (1 - sigmoid(input))),
    ),
    _bce(
        "bce-gradient-without-pos-weight", "the gradient lacks pos_weight", _WEIGHTS, "w ((1 - y) s - p y (1 - s))",
        {f"{BCE_NAME}_backward": arguments(
            BCE_NAME, lambda given: {**given, "pos_weight": None})[f"{BCE_NAME}_backward"]},
    ),
)  # fmt: skip


# --- what cross-entropy and negative log-likelihood share ------------------------------------------------------------


def _axis(x: Array) -> int:
    return 1 if x.ndim > 1 else 0


def _along(values: Any, x: Array) -> Array:
    """Numbers of the classes, shaped to broadcast along their axis."""
    return np.reshape(values, (-1, *(1,) * (x.ndim - _axis(x) - 1)))


def _distribution(x: Array, target: Array, ignore_index: int | None) -> Array:
    """The target as a distribution, all zero where it is ignored."""
    if target.dtype.kind == "f":
        return target
    index = _along(np.arange(x.shape[_axis(x)]), x)
    hot = np.expand_dims(target, _axis(x)) == index
    return hot & (np.expand_dims(target, _axis(x)) != ignore_index)


def _count(input: Array, target: Array, weight: Any = None, ignore_index: int = -100, **_: Any) -> Any:
    """What torch's mean divides by."""
    if target.dtype.kind == "f":
        return target.size / input.shape[_axis(input)]
    hot = _distribution(input, target, ignore_index)
    return (hot if weight is None else hot * _along(weight, input)).sum()


def _examples(input: Array, **_: Any) -> float:
    return input.size / input.shape[_axis(input)]


def _targets(input: Array, target: Array, ignore_index: int = -100, label_smoothing: float = 0.0, **_: Any) -> Array:
    """The smoothed target distribution, all zero where it is ignored."""
    y = _distribution(input, target, ignore_index)
    kept = np.ones_like(y, bool) if target.dtype.kind == "f" else y.any(axis=_axis(input), keepdims=True)
    return kept * ((1 - label_smoothing) * y + label_smoothing / input.shape[_axis(input)])


def _of_targets(log: Callable[[Array, int], Array], targets: Callable[..., Array] = _targets) -> Replaces:
    """Cross-entropy of other log-probabilities, or of other target distributions."""

    def terms(input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
        axis, q = _axis(input), targets(input, target, weight=weight, **given)
        w = 1.0 if weight is None else _along(weight, input)
        return -(np.where(q == 0, 0.0, w * q * log(input, axis))).sum(axis=axis)

    return formula("cross_entropy", terms, _count)


def _other_classes(name: str) -> Iterator[Fault]:
    """Mistakes with class weights and ignored labels, in both losses."""
    short = {"cross_entropy": "ce", "nll_loss": "nll"}[name]

    def fault(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
        return Fault(f"{short}-{id}", name, says, effect, fix, replaces)

    def mean(count: Callable[..., Any]) -> Replaces:
        def factor(reduction: str = "mean", **given: Any) -> Any:
            return _count(**given) / count(**given) if reduction == "mean" else 1.0

        return scaled(name, factor)

    def ignored_as(label: int) -> Callable[[dict[str, Any]], Arguments]:
        def change(given: dict[str, Any]) -> Arguments:
            target, ignored = given["target"], given.get("ignore_index", -100)
            if target.dtype.kind == "f":
                return given
            return {**given, "target": np.where(target == ignored, label, target), "ignore_index": -100}

        return change

    yield fault(
        "weight-ignored", "class weights are ignored", _WEIGHTS, "multiply by the target's weight",
        arguments(name, lambda given: {**given, "weight": None}),
    )  # fmt: skip
    yield fault(
        "ignored-in-mean", "ignored examples count in the mean's divisor", "Padding shrinks the step.",
        "divide by the examples that are kept",
        mean(lambda input, target, weight=None, **given: (
            _count(input, target, weight, **given)
            + (0 if target.dtype.kind == "f" else (target == given.get("ignore_index", -100)).sum()))),
    )  # fmt: skip
    yield fault(
        "ignored-as-class-zero", "ignored labels are taken for class 0", IGNORED_COUNT, "leave them out",
        arguments(name, ignored_as(0)),
    )  # fmt: skip
    yield fault(
        "ignored-as-last-class", "ignored labels index from the end", IGNORED_COUNT, "leave them out",
        _from_the_end(name),
    )  # fmt: skip
    yield fault(
        "ignore-index-fixed", "ignore_index is ignored, it is -100", IGNORED_COUNT, "obey ignore_index",
        _ignoring_nothing(name),
    )  # fmt: skip
    yield fault(
        "mean-over-everything", "the mean divides by classes too", "The step shrinks with the number of classes.",
        "divide by the examples' weights", mean(lambda input, **given: _count(input=input, **given) * (
            input.shape[_axis(input)])),
    )  # fmt: skip
    yield fault(
        "mean-over-all-weights", "the mean divides by the sum of all class weights", "The loss has a wrong scale.",
        "divide by the sum of the targets' weights",
        mean(lambda input, target, weight=None, **given: (
            _count(input, target, None, **given) if weight is None else np.sum(weight))),
    )  # fmt: skip
    yield fault(
        "mean-over-batch-only", "the mean of images divides by the batch only", "The step grows with the image.",
        "divide by the examples of all positions",
        mean(lambda input, **given: _count(input=input, **given) / max(_examples(input) / len(input), 1)),
    )  # fmt: skip
    yield fault(
        "mean-over-length", "the mean is over the batch, whatever is ignored or weighted",
        "Padding and rare classes change the step.", "divide by the examples' weights",
        _over_length(name),
    )  # fmt: skip
    yield fault(
        "weight-squared", "class weights are applied twice", "Rare classes dominate.", "multiply by the weight once",
        _weights_times(name, lambda w: w),
    )  # fmt: skip
    yield fault(
        "gradient-without-weight", "the gradient lacks the class weights", _WEIGHTS, "multiply by the target's weight",
        {f"{name}_backward": arguments(name, lambda given: {**given, "weight": None})[f"{name}_backward"]},
    )  # fmt: skip
    yield fault(
        "gradient-of-ignored", "ignored examples get a gradient", IGNORED_COUNT, "zero their gradient",
        {f"{name}_backward": arguments(name, ignored_as(0))[f"{name}_backward"]},
    )  # fmt: skip


def _over_length(name: str) -> Replaces:
    """The sum divided by the length of the input where the mean is asked for."""

    def change(given: dict[str, Any]) -> Arguments:
        return {**given, "reduction": "sum"} if given.get("reduction", "mean") == "mean" else given

    def share(input: Array, reduction: str = "mean", **_: Any) -> float:
        return 1 / len(input) if reduction == "mean" and input.ndim > 1 and len(input) else 1.0

    summed = arguments(name, change)

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        return {key: value * share(**given) for key, value in summed[f"{name}_backward"](grad_output, **given).items()}

    return replacing(name, lambda **given: np.asarray(summed[name](**given) * share(**given)), backward)


def _from_the_end(name: str) -> Replaces:
    def change(given: dict[str, Any]) -> Arguments:
        target, ignored = given["target"], given.get("ignore_index", -100)
        if target.dtype.kind == "f" or not -given["input"].shape[_axis(given["input"])] <= ignored < 0:
            return given
        return {**given, "target": target % given["input"].shape[_axis(given["input"])]}

    return arguments(name, change)


def _ignoring_nothing(name: str) -> Replaces:
    def change(given: dict[str, Any]) -> Arguments:
        ignored = given.get("ignore_index", -100)
        within = 0 <= ignored < given["input"].shape[_axis(given["input"])]
        return {**given, "ignore_index": -100} if within else given

    return arguments(name, change)


def _weights_times(name: str, factor: Callable[[Array], Array]) -> Replaces:
    """The loss with other class weights: the right ones times a function of them, as also in the mean's divisor."""

    def change(given: dict[str, Any]) -> Arguments:
        weight = given.get("weight")
        return given if weight is None else {**given, "weight": weight * factor(weight)}

    return arguments(name, change)


# --- cross-entropy ---------------------------------------------------------------------------------------------------


def _ce(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "cross_entropy", says, effect, fix, replaces, happened)


def _softmax(x: Array, axis: int) -> Array:
    return np.exp(log_softmax(x, axis))


def _unshifted(x: Array, axis: int) -> Array:
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def _smoothing_everyone(input: Array, target: Array, **given: Any) -> Array:
    """The even part of the target for ignored examples too."""
    smoothing = given.get("label_smoothing", 0.0)
    hot = _distribution(input, target, given.get("ignore_index", -100))
    return (1 - smoothing) * hot + smoothing / input.shape[_axis(input)]


def _classes_of_last_axis(input: Array, target: Array, **given: Any) -> Array:
    smoothing, q = given.get("label_smoothing", 0.0), _targets(input, target, **given)
    even = smoothing / input.shape[_axis(input)]
    return np.where(q == 0, 0.0, q - even + smoothing / input.shape[-1])


def _unweighted_smoothing(input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
    """The even part divided by the weights that will multiply it."""
    smoothing, q = given.get("label_smoothing", 0.0), _targets(input, target, **given)
    even = smoothing / input.shape[_axis(input)]
    w = 1.0 if weight is None else _along(weight, input)
    return np.where(q == 0, 0.0, q - even + even / np.where(w == 0, 1.0, w))


def _smoothing_by_target(input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
    """The even part divided by the weights that will multiply it, times that of the target."""
    if weight is None or target.dtype.kind == "f":
        return _targets(input, target, **given)
    axis, hot = _axis(input), _distribution(input, target, given.get("ignore_index", -100))
    own = (hot * _along(weight, input)).sum(axis=axis, keepdims=True)
    even = given.get("label_smoothing", 0.0) / input.shape[axis]
    q = _targets(input, target, **given)
    return np.where(q == 0, 0.0, q - even + even * own / _along(np.where(weight == 0, 1.0, weight), input))


def _not_smoothed_soft(input: Array, target: Array, **given: Any) -> Array:
    return target if target.dtype.kind == "f" else _targets(input, target, **given)


def _most_probable(given: dict[str, Any]) -> Arguments:
    target = given["target"]
    return {**given, "target": target.argmax(axis=_axis(given["input"]))} if target.dtype.kind == "f" else given


def _soft_over_weights(reduction: str = "mean", **given: Any) -> Any:
    """The weighted mean of classes, applied to distributions."""
    weight, target = given.get("weight"), given["target"]
    if target.dtype.kind != "f" or weight is None or reduction != "mean":
        return 1.0
    return _count(**given) / (target * _along(weight, given["input"])).sum()


def _presuming_sum_one(g: Array, input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
    """s - q with the weights inside q, where s must be multiplied by what the weighted q sums up to."""
    axis, q = _axis(input), _targets(input, target, **given)
    q = q * (1.0 if weight is None else _along(weight, input))
    total, s = q.sum(axis=axis, keepdims=True), _softmax(input, axis)
    slope = s * total - q
    return np.where(slope == 0, 0.0, g / np.where(slope == 0, 1.0, slope) * (s * (total != 0) - q))


CROSS_ENTROPY = (
    *shared("cross_entropy"),
    *_other_classes("cross_entropy"),
    _ce(
        "ce-softmax-twice", "softmax is taken before the log-softmax", "The loss cannot reach 0; training is slow.",
        "pass logits", _of_targets(lambda x, axis: log_softmax(_softmax(x, axis), axis)),
    ),
    _ce(
        "ce-without-softmax", "logits are taken for log-probabilities", "The loss falls without bound.",
        "log_softmax first", _of_targets(lambda x, axis: x),
    ),
    _ce(
        "ce-log-of-logits", "logits are taken for probabilities", NAN, "log_softmax in place of log",
        of_logarithm(lambda log: _of_targets(lambda x, axis: log(x))),
    ),
    _ce(
        "ce-without-log", "the logarithm is missing", "The loss is bounded and learns slowly.",
        "log_softmax in place of softmax", _of_targets(_softmax),
    ),
    _ce(
        "ce-exp-overflow", "no maximum is subtracted, exp overflows", NAN, "subtract the largest logit",
        _of_targets(_unshifted),
    ),
    _ce(
        "ce-log-sum-exp-overflow", "log(sum(exp(x))) overflows", NAN, "subtract the largest logit",
        _of_targets(_unshifted) | gradient("cross_entropy", lambda g, input, **_: (
            np.where(np.isinf(np.exp(input)), np.nan, g))),
    ),
    _ce(
        "ce-weight-twice", "the mean of weighted losses is weighted again", "Rare classes dominate.",
        "weigh once", _of_targets(log_softmax, lambda input, target, weight=None, **given: (
            _targets(input, target, **given) * (1.0 if weight is None else _along(weight, input)))),
    ),
    _ce(
        "ce-log-of-softmax", "log(softmax) underflows to -inf", NAN, "log_softmax in one",
        _of_targets(lambda x, axis: np.log(_softmax(x, axis))),
    ),
    *(
        _ce(
            f"ce-epsilon-in-log-{epsilon}", f"{epsilon} is added inside the logarithm", STALLS, "log_softmax in one",
            _of_targets(lambda x, axis, more=float(epsilon): np.log(_softmax(x, axis) + more)),
        )
        for epsilon in EPSILONS[1:5]
    ),
    *(
        _ce(
            f"ce-probability-clipped-{bound}", f"probabilities are clipped to [{bound}, 1 - {bound}]", STALLS,
            "log_softmax in one", _of_targets(lambda x, axis, low=float(bound): np.log(
                clipped(_softmax(x, axis), low, 1 - low))),
        )
        for bound in ("1e-7", "1e-12")
    ),
    _ce(
        "ce-last-axis", "softmax runs along the last axis, not over classes", "Positions compete, not classes.",
        "softmax over axis 1", _of_targets(lambda x, axis: log_softmax(x, -1)),
    ),
    _ce(
        "ce-first-axis", "softmax runs over the batch", "Examples compete, not classes.", "softmax over axis 1",
        _of_targets(lambda x, axis: log_softmax(x, 0)),
    ),
    _ce(
        "ce-base-two", "the logarithm has base 2", "The loss is 1.44 times as large.", "natural logarithm",
        _of_targets(lambda x, axis: log_softmax(x, axis) / np.log(2)),
    ),
    _ce(
        "ce-binary", "a sigmoid a class takes the place of softmax", OTHER_LOSS, "softmax over the classes",
        _of_targets(lambda x, axis: -softplus(-x)),
    ),
    _ce(
        "ce-label-smoothing-ignored", "label_smoothing is ignored", "The model grows overconfident.",
        "q = (1 - eps) y + eps / C", arguments("cross_entropy", lambda given: {**given, "label_smoothing": 0.0}),
    ),
    _ce(
        "ce-label-smoothing-ignores-ignore-index", "ignored examples keep the smoothing part", IGNORED_COUNT,
        "mask both parts", _of_targets(log_softmax, _smoothing_everyone),
        "https://github.com/pytorch/pytorch/issues/73205",
    ),
    _ce(
        "ce-label-smoothing-classes-from-last-axis", "smoothing counts classes along the last axis",
        "The smoothed target does not sum to 1.", "count the classes of axis 1",
        _of_targets(log_softmax, _classes_of_last_axis), "https://github.com/keras-team/keras/pull/23437",
    ),
    _ce(
        "ce-label-smoothing-without-even-part", "smoothing lacks its even part", "The target sums to 1 - eps.",
        "q = (1 - eps) y + eps / C", _of_targets(log_softmax, lambda input, target, **given: (
            (1 - given.get("label_smoothing", 0.0)) * _distribution(input, target, given.get("ignore_index", -100)))),
    ),
    _ce(
        "ce-label-smoothing-adds", "the even part is added, the rest is not reduced", "The target sums to 1 + eps.",
        "q = (1 - eps) y + eps / C", _of_targets(log_softmax, lambda input, target, **given: (
            _targets(input, target, **given)
            + given.get("label_smoothing", 0.0) * _distribution(input, target, given.get("ignore_index", -100)))),
    ),
    _ce(
        "ce-label-smoothing-without-classes", "the even part is not divided by the classes",
        "The target sums to more than 1.", "q = (1 - eps) y + eps / C",
        _of_targets(log_softmax, lambda input, target, **given: (
            _targets(input, target, **given) + (_targets(input, target, **given) != 0)
            * given.get("label_smoothing", 0.0) * (1 - 1 / input.shape[_axis(input)]))),
    ),
    _ce(
        "ce-label-smoothing-unweighted", "the even part lacks the class weights", _WEIGHTS,
        "weigh both parts", _of_targets(log_softmax, _unweighted_smoothing),
    ),
    _ce(
        "ce-label-smoothing-weighted-by-target", "the even part has the target's weight", _WEIGHTS,
        "weigh each class's part by that class's weight", _of_targets(log_softmax, _smoothing_by_target),
    ),
    _ce(
        "ce-label-smoothing-complement", "label_smoothing and 1 - label_smoothing are exchanged",
        "Nothing but the even part is learned.", "q = (1 - eps) y + eps / C",
        arguments("cross_entropy", lambda given: {
            **given, "label_smoothing": 1 - given.get("label_smoothing", 0.0)}),
    ),
    _ce(
        "ce-probabilities-not-smoothed", "label_smoothing leaves probabilities alone", "It has no effect there.",
        "smooth them too", _of_targets(log_softmax, _not_smoothed_soft),
    ),
    _ce(
        "ce-probabilities-argmax", "of target probabilities the largest alone counts", "Soft labels teach nothing.",
        "-sum(q log p)", arguments("cross_entropy", _most_probable),
    ),
    _ce(
        "ce-probabilities-mean-over-weights", "the mean of probabilities divides by weights",
        "The loss has a wrong scale.", "divide by the examples", scaled("cross_entropy", _soft_over_weights),
    ),
    _ce(
        "ce-gradient-presumes-one", "the gradient s - q presumes that q sums to 1", NO_LEARNING,
        "s * sum(w q) - w q", gradient("cross_entropy", _presuming_sum_one),
    ),
    _ce(
        "ce-gradient-of-target-only", "the gradient lacks the softmax part", NO_LEARNING, "s - q",
        {"cross_entropy_backward": _of_targets(lambda x, axis: x)["cross_entropy_backward"]},
    ),
    _ce(
        "ce-gradient-times-slope", "the gradient is multiplied by s (1 - s)", STALLS, "s - q",
        gradient("cross_entropy", lambda g, input, **_: (
            g * _softmax(input, _axis(input)) * (1 - _softmax(input, _axis(input))))),
    ),
)  # fmt: skip


# --- negative log-likelihood -----------------------------------------------------------------------------------------


def _nll(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "nll_loss", says, effect, fix, replaces, happened)


def _likelihood(log: Callable[[Array, int], Array]) -> Replaces:
    """The likelihood of other numbers than the given ones."""

    def terms(input: Array, target: Array, weight: Any = None, ignore_index: int = -100, **_: Any) -> Array:
        y = _distribution(input, target, ignore_index) * (1.0 if weight is None else _along(weight, input))
        return -np.where(y == 0, 0.0, y * log(input, _axis(input))).sum(axis=_axis(input))

    return formula("nll_loss", terms, _count)


NLL = (
    *shared("nll_loss"),
    *_other_classes("nll_loss"),
    _nll(
        "nll-log-softmax-again", "log_softmax is taken of log-probabilities", "Harmless only where they sum to 1.",
        "pick the class's number", _likelihood(log_softmax),
    ),
    _nll(
        "nll-log-of-input", "the logarithm is taken of log-probabilities", NAN, "pick the class's number",
        _likelihood(lambda x, axis: np.log(x)) | gradient("nll_loss", lambda g, input, **_: g / input),
    ),
    _nll(
        "nll-of-probabilities", "the probability is returned, not its logarithm", OTHER_LOSS,
        "pick the class's number", _likelihood(lambda x, axis: np.exp(x)),
    ),
    _nll(
        "nll-all-classes", "all classes are added up, not the target's alone", "Every class is pushed up.",
        "pick the target's number",
        formula("nll_loss", lambda input, target, weight=None, ignore_index=-100, **_: -(
            input * (1.0 if weight is None else _along(weight, input))
            * _distribution(input, target, ignore_index).any(axis=_axis(input), keepdims=True)
        ).sum(axis=_axis(input)), _count),
    ),
    _nll(
        "nll-labels-off-by-one", "labels are counted from 1", "Every class is taken for the one before.",
        "labels count from 0", arguments("nll_loss", lambda given: {
            **given, "target": np.where(
                (given["target"] == given.get("ignore_index", -100)) | (given["target"] <= 0),
                given["target"], given["target"] - 1)}),
    ),
    _nll(
        "nll-gradient-spread", "the gradient reaches all classes", NO_LEARNING, "-w at the target's class, else 0",
        gradient("nll_loss", lambda g, input, **_: np.broadcast_to(
            g.sum(axis=_axis(input), keepdims=True), g.shape)),
    ),
)  # fmt: skip

CLASSES = (*BCE, *CROSS_ENTROPY, *NLL)
