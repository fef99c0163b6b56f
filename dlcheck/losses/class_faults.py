"""Known mistakes in the losses of classes: cross-entropy and negative log-likelihood."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses import reference
from dlcheck.losses.class_mistakes import (
    SHORT,
    along_classes,
    class_axis,
    distribution,
    of_both,
    of_targets,
    smoothed_targets,
    weighed_count,
)
from dlcheck.losses.counting_faults import counting
from dlcheck.losses.mistakes import (
    EPSILONS,
    IGNORED_COUNT,
    NAN,
    NO_LEARNING,
    OTHER_LOSS,
    STALLS,
    UNWEIGHTED,
    Arguments,
    Array,
    Replaces,
    arguments,
    backward_only,
    clipped,
    differentiated,
    formula,
    gradient,
    log_softmax,
    of_logarithm,
    replacing,
    shared,
    softplus,
)
from dlcheck.losses.smoothing_faults import SMOOTHING

# --- what both losses share ------------------------------------------------------------------------------------------


def _other_weights(name: str) -> Iterator[Fault]:
    """Mistakes with class weights, in both losses."""
    fault = of_both(name)
    yield fault(
        "weight-ignored", "class weights are ignored", UNWEIGHTED, "multiply by the target's weight",
        arguments(name, lambda given: {**given, "weight": None}),
    )  # fmt: skip
    yield fault(
        "weight-ignored-in-sum", "the sum leaves class weights out", UNWEIGHTED, "multiply by the target's weight",
        arguments(name, lambda given: {**given, "weight": None} if given.get("reduction") == "sum" else given),
    )  # fmt: skip
    yield fault(
        "weight-squared", "class weights are applied twice", "Rare classes dominate.", "multiply by the weight once",
        _weights_times(name, lambda w: w),
    )  # fmt: skip
    yield fault(
        "gradient-without-weight", "the gradient lacks the class weights", UNWEIGHTED,
        "multiply by the target's weight",
        {f"{name}_backward": arguments(name, lambda given: {**given, "weight": None})[f"{name}_backward"]},
    )  # fmt: skip


def _other_axes(name: str) -> Iterator[Fault]:
    """Mistakes in how classes and examples lie, in both losses."""
    yield Fault(
        f"{SHORT[name]}-every-pair", name, "every example is scored at the targets of all",
        "Every class is pushed up by every example.", "x[range(N), y], not x[:, y]", _every_pair(name),
    )  # fmt: skip
    yield Fault(
        f"{SHORT[name]}-reshaped", name, "images are reshaped to (-1, C), their classes not moved last",
        "Scores of pixels are mixed up.", "x.movedim(1, -1).reshape(-1, C)", _reshaped(name),
    )  # fmt: skip


def _every_pair(name: str) -> Replaces:
    """Each example at the targets of all; NaN where code that makes this mistake fails."""

    def whole(input: Array, target: Array, reduction: str = "mean", **_: Any) -> Array:
        if target.dtype.kind == "f" or input.ndim < 2 or np.any((target < 0) | (target >= input.shape[1])):
            return input.sum() * np.nan
        pairs = -(log_softmax(input, 1) if name == "cross_entropy" else input)[:, target]
        return pairs if reduction == "none" else pairs.sum() if reduction == "sum" else pairs.mean()

    return differentiated(name, whole)


def _reshaped(name: str) -> Replaces:
    """Images read as (-1, C) as they lie in memory, with classes behind the pixels."""

    def image(input: Array, target: Array, **_: Any) -> bool:
        return target.dtype.kind != "f" and input.ndim > 2

    def change(given: dict[str, Any]) -> Arguments:
        x = given["input"]
        flat = {"input": x.reshape(-1, x.shape[1]), "target": given["target"].ravel()} if image(**given) else {}
        return {**given, **flat}

    changed = arguments(name, change)

    def backward(grad_output: Array, **given: Any) -> dict[str, Array]:
        flat = grad_output.ravel() if image(**given) and grad_output.ndim else grad_output
        (found,) = changed[f"{name}_backward"](flat, **given).values()
        return {"input": found.reshape(given["input"].shape)}

    def forward(**given: Any) -> Array:
        found = changed[name](**given)
        return found.reshape(given["target"].shape) if image(**given) and found.ndim else found

    return replacing(name, forward, backward)


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


def _presuming_sum_one(g: Array, input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
    """s - q with the weights inside q, where s must be multiplied by what the weighted q sums up to."""
    axis, q = class_axis(input), smoothed_targets(input, target, **given)
    q = q * (1.0 if weight is None else along_classes(weight, input))
    total, s = q.sum(axis=axis, keepdims=True), _softmax(input, axis)
    slope = s * total - q
    return np.where(slope == 0, 0.0, g / np.where(slope == 0, 1.0, slope) * (s * (total != 0) - q))


def _softmax_of_ignored(
    grad_output: Array, input: Array, target: Array, reduction: Any = "mean", **given: Any
) -> dict[str, Array]:
    right = reference.cross_entropy_backward(grad_output, input, target, reduction=reduction, **given)["input"]
    if target.dtype.kind == "f":
        return {"input": right}
    axis = class_axis(input)
    ignored = ~distribution(input, target, given.get("ignore_index", -100)).any(axis=axis)
    each = ignored * grad_output / (weighed_count(input, target, **given) if reduction == "mean" else 1)
    return {"input": right + np.expand_dims(np.where(ignored, each, 0.0), axis) * _softmax(input, axis)}


CROSS_ENTROPY = (
    *shared("cross_entropy"),
    *_other_weights("cross_entropy"),
    *counting("cross_entropy"),
    *_other_axes("cross_entropy"),
    _ce(
        "ce-softmax-twice", "softmax is taken before the log-softmax", "The loss cannot reach 0; training is slow.",
        "pass logits", of_targets(lambda x, axis: log_softmax(_softmax(x, axis), axis)),
    ),
    _ce(
        "ce-without-softmax", "logits are taken for log-probabilities", "The loss falls without bound.",
        "log_softmax first", of_targets(lambda x, axis: x),
    ),
    _ce(
        "ce-log-of-logits", "logits are taken for probabilities", NAN, "log_softmax in place of log",
        of_logarithm(lambda log: of_targets(lambda x, axis: log(x))),
    ),
    _ce(
        "ce-without-log", "the logarithm is missing", "The loss is bounded and learns slowly.",
        "log_softmax in place of softmax", of_targets(_softmax),
    ),
    _ce(
        "ce-exp-overflow", "no maximum is subtracted, exp overflows", NAN, "subtract the largest logit",
        of_targets(_unshifted),
    ),
    _ce(
        "ce-log-sum-exp-overflow", "log(sum(exp(x))) overflows", NAN, "subtract the largest logit",
        of_targets(_unshifted) | gradient("cross_entropy", lambda g, input, **_: (
            np.where(np.isinf(np.exp(input)), np.nan, g))),
    ),
    _ce(
        "ce-weight-twice", "the mean of weighted losses is weighted again", "Rare classes dominate.",
        "weigh once", of_targets(log_softmax, lambda input, target, weight=None, **given: (
            smoothed_targets(input, target, **given) * (1.0 if weight is None else along_classes(weight, input)))),
    ),
    _ce(
        "ce-log-of-softmax", "log(softmax) underflows to -inf", NAN, "log_softmax in one",
        of_targets(lambda x, axis: np.log(_softmax(x, axis))),
    ),
    *(
        _ce(
            f"ce-epsilon-in-log-{epsilon}", f"{epsilon} is added inside the logarithm", STALLS, "log_softmax in one",
            of_targets(lambda x, axis, more=float(epsilon): np.log(_softmax(x, axis) + more)),
        )
        for epsilon in EPSILONS[1:5]
    ),
    *(
        _ce(
            f"ce-probability-clipped-{bound}", f"probabilities are clipped to [{bound}, 1 - {bound}]", STALLS,
            "log_softmax in one", of_targets(lambda x, axis, low=float(bound): np.log(
                clipped(_softmax(x, axis), low, 1 - low))),
        )
        for bound in ("1e-7", "1e-12")
    ),
    _ce(
        "ce-last-axis", "softmax runs along the last axis, not over classes", "Positions compete, not classes.",
        "softmax over axis 1", of_targets(lambda x, axis: log_softmax(x, -1)),
    ),
    _ce(
        "ce-first-axis", "softmax runs over the batch", "Examples compete, not classes.", "softmax over axis 1",
        of_targets(lambda x, axis: log_softmax(x, 0)),
    ),
    _ce(
        "ce-base-two", "the logarithm has base 2", "The loss is 1.44 times as large.", "natural logarithm",
        of_targets(lambda x, axis: log_softmax(x, axis) / np.log(2)),
    ),
    _ce(
        "ce-binary", "a sigmoid a class takes the place of softmax", OTHER_LOSS, "softmax over the classes",
        of_targets(lambda x, axis: -softplus(-x)),
    ),
    _ce(
        "ce-gradient-presumes-one", "the gradient s - q presumes that q sums to 1", NO_LEARNING,
        "s * sum(w q) - w q", gradient("cross_entropy", _presuming_sum_one),
    ),
    _ce(
        "ce-gradient-of-target-only", "the gradient lacks the softmax part", NO_LEARNING, "s - q",
        {"cross_entropy_backward": of_targets(lambda x, axis: x)["cross_entropy_backward"]},
    ),
    _ce(
        "ce-gradient-of-ignored-softmax", "ignored examples get the gradient's softmax part", IGNORED_COUNT,
        "zero their gradient", backward_only("cross_entropy", _softmax_of_ignored),
    ),
    _ce(
        "ce-gradient-times-slope", "the gradient is multiplied by s (1 - s)", STALLS, "s - q",
        gradient("cross_entropy", lambda g, input, **_: (
            g * _softmax(input, class_axis(input)) * (1 - _softmax(input, class_axis(input))))),
    ),
)  # fmt: skip


# --- negative log-likelihood -----------------------------------------------------------------------------------------


def _nll(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "nll_loss", says, effect, fix, replaces, happened)


def _likelihood(log: Callable[[Array, int], Array]) -> Replaces:
    """The likelihood of other numbers than the given ones."""

    def terms(input: Array, target: Array, weight: Any = None, ignore_index: int = -100, **_: Any) -> Array:
        y = distribution(input, target, ignore_index) * (1.0 if weight is None else along_classes(weight, input))
        return -np.where(y == 0, 0.0, y * log(input, class_axis(input))).sum(axis=class_axis(input))

    return formula("nll_loss", terms, weighed_count)


NLL = (
    *shared("nll_loss"),
    *_other_weights("nll_loss"),
    *counting("nll_loss"),
    *_other_axes("nll_loss"),
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
            input * (1.0 if weight is None else along_classes(weight, input))
            * distribution(input, target, ignore_index).any(axis=class_axis(input), keepdims=True)
        ).sum(axis=class_axis(input)), weighed_count),
    ),
    _nll(
        "nll-labels-off-by-one", "labels are counted from 1", "Every class is taken for the one before.",
        "labels count from 0", arguments("nll_loss", lambda given: {
            **given, "target": np.where(
                (given["target"] == given.get("ignore_index", -100)) | (given["target"] <= 0),
                given["target"], given["target"] - 1)}),
    ),
    _nll(
        "nll-gradient-of-logits", "the gradient is that of logits, p - y", NO_LEARNING,
        "-w at the target's class, else 0",
        gradient("nll_loss", lambda g, input, **_: (
            g - np.exp(input) * g.sum(axis=class_axis(input), keepdims=True))),
    ),
    _nll(
        "nll-gradient-spread", "the gradient reaches all classes", NO_LEARNING, "-w at the target's class, else 0",
        gradient("nll_loss", lambda g, input, **_: np.broadcast_to(
            g.sum(axis=class_axis(input), keepdims=True), g.shape)),
    ),
)  # fmt: skip

CLASSES = (*CROSS_ENTROPY, *SMOOTHING, *NLL)
