"""Activation functions in PyTorch, for any device and floating-point dtype, differentiable twice.

Where torch has a kernel that reads and writes every element once, that kernel is used: nothing is faster. PReLU's
backward and maxout, for which it has none, are written here. On a CPU both work through their rows in blocks that
stay in the cache, so that no intermediate of the size of the input is ever written to memory.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Values = Float[Tensor, "*shape"]
Vector = Float[Tensor, "C"]

_BLOCK = 2**19
"""Elements of a block: with what is computed from it, about a core's share of the cache."""


def _floating(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    return value


def _blocks(rows: int, width: int, like: Tensor) -> Iterator[slice]:
    """Slices of rows; one for all on an accelerator, and for halves, whose sums must not be rounded in between."""
    whole = like.device.type != "cpu" or like.element_size() < 4
    step = max(1, rows if whole else _BLOCK // max(width, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def sigmoid(x: Values) -> Values:
    r"""Logistic function $\sigma(x) = 1 / (1 + e^{-x})$.

    Shapes: x and the result have any one shape.
    Raises: TypeError if x is no floating-point tensor.
    Source: notes 001, section 3.1.
    """
    return torch.sigmoid(_floating("x", x))


def tanh(x: Values) -> Values:
    r"""Hyperbolic tangent $(e^x - e^{-x}) / (e^x + e^{-x})$.

    Shapes: x and the result have any one shape.
    Raises: TypeError if x is no floating-point tensor.
    Source: notes 001, section 3.2.
    """
    return torch.tanh(_floating("x", x))


def relu(x: Values) -> Values:
    r"""Rectified linear unit $\max(0, x)$.

    Shapes: x and the result have any one shape.
    Conventions: the gradient at zero is 0; NaN propagates.
    Raises: TypeError if x is no floating-point tensor.
    Source: notes 001, section 3.3.
    """
    return torch.relu(_floating("x", x))


def leaky_relu(x: Values, negative_slope: float = 0.01) -> Values:
    r"""Rectified linear unit with the slope a left of zero: $x$ for $x > 0$, $a x$ otherwise.

    Shapes: x and the result have any one shape.
    Conventions: the gradient at zero is a.
    Raises: TypeError if x is no floating-point tensor or negative_slope no number.
    Source: notes 001, section 3.4.
    """
    if isinstance(negative_slope, bool) or not isinstance(negative_slope, int | float):
        raise TypeError(f"negative_slope must be a number, not {type(negative_slope).__name__}")
    return torch.nn.functional.leaky_relu(_floating("x", x), negative_slope)


def prelu(x: Values, weight: Vector) -> Values:
    r"""Rectified linear unit with learned slopes: $x$ for $x > 0$, $a_c x$ otherwise.

    Shapes: x (N, C, ...) or any shape if there is one slope; weight (1,) or (C,) or a scalar; the result as x.
    Conventions: the gradient at zero is the slope.
    Raises: TypeError if an input is no floating-point tensor, ValueError if weight fits neither one slope nor the
    channels of axis 1.
    Source: notes 001, section 3.4; He et al., Delving Deep into Rectifiers (2015), equations 1 to 3.
    """
    x, weight = _floating("x", x), _floating("weight", weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ValueError(
            f"weight must hold 1 slope or one for each of {channels} channels, not shape {tuple(weight.shape)}"
        )
    if x.device.type != "cpu" or not weight.requires_grad:
        return torch.prelu(x, weight)
    return _PReLU.apply(x, weight)  # type: ignore[no-any-return]


class _PReLU(torch.autograd.Function):
    """PReLU whose backward sums the slopes' gradient block by block; torch's writes it out for every element first."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return torch.prelu(x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        # (N, C, L) with a slope for each c; one slope for all is C = 1
        rows, slopes = x.shape[0] if x.ndim else 1, weight.numel()
        shape = (rows, slopes, x.numel() // max(rows * slopes, 1))
        backward = _prelu_twice if torch.is_grad_enabled() else _prelu_once
        grad_x, grad_weight = backward(grad.reshape(shape), x.reshape(shape), weight.reshape(-1, 1))
        return grad_x.view(x.shape), grad_weight.view(weight.shape)


def _prelu_twice(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients in operations that autograd can differentiate again."""
    return grad * torch.where(x > 0, 1, weight), (grad * x.clamp(max=0)).sum((0, 2))


def _prelu_once(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The same in blocks; an infinite upstream gradient becomes NaN, as it is split by subtraction."""
    grad_x, grad_weight = torch.empty_like(x), weight.new_zeros(weight.shape[0])
    for rows in _blocks(x.shape[0], x.shape[1] * x.shape[2], x):
        right = torch.ops.aten.threshold_backward(grad[rows], x[rows], 0)
        left = torch.sub(grad[rows], right, out=grad_x[rows])
        grad_weight += (grad[rows] * x[rows].clamp(max=0)).sum((0, 2))
        torch.addcmul(right, left, weight, out=left)
    return grad_x, grad_weight


def maxout(x: Float[Tensor, "N I"], weight: Float[Tensor, "k O I"], bias: Float[Tensor, "k O"]) -> Float[Tensor, "N O"]:
    r"""Largest of k affine maps $\max_{j \le k} ( w_{jo} \cdot x + b_{jo} )$.

    Shapes: x (N, I), weight (k, O, I), bias (k, O); the result (N, O).
    Conventions: of equal maps the first receives the gradient.
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit each other.
    Source: notes 001, section 3.5; Goodfellow et al., Maxout Networks (2013), section 2.
    """
    x, weight, bias = _floating("x", x), _floating("weight", weight), _floating("bias", bias)
    if x.ndim != 2 or weight.ndim != 3 or weight.shape[2] != x.shape[1] or weight.shape[0] == 0:
        raise ValueError(
            "x and weight must have shapes (N, in) and (k, out, in) with k > 0, "
            f"not {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    if bias.shape != weight.shape[:2]:
        raise ValueError(f"bias must have shape (k, out) = {tuple(weight.shape[:2])}, not {tuple(bias.shape)}")
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad or bias.requires_grad):
        return _Maxout.apply(x, weight, bias)[0]  # type: ignore[index]
    return _largest(x, weight, bias)


def _largest(x: Tensor, weight: Tensor, bias: Tensor, winners: Tensor | None = None) -> Tensor:
    """The largest affine map of each unit; ``winners`` (N, k, O) receives which map that is, the first of equals."""
    pieces, units = bias.shape
    output = x.new_empty(x.shape[0], units)
    for rows in _blocks(x.shape[0], pieces * units, x):
        values = torch.addmm(bias.flatten(), x[rows], weight.flatten(0, 1).T).view(-1, pieces, units)
        torch.amax(values, 1, out=output[rows])
        if winners is not None:
            torch.eq(values, output[rows].unsqueeze(1), out=winners[rows])
            _keep_first(winners[rows])
    return output


def _keep_first(winners: Tensor) -> None:
    taken = winners[:, 0].clone()
    for piece in winners.unbind(1)[1:]:
        piece &= ~taken
        taken |= piece


class _Maxout(torch.autograd.Function):
    """Maxout that keeps one byte for each affine map in place of its value and an eight-byte index."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        winners = torch.empty((x.shape[0], *bias.shape), dtype=torch.bool, device=x.device)
        return _largest(x, weight, bias, winners), winners

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs[:2], output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        return (_maxout_twice if torch.is_grad_enabled() else _maxout_once)(grad, *ctx.saved_tensors)


def _maxout_twice(grad: Tensor, x: Tensor, weight: Tensor, winners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients in operations that autograd can differentiate again."""
    parts = (winners * grad.unsqueeze(1)).flatten(1)
    grad_weight = (parts.T @ x).view(weight.shape)
    return parts @ weight.flatten(0, 1), grad_weight, parts.sum(0).view(weight.shape[:2])


def _maxout_once(grad: Tensor, x: Tensor, weight: Tensor, winners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    flat = weight.flatten(0, 1)
    grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.zeros_like(flat), flat.new_zeros(flat.shape[0])
    for rows in _blocks(x.shape[0], flat.shape[0], x):
        parts = (winners[rows] * grad[rows].unsqueeze(1)).flatten(1)
        torch.mm(parts, flat, out=grad_x[rows])
        grad_weight.addmm_(parts.T, x[rows])
        grad_bias += parts.sum(0)
    return grad_x, grad_weight.view(weight.shape), grad_bias.view(weight.shape[:2])


def _axis(x: Tensor, dim: int | None) -> int:
    rank = max(x.ndim, 1)
    if dim is None:
        return 0 if x.ndim in (0, 1, 3) else 1
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"dim must be an integer or None, not {type(dim).__name__}")
    if not -rank <= dim < rank:
        raise ValueError(f"dim must be from {-rank} to {rank - 1} for an input with {x.ndim} axes, not {dim}")
    return dim


def softmax(x: Values, dim: int | None = None) -> Values:
    r"""Normalised exponentials along one axis $e^{x_i} / \sum_j e^{x_j}$.

    Shapes: x and the result have any one shape.
    Conventions: where dim is None the axis is 0 for an input with 0, 1 or 3 axes, else 1. A row that holds +inf or NaN,
    or nothing but -inf, is NaN throughout.
    Raises: TypeError if x is no floating-point tensor or dim no integer, ValueError if x has no axis dim.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.29.
    """
    return torch.softmax(x, _axis(_floating("x", x), dim))


def log_softmax(x: Values, dim: int | None = None) -> Values:
    r"""Logarithm of softmax $x_i - \log \sum_j e^{x_j}$, finite where softmax itself underflows.

    Shapes: x and the result have any one shape.
    Conventions: as softmax.
    Raises: TypeError if x is no floating-point tensor or dim no integer, ValueError if x has no axis dim.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30.
    """
    return torch.log_softmax(x, _axis(_floating("x", x), dim))
