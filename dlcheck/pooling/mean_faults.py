"""The known mistakes in average pooling and global average pooling."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.pooling import reference
from dlcheck.pooling.mistakes import (
    BORDERS,
    NO_LEARNING,
    OTHER_FUNCTION,
    OTHER_SIZE,
    Array,
    Replaces,
    Settings,
    assigned,
    backward_only,
    of_windows,
    pair,
    replacing,
    resettled,
    unguarded,
    upsampled,
    upstream_ignored,
    width_uses_height_stride,
    windows_of,
)
from dlcheck.pooling.reference import Windows

# --- average pooling -------------------------------------------------------------------------------------------------


def _avg(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "avg_pool2d", says, effect, fix, replaces, happened)


def _divided(divisor: Callable[[Windows, Settings], Any], backward: bool = True, forward: bool = True) -> Replaces:
    """Sums of the windows over another divisor, or gradients over another divisor."""

    def function(x: Array, **settings: Any) -> Array:
        where = windows_of(x, settings)
        return sum(where.taps(where.padded(x, 0.0))) / divisor(where, settings)

    def gradient(grad_output: Array, x: Array, **settings: Any) -> Array:
        where = windows_of(x, settings)
        return where.spread([grad_output / divisor(where, settings)] * math.prod(where.kernel))

    if not forward:
        return backward_only("avg_pool2d", gradient)
    return replacing("avg_pool2d", function, gradient)


def _counted(where: Windows, settings: Settings) -> Any:
    return where.sizes(settings.get("count_include_pad", True))


def _kernel(where: Windows, settings: Settings) -> int:
    return math.prod(where.kernel)


def _or(divisor: Callable[[Windows, Settings], Any]) -> Callable[[Windows, Settings], Any]:
    """The override where there is one, else another divisor."""
    return lambda where, settings: settings.get("divisor_override") or divisor(where, settings)


def _without_overhang(where: Windows, settings: Settings) -> Any:
    return _kernel(where, settings) if settings.get("count_include_pad", True) else where.sizes(False)


def _leading_only(where: Windows, settings: Settings) -> Any:
    """The padding behind the image does not count, that before it does."""
    if not settings.get("count_include_pad", True):
        return where.sizes(False)
    starts = [np.arange(n) * s - p for n, s, p in zip(where.output, where.stride, where.padding, strict=True)]
    return np.outer(*(np.minimum(a + k, n) - a for a, k, n in zip(starts, where.kernel, where.input, strict=True)))


def _nonzero(x: Array, where: Windows, settings: Settings) -> Any:
    """The divisor that takes every zero for padding, where padding does not count."""
    if settings.get("count_include_pad", True) or settings.get("divisor_override"):
        return settings.get("divisor_override") or _counted(where, settings)
    return np.maximum(sum(where.taps(where.padded(1.0 * (x != 0), 0.0))), 1)


def _edge_repeated(x: Array, settings: Settings) -> tuple[Array, Settings]:
    """The image with its edge repeated in the padding, and settings without padding."""
    margins = [(0, 0)] * (x.ndim - 2) + [(p, p) for p in pair(settings.get("padding", 0))]
    return np.pad(x, margins, mode="edge"), {**settings, "padding": 0}


def _mean_of_edges(x: Array, **settings: Any) -> Array:
    wide, without = _edge_repeated(x, settings)
    return reference.avg_pool2d(wide, **without)


def _gradient_of_edges(grad_output: Array, x: Array, **settings: Any) -> Array:
    wide, without = _edge_repeated(x, settings)
    found = reference.avg_pool2d_backward(grad_output, wide, **without)["x"]
    (top, left), (height, width) = pair(settings.get("padding", 0)), x.shape[-2:]
    rows, columns = (np.clip(np.arange(n + 2 * p) - p, 0, n - 1) for n, p in ((height, top), (width, left)))
    total = np.zeros((*x.shape[-2:], *x.shape[:-2]))  # space first, as that is where it is added
    np.add.at(total, (rows[:, None], columns), np.moveaxis(found, (-2, -1), (0, 1)))
    return np.moveaxis(total, (0, 1), (-2, -1))


def _mean_of_unguarded(x: Array, settings: Settings) -> Array:
    where = unguarded(x, settings)
    total = sum(where.taps(where.padded(x, 0.0)))
    return total / (settings.get("divisor_override") or np.maximum(_counted(where, settings), 1))


AVG_POOL = (
    *of_windows("avg_pool2d"),
    width_uses_height_stride("avg_pool2d", "avg-pool-width-uses-height-stride"),
    _avg(
        "avgpool-ceil-overhang-divisor", "the divisor counts what overhangs the padding", BORDERS,
        "count the places in the padded image only", _divided(_or(_without_overhang)),
        "https://github.com/microsoft/onnxruntime/issues/16203", "https://github.com/robertknight/rten/pull/1456",
        "https://github.com/apple/coremltools/pull/2844", "https://github.com/pytorch/xla/pull/6409",
        "https://github.com/sonos/tract/pull/2851",
    ),
    _avg(
        "avg-pool-trailing-padding-uncounted", "padding behind the image does not count", BORDERS,
        "count padding on both sides, or on none", _divided(_or(_leading_only)),
    ),
    _avg(
        "avg-pool-count-include-pad-ignored", "count_include_pad is ignored", BORDERS, "obey count_include_pad",
        resettled("avg_pool2d", lambda s: {"count_include_pad": True} if "count_include_pad" in s else {}),
    ),
    _avg(
        "avg-pool-padding-never-counted", "padding is never counted, whatever count_include_pad says", BORDERS,
        "obey count_include_pad",
        resettled("avg_pool2d", lambda s: {"count_include_pad": False}),
    ),
    _avg(
        "avg-pool-divides-by-height-squared", "the divisor is the square of the kernel's height", OTHER_FUNCTION,
        "divide by height times width", _divided(lambda where, settings: (
            settings.get("divisor_override") or where.kernel[0] ** 2)),
    ),
    _avg(
        "avg-pool-divides-by-width-squared", "the divisor is the square of the kernel's width", OTHER_FUNCTION,
        "divide by height times width", _divided(lambda where, settings: (
            settings.get("divisor_override") or where.kernel[1] ** 2)),
    ),
    _avg(
        "avg-pool-sum", "the sum is not divided", OTHER_FUNCTION, "divide by the number of places",
        _divided(lambda where, settings: settings.get("divisor_override") or 1),
    ),
    _avg(
        "avg-pool-divided-by-side", "the sum is divided by the kernel's height alone", OTHER_FUNCTION,
        "divide by height times width", _divided(_or(lambda where, settings: where.kernel[0])),
    ),
    _avg(
        "avg-pool-override-ignored", "divisor_override is ignored", OTHER_FUNCTION, "divide by divisor_override",
        resettled("avg_pool2d", lambda s: {"divisor_override": None}),
    ),
    _avg(
        "avg-pool-override-needs-padding-counted", "divisor_override is ignored where padding does not count",
        OTHER_FUNCTION, "divisor_override comes before count_include_pad",
        resettled("avg_pool2d", lambda s: {} if s.get("count_include_pad", True) else {"divisor_override": None}),
        "https://github.com/pytorch/executorch/pull/18616",
    ),
    _avg(
        "avg-pool-override-divides-the-mean", "the mean, not the sum, is divided by the override", OTHER_FUNCTION,
        "divide the sum by divisor_override",
        _divided(lambda where, s: _counted(where, s) * (s.get("divisor_override") or 1)),
    ),
    _avg(
        "avg-pool-padding-ignored", "padding is ignored", OTHER_SIZE, "pad both sides with zeros",
        resettled("avg_pool2d", lambda s: {"padding": 0}),
    ),
    _avg(
        "avg-pool-maximum", "it is max pooling", OTHER_FUNCTION, "the mean of each window",
        replacing("avg_pool2d", lambda x, **s: reference.largest(x, windows_of(x, s)),
                  lambda grad_output, x, **s: reference.to_largest(grad_output, x, windows_of(x, s))),
    ),
    _avg(
        "avg-pool-window-in-padding", "a last window that starts in the padding is kept", OTHER_SIZE,
        "drop it where (windows - 1) * stride >= size + padding", {
            "avg_pool2d": lambda x, **settings: _mean_of_unguarded(x, settings),
        },
    ),
    _avg(
        "avg-pool-zeros-uncounted", "zeros in the image are taken for padding", BORDERS,
        "count the places inside the image, whatever they hold",
        replacing("avg_pool2d",
                  lambda x, **s: sum(windows_of(x, s).taps(windows_of(x, s).padded(x, 0.0))) / _nonzero(
                      x, windows_of(x, s), s),
                  lambda grad_output, x, **s: windows_of(x, s).spread(
                      [grad_output / _nonzero(x, windows_of(x, s), s)] * _kernel(windows_of(x, s), s))),
    ),
    _avg(
        "avg-pool-padding-replicated", "the frame repeats the edge, it is not zero", BORDERS, "frame with zeros",
        replacing("avg_pool2d", _mean_of_edges, _gradient_of_edges),
    ),
    _avg(
        "avg-pool-backward-blocks", "the gradient is repeated over blocks, not over windows", NO_LEARNING,
        "blocks of the kernel's size are windows only where stride = kernel_size",
        backward_only("avg_pool2d", lambda grad_output, x, **s: upsampled(
            grad_output / _or(_counted)(windows_of(x, s), s), windows_of(x, s))),
    ),
    _avg(
        "avg-pool-backward-undivided", "the gradient is not divided", NO_LEARNING, "grad / number of places",
        _divided(lambda where, settings: 1, forward=False),
    ),
    _avg(
        "avg-pool-backward-divided-by-kernel", "the gradient is always divided by the kernel size", NO_LEARNING,
        "divide by the same number as forward", _divided(_kernel, forward=False),
    ),
    _avg(
        "avg-pool-backward-overwrites", "overlapping windows overwrite, not add, gradients", NO_LEARNING,
        "grad_x[window] += grad / places",
        backward_only("avg_pool2d", lambda grad_output, x, **s: assigned(
            windows_of(x, s), [grad_output / _or(_counted)(windows_of(x, s), s)] * _kernel(windows_of(x, s), s))),
    ),
    _avg(
        "avg-pool-backward-to-one", "only the first place of a window gets the gradient", NO_LEARNING,
        "every place receives grad / places",
        backward_only("avg_pool2d", lambda grad_output, x, **s: windows_of(x, s).spread(
            [grad_output, *[0 * grad_output] * (_kernel(windows_of(x, s), s) - 1)])),
    ),
)  # fmt: skip


# --- global average pooling ------------------------------------------------------------------------------------------


def _mean(
    id: str, says: str, effect: str, fix: str, function: Callable[[Array], Array],
    gradient: Callable[[Array, Array], Array], *happened: str,
) -> Fault:  # fmt: skip
    """Another reduction of the images, and its gradient from that of each channel, (N, C, 1, 1)."""

    def backward(grad_output: Array, x: Array, keepdims: bool = False) -> Array:
        return gradient(grad_output.reshape(*x.shape[:-2], 1, 1), x)

    def forward(x: Array, keepdims: bool = False) -> Array:
        reduced = function(x)
        return reduced[..., None, None] if keepdims else reduced

    replaces: Replaces = {"global_avg_pool2d": forward, **backward_only("global_avg_pool2d", backward)}
    return Fault(id, "global_avg_pool2d", says, effect, fix, replaces, happened)


def _nothing(grad: Array, x: Array) -> Array:
    """No gradient, as the output has another shape."""
    return np.full_like(x, np.nan)


def _to_columns(grad: Array, x: Array) -> Array:
    """An equal part for all places of a column, where there are as many columns as channels."""
    if x.shape[-1] != x.shape[-3]:
        return _nothing(grad, x)
    return np.broadcast_to(grad[..., None, None, :, 0, 0], x.shape) / math.prod(x.shape[-3:-1])


def _of_largest(grad: Array, x: Array) -> Array:
    flat = x.reshape(*x.shape[:-2], math.prod(x.shape[-2:]))
    first = np.arange(flat.shape[-1]) == flat.argmax(-1)[..., None]
    return np.where(first.reshape(x.shape), grad, 0.0)


def _to_median(grad: Array, x: Array) -> Array:
    flat = x.reshape(*x.shape[:-2], math.prod(x.shape[-2:]))
    place = np.argsort(flat, axis=-1)[..., (flat.shape[-1] - 1) // 2, None] if x.size else np.zeros((*x.shape[:-2], 1))
    return np.where((np.arange(flat.shape[-1]) == place).reshape(x.shape), grad, 0.0)


def _spread_over_batch(values: Array, x: Array) -> Array:
    """The mean over the batch, once for each image."""
    return np.broadcast_to(values.mean(0, keepdims=True), values.shape) if x.ndim > 3 and len(x) else values


def _undivided(grad: Array, x: Array) -> Array:
    return np.broadcast_to(grad, x.shape).copy()


GLOBAL = (
    _mean(
        "global-pool-keeps-one-channel", "only the first channel of the mean is kept",
        "The classifier sees one number for each image.", "x.mean((2, 3))",
        lambda x: x.mean((-2, -1))[..., 0], _nothing, "https://github.com/traveller59/spconv/pull/722",
    ),
    _mean(
        "global-avg-pool-first-image", "only the first image of the batch is kept", OTHER_SIZE, "x.mean((2, 3))",
        lambda x: x.mean((-2, -1))[:1], _nothing,
    ),
    _mean(
        "global-avg-pool-sum", "the sum is not divided", "Activations grow with the size of the image.",
        "divide by H W", lambda x: x.sum((-2, -1)), _undivided,
    ),
    _mean(
        "global-avg-pool-maximum", "it is global max pooling", OTHER_FUNCTION, "x.mean((2, 3))",
        lambda x: x.max((-2, -1)), _of_largest,
    ),
    _mean(
        "global-avg-pool-square", "the sum is divided by the height squared", "Images that are not square are scaled.",
        "divide by H W", lambda x: x.sum((-2, -1)) / x.shape[-2] ** 2,
        lambda grad, x: _undivided(grad, x) / x.shape[-2] ** 2,
    ),
    _mean(
        "global-avg-pool-width-squared", "the sum is divided by the width squared",
        "Images that are not square are scaled.", "divide by H W", lambda x: x.sum((-2, -1)) / x.shape[-1] ** 2,
        lambda grad, x: _undivided(grad, x) / x.shape[-1] ** 2,
    ),
    *(
        _mean(
            f"global-avg-pool-divided-by-{side}", f"the sum is divided by the {side} alone",
            "Activations grow with the size of the image.", "divide by H W",
            lambda x, axis=axis: x.sum((-2, -1)) / x.shape[axis],
            lambda grad, x, axis=axis: _undivided(grad, x) / x.shape[axis],
        )
        for axis, side in ((-2, "height"), (-1, "width"))
    ),
    *(
        _mean(
            f"global-avg-pool-backward-divided-by-{side}", f"the gradient is divided by the {side} alone", NO_LEARNING,
            "grad / (H W)", lambda x: reference.global_avg_pool2d(x),
            lambda grad, x, axis=axis: _undivided(grad, x) / x.shape[axis],
        )
        for axis, side in ((-2, "height"), (-1, "width"))
    ),
    _mean(
        "global-avg-pool-median", "the median is taken, not the mean", OTHER_FUNCTION, "x.mean((2, 3))",
        lambda x: np.sort(x.reshape(*x.shape[:-2], -1), axis=-1)[..., (math.prod(x.shape[-2:]) - 1) // 2]
        if x.size else x.mean((-2, -1)), _to_median,
    ),
    _mean(
        "global-avg-pool-one-less", "the sum is divided by H W - 1", OTHER_FUNCTION, "divide by H W",
        lambda x: x.sum((-2, -1)) / (math.prod(x.shape[-2:]) - 1),
        lambda grad, x: _undivided(grad, x) / (math.prod(x.shape[-2:]) - 1),
    ),
    _mean(
        "global-avg-pool-channels-last", "axes 1 and 2 are averaged, as if channels were last",
        "Every channel is mixed with the others.", "the axes are (N, C, H, W)",
        lambda x: x.mean((-3, -2)), _to_columns,
    ),
    _mean(
        "global-avg-pool-height-only", "only the height is averaged", OTHER_SIZE, "x.mean((2, 3))",
        lambda x: x.mean(-2), _nothing,
    ),
    _mean(
        "global-avg-pool-over-batch", "the batch is averaged too", "All images of a batch give the same.",
        "x.mean((2, 3))", lambda x: _spread_over_batch(x.mean((-2, -1)), x),
        lambda grad, x: _undivided(_spread_over_batch(grad, x), x) / math.prod(x.shape[-2:]),
    ),
    _mean(
        "global-avg-pool-regrouped", "every C-th place in a row is averaged", "Every channel is mixed with the others.",
        "reshape(N, C, H W), not reshape(N, H W, C)",
        lambda x: x.reshape(*x.shape[:-3], math.prod(x.shape[-2:]), x.shape[-3]).mean(-2),
        lambda grad, x: np.repeat(
            grad[..., None, :, 0, 0] / math.prod(x.shape[-2:]), math.prod(x.shape[-2:]), axis=-2).reshape(x.shape),
    ),
    _mean(
        "global-avg-pool-backward-undivided", "the gradient is not divided", NO_LEARNING, "grad / (H W)",
        lambda x: reference.global_avg_pool2d(x), _undivided,
    ),
    _mean(
        "global-avg-pool-backward-to-one", "only the first place gets the gradient", NO_LEARNING,
        "every place receives grad / (H W)", lambda x: reference.global_avg_pool2d(x),
        lambda grad, x: np.where(np.arange(math.prod(x.shape[-2:])).reshape(x.shape[-2:]) == 0, grad, 0.0),
    ),
    upstream_ignored("global_avg_pool2d"),
)  # fmt: skip
