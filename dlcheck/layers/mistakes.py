"""What the known mistakes in convolutions share: kinds of mistake, each with the gradients that autograd gives it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.layers import reference

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]
"""Mistaken functions by the name of the right one."""

OTHER_FUNCTION = "The network computes another function than the one its weights were trained for."
SHIFTED = "Every layer shifts the image; trained weights lose accuracy, positions are off."
NO_LEARNING = "The gradient is wrong at every step; training stalls or settles on worse weights."
OFF_SCALE = "These parameters learn at another rate than all others; it changes with the batch or image size."
"""Effects that several faults share."""


_OF_WINDOWS = ("stride", "padding", "dilation", "same_padding")


def conv(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    """A known mistake in the convolution, with threads on GitHub."""
    return Fault(id, "conv2d", says, effect, fix, replaces, tuple("https://github.com/" + each for each in happened))


class Call:
    """One call of conv2d: its arrays, and its settings as pairs."""

    def __init__(self, x: Array, weight: Array, settings: dict[str, Any]):
        self.x, self.weight, self.settings = x, weight, settings
        self.groups: int = settings.get("groups", 1)
        self.windows = reference.conv2d_windows(
            x.shape[-2:], weight.shape[2:], **{name: value for name, value in settings.items() if name in _OF_WINDOWS}
        )

    @cached_property
    def stride(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.windows.stride

    @cached_property
    def named(self) -> str:
        """The padding, where it is given by name."""
        padding = self.settings.get("padding", 0)
        return padding if isinstance(padding, str) else ""

    @cached_property
    def framed(self) -> Array:
        """The image in its zeros."""
        return frame(self.x, self.windows.padding)


Map = Callable[[Array, Call], Array]


def frame(x: Array, padding: Any, mode: Any = "constant") -> Array:
    """An image with (before, after) rows and columns more."""
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + list(padding), mode=mode)


def unchanged(array: Array, call: Call) -> Array:
    """The map of what is not mistaken."""
    return array


def back(move: Callable[[Array], Array], grad: Array, shape: tuple[int, ...]) -> Array:
    """The gradient through a map that only moves, repeats and leaves out elements, and puts zeros between them."""
    places = move(1.0 + np.arange(np.prod(shape, dtype=int)).reshape(shape)).astype(int)
    gathered = np.zeros(1 + np.prod(shape, dtype=int))
    np.add.at(gathered, places.ravel(), fitted(grad, places.shape).ravel())
    return gathered[1:].reshape(shape)


def fitted(array: Array, shape: tuple[int, ...]) -> Array:
    """An array cut, or filled with zeros, to a shape."""
    made = np.zeros(shape)
    common = tuple(slice(0, min(sizes)) for sizes in zip(array.shape, shape, strict=True))
    made[common] = array[common]
    return made


def moved(
    image: Map = unchanged, kernel: Map = unchanged, output: Map = unchanged, offsets: Map = unchanged, **settings: Any
) -> Replaces:
    """A convolution whose arrays are moved about, ``offsets`` being the bias, and whose settings are changed.

    ``settings`` are values or functions of the call. Where the shapes do not fit, code with the mistake would fail; the
    right answer stands in for it.
    """

    def arguments(call: Call, bias: Array | None) -> tuple[tuple[Array, Array, Array | None], dict[str, Any]]:
        changed = {name: value(call) if callable(value) else value for name, value in settings.items()}
        added = None if bias is None else offsets(bias, call)
        return (image(call.x, call), kernel(call.weight, call), added), {**call.settings, **changed}

    def forward(x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Array:
        call = Call(x, weight, given)
        try:
            arrays, changed = arguments(call, bias)
            return output(reference.conv2d(*arrays, **changed), call)
        except ValueError:
            return reference.conv2d(x, weight, bias, **given)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Gradients:
        call = Call(x, weight, given)
        try:
            arrays, changed = arguments(call, bias)
            shape = reference.conv2d(*arrays, **changed).shape
            grad = back(lambda y: output(y, call), grad_output, shape)
            found = reference.conv2d_backward(grad, *arrays, **changed)
        except ValueError:
            return reference.conv2d_backward(grad_output, x, weight, bias, **given)
        found["x"] = back(lambda a: image(a, call), found["x"], x.shape)
        found["weight"] = back(lambda a: kernel(a, call), found["weight"], weight.shape)
        return found if bias is None else {**found, "bias": back(lambda a: offsets(a, call), found["bias"], bias.shape)}

    return {"conv2d": forward, "conv2d_backward": backward}


def without_gradients(gradients: Mapping[str, Array]) -> Gradients:
    """Zeros in place of gradients."""
    return {name: np.zeros_like(grad) for name, grad in gradients.items()}


Mistaken = Callable[[Array, Array, Call], Array]
"""A gradient, from the right one, the upstream gradient and the call."""


def wrong_gradient(of: str, mistake: Mistaken) -> Replaces:
    """The right function whose gradient for one input is mistaken."""

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None, **given: Any) -> Gradients:
        right = reference.conv2d_backward(grad_output, x, weight, bias, **given)
        return {**right, of: mistake(right[of], grad_output, Call(x, weight, given))} if of in right else right

    return {"conv2d_backward": backward}
