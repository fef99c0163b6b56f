"""What the known mistakes in initializers are made of: other laws, and samplers of what has no law of its own."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.initializers import reference
from dlcheck.initializers.reference import Law

Array = NDArray[np.float64]
Shape = tuple[int, ...]
Fans = Callable[[Shape], tuple[float, float]]
Replaces = dict[str, Callable[..., Any]]
"""Mistaken functions by the name of the right one."""

LASAGNE = "https://github.com/Lasagne/Lasagne/issues/49"
SWIFT = "https://github.com/tensorflow/swift-apis/pull/22"
FLUX = "https://github.com/FluxML/Flux.jl/issues/442"
LBANN = "https://github.com/LBANN/lbann/pull/316"

TOO_LARGE = "The signal grows from layer to layer until units saturate or the loss overflows."
TOO_SMALL = "The signal shrinks from layer to layer, and learning starts slowly or not at all."
OFF_SCALE = "Signals shrink or grow from layer to layer as the setting asks for another scale."
OFF_CENTRE = "Weights of one sign push every unit the same way; units saturate together."
SHAPE_OF_LAW = "The scale is right, but the tails are not: the bound that the law promises does not hold."
"""Effects that several faults share."""

ROUNDINGS = 4
"""Of a number and of its mirror image, each scaled and shifted."""


def stem(component: str) -> str:
    """The start of the names of an initializer's mistakes."""
    return "init-" + component.rstrip("_").replace("_", "-")


def mistake(component: str, id: str, says: str, replaces: Replaces, effect: str, fix: str, *happened: str) -> Fault:
    """A known mistake in an initializer."""
    return Fault(id, component, says, effect, fix, replaces, happened)


def named(component: str, **renamed: str) -> Callable[..., Fault]:
    """Makes an initializer's mistakes, whose names start with its own unless they are ``renamed``."""

    def fault(id: str, says: str, replaces: Replaces, effect: str, fix: str, *happened: str) -> Fault:
        name = renamed.get(id, f"{stem(component)}-{id}")
        return mistake(component, name, says, replaces, effect, fix, *happened)

    return fault


def right(component: str) -> Callable[..., Law]:
    """The law that should be."""
    return getattr(reference, f"{component}law")


def drawn(component: str, law: Callable[..., Law]) -> Replaces:
    """Another law, of the shape and the settings.

    Settings out of its range, with which code that makes the mistake fails, give a law of no entries.
    """

    def mistaken(shape: Shape, **settings: Any) -> Law:
        try:
            return law(shape, **settings)
        except ValueError:
            return Law("constant", (0,), low=0.0, high=0.0)

    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return reference.draw(mistaken(shape, **settings), rng)

    return {component: sampler, f"{component}law": mistaken}


def sampled(component: str, sampler: Callable[..., Array]) -> Replaces:
    """A sampler of numbers whose law has no formula here."""
    return {component: sampler}


def times(component: str, factor: Callable[..., float]) -> Replaces:
    """The right law, times a factor that depends on the shape and the settings."""

    def law(shape: Shape, **settings: Any) -> Law:
        found, scale = right(component)(shape, **settings), factor(shape, **settings)
        scaled = {name: scale * getattr(found, name) for name in ("mean", "std", "low", "high")}
        return replace(found, **scaled) if math.isfinite(scale) else found

    return drawn(component, law)


def given(component: str, change: Callable[..., dict[str, Any]]) -> Replaces:
    """The right law, at other settings than those asked for."""
    return drawn(component, lambda shape, **settings: right(component)(shape, **{**settings, **change(**settings)}))


def other_law(component: str) -> Replaces:
    """A uniform law for a normal one and the reverse, with the right mean and deviation."""

    def law(shape: Shape, **settings: Any) -> Law:
        found = right(component)(shape, **settings)
        return normal(shape, found.mean, found.std) if found.kind == "uniform" else uniform(found, math.sqrt(3))

    return drawn(component, law)


def normal(shape: Shape, mean: float, std: float) -> Law:
    """A normal law."""
    return reference.normal_law(shape, mean, std)


def uniform(law: Law, deviations: float) -> Law:
    """The uniform law between so many deviations of a law on either side of its mean."""
    return reference.uniform_law(law.shape, law.mean - deviations * law.std, law.mean + deviations * law.std)


def judged_as(component: str, sampler: Callable[..., Array], restored: Callable[..., Array | None]) -> Replaces:
    """Numbers that follow the right law once they are ``restored``, a function of samples, that law and the dtype."""
    return {component: sampler, f"{component}law": right(component), "folded": restored}


def one_sided(component: str) -> Replaces:
    """The magnitudes of what should be drawn."""

    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return np.abs(reference.draw(right(component)(shape, **settings), rng))

    return sampled(component, sampler)


# --- fans ------------------------------------------------------------------------------------------------------------


def positions(shape: Shape) -> int:
    """How many positions a kernel has."""
    return math.prod(shape[2:]) or 1


def fans(shape: Shape) -> tuple[float, float]:
    """The right fans."""
    return shape[1] * positions(shape), shape[0] * positions(shape)


def _of_side(axis: int) -> Fans:
    """Fans that count one side of a kernel only."""

    def found(shape: Shape) -> tuple[float, float]:
        side = shape[2:][axis] if shape[2:] else 1
        return shape[1] * side, shape[0] * side

    return found


def _of_squared_side(shape: Shape) -> tuple[float, float]:
    side = shape[2] ** 2 if shape[2:] else 1
    return shape[1] * side, shape[0] * side


def last_axes(shape: Shape) -> tuple[float, float]:
    """The fans of a kernel that was stored as (*kernel, in, out)."""
    kernel = math.prod(shape[:-2])
    return shape[-2] * kernel, shape[-1] * kernel


def _geometric_mean(shape: Shape) -> tuple[float, float]:
    mean = math.sqrt(math.prod(fans(shape)))
    return mean, mean


def _size(shape: Shape) -> tuple[float, float]:
    return math.prod(shape), math.prod(shape)


WRONG_FANS: tuple[tuple[str, str, Fans], ...] = (
    ("kernel-first-side", "only the first side of a kernel is counted", _of_side(0)),
    ("kernel-last-side", "only the last side of a kernel is counted", _of_side(-1)),
    ("kernel-side-squared", "a kernel is taken to be as wide as it is high", _of_squared_side),
    ("last-axes", "fans are read from the last axes, as (*kernel, in, out)", last_axes),
    ("last-two-axes", "the last two axes are taken for the fans", lambda shape: (shape[-1], shape[-2])),
    ("kernel-in-fan-in-only", "a kernel's positions are missing in fan_out",
     lambda shape: (fans(shape)[0], shape[0])),
    ("geometric-mean", "both fans are the root of their product", _geometric_mean),
    ("size", "all entries are counted as a fan", _size),
)  # fmt: skip
"""Ways to count the inputs and outputs of a unit wrongly."""


def wrong_fans(
    component: str, fan: Callable[..., float], without: tuple[str, ...] = (), **renamed: str
) -> tuple[Fault, ...]:
    """The mistakes in counting fans; ``fan`` tells from both, and the settings, what the variance divides by."""

    def factor(found: Fans) -> Callable[..., float]:
        def scale(shape: Shape, **settings: Any) -> float:
            return math.sqrt((fan(*fans(shape), **settings) or 1) / (fan(*found(shape), **settings) or 1))

        return scale

    return tuple(
        mistake(component, renamed.get(id, f"{stem(component)}-{id}"), says, times(component, factor(found)), OFF_SCALE,
                "fan_in = shape[1] * prod(shape[2:]), fan_out = shape[0] * prod(shape[2:])",
                *([LASAGNE] if id == "last-axes" else []))
        for id, says, found in WRONG_FANS if id not in without
    )  # fmt: skip


# --- drawing ---------------------------------------------------------------------------------------------------------


def _fixed_seed(component: str) -> Replaces:
    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return reference.draw(right(component)(shape, **settings), np.random.default_rng(42))

    return _dependent(component, sampler, lambda samples: samples[:1])


def _repeated(component: str, axes: Callable[[int], int]) -> Replaces:
    """The first slice of what is drawn, in the place of all others along so many of the first axes."""

    def first(array: Array, outer: int) -> Array:
        return array[(slice(None),) * outer + (slice(1),) * axes(array.ndim - outer)]

    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        found = reference.draw(right(component)(shape, **settings), rng)
        return np.broadcast_to(first(found, 0), shape).copy()

    return _dependent(component, sampler, lambda samples: first(samples, 1))


def _dependent(component: str, sampler: Callable[..., Array], first: Callable[[Array], Array]) -> Replaces:
    """Numbers of the right law that are equal to each other; ``first`` gives the part that all others equal."""

    def folded(samples: Array, law: Law, dtype: str) -> Array | None:
        part = first(samples)
        return part if np.array_equal(np.broadcast_to(part, samples.shape), samples) else None

    return judged_as(component, sampler, folded)


def _mirrored(component: str) -> Replaces:
    """The second half of each tensor is the first, turned over at the law's middle."""

    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        law = right(component)(shape, **settings)
        first = reference.draw(replace(law, shape=(math.ceil(math.prod(shape) / 2),)), rng)
        return np.concatenate([first, 2 * law.mean - first])[: math.prod(shape)].reshape(shape)

    def folded(samples: Array, law: Law, dtype: str) -> Array | None:
        flat = samples.reshape(len(samples), -1)
        half = math.ceil(flat.shape[1] / 2)
        sums = flat[:, : flat.shape[1] - half] + flat[:, half:]
        slack = ROUNDINGS * unit_roundoff(dtype) * np.max(np.abs(samples), initial=abs(law.mean))
        return flat[:, :half] if np.all(np.abs(sums - 2 * law.mean) <= slack) else None

    return judged_as(component, sampler, folded)


def unreached(component: str, *, scalars: bool = False) -> tuple[Fault, ...]:
    """Mistakes that leave tensors as they are: views, and where the component takes them those without axes."""
    none = mistake(
        component,
        f"{stem(component)}-no-axes",
        "a tensor without axes is left as it is",
        {"reaches": lambda shape, layout: bool(shape)},
        "A parameter that is one number keeps what memory held.",
        "fill the whole tensor, not its rows",
    )
    views = mistake(
        component,
        f"{stem(component)}-copy-of-view",
        "of a view that is not contiguous, a copy is filled",
        {"reaches": lambda shape, layout: layout == "contiguous"},
        "Tied or sliced weights start with what memory held.",
        "fill the tensor itself: reshape, flatten and contiguous may copy",
    )
    return (views, none) if scalars else (views,)


def not_random(component: str) -> tuple[Fault, ...]:
    """Mistakes in drawing, whatever the law."""
    repeated = (
        ("row-repeated", "one row is drawn and repeated", lambda axes: 1),
        ("last-axis-repeated", "numbers are drawn for the last axis and repeated", lambda axes: axes - 1),
        ("one-number", "one number is drawn for the whole tensor", lambda axes: axes),
    )
    return (
        mistake(
            component, f"{stem(component)}-fixed-seed", "every call draws the same numbers", _fixed_seed(component),
            "Layers of one shape start equal, and runs that should differ do not.",
            "seed once, outside the initializer",
        ),
        mistake(
            component, f"{stem(component)}-generator-ignored", "it draws from another stream than its generator's",
            {"obeys_generator": lambda: False}, "Runs cannot be repeated from a seed.",
            "draw every number with generator=generator",
        ),
        mistake(
            component, f"{stem(component)}-mirrored", "the second half is the first with its signs turned",
            _mirrored(component), "Units come in pairs that cancel each other: half of the layer is redundant.",
            "draw an array of the full shape",
        ),
        *(
            mistake(
                component, f"{stem(component)}-{id}", says, _repeated(component, axes),
                "All units of the layer compute the same output and stay equal.", "draw an array of the full shape",
            )
            for id, says, axes in repeated
        ),
    )  # fmt: skip


def without_gain(component: str, where: Callable[[Shape], bool]) -> Replaces:
    """The right law, but with gain 1 for some shapes."""

    def law(shape: Shape, **settings: Any) -> Law:
        return right(component)(shape, **(settings | {"gain": 1.0} if where(shape) else settings))

    return drawn(component, law)


def gains(component: str) -> tuple[Fault, ...]:
    """Mistakes in a gain that is given as a number."""
    return (
        mistake(
            component, f"{stem(component)}-gain-ignored", "gain is ignored",
            given(component, lambda **_: {"gain": 1.0}), OFF_SCALE, "multiply by gain",
        ),
        mistake(
            component, f"{stem(component)}-gain-squared", "gain is applied twice",
            given(component, lambda gain=1.0, **_: {"gain": gain**2}), OFF_SCALE, "multiply by gain once",
        ),
        mistake(
            component, f"{stem(component)}-gain-ignored-for-kernels", "gain is ignored for kernels",
            without_gain(component, lambda shape: len(shape) > 2), OFF_SCALE, "multiply by gain, whatever the shape",
        ),
    )  # fmt: skip
