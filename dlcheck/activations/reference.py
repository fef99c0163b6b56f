"""Activation functions in NumPy float64: forward as the sources write them, backward derived by hand.

Every function converts what it is given to float64, leaves it untouched and returns new arrays. NaN propagates,
infinities and subnormals give the limits. ``name_backward(grad_output, *inputs)`` returns the gradient of each input
by its name.
"""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, "*shape"]
Vector = Float[np.ndarray, "n"]
Slopes = Float[np.ndarray, "*slopes"]
Matrix = Float[np.ndarray, "n n"]
AtZero = Literal["slope", "one", "mean", "zero", "sum"]
Ties = Literal["first", "last", "all", "split", "halved"]
DefaultAxis = Literal["by_rank", "last", "one", "flattened"]


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    return array.astype(np.float64)


def _real_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return float(value)


def _choice(name: str, value: Any, among: Any) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def _gradient(grad_output: Any, shape: tuple[int, ...]) -> np.ndarray:
    grad = _real("grad_output", grad_output)
    if grad.shape != shape:
        raise ValueError(f"grad_output must have the output's shape {shape}, not {grad.shape}")
    return grad


# --- sigmoid and tanh ------------------------------------------------------------------------------------------------


def sigmoid(x: Values) -> Values:
    r"""Logistic function.

    $\sigma(x) = 1 / (1 + e^{-x})$, evaluated with $e^{-|x|}$, which cannot overflow.

    Shapes: x and the result have any one shape.
    Raises: TypeError if x does not hold real numbers.
    Source: notes 001, section 3.1; Goodfellow, Bengio, Courville, Deep Learning (2016), equation 3.30.
    """
    x = _real("x", x)
    decay = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, decay, 1.0) / (1 + decay))


def sigmoid_derivative(x: Values) -> Values:
    r"""Derivative of the logistic function at x, accurate also where $\sigma(x)$ rounds to 1.

    $\sigma'(x) = \sigma(x)(1 - \sigma(x)) = e^{-|x|} / (1 + e^{-|x|})^2$

    Shapes: x and the result have any one shape.
    Raises: TypeError if x does not hold real numbers.
    Source: notes 001, section 3.1.
    """
    decay = np.exp(-np.abs(_real("x", x)))
    return np.asarray(decay / (1 + decay) ** 2)


def sigmoid_backward(grad_output: Values, x: Values) -> dict[str, Values]:
    r"""Gradient of the logistic function: $\bar x = \bar y \, \sigma'(x)$.

    Shapes: all of one shape.
    Raises: TypeError, ValueError if grad_output has not the shape of x.
    Source: the chain rule on notes 001, section 3.1.
    """
    slope = sigmoid_derivative(x)
    return {"x": np.asarray(_gradient(grad_output, slope.shape) * slope)}


def tanh(x: Values) -> Values:
    r"""Hyperbolic tangent.

    $\tanh x = (e^x - e^{-x}) / (e^x + e^{-x})$

    Shapes: x and the result have any one shape.
    Raises: TypeError if x does not hold real numbers.
    Source: notes 001, section 3.2; LeCun et al., Efficient BackProp (1998), section 4.4.
    """
    return np.asarray(np.tanh(_real("x", x)))


def tanh_derivative(x: Values) -> Values:
    r"""Derivative of the hyperbolic tangent at x, accurate also where $\tanh x$ rounds to 1.

    $\tanh'(x) = 1 - \tanh^2 x = 4 e^{-2|x|} / (1 + e^{-2|x|})^2$

    Shapes: x and the result have any one shape.
    Raises: TypeError if x does not hold real numbers.
    Source: notes 001, section 3.2.
    """
    decay = np.exp(-2 * np.abs(_real("x", x)))
    return np.asarray(4 * decay / (1 + decay) ** 2)


def tanh_backward(grad_output: Values, x: Values) -> dict[str, Values]:
    r"""Gradient of the hyperbolic tangent: $\bar x = \bar y \, \tanh'(x)$.

    Shapes: all of one shape.
    Raises: TypeError, ValueError if grad_output has not the shape of x.
    Source: the chain rule on notes 001, section 3.2.
    """
    slope = tanh_derivative(x)
    return {"x": np.asarray(_gradient(grad_output, slope.shape) * slope)}


# --- rectifiers ------------------------------------------------------------------------------------------------------


def _two_slopes(x: np.ndarray, negative: Any, at_zero: Any) -> np.ndarray:
    """Derivative of a function with slope 1 right of zero, ``negative`` left of it and ``at_zero`` at it."""
    return np.where(x > 0, 1.0, np.where(x < 0, negative, np.where(x == 0, at_zero, x)))


def _at_zero(choice: AtZero, slope: Any) -> Any:
    among = {"slope": slope, "one": 1.0, "mean": (1 + slope) / 2, "zero": 0.0, "sum": 1 + slope}
    return among[_choice("gradient_at_zero", choice, among)]


def relu(x: Values, *, nan: Literal["propagates", "zero"] = "propagates") -> Values:
    r"""Rectified linear unit.

    $\mathrm{relu}(x) = \max(0, x)$

    Shapes: x and the result have any one shape.
    Conventions: ``nan``, what becomes of NaN.
    Raises: TypeError if x does not hold real numbers, ValueError for an unknown convention.
    Source: notes 001, section 3.3; Nair, Hinton, Rectified Linear Units Improve RBMs (2010), section 2.
    """
    x = _real("x", x)
    maximum = {"propagates": np.maximum, "zero": np.fmax}[_choice("nan", nan, ("propagates", "zero"))]
    return np.asarray(maximum(x, 0.0))


def relu_derivative(x: Values, *, gradient_at_zero: float = 0.0) -> Values:
    r"""Derivative of the rectified linear unit at x: 1 right of zero, 0 left of it.

    Shapes: x and the result have any one shape.
    Conventions: ``gradient_at_zero``, any number from 0 to 1 (the subdifferential).
    Raises: TypeError if x does not hold real numbers.
    Source: notes 001, section 3.3.
    """
    return _two_slopes(_real("x", x), 0.0, _real_number("gradient_at_zero", gradient_at_zero))


def relu_backward(grad_output: Values, x: Values, *, gradient_at_zero: float = 0.0) -> dict[str, Values]:
    r"""Gradient of the rectified linear unit: $\bar x = \bar y \, [x > 0]$.

    Shapes: all of one shape.
    Conventions: ``gradient_at_zero``, any number from 0 to 1 (the subdifferential).
    Raises: TypeError, ValueError if grad_output has not the shape of x.
    Source: the chain rule on notes 001, section 3.3.
    """
    slope = relu_derivative(x, gradient_at_zero=gradient_at_zero)
    return {"x": np.asarray(_gradient(grad_output, slope.shape) * slope)}


def leaky_relu(x: Values, negative_slope: float = 0.01) -> Values:
    r"""Rectified linear unit with a small slope a left of zero, a fixed setting.

    $f(x) = x$ for $x > 0$, $a x$ otherwise; this is $\max(x, a x)$ only for $a \le 1$.

    Shapes: x and the result have any one shape.
    Conventions: the default of ``negative_slope``.
    Raises: TypeError if x or negative_slope is not real.
    Source: notes 001, section 3.4; Maas, Hannun, Ng, Rectifier Nonlinearities Improve
    Neural Network Acoustic Models (2013), section 2.
    """
    x, slope = _real("x", x), _real_number("negative_slope", negative_slope)
    return np.where(x > 0, x, slope * x)


def leaky_relu_derivative(x: Values, negative_slope: float = 0.01, *, gradient_at_zero: AtZero = "slope") -> Values:
    r"""Derivative of the leaky rectified linear unit at x: 1 right of zero, a left of it.

    Shapes: x and the result have any one shape.
    Conventions: ``gradient_at_zero``, a, 1, their mean or sum, or 0; the default of ``negative_slope``.
    Raises: TypeError if x or negative_slope is not real, ValueError for an unknown convention.
    Source: notes 001, section 3.4.
    """
    x, slope = _real("x", x), _real_number("negative_slope", negative_slope)
    return _two_slopes(x, slope, _at_zero(gradient_at_zero, slope))


def leaky_relu_backward(
    grad_output: Values, x: Values, negative_slope: float = 0.01, *, gradient_at_zero: AtZero = "slope"
) -> dict[str, Values]:
    r"""Gradient of the leaky rectified linear unit: $\bar x = \bar y \, (1 \text{ if } x > 0 \text{ else } a)$.

    Shapes: all of one shape.
    Conventions: ``gradient_at_zero``, a, 1, their mean or sum, or 0; the default of ``negative_slope``.
    Raises: TypeError, ValueError if grad_output has not the shape of x, or for an unknown convention.
    Source: the chain rule on notes 001, section 3.4.
    """
    slope = leaky_relu_derivative(x, negative_slope, gradient_at_zero=gradient_at_zero)
    return {"x": np.asarray(_gradient(grad_output, slope.shape) * slope)}


def _slopes(x: np.ndarray, weight: Any) -> np.ndarray:
    """The slopes, shaped to broadcast along the channels of x."""
    slopes = _real("weight", weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if slopes.ndim > 1 or slopes.size not in (1, channels):
        raise ValueError(f"weight must hold 1 slope or one for each of {channels} channels, not shape {slopes.shape}")
    return slopes.reshape(-1, *(1,) * (x.ndim - 2)) if slopes.size != 1 else slopes.reshape(())


def prelu(x: Values, weight: Slopes) -> Values:
    r"""Rectified linear unit whose slope left of zero is learned.

    $f(x_{nc\ldots}) = x_{nc\ldots}$ where $x_{nc\ldots} > 0$, $a_c x_{nc\ldots}$ otherwise

    Shapes: x (N, C, ...) or any shape if there is one slope; weight (1,) or (C,) or a scalar; the result as x.
    Raises: TypeError if x or weight is not real, ValueError if weight fits neither one slope nor the
    channels of axis 1.
    Source: notes 001, section 3.4; He et al., Delving Deep into Rectifiers (2015), equation 1.
    """
    x = _real("x", x)
    return np.where(x > 0, x, _slopes(x, weight) * x)


def prelu_derivative(x: Values, weight: Slopes, *, gradient_at_zero: AtZero = "slope") -> Values:
    r"""Derivative of prelu with respect to x: 1 right of zero, the slope left of it.

    Shapes: as prelu.
    Conventions: ``gradient_at_zero``, the slope, 1, their mean or sum, or 0.
    Raises: TypeError, ValueError as prelu, and for an unknown convention.
    Source: notes 001, section 3.4.
    """
    x = _real("x", x)
    slopes = _slopes(x, weight)
    return _two_slopes(x, slopes, _at_zero(gradient_at_zero, slopes))


def prelu_backward(
    grad_output: Values, x: Values, weight: Slopes, *, gradient_at_zero: AtZero = "slope"
) -> dict[str, Values]:
    r"""Gradients of prelu.

    $\bar x = \bar y \, (1 \text{ if } x > 0 \text{ else } a_c)$,
    $\bar a_c = \sum \bar y \min(x, 0)$ over all of channel c

    Shapes: grad_output as x; the results as x and weight.
    Conventions: ``gradient_at_zero``, the slope, 1, their mean or sum, or 0.
    Raises: TypeError, ValueError as prelu, and if grad_output has not the shape of x.
    Source: He et al., Delving Deep into Rectifiers (2015), equations 2 and 3.
    """
    x = _real("x", x)
    derivative = prelu_derivative(x, weight, gradient_at_zero=gradient_at_zero)
    grad = _gradient(grad_output, x.shape)
    along_channels = tuple(axis for axis in range(x.ndim) if axis != 1)
    parts = grad * np.where(x < 0, x, 0.0)
    summed = parts.sum(axis=along_channels if np.size(weight) != 1 else None)
    return {"x": np.asarray(grad * derivative), "weight": np.reshape(summed, np.shape(weight))}


# --- maxout ----------------------------------------------------------------------------------------------------------


def _pieces(x: Any, weight: Any, bias: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, weight and the values (N, k, O) of the k affine maps."""
    x, weight, bias = _real("x", x), _real("weight", weight), _real("bias", bias)
    if x.ndim != 2 or weight.ndim != 3 or weight.shape[2] != x.shape[1] or weight.shape[0] == 0:
        raise ValueError(
            f"x and weight must have shapes (N, in) and (k, out, in) with k > 0, not {x.shape} and {weight.shape}"
        )
    if bias.shape != weight.shape[:2]:
        raise ValueError(f"bias must have shape (k, out) = {weight.shape[:2]}, not {bias.shape}")
    return x, weight, np.einsum("ni,koi->nko", x, weight) + bias


def maxout(
    x: Float[np.ndarray, "N I"], weight: Float[np.ndarray, "k O I"], bias: Float[np.ndarray, "k O"]
) -> Float[np.ndarray, "N O"]:
    r"""Largest of k affine maps.

    $h_o(x) = \max_{j \le k} \left( w_{jo} \cdot x + b_{jo} \right)$

    Shapes: x (N, I), weight (k, O, I), bias (k, O); the result (N, O).
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other.
    Source: notes 001, section 3.5; Goodfellow et al., Maxout Networks (2013), section 2.
    """
    return _pieces(x, weight, bias)[2].max(axis=1)


def shares(values: np.ndarray, ties: Ties = "first") -> np.ndarray:
    """What part of its unit's gradient each of the values (N, k, O) receives; see ``maxout_backward``."""
    largest = values == values.max(axis=1, keepdims=True)
    before, total = largest.cumsum(axis=1), largest.sum(axis=1, keepdims=True)
    return {
        "first": largest & (before == 1),
        "last": largest & (before == total),
        "all": largest,
        "split": largest / np.maximum(total, 1),
        "halved": largest * 0.5 ** (total - before + (before > 1)),
    }[_choice("ties", ties, ("first", "last", "all", "split", "halved"))]


def maxout_backward(
    grad_output: Float[np.ndarray, "N O"],
    x: Float[np.ndarray, "N I"],
    weight: Float[np.ndarray, "k O I"],
    bias: Float[np.ndarray, "k O"],
    *,
    ties: Ties = "first",
) -> dict[str, Values]:
    r"""Gradients of maxout: the affine map that gave the maximum receives what arrives at its unit.

    With $m_{njo}$ the share of map j: $\bar x_n = \sum_{jo} m_{njo} \bar y_{no} w_{jo}$,
    $\bar w_{jo} = \sum_n m_{njo} \bar y_{no} x_n$, $\bar b_{jo} = \sum_n m_{njo} \bar y_{no}$

    Shapes: grad_output (N, O); the results as x, weight, bias.
    Conventions: ``ties``, whether the first or the last of equal maps receives the gradient, all of them, or each its
    part: an equal one, or a half from each comparison of one map with those before it.
    Raises: TypeError, ValueError as maxout, if grad_output is not (N, O), and for an unknown convention.
    Source: the chain rule on Goodfellow et al. (2013), section 2.
    """
    x, weight, pieces = _pieces(x, weight, bias)
    grad = _gradient(grad_output, (x.shape[0], weight.shape[1]))
    parts = shares(pieces, ties) * grad[:, None]
    return {
        "x": np.einsum("nko,koi->ni", parts, weight),
        "weight": np.einsum("nko,ni->koi", parts, x),
        "bias": parts.sum(axis=0),
    }


# --- softmax ---------------------------------------------------------------------------------------------------------


def _axes(x: np.ndarray, dim: int | None, default_dim: DefaultAxis) -> int | tuple[int, ...]:
    """The axis that softmax runs along, or the axes where several are flattened into one."""
    rank = max(x.ndim, 1)
    by_default = {
        "by_rank": 0 if x.ndim in (0, 1, 3) else 1,
        "last": rank - 1,
        "one": 1,
        "flattened": tuple(range(1, rank)),
    }
    chosen = by_default[_choice("default_dim", default_dim, by_default)] if dim is None else dim
    if isinstance(chosen, tuple):
        return chosen
    if isinstance(chosen, bool) or not isinstance(chosen, int | np.integer):
        raise TypeError(f"dim must be an integer or None, not {type(chosen).__name__}")
    if not -rank <= chosen < rank:
        raise ValueError(f"dim must be from {-rank} to {rank - 1} for an input with {x.ndim} axes, not {chosen}")
    return int(chosen) % rank if x.ndim else ()


def _shifted(x: np.ndarray, axis: Any) -> np.ndarray:
    """Input less its maximum along the axis, so that no exponential overflows and the largest is 1."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x - x.max(axis=axis, keepdims=True, initial=-np.inf))


def softmax(x: Values, dim: int | None = None, *, default_dim: DefaultAxis = "by_rank") -> Values:
    r"""Normalised exponentials along one axis.

    $s_i = e^{x_i} / \sum_j e^{x_j} = e^{x_i - m} / \sum_j e^{x_j - m}$ with $m = \max_j x_j$

    A row that holds +inf or NaN, or nothing but -inf, is NaN throughout, as IEEE arithmetic has it.

    Shapes: x and the result have any one shape.
    Conventions: ``default_dim``, the axis where dim is None: by rank as in torch (0 for 0, 1 and 3 axes, else 1), the
    last, axis 1, or all from axis 1 on as if flattened.
    Raises: TypeError if x is not real or dim no integer, ValueError if x has no axis dim, or for an unknown convention.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.29; notes 001, section 2.
    """
    x = _real("x", x)
    axis = _axes(x, dim, default_dim)
    exponentials = np.exp(_shifted(x, axis))
    return np.asarray(exponentials / exponentials.sum(axis=axis, keepdims=True))


def softmax_backward(
    grad_output: Values, x: Values, dim: int | None = None, *, default_dim: DefaultAxis = "by_rank"
) -> dict[str, Values]:
    r"""Gradient of softmax.

    $\bar x_i = s_i (\bar y_i - \sum_j \bar y_j s_j)$

    Shapes: all of one shape.
    Conventions: ``default_dim`` as in softmax.
    Raises: TypeError, ValueError as softmax, and if grad_output has not the shape of x.
    Source: the transposed Jacobian of notes 001, section 2, applied to the upstream gradient.
    """
    s = softmax(x, dim, default_dim=default_dim)
    grad, axis = _gradient(grad_output, s.shape), _axes(s, dim, default_dim)
    return {"x": np.asarray(s * (grad - (grad * s).sum(axis=axis, keepdims=True)))}


def softmax_jacobian(x: Vector) -> Matrix:
    r"""Jacobian of softmax at a vector: not diagonal, unlike the sigmoid's.

    $\partial s_i / \partial x_j = s_i (\delta_{ij} - s_j)$

    Shapes: x (n,), the result (n, n).
    Raises: TypeError if x is not real, ValueError if x is no vector.
    Source: notes 001, section 2.
    """
    s = softmax(_vector(x))
    return np.diag(s) - np.outer(s, s)


def log_softmax(x: Values, dim: int | None = None, *, default_dim: DefaultAxis = "by_rank") -> Values:
    r"""Logarithm of softmax, finite where softmax itself underflows.

    $\log s_i = x_i - m - \log \sum_j e^{x_j - m}$ with $m = \max_j x_j$

    A row that holds +inf or NaN, or nothing but -inf, is NaN throughout, as IEEE arithmetic has it.

    Shapes: x and the result have any one shape.
    Conventions: ``default_dim`` as in softmax.
    Raises: TypeError if x is not real or dim no integer, ValueError if x has no axis dim, or for an unknown convention.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30.
    """
    x = _real("x", x)
    axis = _axes(x, dim, default_dim)
    shifted = _shifted(x, axis)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def log_softmax_backward(
    grad_output: Values, x: Values, dim: int | None = None, *, default_dim: DefaultAxis = "by_rank"
) -> dict[str, Values]:
    r"""Gradient of log_softmax.

    $\bar x_i = \bar y_i - s_i \sum_j \bar y_j$

    Shapes: all of one shape.
    Conventions: ``default_dim`` as in softmax.
    Raises: TypeError, ValueError as log_softmax, and if grad_output has not the shape of x.
    Source: the transposed Jacobian applied to the upstream gradient.
    """
    s = softmax(x, dim, default_dim=default_dim)
    grad, axis = _gradient(grad_output, s.shape), _axes(s, dim, default_dim)
    return {"x": np.asarray(grad - s * grad.sum(axis=axis, keepdims=True))}


def log_softmax_jacobian(x: Vector) -> Matrix:
    r"""Jacobian of log_softmax at a vector.

    $\partial \log s_i / \partial x_j = \delta_{ij} - s_j$

    Shapes: x (n,), the result (n, n).
    Raises: TypeError if x is not real, ValueError if x is no vector.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30, differentiated.
    """
    s = softmax(_vector(x))
    return np.eye(s.size) - s


def _vector(x: Any) -> np.ndarray:
    x = _real("x", x)
    if x.ndim != 1:
        raise ValueError(f"x must be a vector, not of shape {x.shape}")
    return x
