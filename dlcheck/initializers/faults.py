"""Known mistakes in initializers, as samplers of the mistaken law."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.initializers import reference

Array = NDArray[np.float64]
Shape = tuple[int, ...]
Sampler = Callable[..., Array]
Factor = Callable[..., float]

LASAGNE = "https://github.com/Lasagne/Lasagne/issues/49"
SWIFT = "https://github.com/tensorflow/swift-apis/pull/22"
FLUX = "https://github.com/FluxML/Flux.jl/issues/442"
LBANN = "https://github.com/LBANN/lbann/pull/316"
TCH = "https://github.com/LaurentMazare/tch-rs/pull/573"
TENSORFLOW = "https://github.com/tensorflow/tensorflow/pull/9429"
CHAINER = "https://github.com/chainer/chainer/pull/5615"
BLOCKS = "https://github.com/mila-iqia/blocks/pull/346"

TOO_LARGE = "The signal grows from layer to layer until units saturate or the loss overflows."
TOO_SMALL = "The signal shrinks from layer to layer, and learning starts slowly or not at all."
OFF_SCALE = "Signals shrink or grow from layer to layer as the setting asks for another scale."
OFF_CENTRE = "Weights of one sign push every unit the same way; units saturate together."
SHAPE_OF_LAW = "The scale is right, but the tails are not: the bound that the law promises does not hold."
"""Effects that several faults share."""


def _times(name: str, factor: Factor) -> Sampler:
    """The right sampler, times a factor that depends on the shape and the settings."""

    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return factor(shape, **settings) * getattr(reference, name)(shape, rng, **settings)

    return mistaken


def _given(name: str, change: Callable[..., dict[str, Any]]) -> Sampler:
    """The right sampler, at other settings than those asked for."""

    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return getattr(reference, name)(shape, rng, **{**settings, **change(**settings)})

    return mistaken


def _reshaped(name: str, change: Callable[[Shape], Shape]) -> Sampler:
    """The right law of another shape's entries, in the shape asked for."""

    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        law = getattr(reference, f"{name}law")(change(shape), **settings)
        return rng.normal(law.mean, law.std, shape) if law.kind == "normal" else rng.uniform(law.low, law.high, shape)

    return mistaken


def _other_law(name: str) -> Sampler:
    """A uniform law for a normal one and the reverse, with the right mean and deviation."""

    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        law = getattr(reference, f"{name}law")(shape, **settings)
        if law.kind == "uniform":
            return rng.normal(law.mean, law.std, shape)
        return law.mean + math.sqrt(3) * law.std * rng.uniform(-1, 1, shape)

    return mistaken


def _one_sided(name: str) -> Sampler:
    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return np.abs(getattr(reference, name)(shape, rng, **settings))

    return mistaken


def _fixed_seed(name: str) -> Sampler:
    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return getattr(reference, name)(shape, np.random.default_rng(42), **settings)

    return mistaken


def _row_repeated(name: str) -> Sampler:
    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        drawn = getattr(reference, name)(shape, rng, **settings)
        return np.broadcast_to(drawn[:1], shape).copy()

    return mistaken


def _positions(shape: Shape) -> int:
    return math.prod(shape[2:]) or 1


def _mistake(component: str, id: str, says: str, sampler: Sampler, effect: str, fix: str, *happened: str) -> Fault:
    return Fault(id, component, says, effect, fix, {component: sampler}, happened)


def _not_random(component: str) -> tuple[Fault, ...]:
    """Mistakes in drawing, whatever the law."""
    stem = "init-" + component.rstrip("_").replace("_", "-")
    return (
        _mistake(
            component, f"{stem}-fixed-seed", "every call draws the same numbers", _fixed_seed(component),
            "Layers of one shape start equal, and runs that should differ do not.",
            "seed once, outside the initializer",
        ),
        _mistake(
            component, f"{stem}-row-repeated", "one row is drawn and repeated", _row_repeated(component),
            "All units of the layer compute the same output and stay equal.", "draw an array of the full shape",
        ),
    )  # fmt: skip


def _noisy_constant(shape: Shape, rng: np.random.Generator, val: float) -> Array:
    return val + 1e-3 * rng.standard_normal(shape)


CONSTANT = (
    _mistake(
        "constant_", "init-constant-value-ignored", "fills with zero whatever the value",
        _given("constant_", lambda val: {"val": 0.0}), "A bias meant to open a gate leaves it half shut.", "w = val",
    ),
    _mistake(
        "constant_", "init-constant-integer", "the value is cut to an integer",
        _given("constant_", lambda val: {"val": float(int(val))}), "A value such as 0.1 becomes 0.", "w = float(val)",
    ),
    _mistake(
        "constant_", "init-constant-noise", "noise is added to the value", _noisy_constant,
        "Values that a layer relies on, such as a scale of 1, are not exact.", "w = val, without noise",
    ),
)  # fmt: skip


def _mean_scaled(shape: Shape, rng: np.random.Generator, mean: float = 0.0, std: float = 1.0) -> Array:
    return std * (mean + rng.standard_normal(shape))


NORMAL = (
    _mistake(
        "normal_", "init-normal-std-as-variance", "std is taken for the variance",
        _given("normal_", lambda std=1.0, **_: {"std": math.sqrt(std)}), TOO_LARGE, "w = mean + std * z",
    ),
    _mistake(
        "normal_", "init-normal-std-squared", "the deviation is squared",
        _given("normal_", lambda std=1.0, **_: {"std": std**2}), TOO_SMALL, "w = mean + std * z",
    ),
    _mistake(
        "normal_", "init-normal-mean-ignored", "mean is ignored",
        _given("normal_", lambda **_: {"mean": 0.0}), "A law asked to lie around a value lies around zero.",
        "w = mean + std * z",
    ),
    _mistake(
        "normal_", "init-normal-mean-scaled", "mean is multiplied by std", _mean_scaled,
        "The centre moves when the scale is changed.", "w = mean + std * z",
    ),
    _mistake(
        "normal_", "init-normal-from-uniform", "drawn from a uniform law", _other_law("normal_"), SHAPE_OF_LAW,
        "w = mean + std * standard_normal(shape)",
    ),
    _mistake(
        "normal_", "init-normal-rand", "mean + std * u, with u uniform from 0 to 1",
        lambda shape, rng, mean=0.0, std=1.0: mean + std * rng.uniform(0, 1, shape), OFF_CENTRE,
        "randn(shape), not rand(shape)",
    ),
    _mistake(
        "normal_", "init-normal-mean-sign", "mean is subtracted",
        _given("normal_", lambda mean=0.0, **_: {"mean": -mean}), OFF_CENTRE, "w = mean + std * z",
    ),
    _mistake(
        "normal_", "init-normal-swapped", "mean and std are exchanged",
        _given("normal_", lambda mean=0.0, std=1.0: {"mean": std, "std": mean}), OFF_CENTRE, "w = mean + std * z",
    ),
    _mistake(
        "normal_", "init-normal-absolute", "only the absolute value is kept", _one_sided("normal_"), OFF_CENTRE,
        "w = mean + std * z",
    ),
    *_not_random("normal_"),
)  # fmt: skip


def _b_as_width(a: float = 0.0, b: float = 1.0) -> dict[str, float]:
    return {"b": a + abs(b)}


UNIFORM = (
    _mistake(
        "uniform_", "init-uniform-b-as-width", "b is taken for the width of the range",
        _given("uniform_", _b_as_width), OFF_CENTRE, "w = a + (b - a) * u",
    ),
    _mistake(
        "uniform_", "init-uniform-symmetric", "a is ignored: the range is -b to b",
        _given("uniform_", lambda b=1.0, **_: {"a": -abs(b), "b": abs(b)}), OFF_SCALE, "w = a + (b - a) * u",
    ),
    _mistake(
        "uniform_", "init-uniform-bounds-ignored", "the range is 0 to 1 whatever a and b",
        _given("uniform_", lambda **_: {"a": 0.0, "b": 1.0}), TOO_LARGE, "w = a + (b - a) * u",
    ),
    _mistake(
        "uniform_", "init-uniform-from-normal", "drawn from a normal law", _other_law("uniform_"), SHAPE_OF_LAW,
        "w = a + (b - a) * uniform(shape)",
    ),
    _mistake(
        "uniform_", "init-uniform-randn", "a + (b - a) * z, with z standard normal",
        lambda shape, rng, a=0.0, b=1.0: a + (b - a) * rng.standard_normal(shape), TOO_LARGE,
        "rand(shape), not randn(shape)",
    ),
    _mistake(
        "uniform_", "init-uniform-a-not-added", "the range is 0 to b - a",
        _given("uniform_", lambda a=0.0, b=1.0: {"a": 0.0, "b": b - a}), OFF_CENTRE, "w = a + (b - a) * u",
    ),
    *_not_random("uniform_"),
)  # fmt: skip


def _gain(component: str) -> tuple[Fault, ...]:
    stem = "init-" + component.rstrip("_").replace("_", "-")
    return (
        _mistake(
            component, f"{stem}-gain-ignored", "gain is ignored", _given(component, lambda **_: {"gain": 1.0}),
            OFF_SCALE,
            "multiply by gain",
        ),
        _mistake(
            component, f"{stem}-gain-squared", "gain is applied twice",
            _given(component, lambda gain=1.0, **_: {"gain": gain**2}), OFF_SCALE, "multiply by gain once",
        ),
    )  # fmt: skip


def _last_kernel_axis(shape: Shape, **_: Any) -> float:
    return math.sqrt(_positions(shape) / (shape[-1] if len(shape) > 2 and shape[-1] else 1))


def _bound_as_deviation(name: str) -> Sampler:
    """A normal law whose deviation is the bound of the right, uniform one."""

    def mistaken(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        return rng.normal(0.0, getattr(reference, f"{name}law")(shape, **settings).high, shape)

    return mistaken


def _deviation_as_bound(name: str) -> Sampler:
    """A uniform law whose bound is the deviation of the right, normal one."""
    return lambda shape, rng, **given: getattr(reference, f"{name}law")(shape, **given).std * rng.uniform(-1, 1, shape)


def _kernel_in_fan_in_only(shape: Shape, **_: Any) -> float:
    fan_in, fan_out = _fans(shape)
    return math.sqrt((fan_in + fan_out) / (fan_in + fan_out / _positions(shape))) if fan_in + fan_out else 1.0


def _fans(shape: Shape) -> tuple[int, int]:
    return shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:])


def _root_of_gain(shape: Shape, gain: float = 1.0, **_: Any) -> float:
    return 1 / math.sqrt(gain) if gain > 0 else 1.0


def _fans_of_last_axes(shape: Shape) -> Shape:
    """The shape (out, in, *kernel) that a kernel stored as (*kernel, in, out) would have."""
    return (shape[-1], shape[-2], *shape[:-2])


XAVIER_UNIFORM = (
    _mistake(
        "xavier_uniform_", "init-glorot-conv-no-receptive-field", "the positions of a kernel are not counted",
        _times("xavier_uniform_", lambda shape, **_: math.sqrt(_positions(shape))),
        "Convolutions start too large by the root of the kernel's size and train worse.",
        "fan_in = in * kh * kw, fan_out = out * kh * kw", SWIFT, FLUX,
    ),
    _mistake(
        "xavier_uniform_", "init-uniform-drawn-from-normal", "drawn from a normal law", _other_law("xavier_uniform_"),
        SHAPE_OF_LAW, "b = gain * sqrt(6 / (fan_in + fan_out)); w = uniform(-b, b)", LBANN,
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-missing-sqrt3", "the deviation is taken for the bound",
        _times("xavier_uniform_", lambda shape, **_: 1 / math.sqrt(3)), TOO_SMALL,
        "b = sqrt(3) * std = gain * sqrt(6 / (fan_in + fan_out))",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-fans-added", "the fans are added, not averaged",
        _times("xavier_uniform_", lambda shape, **_: 1 / math.sqrt(2)), TOO_SMALL,
        "b = gain * sqrt(6 / (fan_in + fan_out)), not sqrt(3 / (fan_in + fan_out))",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-bound-as-deviation", "a normal law, with the bound as its deviation",
        _bound_as_deviation("xavier_uniform_"), TOO_LARGE, "w = uniform(-b, b)",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-no-root", "the root is missing",
        _times("xavier_uniform_", lambda shape, **_: math.sqrt(6 / max(sum(_fans(shape)), 1))), TOO_SMALL,
        "b = gain * sqrt(6 / (fan_in + fan_out))",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-fans-halved", "the fans are averaged under 6",
        _times("xavier_uniform_", lambda shape, **_: math.sqrt(2)), TOO_LARGE,
        "sqrt(6 / (fan_in + fan_out)) = sqrt(3 / average)",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-kernel-in-fan-in-only", "a kernel's positions are missing in fan_out",
        _times("xavier_uniform_", _kernel_in_fan_in_only), TOO_LARGE, "fan_out = out * kh * kw",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-gain-under-root", "gain stands under the root",
        _times("xavier_uniform_", _root_of_gain), OFF_SCALE, "b = gain * sqrt(6 / (fan_in + fan_out))",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-half-bound", "the range is -b/2 to b/2",
        _times("xavier_uniform_", lambda shape, **_: 0.5), TOO_SMALL, "w = uniform(-b, b)",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-one-sided", "the range is 0 to b", _one_sided("xavier_uniform_"),
        OFF_CENTRE, "w = uniform(-b, b)",
    ),
    _mistake(
        "xavier_uniform_", "init-xavier-uniform-last-axes", "fans are taken from a kernel's last two axes",
        _reshaped("xavier_uniform_", _fans_of_last_axes), OFF_SCALE, "fan_in = shape[1] * prod(shape[2:])", LASAGNE,
    ),
    *_gain("xavier_uniform_"),
    *_not_random("xavier_uniform_"),
)  # fmt: skip


def _xavier_variance(shape: Shape, **settings: Any) -> float:
    return reference.xavier_normal_law(shape, **settings).std


XAVIER_NORMAL = (
    _mistake(
        "xavier_normal_", "init-xavier-normal-no-receptive-field", "the positions of a kernel are not counted",
        _times("xavier_normal_", lambda shape, **_: math.sqrt(_positions(shape))),
        "Convolutions start too large by the root of the kernel's size and train worse.",
        "fan_in = in * kh * kw, fan_out = out * kh * kw", SWIFT, FLUX,
    ),
    _mistake(
        "xavier_normal_", "init-xavier-normal-last-kernel-axis", "only the last axis of a kernel is counted",
        _times("xavier_normal_", _last_kernel_axis), TOO_LARGE, "fan_in = in * kh * kw, fan_out = out * kh * kw",
    ),
    _mistake(
        "xavier_normal_", "init-xavier-normal-variance-as-std", "the variance is taken for the deviation",
        _times("xavier_normal_", _xavier_variance), TOO_SMALL, "std = gain * sqrt(2 / (fan_in + fan_out))",
    ),
    _mistake(
        "xavier_normal_", "init-xavier-normal-fans-added", "the fans are added, not averaged",
        _times("xavier_normal_", lambda shape, **_: 1 / math.sqrt(2)), TOO_SMALL,
        "std = gain * sqrt(2 / (fan_in + fan_out)), not sqrt(1 / (fan_in + fan_out))",
    ),
    _mistake(
        "xavier_normal_", "init-xavier-normal-from-uniform", "drawn from a uniform law", _other_law("xavier_normal_"),
        SHAPE_OF_LAW, "w = std * standard_normal(shape)",
    ),
    _mistake(
        "xavier_normal_", "init-xavier-normal-deviation-as-bound", "a uniform law, with the deviation as its bound",
        _deviation_as_bound("xavier_normal_"), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    *_gain("xavier_normal_"),
    *_not_random("xavier_normal_"),
)  # fmt: skip


def _gain_of(a: float = 0.0, nonlinearity: str = "leaky_relu", **_: Any) -> float:
    return reference.calculate_gain(nonlinearity, a)


def _slope_not_squared(shape: Shape, a: float = 0.0, nonlinearity: str = "leaky_relu", **_: Any) -> float:
    return math.sqrt((1 + a**2) / (1 + a)) if nonlinearity == "leaky_relu" else 1.0


def _slope_always(shape: Shape, a: float = 0.0, nonlinearity: str = "leaky_relu", **_: Any) -> float:
    return 1 / math.sqrt(1 + a**2) if nonlinearity == "relu" else 1.0


def _mode_swapped(mode: str = "fan_in", **_: Any) -> dict[str, str]:
    return {"mode": "fan_out" if mode == "fan_in" else "fan_in"}


def _kaiming(component: str, formula: str) -> tuple[Fault, ...]:
    """Mistakes that both laws share."""
    stem = "init-" + component.rstrip("_").replace("_", "-")
    return (
        _mistake(
            component, f"{stem}-channels-only", "the positions of a kernel are not counted",
            _times(component, lambda shape, **_: math.sqrt(_positions(shape))), TOO_LARGE,
            "fan_in = in * kh * kw", SWIFT,
        ),
        _mistake(
            component, f"{stem}-mode-ignored", "fan_in is used whatever the mode",
            _given(component, lambda **_: {"mode": "fan_in"}), OFF_SCALE, f"{formula}, fan by mode",
        ),
        _mistake(
            component, f"{stem}-no-root", "the root of the fan is missing",
            _times(component, lambda shape, mode="fan_in", **_: _fans(shape)[mode == "fan_out"] ** -0.5), TOO_SMALL,
            f"{formula}, fan under a root",
        ),
        _mistake(
            component, f"{stem}-always-relu", "the gain is that of ReLU whatever is given",
            _given(component, lambda **_: {"nonlinearity": "relu"}), OFF_SCALE,
            "gain = calculate_gain(nonlinearity, a)",
        ),
        _mistake(
            component, f"{stem}-tanh-gain", "the gain for tanh is 1",
            _times(component, lambda shape, nonlinearity="leaky_relu", **_: 0.6 if nonlinearity == "tanh" else 1.0),
            TOO_SMALL, "gain = 5 / 3 for tanh",
        ),
        _mistake(
            component, f"{stem}-mode-swapped", "fan_in and fan_out are swapped", _given(component, _mode_swapped),
            OFF_SCALE, "shape = (out, in, *kernel): fan_in = shape[1] * prod(shape[2:])",
        ),
        _mistake(
            component, f"{stem}-slope-ignored", "the slope of the leaky ReLU is ignored",
            _given(component, lambda **_: {"a": 0.0}), TOO_LARGE, "gain = sqrt(2 / (1 + a**2))",
        ),
        _mistake(
            component, f"{stem}-slope-not-squared", "the slope of the leaky ReLU is not squared",
            _times(component, _slope_not_squared), OFF_SCALE, "gain = sqrt(2 / (1 + a**2))",
        ),
        _mistake(
            component, f"{stem}-slope-always", "the slope is used for a plain ReLU too", _times(component,
            _slope_always),
            TOO_SMALL, "gain = sqrt(2) for relu",
        ),
        _mistake(
            component, f"{stem}-nonlinearity-ignored", "the nonlinearity is ignored",
            _given(component, lambda **_: {"nonlinearity": "leaky_relu"}), OFF_SCALE,
            "gain = calculate_gain(nonlinearity, a)",
        ),
        _mistake(
            component, f"{stem}-gain-squared", "the gain is applied twice",
            _times(component, lambda shape, **settings: _gain_of(**settings)), TOO_LARGE, formula,
        ),
        *_not_random(component),
    )  # fmt: skip


KAIMING_UNIFORM = (
    _mistake(
        "kaiming_uniform_", "init-kaiming-bound-missing-sqrt3", "the deviation is taken for the bound",
        _times("kaiming_uniform_", lambda shape, **_: 1 / math.sqrt(3)), TOO_SMALL,
        "b = sqrt(3) * gain / sqrt(fan)", TCH,
    ),
    _mistake(
        "kaiming_uniform_", "init-kaiming-uniform-gain-one", "the gain is 1, also for ReLU",
        _given("kaiming_uniform_", lambda **_: {"nonlinearity": "linear"}), TOO_SMALL, "b = gain * sqrt(3 / fan)", TCH,
    ),
    _mistake(
        "kaiming_uniform_", "init-kaiming-uniform-from-normal", "drawn from a normal law",
        _other_law("kaiming_uniform_"),
        SHAPE_OF_LAW, "b = gain * sqrt(3 / fan); w = uniform(-b, b)", LBANN,
    ),
    _mistake(
        "kaiming_uniform_", "init-kaiming-uniform-one-sided", "the range is 0 to b", _one_sided("kaiming_uniform_"),
        OFF_CENTRE, "w = uniform(-b, b)",
    ),
    *_kaiming("kaiming_uniform_", "b = gain * sqrt(3 / fan)"),
)  # fmt: skip


def _kaiming_std(shape: Shape, **settings: Any) -> float:
    return reference.kaiming_normal_law(shape, **settings).std


KAIMING_NORMAL = (
    _mistake(
        "kaiming_normal_", "init-he-is-lecun", "the variance is 1 / fan, also for ReLU",
        _given("kaiming_normal_", lambda **_: {"nonlinearity": "linear"}), TOO_SMALL, "std = sqrt(2 / fan_in) for ReLU",
        LBANN,
    ),
    _mistake(
        "kaiming_normal_", "init-fans-wrong-axis-layout", "fans are read from axes of another layout",
        _reshaped("kaiming_normal_", _fans_of_last_axes), OFF_SCALE, "fan_in = shape[1] * prod(shape[2:])", LASAGNE,
    ),
    _mistake(
        "kaiming_normal_", "init-kaiming-normal-variance-as-std", "the variance is taken for the deviation",
        _times("kaiming_normal_", _kaiming_std), TOO_SMALL, "std = gain / sqrt(fan)",
    ),
    _mistake(
        "kaiming_normal_", "init-kaiming-normal-from-uniform", "drawn from a uniform law",
        _other_law("kaiming_normal_"),
        SHAPE_OF_LAW, "w = std * standard_normal(shape)",
    ),
    *_kaiming("kaiming_normal_", "std = gain / sqrt(fan)"),
)  # fmt: skip


def _matrix(shape: Shape) -> Shape:
    return shape[0], math.prod(shape[1:])


def _unsigned_q(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    rows, columns = _matrix(shape)
    q = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))[0]
    return gain * (q if rows >= columns else q.T).reshape(shape)


def _square(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    return reference.orthogonal_((shape[0], shape[0]), rng, gain)


def _unit_rows(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    drawn = rng.standard_normal(_matrix(shape))
    return (gain * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).reshape(shape)


def _scaled_gaussian(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **_: Any) -> Array:
    return gain * rng.standard_normal(shape) / math.sqrt(max(_matrix(shape)))


def _last_axis_as_columns(shape: Shape, rng: np.random.Generator, gain: float = 1.0, **settings: Any) -> Array:
    flat = (math.prod(shape[:-1]), shape[-1])
    return reference.orthogonal_(flat, rng, gain, **settings).reshape(shape)


ORTHOGONAL = (
    _mistake(
        "orthogonal_", "init-orthogonal-no-sign-fix", "the signs of R's diagonal are not taken out of Q", _unsigned_q,
        "LAPACK fixes signs, so the matrices are not uniformly distributed: the first entry is never positive.",
        "Q = Q * sign(diag(R))", TENSORFLOW, CHAINER,
    ),
    _mistake(
        "orthogonal_", "init-orthogonal-nonsquare-made-square", "a square matrix comes back for any shape", _square,
        "The layer silently has another width.", "draw a matrix of shape (rows, columns)", BLOCKS,
    ),
    _mistake(
        "orthogonal_", "init-orthogonal-unit-rows", "rows have unit length but are not orthogonal", _unit_rows,
        "Singular values are spread, and long products of such matrices shrink or grow.",
        "use the Q of a QR factorisation",
    ),
    _mistake(
        "orthogonal_", "init-orthogonal-gaussian", "a scaled Gaussian matrix, not an orthogonal one", _scaled_gaussian,
        "Singular values are spread, and long products of such matrices shrink or grow.",
        "use the Q of a QR factorisation",
    ),
    _mistake(
        "orthogonal_", "init-orthogonal-last-axis", "a kernel is flattened around its last axis", _last_axis_as_columns,
        "The map of a convolution's inputs to its outputs is not orthogonal.", "matrix = w.reshape(out, -1)",
    ),
    *_gain("orthogonal_"),
    _not_random("orthogonal_")[0],
)  # fmt: skip


def _clipped(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
    law = reference.trunc_normal_law(shape, **settings)
    return np.clip(rng.normal(law.mean, law.std, shape), law.low, law.high)


def _redrawn_once(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
    law = reference.trunc_normal_law(shape, **settings)
    first, second = rng.normal(law.mean, law.std, (2, *shape))
    return np.where((first < law.low) | (first > law.high), second, first)


def _uncut(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
    law = reference.trunc_normal_law(shape, **settings)
    return rng.normal(law.mean, law.std, shape)


def _uniform_between(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
    law = reference.trunc_normal_law(shape, **settings)
    return rng.uniform(law.low, law.high, shape)


def _one_bound(mean: float = 0.0, std: float = 1.0, b: float = 2.0, **_: Any) -> dict[str, float]:
    return {"a": min(mean, b) - 40 * std}


def _bounds_follow_mean(mean: float = 0.0, a: float = -2.0, b: float = 2.0, **_: Any) -> dict[str, float]:
    return {"a": mean + a, "b": mean + b}


def _variance_of(std: float = 1.0, **_: Any) -> dict[str, float]:
    return {"std": math.sqrt(std)}


TRUNC_NORMAL = (
    _mistake(
        "trunc_normal_", "init-trunc-normal-clipped", "values outside are moved to the bounds", _clipped,
        "A heap of weights lies exactly at each bound.", "draw again whatever falls outside [a, b]",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-one-sided", "only the upper bound is kept", _given("trunc_normal_",
        _one_bound),
        OFF_CENTRE, "draw again while w < a or w > b",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-redrawn-once", "values outside are drawn again only once", _redrawn_once,
        "A few weights in a thousand still lie outside the bounds.", "draw again while any w lies outside [a, b]",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-uncut", "the bounds are ignored", _uncut,
        "Outliers that the cut was to prevent occur.", "draw again whatever falls outside [a, b]",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-mean-ignored", "mean is ignored",
        _given("trunc_normal_", lambda **_: {"mean": 0.0}), "A law asked to lie around a value lies around zero.",
        "w ~ N(mean, std^2) given a <= w <= b",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-bounds-follow-mean", "the bounds are moved by the mean",
        _given("trunc_normal_", _bounds_follow_mean), "Values outside [a, b] occur.", "a <= w <= b, whatever the mean",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-std-as-variance", "std is taken for the variance",
        _given("trunc_normal_", _variance_of), TOO_LARGE, "w ~ N(mean, std^2) given a <= w <= b",
    ),
    _mistake(
        "trunc_normal_", "init-trunc-normal-uniform", "drawn uniformly between the bounds", _uniform_between,
        SHAPE_OF_LAW,
        "w ~ N(mean, std^2) given a <= w <= b",
    ),
    *_not_random("trunc_normal_"),
)  # fmt: skip


def _fan_in(shape: Shape) -> int:
    return reference.calculate_fans(shape)[0] or 1


def _in_for_out(shape: Shape) -> float:
    fan_in, fan_out = reference.calculate_fans(shape)
    return fan_in / (fan_out or 1)


RECIPROCAL_UNIFORM = (
    _mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-root", "the bound is 1 / sqrt(n)",
        _times("reciprocal_uniform_", lambda shape: math.sqrt(_fan_in(shape))),
        "The law differs from the one asked for.",
        "b = 1 / fan_in",
    ),
    _mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-fan-out", "n is the number of outputs",
        _times("reciprocal_uniform_", _in_for_out), OFF_SCALE, "b = 1 / fan_in",
    ),
    _mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-as-std", "1 / n is taken for the deviation",
        _times("reciprocal_uniform_", lambda shape: math.sqrt(3)), TOO_LARGE, "b = 1 / fan_in",
    ),
    _mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-channels-only", "the positions of a kernel are not counted",
        _times("reciprocal_uniform_", _positions), TOO_LARGE, "n = in * kh * kw",
    ),
    _mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-one-sided", "the range is 0 to 1 / n",
        _one_sided("reciprocal_uniform_"), OFF_CENTRE, "w = uniform(-b, b)",
    ),
    _mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-from-normal", "drawn from a normal law",
        _other_law("reciprocal_uniform_"), SHAPE_OF_LAW, "w = uniform(-b, b)",
    ),
    *_not_random("reciprocal_uniform_"),
)  # fmt: skip

FAULTS = (
    *CONSTANT,
    *NORMAL,
    *UNIFORM,
    *XAVIER_UNIFORM,
    *XAVIER_NORMAL,
    *KAIMING_UNIFORM,
    *KAIMING_NORMAL,
    *ORTHOGONAL,
    *TRUNC_NORMAL,
    *RECIPROCAL_UNIFORM,
)
