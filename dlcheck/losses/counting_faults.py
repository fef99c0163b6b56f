"""Known mistakes in what counts: ignored labels and the divisors of means, in both losses of classes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses import reference
from dlcheck.losses.class_mistakes import class_axis, example_count, of_both, weighed_count
from dlcheck.losses.mistakes import (
    IGNORED_COUNT,
    Arguments,
    Array,
    Replaces,
    arguments,
    forward_only,
    replacing,
    scaled,
)


def counting(name: str) -> Iterator[Fault]:
    """Mistakes with means and ignored labels, in both losses."""
    yield from _means(name)
    yield from _ignored(name)


def _ignored_as(label: int) -> Callable[[dict[str, Any]], Arguments]:
    def change(given: dict[str, Any]) -> Arguments:
        target, ignored = given["target"], given.get("ignore_index", -100)
        if target.dtype.kind == "f":
            return given
        return {**given, "target": np.where(target == ignored, label, target), "ignore_index": -100}

    return change


def _means(name: str) -> Iterator[Fault]:
    fault = of_both(name)

    def mean(count: Callable[..., Any]) -> Replaces:
        def factor(reduction: str = "mean", **given: Any) -> Any:
            return weighed_count(**given) / count(**given) if reduction == "mean" else 1.0

        return scaled(name, factor)

    yield fault(
        "ignored-in-mean", "ignored examples count in the mean's divisor", "Padding shrinks the step.",
        "divide by the examples that are kept",
        mean(lambda input, target, weight=None, **given: (
            weighed_count(input, target, weight, **given)
            + (0 if target.dtype.kind == "f" else (target == given.get("ignore_index", -100)).sum()))),
    )  # fmt: skip
    yield fault(
        "mean-over-everything", "the mean divides by classes too", "The step shrinks with the number of classes.",
        "divide by the examples' weights", mean(lambda input, **given: weighed_count(input=input, **given) * (
            input.shape[class_axis(input)])),
    )  # fmt: skip
    yield fault(
        "mean-over-all-weights", "the mean divides by the sum of all class weights", "The loss has a wrong scale.",
        "divide by the sum of the targets' weights",
        mean(lambda input, target, weight=None, **given: (
            weighed_count(input, target, None, **given) if weight is None else np.sum(weight))),
    )  # fmt: skip
    yield fault(
        "mean-over-batch-only", "the mean of images divides by the batch only", "The step grows with the image.",
        "divide by the examples of all positions",
        mean(lambda input, **given: weighed_count(input=input, **given) / max(example_count(input) / len(input), 1)),
    )  # fmt: skip
    yield fault(
        "mean-over-length", "the mean is over the batch, whatever is ignored or weighted",
        "Padding and rare classes change the step.", "divide by the examples' weights",
        _over_length(name),
    )  # fmt: skip
    yield fault(
        "ignored-weight-in-mean", "ignored labels' class weights count in the mean's divisor",
        "Padding shrinks the step.", "divide by the weights of the examples that are kept",
        mean(lambda input, target, **given: weighed_count(input, target, **given) + _ignored_weight(target, **given)),
    )  # fmt: skip
    yield fault(
        "mean-of-images-over-batch", "the mean of images divides by the batch, whatever weights",
        "The step grows with the image.", "divide by the weights of the examples of all positions",
        mean(lambda input, **given: len(input) if input.ndim > 2 else weighed_count(input=input, **given)),
    )  # fmt: skip


def _ignored(name: str) -> Iterator[Fault]:
    fault = of_both(name)
    yield fault(
        "ignored-as-class-zero", "ignored labels are taken for class 0", IGNORED_COUNT, "leave them out",
        arguments(name, _ignored_as(0)),
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
        "gradient-of-ignored", "ignored examples get a gradient", IGNORED_COUNT, "zero their gradient",
        {f"{name}_backward": arguments(name, _ignored_as(0))[f"{name}_backward"]},
    )  # fmt: skip
    yield fault(
        "ignore-index-zero", "ignore_index=0 is taken for none", IGNORED_COUNT, "if ignore_index is None, not or",
        arguments(name, lambda given: {**given, "ignore_index": given.get("ignore_index") or -100}),
    )  # fmt: skip
    yield fault(
        "ignored-dropped", 'with "none" ignored examples are left out', "Losses no longer stand by their examples.",
        "give ignored examples the loss 0", forward_only(name, lambda **given: _kept_only(name, **given)),
    )  # fmt: skip


def _ignored_weight(target: Array, weight: Any = None, ignore_index: int = -100, **_: Any) -> Any:
    """The class weights of ignored labels that are classes; none without weights."""
    if weight is None or target.dtype.kind == "f" or not 0 <= ignore_index < len(weight):
        return 0.0
    return weight[ignore_index] * np.sum(target == ignore_index)


def _kept_only(name: str, **given: Any) -> Array:
    target, loss = given["target"], getattr(reference, name)(**given)
    if given.get("reduction") != "none" or target.dtype.kind == "f":
        return loss
    return loss[target != given.get("ignore_index", -100)]


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
        if target.dtype.kind == "f" or not -given["input"].shape[class_axis(given["input"])] <= ignored < 0:
            return given
        return {**given, "target": target % given["input"].shape[class_axis(given["input"])]}

    return arguments(name, change)


def _ignoring_nothing(name: str) -> Replaces:
    def change(given: dict[str, Any]) -> Arguments:
        ignored = given.get("ignore_index", -100)
        within = 0 <= ignored < given["input"].shape[class_axis(given["input"])]
        return {**given, "ignore_index": -100} if within else given

    return arguments(name, change)
