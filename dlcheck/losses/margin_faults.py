"""Known mistakes in the Kullback-Leibler divergence and in the multi-class margin loss."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.losses import reference
from dlcheck.losses.mistakes import (
    CLIMBS,
    EPSILONS,
    NAN,
    NO_LEARNING,
    OTHER_LOSS,
    RATE,
    Arguments,
    Array,
    Replaces,
    arguments,
    backward_only,
    formula,
    forward_only,
    gradient,
    positive,
    scaled,
    shared,
)

# --- divergence ------------------------------------------------------------------------------------------------------


def _kl(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "kl_div", says, effect, fix, replaces, happened)


def _divergence(terms: Callable[[Array, Array, Array], Array]) -> Replaces:
    """Another formula of x, p and log p."""

    def of_target(input: Array, target: Array, log_target: bool = False, **_: Any) -> Array:
        p, log_p = (np.exp(target), target) if log_target else (target, np.log(target))
        return terms(input, p, log_p)

    return formula("kl_div", of_target, _count)


def _count(input: Array, reduction: str = "mean", **_: Any) -> int:
    return len(input) if reduction == "batchmean" and input.ndim else input.size


def _reversed() -> Replaces:
    def backward(grad_output: Array, input: Array, target: Array, log_target: bool = False, **given: Any) -> Any:
        right = reference.kl_div_backward(grad_output, input, np.ones_like(target), **given)["input"]
        return {"input": -right * np.exp(input) * (input - (target if log_target else np.log(target)) + 1)}

    forward = _divergence(lambda x, p, log_p: np.exp(x) * (x - log_p))
    return forward | backward_only("kl_div", backward)


def _masked(p: Array, values: Array) -> Array:
    return np.where(p == 0, 0.0, values)


def _nonzero(values: Array) -> Array:
    return np.where(values == 0, 1.0, values)


def _batchmean_over_classes(input: Array, reduction: str = "mean", **_: Any) -> float:
    return len(input) / max(input.shape[-1], 1) if reduction == "batchmean" and input.ndim else 1.0


def _batchmean_over_last(input: Array, reduction: str = "mean", **_: Any) -> float:
    """What turns the division by the batch into one by all leading axes."""
    leading = input.size / input.shape[-1] if input.ndim and input.size else 1.0
    return len(input) / leading if reduction == "batchmean" and input.ndim else 1.0


def _other_reduction(asked: str, becomes: str) -> Replaces:
    def change(given: dict[str, Any]) -> Arguments:
        return {**given, "reduction": becomes} if given.get("reduction") == asked else given

    return arguments("kl_div", change)


KL = (
    *shared("kl_div"),
    _kl(
        "kl-zero-target-nan", "0 log 0 of a target is NaN", NAN, "0 where the target is 0",
        forward_only("kl_div", _divergence(lambda x, p, log_p: p * (log_p - x))["kl_div"]),
        "https://github.com/google-deepmind/optax/pull/473",
        "https://github.com/deeplearning4j/nd4j/issues/1340",
    ),
    _kl(
        "kl-reversed", "the divergence runs the other way, KL(q || p)", "It seeks one mode where it should cover all.",
        "p (log p - log q)", _reversed(),
    ),
    _kl(
        "kl-takes-probabilities", "the input is taken for probabilities", NAN, "pass log-probabilities",
        _divergence(lambda x, p, log_p: _masked(p, p * log_p) - p * np.log(x))
        | gradient("kl_div", lambda g, input, **_: g / input),
    ),
    _kl(
        "kl-softmax-again", "log_softmax is taken of log-probabilities", "Harmless only where they sum to 1.",
        "use the input as it is", _divergence(lambda x, p, log_p: _masked(
            p, p * (log_p - x + np.log(np.exp(x).sum(axis=-1, keepdims=True))))),
    ),
    _kl(
        "kl-without-entropy", "the target's entropy is left out: cross-entropy", "The loss does not reach 0.",
        "p (log p - x)", _divergence(lambda x, p, log_p: -p * x),
    ),
    _kl(
        "kl-without-weights", "the terms are not weighted by the target", OTHER_LOSS, "p (log p - x)",
        _divergence(lambda x, p, log_p: log_p - x),
    ),
    _kl(
        "kl-weighted-by-input", "the terms are weighted by the input's probability", OTHER_LOSS, "p (log p - x)",
        _divergence(lambda x, p, log_p: _masked(p, np.exp(x) * (log_p - x))),
    ),
    _kl(
        "kl-target-not-logged", "the target's logarithm is not taken", OTHER_LOSS, "p (log p - x)",
        _divergence(lambda x, p, log_p: p * (p - x)),
    ),
    _kl(
        "kl-log-target-ignored", "log_target is ignored", NAN, "exp(target) (target - x)",
        arguments("kl_div", lambda given: {**given, "log_target": False}),
    ),
    _kl(
        "kl-log-target-weighted-by-input", "with log_target the weight is the input's probability", OTHER_LOSS,
        "exp(target) (target - x)", formula("kl_div", lambda input, target, log_target=False, **_: (
            np.exp(input) * (target - input) if log_target
            else _masked(target, target * (np.log(target) - input))), _count),
    ),
    _kl(
        "kl-log-target-weights", "with log_target the weight is the logarithm itself", CLIMBS,
        "exp(target) (target - x)", formula("kl_div", lambda input, target, log_target=False, **_: (
            target * (target - input) if log_target else _masked(target, target * (np.log(target) - input))), _count),
    ),
    *(
        _kl(
            f"kl-epsilon-{epsilon}", f"{epsilon} is added inside the logarithm", "The loss does not reach 0.",
            "0 where the target is 0", _divergence(
                lambda x, p, log_p, more=float(epsilon): p * (np.log(p + more) - x)),
        )
        for epsilon in EPSILONS
    ),
    _kl(
        "kl-symmetric", "it is the mean of both directions", OTHER_LOSS, "p (log p - log q)",
        _divergence(lambda x, p, log_p: (p - np.exp(x)) * (log_p - x) / 2),
    ),
    _kl(
        "kl-jensen-shannon", "it is the Jensen-Shannon divergence", OTHER_LOSS, "p (log p - log q)",
        _divergence(lambda x, p, log_p: (
            _masked(p, p * log_p) + np.exp(x) * x - (p + np.exp(x)) * np.log((p + np.exp(x)) / 2)) / 2),
    ),
    _kl(
        "kl-with-masses", "q - p is added, as for measures that are not normalised",
        "Harmless only where both sum to 1.", "p (log p - log q)",
        _divergence(lambda x, p, log_p: _masked(p, p * (log_p - x)) - p + np.exp(x)),
    ),
    _kl(
        "kl-base-two", "the logarithm has base 2", "The loss is 1.44 times as large.", "natural logarithm",
        _divergence(lambda x, p, log_p: _masked(p, p * (log_p - x)) / np.log(2)),
    ),
    _kl(
        "kl-mean-over-classes", "the mean divides by the length of the last axis only", RATE,
        "divide by the number of elements", scaled("kl_div", lambda input, reduction="mean", **_: (
            input.size / max(input.shape[-1], 1) if reduction == "mean" and input.ndim else 1.0)),
    ),
    _kl(
        "kl-batchmean-is-mean", '"batchmean" divides by all elements', RATE, "divide by the examples",
        _other_reduction("batchmean", "mean"),
    ),
    _kl(
        "kl-batchmean-is-sum", '"batchmean" does not divide', RATE, "divide by the examples",
        _other_reduction("batchmean", "sum"),
    ),
    _kl(
        "kl-sum-is-batchmean", '"sum" divides by the examples', RATE, "add up", _other_reduction("sum", "batchmean"),
    ),
    _kl(
        "kl-batchmean-over-classes", '"batchmean" divides by the number of classes', RATE, "divide by len(input)",
        scaled("kl_div", _batchmean_over_classes),
    ),
    _kl(
        "kl-batchmean-over-positions", '"batchmean" divides by all but the last axis', RATE, "divide by len(input)",
        scaled("kl_div", _batchmean_over_last),
    ),
    _kl(
        "kl-gradient-with-softmax", "the gradient is that of logits, q - p", NO_LEARNING, "-p",
        gradient("kl_div", lambda g, input, target, log_target=False, **_: (
            g / _nonzero(np.exp(target) if log_target else target)
            * ((np.exp(target) if log_target else target) - np.exp(input)))),
    ),
    _kl(
        "kl-gradient-of-probabilities", "the gradient is divided by the probability", NO_LEARNING, "-p",
        gradient("kl_div", lambda g, input, **_: g * np.exp(-input)),
    ),
)  # fmt: skip


# --- margin ----------------------------------------------------------------------------------------------------------


def _hinge(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "hinge_loss", says, effect, fix, replaces, happened)


def _violations(each: Callable[[Array, Array, float], Array]) -> Replaces:
    """Other violations of each class, from the scores, the indicator of the true class and the margin.

    They are averaged or added up, as the convention has it.
    """

    def terms(scores: Array, target: Array, margin: float = 1.0, **given: Any) -> Array:
        values = each(scores, np.arange(scores.shape[1]) == target[:, None], margin)
        return values.sum(axis=1) / (scores.shape[1] if given.get("formula", "averaged") == "averaged" else 1)

    return formula("hinge_loss", terms)


def _examples(each: Callable[[Array, Array, float], Array]) -> Replaces:
    """Another loss of each example, from the same."""

    def terms(scores: Array, target: Array, margin: float = 1.0, **_: Any) -> Array:
        return each(scores, np.arange(scores.shape[1]) == target[:, None], margin)

    return formula("hinge_loss", terms)


def _true(s: Array, hot: Array) -> Array:
    return (s * hot).sum(axis=1, keepdims=True)


def _other(s: Array, hot: Array, m: float) -> Array:
    """What each other class violates."""
    return np.where(hot, 0.0, positive(m - _true(s, hot) + s))


def _true_class_gradient(change: Callable[[Array, Array], Array]) -> Replaces:
    """Another gradient of the true class's score, from the right one and that of a single violation."""

    def mistaken(grad_output: Array, scores: Array, target: Array, **given: Any) -> dict[str, Array]:
        hot = np.arange(scores.shape[1]) == target[:, None]
        right, alike = (
            reference.hinge_loss_backward(grad_output, values, target, **given)["scores"]
            for values in (scores, np.zeros_like(scores))
        )
        violated = np.where(hot, 0.0, alike)
        single = violated.sum(axis=1, keepdims=True) / np.maximum(np.sum(violated != 0, axis=1, keepdims=True), 1)
        return {"scores": np.where(hot, change(right, single), right)}

    return backward_only("hinge_loss", mistaken)


HINGE = (
    *shared("hinge_loss"),
    _hinge(
        "hinge-with-zero-one-labels", "labels 0 and 1 stand where -1 and 1 are meant",
        "Other classes cost a constant margin and are never pushed down.", "use 2 y - 1, or m - s_y + s_j",
        _violations(lambda s, hot, m: positive(m - hot * s)),
        "https://github.com/bfortuner/ml-glossary/pull/113", "https://github.com/deepchem/deepchem/issues/5018",
    ),
    _hinge(
        "hinge-true-class-counts", "the true class counts as a violation", "Every example costs a margin more.",
        "leave j = y out",
        _violations(lambda s, hot, m: positive(m - _true(s, hot) + s)),
    ),
    _hinge(
        "hinge-margin-ignored", "margin is ignored, it is 1", "The margin asked for is not kept.", "use margin",
        arguments("hinge_loss", lambda given: {**given, "margin": 1.0}),
    ),
    _hinge(
        "hinge-without-margin", "there is no margin", "It is content once the class leads at all.", "m - s_y + s_j",
        arguments("hinge_loss", lambda given: {**given, "margin": 0.0}),
    ),
    _hinge(
        "hinge-margin-zero", "margin=0 is taken for none, it is 1", "The margin asked for is not kept.",
        "if margin is None, not or",
        arguments("hinge_loss", lambda given: {**given, "margin": given.get("margin", 1.0) or 1.0}),
    ),
    _hinge(
        "hinge-margin-decides-only", "margin decides what counts, inside it is 1", "The margin asked for is not kept.",
        "max(0, m - s_y + s_j)", _violations(
            lambda s, hot, m: np.where(_other(s, hot, m) == 0, 0.0, 1.0 - _true(s, hot) + s)),
    ),
    _hinge(
        "hinge-margin-outside", "the margin multiplies the loss, inside it is 1", "The margin asked for is not kept.",
        "max(0, m - s_y + s_j)", _violations(lambda s, hot, m: m * _other(s, hot, 1.0)),
    ),
    _hinge(
        "hinge-margin-subtracted", "the margin is subtracted", "Wrong classes may lead by the margin.",
        "m - s_y + s_j",
        arguments("hinge_loss", lambda given: {**given, "margin": -given.get("margin", 1.0)}),
    ),
    _hinge(
        "hinge-scores-swapped", "the scores are subtracted the wrong way round", CLIMBS, "m - s_y + s_j",
        _violations(lambda s, hot, m: np.where(hot, 0.0, positive(m + _true(s, hot) - s))),
    ),
    _hinge(
        "hinge-not-rectified", "negative violations are not cut off", "Scores grow without bound.",
        "max(0, m - s_y + s_j)",
        _violations(lambda s, hot, m: np.where(hot, 0.0, m - _true(s, hot) + s)),
    ),
    _hinge(
        "hinge-squared", "the violations are squared", OTHER_LOSS, "max(0, m - s_y + s_j)",
        _violations(lambda s, hot, m: _other(s, hot, m) ** 2),
    ),
    _hinge(
        "hinge-averaged-over-others", "the sum is divided by C - 1", "The loss has a wrong scale.", "divide by C",
        _examples(lambda s, hot, m: _other(s, hot, m).sum(axis=1) / max(s.shape[1] - 1, 1)),
    ),
    _hinge(
        "hinge-labels-off-by-one", "labels are counted from 1", "Every class is taken for the one before.",
        "labels count from 0", arguments("hinge_loss", lambda given: {
            **given, "target": np.maximum(given["target"] - 1, 0)}),
    ),
    _hinge(
        "hinge-maximum-with-true-class", "the largest score may be the true class's",
        "A leading class costs the margin for ever.", "take the maximum over j != y",
        _examples(lambda s, hot, m: positive(m - _true(s, hot)[:, 0] + np.take_along_axis(
            s, s.real.argmax(axis=1)[:, None], axis=1)[:, 0])),
    ),
    _hinge(
        "hinge-gradient-without-true-class", "the true class's score gets no gradient", NO_LEARNING,
        "subtract the sum of the others' gradients at y",
        gradient("hinge_loss", lambda g, scores, target, **_: np.where(
            np.arange(scores.shape[1]) == target[:, None], 0.0, g)),
    ),
    _hinge(
        "hinge-gradient-true-class-once", "the true class gets one violation's gradient", NO_LEARNING,
        "subtract the sum of the others' gradients at y",
        gradient("hinge_loss", lambda g, scores, target, **_: np.where(
            np.arange(scores.shape[1]) == target[:, None],
            np.sign(g) * np.where(np.arange(scores.shape[1]) == target[:, None], 0.0, np.abs(g)).max(
                axis=1, keepdims=True), g)),
    ),
    _hinge(
        "hinge-gradient-true-class-always", "the true class's gradient is -1, violated or not", NO_LEARNING,
        "subtract the sum of the others' gradients at y",
        _true_class_gradient(lambda right, one: -one),
    ),
    _hinge(
        "hinge-gradient-true-class-sign", "the true class's gradient has the wrong sign", NO_LEARNING,
        "subtract the sum of the others' gradients at y", _true_class_gradient(lambda right, one: -right),
    ),
    _hinge(
        "hinge-gradient-of-true-class-only", "only the true class's score gets a gradient", NO_LEARNING,
        "each violating class gets its own",
        gradient("hinge_loss", lambda g, scores, target, **_: np.where(
            np.arange(scores.shape[1]) == target[:, None], g, 0.0)),
    ),
    _hinge(
        "hinge-gradient-not-averaged-over-classes", "the gradient is not divided by the classes",
        "Value and gradient disagree.", "divide by C",
        gradient("hinge_loss", lambda g, scores, **_: g * scores.shape[1]),
    ),
)  # fmt: skip

MARGINS = (*KL, *HINGE)
