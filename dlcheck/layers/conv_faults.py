"""Known mistakes in the convolution that change what it computes; those in its gradients alone are elsewhere."""

from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.layers import reference
from dlcheck.layers.mistakes import (
    OTHER_FUNCTION,
    SHIFTED,
    Array,
    Call,
    Gradients,
    Map,
    Replaces,
    frame,
    moved,
)

THREADS = "https://github.com/"


def _conv(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "conv2d", says, effect, fix, replaces, tuple(THREADS + thread for thread in happened))


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


# --- stride, padding, dilation ---------------------------------------------------------------------------------------


def _swapped(name: str) -> Replaces:
    """The pair of a setting, the other way round."""
    default = 0 if name == "padding" else 1
    settings: dict[str, Any] = {name: lambda call: _reversed(call.settings.get(name, default))}
    return moved(**settings)


def _reversed(value: Any) -> Any:
    return value if isinstance(value, str) else _pair(value)[::-1]


def _extent_without_one(y: Array, call: Call) -> Array:
    """Fewer outputs, as if a dilated kernel were dilation times its size."""
    padded, dilation, stride = call.framed.shape[-2:], call.windows.dilation, call.stride
    sizes = (
        max((n - d * k) // s + 1, 0) for n, d, k, s in zip(padded, dilation, call.windows.kernel, stride, strict=True)
    )
    rows, columns = sizes
    return y[..., :rows, :columns]


def _rounded_up(x: Array, call: Call) -> Array:
    """The framed image with as many zeros more as a last, incomplete window needs."""
    missing = [-(n - e) % s for n, e, s in zip(call.framed.shape[-2:], call.windows.extent, call.stride, strict=True)]
    return frame(frame(x, call.windows.padding), [(0, zeros) for zeros in missing])


def _framed(mode: str) -> Replaces:
    """Something else than zeros around the image."""
    return moved(lambda x, call: frame(x, call.windows.padding, mode), padding=0)


def _one_side(before: int, after: int) -> Map:
    """Zeros as given by number, so many times at the start and at the end of each axis."""

    def one_side(x: Array, call: Call) -> Array:
        padding = call.windows.padding
        return frame(x, padding if call.named else [(before * zeros, after * zeros) for zeros, _ in padding])

    return one_side


SETTINGS = (
    _conv(
        "conv2d-stride-ignored", "stride is ignored", "Outputs and everything after them are too large.",
        "windows start at s p, s q", moved(stride=1),
    ),
    _conv(
        "conv2d-stride-swapped", "the strides of rows and columns are swapped", OTHER_FUNCTION,
        "stride = (rows, columns)", _swapped("stride"),
    ),
    _conv(
        "conv2d-stride-first-for-both", "the first stride is taken for both axes", OTHER_FUNCTION,
        "stride = (rows, columns)", moved(stride=lambda call: call.stride[0]),
    ),
    _conv(
        "conv2d-padding-ignored", "padding is ignored", "The image shrinks with every layer, its edges count less.",
        "p zeros on each of the four sides", moved(padding=0),
    ),
    _conv(
        "conv2d-padding-swapped", "the paddings of rows and columns are swapped", OTHER_FUNCTION,
        "padding = (rows, columns)", _swapped("padding"),
    ),
    _conv(
        "conv2d-padding-at-end", "all zeros of the padding stand at the end", SHIFTED, "p zeros on each side",
        moved(_one_side(0, 2), padding=0),
    ),
    _conv(
        "conv2d-padding-on-one-side", "only the start is padded, not the end", SHIFTED, "p zeros on each side",
        moved(_one_side(1, 0), padding=0),
    ),
    _conv(
        "conv2d-padding-replicated", "the frame repeats the edge, it is not zero",
        "Trained weights see other values at the edges.", "frame the image with zeros", _framed("edge"),
    ),
    _conv(
        "conv2d-padding-reflected", "the frame mirrors the image, it is not zero",
        "Trained weights see other values at the edges.", "frame the image with zeros", _framed("reflect"),
    ),
    _conv(
        "conv2d-padding-circular", "the frame wraps around, it is not zero",
        "Opposite edges of the image influence each other.", "frame the image with zeros", _framed("wrap"),
    ),
    _conv(
        "conv2d-dilation-ignored", "dilation is ignored", "Units see less of the image.",
        "neighbours in the kernel are d pixels apart", moved(dilation=1),
    ),
    _conv(
        "conv2d-dilation-swapped", "the dilations of rows and columns are swapped", OTHER_FUNCTION,
        "dilation = (rows, columns)", _swapped("dilation"),
    ),
    _conv(
        "conv2d-dilation-first-for-both", "the first dilation is taken for both axes", OTHER_FUNCTION,
        "dilation = (rows, columns)", moved(dilation=lambda call: call.windows.dilation[0]),
    ),
    _conv(
        "conv2d-dilation-counts-gaps", "dilation is taken as the number of gaps", OTHER_FUNCTION,
        "neighbours in the kernel are d pixels apart, d - 1 gaps between them",
        moved(dilation=lambda call: tuple(d + 1 for d in call.windows.dilation)),
    ),
    _conv(
        "conv2d-dilated-extent", "a dilated kernel is taken to extend over d k pixels",
        "The last rows and columns of the image are not seen.", "it extends over d (k - 1) + 1 pixels",
        moved(output=_extent_without_one),
    ),
    _conv(
        "conv2d-output-one-short", "the + 1 of the output's size is missing",
        "The last row and column of every map are lost.", "(n + 2p - k) // s + 1",
        moved(output=lambda y, call: y[..., :-1, :-1]),
    ),
    _conv(
        "conv2d-output-rounded-up", "the output's size is rounded up",
        "A last window beyond the image makes maps larger than their weights expect.", "(n + 2p - k) // s + 1",
        moved(_rounded_up, padding=0),
    ),
)  # fmt: skip


# --- padding by name -------------------------------------------------------------------------------------------------


def _named(name: str, padding: Any) -> Replaces:
    """Other zeros for a padding by name: a function of the call that gives (before, after) for each axis."""

    def framed(x: Array, call: Call) -> Array:
        return frame(x, padding(call) if call.named == name else call.windows.padding)

    return moved(framed, padding=0)


def _split(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


def _same_undilated(call: Call) -> list[tuple[int, int]]:
    sizes = zip(call.x.shape[-2:], call.stride, call.windows.kernel, strict=True)
    return [_split(max((-(-n // s) - 1) * s + k - n, 0)) for n, s, k in sizes]


SAME = "out = ceil(n / s); total = max((out - 1) s + d (k - 1) + 1 - n, 0); before = total // 2"
NAMED = (
    _conv(
        "conv-same-stride-symmetric-padding", '"same" pads (k - 1) // 2 zeros on either side', SHIFTED, SAME,
        _named("same", lambda call: [((e - 1) // 2,) * 2 for e in call.windows.extent]),
        "vtjeng/MIPVerify.jl/pull/23", "tensorflow/tensorflow/issues/17654",
        "zylo117/Yet-Another-EfficientDet-Pytorch/issues/352",
    ),
    _conv(
        "conv-same-pad-axes-swapped", 'the rows\' zeros of "same" go to the columns', OTHER_FUNCTION, SAME,
        _named("same", lambda call: call.windows.padding[::-1]), "autogluon/autogluon/pull/438",
    ),
    _conv(
        "conv2d-same-without-stride", '"same" pads as for stride 1', SHIFTED, SAME,
        _named("same", lambda call: [_split(e - 1) for e in call.windows.extent]),
    ),
    _conv(
        "conv2d-same-without-dilation", '"same" pads as for dilation 1', "Dilated layers shrink the image.", SAME,
        _named("same", _same_undilated),
    ),
    _conv(
        "conv2d-same-is-valid", '"same" pads nothing', "The image shrinks with every layer.", SAME,
        _named("same", lambda call: [(0, 0), (0, 0)]),
    ),
    _conv(
        "conv2d-full-pads-k", '"full" pads k zeros, one too many', OTHER_FUNCTION, "d (k - 1) zeros on either side",
        _named("full", lambda call: [(e, e) for e in call.windows.extent]),
    ),
    _conv(
        "conv2d-full-without-dilation", '"full" pads as for dilation 1', OTHER_FUNCTION,
        "d (k - 1) zeros on either side",
        _named("full", lambda call: [(k - 1, k - 1) for k in call.windows.kernel]),
    ),
)  # fmt: skip


# --- channels, groups, kernels and layout ----------------------------------------------------------------------------


def _channels(order: Any) -> Map:
    """The image's channels in another order: a function of the call that gives their numbers."""
    return lambda x, call: np.take(x, order(call), axis=-3)


def _first_group(call: Call) -> Array:
    return np.tile(np.arange(call.weight.shape[1]), call.groups)


def _first_group_if_many_filters(call: Call) -> Array:
    dropped = call.groups > 1 and len(call.weight) % 16 == 0 and call.weight.shape[1] < 16
    return _first_group(call) if dropped else np.arange(call.x.shape[-3])


def _interleaved(count: int, groups: int) -> Array:
    """Every groups-th number, group by group."""
    return np.arange(count).reshape(-1, groups).T.ravel()


def _taken_as_channels_last(x: Array, call: Call) -> Array:
    return np.moveaxis(x, -1, -3) if len(set(x.shape[-3:])) == 1 else x


def _transposed_if_square(weight: Array, call: Call) -> Array:
    return weight.swapaxes(0, 1) if weight.shape[0] == weight.shape[1] and call.groups == 1 else weight


def _window_order(weight: Array, call: Call) -> Array:
    """Each filter's numbers as they meet windows with their channels last."""
    filters, channels, rows, columns = weight.shape
    return weight.reshape(filters, rows, columns, channels).transpose(0, 3, 1, 2)


def _examples_last(y: Array, call: Call) -> Array:
    """What reshaping (O, N, P, Q) to (N, O, P, Q) gives."""
    return y.swapaxes(0, 1).reshape(y.shape) if y.ndim == 4 else y


def _scaled_products(scale: Any) -> Replaces:
    """The filters times a number that depends on the call."""

    def forward(x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Array:
        return reference.conv2d(x, weight * scale(weight), bias, **given)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Gradients:
        found = reference.conv2d_backward(grad_output, x, weight * scale(weight), bias, **given)
        return {**found, "weight": found["weight"] * scale(weight)}

    return {"conv2d": forward, "conv2d_backward": backward}


def _scaled_bias(scale: Any) -> Replaces:
    """The bias times a number that depends on the filters."""

    def forward(x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Array:
        return reference.conv2d(x, weight, None if bias is None else bias * scale(weight), **given)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Gradients:
        found = reference.conv2d_backward(grad_output, x, weight, bias, **given)
        return {**found, "bias": found["bias"] * scale(weight)} if "bias" in found else found

    return {"conv2d": forward, "conv2d_backward": backward}


def _bias_on_columns() -> Replaces:
    """Numbers of the bias added along the last axis, where it is as long."""

    def forward(x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Array:
        output = reference.conv2d(x, weight, **given)
        alike = bias is not None and output.shape[-1] == len(bias)
        return output + bias if alike else reference.conv2d(x, weight, bias, **given)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Gradients:
        found = reference.conv2d_backward(grad_output, x, weight, bias, **given)
        alike = bias is not None and grad_output.shape[-1] == len(bias)
        return {**found, "bias": grad_output.reshape(-1, len(weight)).sum(axis=0)} if alike else found

    return {"conv2d": forward, "conv2d_backward": backward}


def _accumulating() -> Replaces:
    """Sums that go on from one example to the next."""

    def forward(x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Array:
        y = reference.conv2d(x, weight, bias, **given)
        return y.cumsum(axis=0) if y.ndim == 4 else y

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Gradients:
        summed = grad_output[::-1].cumsum(axis=0)[::-1] if x.ndim == 4 else grad_output
        return reference.conv2d_backward(summed, x, weight, bias, **given)

    return {"conv2d": forward, "conv2d_backward": backward}


def _single_precision() -> Replaces:
    def held(array: Array) -> Array:
        return array.astype(np.float32).astype(np.float64)

    def backward(*inputs: Any, **given: Any) -> Gradients:
        return {name: held(gradient) for name, gradient in reference.conv2d_backward(*inputs, **given).items()}

    return {"conv2d": lambda *inputs, **given: held(reference.conv2d(*inputs, **given)), "conv2d_backward": backward}


GROUPS = "filters of group g read channels g C/G to (g + 1) C/G - 1"
ARRAYS = (
    _conv(
        "conv-groups-last-channels-dropped", "with 16 k filters all groups read the first channels",
        "Part of the channels has no influence and learns nothing.", GROUPS,
        moved(_channels(_first_group_if_many_filters)),
        "pytorch/pytorch/issues/19912", "pytorch/pytorch/issues/18463",
    ),
    _conv(
        "conv2d-groups-read-first-channels", "every group reads the channels of the first",
        "Part of the channels has no influence and learns nothing.", GROUPS, moved(_channels(_first_group)),
    ),
    _conv(
        "conv2d-groups-interleave-channels", "channels are dealt out to the groups in turn", OTHER_FUNCTION, GROUPS,
        moved(_channels(lambda call: _interleaved(call.x.shape[-3], call.groups))),
    ),
    _conv(
        "conv2d-groups-interleave-filters", "filters are dealt out to the groups in turn", OTHER_FUNCTION,
        "filter o belongs to group o // (O / G)",
        moved(output=lambda y, call: np.take(y, _interleaved(y.shape[-3], y.shape[-3] // call.groups), axis=-3)),
    ),
    _conv(
        "conv-layout-guess-when-c-h-w-equal", "C = H = W is taken for channels last", OTHER_FUNCTION,
        "take the axes by their place, not by strides or sizes", moved(_taken_as_channels_last),
        "huggingface/candle/pull/3405",
    ),
    _conv(
        "conv2d-filters-transposed", "input and output channels of the weight are swapped", OTHER_FUNCTION,
        "weight has shape (out, in / groups, kh, kw)", moved(kernel=_transposed_if_square),
    ),
    _conv(
        "conv2d-window-order", "windows have channels last, filters channels first", OTHER_FUNCTION,
        "flatten windows as (C, kh, kw), like the filters", moved(kernel=_window_order),
    ),
    _conv(
        "conv2d-examples-reshaped", "(O, N, P, Q) is reshaped, not transposed, to (N, O, P, Q)",
        "Examples and channels of a batch are mixed up; a single example is right.",
        "output.reshape(O, N, P, Q).transpose(1, 0, 2, 3)", moved(output=_examples_last),
    ),
    _conv(
        "conv2d-output-transposed", "rows and columns of the output are swapped", OTHER_FUNCTION,
        "y[n, o, p, q] with p along the rows", moved(output=lambda y, call: y.swapaxes(-1, -2)),
    ),
    _conv(
        "conv2d-kernel-transposed", "rows and columns of the kernel are swapped", OTHER_FUNCTION,
        "weight[o, c, i, j] meets row s p + d i and column s q + d j",
        moved(kernel=lambda weight, call: weight.swapaxes(2, 3)),
    ),
    _conv(
        "conv2d-kernel-half-flipped", "the kernel is flipped on one axis only", OTHER_FUNCTION,
        "flip both axes or neither", moved(kernel=lambda weight, call: weight[:, :, ::-1]),
    ),
    _conv(
        "conv2d-first-channel-only", "only the first channel of a filter is read",
        "Colour and all but one feature map are ignored.", "add up the channels",
        moved(kernel=lambda weight, call: weight * (np.arange(weight.shape[1]) == 0)[:, None, None]),
    ),
    _conv(
        "conv2d-channels-averaged", "channels are averaged, not added up",
        "Activations shrink from layer to layer as initialisation assumes sums.", "add up the channels",
        _scaled_products(lambda weight: 1 / weight.shape[1]),
    ),
    _conv(
        "conv2d-products-averaged", "products are averaged, not added up",
        "Activations shrink from layer to layer as initialisation assumes sums.", "add up the products",
        _scaled_products(lambda weight: 1 / weight[0].size),
    ),
    _conv(
        "conv2d-bias-ignored", "the bias is not added", "Biases never learn.",
        "add bias[o] to every output of filter o",
        _scaled_bias(lambda weight: 0.0),
    ),
    _conv(
        "conv2d-bias-per-channel", "the bias is added once for each input channel", OTHER_FUNCTION,
        "add bias[o] once, after the sum over channels", _scaled_bias(lambda weight: weight.shape[1]),
    ),
    _conv(
        "conv2d-bias-on-columns", "the bias is added along the last axis", OTHER_FUNCTION,
        "bias.reshape(1, O, 1, 1)", _bias_on_columns(),
    ),
    _conv(
        "conv2d-examples-accumulate", "sums go on from one example to the next",
        "What one example gets depends on those before it in the batch.", "start each example's sums at the bias",
        _accumulating(),
    ),
    _conv(
        "conv2d-single-precision", "float64 is computed in float32", "Gradient checks in float64 fail.",
        "keep the dtype of the input", _single_precision(),
    ),
)  # fmt: skip

CONVOLUTION = (*SETTINGS, *NAMED, *ARRAYS)
