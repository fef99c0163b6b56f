"""Initializers in PyTorch: in place, on any device and dtype, drop-ins for those of torch.nn.init."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

Weight = Float[Tensor, "*shape"]

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
"""Gains by nonlinearity; that of leaky_relu depends on its slope."""


def _number(name: str, value: float, least: float = -math.inf) -> float:
    if not (math.isfinite(value) and value >= least):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{name} must be a finite number{bound}, but was {value!r}")
    return float(value)


def calculate_fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (out, in, *kernel)."""
    if len(shape) < 2:
        raise ValueError(f"shape must have at least 2 dimensions to have fans, but was {tuple(shape)}")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor on a deviation of 1 / sqrt(fan) that suits the nonlinearity which follows."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + _number("param", 0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"nonlinearity must be one of {', '.join(GAINS)}, leaky_relu, but was {nonlinearity!r}")
    return GAINS[nonlinearity]


@torch.no_grad()
def constant_(tensor: Weight, val: float) -> Weight:
    """Fill with one value."""
    return tensor.fill_(val)


@torch.no_grad()
def normal_(tensor: Weight, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Weight:
    """Draw from N(mean, std^2)."""
    return tensor.normal_(_number("mean", mean), _number("std", std, 0.0), generator=generator)


@torch.no_grad()
def uniform_(tensor: Weight, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Weight:
    """Draw from U(a, b)."""
    low, high = _number("a", a), _number("b", b)
    if low > high:
        raise ValueError(f"a must be at most b, but a was {a!r} and b was {b!r}")
    return tensor.uniform_(low, high, generator=generator)


def _xavier_std(tensor: Weight, gain: float) -> float:
    return _number("gain", gain, 0.0) * math.sqrt(2 / (sum(calculate_fans(tensor.shape)) or 1))


def xavier_uniform_(tensor: Weight, gain: float = 1.0, generator: Generator | None = None) -> Weight:
    """Draw from U(-b, b) with b = gain sqrt(6 / (fan_in + fan_out))."""
    bound = math.sqrt(3) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Weight, gain: float = 1.0, generator: Generator | None = None) -> Weight:
    """Draw from N(0, std^2) with std = gain sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _kaiming_std(tensor: Weight, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', but was {mode!r}")
    fan_in, fan_out = calculate_fans(tensor.shape)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(fan or 1)


def kaiming_uniform_(
    tensor: Weight,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Weight:
    """Draw from U(-b, b) with b = gain sqrt(3 / fan)."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Weight,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Weight:
    """Draw from N(0, std^2) with std = gain / sqrt(fan)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _work_dtype(tensor: Weight) -> torch.dtype:
    """The dtype to compute in: LAPACK and inverse distribution functions want 32 bits at least."""
    return torch.promote_types(tensor.dtype, torch.float32)


@torch.no_grad()
def orthogonal_(tensor: Weight, gain: float = 1.0, generator: Generator | None = None) -> Weight:
    """Draw ``gain`` times a matrix (out, the rest) with orthonormal columns (rows, if wide) from Haar's measure."""
    if tensor.ndim < 2:
        raise ValueError(f"shape must have at least 2 dimensions to be a matrix, but was {tuple(tensor.shape)}")
    gain = _number("gain", gain, 0.0)
    if not tensor.numel():
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    tall = (max(rows, columns), min(rows, columns))
    gaussian = torch.empty(tall, dtype=_work_dtype(tensor), device=tensor.device).normal_(generator=generator)
    q, r = torch.linalg.qr(gaussian)
    q *= r.diagonal().sign() * gain
    return tensor.copy_((q if rows >= columns else q.T).reshape(tensor.shape))


def _standard_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


@torch.no_grad()
def trunc_normal_(
    tensor: Weight,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Weight:
    """Draw from N(mean, std^2) given a <= w <= b, by the inverse distribution function."""
    mean, a, b = _number("mean", mean), _number("a", a), _number("b", b)
    if not _number("std", std, 0.0):
        raise ValueError(f"std must be positive, but was {std!r}")
    if a >= b:
        raise ValueError(f"a must be less than b, but a was {a!r} and b was {b!r}")
    sign = -1.0 if a + b > 2 * mean else 1.0  # the lower tail keeps its digits where the upper one is 1 - tiny
    ends = sorted(sign * (bound - mean) / std for bound in (a, b))
    drawn = torch.empty(tensor.shape, dtype=torch.float64, device=tensor.device)
    drawn.uniform_(_standard_cdf(ends[0]), _standard_cdf(ends[1]), generator=generator)
    return tensor.copy_(torch.special.ndtri(drawn).mul_(sign * std).add_(mean).clamp_(a, b))


@torch.no_grad()
def reciprocal_uniform_(tensor: Weight, generator: Generator | None = None) -> Weight:
    """Draw from U(-1/n, 1/n) with n = fan_in."""
    bound = 1 / (calculate_fans(tensor.shape)[0] or 1)
    return uniform_(tensor, -bound, bound, generator)
