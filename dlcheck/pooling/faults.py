"""The known mistakes in pooling; those in maxima are written here."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.pooling import reference
from dlcheck.pooling.lp_faults import LP_POOL
from dlcheck.pooling.mean_faults import AVG_POOL, GLOBAL
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
    width_uses_height_stride,
    windows_of,
)
from dlcheck.pooling.reference import Windows


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


def _other(
    value: Callable[[list[Array]], Array], winner: Callable[[list[Array]], list[Array]], fill: float = 0.0
) -> Replaces:
    """Another way to reduce the places of a window, and the part of the gradient that each of them receives."""

    def taps(x: Array, settings: Settings) -> tuple[Windows, list[Array]]:
        where = windows_of(x, settings)
        return where, list(where.taps(where.padded(x, fill)))

    def gradient(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
        where, found = taps(x, settings)
        return where.spread([grad_output * part for part in winner(found)])

    return replacing(
        "max_pool2d",
        lambda x, nan=None, ties=None, **settings: value(taps(x, settings)[1]),
        gradient,
    )


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


def _windows_overwrite(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
    """The parts of a window, zeros too, written over what another window left there."""
    where = windows_of(x, settings)
    maxima = reference.largest(x, where)
    shares = reference.shared([tap == maxima for tap in where.taps(where.padded(x, -np.inf))], ties)
    return assigned(where, [grad_output * share for share in shares])


def _to_blocks(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
    """The gradient of the block that a place lies in, where it is its largest."""
    where = windows_of(x, settings)
    return upsampled(grad_output, where) * (x == upsampled(reference.largest(x, where), where, np.nan))


def _of_whole_batch(taps: list[Array], largest: Array) -> list[Array]:
    """Everything to the largest of the windows of all images and channels at one place."""
    most = largest.max(axis=tuple(range(largest.ndim - 2)), keepdims=True, initial=-np.inf)
    return [1.0 * (tap == most) for tap in taps]


def _shifted(grad_output: Array, x: Array, ties: Any = "first", **settings: Any) -> Array:
    """The gradient at the places of the padded image, cut to the image from its corner."""
    where = windows_of(x, settings)
    margins = [(0, 0)] * (x.ndim - 2) + [(p, p) for p in where.padding]
    height, width = (n + 2 * p for n, p in zip(where.input, where.padding, strict=True))
    wide = replace(where, padding=(0, 0), input=(height, width))
    found = reference.to_largest(grad_output, np.pad(x, margins, constant_values=-np.inf), wide, ties)
    return found[..., : x.shape[-2], : x.shape[-1]]


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


def _at_largest_magnitude(taps: list[Array]) -> Array:
    values = np.stack(taps)
    return np.take_along_axis(values, np.abs(values).argmax(axis=0)[None], axis=0)[0]


def _max(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "max_pool2d", says, effect, fix, replaces, happened)


def _changed(change: Callable[[Settings], Settings], forward: bool = True) -> Replaces:
    return resettled("max_pool2d", change, forward)


MAX_POOL = (
    *of_windows("max_pool2d"),
    width_uses_height_stride(
        "max_pool2d", "pool-width-uses-height-stride", "https://github.com/Maratyszcza/NNPACK/issues/16"
    ),
    *(
        _max(
            f"max-pool-pads-with-{fill[1:]}-below-zero", f"the padding is {fill} and wins over lower values", BORDERS,
            "pad with -inf", _over(windows_of, fill=float(fill)),
        )
        for fill in ("-1e4", "-1e6", "-1e9", "-1e10")
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
        _changed(lambda s: {"padding": pair(s.get("padding", 0))[::-1]}),
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
        "max-pool-dilation-first-for-both", "the height's dilation is used for both axes", OTHER_SIZE,
        "dilation is (height, width)", _changed(lambda s: {"dilation": pair(s.get("dilation", 1))[0]}),
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
               lambda taps: reference.shared([tap == np.min(taps, axis=0) for tap in taps], "first"), fill=np.inf),
    ),
    _max(
        "max-pool-mean", "it is average pooling", OTHER_FUNCTION, "the largest value of each window",
        _other(lambda taps: np.mean(taps, axis=0), lambda taps: [np.full_like(taps[0], 1 / len(taps))] * len(taps)),
    ),
    _max(
        "max-pool-by-magnitude", "the value of largest magnitude is taken", OTHER_FUNCTION, "max(x), not max(|x|)",
        _other(_at_largest_magnitude, lambda taps: reference.shared(
            [np.abs(tap) == np.max(np.abs(taps), axis=0) for tap in taps], "first")),
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
        "max-pool-backward-windows-overwrite", "a window's gradient overwrites that of windows before", NO_LEARNING,
        "grad_x[window] += mask * grad", backward_only("max_pool2d", _windows_overwrite),
    ),
    _max(
        "max-pool-backward-blocks", "the gradient is repeated over blocks, not over windows", NO_LEARNING,
        "blocks of the kernel's size are windows only where stride = kernel_size",
        backward_only("max_pool2d", _to_blocks),
    ),
    _max(
        "max-pool-backward-over-batch", "the gradient goes to the largest of all images and channels", NO_LEARNING,
        "window.max((2, 3), keepdims=True), not window.max()", _to_winners(_of_whole_batch),
    ),
    _max(
        "max-pool-backward-times-value", "the gradient is multiplied by the maximum", NO_LEARNING,
        "the largest receives grad itself", _to_winners(lambda taps, largest: [
            largest * share for share in reference.shared([tap == largest for tap in taps], "first")]),
    ),
    _max(
        "max-pool-backward-not-shifted", "the gradient's places are those of the padded image", NO_LEARNING,
        "cut the padding off on both sides", backward_only("max_pool2d", _shifted),
    ),
)  # fmt: skip


FAULTS: tuple[Fault, ...] = (*MAX_POOL, *AVG_POOL, *LP_POOL, *GLOBAL)
