"""Known mistakes in the gradients of a convolution whose values are right."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.layers import reference
from dlcheck.layers.mistakes import (
    NO_LEARNING,
    OFF_SCALE,
    Array,
    Call,
    Mistaken,
    Replaces,
    fitted,
    frame,
    wrong_gradient,
)

THREADS = "https://github.com/"
INPUT = "grad_x[s p + d i] += grad[p] w[i], the frame cut off"
WEIGHT = "grad_w[i] = sum over n and p of grad[p] x[s p + d i]"
BIAS = "sum of grad over examples, rows and columns"


def _conv(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "conv2d", says, effect, fix, replaces, tuple(THREADS + thread for thread in happened))


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


def _flipped_kernel(right: Array, grad: Array, call: Call) -> Array:
    return _backward(grad, call.x, call, call.weight[:, :, ::-1, ::-1])["x"]


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
    _conv(
        "conv-rotate-kernel-nonsquare", "the kernel of the input's gradient is transposed", NO_LEARNING, INPUT,
        wrong_gradient("x", _reshaped_kernel), "mlpack/mlpack/pull/3376",
    ),
    _conv(
        "conv-backward-shape-when-remainder", "rows that no window touched are missing from a gradient",
        "Backward fails or shifts as soon as the stride leaves a remainder.",
        "(n + 2p - k) % s more zeros at the end", wrong_gradient("x", _without_remainder),
        "PKUFlyingPig/CMU10-714/issues/6", "meta-pytorch/opacus/issues/245",
    ),
    _conv(
        "conv2d-input-gradient-flipped", "the input's gradient takes the kernel the wrong way round",
        NO_LEARNING, INPUT, wrong_gradient("x", _flipped_kernel),
    ),
    _conv(
        "conv2d-input-gradient-overwritten", "overlapping windows overwrite each other's gradients", NO_LEARNING,
        "add to the gradient (+=), do not assign", wrong_gradient("x", _overwritten(1)),
    ),
    _conv(
        "conv2d-col2im-overwrites", "col2im assigns patches where it should add them", NO_LEARNING,
        "add to the gradient (+=), do not assign", wrong_gradient("x", _overwritten(-1)),
    ),
    _conv(
        "conv2d-input-gradient-without-stride", "the input's gradient ignores the stride", NO_LEARNING, INPUT,
        wrong_gradient("x", _undilated_upstream),
    ),
    _conv(
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


def _by_examples(right: Array, grad: Array, call: Call) -> Array:
    return right / max(call.x.shape[0] if call.x.ndim == 4 else 1, 1)


def _last_example(right: Array, grad: Array, call: Call) -> Array:
    return _backward(grad[-1], call.x[-1], call)["weight"] if call.x.ndim == 4 and len(call.x) else right


def _both_by_examples() -> Replaces:
    weight, bias = (wrong_gradient(name, _by_examples)["conv2d_backward"] for name in ("weight", "bias"))

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
    _conv(
        "conv-weight-grad-averaged", "the weight's gradient is averaged over batch and positions", OFF_SCALE, WEIGHT,
        wrong_gradient("weight", lambda right, grad, call: right / _positions(call)), "sebgao/cTensor/issues/3",
    ),
    _conv(
        "conv-kernel-gradient-nonsquare", "the weight's gradient takes the height for the width", NO_LEARNING,
        "the pixel below is a row's length further: y W + x", _of_image(_wrong_pitch), "Maratyszcza/NNPACK/issues/15",
    ),
    _conv(
        "conv2d-weight-gradient-batch-mean", "the weight's gradient is divided by the batch size", OFF_SCALE, WEIGHT,
        wrong_gradient("weight", _by_examples),
    ),
    _conv(
        "conv2d-weight-gradient-flipped", "the weight's gradient is flipped", NO_LEARNING, WEIGHT,
        wrong_gradient("weight", lambda right, grad, call: right[:, :, ::-1, ::-1]),
    ),
    _conv(
        "conv2d-weight-gradient-last-example", "only the last example reaches the weight's gradient",
        "The rest of the batch teaches the filters nothing.", WEIGHT, wrong_gradient("weight", _last_example),
    ),
    _conv(
        "conv2d-weight-gradient-without-stride", "the weight's gradient ignores the stride", NO_LEARNING, WEIGHT,
        wrong_gradient("weight", SLIDING["stride"]),
    ),
    _conv(
        "conv2d-weight-gradient-without-dilation", "the weight's gradient ignores the dilation", NO_LEARNING, WEIGHT,
        wrong_gradient("weight", SLIDING["dilation"]),
    ),
    _conv(
        "conv2d-weight-gradient-without-padding", "the weight's gradient reads the image without its frame",
        NO_LEARNING, WEIGHT, _of_image(_padded_at_end),
    ),
    _conv(
        "conv2d-weight-gradient-first-group", "the weight's gradient reads the first group's channels", NO_LEARNING,
        WEIGHT, _of_image(_first_group),
    ),
    _conv(
        "conv2d-bias-gradient-batch-mean", "the bias's gradient is divided by the batch size", OFF_SCALE, BIAS,
        wrong_gradient("bias", _by_examples),
    ),
    _conv(
        "conv2d-gradients-batch-mean", "both parameters' gradients are divided by the batch size",
        "Where the loss averages too, the learning rate falls with the batch size.", WEIGHT,
        _both_by_examples(),
    ),
    _conv(
        "conv2d-bias-gradient-averaged", "the bias's gradient is averaged over batch and positions", OFF_SCALE, BIAS,
        wrong_gradient("bias", lambda right, grad, call: right / _positions(call)),
    ),
    _conv(
        "conv2d-bias-gradient-missing", "the bias's gradient is zero", "Biases never learn.", BIAS,
        wrong_gradient("bias", lambda right, grad, call: 0 * right),
    ),
    _conv(
        "conv2d-upstream-ignored", "the upstream gradient is left out",
        "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
        _ignoring_upstream(),
    ),
)  # fmt: skip

GRADIENTS = (*OF_INPUT, *OF_PARAMETERS)
