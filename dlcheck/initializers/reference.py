"""Initializers in NumPy: for each the law of its draws, ``<name>law``, and a sampler ``<name>`` of that law."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]
Kind = Literal["constant", "uniform", "normal", "truncated_normal", "orthogonal"]

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
"""Gains by nonlinearity; that of leaky_relu depends on its slope."""


@dataclass(frozen=True, slots=True)
class Law:
    """Law of a tensor's draws; what a kind does not use stays at its default.

    ``mean`` and ``std`` are those before truncation, ``low`` and ``high`` the ends of the support. The entries of a
    tensor are independent, but for the kind orthogonal: ``gain`` times a matrix with orthonormal columns (rows, if
    wide), drawn from Haar's measure, or if not ``haar`` from that measure up to the signs of its columns (rows).
    """

    kind: Kind
    shape: Shape
    mean: float = 0.0
    std: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    gain: float = 1.0
    haar: bool = True

    def __str__(self) -> str:
        within = f" within [{self.low:.6g}, {self.high:.6g}]"
        bell = f"normal, mean {self.mean:.6g}, deviation {self.std:.6g}"
        words = {
            "constant": f"constant {self.low:.6g}",
            "uniform": "uniform" + within,
            "normal": bell,
            "truncated_normal": bell + within,
            "orthogonal": f"{self.gain:.6g} times orthogonal, Haar{'' if self.haar else ' up to signs'}",
        }
        return words[self.kind]


def _number(name: str, value: float, least: float = -math.inf) -> float:
    if not (math.isfinite(value) and value >= least):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{name} must be a finite number{bound}, but was {value!r}")
    return float(value)


def draw(law: Law, rng: np.random.Generator) -> Array:
    """Draw one tensor of a law.

    Source: Robert 1995, rejection for the truncated normal law; Mezzadri 2007, QR with the signs of R for Haar's.
    """
    if law.kind == "constant":
        return np.full(law.shape, law.low)
    if law.kind == "uniform":
        return rng.uniform(law.low, law.high, law.shape)
    if law.kind == "normal":
        return rng.normal(law.mean, law.std, law.shape)
    return _truncated(law, rng) if law.kind == "truncated_normal" else _orthogonal(law, rng)


def _uniform(shape: Shape, low: float, high: float) -> Law:
    mean, std = (low + high) / 2, (high - low) / math.sqrt(12)
    return Law("uniform" if low < high else "constant", shape, mean, std, low, high)


def _normal(shape: Shape, mean: float, std: float) -> Law:
    return Law("normal", shape, mean, std) if std else Law("constant", shape, mean, 0.0, mean, mean)


def _bell(shape: Shape, std: float, law: str) -> Law:
    """A normal law around 0, or one that is cut at two deviations and has the given one after the cut."""
    if law == "normal" or not std:
        return _normal(shape, 0.0, std)
    return trunc_normal_law(shape, 0.0, std, bounds="deviations", corrected=True)


def calculate_fans(shape: Shape) -> tuple[int, int]:
    """Numbers of inputs of an output unit and of outputs of an input unit.

    fan_in = in * k, fan_out = out * k, with k the number of the kernel's positions (1 for a dense layer).

    Shapes: (out, in), or (out, in, *kernel).
    Raises: ValueError for fewer than two dimensions.
    Source: He et al. 2015, "Delving deep into rectifiers", section 2.2 (n = k^2 c).
    """
    if len(shape) < 2:
        raise ValueError(f"shape must have at least 2 dimensions to have fans, but was {tuple(shape)}")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor on a deviation of 1 / sqrt(fan) that suits the nonlinearity which follows.

    sqrt(2 / (1 + param^2)) for leaky_relu, with slope 0.01 if none is given; else as tabled in ``GAINS``.

    Raises: ValueError for a nonlinearity without a gain or a slope that is no number.
    Source: He et al. 2015, equation 15; torch.nn.init.calculate_gain for tanh and selu.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + _number("param", 0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"nonlinearity must be one of {', '.join(GAINS)}, leaky_relu, but was {nonlinearity!r}")
    return GAINS[nonlinearity]


def constant_law(shape: Shape, val: float) -> Law:
    """Every entry is ``val``."""
    return Law("constant", shape, val, 0.0, val, val)


def constant_(shape: Shape, rng: np.random.Generator, val: float) -> Array:
    """Fill with one value.

    w = val

    Shapes: any.
    Source: notes 004, Parameters Initialization (fixed value).
    """
    return draw(constant_law(shape, val), rng)


def normal_law(shape: Shape, mean: float = 0.0, std: float = 1.0) -> Law:
    """Independent entries from N(mean, std^2)."""
    return _normal(shape, _number("mean", mean), _number("std", std, 0.0))


def normal_(shape: Shape, rng: np.random.Generator, mean: float = 0.0, std: float = 1.0) -> Array:
    """Draw from a normal law.

    w ~ N(mean, std^2)

    Shapes: any.
    Conventions: default deviation.
    Raises: ValueError for a negative or non-finite ``std``.
    Source: notes 004, Naive Initialization.
    """
    return draw(normal_law(shape, mean, std), rng)


def uniform_law(shape: Shape, a: float = 0.0, b: float = 1.0) -> Law:
    """Independent entries from U(a, b)."""
    low, high = _number("a", a), _number("b", b)
    if low > high:
        raise ValueError(f"a must be at most b, but a was {a!r} and b was {b!r}")
    return _uniform(shape, low, high)


def uniform_(shape: Shape, rng: np.random.Generator, a: float = 0.0, b: float = 1.0) -> Array:
    """Draw from a uniform law.

    w ~ U(a, b)

    Shapes: any.
    Conventions: default range.
    Raises: ValueError for a > b.
    Source: notes 004, Naive Initialization.
    """
    return draw(uniform_law(shape, a, b), rng)


def _xavier_fan(shape: Shape, fan: str) -> float:
    """The fan that the variance gain^2 / fan divides by; an empty kernel has none, and nothing to scale."""
    fan_in, fan_out = calculate_fans(shape)
    return {"average": (fan_in + fan_out) / 2, "fan_in": float(fan_in)}[fan] or 1.0


def xavier_uniform_law(shape: Shape, gain: float = 1.0, *, fan: str = "average") -> Law:
    """Independent entries from U(-b, b) with b = gain sqrt(3 / fan)."""
    bound = _number("gain", gain, 0.0) * math.sqrt(3 / _xavier_fan(shape, fan))
    return _uniform(shape, -bound, bound)


def xavier_uniform_(shape: Shape, rng: np.random.Generator, gain: float = 1.0, *, fan: str = "average") -> Array:
    """Draw so that a linear layer roughly keeps the variance of signals and of gradients.

    w ~ U(-b, b), b = gain sqrt(6 / (fan_in + fan_out))

    Shapes: (out, in, *kernel).
    Conventions: the average of the fans, or fan_in alone.
    Raises: ValueError for fewer than two dimensions or a negative gain.
    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 16.
    """
    return draw(xavier_uniform_law(shape, gain, fan=fan), rng)


def xavier_normal_law(
    shape: Shape, gain: float = 1.0, *, fan: str = "average", magnitude: float = 1.0, law: str = "normal"
) -> Law:
    """Independent entries from N(0, gain^2 magnitude / fan), or with that variance from a normal law cut at two std."""
    return _bell(shape, _number("gain", gain, 0.0) * math.sqrt(magnitude / _xavier_fan(shape, fan)), law)


def xavier_normal_(
    shape: Shape,
    rng: np.random.Generator,
    gain: float = 1.0,
    *,
    fan: str = "average",
    magnitude: float = 1.0,
    law: str = "normal",
) -> Array:
    """Draw so that a linear layer roughly keeps the variance of signals and of gradients.

    w ~ N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out))

    Shapes: (out, in, *kernel).
    Conventions: the average of the fans, or fan_in alone; variance 1 / fan, or magnitude / fan; a normal law, or one
        that is cut at two deviations and scaled so that it has the same variance.
    Raises: ValueError for fewer than two dimensions or a negative gain.
    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 12.
    """
    return draw(xavier_normal_law(shape, gain, fan=fan, magnitude=magnitude, law=law), rng)


def _kaiming_std(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', but was {mode!r}")
    fan_in, fan_out = calculate_fans(shape)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(fan or 1)


def kaiming_uniform_law(shape: Shape, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Law:
    """Independent entries from U(-b, b) with b = gain sqrt(3 / fan)."""
    bound = math.sqrt(3) * _kaiming_std(shape, a, mode, nonlinearity)
    return _uniform(shape, -bound, bound)


def kaiming_uniform_(
    shape: Shape, rng: np.random.Generator, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Array:
    """Draw so that a rectified layer keeps the variance of signals (fan_in) or of gradients (fan_out).

    w ~ U(-b, b), b = gain sqrt(3 / fan), gain = sqrt(2 / (1 + a^2)) for leaky_relu

    Shapes: (out, in, *kernel).
    Conventions: default mode; default gain.
    Raises: ValueError for fewer than two dimensions, an unknown mode or an unknown nonlinearity.
    Source: He et al. 2015, "Delving deep into rectifiers", equations 10, 14 and 15.
    """
    return draw(kaiming_uniform_law(shape, a, mode, nonlinearity), rng)


def kaiming_normal_law(
    shape: Shape, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, law: str = "normal"
) -> Law:
    """Independent entries from N(0, gain^2 / fan), or with that variance from a normal law cut at two deviations."""
    return _bell(shape, _kaiming_std(shape, a, mode, nonlinearity), law)


def kaiming_normal_(
    shape: Shape,
    rng: np.random.Generator,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    law: str = "normal",
) -> Array:
    """Draw so that a rectified layer keeps the variance of signals (fan_in) or of gradients (fan_out).

    w ~ N(0, std^2), std = gain / sqrt(fan), gain = sqrt(2 / (1 + a^2)) for leaky_relu

    Shapes: (out, in, *kernel).
    Conventions: default mode; default gain; a normal law, or one that is cut at two deviations and scaled so that it
        has the same variance.
    Raises: ValueError for fewer than two dimensions, an unknown mode or an unknown nonlinearity.
    Source: He et al. 2015, "Delving deep into rectifiers", equations 10, 14 and 15.
    """
    return draw(kaiming_normal_law(shape, a, mode, nonlinearity, law=law), rng)


def orthogonal_law(shape: Shape, gain: float = 1.0, *, route: str = "qr") -> Law:
    """``gain`` times an orthogonal matrix: Haar's measure by the QR route, that up to signs by the SVD route."""
    if len(shape) < 2:
        raise ValueError(f"shape must have at least 2 dimensions to be a matrix, but was {tuple(shape)}")
    gain = _number("gain", gain, 0.0)
    return Law("orthogonal", shape, gain=gain, haar=route == "qr") if gain else _normal(shape, 0.0, 0.0)


def orthogonal_(shape: Shape, rng: np.random.Generator, gain: float = 1.0, *, route: str = "qr") -> Array:
    """Draw a matrix with orthonormal columns (rows, if it is wide), all such matrices being equally likely.

    W = gain Q diag(sign(diag R)), where Q R is a Gaussian matrix (transposed, if wide)

    Shapes: (out, in, *kernel), read as a matrix (out, in * kernel).
    Conventions: QR with the signs of R; or the singular vectors of a Gaussian matrix, whose signs LAPACK chooses.
    Raises: ValueError for fewer than two dimensions or a negative gain.
    Source: Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
        section 3.1; Mezzadri 2007, "How to generate random matrices from the classical compact groups", section 5.
    """
    return draw(orthogonal_law(shape, gain, route=route), rng)


def _orthogonal(law: Law, rng: np.random.Generator) -> Array:
    if 0 in law.shape:
        return np.zeros(law.shape)
    gaussian = rng.standard_normal((law.shape[0], math.prod(law.shape[1:])))
    return law.gain * (_orthonormal(gaussian) if law.haar else _singular_vectors(gaussian)).reshape(law.shape)


def _orthonormal(gaussian: Array) -> Array:
    if gaussian.shape[0] < gaussian.shape[1]:
        return _orthonormal(gaussian.T).T
    q, r = np.linalg.qr(gaussian)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def _singular_vectors(gaussian: Array) -> Array:
    left, _, right = np.linalg.svd(gaussian, full_matrices=False)
    return left if left.shape == gaussian.shape else right


def _cut_deviation(a: float, b: float) -> float:
    """Deviation of the standard normal law cut at a and b."""
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (a, b)]
    mass = (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2
    mean = (density[0] - density[1]) / mass
    return math.sqrt(1 + (a * density[0] - b * density[1]) / mass - mean**2)


def trunc_normal_law(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    bounds: str = "absolute",
    corrected: bool = False,
) -> Law:
    """Independent entries from N(mean, std^2) given a <= w <= b."""
    mean, a, b = _number("mean", mean), _number("a", a), _number("b", b)
    if not _number("std", std, 0.0):
        raise ValueError(f"std must be positive, but was {std!r}")
    if a >= b:
        raise ValueError(f"a must be less than b, but a was {a!r} and b was {b!r}")
    scale = std / _cut_deviation(a, b) if corrected else float(std)
    low, high = (a, b) if bounds == "absolute" else (mean + a * scale, mean + b * scale)
    return Law("truncated_normal", shape, mean, scale, low, high)


def trunc_normal_(
    shape: Shape,
    rng: np.random.Generator,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    bounds: str = "absolute",
    corrected: bool = False,
) -> Array:
    """Draw from a normal law cut at two bounds: what falls outside is drawn again.

    w ~ N(mean, std^2) given a <= w <= b

    Shapes: any.
    Conventions: bounds absolute, or in deviations from the mean; ``std`` that of the law before the cut, or after it
        (of a law cut at a and b deviations).
    Raises: ValueError for a >= b or a ``std`` that is not positive.
    Source: Robert 1995, "Simulation of truncated normal variables", section 2 (rejection from a uniform law).
    """
    return draw(trunc_normal_law(shape, mean, std, a, b, bounds=bounds, corrected=corrected), rng)


def _truncated(law: Law, rng: np.random.Generator) -> Array:
    size, drawn = math.prod(law.shape), np.empty(0)
    while drawn.size < size:
        drawn = np.concatenate([drawn, _accepted(law, size, rng)])
    return drawn[:size].reshape(law.shape)


def _accepted(law: Law, size: int, rng: np.random.Generator) -> Array:
    """Those of ``size`` candidates that rejection keeps: normal ones if the support is wide, else uniform ones."""
    wide = law.high - law.low > math.sqrt(2 * math.pi) * law.std
    if wide and law.low <= law.mean <= law.high:
        drawn = rng.normal(law.mean, law.std, size)
        return drawn[(law.low <= drawn) & (drawn <= law.high)]
    mode = min(max(law.mean, law.low), law.high)
    reach = 40 * law.std  # the density falls below the smallest positive number further away
    drawn = rng.uniform(max(law.low, mode - reach), min(law.high, mode + reach), size)
    log_ratio = ((mode - law.mean) ** 2 - (drawn - law.mean) ** 2) / (2 * law.std**2)
    return drawn[np.log1p(-rng.random(size)) <= log_ratio]


def reciprocal_uniform_law(shape: Shape) -> Law:
    """Independent entries from U(-1/n, 1/n) with n = fan_in."""
    bound = 1 / (calculate_fans(shape)[0] or 1)
    return _uniform(shape, -bound, bound)


def reciprocal_uniform_(shape: Shape, rng: np.random.Generator) -> Array:
    """Draw from the notes' uniform law, whose layers shrink their signal.

    w ~ U(-1/n, 1/n), n = fan_in

    Shapes: (out, in, *kernel).
    Raises: ValueError for fewer than two dimensions.
    Source: notes 004, Naive Initialization, Uniform Distribution.
    """
    return draw(reciprocal_uniform_law(shape), rng)
