"""Pooling in NumPy float64: forward as the sources write it, backward derived by hand.

A window of k places is k shifted views of the padded input, its taps: pooling combines them element by element, and a
gradient is added back to the same views. Every function converts what it is given to float64, leaves it untouched and
returns new arrays.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Images = Float[np.ndarray, "*N C H W"]
Pooled = Float[np.ndarray, "*N C P Q"]
Size = int | Sequence[int]
Ties = Literal["first", "last", "all", "split", "halved"]
Nan = Literal["propagates", "ignored"]
Power = Literal["signed", "magnitude"]
Overhang = Literal["rescaled", "summed"]


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    return array.astype(np.float64)


def _images(value: Any) -> np.ndarray:
    x = _real("x", value)
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W) with C, H, W > 0, not {x.shape}")
    return x


def _gradient(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    grad = _real("grad_output", value)
    if grad.shape != shape:
        raise ValueError(f"grad_output must have the output's shape {shape}, not {grad.shape}")
    return grad


def _choice(name: str, value: Any, among: Sequence[Any]) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least for n in pair):
        raise ValueError(f"{name} must be an integer of at least {least} or two of them, not {value!r}")
    return int(pair[0]), int(pair[1])


# --- windows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the windows lie, along height and width: their size, distance, spread and number, and the input's size."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    input: tuple[int, int]
    output: tuple[int, int]

    def padded(self, x: np.ndarray, value: float) -> np.ndarray:
        """The input with a value on both sides, as far as the last windows reach; itself where none is needed."""
        extent = self._extent(0), self._extent(1)
        if extent == self.input:
            return x
        wide = np.full((*x.shape[:-2], *extent), value)
        self.inner(wide)[...] = x
        return wide

    def _extent(self, axis: int) -> int:
        reach = (self.output[axis] - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return max(reach, self.input[axis] + 2 * self.padding[axis])

    def inner(self, padded: np.ndarray) -> np.ndarray:
        """The part of a padded array that is the input: a view."""
        (top, left), (height, width) = self.padding, self.input
        return padded[..., top : top + height, left : left + width]

    def taps(self, padded: np.ndarray) -> Iterator[np.ndarray]:
        """The places of all windows at once, in the order of a row-major scan: views (..., P, Q)."""
        for row in range(self.kernel[0]):
            for column in range(self.kernel[1]):
                yield padded[..., self._places(0, row), self._places(1, column)]

    def spread(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """The transpose of the taps: parts (..., P, Q) of all windows, one for each place, added up in the input."""
        total = self.padded(np.zeros((*parts[0].shape[:-2], *self.input)), 0.0)
        for target, part in zip(self.taps(total), parts, strict=True):
            target += part
        return self.inner(total).copy()

    def _places(self, axis: int, offset: int) -> slice:
        start = offset * self.dilation[axis]
        return slice(start, start + (self.output[axis] - 1) * self.stride[axis] + 1, self.stride[axis])

    def sizes(self, padding_counts: bool) -> np.ndarray:
        """How many places of each window lie in the padded input, or in the input itself: (P, Q)."""
        return np.outer(*(self._along(axis, self.padding[axis] * padding_counts) for axis in (0, 1)))

    def _along(self, axis: int, margin: int) -> np.ndarray:
        start = np.arange(self.output[axis]) * self.stride[axis] - self.padding[axis]
        places = start[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return ((places >= -margin) & (places < self.input[axis] + margin)).sum(axis=1)


def output_size(
    size: int, kernel_size: int, stride: int | None = None, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    r"""Number of windows along an axis of a given size.

    $\lfloor (n + 2p - d(k - 1) - 1) / s \rfloor + 1$; in ceil mode rounded up, but a last window that would start
    beyond the input and the padding before it is left out

    Raises: ValueError if not even one window fits.
    Source: Dumoulin, Visin, A Guide to Convolution Arithmetic (2016), relationship 15; torch's MaxPool2d for ceil mode.
    """
    step = kernel_size if stride is None else stride
    room = size + 2 * padding - dilation * (kernel_size - 1) - 1
    count = (-(-room // step) if ceil_mode else room // step) + 1
    if ceil_mode and (count - 1) * step >= size + padding:
        count -= 1
    if count < 1:
        raise ValueError(
            f"kernel_size must fit the padded input, but a window reaches over {dilation * (kernel_size - 1) + 1} "
            f"of {size + 2 * padding} places"
        )
    return count


def windows(
    shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Windows:
    """The windows over images of a shape (..., H, W), from torch's settings.

    Raises: ValueError for settings out of range, padding beyond half of the kernel, or if not even one window fits.
    Source: torch.nn.MaxPool2d, shape section.
    """
    kernel = _pair("kernel_size", kernel_size, 1)
    step, pad = kernel if stride is None else _pair("stride", stride, 1), _pair("padding", padding, 0)
    spread, ceil = _pair("dilation", dilation, 1), bool(_choice("ceil_mode", ceil_mode, (False, True)))
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise ValueError(f"padding must be at most half of kernel_size {kernel_size}, not {padding}")
    height, width = (
        output_size(size, k, s, p, d, ceil)
        for size, k, s, p, d in zip(shape[-2:], kernel, step, pad, spread, strict=True)
    )
    return Windows(kernel, step, pad, spread, (shape[-2], shape[-1]), (height, width))


# --- max pooling -----------------------------------------------------------------------------------------------------


def max_pool2d(
    x: Images,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    nan: Nan = "propagates",
    padding_value: float = -np.inf,
) -> Pooled:
    r"""Largest value of each window; padding never wins.

    $y_{pq} = \max_{i < k, j < k} x_{sp + di - \pi,\; sq + dj - \pi}$ over the places inside the input

    Shapes: x (N, C, H, W) or (C, H, W); the result (..., P, Q) with ``output_size`` of H and W.
    Conventions: ``nan``, whether a NaN makes its windows NaN or is passed over; the default of ``ceil_mode``;
    ``padding_value`` 0 in place of -inf, which wins over negative numbers.
    Raises: TypeError if x is not real, ValueError as ``windows``.
    Source: notes 001, section 1.3; Ranzato et al., Unsupervised Learning of Invariant Feature Hierarchies (2007).
    """
    x = _images(x)
    return largest(x, windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode), nan, padding_value)


def max_pool2d_backward(
    grad_output: Pooled,
    x: Images,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    ties: Ties = "first",
    padding_value: float = -np.inf,
) -> dict[str, Images]:
    r"""Gradient of max pooling: the place that gave the maximum receives it, summed over the windows that it won.

    $\bar x_u = \sum_{pq} \bar y_{pq} \, m_{pq,u}$ with $m$ the share of place u in the maximum of window pq

    Shapes: grad_output (..., P, Q); the result as x.
    Conventions: ``ties``, whether of equal places the first or the last in a row-major scan receives the gradient, all
    of them, or each its part: an equal one, or a half from each comparison of one place with those before it. A window
    with NaN passes none.
    Raises: TypeError, ValueError as max_pool2d, and if grad_output has not the output's shape.
    Source: the chain rule on notes 001, section 1.3.
    """
    x = _images(x)
    where = windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    grad = _gradient(grad_output, (*x.shape[:-2], *where.output))
    return {"x": to_largest(grad, x, where, ties, padding_value)}


def largest(x: np.ndarray, where: Windows, nan: Nan = "propagates", padding_value: float = -np.inf) -> np.ndarray:
    """The largest value of each window, (..., P, Q)."""
    maximum = {"propagates": np.maximum, "ignored": np.fmax}[_choice("nan", nan, ("propagates", "ignored"))]
    first, *others = where.taps(where.padded(x, padding_value))
    found = first.copy()
    for tap in others:
        maximum(found, tap, out=found)
    return found


def to_largest(
    grad: np.ndarray, x: np.ndarray, where: Windows, ties: Ties = "first", padding_value: float = -np.inf
) -> np.ndarray:
    """What each place receives as the largest of its windows, shaped as x."""
    padded, maxima = where.padded(x, padding_value), largest(x, where, padding_value=padding_value)
    shares = shared([tap == maxima for tap in where.taps(padded)], ties)
    return where.spread([grad * share for share in shares])


def shared(winners: list[np.ndarray], ties: Ties) -> list[np.ndarray]:
    """What part of its window's gradient each place receives, from whether it has the maximum."""
    if _choice("ties", ties, ("first", "last", "all", "split", "halved")) == "all":
        return winners
    count = np.sum(winners, axis=0)
    if ties == "split":
        return [winner / np.maximum(count, 1) for winner in winners]
    if ties == "halved":
        before = np.cumsum(winners, axis=0)
        return list(winners * 0.5 ** (count - before + (before > 1)))
    free, shares = np.ones_like(winners[0]), []
    for winner in winners if ties == "first" else reversed(winners):
        shares.append(winner & free)
        free &= ~winner
    return shares if ties == "first" else shares[::-1]


# --- average pooling -------------------------------------------------------------------------------------------------


def _divisor(where: Windows, count_include_pad: bool, divisor_override: int | None) -> Any:
    if divisor_override is not None:
        whole = isinstance(divisor_override, int | np.integer) and not isinstance(divisor_override, bool)
        if not whole or divisor_override == 0:
            raise ValueError(f"divisor_override must be an integer other than 0, or None, not {divisor_override!r}")
        return divisor_override
    return where.sizes(bool(_choice("count_include_pad", count_include_pad, (False, True))))


def avg_pool2d(
    x: Images,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Pooled:
    r"""Mean of each window, over its places in the padded input or over those in the input alone.

    $y_{pq} = \frac{1}{n_{pq}} \sum_{i < k, j < k} x_{sp + i - \pi,\; sq + j - \pi}$, zero in the padding. $n_{pq}$ does
    not count what a last window of ceil mode has beyond the padding.

    Shapes: x (N, C, H, W) or (C, H, W); the result (..., P, Q) with ``output_size`` of H and W.
    Conventions: the defaults of ``count_include_pad`` and ``ceil_mode``.
    Raises: TypeError if x is not real, ValueError as ``windows``, and if divisor_override is 0 or no integer.
    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998), section II.B; torch's
    AvgPool2d for the padding.
    """
    x = _images(x)
    where = windows(x.shape, kernel_size, stride, padding, 1, ceil_mode)
    total = sum(where.taps(where.padded(x, 0.0)))
    return np.asarray(total / _divisor(where, count_include_pad, divisor_override))


def avg_pool2d_backward(
    grad_output: Pooled,
    x: Images,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> dict[str, Images]:
    r"""Gradient of average pooling: every place of a window receives an equal part.

    $\bar x_u = \sum_{pq \ni u} \bar y_{pq} / n_{pq}$

    Shapes: grad_output (..., P, Q); the result as x.
    Conventions: as avg_pool2d.
    Raises: TypeError, ValueError as avg_pool2d, and if grad_output has not the output's shape.
    Source: the chain rule on LeCun et al. (1998), section II.B.
    """
    x = _images(x)
    where = windows(x.shape, kernel_size, stride, padding, 1, ceil_mode)
    grad = _gradient(grad_output, (*x.shape[:-2], *where.output))
    part = grad / _divisor(where, count_include_pad, divisor_override)
    return {"x": where.spread([part] * math.prod(where.kernel))}


# --- L_k pooling -----------------------------------------------------------------------------------------------------


def _norm_type(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating) or not value > 0:
        raise ValueError(f"norm_type must be a positive number, not {value!r}")
    return float(value)


def _rescaling(where: Windows, overhang: Overhang) -> Any:
    """What the sum of a window that overhangs the input is multiplied by."""
    if _choice("overhang", overhang, ("rescaled", "summed")) == "summed":
        return 1.0
    return math.prod(where.kernel) / where.sizes(padding_counts=False)


def _scaled(padded: np.ndarray, where: Windows, power: Power) -> tuple[list[np.ndarray], np.ndarray]:
    """The taps over the largest magnitude of their window, so that no power overflows, and that magnitude."""
    _choice("power", power, ("signed", "magnitude"))
    magnitudes = np.abs(padded)
    maxima = reduce(np.maximum, where.taps(magnitudes))
    scale = np.where(np.isfinite(maxima) & (maxima > 0), maxima, 1.0)
    return [tap / scale for tap in where.taps(padded if power == "signed" else magnitudes)], scale


def lp_pool2d(
    x: Images,
    norm_type: int | float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    power: Power = "signed",
    overhang: Overhang = "rescaled",
) -> Pooled:
    r"""$L_k$ pooling: the k-norm of each window, its largest magnitude for $k = \infty$.

    $y_{pq} = \left( \sum_u x_u^k \right)^{1/k} = m \left( \sum_u (x_u / m)^k \right)^{1/k}$ with $m = \max_u |x_u|$

    Shapes: x (N, C, H, W) or (C, H, W); the result (..., P, Q) with ``output_size`` of H and W.
    Conventions: ``power``, of x itself (NaN where the root of a negative number is asked for) or of |x|; ``overhang``,
    whether the sum of a window that overhangs the input is multiplied by the kernel's size over the places inside; the
    default of ``ceil_mode``.
    Raises: TypeError if x is not real, ValueError as ``windows``, and if norm_type is not positive.
    Source: notes 001, section 1.3; Sermanet, Chintala, LeCun, Convolutional Neural Networks Applied to House Numbers
    Digit Classification (2012), equation 1.
    """
    x, k = _images(x), _norm_type(norm_type)
    if math.isinf(k):
        return max_pool2d(np.abs(x), kernel_size, stride, ceil_mode=ceil_mode)
    where = windows(x.shape, kernel_size, stride, ceil_mode=ceil_mode)
    taps, scale = _scaled(where.padded(x, 0.0), where, power)
    with np.errstate(invalid="ignore"):  # roots and fractional powers of negative numbers are NaN
        total = _rescaling(where, overhang) * sum(tap**k for tap in taps)
        return np.asarray(scale * total ** (1 / k))


def lp_pool2d_backward(
    grad_output: Pooled,
    x: Images,
    norm_type: int | float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    power: Power = "signed",
    overhang: Overhang = "rescaled",
) -> dict[str, Images]:
    r"""Gradient of $L_k$ pooling; zero for windows whose sum is zero.

    $\bar x_u = \sum_{pq \ni u} \bar y_{pq} \, c_{pq} \, (x_u / y_{pq})^{k-1}$ with $c$ the rescaling of overhanging
    windows, and $|x_u|$ for $x_u$, times its sign, where the power is of the magnitude

    Shapes: grad_output (..., P, Q); the result as x.
    Conventions: as lp_pool2d; for $k = \infty$ the first of equal magnitudes receives the gradient.
    Raises: TypeError, ValueError as lp_pool2d, and if grad_output has not the output's shape.
    Source: the chain rule on Sermanet, Chintala, LeCun (2012), equation 1; torch.nn.LPPool2d for windows of zeros.
    """
    x, k = _images(x), _norm_type(norm_type)
    if math.isinf(k):
        found = max_pool2d_backward(grad_output, np.abs(x), kernel_size, stride, ceil_mode=ceil_mode)
        return {"x": found["x"] * np.sign(x)}
    where = windows(x.shape, kernel_size, stride, ceil_mode=ceil_mode)
    norm = lp_pool2d(x, k, kernel_size, stride, ceil_mode, power=power, overhang=overhang)
    grad = _gradient(grad_output, norm.shape) * _rescaling(where, overhang)
    grad, norm = np.where(norm == 0, 0.0, grad), np.where(norm == 0, 1.0, norm)
    return {"x": where.spread([grad * _slope(tap / norm, k, power) for tap in where.taps(where.padded(x, 0.0))])}


def _slope(ratio: np.ndarray, k: float, power: Power) -> np.ndarray:
    """The derivative of a norm by one of its numbers, from the number over the norm."""
    with np.errstate(invalid="ignore"):
        return ratio ** (k - 1) if power == "signed" else np.sign(ratio) * np.abs(ratio) ** (k - 1)


# --- global average pooling -------------------------------------------------------------------------------------------


def global_avg_pool2d(x: Images, *, keepdims: bool = False) -> Float[np.ndarray, "..."]:
    r"""Mean of each channel of each image.

    $y_{nc} = \frac{1}{HW} \sum_{hw} x_{nchw}$

    Shapes: x (N, C, H, W) or (C, H, W); the result (N, C) or (C,).
    Conventions: ``keepdims``, whether the averaged axes are dropped or stay with length 1.
    Raises: TypeError if x is not real, ValueError if it has not such a shape.
    Source: Lin, Chen, Yan, Network In Network (2013), section 3.2; notes 003.
    """
    return _images(x).mean(axis=(-2, -1), keepdims=bool(_choice("keepdims", keepdims, (False, True))))


def global_avg_pool2d_backward(grad_output: Float[np.ndarray, "..."], x: Images) -> dict[str, Images]:
    r"""Gradient of global average pooling.

    $\bar x_{nchw} = \bar y_{nc} / (HW)$

    Shapes: grad_output (N, C) or (N, C, 1, 1); the result as x.
    Raises: TypeError, ValueError as global_avg_pool2d, and if grad_output has not one number for each mean.
    Source: the chain rule on Lin, Chen, Yan (2013), section 3.2.
    """
    x = _images(x)
    grad, kept = _real("grad_output", grad_output), (*x.shape[:-2], 1, 1)
    if grad.shape not in (x.shape[:-2], kept):
        raise ValueError(f"grad_output must have shape {x.shape[:-2]} or {kept}, not {grad.shape}")
    return {"x": np.broadcast_to(grad.reshape(kept) / math.prod(x.shape[-2:]), x.shape).copy()}
