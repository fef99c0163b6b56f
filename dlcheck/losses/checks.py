"""What every loss must satisfy: cases that tell conventions and mistakes apart.

Plain cases come first and name no setting, so that code which has none is judged too. "mean" is never asked for by
name: it is what is returned where nothing is.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dlcheck.component import Case, Check, Component
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
)
from dlcheck.losses.class_checks import cross_entropy, nll

SHAPES: tuple[Shape, ...] = ((1,), (9,), (4, 1), (2, 3, 4))

# --- errors ----------------------------------------------------------------------------------------------------------

INPUT = np.array([[0.5, -2.25, 4.0], [-1.5, 0.25, -0.75]])
TARGET = np.array([[1.125, -1.5, 0.5], [1.75, 0.125, -2.5]])
"""Errors of both signs, none like another, on both sides of 1, of 1/2 and 2, and of their roots."""


def _elementwise(shape: Shape, seed: int) -> dict[str, Any]:
    return {"input": uniform(shape, seed, -3.0, 3.0), "target": uniform(shape, seed + 1, -3.0, 3.0)}


def _errors(input: Array = INPUT, target: Array = TARGET, **settings: Any) -> Case:
    return case_of({"input": input, "target": target}, **settings)


def _first_errors() -> Rows:
    plain, search = _errors(), drawn_of(_elementwise, shapes(least=1, shortest=1), settings=st.just({}))
    yield "values", "it gives the mean over all elements", (plain,), search
    yield "gradient", "the gradient of the mean is right", (gradient_of(plain),), search
    yield "none", "it gives every element's loss", both(_errors(reduction="none"))
    yield "sum", "it adds them up", both(_errors(reduction="sum"))
    equal = _errors(np.array([1.5, -2.0, 0.0]), np.array([1.5, -2.0, 0.0]))
    yield "no_error", "where there is no error there is no loss", (replace(equal, exact=True),)
    at_zero = replace(gradient_of(equal), exact=True)
    yield "gradient_at_zero", "where there is no error the gradient is one of those in use", (at_zero,)


def _last_errors(*also: Case) -> Rows:
    nan = np.array([0.5, np.nan, -1.5]), np.array([1.0, 0.25, 2.0])
    shaped = [case_of(_elementwise(shape, 7)) for shape in SHAPES]
    empty = [case_of(_elementwise((0, 3), 7), reduction=name) for name in ("sum", "none")]
    yield "nan", "NaN is not hidden, and touches no other element", (_errors(*nan), _errors(*nan, reduction="none"))
    yield "shapes", "it takes any shape, empty ones too", (*both(*shaped), *empty)
    yield from common(_errors(), also=also)


def _close() -> Case:
    return _errors(1e8 + np.array([1.0, -2.0, 4.0]), np.full(3, 1e8))


FAR = np.array([1e8, -3e8, 7e7 + 1]), np.array([-3.0, 1.0, 2.0])


def _mse(component: Component) -> Rows:
    yield from _first_errors()
    yield "cancellation", "large values close together keep their digits", (_close(),)
    yield "far", "large errors keep their digits", both(_errors(*FAR))
    yield from _last_errors(_errors(reduction="sum"))


def _l1(component: Component) -> Rows:
    yield from _first_errors()
    yield "cancellation", "large values close together keep their digits", (_close(),)
    yield from _last_errors(_errors(reduction="sum"))


def _huber(component: Component) -> Rows:
    deltas = [_errors(delta=delta) for delta in (0.5, 2.0, 3.0)]
    settings = reductions(delta=st.sampled_from([0.25, 0.5, 1.5, 3.0]))
    search = drawn_of(_elementwise, shapes(least=1, shortest=1), settings=settings)
    float32 = replace(_errors(np.array([1e5, -3e5, 7e4]), np.zeros(3)), dtype="float32")
    yield from _first_errors()
    yield "delta", "it obeys delta, in value and slope", both(*deltas, _errors(delta=0.5, reduction="none")), search
    yield "far", "large errors keep their digits", (*both(_errors(*FAR), _errors(*FAR, delta=0.5)), *both(float32))
    yield from _last_errors(_errors(delta=2.0, reduction="sum"))


# --- binary cross-entropy --------------------------------------------------------------------------------------------

LOGITS = np.array([[0.5, -2.25, 4.0], [-1.5, 0.25, -0.75]])
YES_NO = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
SOFT = np.array([[0.875, 0.25, 0.375], [0.125, 0.75, 0.625]])
ELEMENT_WEIGHTS = np.array([[0.5, 2.0, 1.25], [3.0, 0.75, 1.5]])
POSITIVE_WEIGHTS = np.array([2.0, 0.25, 3.5])
FAR_OUT = np.array([1e4, -1e4, 1e3, -1e3, 50.0, -50.0, 800.0])
"""Beyond the range of exp, and where a clipped probability shows."""
CLAMPED = np.array([104.0, -104.0])
"""Where the logarithm of a probability lies below -100, which it is often held at."""


def _binary(shape: Shape, seed: int) -> dict[str, Any]:
    target = np.random.default_rng(seed + 1).integers(0, 2, shape).astype(np.float64)
    return {"input": uniform(shape, seed, -4.0, 4.0), "target": target}


def _bce(component: Component) -> Rows:
    def case(target: Array = YES_NO, **given: Any) -> Case:
        arrays = {name: given.pop(name) for name in component.optional if name in given}
        return case_of({"input": LOGITS, "target": target, **arrays}, **given)

    plain, search = case(), drawn_of(_binary, shapes(least=1, shortest=1), settings=st.just({}))
    yield "values", "it gives the mean over all elements", (plain,), search
    yield "gradient", "the gradient of the mean is right", (gradient_of(plain),), search
    yield "none", "it gives every element's loss", both(case(reduction="none"))
    yield "sum", "it adds them up", both(case(reduction="sum"))
    yield "soft_targets", "targets may be probabilities", both(case(SOFT))
    yield "zero_logits", "at logit 0 the gradient is 1/2 - y", both(_zero_logits(), _zero_logits(reduction="none"))
    one, zero = ({"input": FAR_OUT, "target": np.full(7, label)} for label in (1.0, 0.0))
    clamped = case_of({"input": CLAMPED, "target": np.array([0.0, 1.0])})
    extremes = [*both(case_of(one), case_of(zero)), case_of(one, reduction="none"), case_of(zero, reduction="none")]
    far = (*in_dtypes(("float64", "float32"), *extremes), *both(clamped))
    yield "extremes", "it is finite and right for any logits", far
    columns = [case(weight=POSITIVE_WEIGHTS, **how) for how in plain_and("sum")]
    yield "weight", "it weighs the elements", both(case(weight=ELEMENT_WEIGHTS), *columns)
    positive = case(pos_weight=POSITIVE_WEIGHTS), case(pos_weight=POSITIVE_WEIGHTS, reduction="none")
    soft = case(SOFT, pos_weight=POSITIVE_WEIGHTS), case(SOFT, weight=ELEMENT_WEIGHTS, pos_weight=np.array(2.5))
    yield "pos_weight", "it weighs the positive class", both(*positive, *soft)
    square, images = _binary((3, 3), 7), _binary((2, 3, 2, 3), 7)
    by_last = [case_of({**square, name: POSITIVE_WEIGHTS}) for name in ("weight", "pos_weight")]
    by_last.append(case_of({**images, "pos_weight": POSITIVE_WEIGHTS}))
    yield "weights_of_last_axis", "weights of one axis run along the last, whatever fits", both(*by_last)
    nan = {"input": np.array([0.5, np.nan, -1.5]), "target": np.array([1.0, 0.0, 1.0])}
    yield "nan", "NaN is not hidden, and touches no other element", (case_of(nan), case_of(nan, reduction="none"))
    shaped = [case_of(_binary(shape, 7)) for shape in SHAPES]
    yield "shapes", "it takes any shape", both(*shaped)
    yield from common(plain, also=(case(SOFT, pos_weight=POSITIVE_WEIGHTS),))


def _zero_logits(**settings: Any) -> Case:
    arrays = {"input": np.array([0.0, 0.0, 1.5]), "target": np.array([1.0, 0.0, 1.0])}
    return replace(case_of(arrays, **settings), exact=True)


# --- divergence and margin -------------------------------------------------------------------------------------------

LOG_PROBABILITIES = np.log([[0.125, 0.25, 0.5, 0.125], [0.5, 0.0625, 0.1875, 0.25], [0.375, 0.125, 0.3125, 0.1875]])
PROBABILITIES = np.array([[0.25, 0.125, 0.0625, 0.5625], [0.125, 0.375, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]])
RARE = np.array([[1e-4, 1e-7, 0.5, 0.4998999], [0.25, 0.25, 0.4999, 1e-4], [1e-12, 0.5, 0.25, 0.25]])
ONE_HOT = np.array([[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])


def _distributions(shape: Shape, seed: int) -> dict[str, Any]:
    drawn = uniform((2, *shape), seed, 0.1, 1.0)
    q, p = drawn / drawn.sum(axis=-1, keepdims=True)
    return {"input": np.log(q), "target": p}


def _kl(component: Component) -> Rows:
    def case(target: Array = PROBABILITIES, input: Array = LOG_PROBABILITIES, **settings: Any) -> Case:
        return case_of({"input": input, "target": target}, **settings)

    plain = case()
    # the convention "classes" returns one number a row, which a search must not presume
    search = drawn_of(_distributions, st.tuples(*[st.integers(1, 9)] * 2), settings=st.just({}))
    yield "values", "it gives the mean over all elements", (plain,), search
    yield "gradient", "the gradient of the mean is right", (gradient_of(plain),), search
    yield "none", "it gives every element's term", both(case(reduction="none"))
    yield "sum", "it adds them up", both(case(reduction="sum"))
    yield "batchmean", "it divides by the examples", both(case(reduction="batchmean"))
    unnormalised = case(input=LOG_PROBABILITIES - 0.5)
    yield "unnormalised", "the input is used as it is", both(unnormalised)
    yield "small_targets", "small targets count", both(case(RARE), case(RARE, reduction="none"))
    yield "zero_targets", "a term is 0 where the target is 0", both(case(ONE_HOT), case(ONE_HOT, reduction="none"))
    logs = [case(np.log(PROBABILITIES), log_target=True, **how) for how in plain_and("batchmean")]
    yield "log_target", "the target may be given by its logarithm", both(*logs)
    cubes = case_of(_distributions((2, 3, 4), 3), reduction="batchmean")
    yield "cubes", "with more axes it divides by the first", both(cubes)
    some = np.array([[0.5, 0.25, 0.125, 0.125]])
    low, lowest = (case(some, np.array([row])) for row in ([-80.0, 0.0, -60.0, -40.0], [-1e4, 0.0, -1e3, -200.0]))
    extremes = in_dtypes(("float64", "float32"), *both(low), lowest)
    yield "extremes", "log-probabilities may be very low", extremes
    yield (
        "shapes",
        "it takes one number, one row, no row",
        (
            *both(*(case_of(_distributions(shape, 7)) for shape in ((1,), (1, 1), (1, 17)))),
            case_of(_distributions((0, 3), 7), reduction="sum"),
        ),
    )
    yield from common(plain, also=(case(reduction="sum"),))
    impossible = case(ONE_HOT[:1], np.array([[-np.inf, 0.0, -1.0, -2.0]]), reduction="none")
    says = "what neither distribution allows adds nothing"
    yield "impossible", says, (impossible,), None, "values", "advice"


MARGIN_SCORES = np.array(
    [[0.5, -1.25, 2.0, 0.25], [1.5, 1.375, 0.875, -2.0], [-0.25, 1.0, 0.125, 3.0], [-0.5, -2.0, -3.0, -0.75]]
)
"""Violations from none to several, margins met and missed, and no tie."""
MARGIN_TARGETS = np.array([2, 1, 0, 1])


def _hinge(component: Component) -> Rows:
    def case(scores: Array = MARGIN_SCORES, target: Array = MARGIN_TARGETS, **settings: Any) -> Case:
        return case_of({"scores": scores, "target": target}, **settings)

    def drawn(examples: int, classes: int, seed: int) -> dict[str, Any]:
        target = np.random.default_rng(seed + 1).integers(0, classes, examples)
        return {"scores": uniform((examples, classes), seed), "target": target}

    plain, sizes = case(), (st.integers(1, 5), st.integers(2, 9))
    search = drawn_of(drawn, *sizes, settings=st.just({}))
    yield "values", "it gives the mean over the examples", (plain,), search
    yield "gradient", "the gradient of the mean is right", (gradient_of(plain),), search
    yield "none", "it gives every example's loss", both(case(reduction="none"))
    yield "sum", "it adds them up", both(case(reduction="sum"))
    margins = [case(margin=margin, **how) for margin in (0.375, 2.5, 0.0) for how in plain_and("none")]
    any_margin = drawn_of(drawn, *sizes, settings=reductions(margin=st.sampled_from([0.25, 0.5, 2.0])))
    yield "margin", "it obeys margin", both(*margins), any_margin
    # the second class meets the margin exactly
    kink = replace(gradient_of(case(np.array([[2.0, 1.0, -3.0]]), np.array([0]))), exact=True)
    yield "gradient_at_kink", "where the margin is met the gradient is one of those in use", (kink,)
    content = case(np.array([[5.0, 1.0, -2.0]]), np.array([0]))
    yield "content", "where every margin is kept there is neither loss nor gradient", both(content)
    far = case(np.array([[1e4, -1e4, 5.0], [-3e3, 1e4, 2e3]]), np.array([1, 2]))
    yield "extremes", "scores may be far apart", in_dtypes(("float64", "float32"), *both(far))
    nan = case(np.where(MARGIN_SCORES == 0.25, np.nan, MARGIN_SCORES), reduction="none")
    says = "NaN is not hidden, and touches no other example"
    yield "nan", says, (nan,), None, "values", "advice"
    shaped = [case_of(drawn(examples, classes, 7)) for examples, classes in ((1, 2), (3, 17))]
    empty = case_of(drawn(0, 3, 7), reduction="sum")
    yield "shapes", "it takes one example, many classes, no example", (*both(*shaped), empty)
    yield from common(plain, also=(case(margin=0.375),))


_LISTS: dict[str, Callable[[Component], Rows]] = {
    "mse_loss": _mse,
    "l1_loss": _l1,
    "huber_loss": _huber,
    "binary_cross_entropy_with_logits": _bce,
    "cross_entropy": cross_entropy,
    "nll_loss": nll,
    "kl_div": _kl,
    "hinge_loss": _hinge,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name](component)
    return tuple(
        Check(f"losses.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
