"""Normalisation layers in NumPy float64: forward as the sources write them, backward derived by hand.

Every function converts what it is given to float64, leaves it untouched and returns new arrays. Channels stand on axis
1; what batch normalisation takes its statistics over are all other axes.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, "N C *space"]
Batch = Float[np.ndarray, "N C *space"]
Channels = Float[np.ndarray, "C"]
Gradients = dict[str, np.ndarray]
MomentumWeighs = Literal["new", "old"]
Variance = Literal["unbiased", "biased"]
OneValue = Literal["error", "bias"]
Window = Literal["size", "radius"]
EvenWindow = Literal["below", "above"]
AlphaScale = Literal["divided", "whole"]


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    return array.astype(np.float64)


def _input(x: Any, axes: int) -> np.ndarray:
    array = _real("x", x)
    if array.ndim < axes:
        raise ValueError(f"x has shape {array.shape}, expected at least {axes} axes")
    return array


def _per_channel(name: str, value: Any, channels: int, default: float) -> np.ndarray:
    array = np.full(channels, default) if value is None else _real(name, value)
    if array.shape != (channels,):
        raise ValueError(f"{name} has shape {array.shape}, expected {(channels,)}, one number for each channel of x")
    return array


def _gradient(grad_output: Any, shape: tuple[int, ...]) -> np.ndarray:
    grad = _real("grad_output", grad_output)
    if grad.shape != shape:
        raise ValueError(f"grad_output has shape {grad.shape}, expected {shape}, the shape of x")
    return grad


def _require_settings(momentum: float | None, eps: float) -> None:
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"momentum was {momentum}, expected a number from 0 to 1 or None")
    if not eps >= 0:
        raise ValueError(f"eps was {eps}, expected a number of at least 0")


# --- batch normalisation ---------------------------------------------------------------------------------------------


class Statistics(NamedTuple):
    """What evaluation normalises by: mean and variance of each channel, and the number of batches they come from."""

    mean: Channels
    variance: Channels
    batches: int = 0


def initial_statistics(channels: int) -> Statistics:
    """Mean 0 and variance 1, from no batch yet."""
    return Statistics(np.zeros(channels), np.ones(channels))


def _other_axes(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _along_channels(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of each channel, kept wide; 0 where there are no values."""
    axes = _other_axes(values)
    return values.sum(axes, keepdims=True) / max(values.size // max(values.shape[1], 1), 1)


def batch_statistics(x: Batch) -> Statistics:
    r"""Mean and biased variance of each channel of one batch, in two passes.

    $\mu_c = \frac1m \sum x$, $\sigma^2_c = \frac1m \sum (x - \mu_c)^2$ over the $m = N \cdot H \cdot W$ values of c

    Shapes: x (N, C, ...); mean and variance (C,).
    Raises: TypeError, ValueError if x is no array of real numbers with at least 2 axes.
    Source: Ioffe, Szegedy, Batch Normalization (2015), algorithm 1 and section 3.2; notes 001, section 4.
    """
    x = _input(x, 2)
    mean = _mean(x)
    return Statistics(mean.reshape(-1), _mean(np.square(x - mean)).reshape(-1), 1)


def batch_norm(
    x: Values,
    weight: Channels | None = None,
    bias: Channels | None = None,
    statistics: Statistics | None = None,
    *,
    training: bool = True,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    momentum_weighs: MomentumWeighs = "new",
    running_variance: Variance = "unbiased",
    one_value: OneValue = "error",
) -> tuple[Values, Statistics | None]:
    r"""Batch normalisation of each channel, and the statistics as they are afterwards.

    $y = \gamma_c (x - \mu_c) / \sqrt{\sigma_c^2 + \epsilon} + \beta_c$

    In training $\mu$ and $\sigma^2$ (biased) are those of the batch, which also moves the statistics; in evaluation
    they are the statistics, or the batch's own where there are none (None).

    Shapes: x and the result (N, C, ...); weight $\gamma$, bias $\beta$ and the statistics (C,).
    Conventions: as ``moved_statistics``; a single value per channel in training is an error, or gives the bias.
    Raises: TypeError, ValueError if shapes do not fit, momentum is outside [0, 1], eps below 0, or training sees one
    value per channel.
    Source: Ioffe, Szegedy, Batch Normalization (2015), algorithms 1 and 2; notes 001, section 4.
    """
    x = _input(x, 2)
    _require_settings(momentum, eps)
    per_channel = x.size // max(x.shape[1], 1)
    if training and per_channel == 1 and one_value == "error":
        raise ValueError(f"x has shape {x.shape}, expected more than 1 value per channel in training")
    of_batch = training or statistics is None
    mean, variance, _ = batch_statistics(x) if of_batch or statistics is None else statistics
    output = normalized(x, mean, variance, weight, bias, eps=eps)
    if training and statistics is not None and per_channel:
        statistics = moved_statistics(
            statistics, x, momentum=momentum, momentum_weighs=momentum_weighs, running_variance=running_variance
        )
    return output, statistics


def normalized(
    x: Values,
    mean: Channels,
    variance: Channels,
    weight: Channels | None = None,
    bias: Channels | None = None,
    *,
    eps: float = 1e-5,
) -> Values:
    r"""Normalisation of each channel by a given mean and variance.

    $y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$

    Shapes: x and the result (N, C, ...); all others (C,).
    Raises: TypeError, ValueError if shapes do not fit.
    Source: Ioffe, Szegedy, Batch Normalization (2015), algorithm 1.
    """
    x = _input(x, 2)
    channels = x.shape[1]
    mean, variance = _per_channel("mean", mean, channels, 0.0), _per_channel("variance", variance, channels, 1.0)
    scale = _per_channel("weight", weight, channels, 1.0) / np.sqrt(variance + eps)
    shift = _per_channel("bias", bias, channels, 0.0)
    return (x - _along_channels(mean, x)) * _along_channels(scale, x) + _along_channels(shift, x)


def moved_statistics(
    statistics: Statistics,
    x: Batch,
    *,
    momentum: float | None = 0.1,
    momentum_weighs: MomentumWeighs = "new",
    running_variance: Variance = "unbiased",
) -> Statistics:
    r"""Running statistics after one more batch.

    $\hat\mu \leftarrow (1 - \rho) \hat\mu + \rho \mu$,
    $\hat\sigma^2 \leftarrow (1 - \rho) \hat\sigma^2 + \rho \frac{m}{m-1} \sigma^2$

    Shapes: x (N, C, ...); the statistics (C,).
    Conventions: ``momentum`` is the weight $\rho$ of the new batch, or that of the old value; None gives every batch
    the same weight, $\rho = 1/t$ for batch t; the batch's variance enters unbiased, or biased.
    Source: Ioffe, Szegedy, Batch Normalization (2015), section 3.1 and algorithm 2; notes 001, section 4, second way.
    """
    x, batches = _input(x, 2), statistics.batches + 1
    mean, variance, _ = batch_statistics(x)
    values = x.size // max(x.shape[1], 1)
    if running_variance == "unbiased" and values > 1:
        variance = variance * values / (values - 1)
    new = 1 / batches if momentum is None else momentum if momentum_weighs == "new" else 1 - momentum
    return Statistics(_averaged(statistics.mean, mean, new), _averaged(statistics.variance, variance, new), batches)


def _averaged(old: np.ndarray, batch: np.ndarray, new: float) -> np.ndarray:
    """The weighted average; weights of 0 and 1 leave out one of the two, be it infinite."""
    return (1 - new) * old + new * batch if 0 < new < 1 else (batch if new else old)


def batch_norm_backward(
    grad_output: Values,
    x: Values,
    weight: Channels | None = None,
    bias: Channels | None = None,
    statistics: Statistics | None = None,
    *,
    training: bool = True,
    eps: float = 1e-5,
) -> Gradients:
    r"""Gradients of batch normalisation; in training the batch's mean and variance are functions of x.

    $\bar x = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
    (\bar y - \overline{\bar y} - \hat x \, \overline{\bar y \hat x})$ with means over the batch, which vanish where the
    statistics are constants; $\bar\gamma = \sum \bar y \hat x$, $\bar\beta = \sum \bar y$

    Shapes: as ``batch_norm``; grad_output as x.
    Raises: TypeError, ValueError if shapes do not fit.
    Source: Ioffe, Szegedy, Batch Normalization (2015), section 3; notes 001, section 4.
    """
    x = _input(x, 2)
    grad, axes = _gradient(grad_output, x.shape), _other_axes(x)
    of_batch = training or statistics is None
    mean, variance, _ = batch_statistics(x) if of_batch or statistics is None else statistics
    hat = normalized(x, mean, variance, eps=eps)
    scale = _along_channels(_per_channel("weight", weight, x.shape[1], 1.0) / np.sqrt(variance + eps), x)
    through = grad
    if of_batch:
        through = grad - _mean(grad) - hat * _mean(grad * hat)
    gradients = {"x": scale * through}
    gradients |= {} if weight is None else {"weight": (grad * hat).sum(axes)}
    return gradients if bias is None else gradients | {"bias": grad.sum(axes)}


def population_statistics(batches: Iterable[Batch]) -> Statistics:
    r"""Mean and unbiased variance of all values of each channel in a whole data set, pooled batch by batch.

    $\mu = \frac{1}{M} \sum m_b \mu_b$, $\sigma^2 = \frac{1}{M - 1} \sum m_b (\sigma_b^2 + (\mu_b - \mu)^2)$

    Shapes: every batch (N, C, ...); the statistics (C,).
    Raises: ValueError without any batch.
    Source: notes 001, section 4, first way; Chan, Golub, LeVeque, Updating formulae (1979), equation 2.1.
    """
    each = [(batch_statistics(batch), np.size(batch) // np.shape(batch)[1]) for batch in batches]
    if not each:
        raise ValueError("batches was empty, expected at least one batch")
    total = sum(size for _, size in each)
    mean = sum(size * found.mean for found, size in each) / total
    squares = sum(size * (found.variance + np.square(found.mean - mean)) for found, size in each)
    return Statistics(np.asarray(mean), np.asarray(squares / max(total - 1, 1)), len(each))


def averaged_statistics(batches: Iterable[Batch]) -> Statistics:
    r"""Average of the batches' means and unbiased variances.

    $\mu = \mathrm{E}[\mu_b]$, $\sigma^2 = \mathrm{E}[\frac{m}{m-1} \sigma_b^2]$

    Shapes: every batch (N, C, ...) of equal size; the statistics (C,).
    Raises: ValueError without any batch.
    Source: Ioffe, Szegedy, Batch Normalization (2015), algorithm 2, line 10.
    """
    found: Statistics | None = None
    for batch in batches:
        start = initial_statistics(np.shape(batch)[1]) if found is None else found
        found = moved_statistics(start, batch, momentum=None)
    if found is None:
        raise ValueError("batches was empty, expected at least one batch")
    return found


def folded(
    layer_weight: np.ndarray,
    layer_bias: np.ndarray | None,
    weight: Channels | None,
    bias: Channels | None,
    statistics: Statistics,
    *,
    eps: float = 1e-5,
) -> tuple[np.ndarray, Channels]:
    r"""Weight and bias of the dense or convolution layer that does its own work and that of the evaluation behind it.

    $W'_c = \frac{\gamma_c}{\sqrt{\sigma_c^2 + \epsilon}} W_c$,
    $b'_c = \frac{\gamma_c}{\sqrt{\sigma_c^2 + \epsilon}} (b_c - \mu_c) + \beta_c$

    Shapes: layer_weight (C, ...), output channels first; all others (C,).
    Raises: TypeError, ValueError if shapes do not fit.
    Source: Jacob et al., Quantization and Training of Neural Networks (2018), section 3.2, equation 14.
    """
    kernel = _input(layer_weight, 2)
    channels = len(kernel)
    scale = _per_channel("weight", weight, channels, 1.0) / np.sqrt(statistics.variance + eps)
    before = _per_channel("layer_bias", layer_bias, channels, 0.0)
    shift = _per_channel("bias", bias, channels, 0.0)
    return kernel * scale.reshape(-1, *(1,) * (kernel.ndim - 1)), scale * (before - statistics.mean) + shift


# --- local response normalisation ------------------------------------------------------------------------------------


def _reach(size: int, window: Window, even_window: EvenWindow) -> tuple[int, int]:
    """How many channels below and above its own a window takes in."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size was {size}, expected a whole number of at least 1")
    if window == "radius":
        return size, size
    shorter, longer = (size - 1) // 2, size // 2
    return (longer, shorter) if even_window == "below" else (shorter, longer)


def _summed(values: np.ndarray, below: int, above: int) -> np.ndarray:
    """Sum over channels c - below to c + above, those that exist."""
    total, channels = values.copy(), values.shape[1]
    for offset in range(1, channels):
        if offset <= below:
            total[:, offset:] += values[:, :-offset]
        if offset <= above:
            total[:, :-offset] += values[:, offset:]
    return total


def _scale(
    x: np.ndarray, size: int, alpha: float, k: float, alpha_scale: AlphaScale, below: int, above: int
) -> tuple[np.ndarray, float]:
    factor = alpha / (below + above + 1) if alpha_scale == "divided" else alpha
    return k + factor * _summed(np.square(x), below, above), factor


def local_response_norm(
    x: Values,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    alpha_scale: AlphaScale = "divided",
    window: Window = "size",
    even_window: EvenWindow = "below",
) -> Values:
    r"""Local response normalisation across neighbouring channels.

    $y_c = x_c \, s_c^{-\beta}$,
    $s_c = k + \frac{\alpha}{n} \sum_{j=c-\lfloor n/2 \rfloor}^{c+\lfloor (n-1)/2 \rfloor} x_j^2$

    Shapes: x and the result (N, C, ...), with at least one axis after the channels.
    Conventions: alpha is divided by the window's size n, or not; ``size`` is n, or the radius (n - 1) / 2; an even
    window has its further channel below, or above.
    Raises: TypeError, ValueError if x has fewer than 3 axes or size is below 1.
    Source: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks (2012),
    section 3.3; notes 002, AlexNet.
    """
    x = _input(x, 3)
    scale, _ = _scale(x, size, alpha, k, alpha_scale, *_reach(size, window, even_window))
    return x * scale**-beta


def local_response_norm_backward(
    grad_output: Values,
    x: Values,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    alpha_scale: AlphaScale = "divided",
    window: Window = "size",
    even_window: EvenWindow = "below",
) -> Gradients:
    r"""Gradient of local response normalisation.

    $\bar x_i = \bar y_i s_i^{-\beta}
    - \frac{2 \alpha \beta}{n} x_i \sum_{c: i \in \mathrm{window}(c)} \bar y_c x_c s_c^{-\beta-1}$

    Shapes: all (N, C, ...).
    Raises: TypeError, ValueError as ``local_response_norm``, or if grad_output has not the shape of x.
    Source: the chain rule on Krizhevsky et al. (2012), section 3.3.
    """
    x = _input(x, 3)
    grad, (below, above) = _gradient(grad_output, x.shape), _reach(size, window, even_window)
    scale, factor = _scale(x, size, alpha, k, alpha_scale, below, above)
    # channel i lies in the windows of those channels that reach it: the window mirrored
    shared = _summed(grad * x * scale ** (-beta - 1), above, below)
    return {"x": grad * scale**-beta - 2 * factor * beta * x * shared}
