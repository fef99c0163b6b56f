"""What the known mistakes in pooling are made of: changed settings, changed windows, other gradients."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.pooling import reference
from dlcheck.pooling.reference import Windows

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]
"""Mistaken functions by the name of the right one."""
Settings = dict[str, Any]

NAN = "The weights are NaN from the first such window on."
NO_LEARNING = "The gradient is wrong at every step; training stalls or settles on worse weights."
OTHER_FUNCTION = "The network computes another function than the one its weights were trained for."
OTHER_SIZE = "The output has another size: the layer behind it fails, or was sized for the mistake."
BORDERS = "The borders of every feature map are wrong; deep networks see mostly borders."
"""Effects that several faults share."""


def pair(value: Any) -> tuple[int, int]:
    """A setting of height and width."""
    return tuple(value) if isinstance(value, tuple) else (value, value)


def stride_of(settings: Settings) -> tuple[int, int]:
    """The stride that settings mean."""
    given = settings.get("stride")
    return pair(settings["kernel_size"] if given is None else given)


def windows_of(x: Array, settings: Settings) -> Windows:
    """The windows that settings mean over an image."""
    known = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    return reference.windows(x.shape, **{name: settings[name] for name in known if name in settings})


def right(name: str, grad_output: Array, x: Array, settings: Settings) -> Array:
    """The right gradient; NaN where the mistaken output has another shape, so that there is none."""
    try:
        return getattr(reference, f"{name}_backward")(grad_output, x, **settings)["x"]
    except ValueError:
        return np.full_like(x, np.nan)


def resettled(name: str, change: Callable[[Settings], Settings], forward: bool = True) -> Replaces:
    """The right function under other settings; only its gradient where ``forward`` is false."""

    def function(x: Array, **settings: Any) -> Array:
        try:
            return getattr(reference, name)(x, **settings | change(settings))
        except ValueError:  # the mistaken windows do not fit: code that makes the mistake fails too
            return np.empty(0)

    def backward(grad_output: Array, x: Array, **settings: Any) -> Gradients:
        return {"x": right(name, grad_output, x, settings | change(settings))}

    gradient: Replaces = {f"{name}_backward": backward}
    return {name: function, **gradient} if forward else gradient


def backward_only(name: str, gradient: Callable[..., Array]) -> Replaces:
    """Another gradient, of grad_output, x and settings; the values stay right."""
    return {f"{name}_backward": lambda grad_output, x, **settings: {"x": gradient(grad_output, x, **settings)}}


def replacing(name: str, function: Callable[..., Array], gradient: Callable[..., Array]) -> Replaces:
    """Another function with its own gradient, which is NaN where its output has another shape."""

    def backward(grad_output: Array, x: Array, **settings: Any) -> Array:
        fits = grad_output.shape == function(x, **settings).shape
        return gradient(grad_output, x, **settings) if fits else np.full_like(x, np.nan)

    return {name: lambda x, **settings: function(x, **settings), **backward_only(name, backward)}


def assigned(where: Windows, parts: list[Array]) -> Array:
    """The transpose of the taps where later windows overwrite what earlier ones left."""
    total = where.padded(np.zeros((*parts[0].shape[:-2], *where.input)), 0.0)
    for row in range(where.output[0]):
        for column in range(where.output[1]):
            window = replace(where, output=(1, 1), padding=(0, 0), input=(0, 0))
            top, left = row * where.stride[0], column * where.stride[1]
            for target, part in zip(window.taps(total[..., top:, left:]), parts, strict=True):
                target[...] = part[..., row : row + 1, column : column + 1]
    return where.inner(total).copy()


def upsampled(values: Array, where: Windows, last: float = 0.0) -> Array:
    """Each window's number at every place of a block of the kernel's size, whatever the stride; cut to the image."""
    repeated = values.repeat(where.kernel[0], axis=-2).repeat(where.kernel[1], axis=-1)
    missing = [(0, max(n - m, 0)) for n, m in zip(where.input, repeated.shape[-2:], strict=True)]
    filled = np.pad(repeated, [(0, 0)] * (values.ndim - 2) + missing, constant_values=last)
    return filled[..., : where.input[0], : where.input[1]]


def upstream_ignored(name: str) -> Fault:
    """The gradient without what arrives from above, as if that were 1."""
    return Fault(
        f"{_dashed(name)}-upstream-ignored", name, "the upstream gradient is left out",
        "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
        backward_only(name, lambda grad_output, x, **settings: right(name, np.ones_like(grad_output), x, settings)),
    )  # fmt: skip


def _dashed(name: str) -> str:
    return name.removesuffix("2d").replace("_", "-")


def of_windows(name: str) -> tuple[Fault, ...]:
    """Mistakes about kernel, stride and rounding that every pooling over windows can have."""

    def fault(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
        return Fault(f"{_dashed(name)}-{id}", name, says, effect, fix, replaces, happened)

    return (
        fault(
            "kernel-transposed", "height and width of the kernel are exchanged", OTHER_SIZE,
            "kernel_size is (height, width)", resettled(name, lambda s: {"kernel_size": pair(s["kernel_size"])[::-1],
                                                                         "stride": stride_of(s)}),
        ),
        fault(
            "kernel-square", "the width of the kernel is ignored, its height used", OTHER_SIZE,
            "kernel_size is (height, width)", resettled(name, lambda s: {"kernel_size": pair(s["kernel_size"])[0],
                                                                         "stride": stride_of(s)}),
        ),
        fault(
            "kernel-and-stride-transposed", "height and width of kernel and stride are exchanged",
            OTHER_SIZE, "kernel_size is (height, width)",
            resettled(name, lambda s: {"kernel_size": pair(s["kernel_size"])[::-1]}),
        ),
        fault(
            "kernel-and-stride-square", "the kernel's height is its width, and the stride", OTHER_SIZE,
            "kernel_size is (height, width)", resettled(name, lambda s: {"kernel_size": pair(s["kernel_size"])[0]}),
        ),
        fault(
            "default-stride-one", "without a stride the windows move by 1", OTHER_SIZE,
            "the default stride is kernel_size", resettled(name, lambda s: {"stride": s.get("stride") or 1}),
        ),
        fault(
            "stride-ignored", "the windows always move by kernel_size", OTHER_SIZE,
            "stride = kernel_size if stride is None else stride", resettled(name, lambda s: {"stride": None}),
        ),
        fault(
            "ceil-mode-ignored", "ceil_mode is ignored", OTHER_SIZE, "round the number of windows up in ceil mode",
            resettled(name, lambda s: {"ceil_mode": False} if "ceil_mode" in s else {}),
        ),
        upstream_ignored(name),
    )  # fmt: skip


def width_uses_height_stride(name: str, id: str, *happened: str) -> Fault:
    """Both axes move by the height's stride."""
    return Fault(
        id, name, "the width uses the height's stride", OTHER_SIZE, "stride is (height, width)",
        resettled(name, lambda s: {"stride": stride_of(s)[0]}), happened,
    )  # fmt: skip


def unguarded(x: Array, settings: Settings) -> Windows:
    """The windows where rounding up may leave a last one that starts behind the image."""
    where = windows_of(x, settings)
    if not settings.get("ceil_mode"):
        return where
    sides = zip(where.input, where.kernel, where.stride, where.padding, where.dilation, strict=True)
    height, width = (-(-(n + 2 * p - d * (k - 1) - 1) // s) + 1 for n, k, s, p, d in sides)
    return replace(where, output=(height, width))
