"""Dense layer and two-dimensional convolution in NumPy float64, backward derived by hand.

Every function converts what it is given to float64, leaves it untouched and returns new arrays. A convolution is a
matrix product with the windows of the image as columns (im2col), a block of examples at a time, in a buffer that
stays in the cache.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Values = Float[np.ndarray, "*shape"]
Image = Float[np.ndarray, "*N C H W"]
Filters = Float[np.ndarray, "O I kh kw"]
Vector = Float[np.ndarray, "O"]
Pair = tuple[int, int]
Padding = int | Pair | Literal["full", "same", "valid"]
Kernel = Literal["cross_correlation", "flipped"]
SamePadding = Literal["end", "start"]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]

_BLOCK = 2**18
"""Numbers that a block of examples holds at a time: 2 MiB, about what stays in the cache of a core."""
_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names of what a frame is made of."""


class Matrix(NamedTuple):
    """A sparse matrix by its entries: ``values[i]`` stands at ``(rows[i], columns[i])``."""

    values: Float[np.ndarray, "entries"]
    rows: Int[np.ndarray, "entries"]
    columns: Int[np.ndarray, "entries"]
    shape: Pair


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    return array.astype(np.float64, copy=False)


def _choice(name: str, value: Any, among: tuple[str, ...]) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def _gradient(grad_output: Any, shape: tuple[int, ...]) -> np.ndarray:
    grad = _real("grad_output", grad_output)
    if grad.shape != shape:
        raise ValueError(f"grad_output must have the output's shape {shape}, not {grad.shape}")
    return grad


def _bias(bias: Any, units: int) -> np.ndarray:
    bias = _real("bias", bias)
    if bias.shape != (units,):
        raise ValueError(f"bias must have shape {(units,)}, not {bias.shape}")
    return bias


# --- linear ----------------------------------------------------------------------------------------------------------


def _dense(x: Any, weight: Any) -> tuple[np.ndarray, np.ndarray]:
    x, weight = _real("x", x), _real("weight", weight)
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x and weight must have shapes (..., in) and (out, in), not {x.shape} and {weight.shape}")
    return x, weight


def linear(
    x: Float[np.ndarray, "*N I"], weight: Float[np.ndarray, "O I"], bias: Vector | None = None
) -> Float[np.ndarray, "*N O"]:
    r"""Dense layer: every output is connected to every input.

    $y_o = \sum_i w_{oi} x_i + b_o$

    Shapes: x (..., I), weight (O, I), bias (O,) or None; the result (..., O).
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other.
    Source: notes 001, section 1.1; Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.36.
    """
    x, weight = _dense(x, weight)
    output = x @ weight.T
    return output if bias is None else output + _bias(bias, len(weight))


def linear_backward(
    grad_output: Float[np.ndarray, "*N O"],
    x: Float[np.ndarray, "*N I"],
    weight: Float[np.ndarray, "O I"],
    bias: Vector | None = None,
) -> dict[str, Values]:
    r"""Gradients of the dense layer, summed over all examples.

    $\bar x_i = \sum_o \bar y_o w_{oi}$, $\bar w_{oi} = \sum_n \bar y_{no} x_{ni}$, $\bar b_o = \sum_n \bar y_{no}$

    Shapes: grad_output (..., O); the results as x, weight and bias, which is missing where there is none.
    Raises: TypeError, ValueError as linear, and if grad_output is not (..., O).
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), algorithm 6.4.
    """
    x, weight = _dense(x, weight)
    grad = _gradient(grad_output, (*x.shape[:-1], len(weight)))
    rows = grad.reshape(-1, len(weight)) if grad.size else np.zeros((0, len(weight)))
    gradients = {"x": grad @ weight, "weight": rows.T @ x.reshape(len(rows), weight.shape[1])}
    return gradients if bias is None else {**gradients, "bias": rows.sum(axis=0)}


def linear_parameter_count(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """Weights and biases of a dense layer: $O (I + 1)$, without biases $O I$.

    Shapes: whole numbers.
    Source: notes 001, section 1.1.
    """
    return out_features * (in_features + bias)


# --- where the windows of a convolution lie --------------------------------------------------------------------------


class Windows(NamedTuple):
    """Where the windows of a convolution lie, rows before columns: ``extent`` is the size of a dilated kernel."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    extent: Pair
    padding: tuple[Pair, Pair]
    output: Pair


def _pair(name: str, value: Any, least: int = 1) -> Pair:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in pair)
    if len(pair) != 2 or not whole or min(pair) < least:
        kind = "a positive" if least else "a non-negative"
        raise ValueError(f"{name} must be {kind} integer or a pair of them, not {value!r}")
    return int(pair[0]), int(pair[1])


def _same(size: int, extent: int, stride: int, same_padding: SamePadding) -> Pair:
    """Least padding that gives ceil(size / stride) outputs; where it is odd, the extra one at the end or the start."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if same_padding == "end" else (more, less)


def _paddings(padding: Any, size: Pair, extent: Pair, stride: Pair, same_padding: SamePadding) -> tuple[Pair, Pair]:
    """Zeros before and after the rows, and before and after the columns."""
    if not isinstance(padding, str):
        rows, columns = _pair("padding", padding, 0)
        return (rows, rows), (columns, columns)
    rows, columns = zip(size, extent, stride, strict=True)
    match padding:
        case "valid":
            return (0, 0), (0, 0)
        case "full":
            return (extent[0] - 1, extent[0] - 1), (extent[1] - 1, extent[1] - 1)
        case "same":
            return _same(*rows, same_padding), _same(*columns, same_padding)
    raise ValueError(
        f"padding must be 'full', 'same', 'valid', a non-negative integer or a pair of them, not {padding!r}"
    )


def conv2d_windows(
    size: Pair,
    kernel_size: int | Pair,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    same_padding: SamePadding = "end",
) -> Windows:
    r"""Where the windows of a convolution lie in an image of a size: zeros before and after it, and how many fit.

    $e = d (k - 1) + 1$ pixels are under a kernel, $\lfloor (n + p + p' - e) / s \rfloor + 1$ windows fit

    Shapes: pairs of whole numbers, rows first.
    Conventions: "full" pads e - 1 zeros on either side, "valid" none, "same" as few as give ceil(n / s) windows, the
    odd one at the end or at the start.
    Raises: ValueError for a setting out of range or a kernel that does not fit.
    Source: notes 001, section 1.3; Dumoulin, Visin, A guide to convolution arithmetic (2016), relationship 15.
    """
    rows, columns = _pair("size", size, 0)
    kernel, stride, dilation = _pair("kernel_size", kernel_size), _pair("stride", stride), _pair("dilation", dilation)
    _choice("same_padding", same_padding, ("end", "start"))
    extent = dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1
    paddings = _paddings(padding, (rows, columns), extent, stride, same_padding)
    padded = rows + sum(paddings[0]), columns + sum(paddings[1])
    if extent[0] > padded[0] or extent[1] > padded[1]:
        raise ValueError(f"weight must fit into the padded image of size {padded}, not extend over {extent}")
    output = (padded[0] - extent[0]) // stride[0] + 1, (padded[1] - extent[1]) // stride[1] + 1
    return Windows(kernel, stride, dilation, extent, paddings, output)


def conv2d_output_size(
    size: Pair,
    kernel_size: int | Pair,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
) -> Pair:
    r"""Rows and columns that a convolution gives for an image of a size.

    $\lfloor (n + p + p' - d (k - 1) - 1) / s \rfloor + 1$ with p zeros before and p' after

    Shapes: a pair of whole numbers, rows first.
    Conventions: padding by name as conv2d_windows.
    Raises: ValueError for a setting out of range or a kernel that does not fit.
    Source: notes 001, section 1.3; Dumoulin, Visin, A guide to convolution arithmetic (2016), relationship 15.
    """
    return conv2d_windows(size, kernel_size, stride, padding, dilation).output


def conv2d_parameter_count(
    in_channels: int, out_channels: int, kernel_size: int | Pair, groups: int = 1, *, bias: bool = True
) -> int:
    """Weights and biases of a convolution, whatever the size of the image: $O (C k_h k_w / G + 1)$.

    Shapes: whole numbers.
    Raises: ValueError if groups does not divide both numbers of channels.
    Source: notes 001, section 1.3.
    """
    rows, columns = _pair("kernel_size", kernel_size)
    _check_groups(groups, in_channels, out_channels)
    return out_channels * (in_channels // groups * rows * columns + bias)


def conv2d_multiply_adds(
    size: Pair,
    in_channels: int,
    out_channels: int,
    kernel_size: int | Pair,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> int:
    """Multiplications, each with an addition, of a convolution of one image: a kernel's weights at every output.

    Shapes: whole numbers.
    Raises: ValueError as conv2d_output_size and conv2d_parameter_count.
    Source: He, Sun, Convolutional neural networks at constrained time cost (2015), equation 1.
    """
    rows, columns = conv2d_output_size(size, kernel_size, stride, padding, dilation)
    return rows * columns * conv2d_parameter_count(in_channels, out_channels, kernel_size, groups, bias=False)


def _check_groups(groups: Any, in_channels: int, out_channels: int) -> None:
    if isinstance(groups, bool) or not isinstance(groups, int | np.integer) or groups < 1:
        raise ValueError(f"groups must be a positive integer, not {groups!r}")
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"groups must divide {in_channels} input and {out_channels} output channels, not be {groups}")


# --- convolution -----------------------------------------------------------------------------------------------------


def _image(x: Any, weight: Any, groups: Any, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """The image with its axis of examples, and the filters as cross-correlation has them."""
    x, weight = _real("x", x), _real("weight", weight)
    if x.ndim not in (3, 4):
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W), not {x.shape}")
    if weight.ndim != 4 or not weight.size:
        raise ValueError(f"weight must have shape (O, C / groups, kh, kw) without a 0, not {weight.shape}")
    _check_groups(groups, weight.shape[1] * groups if isinstance(groups, int | np.integer) else 0, len(weight))
    if x.shape[-3] != weight.shape[1] * groups:
        raise ValueError(f"x must have {weight.shape[1] * groups} channels, not {x.shape[-3]}")
    _choice("kernel", kernel, ("cross_correlation", "flipped"))
    return x[None] if x.ndim == 3 else x, _oriented(weight, kernel)


def _oriented(weight: np.ndarray, kernel: Kernel) -> np.ndarray:
    return weight if kernel == "cross_correlation" else weight[:, :, ::-1, ::-1]


def _framed(shape: tuple[int, ...], windows: Windows) -> np.ndarray:
    """Zeros of the size of images in their frames."""
    rows, columns = windows.padding
    return np.zeros((*shape[:2], shape[2] + sum(rows), shape[3] + sum(columns)))


def _inside(framed: np.ndarray, shape: tuple[int, ...], windows: Windows) -> np.ndarray:
    """The images without their frames."""
    (top, _), (left, _) = windows.padding
    return framed[:, :, top : top + shape[2], left : left + shape[3]]


def _continued(images: np.ndarray, windows: Windows, mode: PaddingMode) -> tuple[np.ndarray, Windows]:
    """Images in frames that are not of zeros, and where the windows lie in them."""
    _choice("padding_mode", mode, tuple(_MODES))
    if mode == "zeros":
        return images, windows
    framed = np.pad(images, ((0, 0), (0, 0), *windows.padding), mode=_MODES[mode])  # type: ignore[call-overload]
    return framed, windows._replace(padding=((0, 0), (0, 0)))


def _folded(grad: np.ndarray, images: np.ndarray, windows: Windows, mode: PaddingMode) -> np.ndarray:
    """The gradient of images, from that of what ``_continued`` made of them."""
    places, _ = _continued(np.arange(images.size).reshape(images.shape), windows, mode)
    folded = np.bincount(places.ravel(), grad.ravel(), images.size)
    return folded.astype(np.float64).reshape(images.shape)  # without images they are integers


def _patches(framed: np.ndarray, windows: Windows) -> np.ndarray:
    """A view (N, C, kh, kw, P, Q) of framed images: what each weight of a kernel meets at each output."""
    *outer, down, right = framed.strides
    (sh, sw), (dh, dw) = windows.stride, windows.dilation
    shape = (*framed.shape[:2], *windows.kernel, *windows.output)
    strides = (*outer, dh * down, dw * right, sh * down, sw * right)
    return np.lib.stride_tricks.as_strided(framed, shape, strides, writeable=False)


def _bands(x: np.ndarray, windows: Windows) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of examples, each as the bands (n, C, kw, H', Q) that the kernels' rows slide down.

    $R_{cjrq} = x^c_{r, s q + d j}$ in the frame: kw copies of the image in place of the kh kw of im2col.
    """
    width, across, right = windows.output[1], windows.stride[1], windows.dilation[1]
    height = x.shape[2] + sum(windows.padding[0])
    examples = max(1, min(len(x), _BLOCK // max(x.shape[1] * windows.kernel[1] * height * width, 1)))
    framed = _framed((examples, *x.shape[1:]), windows)
    bands = np.empty((*framed.shape[:2], windows.kernel[1], height, width))
    for start in range(0, len(x), examples):
        part = x[start : start + examples]
        _inside(framed[: len(part)], x.shape, windows)[...] = part
        for j in range(windows.kernel[1]):
            bands[:, :, j] = framed[..., _places(j, right, across, width)]
        yield slice(start, start + len(part)), bands[: len(part)]


def _places(offset: int, dilation: int, stride: int, outputs: int) -> slice:
    """What the weight at an offset of the kernel meets on one axis, output by output."""
    first = dilation * offset
    return slice(first, first + stride * (outputs - 1) + 1, stride)


def _met(bands: np.ndarray, row: int, windows: Windows) -> np.ndarray:
    """The part (n, C, kw, P, Q) of the bands that a row of the kernels meets."""
    return bands[..., _places(row, windows.dilation[0], windows.stride[0], windows.output[0]), :]


def _by_rows(filters: np.ndarray, groups: int) -> np.ndarray:
    """The filters as matrices (O/G, C/G kw), one for each row of the kernels and each group."""
    return filters.transpose(2, 0, 1, 3).reshape(filters.shape[2], groups, len(filters) // groups, -1)


def conv2d(
    x: Image,
    weight: Filters,
    bias: Vector | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    kernel: Kernel = "cross_correlation",
    same_padding: SamePadding = "end",
) -> Float[np.ndarray, "*N O P Q"]:
    r"""Two-dimensional convolution, as cross-correlation, over images framed with zeros.

    $y_{npq}^o = b_o + \sum_{c i j} w_{cij}^o \, x^c_{n, \, s p + d i, \, s q + d j}$,
    c over the channels of the group that o belongs to

    Shapes: x (N, C, H, W) or (C, H, W), weight (O, C/G, kh, kw), bias (O,) or None; the result (N, O, P, Q) or
    (O, P, Q), with P and Q as conv2d_output_size has them.
    Conventions: ``kernel``, taken as it is or flipped on both axes; ``same_padding``, whether the odd zero of padding
    "same" stands at the end or at the start. ``padding_mode`` says what the frame is made of: zeros, the mirrored
    image, its edge, or its opposite end.
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other or a setting is out of
    range.
    Source: notes 001, section 1.3; Goodfellow, Bengio, Courville, Deep Learning (2016), equations 9.6 and 9.7.
    """
    images, filters = _image(x, weight, groups, kernel)
    windows = conv2d_windows(images.shape[2:], filters.shape[2:], stride, padding, dilation, same_padding)
    images, windows = _continued(images, windows, padding_mode)
    matrices, positions = _by_rows(filters, groups), windows.output[0] * windows.output[1]
    offsets = np.zeros(len(filters)) if bias is None else _bias(bias, len(filters))
    output = np.empty((len(images), *matrices.shape[1:3], positions))
    for some, bands in _bands(images, windows):
        part, product = output[some], np.empty_like(output[some])
        part[...] = offsets.reshape(*matrices.shape[1:3], 1)
        for row, matrix in enumerate(matrices):
            # no copy where the stride is 1: the outputs' rows then lie one behind the other in the bands
            met = _met(bands, row, windows).reshape(len(bands), groups, -1, positions)
            part += np.matmul(matrix, met, out=product)
    return output.reshape(*np.shape(x)[:-3], len(weight), *windows.output)


def conv2d_backward(
    grad_output: Float[np.ndarray, "*N O P Q"],
    x: Image,
    weight: Filters,
    bias: Vector | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    kernel: Kernel = "cross_correlation",
    same_padding: SamePadding = "end",
) -> dict[str, Values]:
    r"""Gradients of the convolution: each output sends its share back along the weights that made it.

    $\bar x^c_{n, \, s p + d i, \, s q + d j} \mathrel{+}= \bar y^o_{npq} w^o_{cij}$,
    $\bar w^o_{cij} = \sum_{npq} \bar y^o_{npq} x^c_{n, \, s p + d i, \, s q + d j}$,
    $\bar b_o = \sum_{npq} \bar y^o_{npq}$

    Shapes: grad_output as the output; the results as x, weight and bias, which is missing where there is none.
    Conventions: as conv2d.
    Raises: TypeError, ValueError as conv2d, and if grad_output has not the output's shape.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 9.11 and 9.13.
    """
    images, oriented = _image(x, weight, groups, kernel)
    around = conv2d_windows(images.shape[2:], oriented.shape[2:], stride, padding, dilation, same_padding)
    plain, (images, windows) = images, _continued(images, around, padding_mode)
    grad = _gradient(grad_output, (*np.shape(x)[:-3], len(oriented), *windows.output))
    matrices = _by_rows(oriented, groups)
    grads = grad.reshape(len(images), *matrices.shape[1:3], windows.output[0] * windows.output[1])
    grad_x, grad_matrices = _framed(images.shape, windows), np.zeros(matrices.shape)
    for some, bands in _bands(images, windows):
        grad_bands = np.zeros(bands.shape)
        for row, matrix in enumerate(matrices):
            met = _met(bands, row, windows)
            columns = met.reshape(len(bands), groups, -1, grads.shape[-1])
            grad_matrices[row] += (grads[some] @ columns.swapaxes(2, 3)).sum(axis=0)
            _met(grad_bands, row, windows)[...] += (matrix.swapaxes(1, 2) @ grads[some]).reshape(met.shape)
        for j in range(windows.kernel[1]):
            places = _places(j, windows.dilation[1], windows.stride[1], windows.output[1])
            grad_x[some, ..., places] += grad_bands[:, :, j]
    grad_weight = grad_matrices.reshape(len(matrices), len(oriented), -1, windows.kernel[1]).transpose(1, 2, 0, 3)
    of_images = _inside(grad_x, images.shape, windows)
    gradients = {
        "x": _folded(of_images, plain, around, padding_mode).reshape(np.shape(x)),
        "weight": np.ascontiguousarray(_oriented(grad_weight, kernel)),
    }
    return gradients if bias is None else {**gradients, "bias": grads.sum(axis=(0, 3)).ravel()}


def conv2d_matrix(
    weight: Filters,
    size: Pair,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Matrix:
    r"""The convolution as a dense layer: the sparse matrix that maps a flattened image to the flattened output.

    $M_{(o, p, q), (c, s p + d i, s q + d j)} = w^o_{cij}$, 0 elsewhere; weights that meet the frame are left out

    Shapes: weight (O, C/G, kh, kw), size (H, W); the matrix (O P Q, C H W).
    Raises: TypeError, ValueError as conv2d.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 9.1 (doubly block circulant matrix).
    """
    channels = np.shape(weight)[1] * groups if np.ndim(weight) == 4 else 0
    pixels = 1 + np.arange(channels * size[0] * size[1], dtype=np.float64).reshape(1, channels, *size)
    _, filters = _image(pixels, weight, groups, "cross_correlation")
    windows = conv2d_windows(size, filters.shape[2:], stride, padding, dilation)
    framed = _framed(pixels.shape, windows)
    _inside(framed, pixels.shape, windows)[...] = pixels
    met = _patches(framed, windows).reshape(groups, 1, -1, *windows.output).astype(np.int64)
    weights = filters.reshape(groups, len(filters) // groups, -1, 1, 1)
    outputs = np.arange(len(filters) * met[0, 0, 0].size).reshape(*weights.shape[:2], 1, *windows.output)
    values, rows, columns = (every.ravel() for every in np.broadcast_arrays(weights, outputs, met))
    inside = columns > 0
    return Matrix(values[inside], rows[inside], columns[inside] - 1, (outputs.size, pixels.size))
