"""Known mistakes in local response normalisation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.normalization import reference

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]
Reach = Callable[[int], tuple[int, int]]

_OTHER_FUNCTION = "The network computes something else than its weights were trained for."
_NO_LEARNING = "The layers below learn along a wrong gradient."
_NOT_OBEYED = "A setting that was chosen with care has no effect."


def band(channels: int, below: int, above: int) -> Array:
    """Which channels (columns) lie in the window of each channel (rows): 1 or 0."""
    distance = np.arange(channels)[:, None] - np.arange(channels)
    return ((distance <= below) & (-distance <= above)).astype(float)


@dataclass(frozen=True, slots=True)
class Formula:
    """Responses y = x (k + f W phi(x))^-b, where W says which values lie in the window of which.

    ``window`` makes W of (length of the axis, below, above); ``axis`` is the axis it runs along, ``factor`` gives f of
    (alpha, n, number of values in the window), ``energy`` is phi with ``slope`` its derivative, ``power`` b of beta,
    ``constant`` k.
    """

    window: Callable[[int, int, int], Array] = band
    axis: int = 1
    factor: Callable[[float, int, Array], Any] = lambda alpha, n, count: alpha / n
    energy: Callable[[Array], Array] = np.square
    slope: Callable[[Array], Array] = lambda x: 2 * x
    power: Callable[[float], float] = lambda beta: beta
    constant: Callable[[float], float] = lambda k: k

    def forward(self, x: Array, matrix: Array, beta: float, k: float) -> Array:
        """The output."""
        return x * self.scale(x, matrix, k) ** -self.power(beta)

    def scale(self, x: Array, matrix: Array, k: float) -> Array:
        """What a power of divides the response."""
        return self.constant(k) + self.along(matrix, self.energy(x))

    def backward(self, grad: Array, x: Array, matrix: Array, beta: float, k: float) -> Gradients:
        """The gradient of this very formula, as autograd gives it."""
        scale, b = self.scale(x, matrix, k), self.power(beta)
        shared = self.along(matrix.T, grad * x * scale ** (-b - 1))
        return {"x": grad * scale**-b - b * self.slope(x) * shared}

    def along(self, matrix: Array, values: Array) -> Array:
        """A matrix times the values along the axis."""
        return np.moveaxis(np.tensordot(matrix, values, axes=(1, self.axis)), 0, self.axis)

    def matrix(self, x: Array, size: int, alpha: float, how: dict[str, str]) -> Array:
        """The window with its factor."""
        below, above = reference._reach(size, how.get("window", "size"), how.get("even_window", "below"))  # type: ignore[arg-type]
        window = self.window(x.shape[self.axis], below, above)
        n = below + above + 1 if how.get("alpha_scale", "divided") == "divided" else 1
        return self.factor(alpha, n, window.sum(1, keepdims=True)) * window


class Square(Formula):
    """The window as a square over all axes of space, its sum divided by the square's size."""

    def along(self, matrix: Array, values: Array) -> Array:
        """A matrix times the values of all places of a map."""
        flat = values.reshape(*values.shape[:2], -1) if values.size else np.zeros((*values.shape[:2], len(matrix)))
        return (flat @ matrix.T).reshape(values.shape)

    def matrix(self, x: Array, size: int, alpha: float, how: dict[str, str]) -> Array:
        """The windows of all places with their factor."""
        below, above = reference._reach(size, how.get("window", "size"), how.get("even_window", "below"))  # type: ignore[arg-type]
        n = below + above + 1 if how.get("alpha_scale", "divided") == "divided" else 1
        return reduce(np.kron, [band(length, below, above) / n for length in x.shape[2:]]) * alpha


def _layer(formula: Formula) -> Replaces:
    def forward(x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str) -> Array:
        return formula.forward(x, formula.matrix(x, size, alpha, how), beta, k)

    def backward(
        grad_output: Array, x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str
    ) -> Gradients:
        return formula.backward(grad_output, x, formula.matrix(x, size, alpha, how), beta, k)

    return {"local_response_norm": forward, "local_response_norm_backward": backward}


def _gradient(through: Callable[..., Array]) -> Replaces:
    """A mistaken gradient, ``through(g, x, scale, matrix, along, beta)``."""
    right = Formula()

    def backward(
        grad_output: Array, x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str
    ) -> Gradients:
        matrix = right.matrix(x, size, alpha, how)
        return {"x": through(grad_output, x, right.scale(x, matrix, k), matrix, right.along, beta)}

    return {"local_response_norm_backward": backward}


def _changed(**change: Callable[[Any], Any]) -> Replaces:
    """The right function at other settings than those given."""

    def settings(given: dict[str, Any]) -> dict[str, Any]:
        known = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0, **given}
        return {**known, **{name: make(known[name]) for name, make in change.items()}}

    return {
        "local_response_norm": lambda x, **given: reference.local_response_norm(x, **settings(given)),
        "local_response_norm_backward": lambda grad_output, x, **given: reference.local_response_norm_backward(
            grad_output, x, **settings(given)
        ),
    }


def _wrapped(channels: int, below: int, above: int) -> Array:
    matrix = np.zeros((channels, channels))
    for offset in range(-below, above + 1):
        matrix += np.roll(np.eye(channels), offset, axis=1)
    return matrix


def _wrapped_below(channels: int, below: int, above: int) -> Array:
    matrix = band(channels, below, above)
    for channel in range(min(below, channels)):
        for place in range(channel - below, 0):
            matrix[channel, place % channels] += 1
    return matrix


def _without_own(channels: int, below: int, above: int) -> Array:
    return band(channels, below, above) - np.eye(channels)


def _inside(channels: int, below: int, above: int) -> Array:
    """Windows that are moved inwards at the first and last channels, to be full everywhere."""
    n = min(below + above + 1, channels)
    first = np.clip(np.arange(channels) - below, 0, channels - n)[:, None]
    place = np.arange(channels)
    return ((place >= first) & (place < first + n)).astype(float)


def _batch_loop(x: Array, size: int, alpha: float, beta: float, k: float, how: dict[str, str]) -> tuple[Array, Array]:
    """The window's matrix, of which only as many rows are filled as there are examples."""
    matrix = Formula().matrix(x, size, alpha, how)
    return matrix, np.where(np.arange(x.shape[1])[:, None] < len(x), matrix, 0.0)


def _over_examples() -> Replaces:
    right = Formula()

    def forward(x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str) -> Array:
        return right.forward(x, _batch_loop(x, size, alpha, beta, k, how)[1], beta, k)

    def backward(
        grad_output: Array, x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str
    ) -> Gradients:
        return right.backward(grad_output, x, _batch_loop(x, size, alpha, beta, k, how)[1], beta, k)

    return {"local_response_norm": forward, "local_response_norm_backward": backward}


def _power_of_sum(
    x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str
) -> Array:
    matrix = Formula().matrix(x, size, alpha, how)
    return x / (k + Formula().along(matrix, np.square(x)) ** beta)


def _power_of_sum_backward(
    grad_output: Array, x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **how: str
) -> Gradients:
    right = Formula()
    matrix = right.matrix(x, size, alpha, how)
    total = right.along(matrix, np.square(x))
    scale = k + total**beta
    inner = np.where(total > 0, beta * np.where(total > 0, total, 1.0) ** (beta - 1), 0.0)
    return {"x": grad_output / scale - 2 * x * right.along(matrix.T, grad_output * x * inner / scale**2)}


def _fault(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(
        f"lrn-{id}", "local_response_norm", says, effect, fix, replaces, tuple(f"https://{url}" for url in happened)
    )


_FORMULA = (
    _fault("multiplies", "it multiplies by the power", _OTHER_FUNCTION, "y = x (k + alpha / n sum)^-beta",
           _changed(beta=lambda beta: -beta)),
    _fault("constant-left-out", "k is left out", "A pixel of zeros gives NaN.", "y = x (k + alpha / n sum)^-beta",
           _changed(k=lambda k: 0.0)),
    _fault("k-ignored", "k is 1 whatever is given", _NOT_OBEYED, "y = x (k + alpha / n sum)^-beta",
           _changed(k=lambda k: 1.0)),
    _fault("beta-fixed", "beta is 0.75 whatever is given", _NOT_OBEYED, "y = x (k + alpha / n sum)^-beta",
           _changed(beta=lambda beta: 0.75)),
    _fault("root-for-power", "it divides by the root, whatever beta is", _NOT_OBEYED,
           "y = x (k + alpha / n sum)^-beta", _changed(beta=lambda beta: 0.5)),
    _fault("power-left-out", "it divides by the scale itself", _OTHER_FUNCTION, "y = x (k + alpha / n sum)^-beta",
           _changed(beta=lambda beta: 1.0)),
    _fault("alpha-left-out", "alpha is left out", _OTHER_FUNCTION, "y = x (k + alpha / n sum)^-beta",
           _changed(alpha=lambda alpha: 1.0)),
    _fault("power-before-constant", "k is added after the power", _OTHER_FUNCTION, "y = x (k + alpha / n sum)^-beta",
           {"local_response_norm": _power_of_sum, "local_response_norm_backward": _power_of_sum_backward}),
    _fault("values-not-squared", "values are summed, not their squares",
           "Signs cancel; the power may be of a negative.",
           "sum x^2", _layer(Formula(energy=lambda x: x, slope=np.ones_like))),
    _fault("magnitudes-not-squares", "magnitudes are summed, not squares", _OTHER_FUNCTION, "sum x^2",
           _layer(Formula(energy=np.abs, slope=np.sign))),
    _fault("alpha-times-size", "alpha is multiplied by the size of the window", _OTHER_FUNCTION, "alpha / n, or alpha",
           _layer(Formula(factor=lambda alpha, n, count: alpha * n))),
    _fault("alpha-divided-twice", "alpha is divided by the size of the window twice", _OTHER_FUNCTION,
           "alpha / n times the sum, or alpha times the mean",
           _layer(Formula(factor=lambda alpha, n, count: alpha / n**2))),
    _fault("divided-by-present", "the sum is divided by the channels present",
           "The first and last channels are divided by more.", "divide by n everywhere",
           _layer(Formula(factor=lambda alpha, n, count: alpha / (count if n > 1 else 1)))),
    _fault("divided-by-channels", "alpha is divided by the number of channels", _OTHER_FUNCTION, "alpha / n",
           _layer(Formula(factor=lambda alpha, n, count: alpha / len(count)))),
    _fault("window-too-narrow", "the window lacks its last channel", _OTHER_FUNCTION,
           "sum channels c - n // 2 to c + (n - 1) // 2, both included",
           _layer(Formula(window=lambda c, below, above: band(c, below, above - 1)))),
    _fault("window-end-excluded", "the window ends before channel c + n // 2", _OTHER_FUNCTION,
           "range(c - n // 2, c + n // 2 + 1) for odd n: the end of a range is not in it",
           _layer(Formula(window=lambda c, below, above: band(c, below, (below + above + 1) // 2 - 1)))),
    _fault("window-too-wide", "the window takes one channel more on each side", _OTHER_FUNCTION,
           "sum channels c - n // 2 to c + (n - 1) // 2",
           _layer(Formula(window=lambda c, below, above: band(c, below + 1, above + 1)))),
    _fault("window-one-longer", "the window takes one channel more behind", _OTHER_FUNCTION,
           "range(c - n // 2, c + (n - 1) // 2 + 1)",
           _layer(Formula(window=lambda c, below, above: band(c, below, above + 1)))),
    _fault("window-of-one", "the window is the response's own channel", _OTHER_FUNCTION, "sum over the neighbours too",
           _layer(Formula(window=lambda c, below, above: np.eye(c)))),
    _fault("window-wraps-below", "a negative channel number counts from the end",
           "The first channels are inhibited by the last.", "start at max(c - n // 2, 0)",
           _layer(Formula(window=_wrapped_below))),
    _fault("window-odd-only", "an even window is made one channel wider", _OTHER_FUNCTION,
           "sum channels c - n // 2 to c + (n - 1) // 2",
           _layer(Formula(window=lambda c, below, above: band(c, max(below, above), max(below, above))))),
    _fault("window-one-sided", "the window looks at earlier channels only", _OTHER_FUNCTION,
           "sum channels on both sides", _layer(Formula(window=lambda c, below, above: band(c, below + above, 0)))),
    _fault("window-of-later-channels", "the window looks at later channels only", _OTHER_FUNCTION,
           "sum channels on both sides", _layer(Formula(window=lambda c, below, above: band(c, 0, below + above)))),
    _fault("window-wraps", "the window goes on at the other end of the channels",
           "The first and last channels inhibit each other.", "channels beyond the ends count as 0",
           _layer(Formula(window=_wrapped))),
    _fault("window-moved-inwards", "windows at the ends are moved inwards", _OTHER_FUNCTION,
           "channels beyond the ends count as 0", _layer(Formula(window=_inside))),
    _fault("own-channel-left-out", "the response's own square is left out", _OTHER_FUNCTION,
           "the window holds its own channel", _layer(Formula(window=_without_own))),
    _fault("over-examples", "the window runs over examples, not channels",
           "What one example gets depends on the others in its batch.", "sum along axis 1", _layer(Formula(axis=0))),
    _fault("over-space", "the window runs over space, not channels", _OTHER_FUNCTION, "sum along axis 1",
           _layer(Formula(axis=-1))),
    _fault("within-channel", "the window is a square in space (WITHIN_CHANNEL)", _OTHER_FUNCTION,
           "sum along axis 1", _layer(Square())),
    _fault("loop-over-batch-axis", "the loop over channels counts examples",
           "Channels past the number of examples are not normalised.", "for c in range(x.shape[1])",
           _over_examples(), "github.com/onnx/onnx/issues/7805"),
)  # fmt: skip

_GRADIENTS = (
    _fault("backward-scale-constant", "the scale is held constant in backward", _NO_LEARNING,
           "take off 2 alpha beta / n x sum(g x s^(-beta-1))",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta)),
    _fault("backward-missing-beta", "the gradient through the scale lacks the factor beta", _NO_LEARNING,
           "take off 2 alpha beta / n x sum(g x s^(-beta-1))",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     - 2 * x * along(matrix.T, g * x * s ** (-beta - 1))),
           "github.com/xingdi-eric-yuan/conv-net-version-3/pull/5"),
    _fault("backward-missing-two", "the gradient through the scale lacks the factor 2", _NO_LEARNING,
           "take off 2 alpha beta / n x sum(g x s^(-beta-1))",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     - beta * x * along(matrix.T, g * x * s ** (-beta - 1)))),
    _fault("backward-own-channel-only", "backward sees the own window only, not its neighbours'", _NO_LEARNING,
           "sum g x s^(-beta-1) over all windows that hold the channel",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     - 2 * beta * x * along(np.diag(np.diag(matrix)), g * x * s ** (-beta - 1)))),
    _fault("backward-sign", "the gradient through the scale has the wrong sign", _NO_LEARNING,
           "take off 2 alpha beta / n x sum(g x s^(-beta-1))",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     + 2 * beta * x * along(matrix.T, g * x * s ** (-beta - 1)))),
    _fault("backward-power", "the scale's power in backward is -beta, not -beta - 1", _NO_LEARNING,
           "take off 2 alpha beta / n x sum(g x s^(-beta-1))",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     - 2 * beta * x * along(matrix.T, g * x * s**-beta))),
    _fault("backward-window-not-mirrored", "backward does not mirror a window of even size", _NO_LEARNING,
           "channel i lies in the windows of i - (n - 1) // 2 to i + n // 2",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     - 2 * beta * x * along(matrix, g * x * s ** (-beta - 1)))),
    _fault("backward-outer-x", "backward takes the neighbour's x outside the sum", _NO_LEARNING,
           "x of the own channel stands before the sum, x of the window's centre in it",
           _gradient(lambda g, x, s, matrix, along, beta: g * s**-beta
                     - 2 * beta * along(matrix.T, g * x * x * s ** (-beta - 1)))),
    _fault("backward-upstream-ignored", "the upstream gradient is left out",
           "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
           {"local_response_norm_backward": lambda grad_output, x, **settings:
               reference.local_response_norm_backward(np.ones_like(grad_output), x, **settings)}),
)  # fmt: skip

LRN_FAULTS = (*_FORMULA, *_GRADIENTS)
