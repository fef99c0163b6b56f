"""Dense layer and two-dimensional convolution in PyTorch, for any device and floating dtype, differentiable twice.

The convolution is one matrix product of the filters with the windows of the image as columns (im2col). Backward makes
the columns again: kept, they would take up kh kw times the memory of the image.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "*N C H W"]
Filters = Float[Tensor, "O I kh kw"]
Vector = Float[Tensor, "O"]
Pair = tuple[int, int]
Padding = int | Pair | Literal["full", "same", "valid"]

_BLOCKS = {"cpu": 2**19, "cuda": 2**29}
"""Numbers of a block of columns: on a CPU about what stays in the cache, on an accelerator what fits into memory."""


def _floating(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    return value


def _bias(bias: Any, units: int) -> Tensor:
    if tuple(_floating("bias", bias).shape) != (units,):
        raise ValueError(f"bias must have shape {(units,)}, not {tuple(bias.shape)}")
    return bias


def linear(x: Float[Tensor, "*N I"], weight: Float[Tensor, "O I"], bias: Vector | None = None) -> Float[Tensor, "*N O"]:
    r"""Dense layer $y_o = \sum_i w_{oi} x_i + b_o$.

    Shapes: x (..., I), weight (O, I), bias (O,) or None; the result (..., O).
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit each other.
    Source: notes 001, section 1.1; Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.36.
    """
    x, weight = _floating("x", x), _floating("weight", weight)
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        shapes = f"{tuple(x.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"x and weight must have shapes (..., in) and (out, in), not {shapes}")
    rows = x.reshape(x.shape[:-1].numel(), x.shape[-1])
    product = rows @ weight.T if bias is None else torch.addmm(_bias(bias, len(weight)), rows, weight.T)
    return product.view(*x.shape[:-1], len(weight))


# --- where the windows of a convolution lie --------------------------------------------------------------------------


class _Windows(NamedTuple):
    """Geometry of a convolution, rows before columns; ``padding`` is (left, right, top, bottom)."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[int, int, int, int]
    output: Pair
    groups: int


def _pair(name: str, value: Any, least: int = 1) -> Pair:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in pair)
    if len(pair) != 2 or not whole or min(pair) < least:
        kind = "a positive" if least else "a non-negative"
        raise ValueError(f"{name} must be {kind} integer or a pair of them, not {value!r}")
    return pair


def _one_axis(padding: Any, size: int, extent: int, stride: int) -> Pair:
    """Zeros before and after one axis; "same" takes the fewest that give ceil(size / stride) outputs."""
    if not isinstance(padding, str):
        return padding, padding
    if padding not in ("full", "same", "valid"):
        words = "'full', 'same', 'valid', a non-negative integer or a pair of them"
        raise ValueError(f"padding must be {words}, not {padding!r}")
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        return total // 2, total - total // 2
    return (extent - 1, extent - 1) if padding == "full" else (0, 0)


def _layout(x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int) -> _Windows:
    strides, dilations = _pair("stride", stride), _pair("dilation", dilation)
    paddings = (padding, padding) if isinstance(padding, str) else _pair("padding", padding, 0)
    kernel, size = (weight.shape[2], weight.shape[3]), tuple(x.shape[-2:])
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    rows, columns = map(_one_axis, paddings, size, extent, strides)
    padded = size[0] + sum(rows), size[1] + sum(columns)
    if extent[0] > padded[0] or extent[1] > padded[1]:
        raise ValueError(f"weight must fit into the padded image of size {padded}, not extend over {extent}")
    output = (padded[0] - extent[0]) // strides[0] + 1, (padded[1] - extent[1]) // strides[1] + 1
    return _Windows(kernel, strides, dilations, (*columns, *rows), output, groups)


def _check(x: Tensor, weight: Tensor, groups: Any) -> None:
    if x.ndim not in (3, 4):
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W), not {tuple(x.shape)}")
    if weight.ndim != 4 or not weight.numel():
        raise ValueError(f"weight must have shape (O, C / groups, kh, kw) without a 0, not {tuple(weight.shape)}")
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"groups must be a positive integer, not {groups!r}")
    channels, filters = weight.shape[1] * groups, len(weight)
    if filters % groups:
        raise ValueError(f"groups must divide {channels} input and {filters} output channels, not be {groups}")
    if x.shape[-3] != channels:
        raise ValueError(f"x must have {channels} channels, not {x.shape[-3]}")


# --- convolution -----------------------------------------------------------------------------------------------------


def _patches(framed: Tensor, windows: _Windows) -> Tensor:
    """A view (N, C, kh, kw, P, Q) of framed images: what each weight of a kernel meets at each output."""
    *outer, down, right = framed.stride()
    (sh, sw), (dh, dw) = windows.stride, windows.dilation
    shape = (*framed.shape[:2], *windows.kernel, *windows.output)
    return framed.as_strided(shape, (*outer, dh * down, dw * right, sh * down, sw * right))


def _framed(x: Tensor, windows: _Windows) -> Tensor:
    return torch.nn.functional.pad(x, windows.padding) if any(windows.padding) else x


def _columns(x: Tensor, windows: _Windows) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of examples and their columns (n, G, C/G kh kw, P Q), in one buffer that is used again."""
    patches = _patches(_framed(x, windows), windows)
    step = max(1, _BLOCKS.get(x.device.type, _BLOCKS["cuda"]) // max(patches.shape[1:].numel(), 1))
    buffer = x.new_empty(min(step, len(x)), *patches.shape[1:])
    for part in (slice(start, start + step) for start in range(0, len(x), step)):
        block = patches[part]
        block = buffer[: len(block)].copy_(block)
        yield part, block.view(len(block), windows.groups, -1, block.shape[4:].numel())


def conv2d(
    x: Image,
    weight: Filters,
    bias: Vector | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Float[Tensor, "*N O P Q"]:
    r"""Two-dimensional convolution, as cross-correlation, over images framed with zeros.

    $y_{npq}^o = b_o + \sum_{c i j} w_{cij}^o \, x^c_{n, \, s p + d i, \, s q + d j}$

    Shapes: x (N, C, H, W) or (C, H, W), weight (O, C/G, kh, kw), bias (O,) or None; the result (N, O, P, Q) or
    (O, P, Q).
    Conventions: padding "full" is d (k - 1) zeros on either side, "valid" none, "same" as few as give
    ceil(H / s) rows, the odd one at the end.
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit each other or a
    setting is out of range.
    Source: notes 001, section 1.3; Goodfellow, Bengio, Courville, Deep Learning (2016), equations 9.6 and 9.7.
    """
    x, weight = _floating("x", x), _floating("weight", weight)
    _check(x, weight, groups)
    windows = _layout(x, weight, stride, padding, dilation, groups)
    output = _Convolution.apply(x if x.ndim == 4 else x[None], weight, windows)
    if bias is not None:
        output = output + _bias(bias, len(weight)).view(-1, 1, 1)  # type: ignore[operator]
    return output if x.ndim == 4 else output[0]  # type: ignore[index,return-value]


class _Convolution(torch.autograd.Function):
    """Convolution without bias; backward keeps no columns."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, windows: _Windows) -> Tensor:
        matrices = weight.reshape(windows.groups, len(weight) // windows.groups, -1)
        output = x.new_empty(len(x), *matrices.shape[:2], windows.output[0] * windows.output[1])
        for part, columns in _columns(x, windows):
            torch.matmul(matrices, columns, out=output[part])
        return output.view(len(x), len(weight), *windows.output)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, _Windows], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.windows = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        backward = _backward_twice if torch.is_grad_enabled() else _backward_once
        x, weight = ctx.saved_tensors
        return *backward(grad, x, weight, ctx.windows), None


def _backward_twice(grad: Tensor, x: Tensor, weight: Tensor, windows: _Windows) -> tuple[Tensor, Tensor]:
    """The gradients in operations that autograd can differentiate again."""
    patches = _patches(_framed(x, windows).contiguous(), windows).reshape(len(x), windows.groups, -1, *windows.output)
    matrices = weight.reshape(windows.groups, len(weight) // windows.groups, -1)
    output = torch.einsum("ngkpq,gok->ngopq", patches, matrices).reshape(grad.shape)
    return torch.autograd.grad(output, (x, weight), grad, create_graph=True)  # type: ignore[return-value]


def _backward_once(grad: Tensor, x: Tensor, weight: Tensor, windows: _Windows) -> tuple[Tensor, Tensor]:
    """The same block by block; halves are added up in float32."""
    exact = torch.float32 if x.element_size() < 4 else x.dtype
    left, right, top, bottom = windows.padding
    height, width = x.shape[2:]
    framed = x.new_zeros(*x.shape[:2], top + height + bottom, left + width + right, dtype=exact)
    matrices = weight.reshape(windows.groups, len(weight) // windows.groups, -1)
    grads = grad.reshape(len(x), *matrices.shape[:2], windows.output[0] * windows.output[1])
    grad_matrices = torch.zeros_like(matrices, dtype=exact)
    for part, columns in _columns(x, windows):
        grad_matrices += (grads[part] @ columns.mT).sum(0, dtype=exact)
        # the columns are done with: their place takes their gradients
        torch.matmul(matrices.mT, grads[part], out=columns)
        _add_patches(framed[part], columns, windows)
    grad_x = framed[:, :, top : top + height, left : left + width].to(x.dtype)
    return grad_x, grad_matrices.to(weight.dtype).view(weight.shape)


def _add_patches(framed: Tensor, columns: Tensor, windows: _Windows) -> None:
    """Add each patch to where it was taken from; patches overlap, so one weight's place at a time."""
    (kh, kw), (sh, sw), (dh, dw), (p, q) = windows.kernel, windows.stride, windows.dilation, windows.output
    patches = columns.reshape(*framed.shape[:2], kh, kw, p, q)
    for i, j in ((i, j) for i in range(kh) for j in range(kw)):
        rows = slice(dh * i, dh * i + sh * (p - 1) + 1, sh)
        framed[:, :, rows, dw * j : dw * j + sw * (q - 1) + 1 : sw] += patches[:, :, i, j]
