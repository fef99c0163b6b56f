"""Known mistakes in the gradients of a convolution whose values are right."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.layers import reference
from dlcheck.layers.mistakes import (
    NO_LEARNING,
    OFF_SCALE,
    Array,
    Call,
    Mistaken,
    Replaces,
    conv,
    fitted,
    frame,
    without_gradients,
    wrong_gradient,
)

INPUT = "grad_x[s p + d i] += grad[p] w[i], the frame cut off"
WEIGHT = "grad_w[i] = sum over n and p of grad[p] x[s p + d i]"
BIAS = "sum of grad over examples, rows and columns"


def _backward(grad: Array, x: Array, call: Call, weight: Array | None = None, **settings: Any) -> dict[str, Array]:
    """The right gradients of a changed convolution."""
    changed = {**call.settings, **settings}
    return reference.conv2d_backward(grad, x, call.weight if weight is None else weight, **changed)


def _inside(framed: Array, call: Call) -> Array:
    """A framed gradient without its frame."""
    (top, _), (left, _) = call.windows.padding
    height, width = call.x.shape[-2:]
    return framed[..., top : top + height, left : left + width]


def _used(call: Call, **settings: Any) -> Array:
    """The part of the framed image that as many windows need under other settings, which keep out all padding."""
    stride, dilation = settings.get("stride", call.stride), settings.get("dilation", call.windows.dilation)
    sizes = zip(call.windows.output, stride, dilation, call.windows.kernel, strict=True)
    rows, columns = ((p - 1) * s + d * (k - 1) + 1 for p, s, d, k in sizes)
    return fitted(call.framed, (*call.x.shape[:-2], rows, columns))


# --- the input's -----------------------------------------------------------------------------------------------------


def _reshaped_kernel(right: Array, grad: Array, call: Call) -> Array:
    """The kernel stored the other way round: transposed where it is square, its rows broken anew where it is not."""
    return _backward(grad, call.x, call, call.weight.swapaxes(2, 3).reshape(call.weight.shape))["x"]


def _with_kernel(change: Callable[[Array], Array]) -> Replaces:
    """The input's gradient with another kernel; the right one where that has another shape."""

    def mistake(right: Array, grad: Array, call: Call) -> Array:
        kernel = change(call.weight)
        return _backward(grad, call.x, call, kernel)["x"] if kernel.shape == call.weight.shape else right

    return wrong_gradient("x", mistake)


def _without_remainder(right: Array, grad: Array, call: Call) -> Array:
    """Only what some window touched, the frame's size cut off on both sides."""
    return _inside(np.zeros_like(call.framed) + frame(right, call.windows.padding), call)[..., *_touched(call)]


def _touched(call: Call) -> tuple[slice, slice]:
    windows = call.windows
    sizes = zip(windows.output, windows.stride, windows.extent, windows.padding, strict=True)
    rows, columns = (slice((p - 1) * s + e - sum(padding)) for p, s, e, padding in sizes)
    return rows, columns


def _overwritten(last: int) -> Mistaken:
    """Where windows overlap one counts: the last window (1), or that of the last weight of the kernel (-1)."""

    def mistake(right: Array, grad: Array, call: Call) -> Array:
        found = np.zeros_like(right)
        for place in list(np.ndindex(call.weight.shape[2:]))[::-last]:
            one = np.zeros(call.weight.shape[2:])
            one[place] = 1
            touched = _backward(np.ones_like(grad), call.x, call, np.ones_like(call.weight) * one)["x"] != 0
            found = np.where(touched, _backward(grad, call.x, call, call.weight * one)["x"], found)
        return found

    return mistake


def _undilated_upstream(right: Array, grad: Array, call: Call) -> Array:
    """The upstream gradient placed as if windows were one pixel apart."""
    used = _used(call, stride=(1, 1))
    return _inside(fitted(_backward(grad, used, call, stride=1, padding=0)["x"], call.framed.shape), call)


def _cut_at_end(right: Array, grad: Array, call: Call) -> Array:
    framed = _backward(grad, call.framed, call, padding=0)["x"]
    return framed[..., : right.shape[-2], : right.shape[-1]]


OF_INPUT = (
    conv(
        "conv-rotate-kernel-nonsquare", "the kernel of the input's gradient is transposed", NO_LEARNING, INPUT,
        wrong_gradient("x", _reshaped_kernel), "mlpack/mlpack/pull/3376",
    ),
    conv(
        "conv-backward-shape-when-remainder", "rows that no window touched are missing from a gradient",
        "Backward fails or shifts as soon as the stride leaves a remainder.",
        "(n + 2p - k) % s more zeros at the end", wrong_gradient("x", _without_remainder),
        "PKUFlyingPig/CMU10-714/issues/6", "meta-pytorch/opacus/issues/245",
    ),
    conv(
        "conv2d-input-gradient-flipped", "the input's gradient takes the kernel the wrong way round",
        NO_LEARNING, INPUT, _with_kernel(lambda weight: weight[:, :, ::-1, ::-1]),
    ),
    *(
        conv(f"conv2d-input-gradient-{id}", f"the input's gradient {says}", NO_LEARNING, INPUT, _with_kernel(change))
        for id, says, change in (
            ("rows-flipped", "takes the kernel upside down", lambda weight: weight[:, :, ::-1]),
            ("columns-flipped", "takes the kernel mirrored", lambda weight: weight[..., ::-1]),
            ("quarter-turn", "turns the kernel by 90 degrees", lambda w: np.rot90(w, -1, (2, 3))),
            ("quarter-turn-back", "turns the kernel by -90 degrees", lambda w: np.rot90(w, 1, (2, 3))),
            ("all-flipped", "flips filters and channels too", lambda weight: weight[::-1, ::-1]),
        )
    ),
    conv(
        "conv2d-input-gradient-overwritten", "overlapping windows overwrite each other's gradients", NO_LEARNING,
        "add to the gradient (+=), do not assign", wrong_gradient("x", _overwritten(1)),
    ),
    conv(
        "conv2d-col2im-overwrites", "col2im assigns patches where it should add them", NO_LEARNING,
        "add to the gradient (+=), do not assign", wrong_gradient("x", _overwritten(-1)),
    ),
    conv(
        "conv2d-input-gradient-without-stride", "the input's gradient ignores the stride", NO_LEARNING, INPUT,
        wrong_gradient("x", _undilated_upstream),
    ),
    conv(
        "conv2d-input-gradient-uncropped", "the frame is cut off the wrong end of the input's gradient", NO_LEARNING,
        INPUT, wrong_gradient("x", _cut_at_end),
    ),
)  # fmt: skip


# --- the weight's and the bias's -------------------------------------------------------------------------------------


def _of_image(image: Callable[[Call], Array], **settings: Any) -> Replaces:
    """The weight's gradient with the windows of another image, or of other settings."""
    return wrong_gradient(
        "weight", lambda right, grad, call: _backward(grad, image(call), call, padding=0, **settings)["weight"]
    )


def _wrong_pitch(call: Call) -> Array:
    """The image read as if its rows were as long as its columns."""
    height, width = call.x.shape[-2:]
    rows, columns = np.indices((height, width))
    places = (rows * height + columns) % (height * width)
    flat = call.x.reshape(*call.x.shape[:-2], height * width)
    return frame(flat[..., places], call.windows.padding)


def _padded_at_end(call: Call) -> Array:
    return frame(call.x, [(0, sum(zeros)) for zeros in call.windows.padding])


def _first_group(call: Call) -> Array:
    return np.take(call.framed, np.tile(np.arange(call.weight.shape[1]), call.groups), axis=-3)


def _positions(call: Call) -> int:
    """Examples, rows and columns of the output: how much a gradient of a shared number sums over."""
    return max(call.x.shape[0] if call.x.ndim == 4 else 1, 1) * call.windows.output[0] * call.windows.output[1]


def _last_group_missing(right: Array, grad: Array, call: Call) -> Array:
    last = np.arange(len(right)) >= len(right) - len(right) // call.groups
    return np.where(last[:, None, None, None] & (call.groups > 1), 0.0, right)


def _by_examples(right: Array, grad: Array, call: Call) -> Array:
    return right / max(call.x.shape[0] if call.x.ndim == 4 else 1, 1)


def _last_example(right: Array, grad: Array, call: Call) -> Array:
    if call.x.ndim < 4 or not len(call.x):
        return right
    return grad[-1].sum((1, 2)) if right.ndim == 1 else _backward(grad[-1], call.x[-1], call)["weight"]


def _both(mistake: Mistaken) -> Replaces:
    """The same mistake in both parameters' gradients."""
    weight, bias = (wrong_gradient(name, mistake)["conv2d_backward"] for name in ("weight", "bias"))

    def backward(*inputs: Array, **given: Any) -> dict[str, Array]:
        return {**bias(*inputs, **given), "weight": weight(*inputs, **given)["weight"]}

    return {"conv2d_backward": backward}


def _ignoring_upstream() -> Replaces:
    def backward(grad_output: Array, *inputs: Any, **given: Any) -> dict[str, Array]:
        return reference.conv2d_backward(np.ones_like(grad_output), *inputs, **given)

    return {"conv2d_backward": backward}


SLIDING: dict[str, Mistaken] = {
    "stride": lambda right, grad, call: _backward(
        grad, _used(call, stride=(1, 1)), call, stride=1, padding=0)["weight"],
    "dilation": lambda right, grad, call: _backward(
        grad, _used(call, dilation=(1, 1)), call, dilation=1, padding=0)["weight"],
}  # fmt: skip
OF_PARAMETERS = (
    conv(
        "conv-weight-grad-averaged", "the weight's gradient is averaged over batch and positions", OFF_SCALE, WEIGHT,
        wrong_gradient("weight", lambda right, grad, call: right / _positions(call)), "sebgao/cTensor/issues/3",
    ),
    conv(
        "conv-kernel-gradient-nonsquare", "the weight's gradient takes the height for the width", NO_LEARNING,
        "the pixel below is a row's length further: y W + x", _of_image(_wrong_pitch), "Maratyszcza/NNPACK/issues/15",
    ),
    conv(
        "conv2d-weight-gradient-batch-mean", "the weight's gradient is divided by the batch size", OFF_SCALE, WEIGHT,
        wrong_gradient("weight", _by_examples),
    ),
    conv(
        "conv2d-weight-gradient-flipped", "the weight's gradient is flipped", NO_LEARNING, WEIGHT,
        wrong_gradient("weight", lambda right, grad, call: right[:, :, ::-1, ::-1]),
    ),
    conv(
        "conv2d-weight-gradient-last-example", "only the last example reaches the weight's gradient",
        "The rest of the batch teaches the filters nothing.", WEIGHT, wrong_gradient("weight", _last_example),
    ),
    conv(
        "conv2d-bias-gradient-last-example", "only the last example reaches the bias's gradient",
        "The rest of the batch teaches the biases nothing.", BIAS, wrong_gradient("bias", _last_example),
    ),
    conv(
        "conv2d-gradients-last-example", "only the last example reaches the parameters' gradients",
        "The rest of the batch teaches the layer nothing.", "add up (+=) over examples", _both(_last_example),
    ),
    conv(
        "conv2d-gradients-averaged", "parameters' gradients are averaged over batch and positions", OFF_SCALE,
        WEIGHT, _both(lambda right, grad, call: right / _positions(call)),
    ),
    conv(
        "conv2d-weight-gradient-without-stride", "the weight's gradient ignores the stride", NO_LEARNING, WEIGHT,
        wrong_gradient("weight", SLIDING["stride"]),
    ),
    conv(
        "conv2d-weight-gradient-without-dilation", "the weight's gradient ignores the dilation", NO_LEARNING, WEIGHT,
        wrong_gradient("weight", SLIDING["dilation"]),
    ),
    conv(
        "conv2d-weight-gradient-without-padding", "the weight's gradient reads the image without its frame",
        NO_LEARNING, WEIGHT, _of_image(_padded_at_end),
    ),
    conv(
        "conv2d-weight-gradient-first-group", "the weight's gradient reads the first group's channels", NO_LEARNING,
        WEIGHT, _of_image(_first_group),
    ),
    conv(
        "conv2d-weight-gradient-last-group-missing", "the last group's filters get no gradient",
        "Part of the filters never learns.", WEIGHT, wrong_gradient("weight", _last_group_missing),
    ),
    conv(
        "conv2d-first-layer-untrained", "parameters get no gradient where the input needs none",
        "The first layer of a network never learns.",
        "ask ctx.needs_input_grad for each input apart", {"beside_constants": without_gradients},
    ),
    conv(
        "conv2d-bias-gradient-batch-mean", "the bias's gradient is divided by the batch size", OFF_SCALE, BIAS,
        wrong_gradient("bias", _by_examples),
    ),
    conv(
        "conv2d-gradients-batch-mean", "both parameters' gradients are divided by the batch size",
        "Where the loss averages too, the learning rate falls with the batch size.", WEIGHT,
        _both(_by_examples),
    ),
    conv(
        "conv2d-bias-gradient-averaged", "the bias's gradient is averaged over batch and positions", OFF_SCALE, BIAS,
        wrong_gradient("bias", lambda right, grad, call: right / _positions(call)),
    ),
    conv(
        "conv2d-bias-gradient-missing", "the bias's gradient is zero", "Biases never learn.", BIAS,
        wrong_gradient("bias", lambda right, grad, call: 0 * right),
    ),
    conv(
        "conv2d-upstream-ignored", "the upstream gradient is left out",
        "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
        _ignoring_upstream(),
    ),
)  # fmt: skip

GRADIENTS = (*OF_INPUT, *OF_PARAMETERS)
