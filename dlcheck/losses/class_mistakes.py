"""What the known mistakes in the losses of classes are made of: targets as distributions, what their mean counts."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses.mistakes import Array, Replaces, formula, log_softmax

SHORT = {"cross_entropy": "ce", "nll_loss": "nll"}
"""How the names of their mistakes begin."""


def of_both(name: str) -> Callable[[str, str, str, str, Replaces], Fault]:
    """A mistake of one of the two losses, by id, words, effect, fix and what it replaces."""
    return lambda id, *words: Fault(f"{SHORT[name]}-{id}", name, *words)


def class_axis(x: Array) -> int:
    """0 of one example, else 1."""
    return 1 if x.ndim > 1 else 0


def along_classes(values: Any, x: Array) -> Array:
    """Numbers of the classes, shaped to broadcast along their axis."""
    return np.reshape(values, (-1, *(1,) * (x.ndim - class_axis(x) - 1)))


def distribution(x: Array, target: Array, ignore_index: int | None) -> Array:
    """The target as a distribution, all zero where it is ignored."""
    if target.dtype.kind == "f":
        return target
    index = along_classes(np.arange(x.shape[class_axis(x)]), x)
    hot = np.expand_dims(target, class_axis(x)) == index
    return hot & (np.expand_dims(target, class_axis(x)) != ignore_index)


def weighed_count(input: Array, target: Array, weight: Any = None, ignore_index: int = -100, **_: Any) -> Any:
    """What torch's mean divides by."""
    if target.dtype.kind == "f":
        return target.size / input.shape[class_axis(input)]
    hot = distribution(input, target, ignore_index)
    return (hot if weight is None else hot * along_classes(weight, input)).sum()


def example_count(input: Array, **_: Any) -> float:
    """Examples, or positions of images, ignored or not."""
    return input.size / input.shape[class_axis(input)]


def smoothed_targets(
    input: Array, target: Array, ignore_index: int = -100, label_smoothing: float = 0.0, **_: Any
) -> Array:
    """The smoothed target distribution, all zero where it is ignored."""
    y = distribution(input, target, ignore_index)
    kept = np.ones_like(y, bool) if target.dtype.kind == "f" else y.any(axis=class_axis(input), keepdims=True)
    return kept * ((1 - label_smoothing) * y + label_smoothing / input.shape[class_axis(input)])


def of_targets(log: Callable[[Array, int], Array], targets: Callable[..., Array] = smoothed_targets) -> Replaces:
    """Cross-entropy of other log-probabilities, or of other target distributions."""

    def weighed(input: Array, target: Array, weight: Any = None, **given: Any) -> Array:
        return targets(input, target, weight=weight, **given) * (
            1.0 if weight is None else along_classes(weight, input)
        )

    def terms(input: Array, **given: Any) -> Array:
        axis, q = class_axis(input), weighed(input, **given)
        return -(np.where(q == 0, 0.0, q * log(input, axis))).sum(axis=axis)

    def slope(input: Array, **given: Any) -> Array:
        axis, q = class_axis(input), weighed(input, **given)
        return np.exp(log(input, axis)) * q.sum(axis=axis, keepdims=True) - q

    return formula("cross_entropy", terms, weighed_count, slope if log is log_softmax else None)
