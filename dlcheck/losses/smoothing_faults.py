"""Known mistakes in cross-entropy with smoothed labels, and with distributions as targets."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses.class_mistakes import (
    along_classes,
    class_axis,
    distribution,
    of_targets,
    smoothed_targets,
    weighed_count,
)
from dlcheck.losses.mistakes import (
    IGNORED_COUNT,
    UNWEIGHTED,
    Arguments,
    Array,
    Replaces,
    arguments,
    differentiated,
    log_softmax,
    scaled,
)


def _ce(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "cross_entropy", says, effect, fix, replaces, happened)


def _smoothing_everyone(input: Array, target: Array, **given: Any) -> Array:
    """The even part of the target for ignored examples too."""
    smoothing = given.get("label_smoothing", 0.0)
    hot = distribution(input, target, given.get("ignore_index", -100))
    return (1 - smoothing) * hot + smoothing / input.shape[class_axis(input)]


def _classes_of_last_axis(input: Array, target: Array, **given: Any) -> Array:
    smoothing, q = given.get("label_smoothing", 0.0), smoothed_targets(input, target, **given)
    even = smoothing / input.shape[class_axis(input)]
    return np.where(q == 0, 0.0, q - even + smoothing / input.shape[-1])


def _unweighted_smoothing(input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
    """The even part divided by the weights that will multiply it."""
    smoothing, q = given.get("label_smoothing", 0.0), smoothed_targets(input, target, **given)
    even = smoothing / input.shape[class_axis(input)]
    w = 1.0 if weight is None else along_classes(weight, input)
    return np.where(q == 0, 0.0, q - even + even / np.where(w == 0, 1.0, w))


def _smoothing_by_target(input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
    """The even part divided by the weights that will multiply it, times that of the target."""
    if weight is None or target.dtype.kind == "f":
        return smoothed_targets(input, target, **given)
    axis, hot = class_axis(input), distribution(input, target, given.get("ignore_index", -100))
    own = (hot * along_classes(weight, input)).sum(axis=axis, keepdims=True)
    even = given.get("label_smoothing", 0.0) / input.shape[axis]
    q = smoothed_targets(input, target, **given)
    return np.where(q == 0, 0.0, q - even + even * own / along_classes(np.where(weight == 0, 1.0, weight), input))


def _not_smoothed_soft(input: Array, target: Array, **given: Any) -> Array:
    return target if target.dtype.kind == "f" else smoothed_targets(input, target, **given)


def _smoothing_by_count(
    input: Array, target: Array, weight: Any = None, reduction: str = "mean", **given: Any
) -> Array:
    """The even part such that the mean over the weights is one over the examples."""
    q = smoothed_targets(input, target, **given)
    if weight is None or target.dtype.kind == "f" or reduction != "mean":
        return q
    hot = distribution(input, target, given.get("ignore_index", -100))
    sharp = (1 - given.get("label_smoothing", 0.0)) * hot
    return sharp + (q - sharp) * weighed_count(input, target, weight, **given) / max(hot.sum(), 1)


def _most_probable(given: dict[str, Any]) -> Arguments:
    target = given["target"]
    return {**given, "target": target.argmax(axis=class_axis(given["input"]))} if target.dtype.kind == "f" else given


def _soft_over_weights(reduction: str = "mean", **given: Any) -> Any:
    """The weighted mean of classes, applied to distributions."""
    weight, target = given.get("weight"), given["target"]
    if target.dtype.kind != "f" or weight is None or reduction != "mean":
        return 1.0
    return weighed_count(**given) / (target * along_classes(weight, given["input"])).sum()


def _shares(true: Callable[[float, int], float], other: Callable[[float, int], float]) -> Replaces:
    """Other shares of the true class and of each other one: functions of epsilon and of the number of classes."""

    def targets(input: Array, target: Array, ignore_index: int = -100, **given: Any) -> Array:
        smoothing, classes = given.get("label_smoothing", 0.0), input.shape[class_axis(input)]
        if target.dtype.kind == "f" or not smoothing:
            return smoothed_targets(input, target, ignore_index, smoothing)
        hot = distribution(input, target, ignore_index)
        kept = hot.any(axis=class_axis(input), keepdims=True)
        return kept * np.where(hot, true(smoothing, classes), other(smoothing, classes))

    return of_targets(log_softmax, targets)


_SHARES: tuple[tuple[str, str, Callable[[float, int], float], Callable[[float, int], float]], ...] = (
    ("true-class-without", "the true class lacks its even part", lambda e, c: 1 - e, lambda e, c: e / c),
    ("over-others-and-true", "eps / (C - 1) goes to the true class too",
     lambda e, c: 1 - e + e / max(c - 1, 1), lambda e, c: e / max(c - 1, 1)),
    ("true-class-whole", "the true class keeps 1 beside eps / C", lambda e, c: 1.0, lambda e, c: e / c),
    ("true-class-whole-over-others", "the true class keeps 1 beside eps / (C - 1)",
     lambda e, c: 1.0, lambda e, c: e / max(c - 1, 1)),
    ("even-part-whole", "the even part is 1 / C, not eps / C", lambda e, c: 1 - e + 1 / c, lambda e, c: 1 / c),
    ("binary", "the even part is eps / 2, that of two classes", lambda e, c: 1 - e + e / 2, lambda e, c: e / 2),
)  # fmt: skip
"""Pairs of shares that do not sum to 1."""


def _parts_apart(masked: bool) -> Replaces:
    """The weighted mean of hard targets, and the plain mean of the even part, each reduced for itself."""

    def whole(input: Array, target: Array, weight: Any = None, reduction: str = "mean", **given: Any) -> Array:
        smoothing, axis = given.get("label_smoothing", 0.0), class_axis(input)
        log = log_softmax(input, axis)
        hot = smoothed_targets(input, target, given.get("ignore_index", -100))
        kept = hot.any(axis=axis) if masked else np.ones(np.shape(hot.sum(axis=axis)), bool)
        hard = -(hot * (1.0 if weight is None else along_classes(weight, input)) * log).sum(axis=axis)
        even = -np.where(kept, log.mean(axis=axis), 0.0)
        counts = (1, 1)
        if reduction != "none":
            hard, even = hard.sum(), even.sum()
        if reduction == "mean":
            counts = weighed_count(input, target, weight, given.get("ignore_index", -100)), kept.sum()
        return (1 - smoothing) * hard / counts[0] + smoothing * even / counts[1]

    return differentiated("cross_entropy", whole)


def _soft_again(given: dict[str, Any]) -> Arguments:
    target = given["target"]
    soft = target.dtype.kind == "f"
    return {**given, "target": np.exp(log_softmax(target, class_axis(given["input"])))} if soft else given


SMOOTHING = (
    *(
        _ce(
            f"ce-label-smoothing-{slug}", says, "The smoothed target does not sum to 1.", "q = (1 - eps) y + eps / C",
            _shares(true, other),
        )
        for slug, says, true, other in _SHARES
    ),
    _ce(
        "ce-label-smoothing-ignores-ignore-index", "the even part is averaged over ignored examples too", IGNORED_COUNT,
        "mask and weigh both parts, then divide once", _parts_apart(masked=False),
        "https://github.com/pytorch/pytorch/issues/73205", "https://github.com/pytorch/pytorch/issues/7455",
    ),
    _ce(
        "ce-label-smoothing-apart-unweighted", "the even part is averaged apart, without the weights", UNWEIGHTED,
        "mask and weigh both parts, then divide once", _parts_apart(masked=True),
    ),
    _ce(
        "ce-label-smoothing-mean-by-count", "the even part's mean divides by examples, not their weights", UNWEIGHTED,
        "add both parts, then divide by the weights", of_targets(log_softmax, _smoothing_by_count),
    ),
    _ce(
        "ce-probabilities-mean-over-elements", "the mean of target probabilities divides by the classes too",
        "The step shrinks with the number of classes.", "divide by the examples",
        scaled("cross_entropy", lambda input, target, reduction="mean", **_: (
            1 / input.shape[class_axis(input)] if target.dtype.kind == "f" and reduction == "mean" else 1.0)),
    ),
    _ce(
        "ce-probabilities-unweighted", "of target probabilities, classes are not weighted", UNWEIGHTED,
        "-sum(w q log p)", arguments("cross_entropy", lambda given: (
            {**given, "weight": None} if given["target"].dtype.kind == "f" else given)),
    ),
    _ce(
        "ce-probabilities-softmax", "softmax is taken of target probabilities", "Soft labels become nearly even.",
        "-sum(q log p)", arguments("cross_entropy", _soft_again),
    ),
    _ce(
        "ce-label-smoothing-ignored", "label_smoothing is ignored", "The model grows overconfident.",
        "q = (1 - eps) y + eps / C", arguments("cross_entropy", lambda given: {**given, "label_smoothing": 0.0}),
    ),
    _ce(
        "ce-label-smoothing-of-ignored", "ignored examples keep the smoothing part", IGNORED_COUNT,
        "mask both parts", of_targets(log_softmax, _smoothing_everyone),
    ),
    _ce(
        "ce-label-smoothing-classes-from-last-axis", "smoothing counts classes along the last axis",
        "The smoothed target does not sum to 1.", "count the classes of axis 1",
        of_targets(log_softmax, _classes_of_last_axis), "https://github.com/keras-team/keras/pull/23437",
    ),
    _ce(
        "ce-label-smoothing-without-even-part", "smoothing lacks its even part", "The target sums to 1 - eps.",
        "q = (1 - eps) y + eps / C", of_targets(log_softmax, lambda input, target, **given: (
            (1 - given.get("label_smoothing", 0.0)) * distribution(input, target, given.get("ignore_index", -100)))),
    ),
    _ce(
        "ce-label-smoothing-adds", "the even part is added, the rest is not reduced", "The target sums to 1 + eps.",
        "q = (1 - eps) y + eps / C", of_targets(log_softmax, lambda input, target, **given: (
            smoothed_targets(input, target, **given)
            + given.get("label_smoothing", 0.0) * distribution(input, target, given.get("ignore_index", -100)))),
    ),
    _ce(
        "ce-label-smoothing-without-classes", "the even part is not divided by the classes",
        "The target sums to more than 1.", "q = (1 - eps) y + eps / C",
        of_targets(log_softmax, lambda input, target, **given: (
            smoothed_targets(input, target, **given) + (smoothed_targets(input, target, **given) != 0)
            * given.get("label_smoothing", 0.0) * (1 - 1 / input.shape[class_axis(input)]))),
    ),
    _ce(
        "ce-label-smoothing-unweighted", "the even part lacks the class weights", UNWEIGHTED,
        "weigh both parts", of_targets(log_softmax, _unweighted_smoothing),
    ),
    _ce(
        "ce-label-smoothing-weighted-by-target", "the even part has the target's weight", UNWEIGHTED,
        "weigh each class's part by that class's weight", of_targets(log_softmax, _smoothing_by_target),
    ),
    _ce(
        "ce-label-smoothing-complement", "label_smoothing and 1 - label_smoothing are exchanged",
        "Nothing but the even part is learned.", "q = (1 - eps) y + eps / C",
        arguments("cross_entropy", lambda given: {
            **given, "label_smoothing": 1 - given.get("label_smoothing", 0.0)}),
    ),
    _ce(
        "ce-probabilities-not-smoothed", "label_smoothing leaves probabilities alone", "It has no effect there.",
        "smooth them too", of_targets(log_softmax, _not_smoothed_soft),
    ),
    _ce(
        "ce-probabilities-argmax", "of target probabilities the largest alone counts", "Soft labels teach nothing.",
        "-sum(q log p)", arguments("cross_entropy", _most_probable),
    ),
    _ce(
        "ce-probabilities-mean-over-weights", "the mean of probabilities divides by weights",
        "The loss has a wrong scale.", "divide by the examples", scaled("cross_entropy", _soft_over_weights),
    ),
)  # fmt: skip
