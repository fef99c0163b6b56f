"""Known mistakes in a convolution's arrays: channels, groups, kernels, bias and layout."""

from typing import Any

import numpy as np

from dlcheck.layers import reference
from dlcheck.layers.mistakes import OTHER_FUNCTION, Array, Call, Gradients, Map, Replaces, conv, moved
from dlcheck.layers.window_faults import WINDOWS


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


def _columns_first(weight: Array, call: Call) -> Array:
    """Each filter's numbers as they meet windows that were flattened column by column."""
    filters, channels, rows, columns = weight.shape
    return weight.reshape(filters, channels, columns, rows).swapaxes(2, 3)


def _filters_last(y: Array, call: Call) -> Array:
    """What reshaping (N, P Q, O) to (N, O, P, Q) gives."""
    return np.moveaxis(y, -3, -1).reshape(y.shape)


def _positions_first(y: Array, call: Call) -> Array:
    """What reshaping (O, P Q N) to (O, N, P, Q) gives."""
    return y.transpose(1, 2, 3, 0).reshape(y.shape[1], len(y), *y.shape[2:]).swapaxes(0, 1) if y.ndim == 4 else y


def _dealt(count: int, call: Call) -> Array:
    """Numbers of filters, those with the same remainder together."""
    return _interleaved(count, call.groups)


def _put_back(y: Array, call: Call) -> Array:
    return np.take(y, np.argsort(_dealt(y.shape[-3], call)), axis=-3)


def _dealt_filters(weight: Array, call: Call) -> Array:
    return weight[_dealt(len(weight), call)]


def _interleaved_outputs(y: Array, call: Call) -> Array:
    return np.take(y, _interleaved(y.shape[-3], y.shape[-3] // call.groups), axis=-3)


def _bias_before_interleaving(bias: Array, call: Call) -> Array:
    """The bias in such an order that interleaved outputs have it in its own."""
    return bias[np.argsort(_interleaved(len(bias), len(bias) // call.groups))]


def _first_bias(bias: Array, call: Call) -> Array:
    return np.tile(bias[: len(bias) // call.groups], call.groups)


def _first_filters(weight: Array, call: Call) -> Array:
    return np.tile(weight[: len(weight) // call.groups], (call.groups, 1, 1, 1))


def _bias_of_first_group(bias: Array, call: Call) -> Array:
    return np.where(np.arange(len(bias)) < len(bias) // call.groups, bias, 0.0)


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


GROUPS = "filters of group g read channels g C/G to (g + 1) C/G - 1"
ARRAYS = (
    conv(
        "conv-groups-last-channels-dropped", "with 16 k filters all groups read the first channels",
        "Part of the channels has no influence and learns nothing.", GROUPS,
        moved(_channels(_first_group_if_many_filters)),
        "pytorch/pytorch/issues/19912", "pytorch/pytorch/issues/18463",
    ),
    conv(
        "conv2d-groups-read-first-channels", "every group reads the channels of the first",
        "Part of the channels has no influence and learns nothing.", GROUPS, moved(_channels(_first_group)),
    ),
    conv(
        "conv2d-groups-interleave-channels", "channels are dealt out to the groups in turn", OTHER_FUNCTION, GROUPS,
        moved(_channels(lambda call: _interleaved(call.x.shape[-3], call.groups))),
    ),
    conv(
        "conv2d-groups-interleave-filters", "filters are dealt out to the groups in turn", OTHER_FUNCTION,
        "filter o belongs to group o // (O / G)",
        moved(kernel=_dealt_filters, offsets=_dealt_filters, output=_put_back),
    ),
    conv(
        "conv2d-groups-interleave-both", "channels and filters are dealt out to the groups in turn", OTHER_FUNCTION,
        GROUPS, moved(_channels(lambda call: _interleaved(call.x.shape[-3], call.groups)), _dealt_filters, _put_back,
                      _dealt_filters),
    ),
    conv(
        "conv2d-groups-interleave-outputs", "the outputs of the groups are interleaved", OTHER_FUNCTION,
        "concatenate the groups' outputs", moved(output=_interleaved_outputs),
    ),
    conv(
        "conv2d-groups-interleave-before-bias", "outputs of groups are interleaved, then the bias added",
        OTHER_FUNCTION, "concatenate the groups' outputs",
        moved(output=_interleaved_outputs, offsets=_bias_before_interleaving),
    ),
    conv(
        "conv2d-groups-first-bias", "every group adds the biases of the first", OTHER_FUNCTION,
        "add bias[o] to every output of filter o", moved(offsets=_first_bias),
    ),
    conv(
        "conv2d-groups-bias-once", "only the first group's outputs get their bias", OTHER_FUNCTION,
        "add bias[o] to every output of filter o", moved(offsets=_bias_of_first_group),
    ),
    conv(
        "conv-layout-guess-when-c-h-w-equal", "C = H = W is taken for channels last", OTHER_FUNCTION,
        "take the axes by their place, not by strides or sizes", moved(_taken_as_channels_last),
        "huggingface/candle/pull/3405",
    ),
    conv(
        "conv2d-groups-first-filters", "every group uses the filters of the first",
        "Part of the filters has no influence and learns nothing.", GROUPS, moved(kernel=_first_filters),
    ),
    conv(
        "conv2d-unbatched-without-bias", "an image without an axis of examples gets no bias", OTHER_FUNCTION,
        "add bias[o] to every output of filter o",
        moved(offsets=lambda bias, call: bias if call.x.ndim == 4 else np.zeros_like(bias)),
    ),
    conv(
        "conv2d-filters-transposed", "input and output channels of the weight are swapped", OTHER_FUNCTION,
        "weight has shape (out, in / groups, kh, kw)", moved(kernel=_transposed_if_square),
    ),
    conv(
        "conv2d-window-order", "windows have channels last, filters channels first", OTHER_FUNCTION,
        "flatten windows as (C, kh, kw), like the filters", moved(kernel=_window_order),
    ),
    conv(
        "conv2d-window-columns-first", "windows are flattened column by column, filters row by row", OTHER_FUNCTION,
        "flatten windows as (C, kh, kw), like the filters", moved(kernel=_columns_first),
    ),
    conv(
        "conv2d-output-reshaped", "(N, P Q, O) is reshaped, not transposed, to (N, O, P, Q)", OTHER_FUNCTION,
        "output.transpose(0, 2, 1).reshape(N, O, P, Q)", moved(output=_filters_last),
    ),
    conv(
        "conv2d-positions-reshaped", "(O, P Q N) is reshaped to (O, N, P, Q)", OTHER_FUNCTION,
        "output.reshape(O, P, Q, N).transpose(3, 0, 1, 2)", moved(output=_positions_first),
    ),
    conv(
        "conv2d-examples-reshaped", "(O, N, P, Q) is reshaped, not transposed, to (N, O, P, Q)",
        "Examples and channels of a batch are mixed up; a single example is right.",
        "output.reshape(O, N, P, Q).transpose(1, 0, 2, 3)", moved(output=_examples_last),
    ),
    conv(
        "conv2d-output-transposed", "rows and columns of the output are swapped", OTHER_FUNCTION,
        "y[n, o, p, q] with p along the rows", moved(output=lambda y, call: y.swapaxes(-1, -2)),
    ),
    conv(
        "conv2d-kernel-transposed", "rows and columns of the kernel are swapped", OTHER_FUNCTION,
        "weight[o, c, i, j] meets row s p + d i and column s q + d j",
        moved(kernel=lambda weight, call: weight.swapaxes(2, 3)),
    ),
    conv(
        "conv2d-kernel-half-flipped", "the kernel is flipped on one axis only", OTHER_FUNCTION,
        "flip both axes or neither", moved(kernel=lambda weight, call: weight[:, :, ::-1]),
    ),
    conv(
        "conv2d-kernel-all-flipped", "the kernel is flipped on all axes, filters and channels too", OTHER_FUNCTION,
        "np.flip(weight, (2, 3))", moved(kernel=lambda weight, call: weight[::-1, ::-1, ::-1, ::-1]),
    ),
    conv(
        "conv2d-first-channel-only", "only the first channel of a filter is read",
        "Colour and all but one feature map are ignored.", "add up the channels",
        moved(kernel=lambda weight, call: weight * (np.arange(weight.shape[1]) == 0)[:, None, None]),
    ),
    conv(
        "conv2d-channels-averaged", "channels are averaged, not added up",
        "Activations shrink from layer to layer as initialisation assumes sums.", "add up the channels",
        _scaled_products(lambda weight: 1 / weight.shape[1]),
    ),
    conv(
        "conv2d-products-averaged", "products are averaged, not added up",
        "Activations shrink from layer to layer as initialisation assumes sums.", "add up the products",
        _scaled_products(lambda weight: 1 / weight[0].size),
    ),
    conv(
        "conv2d-bias-ignored", "the bias is not added", "Biases never learn.",
        "add bias[o] to every output of filter o",
        _scaled_bias(lambda weight: 0.0),
    ),
    conv(
        "conv2d-bias-per-channel", "the bias is added once for each input channel", OTHER_FUNCTION,
        "add bias[o] once, after the sum over channels", _scaled_bias(lambda weight: weight.shape[1]),
    ),
    conv(
        "conv2d-bias-on-columns", "the bias is added along the last axis", OTHER_FUNCTION,
        "bias.reshape(1, O, 1, 1)", _bias_on_columns(),
    ),
    conv(
        "conv2d-examples-accumulate", "sums go on from one example to the next",
        "What one example gets depends on those before it in the batch.", "start each example's sums at the bias",
        _accumulating(),
    ),
)  # fmt: skip

CONVOLUTION = (*WINDOWS, *ARRAYS)
