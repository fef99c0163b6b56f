"""Pooling in PyTorch, for any device and floating-point dtype, differentiable twice.

A window is pooled along its width, then along its height, each a few shifted views of the image: for k x k places that
is 2k passes, not k^2, and gradients of sums go back the same way. On an accelerator, and for the gradient of maxima,
torch's kernels are used, which read and write every number once: nothing is faster.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "*N C H W"]
Pooled = Float[Tensor, "*N C P Q"]
Size = int | Sequence[int]

HEIGHT, WIDTH = -2, -1


def _images(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"x must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"x must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    if value.ndim not in (3, 4) or 0 in value.shape[-3:]:
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W) with C, H, W > 0, not {tuple(value.shape)}")
    return value


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in pair):
        raise ValueError(f"{name} must be an integer of at least {least} or two of them, not {value!r}")
    return pair


def _flag(name: str, value: Any) -> bool:
    if value not in (False, True):
        raise ValueError(f"{name} must be False or True, not {value!r}")
    return bool(value)


# --- windows ---------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """The windows along one axis: their size, distance, padding, spread, their number, and the input's size."""

    kernel: int
    stride: int
    padding: int
    dilation: int
    windows: int
    size: int

    def margins(self) -> tuple[int, int]:
        """Places before the input, and after it as far as the last window reaches."""
        reach = (self.windows - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return self.padding, max(reach - self.size - self.padding, 0)

    def taps(self, values: Tensor, axis: int) -> Iterator[Tensor]:
        """The first place of all windows, then the second, and so on: views."""
        for start in range(0, self.kernel * self.dilation, self.dilation):
            places = slice(start, start + (self.windows - 1) * self.stride + 1, self.stride)
            yield values[..., places] if axis == WIDTH else values[..., places, :]

    def places(self, margin: int, like: Tensor) -> Tensor:
        """How many places of each window lie within the input and a margin on both sides."""
        start = torch.arange(self.windows, device=like.device) * self.stride - self.padding
        end = (start + self.kernel).clamp(max=self.size + margin)
        return (end - start.clamp(min=-margin)).to(like.dtype)


Grid = tuple[Line, Line]


def output_size(
    size: int, kernel_size: int, stride: int | None = None, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    r"""Number of windows along an axis of a given size, $\lfloor (n + 2p - d(k - 1) - 1) / s \rfloor + 1$.

    In ceil mode it is rounded up, but a last window that would start beyond the input and the padding before it is left
    out.

    Raises: ValueError if not even one window fits.
    Source: Dumoulin, Visin, A Guide to Convolution Arithmetic (2016), relationship 15.
    """
    step, reach = kernel_size if stride is None else stride, dilation * (kernel_size - 1) + 1
    room = size + 2 * padding - reach
    count = (room + (step - 1 if ceil_mode else 0)) // step + 1
    count -= ceil_mode and (count - 1) * step >= size + padding
    if count < 1:
        raise ValueError(
            f"kernel_size must fit the padded input, but a window reaches over {reach} of {size + 2 * padding} places"
        )
    return count


def _grid(
    x: Tensor, kernel_size: Size, stride: Size | None, padding: Size = 0, dilation: Size = 1, ceil_mode: bool = False
) -> Grid:
    kernel = _pair("kernel_size", kernel_size, 1)
    step, pad = kernel if stride is None else _pair("stride", stride, 1), _pair("padding", padding, 0)
    spread, ceil = _pair("dilation", dilation, 1), _flag("ceil_mode", ceil_mode)
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise ValueError(f"padding must be at most half of kernel_size {kernel_size}, not {padding}")
    lines = zip(kernel, step, pad, spread, x.shape[-2:], strict=True)
    height, width = (Line(k, s, p, d, output_size(n, k, s, p, d, ceil), n) for k, s, p, d, n in lines)
    return height, width


def _settings(grid: Grid) -> dict[str, Any]:
    """Kernel size, stride and padding, each of height and width."""
    names, (height, width) = ("kernel_size", "stride", "padding"), grid
    return {name: sides for name, *sides in zip(names, height, width, strict=False)}


def _padded(x: Tensor, grid: Grid, value: float) -> Tensor:
    margins = (*grid[1].margins(), *grid[0].margins())
    return F.pad(x, margins, value=value) if any(margins) else x


def _inner(padded: Tensor, grid: Grid) -> Tensor:
    height, width = grid
    rows = padded[..., height.padding : height.padding + height.size, :]
    return rows[..., width.padding : width.padding + width.size]


def _views(padded: Tensor, grid: Grid) -> Tensor:
    """The places of each window, row by row, (..., P, Q, k): for formulas that autograd follows."""
    height, width = grid
    rows = torch.stack(list(height.taps(padded, HEIGHT)), -1)
    return torch.stack(list(width.taps(rows.movedim(-1, 0), WIDTH)), -1).movedim(0, -2).flatten(-2)


def _differentiated(formula: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of a formula by autograd, which can differentiate it again where it is asked to."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if again else x.detach().requires_grad_()
        return torch.autograd.grad(formula(x), x, grad, create_graph=again)[0]


def _over(values: Tensor, line: Line, axis: int, operation: Callable[..., Tensor]) -> Tensor:
    """Combine the places of every window along one axis."""
    first, *others = line.taps(values, axis)
    found = first.clone()
    for tap in others:
        operation(found, tap, out=found)
    return found


# --- max pooling -----------------------------------------------------------------------------------------------------


def max_pool2d(
    x: Images,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Pooled:
    r"""Largest value of each window, $\max_{i < k, j < k} x_{sp + di - \pi,\; sq + dj - \pi}$; padding never wins.

    Shapes: x (N, C, H, W) or (C, H, W); the result (..., P, Q) with ``output_size`` of H and W.
    Conventions: NaN propagates and receives no gradient; of equal values the first of the window, row by row, does.
    Raises: TypeError if x is no floating-point tensor, ValueError for settings out of range or a window that does not
    fit.
    Source: notes 001, section 1.3; Ranzato et al., Unsupervised Learning of Invariant Feature Hierarchies (2007).
    """
    x = _images(x)
    grid = _grid(x, kernel_size, stride, padding, dilation, ceil_mode)
    if any(line.padding and line.dilation > line.size for line in grid):
        # a window may lie in the padding altogether: torch's backward then writes outside its memory
        return _views(_padded(x, grid, -math.inf), grid).max(-1).values
    if x.device.type != "cpu" or (torch.is_grad_enabled() and x.requires_grad):
        return _by_kernel(x, grid, ceil_mode)
    return _largest(x, grid)


def _largest(x: Tensor, grid: Grid) -> Tensor:
    rows = _over(_padded(x, grid, -math.inf), grid[1], WIDTH, torch.maximum)
    return _over(rows, grid[0], HEIGHT, torch.maximum)


def _by_kernel(x: Tensor, grid: Grid, ceil_mode: bool) -> Tensor:
    """torch's kernel, which remembers the winners; a CPU's is quick where the channels lie side by side in memory."""
    dilation = [line.dilation for line in grid]
    if x.device.type != "cpu":
        return F.max_pool2d(x, **_settings(grid), dilation=dilation, ceil_mode=ceil_mode)
    images = x.unsqueeze(0) if x.ndim == 3 else x
    images = images.contiguous(memory_format=torch.channels_last)
    pooled = F.max_pool2d(images, **_settings(grid), dilation=dilation, ceil_mode=ceil_mode)
    return pooled.contiguous().view(*x.shape[:-2], *pooled.shape[-2:])


# --- average pooling -------------------------------------------------------------------------------------------------


def avg_pool2d(
    x: Images,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Pooled:
    r"""Mean of each window, $\frac{1}{n_{pq}} \sum_{i < k, j < k} x_{sp + i - \pi,\; sq + j - \pi}$.

    $n_{pq}$ counts the places in the padded input, or those in the input alone; never what a last window of ceil mode
    has beyond the padding.

    Shapes: x (N, C, H, W) or (C, H, W); the result (..., P, Q) with ``output_size`` of H and W.
    Raises: TypeError if x is no floating-point tensor, ValueError for settings out of range, a window that does not
    fit, or if divisor_override is 0 or no integer.
    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998), section II.B.
    """
    x = _images(x)
    grid = _grid(x, kernel_size, stride, padding, 1, ceil_mode)
    counts = _flag("count_include_pad", count_include_pad)
    if divisor_override is not None and (type(divisor_override) is not int or divisor_override == 0):
        raise ValueError(f"divisor_override must be an integer other than 0, or None, not {divisor_override!r}")
    if x.device.type != "cpu":
        given = {"ceil_mode": ceil_mode, "count_include_pad": counts, "divisor_override": divisor_override}
        return F.avg_pool2d(x, **_settings(grid), **given)
    if divisor_override is not None:
        return _Sum.apply(x, grid) / divisor_override  # type: ignore[operator]
    rows, columns = (line.places(line.padding if counts else 0, x) for line in grid)
    return _Sum.apply(x, grid) / (rows[:, None] * columns)  # type: ignore[operator]


class _Sum(torch.autograd.Function):
    """Sums of the windows."""

    @staticmethod
    def forward(x: Tensor, grid: Grid) -> Tensor:
        return _summed(x, grid)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Grid], output: Tensor) -> None:
        _, ctx.grid = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _Spread.apply(grad, ctx.grid), None  # type: ignore[return-value]


class _Spread(torch.autograd.Function):
    """The transpose of the sums: every place receives what its windows have."""

    @staticmethod
    def forward(grad: Tensor, grid: Grid) -> Tensor:
        return _spread(grad, grid)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Grid], output: Tensor) -> None:
        _, ctx.grid = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _Sum.apply(grad, ctx.grid), None  # type: ignore[return-value]


def _wide(values: Tensor) -> Tensor:
    """Halves as float32: their sums must not be rounded in between."""
    return values.float() if values.element_size() < 4 else values


def _summed(x: Tensor, grid: Grid) -> Tensor:
    if x.device.type != "cpu":
        return F.avg_pool2d(_padded(x, grid, 0.0), **{**_settings(grid), "padding": 0}, divisor_override=1)
    rows = _over(_padded(_wide(x), grid, 0.0), grid[1], WIDTH, torch.add)
    return _over(rows, grid[0], HEIGHT, torch.add).to(x.dtype)


def _spread(grad: Tensor, grid: Grid) -> Tensor:
    wide = _wide(grad)
    for line, axis in zip(grid, (HEIGHT, WIDTH), strict=True):
        wide = _to_all(wide, line, axis)
    return _inner(wide, grid).to(grad.dtype)


def _to_all(grad: Tensor, line: Line, axis: int) -> Tensor:
    """Hand the gradient of every window to all of its places."""
    shape = list(grad.shape)
    shape[axis] = line.size + sum(line.margins())
    spread = grad.new_zeros(shape)
    for target in line.taps(spread, axis):
        target += grad
    return spread


# --- L_k pooling -----------------------------------------------------------------------------------------------------


def lp_pool2d(
    x: Images, norm_type: int | float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Pooled:
    r"""$L_k$ pooling, the k-norm of each window: $\left( \sum_u x_u^k \right)^{1/k}$; for infinity the largest |x|.

    Powers that leave the range of the dtype are taken again with the window's largest magnitude factored out.

    Shapes: x (N, C, H, W) or (C, H, W); the result (..., P, Q) with ``output_size`` of H and W.
    Conventions: as torch's: the power is of x, not of |x|, and NaN where the root of a negative number is asked for;
    the sum of a window that overhangs the input is multiplied by the kernel's size over the places inside; the gradient
    of a window whose sum is zero is zero.
    Raises: TypeError if x is no floating-point tensor, ValueError for settings out of range, a window that does not
    fit, or a norm_type that is not positive.
    Source: notes 001, section 1.3; Sermanet, Chintala, LeCun, Convolutional Neural Networks Applied to House Numbers
    Digit Classification (2012), equation 1.
    """
    x = _images(x)
    if isinstance(norm_type, bool) or not isinstance(norm_type, int | float) or not norm_type > 0:
        raise ValueError(f"norm_type must be a positive number, not {norm_type!r}")
    if math.isinf(norm_type):
        return max_pool2d(x.abs(), kernel_size, stride, ceil_mode=ceil_mode)
    grid = _grid(x, kernel_size, stride, ceil_mode=ceil_mode)
    return _PowerMean.apply(_wide(x), float(norm_type), grid).to(x.dtype)  # type: ignore[union-attr]


def _rescaling(grid: Grid, like: Tensor) -> Tensor | float:
    """Kernel size over places inside the input, for each window; 1 where none overhangs."""
    if not any(sum(line.margins()) for line in grid):
        return 1.0
    rows, columns = (line.kernel / line.places(0, like) for line in grid)
    return rows[:, None] * columns


class _PowerMean(torch.autograd.Function):
    """The roots of the rescaled sums of powers."""

    @staticmethod
    def forward(x: Tensor, k: float, grid: Grid) -> Tensor:
        total = _summed(x**k, grid) * _rescaling(grid, x)
        norm = total ** (1 / k)
        if _in_range(total):
            return norm
        limits, magnitude = torch.finfo(total.dtype), total.abs()
        lost = (magnitude < limits.tiny / limits.eps) | (magnitude > limits.max * limits.eps)
        # windows of zeros lose nothing, and after a rectifier they are many
        lost &= _largest(x.abs(), grid) > 0
        return torch.where(lost, _factored(x, k, grid), norm) if lost.any() else norm

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, Grid], output: Tensor) -> None:
        x, ctx.k, ctx.grid = inputs
        ctx.save_for_backward(x, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (x, norm), k, grid = ctx.saved_tensors, ctx.k, ctx.grid
        zero = norm == 0
        divisor = norm.masked_fill(zero, 1.0) ** (k - 1)
        if torch.is_grad_enabled() or not _in_range(divisor):
            return _differentiated(lambda x: _factored(x, k, grid), x, grad), None, None
        part = (grad * _rescaling(grid, x) / divisor).masked_fill_(zero, 0.0)
        return _spread(part, grid) * x ** (k - 1), None, None


def _in_range(powers: Tensor) -> bool:
    """Whether nothing that matters was lost by overflow or underflow of powers."""
    limits = torch.finfo(powers.dtype)
    least, largest = powers.abs().nan_to_num(1.0, math.inf).aminmax() if powers.numel() else (1.0, 1.0)
    return bool(least >= limits.tiny / limits.eps) and bool(largest <= limits.max * limits.eps)


def _factored(x: Tensor, k: float, grid: Grid) -> Tensor:
    """The same norm with the largest magnitude of each window factored out, in operations that autograd follows."""
    views = _views(_padded(x, grid, 0.0), grid)
    largest = views.detach().abs().amax(-1)
    scale = torch.where(largest.isfinite() & (largest > 0), largest, 1.0)
    total = ((views / scale.unsqueeze(-1)) ** k).sum(-1) * _rescaling(grid, x)
    # the root's slope at zero is infinite: by definition it is zero there
    positive = torch.where(total == 0, 1.0, total)
    return torch.where(total == 0, 0.0, scale * positive ** (1 / k))


# --- global average pooling -------------------------------------------------------------------------------------------


def global_avg_pool2d(x: Images) -> Float[Tensor, "*N C"]:
    r"""Mean of each channel of each image, $\frac{1}{HW} \sum_{hw} x_{nchw}$.

    Shapes: x (N, C, H, W) or (C, H, W); the result (N, C) or (C,).
    Raises: TypeError if x is no floating-point tensor, ValueError if it has not such a shape.
    Source: Lin, Chen, Yan, Network In Network (2013), section 3.2; notes 003.
    """
    return _images(x).mean((HEIGHT, WIDTH))
