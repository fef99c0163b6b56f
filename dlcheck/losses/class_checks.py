"""What the losses of classes must satisfy: cross-entropy and negative log-likelihood."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dlcheck.component import Case, Component
from dlcheck.evidence.strategies import Shape, shapes, uniform
from dlcheck.losses.cases import (
    Array,
    Rows,
    both,
    case_of,
    common,
    drawn_of,
    gradient_of,
    in_dtypes,
    plain_and,
    reductions,
    refusable,
)

SCORES = np.array([[0.5, -1.25, 2.0, 0.25], [1.5, 0.75, -0.5, -2.0], [-0.25, 1.0, 0.125, 3.0]])
CHOSEN = np.array([2, 1, 0])
LAST = np.array([3, 1, 3])
CLASS_WEIGHTS = np.array([0.5, 2.0, 3.25, 1.5])
ONE_WEIGHTLESS = np.array([0.5, 0.0, 3.25, 1.5])
DISTRIBUTIONS = np.array([[0.125, 0.25, 0.5, 0.125], [0.0, 1.0, 0.0, 0.0], [0.375, 0.125, 0.3125, 0.1875]])
IMAGE = np.random.default_rng(5).uniform(-3.0, 3.0, (2, 3, 2, 4)).round(3)
"""Two images of 2 x 4 pixels and three classes: no two axes fit by chance where code expects (N, C) alone."""
LABELS = np.array([[[0, 2, 1, 1], [1, 0, 2, 0]], [[2, 0, 0, 1], [0, 1, 1, 2]]])
SEQUENCE, STEPS = IMAGE[:, :, 0], LABELS[:, 0]
"""Three classes and four steps."""
PIXEL_WEIGHTS = np.array([0.5, 2.0, 3.25])


def _classes(input: Array = SCORES, target: Array = CHOSEN, weight: Array | None = None, **settings: Any) -> Case:
    arrays = {"input": input, "target": target} | ({} if weight is None else {"weight": weight})
    return case_of(arrays, **settings)


def _labelled(examples: int, classes: int, further: Shape, seed: int) -> dict[str, Any]:
    target = np.random.default_rng(seed + 1).integers(0, classes, (examples, *further))
    return {"input": uniform((examples, classes, *further), seed, -3.0, 3.0), "target": target}


def _first_classes() -> Rows:
    plain = _classes()
    search = drawn_of(_labelled, st.integers(1, 5), st.integers(2, 9), st.just(()), settings=st.just({}))
    yield "values", "it gives the mean over the examples", (plain,), search
    yield "gradient", "the gradient of the mean is right", (gradient_of(plain),), search
    yield "none", "it gives every example's loss", both(_classes(reduction="none"))
    yield "sum", "it adds them up", both(_classes(reduction="sum"))
    weighted = [_classes(weight=CLASS_WEIGHTS, **how) for how in plain_and("sum")]
    weighted.append(_classes(weight=CLASS_WEIGHTS, reduction="none"))
    yield "weights", "classes have weights, in the mean's divisor too", both(*weighted)
    yield "weightless", "a class may have no weight", both(_classes(weight=ONE_WEIGHTLESS))


def _ignoring() -> Rows:
    hows = plain_and("none")
    ignored = [_classes(target=np.array([2, 1, 0]), ignore_index=1, **how) for how in hows]
    beyond = [_classes(target=np.array([2, -1, 0]), ignore_index=-1, **how) for how in hows]
    far = _classes(target=np.array([255, 1, 0]), weight=CLASS_WEIGHTS, ignore_index=255)
    everything = _classes(target=np.array([1, 1, 1]), ignore_index=1)
    yield "ignored", "the ignored class gives no loss, no gradient and no count", both(*ignored)
    first, weighed = _classes(ignore_index=0), _classes(weight=CLASS_WEIGHTS, ignore_index=1)
    yield "ignored_first", "the ignored class may be class 0", both(first)
    yield "ignored_weights", "the ignored class's weight does not count", both(weighed)
    yield "ignored_beyond", "the ignored label need not be a class", (*both(beyond[0]), beyond[1], far)
    yield "all_ignored", "where all is ignored the mean is one of those in use", (replace(everything, exact=True),)
    default = _classes(target=np.array([2, -100, 0]))
    says = "-100 is ignored where nothing else is asked for"
    yield "ignored_by_default", says, both(default), None, "values", "advice"


def _images() -> Rows:
    pixels = [_classes(IMAGE, LABELS, **how) for how in plain_and("none")]
    several = [_classes(SEQUENCE, STEPS, PIXEL_WEIGHTS)]
    sizes = st.integers(1, 3), st.integers(2, 4), shapes(least=1, most=3, shortest=1, longest=3)
    search = drawn_of(_labelled, *sizes, settings=reductions()).map(lambda case: refusable(case)[0])
    yield "images", "classes run along axis 1 of (N, C, ...)", refusable(*both(*pixels, *several)), search
    ignoring = both(_classes(SEQUENCE, STEPS, ignore_index=1))
    yield "images_ignored", "pixels may be ignored", refusable(*ignoring)


def _last_classes(also: tuple[Case, ...]) -> Rows:
    nan = np.where(SCORES == 2.0, np.nan, SCORES)
    yield "nan", "NaN is not hidden, and touches no other example", (_classes(nan), _classes(nan, reduction="none"))
    shaped = [case_of(_labelled(*sizes, 7)) for sizes in ((1, 9, ()), (5, 2, ()))]
    single = refusable(*both(case_of(_labelled(1, 1, (), 7))))
    empty = case_of(_labelled(0, 3, (), 7), reduction="sum")
    yield "shapes", "it takes one example, one class, no example", (*both(*shaped), *single, empty)
    yield from common(_classes(), also=also)
    lone = _classes(SCORES[0], np.array(2))
    yield (
        "one_example",
        "it takes one example without the batch's axis",
        refusable(*both(lone)),
        None,
        "values",
        "advice",
    )


def _smoothing() -> Rows:
    smoothed = [_classes(label_smoothing=0.25, **how) for how in plain_and("none")]
    yield "smoothing", "label_smoothing spreads a part of the target evenly", both(*smoothed)
    all_of_it = _classes(target=LAST, label_smoothing=1.0)
    weighted = _classes(weight=CLASS_WEIGHTS, label_smoothing=0.25)
    yield "smoothing_weights", "both parts are weighed", (*both(weighted), all_of_it)
    ignored = [_classes(ignore_index=1, label_smoothing=0.25, **how) for how in plain_and("sum")]
    at_once = _classes(weight=CLASS_WEIGHTS, ignore_index=1, label_smoothing=0.25)
    yield "smoothing_ignored", "ignored examples have no smoothed part", both(*ignored, at_once)
    yield (
        "smoothing_images",
        "the part is one of the classes of axis 1",
        refusable(*both(_classes(SEQUENCE, STEPS, label_smoothing=0.25))),
    )


def _probabilities() -> Rows:
    plain, each = _classes(target=DISTRIBUTIONS), _classes(target=DISTRIBUTIONS, reduction="none")
    cases = *both(plain, _classes(target=DISTRIBUTIONS, reduction="sum")), each, gradient_of(each, (3,))
    yield "probabilities", "targets may be distributions", refusable(*cases)
    smoothed = _classes(target=DISTRIBUTIONS, label_smoothing=0.25)
    yield "probabilities_smoothed", "distributions are smoothed too", refusable(*both(smoothed))
    weighted = _classes(target=DISTRIBUTIONS, weight=CLASS_WEIGHTS)
    says = "their mean divides by the examples, weighted or not"
    yield "probabilities_weights", says, refusable(*both(weighted))
    drawn = uniform(IMAGE.shape, 8, 0.25, 1.0)
    pixels = _classes(IMAGE, drawn / drawn.sum(axis=1, keepdims=True))
    yield "probabilities_images", "distributions run along axis 1", refusable(*both(pixels))


def cross_entropy(component: Component) -> Rows:
    apart = np.array([[1e4, -1e4, 0.0, 1.0], [-1e4, -1e4, 30.0, 0.0], [1e3, -1e3, 990.0, 0.0]])
    yield from _first_classes()
    yield from _images()
    far = [*both(_classes(apart, LAST)), *(_classes(apart, target, reduction="none") for target in (CHOSEN, LAST))]
    yield "extremes", "it is finite and right for logits far apart", in_dtypes(("float64", "float32"), *far)
    masked = np.where(SCORES == 0.25, -np.inf, SCORES)
    says = "a class at -inf is impossible and gives no NaN"
    yield "masked", says, both(_classes(masked)), None, "values", "advice"
    yield from _ignoring()
    yield from _smoothing()
    yield from _probabilities()
    yield from _last_classes((_classes(weight=CLASS_WEIGHTS), *refusable(_classes(target=DISTRIBUTIONS))))


def nll(component: Component) -> Rows:
    yield from _first_classes()
    yield "extremes", "log-probabilities may be very low", both(_classes(1e3 * SCORES))
    yield from _images()
    masked = np.where(SCORES == 0.25, -np.inf, SCORES)
    says = "a class at -inf that is not the target's is left alone"
    yield "masked", says, both(_classes(masked)), None, "values", "advice"
    yield from _ignoring()
    yield from _last_classes((_classes(weight=CLASS_WEIGHTS),))
