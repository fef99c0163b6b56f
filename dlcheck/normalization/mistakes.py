"""What the known mistakes in batch normalisation are made of: the layer in pieces, of which one is exchanged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.normalization import reference
from dlcheck.normalization.reference import Statistics

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]

NO_LEARNING = "The layers below learn along a wrong gradient; training is slower or settles on worse weights."
PARAMETERS = "Scale and shift learn at a wrong rate or not at all."
"""Effects that several faults share."""


def fault(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    """A known mistake in batch normalisation."""
    return Fault(f"bn-{id}", "batch_norm", says, effect, fix, replaces, tuple(f"https://{url}" for url in happened))


def others(x: Array) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return (0, *range(2, x.ndim))


def wide(values: Any, x: Array) -> Array:
    """Numbers per channel, so that they go with x."""
    return np.asarray(values).reshape(-1, *(1,) * (x.ndim - 2))


def count(x: Array, axes: tuple[int, ...] | None = None) -> int:
    """How many values a mean over axes takes in: those of a channel."""
    return int(np.prod([x.shape[axis] for axis in (others(x) if axes is None else axes)]))


@dataclass(frozen=True, slots=True)
class Formula:
    """Normalisation y = w (x - a mu) s(v, eps) + b by the mean mu and v = c sigma^2, taken over axes.

    ``axes``: of x; ``shift``: a; ``correction``: c for m values; ``scale``: s and ``slope`` its derivative by v;
    ``weight`` and ``bias``: what becomes of the two parameters; ``running``: the variance that evaluation goes by.
    """

    axes: Callable[[Array], tuple[int, ...]] = others
    shift: float = 1.0
    correction: Callable[[int], float] = lambda m: 1.0
    scale: Callable[[Array, float], Array] = lambda v, eps: (v + eps) ** -0.5
    slope: Callable[[Array, float], Array] = lambda v, eps: -0.5 * (v + eps) ** -1.5
    weight: Callable[[Array, Array], Array] = lambda w, b: w
    bias: Callable[[Array, Array], Array] = lambda w, b: b
    running: Callable[[Array, Array], Array] = lambda variance, x: variance

    def moments(self, x: Array, statistics: Statistics | None, batch: bool) -> tuple[Array, Array]:
        """Mean and variance to normalise by, so that they go with x."""
        if not batch and statistics is not None:
            return wide(statistics.mean, x), wide(self.running(statistics.variance, x), x)
        axes = self.axes(x)
        m = max(count(x, axes), 1)
        mean = x.sum(axes, keepdims=True) / m
        return mean, self.correction(m) * np.square(x - mean).sum(axes, keepdims=True) / m

    def parameters(self, x: Array, weight: Array | None, bias: Array | None) -> tuple[Array, Array]:
        """Weight and bias as this formula uses them, so that they go with x."""
        w = np.ones(x.shape[1]) if weight is None else weight
        b = np.zeros(x.shape[1]) if bias is None else bias
        return wide(self.weight(w, b), x), wide(self.bias(w, b), x)

    def forward(self, x: Array, weight: Any, bias: Any, statistics: Any, batch: bool, eps: float) -> Array:
        """The output."""
        mean, variance = self.moments(x, statistics, batch)
        w, b = self.parameters(x, weight, bias)
        return np.asarray(w * (x - self.shift * mean) * self.scale(variance, eps) + b)

    def backward(
        self, grad: Array, x: Array, weight: Any, bias: Any, statistics: Any, batch: bool, eps: float
    ) -> Gradients:
        """The gradient of this very formula, as autograd gives it."""
        mean, variance = self.moments(x, statistics, batch)
        w, _ = self.parameters(x, weight, bias)
        axes, centred, scale = self.axes(x), x - self.shift * mean, self.scale(variance, eps)
        through = w * grad * scale
        if batch:
            m = count(x, axes)
            by_variance = (w * grad * centred).sum(axes, keepdims=True) * self.slope(variance, eps)
            mean_part = -self.shift * (w * grad * scale).sum(axes, keepdims=True) / m
            through = through + mean_part + by_variance * self.correction(m) * 2 * (x - mean) / m
        return {"x": through, **self._of_parameters(grad, centred * scale, x, weight, bias)}

    def _of_parameters(self, grad: Array, hat: Array, x: Array, weight: Any, bias: Any) -> Gradients:
        """By differences of the two maps, which are linear in each parameter."""
        one, none = np.ones(x.shape[1]), np.zeros(x.shape[1])
        w, b = one if weight is None else weight, none if bias is None else bias
        sums = (grad * hat).sum(others(x)), grad.sum(others(x))

        def along(dw: Array, db: Array) -> Array:
            by_weight = self.weight(w + dw, b + db) - self.weight(w, b)
            by_bias = self.bias(w + dw, b + db) - self.bias(w, b)
            return by_weight * sums[0] + by_bias * sums[1]

        found = {} if weight is None else {"weight": along(one, none)}
        return found if bias is None else {**found, "bias": along(none, one)}


def layer(
    training: Formula = Formula(),
    evaluation: Formula | None = None,
    *,
    batch_in_training: bool = True,
    batch_in_evaluation: bool = False,
    moved: Callable[..., Statistics] = reference.moved_statistics,
    moves: Callable[[bool], bool] = lambda training: training,
    moves_first: bool = False,
    starts_untracked: bool = False,
) -> Replaces:
    """The layer with a piece exchanged, forward and backward; the right one where nothing is given."""
    formulas = {True: training, False: evaluation or training}

    def by_batch(mode: bool, statistics: Statistics | None) -> bool:
        return statistics is None or (batch_in_training if mode else batch_in_evaluation)

    def started(x: Array, mode: bool, statistics: Statistics | None) -> Statistics | None:
        wanted = starts_untracked and statistics is None and not mode
        return reference.initial_statistics(x.shape[1]) if wanted else statistics

    def batch_norm(
        x: Array, weight: Any = None, bias: Any = None, statistics: Any = None, *, training: bool = True,
        eps: float = 1e-5, one_value: str = "error", **averaging: Any,
    ) -> tuple[Array, Statistics | None]:  # fmt: skip
        if training and count(x) == 1 and one_value == "error":
            raise ValueError("expected more than 1 value per channel")
        tracked = statistics is not None and moves(training)
        after = moved(statistics, x, **averaging) if tracked else statistics
        used = started(x, training, after if moves_first else statistics)
        return formulas[training].forward(x, weight, bias, used, by_batch(training, used), eps), after

    def batch_norm_backward(
        grad_output: Array, x: Array, weight: Any = None, bias: Any = None, statistics: Any = None, *,
        training: bool = True, eps: float = 1e-5,
    ) -> Gradients:  # fmt: skip
        used = started(x, training, statistics)
        return formulas[training].backward(grad_output, x, weight, bias, used, by_batch(training, used), eps)

    return {"batch_norm": batch_norm, "batch_norm_backward": batch_norm_backward}


def averaging(moved: Callable[..., Statistics], moves: Callable[[bool], bool] = lambda training: training) -> Replaces:
    """The right layer with a mistaken average; gradients do not see it, where the statistics start as given."""
    return {"batch_norm": layer(moved=moved, moves=moves)["batch_norm"]}


def gradient(
    through: Callable[..., Array],
    *,
    modes: tuple[bool, ...] = (True,),
    untracked: bool = True,
    bar: Callable[..., Gradients] | None = None,
) -> Replaces:
    """The right layer with a mistaken gradient of x, ``through(g, hat, scale, x, mean)``, g being the upstream one.

    ``modes`` are those mistaken: True where it normalises by the batch, also in evaluation where ``untracked``;
    ``bar`` changes the gradients of the parameters in either, ``bar(found, grad, x)``.
    """

    def batch_norm_backward(
        grad_output: Array, x: Array, weight: Any = None, bias: Any = None, statistics: Any = None, *,
        training: bool = True, eps: float = 1e-5,
    ) -> Gradients:  # fmt: skip
        found = reference.batch_norm_backward(grad_output, x, weight, bias, statistics, training=training, eps=eps)
        by_batch = training or statistics is None
        if by_batch in modes and (training or untracked or not by_batch):
            mean, variance = Formula().moments(x, statistics, by_batch)
            w, _ = Formula().parameters(x, weight, bias)
            scale = (variance + eps) ** -0.5
            found["x"] = through(w * grad_output, (x - mean) * scale, scale, x, mean)
        return {**found, **(bar(found, grad_output, x) if bar else {})}

    return {"batch_norm_backward": batch_norm_backward}


def over(values: Array, divisor: float | None = None) -> Array:
    """The sum over the batch of each channel, divided by the number of values or something else."""
    return values.sum(others(values), keepdims=True) / (count(values) if divisor is None else divisor)


def right(g: Array, hat: Array, scale: Array, x: Array, mean: Array) -> Array:
    """The right gradient of x in training."""
    return scale * (g - over(g) - hat * over(g * hat))
