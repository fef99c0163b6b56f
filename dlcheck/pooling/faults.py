"""The known mistakes in max pooling, average pooling and global average pooling."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.pooling import reference
from dlcheck.pooling.lp_faults import LP_POOL
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
    upstream_ignored,
    width_uses_height_stride,
    windows_of,
)
from dlcheck.pooling.reference import Windows

# --- max pooling -----------------------------------------------------------------------------------------------------


def _over(windows: Callable[[Array, Settings], Windows], fill: float = -np.inf, least: float = -np.inf) -> Replaces:
    """Max pooling over other windows, with another value in the padding, from another start; ties as in the model."""

    def taps(x: Array, settings: Settings) -> tuple[Windows, list[Array], Array]:
        where = windows(x, settings)
        found = list(where.taps(where.padded(x, fill)))
        return where, found, np.maximum(np.max(found, axis=0), least)

    def gradient(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
        where, found, largest = taps(x, settings)
        shares = reference.shared([tap == largest for tap in found], ties)
        return where.spread([grad_output * share for share in shares])

    return replacing("max_pool2d", lambda x, nan=None, ties=None, **settings: taps(x, settings)[2], gradient)


def _other(value: Callable[[list[Array]], Array], winner: Callable[[list[Array]], list[Array]]) -> Replaces:
    """Another way to reduce the places of a window, and the part of the gradient that each of them receives."""

    def taps(x: Array, settings: Settings) -> tuple[Windows, list[Array]]:
        where = windows_of(x, settings)
        return where, list(where.taps(where.padded(x, 0.0)))

    def gradient(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
        where, found = taps(x, settings)
        return where.spread([grad_output * part for part in winner(found)])

    return replacing("max_pool2d", lambda x, nan=None, ties=None, **settings: value(taps(x, settings)[1]), gradient)


def _to_winners(shares: Callable[[list[Array], Array], list[Array]]) -> Replaces:
    """The right maximum with other parts of the gradient, found from the places of the windows and their maxima."""

    def gradient(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
        where = windows_of(x, settings)
        parts = shares(list(where.taps(where.padded(x, -np.inf))), reference.largest(x, where))
        return where.spread([grad_output * part for part in parts])

    return backward_only("max_pool2d", gradient)


def _overwritten(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
    """The gradient written to the winner of each window, over what another window left there."""
    where, total = windows_of(x, settings), np.zeros_like(x)
    for row in range(where.output[0]):
        for column in range(where.output[1]):
            alone = np.zeros_like(grad_output)
            alone[..., row, column] = grad_output[..., row, column]
            part = reference.to_largest(alone, x, where, ties)
            total = np.where(part != 0, part, total)
    return total


def _shifted(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
    """The gradient at the places of the padded image, cut to the image from its corner."""
    where = windows_of(x, settings)
    margins = [(0, 0)] * (x.ndim - 2) + [(p, p) for p in where.padding]
    height, width = (n + 2 * p for n, p in zip(where.input, where.padding, strict=True))
    wide = replace(where, padding=(0, 0), input=(height, width))
    found = reference.to_largest(grad_output, np.pad(x, margins, constant_values=-np.inf), wide, ties)
    return found[..., : x.shape[-2], : x.shape[-1]]


def _padding_transposed(x: Array, settings: Settings) -> Windows:
    where = windows_of(x, settings)
    sides = zip(where.input, where.kernel, where.stride, where.padding[::-1], where.dilation, strict=True)
    height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides)
    return replace(where, padding=where.padding[::-1], output=(height, width))


def _at_the_end(x: Array, settings: Settings) -> Windows:
    return replace(windows_of(x, settings), padding=(0, 0))


def _clipped(x: Array, settings: Settings) -> Array:
    """Windows that start in the padding start at the image instead, out of step with their dilation."""
    where = windows_of(x, settings)
    output = np.full((*x.shape[:-2], *where.output), -np.inf)
    for row, column in np.ndindex(where.output):
        rows, columns = (
            slice(max(start, 0), start + d * (k - 1) + 1, d)
            for start, d, k in (
                (row * where.stride[0] - where.padding[0], where.dilation[0], where.kernel[0]),
                (column * where.stride[1] - where.padding[1], where.dilation[1], where.kernel[1]),
            )
        )
        output[..., row, column] = x[..., rows, columns].max(axis=(-2, -1), initial=-np.inf)
    return output


def _max(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "max_pool2d", says, effect, fix, replaces, happened)


def _changed(change: Callable[[Settings], Settings], forward: bool = True) -> Replaces:
    return resettled("max_pool2d", change, forward)


MAX_POOL = (
    *of_windows("max_pool2d"),
    width_uses_height_stride(
        "max_pool2d", "pool-width-uses-height-stride", "https://github.com/Maratyszcza/NNPACK/issues/16"
    ),
    _max(
        "max-pool-pads-with-zeros", "the padding is zero and wins over negatives", BORDERS, "pad with -inf",
        _over(windows_of, fill=0.0), "https://github.com/apache/mxnet/issues/2753",
        "https://github.com/zylo117/Yet-Another-EfficientDet-Pytorch/pull/352",
    ),
    _max(
        "max-pool-starts-at-zero", "the running maximum starts at 0", OTHER_FUNCTION, "start at -inf",
        _over(windows_of, least=0.0),
    ),
    _max(
        "maxpool-padding-at-least-kernel-leaks", "the lowest finite number stands for -inf",
        "Where all is masked, -1e308 appears and overflows in the next layer.", "start and pad with -inf",
        _over(windows_of, fill=float(np.finfo(np.float64).min), least=float(np.finfo(np.float64).min)),
        "https://github.com/apache/mxnet/issues/6191", "https://github.com/denizyuret/Knet.jl/issues/182",
    ),
    _max(
        "max-pool-padding-ignored", "padding is ignored", OTHER_SIZE, "pad both sides by padding",
        _changed(lambda s: {"padding": 0}),
    ),
    _max(
        "max-pool-padding-transposed", "height and width of the padding are exchanged", OTHER_SIZE,
        "padding is (height, width)",
        _over(_padding_transposed),
    ),
    _max(
        "max-pool-pads-at-the-end", "all padding stands behind the image", "Feature maps are shifted against images.",
        "half of it before, half behind", _over(_at_the_end),
    ),
    _max(
        "max-pool-dilation-ignored", "dilation is ignored", OTHER_SIZE, "the places of a window are dilation apart",
        _changed(lambda s: {"dilation": 1}),
    ),
    _max(
        "max-pool-dilation-start-clipped", "windows that start in the padding lose step", BORDERS,
        "skip places outside the image, do not move the start", {
            "max_pool2d": lambda x, nan=None, ties=None, **settings: _clipped(x, settings),
        }, "https://github.com/microsoft/onnxruntime/issues/29637",
        "https://github.com/microsoft/onnxruntime/pull/1320",
    ),
    _max(
        "max-pool-window-in-padding", "a last window that starts in the padding is kept", OTHER_SIZE,
        "drop it where (windows - 1) * stride >= size + padding", _over(unguarded),
    ),
    _max(
        "max-pool-minimum", "min stands in place of max", OTHER_FUNCTION, "the largest value of each window",
        _other(lambda taps: np.min(taps, axis=0),
               lambda taps: reference.shared([tap == np.min(taps, axis=0) for tap in taps], "first")),
    ),
    _max(
        "max-pool-mean", "it is average pooling", OTHER_FUNCTION, "the largest value of each window",
        _other(lambda taps: np.mean(taps, axis=0), lambda taps: [np.full_like(taps[0], 1 / len(taps))] * len(taps)),
    ),
    _max(
        "max-pool-of-magnitudes", "it is the largest magnitude", OTHER_FUNCTION, "max(x), not max(|x|)",
        _other(lambda taps: np.max(np.abs(taps), axis=0), lambda taps: [
            share * np.sign(tap) for tap, share in zip(taps, reference.shared(
                [np.abs(tap) == np.max(np.abs(taps), axis=0) for tap in taps], "first"), strict=True)
        ]),
    ),
    _max(
        "maxpool-backward-mask-tolerance", "values within 0.01 of the maximum get gradient too", NO_LEARNING,
        "compare with ==", _to_winners(lambda taps, largest: [1.0 * (np.abs(tap - largest) < 1e-2) for tap in taps]),
        "https://github.com/mni-ml/framework/pull/22",
    ),
    _max(
        "maxpool-backward-dilation-index-twice", "the gradient uses the height's dilation twice", NO_LEARNING,
        "dilation is (height, width)", _changed(lambda s: {"dilation": pair(s.get("dilation", 1))[0]}, forward=False),
        "https://github.com/tracel-ai/burn/pull/4466",
    ),
    _max(
        "max-pool-backward-to-all", "every place of a window gets the whole gradient", NO_LEARNING,
        "only the largest receives it", _to_winners(lambda taps, largest: [np.ones_like(largest)] * len(taps)),
    ),
    _max(
        "max-pool-backward-averaged", "the gradient is spread evenly over the window", NO_LEARNING,
        "only the largest receives it",
        _to_winners(lambda taps, largest: [np.full_like(largest, 1 / len(taps))] * len(taps)),
    ),
    _max(
        "max-pool-backward-overwrites", "overlapping windows overwrite, not add, gradients", NO_LEARNING,
        "grad_x[winner] += grad", backward_only("max_pool2d", _overwritten),
    ),
    _max(
        "max-pool-backward-not-shifted", "the gradient's places are those of the padded image", NO_LEARNING,
        "cut the padding off on both sides", backward_only("max_pool2d", _shifted),
    ),
)  # fmt: skip


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


def _of_largest(grad: Array, x: Array) -> Array:
    flat = x.reshape(*x.shape[:-2], math.prod(x.shape[-2:]))
    first = np.arange(flat.shape[-1]) == flat.argmax(-1)[..., None]
    return np.where(first.reshape(x.shape), grad, 0.0)


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
        "global-avg-pool-one-less", "the sum is divided by H W - 1", OTHER_FUNCTION, "divide by H W",
        lambda x: x.sum((-2, -1)) / (math.prod(x.shape[-2:]) - 1),
        lambda grad, x: _undivided(grad, x) / (math.prod(x.shape[-2:]) - 1),
    ),
    _mean(
        "global-avg-pool-channels-last", "axes 1 and 2 are averaged, as if channels were last",
        "Every channel is mixed with the others.", "the axes are (N, C, H, W)",
        lambda x: x.mean((-3, -2)), _nothing,
    ),
    _mean(
        "global-avg-pool-height-only", "only the height is averaged", OTHER_SIZE, "x.mean((2, 3))",
        lambda x: x.mean(-2), _nothing,
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


FAULTS: tuple[Fault, ...] = (*MAX_POOL, *AVG_POOL, *LP_POOL, *GLOBAL)
