"""What every loss must satisfy: cases that tell conventions and mistakes apart.

Plain cases come first and name no setting, so that code which has none is judged too. "mean" is never asked for by
name: it is what is returned where nothing is.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, Shape, shapes, uniform

Array = NDArray[Any]
Rows = Iterator[tuple[Any, ...]]

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")
SHAPES: tuple[Shape, ...] = ((1,), (9,), (2, 3, 4))

UPSTREAM = np.array(-0.75)
"""What arrives at a loss without axes: neither 1 nor positive."""


def _case(arrays: dict[str, Any], **settings: Any) -> Case:
    return Case("forward", {name: np.asarray(value) for name, value in arrays.items()}, settings)


def _backward(case: Case, shape: Shape | None = None) -> Case:
    """The case that asks for the gradient, with an upstream gradient of both signs that is nowhere 1.

    ``shape`` is that of the losses where it is not the target's.
    """
    losses = case.inputs["target"].shape if shape is None else shape
    index = np.arange(np.prod(losses, dtype=int)).reshape(losses)
    each = (0.5 + 0.125 * (index * 5 % 11)) * (-1.0) ** (index * 3 % 7)
    grad = each if case.settings.get("reduction") == "none" else UPSTREAM
    return replace(case, run="backward", inputs={**case.inputs, "grad_output": grad})


def _plain_and(reduction: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that ask for no reduction, and those that ask for this one."""
    return {}, {"reduction": reduction}


def _both(*cases: Case) -> tuple[Case, ...]:
    return (*cases, *map(_backward, cases))


def _in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _in_layouts(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


def _drawn(make: Callable[..., dict[str, Any]], *strategies: Any, settings: st.SearchStrategy[Any]) -> Any:
    """A search over what ``make`` makes of drawn values and a seed, over settings, forward and backward."""

    def case(values: list[Any], seed: int, chosen: dict[str, Any], backward: bool) -> Case:
        made = _case(make(*values, seed), **chosen)
        return _backward(made) if backward else made

    return st.builds(case, st.tuples(*strategies), SEEDS, settings, st.booleans())


def _reductions(**others: Any) -> Any:
    return st.fixed_dictionaries({}, optional={"reduction": st.sampled_from(["sum", "none"]), **others})


def _common(plain: Case, *, also: tuple[Case, ...] = ()) -> Rows:
    """The checks at the end of every list: dtypes and views."""
    both = _both(plain)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *both, *also)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *both)
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*both)


# --- errors ----------------------------------------------------------------------------------------------------------

INPUT = np.array([[0.5, -2.25, 4.0], [-1.5, 0.25, -0.75]])
TARGET = np.array([[1.125, -1.5, 0.5], [1.75, 0.125, -2.5]])
"""Errors of both signs, none like another, on both sides of 1, of 1/2 and 2, and of their roots."""


def _elementwise(shape: Shape, seed: int) -> dict[str, Any]:
    return {"input": uniform(shape, seed, -3.0, 3.0), "target": uniform(shape, seed + 1, -3.0, 3.0)}


def _errors(input: Array = INPUT, target: Array = TARGET, **settings: Any) -> Case:
    return _case({"input": input, "target": target}, **settings)


def _first_errors() -> Rows:
    plain, search = _errors(), _drawn(_elementwise, shapes(least=1, shortest=1), settings=st.just({}))
    yield "values", "it gives the mean over all elements", (plain,), search
    yield "gradient", "the gradient of the mean is right", (_backward(plain),), search
    yield "none", "it gives every element's loss", _both(_errors(reduction="none"))
    yield "sum", "it adds them up", _both(_errors(reduction="sum"))
    equal = _errors(np.array([1.5, -2.0, 0.0]), np.array([1.5, -2.0, 0.0]))
    yield "no_error", "where there is no error there is no loss", (replace(equal, exact=True),)
    at_zero = replace(_backward(equal), exact=True)
    yield "gradient_at_zero", "where there is no error the gradient is one of those in use", (at_zero,)


def _last_errors(*also: Case) -> Rows:
    nan = np.array([0.5, np.nan, -1.5]), np.array([1.0, 0.25, 2.0])
    shaped = [_case(_elementwise(shape, 7)) for shape in SHAPES]
    empty = [_case(_elementwise((0, 3), 7), reduction=name) for name in ("sum", "none")]
    yield "nan", "NaN is not hidden, and touches no other element", (_errors(*nan), _errors(*nan, reduction="none"))
    yield "shapes", "it takes any shape, empty ones too", (*_both(*shaped), *empty)
    yield from _common(_errors(), also=also)


def _close() -> Case:
    return _errors(1e8 + np.array([1.0, -2.0, 4.0]), np.full(3, 1e8))


def _mse(component: Component) -> Rows:
    yield from _first_errors()
    yield "cancellation", "large values close together keep their digits", (_close(),)
    yield from _last_errors(_errors(reduction="sum"))


def _l1(component: Component) -> Rows:
    yield from _first_errors()
    yield "cancellation", "large values close together keep their digits", (_close(),)
    yield from _last_errors(_errors(reduction="sum"))


def _huber(component: Component) -> Rows:
    deltas = [_errors(delta=delta) for delta in (0.5, 2.0, 3.0)]
    settings = _reductions(delta=st.sampled_from([0.25, 0.5, 1.5, 3.0]))
    search = _drawn(_elementwise, shapes(least=1, shortest=1), settings=settings)
    far = np.array([1e8, -3e8, 7e7 + 1]), np.array([-3.0, 1.0, 2.0])
    float32 = replace(_errors(np.array([1e5, -3e5, 7e4]), np.zeros(3)), dtype="float32")
    yield from _first_errors()
    yield "delta", "it obeys delta, in value and slope", _both(*deltas, _errors(delta=0.5, reduction="none")), search
    yield "far", "large errors keep their digits", (*_both(_errors(*far), _errors(*far, delta=0.5)), *_both(float32))
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
        return _case({"input": LOGITS, "target": target, **arrays}, **given)

    plain, search = case(), _drawn(_binary, shapes(least=1, shortest=1), settings=st.just({}))
    yield "values", "it gives the mean over all elements", (plain,), search
    yield "gradient", "the gradient of the mean is right", (_backward(plain),), search
    yield "none", "it gives every element's loss", _both(case(reduction="none"))
    yield "sum", "it adds them up", _both(case(reduction="sum"))
    yield "soft_targets", "targets may be probabilities", _both(case(SOFT))
    yield "zero_logits", "at logit 0 the gradient is 1/2 - y", _both(_zero_logits(), _zero_logits(reduction="none"))
    one, zero = ({"input": FAR_OUT, "target": np.full(7, label)} for label in (1.0, 0.0))
    clamped = _case({"input": CLAMPED, "target": np.array([0.0, 1.0])})
    extremes = [*_both(_case(one), _case(zero)), _case(one, reduction="none"), _case(zero, reduction="none")]
    far = (*_in_dtypes(("float64", "float32"), *extremes), *_both(clamped))
    yield "extremes", "it is finite and right for any logits", far
    columns = [case(weight=POSITIVE_WEIGHTS, **how) for how in _plain_and("sum")]
    yield "weight", "it weighs the elements", _both(case(weight=ELEMENT_WEIGHTS), *columns)
    positive = case(pos_weight=POSITIVE_WEIGHTS), case(pos_weight=POSITIVE_WEIGHTS, reduction="none")
    soft = case(SOFT, pos_weight=POSITIVE_WEIGHTS), case(SOFT, weight=ELEMENT_WEIGHTS, pos_weight=np.array(2.5))
    yield "pos_weight", "it weighs the positive class", _both(*positive, *soft)
    nan = {"input": np.array([0.5, np.nan, -1.5]), "target": np.array([1.0, 0.0, 1.0])}
    yield "nan", "NaN is not hidden, and touches no other element", (_case(nan), _case(nan, reduction="none"))
    shaped = [_case(_binary(shape, 7)) for shape in SHAPES]
    yield "shapes", "it takes any shape", _both(*shaped)
    yield from _common(plain, also=(case(SOFT, pos_weight=POSITIVE_WEIGHTS),))


def _zero_logits(**settings: Any) -> Case:
    arrays = {"input": np.array([0.0, 0.0, 1.5]), "target": np.array([1.0, 0.0, 1.0])}
    return replace(_case(arrays, **settings), exact=True)


# --- classes ---------------------------------------------------------------------------------------------------------

SCORES = np.array([[0.5, -1.25, 2.0, 0.25], [1.5, 0.75, -0.5, -2.0], [-0.25, 1.0, 0.125, 3.0]])
CHOSEN = np.array([2, 1, 0])
LAST = np.array([3, 1, 3])
CLASS_WEIGHTS = np.array([0.5, 2.0, 3.25, 1.5])
ONE_WEIGHTLESS = np.array([0.5, 0.0, 3.25, 1.5])
DISTRIBUTIONS = np.array([[0.125, 0.25, 0.5, 0.125], [0.0, 1.0, 0.0, 0.0], [0.375, 0.125, 0.3125, 0.1875]])
IMAGE = np.random.default_rng(5).uniform(-3.0, 3.0, (2, 3, 1, 3)).round(3)
"""Two images of 1 x 3 pixels and three classes, as many as columns, so that the wrong axis runs too."""
LABELS = np.array([[[0, 2, 1]], [[2, 0, 0]]])
SEQUENCE, STEPS = IMAGE[:, :, 0, :2], np.array([[0, 2], [1, 1]])
"""Three classes and two steps: counted along the last axis there are too few."""
PIXEL_WEIGHTS = np.array([0.5, 2.0, 3.25])


def _classes(input: Array = SCORES, target: Array = CHOSEN, weight: Array | None = None, **settings: Any) -> Case:
    arrays = {"input": input, "target": target} | ({} if weight is None else {"weight": weight})
    return _case(arrays, **settings)


def _labelled(examples: int, classes: int, further: Shape, seed: int) -> dict[str, Any]:
    target = np.random.default_rng(seed + 1).integers(0, classes, (examples, *further))
    return {"input": uniform((examples, classes, *further), seed, -3.0, 3.0), "target": target}


def _first_classes() -> Rows:
    plain = _classes()
    search = _drawn(_labelled, st.integers(1, 5), st.integers(1, 9), st.just(()), settings=st.just({}))
    yield "values", "it gives the mean over the examples", (plain,), search
    yield "gradient", "the gradient of the mean is right", (_backward(plain),), search
    yield "none", "it gives every example's loss", _both(_classes(reduction="none"))
    yield "sum", "it adds them up", _both(_classes(reduction="sum"))
    weighted = _both(_classes(weight=CLASS_WEIGHTS)), _classes(weight=CLASS_WEIGHTS, reduction="sum")
    yield "weights", "classes have weights, in the mean's divisor too", (*weighted[0], weighted[1])
    yield "weightless", "a class may have no weight", _both(_classes(weight=ONE_WEIGHTLESS))


def _ignoring() -> Rows:
    hows = _plain_and("none")
    ignored = [_classes(target=np.array([2, 1, 0]), ignore_index=1, **how) for how in hows]
    beyond = [_classes(target=np.array([2, -1, 0]), ignore_index=-1, **how) for how in hows]
    far = _classes(target=np.array([255, 1, 0]), weight=CLASS_WEIGHTS, ignore_index=255)
    everything = _classes(target=np.array([1, 1, 1]), ignore_index=1)
    yield "ignored", "the ignored class gives no loss, no gradient and no count", _both(*ignored)
    yield "ignored_beyond", "the ignored label need not be a class", (*_both(beyond[0]), beyond[1], far)
    yield "all_ignored", "where all is ignored the mean is one of those in use", (replace(everything, exact=True),)
    default = _classes(target=np.array([2, -100, 0]))
    says = "-100 is ignored where nothing else is asked for"
    yield "ignored_by_default", says, _both(default), None, "values", "advice"


def _images() -> Rows:
    pixels = [_classes(IMAGE, LABELS, **how) for how in _plain_and("none")]
    several = [_classes(SEQUENCE, STEPS, PIXEL_WEIGHTS)]
    sizes = st.integers(1, 3), st.integers(1, 4), shapes(least=1, most=3, shortest=1, longest=3)
    search = _drawn(_labelled, *sizes, settings=_reductions())
    yield "images", "classes run along axis 1 of (N, C, ...)", _both(*pixels, *several), search
    yield "images_ignored", "pixels may be ignored", _both(_classes(SEQUENCE, STEPS, ignore_index=1))


def _last_classes(also: tuple[Case, ...]) -> Rows:
    nan = np.where(SCORES == 2.0, np.nan, SCORES)
    yield "nan", "NaN is not hidden, and touches no other example", (_classes(nan), _classes(nan, reduction="none"))
    shaped = [_case(_labelled(*sizes, 7)) for sizes in ((1, 1, ()), (1, 9, ()), (5, 2, ()))]
    empty = _case(_labelled(0, 3, (), 7), reduction="sum")
    yield "shapes", "it takes one example, one class, no example", (*_both(*shaped), empty)
    yield from _common(_classes(), also=also)
    lone = _classes(SCORES[0], np.array(2))
    yield "one_example", "it takes one example without the batch's axis", _both(lone), None, "values", "advice"


def _smoothing() -> Rows:
    smoothed = [_classes(label_smoothing=0.25, **how) for how in _plain_and("none")]
    yield "smoothing", "label_smoothing spreads a part of the target evenly", _both(*smoothed)
    all_of_it = _classes(target=LAST, label_smoothing=1.0)
    weighted = _classes(weight=CLASS_WEIGHTS, label_smoothing=0.25)
    yield "smoothing_weights", "both parts are weighed", (*_both(weighted), all_of_it)
    ignored = [_classes(ignore_index=1, label_smoothing=0.25, **how) for how in _plain_and("sum")]
    yield "smoothing_ignored", "ignored examples have no smoothed part", _both(*ignored)
    yield (
        "smoothing_images",
        "the part is one of the classes of axis 1",
        _both(_classes(SEQUENCE, STEPS, label_smoothing=0.25)),
    )


def _probabilities() -> Rows:
    plain, each = _classes(target=DISTRIBUTIONS), _classes(target=DISTRIBUTIONS, reduction="none")
    cases = *_both(plain, _classes(target=DISTRIBUTIONS, reduction="sum")), each, _backward(each, (3,))
    yield "probabilities", "targets may be distributions", cases
    smoothed = _classes(target=DISTRIBUTIONS, label_smoothing=0.25)
    yield "probabilities_smoothed", "distributions are smoothed too", _both(smoothed)
    weighted = _classes(target=DISTRIBUTIONS, weight=CLASS_WEIGHTS)
    yield "probabilities_weights", "their mean divides by the examples, weighted or not", _both(weighted)
    drawn = uniform(IMAGE.shape, 8, 0.25, 1.0)
    pixels = _classes(IMAGE, drawn / drawn.sum(axis=1, keepdims=True))
    yield "probabilities_images", "distributions run along axis 1", _both(pixels)


def _cross_entropy(component: Component) -> Rows:
    apart = np.array([[1e4, -1e4, 0.0, 1.0], [-1e4, -1e4, 30.0, 0.0], [1e3, -1e3, 990.0, 0.0]])
    yield from _first_classes()
    yield from _images()
    far = [*_both(_classes(apart, LAST)), *(_classes(apart, target, reduction="none") for target in (CHOSEN, LAST))]
    yield "extremes", "it is finite and right for logits far apart", _in_dtypes(("float64", "float32"), *far)
    masked = np.where(SCORES == 0.25, -np.inf, SCORES)
    says = "a class at -inf is impossible and gives no NaN"
    yield "masked", says, _both(_classes(masked)), None, "values", "advice"
    yield from _ignoring()
    yield from _smoothing()
    yield from _probabilities()
    yield from _last_classes((_classes(weight=CLASS_WEIGHTS), _classes(target=DISTRIBUTIONS)))


def _nll(component: Component) -> Rows:
    yield from _first_classes()
    yield from _images()
    masked = np.where(SCORES == 0.25, -np.inf, SCORES)
    says = "a class at -inf that is not the target's is left alone"
    yield "masked", says, _both(_classes(masked)), None, "values", "advice"
    yield from _ignoring()
    yield from _last_classes((_classes(weight=CLASS_WEIGHTS),))


# --- divergence and margin -------------------------------------------------------------------------------------------

LOG_PROBABILITIES = np.log([[0.125, 0.25, 0.5, 0.125], [0.5, 0.0625, 0.1875, 0.25], [0.375, 0.125, 0.3125, 0.1875]])
PROBABILITIES = np.array([[0.25, 0.125, 0.0625, 0.5625], [0.125, 0.375, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]])
ONE_HOT = np.array([[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])


def _distributions(shape: Shape, seed: int) -> dict[str, Any]:
    drawn = uniform((2, *shape), seed, 0.1, 1.0)
    q, p = drawn / drawn.sum(axis=-1, keepdims=True)
    return {"input": np.log(q), "target": p}


def _kl(component: Component) -> Rows:
    def case(target: Array = PROBABILITIES, input: Array = LOG_PROBABILITIES, **settings: Any) -> Case:
        return _case({"input": input, "target": target}, **settings)

    plain = case()
    # the convention "classes" returns one number a row, which a search must not presume
    search = _drawn(_distributions, st.tuples(*[st.integers(1, 9)] * 2), settings=st.just({}))
    yield "values", "it gives the mean over all elements", (plain,), search
    yield "gradient", "the gradient of the mean is right", (_backward(plain),), search
    yield "none", "it gives every element's term", _both(case(reduction="none"))
    yield "sum", "it adds them up", _both(case(reduction="sum"))
    yield "batchmean", "it divides by the examples", _both(case(reduction="batchmean"))
    unnormalised = case(input=LOG_PROBABILITIES - 0.5)
    yield "unnormalised", "the input is used as it is", _both(unnormalised)
    yield "zero_targets", "a term is 0 where the target is 0", _both(case(ONE_HOT), case(ONE_HOT, reduction="none"))
    logs = [case(np.log(PROBABILITIES), log_target=True, **how) for how in _plain_and("batchmean")]
    yield "log_target", "the target may be given by its logarithm", _both(*logs)
    cubes = _case(_distributions((2, 3, 4), 3), reduction="batchmean")
    yield "cubes", "with more axes it divides by the first", _both(cubes)
    some = np.array([[0.5, 0.25, 0.125, 0.125]])
    low, lowest = (case(some, np.array([row])) for row in ([-80.0, 0.0, -60.0, -40.0], [-1e4, 0.0, -1e3, -200.0]))
    extremes = _in_dtypes(("float64", "float32"), *_both(low), lowest)
    yield "extremes", "log-probabilities may be very low", extremes
    yield (
        "shapes",
        "it takes one number, one row, no row",
        (
            *_both(*(_case(_distributions(shape, 7)) for shape in ((1,), (1, 1), (1, 17)))),
            _case(_distributions((0, 3), 7), reduction="sum"),
        ),
    )
    yield from _common(plain, also=(case(reduction="sum"),))
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
        return _case({"scores": scores, "target": target}, **settings)

    def drawn(examples: int, classes: int, seed: int) -> dict[str, Any]:
        target = np.random.default_rng(seed + 1).integers(0, classes, examples)
        return {"scores": uniform((examples, classes), seed), "target": target}

    plain, sizes = case(), (st.integers(1, 5), st.integers(1, 9))
    search = _drawn(drawn, *sizes, settings=st.just({}))
    yield "values", "it gives the mean over the examples", (plain,), search
    yield "gradient", "the gradient of the mean is right", (_backward(plain),), search
    yield "none", "it gives every example's loss", _both(case(reduction="none"))
    yield "sum", "it adds them up", _both(case(reduction="sum"))
    margins = [case(margin=margin, **how) for margin in (0.375, 2.5) for how in _plain_and("none")]
    any_margin = _drawn(drawn, *sizes, settings=_reductions(margin=st.sampled_from([0.25, 0.5, 2.0])))
    yield "margin", "it obeys margin", _both(*margins), any_margin
    # the second class meets the margin exactly
    kink = replace(_backward(case(np.array([[2.0, 1.0, -3.0]]), np.array([0]))), exact=True)
    yield "gradient_at_kink", "where the margin is met the gradient is one of those in use", (kink,)
    content = case(np.array([[5.0, 1.0, -2.0]]), np.array([0]))
    yield "content", "where every margin is kept there is neither loss nor gradient", _both(content)
    far = case(np.array([[1e4, -1e4, 5.0], [-3e3, 1e4, 2e3]]), np.array([1, 2]))
    yield "extremes", "scores may be far apart", _in_dtypes(("float64", "float32"), *_both(far))
    nan = case(np.where(MARGIN_SCORES == 0.25, np.nan, MARGIN_SCORES), reduction="none")
    says = "NaN is not hidden, and touches no other example"
    yield "nan", says, (nan,), None, "values", "advice"
    shaped = [_case(drawn(examples, classes, 7)) for examples, classes in ((1, 2), (3, 17))]
    empty = _case(drawn(0, 3, 7), reduction="sum")
    yield "shapes", "it takes one example, many classes, no example", (*_both(*shaped), empty)
    yield from _common(plain, also=(case(margin=0.375),))


_LISTS: dict[str, Callable[[Component], Rows]] = {
    "mse_loss": _mse,
    "l1_loss": _l1,
    "huber_loss": _huber,
    "binary_cross_entropy_with_logits": _bce,
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll,
    "kl_div": _kl,
    "hinge_loss": _hinge,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name](component)
    return tuple(
        Check(f"losses.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
