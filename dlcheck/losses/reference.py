"""Losses in NumPy float64: forward as the sources write them, backward derived by hand.

Every function converts what it is given to float64, leaves it untouched and returns new arrays. ``reduction`` is
"none" (one loss for each element or example), "sum" or "mean". ``name_backward(grad_output, ...)`` returns the
gradient of the input, and of the target where that is a number like it; its grad_output has the loss's shape, or is one
number for all.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

Values = Float[np.ndarray, "*shape"]
Loss = Float[np.ndarray, "..."]
Upstream = Float[np.ndarray, "..."]
Logits = Float[np.ndarray, "*logits"]
Classes = Int[np.ndarray, "*labels"]
Labels = Classes | Float[np.ndarray, "*logits"]
Weights = Float[np.ndarray, "C"]
Gradients = dict[str, np.ndarray]
Reduction = Literal["none", "sum", "mean"]
Scaling = Literal["delta", "slope_one", "sigma", "doubled"]
WeightedMean = Literal["weights", "count", "nonzero"]
AllIgnored = Literal["nan", "zero"]
SmoothingMass = Literal["all", "others", "unpadded"]
Formula = Literal["averaged", "summed", "maximal", "maximal_with_zero", "one_against_all", "one_against_all_averaged"]

REDUCTIONS: tuple[Reduction, ...] = ("none", "sum", "mean")


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    return array.astype(np.float64)


def _choice(name: str, value: Any, among: Sequence[Any]) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def _pair(input: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Input and target of one shape: to broadcast them would count some elements several times."""
    input, target = _real("input", input), _real("target", target)
    if input.shape != target.shape:
        raise ValueError(f"target must have the input's shape {input.shape}, not {target.shape}")
    return input, target


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value!r}")
    return float(value)


def _divided(total: Any, count: Any) -> np.ndarray:
    """A quotient that is NaN where nothing was counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.float64(total) / count)


def _reduced(terms: np.ndarray | np.float64, reduction: str, count: Any) -> Loss:
    """The terms themselves, their sum, or their mean over ``count``."""
    _choice("reduction", reduction, REDUCTIONS)
    return np.asarray(terms) if reduction == "none" else _divided(terms.sum(), 1.0 if reduction == "sum" else count)


def _spread(grad_output: Any, shape: tuple[int, ...], reduction: str, count: Any) -> np.ndarray:
    """What arrives at each term."""
    grad = _real("grad_output", grad_output)
    expected = shape if _choice("reduction", reduction, REDUCTIONS) == "none" else ()
    if grad.shape not in ((), expected):
        raise ValueError(f"grad_output must have the output's shape {expected}, not {grad.shape}")
    return np.broadcast_to(_divided(grad, count) if reduction == "mean" else grad, shape)


# --- errors ----------------------------------------------------------------------------------------------------------


def _counted(input: np.ndarray, mean_over: str) -> int:
    among = {"elements": input.size, "batch": len(input) if input.ndim else 1}
    return among[_choice("mean_over", mean_over, tuple(among))]


def _of_difference(gradient: np.ndarray) -> Gradients:
    """Gradients of input and target where the loss depends on their difference alone."""
    return {"input": np.asarray(gradient), "target": np.asarray(-gradient)}


def mse_loss(
    input: Values,
    target: Values,
    reduction: Reduction = "mean",
    *,
    factor: float = 1.0,
    mean_over: Literal["elements", "batch"] = "elements",
) -> Loss:
    r"""Squared error.

    $\ell = f \, (x - y)^2$ of each element

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Conventions: ``factor`` f, 1 or 1/2; ``mean_over``, whether the mean divides by the elements or the batch.
    Raises: TypeError if an input is not real, ValueError for different shapes or an unknown reduction.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 5.4.
    """
    x, y = _pair(input, target)
    return _reduced(factor * (x - y) ** 2, reduction, _counted(x, mean_over))


def mse_loss_backward(
    grad_output: Upstream,
    input: Values,
    target: Values,
    reduction: Reduction = "mean",
    *,
    factor: float = 1.0,
    mean_over: Literal["elements", "batch"] = "elements",
) -> Gradients:
    r"""Gradients of the squared error: $\bar x = \bar\ell \, 2 f (x - y), \; \bar y = -\bar x$.

    Shapes: grad_output as the loss or without axes; the results as input and target.
    Conventions: as mse_loss.
    Raises: TypeError, ValueError as mse_loss, and if grad_output has another shape.
    Source: the derivative of Goodfellow et al. (2016), equation 5.4.
    """
    x, y = _pair(input, target)
    grad = _spread(grad_output, x.shape, reduction, _counted(x, mean_over))
    return _of_difference(grad * 2 * factor * (x - y))


def l1_loss(input: Values, target: Values, reduction: Reduction = "mean") -> Loss:
    r"""Absolute error $\ell = |x - y|$ of each element.

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Raises: TypeError if an input is not real, ValueError for different shapes or an unknown reduction.
    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), section 10.6.
    """
    x, y = _pair(input, target)
    return _reduced(np.abs(x - y), reduction, x.size)


def l1_loss_backward(
    grad_output: Upstream,
    input: Values,
    target: Values,
    reduction: Reduction = "mean",
    *,
    gradient_at_zero: float = 0.0,
) -> Gradients:
    r"""Gradients of the absolute error: $\bar x = \bar\ell \, \mathrm{sign}(x - y), \; \bar y = -\bar x$.

    Shapes: grad_output as the loss or without axes; the results as input and target.
    Conventions: ``gradient_at_zero``, any number from -1 to 1 (the subdifferential).
    Raises: TypeError, ValueError as l1_loss, and if grad_output has another shape.
    Source: the derivative of the absolute value.
    """
    x, y = _pair(input, target)
    slope = np.where(x == y, gradient_at_zero, np.sign(x - y))
    return _of_difference(_spread(grad_output, x.shape, reduction, x.size) * slope)


def _huber_parts(delta: float, scaling: Scaling) -> tuple[float, float]:
    """Where the parabola ends, and the slope beyond."""
    delta = _positive("delta", delta)
    slopes = {"delta": delta, "slope_one": 1.0, "sigma": 1.0, "doubled": 2 * delta}
    return delta**-2 if scaling == "sigma" else delta, slopes[_choice("scaling", scaling, tuple(slopes))]


def huber_loss(
    input: Values, target: Values, reduction: Reduction = "mean", delta: float = 1.0, *, scaling: Scaling = "delta"
) -> Loss:
    r"""Huber's loss: squared near, linear far out, with one slope where the two meet.

    With $e = |x - y|$: $\ell = e^2 / 2$ for $e \le \delta$, $\delta (e - \delta / 2)$ beyond

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Conventions: ``scaling``: slope delta far out; slope 1, all divided by delta (smooth L1, delta its beta); the same
    with $\beta = 1/\delta^2$ (Fast R-CNN's sigma); or twice the loss.
    Raises: TypeError if an input is not real, ValueError for different shapes, delta <= 0 or an unknown choice.
    Source: Huber, Robust Estimation of a Location Parameter (1964), section 4.
    """
    x, y = _pair(input, target)
    end, slope = _huber_parts(delta, scaling)
    error = np.abs(x - y)
    near = np.minimum(error, end)
    return _reduced(slope * (near * near / (2 * end) + (error - near)), reduction, x.size)


def huber_loss_backward(
    grad_output: Upstream,
    input: Values,
    target: Values,
    reduction: Reduction = "mean",
    delta: float = 1.0,
    *,
    scaling: Scaling = "delta",
) -> Gradients:
    r"""Gradients of Huber's loss: $\bar x = \bar\ell \max(-\delta, \min(x - y, \delta)), \; \bar y = -\bar x$.

    Shapes: grad_output as the loss or without axes; the results as input and target.
    Conventions: as huber_loss.
    Raises: TypeError, ValueError as huber_loss, and if grad_output has another shape.
    Source: Huber (1964), section 4, differentiated.
    """
    x, y = _pair(input, target)
    end, slope = _huber_parts(delta, scaling)
    grad = _spread(grad_output, x.shape, reduction, x.size)
    return _of_difference(grad * slope * np.clip((x - y) / end, -1, 1))


# --- classification --------------------------------------------------------------------------------------------------


def _broadcast(name: str, weight: Any, shape: tuple[int, ...]) -> np.ndarray:
    weight = np.asarray(1.0) if weight is None else _real(name, weight)
    try:
        return np.broadcast_to(weight, shape)
    except ValueError:
        raise ValueError(f"{name} must broadcast to the input's shape {shape}, not {weight.shape}") from None


def binary_cross_entropy_with_logits(
    input: Values,
    target: Values,
    weight: Float[np.ndarray, "..."] | None = None,
    reduction: Reduction = "mean",
    pos_weight: Float[np.ndarray, "..."] | None = None,
    *,
    mean_over: Literal["elements", "batch"] = "elements",
) -> Loss:
    r"""Binary cross-entropy of logits, finite for any of them.

    $\ell = w \left( (1 - y) x + (1 + (p - 1) y) \log(1 + e^{-x}) \right)$, where
    $\log(1 + e^{-x}) = \max(-x, 0) + \log(1 + e^{-|x|})$

    Shapes: input and target of any one shape, weight w and pos_weight p broadcast to it; the result has it too
    ("none") or no axis.
    Conventions: ``mean_over``, whether the mean divides by the elements or the batch.
    Raises: TypeError if an input is not real, ValueError if shapes do not fit or for an unknown choice.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 6.23 to 6.26.
    """
    x, y = _pair(input, target)
    w, p = _broadcast("weight", weight, x.shape), _broadcast("pos_weight", pos_weight, x.shape)
    softplus = np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))
    return _reduced(w * ((1 - y) * x + (1 + (p - 1) * y) * softplus), reduction, _counted(x, mean_over))


def binary_cross_entropy_with_logits_backward(
    grad_output: Upstream,
    input: Values,
    target: Values,
    weight: Float[np.ndarray, "..."] | None = None,
    reduction: Reduction = "mean",
    pos_weight: Float[np.ndarray, "..."] | None = None,
    *,
    mean_over: Literal["elements", "batch"] = "elements",
) -> Gradients:
    r"""Gradient of binary cross-entropy: $\bar x = \bar\ell w ((1 - y) \sigma(x) - p y \, \sigma(-x))$.

    Without weights this is $\sigma(x) - y$.

    Shapes: grad_output as the loss or without axes; the result as input.
    Conventions: as binary_cross_entropy_with_logits.
    Raises: TypeError, ValueError as binary_cross_entropy_with_logits, and if grad_output has another shape.
    Source: Goodfellow et al. (2016), equation 6.26, differentiated.
    """
    x, y = _pair(input, target)
    w, p = _broadcast("weight", weight, x.shape), _broadcast("pos_weight", pos_weight, x.shape)
    decay = np.exp(-np.abs(x))
    right, left = np.where(x < 0, decay, 1.0) / (1 + decay), np.where(x < 0, 1.0, decay) / (1 + decay)
    slope = w * ((1 - y) * right - p * y * left)
    return {"input": np.asarray(_spread(grad_output, x.shape, reduction, _counted(x, mean_over)) * slope)}


def _with_classes(input: Any) -> tuple[np.ndarray, int]:
    """The input and its axis of classes: 0 of one example, else 1."""
    x = _real("input", input)
    if x.ndim == 0 or x.shape[min(x.ndim, 2) - 1] == 0:
        raise ValueError(f"input must have shape (C,) or (N, C, ...) with C > 0, not {x.shape}")
    return x, 1 if x.ndim > 1 else 0


def _one_hot(target: np.ndarray, x: np.ndarray, axis: int, ignore_index: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Class labels as a distribution, all zero where ignored, and where they are not."""
    classes = x.shape[axis]
    if target.shape != x.shape[:axis] + x.shape[axis + 1 :]:
        raise ValueError(f"target must have shape {x.shape[:axis] + x.shape[axis + 1 :]}, not {target.shape}")
    kept = np.asarray(target != ignore_index)
    if np.any(kept & ((target < 0) | (target >= classes))):
        wrong = target[kept & ((target < 0) | (target >= classes))][0]
        raise ValueError(f"target must hold classes from 0 to {classes - 1} or ignore_index, not {wrong}")
    index = np.arange(classes).reshape(-1, *(1,) * (x.ndim - axis - 1))
    return (np.expand_dims(target, axis) == index) & np.expand_dims(kept, axis), kept


def _class_weights(weight: Any, x: np.ndarray, axis: int) -> np.ndarray:
    classes = x.shape[axis]
    weight = np.ones(classes) if weight is None else _real("weight", weight)
    if weight.shape != (classes,):
        raise ValueError(f"weight must have shape {(classes,)}, one for each class, not {weight.shape}")
    return weight.reshape(-1, *(1,) * (x.ndim - axis - 1))


def _examples(
    of_target: np.ndarray | np.float64, kept: np.ndarray, weighted_mean: WeightedMean, all_ignored: AllIgnored
) -> np.ndarray:
    """What the mean divides by, given the weight of each example's class."""
    _choice("all_ignored", all_ignored, ("nan", "zero"))
    weights = np.asarray(of_target)[kept]
    among = {"weights": weights.sum(), "count": kept.sum(), "nonzero": np.sum(weights != 0)}
    count = among[_choice("weighted_mean", weighted_mean, tuple(among))]
    return np.asarray(1.0 if all_ignored == "zero" and not kept.any() else count)


def _smoothed(
    y: np.ndarray, kept: np.ndarray, axis: int, smoothing: float, mass: SmoothingMass, ignore_index: int
) -> np.ndarray:
    """Targets of which a part is spread evenly, over all classes or those that are not the target."""
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, not {smoothing!r}")
    classes = y.shape[axis]
    _choice("smoothing_mass", mass, ("all", "others", "unpadded"))
    others = {"all": classes, "others": classes - 1, "unpadded": classes - 2}[mass]
    spread = smoothing / max(others, 1) * (1.0 if mass == "all" else 1 - y)
    if mass == "unpadded":
        padding = np.arange(classes).reshape(-1, *(1,) * (y.ndim - axis - 1)) == ignore_index
        spread = np.where(padding, 0.0, spread)
    return np.where(np.expand_dims(kept, axis), (1 - smoothing) * y + spread, 0.0)


def _cross_entropy_target(
    x: np.ndarray,
    target: Any,
    weight: Any,
    axis: int,
    smoothing: float,
    ignore_index: int,
    mass: SmoothingMass,
    weighted_mean: WeightedMean,
    all_ignored: AllIgnored,
) -> tuple[np.ndarray, np.ndarray]:
    """The weighted target distribution of each example, and what their mean divides by."""
    target, w = np.asarray(target), _class_weights(weight, x, axis)
    if target.dtype.kind in "iu":
        y, kept = _one_hot(target, x, axis, ignore_index)
        count = _examples((w * y).sum(axis=axis), kept, weighted_mean, all_ignored)
    else:
        y = _pair(x, target)[1]
        kept = np.ones(y.shape[:axis] + y.shape[axis + 1 :], bool)
        count = np.asarray(kept.size)
    return w * _smoothed(np.asarray(y, np.float64), kept, axis, smoothing, mass, ignore_index), count


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def cross_entropy(
    input: Logits,
    target: Labels,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    *,
    weighted_mean: WeightedMean = "weights",
    all_ignored: AllIgnored = "nan",
    smoothing_mass: SmoothingMass = "all",
) -> Loss:
    r"""Cross-entropy between a target distribution and the softmax of logits.

    $\ell = -\sum_c w_c q_c \log \mathrm{softmax}(x)_c$, where $q = (1 - \varepsilon) y + \varepsilon / C$ and y is a
    distribution or the class's indicator; the mean of class labels divides by the sum of their classes' weights.

    Shapes: input (C,) or (N, C, ...); target the same without C (classes, int) or the same (probabilities); weight
    (C,); the result as target without C ("none") or no axis.
    Conventions: ``weighted_mean``, whether the mean divides by the weights, the examples that are not ignored or those
    of them whose weight is not 0; ``all_ignored``, the mean of none; ``smoothing_mass``, who shares epsilon: all
    classes, all but the true one, or all but that and the one to be ignored.
    Raises: TypeError if an input is not real, ValueError if shapes do not fit, a class does not exist, or for a
    smoothing outside [0, 1] or an unknown choice.
    Source: Goodfellow et al. (2016), equation 6.30; smoothing: Szegedy et al., Rethinking the Inception Architecture
    (2016), section 7.
    """
    x, axis = _with_classes(input)
    q, count = _cross_entropy_target(
        x, target, weight, axis, label_smoothing, ignore_index, smoothing_mass, weighted_mean, all_ignored
    )
    with np.errstate(invalid="ignore"):
        terms = -np.where(q == 0, 0.0, q * _log_softmax(x, axis)).sum(axis=axis)
    return _reduced(terms, reduction, count)


def cross_entropy_backward(
    grad_output: Upstream,
    input: Logits,
    target: Labels,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    *,
    weighted_mean: WeightedMean = "weights",
    all_ignored: AllIgnored = "nan",
    smoothing_mass: SmoothingMass = "all",
) -> Gradients:
    r"""Gradient of cross-entropy: $\bar x_c = \bar\ell \left( s_c \sum_j w_j q_j - w_c q_c \right)$, s the softmax.

    Without weights this is $\bar\ell (s - q)$.

    Shapes: grad_output as the loss or without axes; the result as input.
    Conventions: as cross_entropy.
    Raises: TypeError, ValueError as cross_entropy, and if grad_output has another shape.
    Source: Goodfellow et al. (2016), equation 6.30, differentiated.
    """
    x, axis = _with_classes(input)
    q, count = _cross_entropy_target(
        x, target, weight, axis, label_smoothing, ignore_index, smoothing_mass, weighted_mean, all_ignored
    )
    slope = np.exp(_log_softmax(x, axis)) * q.sum(axis=axis, keepdims=True) - q
    grad = _spread(grad_output, x.shape[:axis] + x.shape[axis + 1 :], reduction, count)
    with np.errstate(invalid="ignore"):  # a mean of nothing passes back infinity, to nobody
        return {"input": np.where(slope == 0, 0.0, np.expand_dims(grad, axis) * slope)}


def nll_loss(
    input: Logits,
    target: Classes,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    *,
    weighted_mean: WeightedMean = "weights",
    all_ignored: AllIgnored = "nan",
) -> Loss:
    r"""Negative log-likelihood: picks the log-probability of the class, $\ell = -w_y x_y$.

    Shapes: input (C,) or (N, C, ...), target the same without C, weight (C,); the result as target or without axes.
    Conventions: ``weighted_mean`` and ``all_ignored`` as cross_entropy.
    Raises: TypeError if an input is not real or target holds no integers, ValueError if shapes do not fit, a class
    does not exist or for an unknown choice.
    Source: Goodfellow et al. (2016), equation 6.12.
    """
    x, y, count, axis = _labelled(input, target, weight, ignore_index, weighted_mean, all_ignored)
    return _reduced(-np.where(y == 0, 0.0, y * np.where(y == 0, 0.0, x)).sum(axis=axis), reduction, count)


def nll_loss_backward(
    grad_output: Upstream,
    input: Logits,
    target: Classes,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    *,
    weighted_mean: WeightedMean = "weights",
    all_ignored: AllIgnored = "nan",
) -> Gradients:
    r"""Gradient of the negative log-likelihood: $\bar x_c = -\bar\ell \, w_y$ at the class y, 0 elsewhere.

    Shapes: grad_output as the loss or without axes; the result as input.
    Conventions: as nll_loss.
    Raises: TypeError, ValueError as nll_loss, and if grad_output has another shape.
    Source: Goodfellow et al. (2016), equation 6.12, differentiated.
    """
    x, y, count, axis = _labelled(input, target, weight, ignore_index, weighted_mean, all_ignored)
    grad = _spread(grad_output, x.shape[:axis] + x.shape[axis + 1 :], reduction, count)
    with np.errstate(invalid="ignore"):
        return {"input": np.where(y == 0, 0.0, -np.expand_dims(grad, axis) * y)}


def _labelled(
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    weighted_mean: WeightedMean = "weights",
    all_ignored: AllIgnored = "nan",
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Input, the weighted indicator of its classes, what the mean divides by, and the axis of classes."""
    x, axis = _with_classes(input)
    target, w = np.asarray(target), _class_weights(weight, x, axis)
    if target.dtype.kind not in "iu":
        raise TypeError(f"target must hold integers, not {target.dtype}")
    y, kept = _one_hot(target, x, axis, ignore_index)
    return x, w * y, _examples((w * y).sum(axis=axis), kept, weighted_mean, all_ignored), axis


# --- divergence and margin -------------------------------------------------------------------------------------------


def _divergence_mean(reduction: str, x: np.ndarray) -> tuple[str, int]:
    """A divergence's reduction as one of the common three, and what its mean divides by."""
    _choice("reduction", reduction, (*REDUCTIONS, "batchmean", "classes"))
    batch = len(x) if x.ndim else 1
    return {"batchmean": ("mean", batch), "classes": ("none", 1)}.get(reduction, (reduction, x.size))


def kl_div(
    input: Values,
    target: Values,
    reduction: Literal["none", "sum", "mean", "batchmean", "classes"] = "mean",
    log_target: bool = False,
) -> Loss:
    r"""Kullback-Leibler divergence $KL(p \| q)$ from log-probabilities $x = \log q$ to a target p.

    $\ell = p (\log p - x)$ of each element, 0 where p is 0

    Shapes: input and target of any one shape; the result has it too ("none"), lacks the last axis ("classes") or has
    no axis.
    Conventions: "batchmean" divides by the examples, which gives the mean divergence; "mean" by all elements.
    Raises: TypeError if an input is not real, ValueError for different shapes or an unknown reduction.
    Source: Goodfellow et al. (2016), equation 3.50.
    """
    x, y = _pair(input, target)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        p, log_p = (np.exp(y), y) if log_target else (y, np.log(y))
        terms = np.where(p == 0, 0.0, p * (log_p - x))
    reduced, count = _divergence_mean(reduction, x)
    return _reduced(terms.sum(axis=-1) if reduction == "classes" else terms, reduced, count)


def kl_div_backward(
    grad_output: Upstream,
    input: Values,
    target: Values,
    reduction: Literal["none", "sum", "mean", "batchmean", "classes"] = "mean",
    log_target: bool = False,
) -> Gradients:
    r"""Gradient of the divergence: $\bar x = -\bar\ell \, p$.

    Shapes: grad_output as the loss or without axes; the result as input.
    Conventions: as kl_div.
    Raises: TypeError, ValueError as kl_div, and if grad_output has another shape.
    Source: Goodfellow et al. (2016), equation 3.50, differentiated.
    """
    x, y = _pair(input, target)
    reduced, count = _divergence_mean(reduction, x)
    grad = _spread(grad_output, x.shape[:-1] if reduction == "classes" else x.shape, reduced, count)
    each = grad[..., None] if reduction == "classes" else grad
    return {"input": np.asarray(-each * (np.exp(y) if log_target else y))}


def _margins(scores: Any, target: Any, margin: float, formula: Formula) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each score of each example violates, its derivative by that score, and by the true class's score."""
    s, y = _real("scores", scores), np.asarray(target)
    if s.ndim != 2 or s.shape[1] == 0:
        raise ValueError(f"scores must have shape (N, C) with C > 0, not {s.shape}")
    if y.dtype.kind not in "iu":
        raise TypeError(f"target must hold integers, not {y.dtype}")
    hot = _one_hot(y, s, 1, None)[0]
    if formula.startswith("one_against_all"):
        sign = np.where(hot, -1.0, 1.0)
        return margin + sign * s, sign, np.zeros_like(s)
    true = (s * hot).sum(axis=1, keepdims=True)
    violated = np.where(hot, -np.inf, margin - true + s)
    if formula in ("maximal", "maximal_with_zero"):
        largest = np.arange(s.shape[1]) == violated.argmax(axis=1)[:, None]
        if formula == "maximal_with_zero":
            return np.where(largest, np.maximum(violated, margin - true), -np.inf), 1.0 * (s > 0), -np.ones_like(s)
        violated = np.where(largest, violated, -np.inf)
    return violated, np.ones_like(s), -np.ones_like(s)


def hinge_loss(
    scores: Float[np.ndarray, "N C"],
    target: Int[np.ndarray, "N"],
    margin: float = 1.0,
    reduction: Reduction = "mean",
    *,
    formula: Formula = "averaged",
) -> Loss:
    r"""Multi-class margin loss.

    $\ell = \frac1C \sum_{j \ne y} \max(0, m - s_y + s_j)$

    Shapes: scores (N, C), target (N,); the result (N,) or no axis.
    Conventions: ``formula``: averaged over all C classes, summed, the largest violation alone, that with 0 among the
    other classes' scores, or $\sum_j \max(0, m - t_j s_j)$ with $t_j = 1$ for the true class and -1 otherwise, or its
    mean over the classes.
    Raises: TypeError if scores are not real or target holds no integers, ValueError if shapes do not fit, a class does
    not exist or for an unknown choice.
    Source: Weston, Watkins, Support Vector Machines for Multi-Class Pattern Recognition (1999), section 3; the
    largest alone: Crammer, Singer (2001), section 3.
    """
    _choice("formula", formula, get_args(Formula))
    violated = np.maximum(_margins(scores, target, margin, formula)[0], 0)
    each = violated.sum(axis=1) / (violated.shape[1] if formula.endswith("averaged") else 1)
    return _reduced(each, reduction, len(each))


def hinge_loss_backward(
    grad_output: Upstream,
    scores: Float[np.ndarray, "N C"],
    target: Int[np.ndarray, "N"],
    margin: float = 1.0,
    reduction: Reduction = "mean",
    *,
    formula: Formula = "averaged",
    gradient_at_kink: float = 0.0,
) -> Gradients:
    r"""Gradient of the margin loss: each violation pushes its class's score down and the true one's up.

    $\bar s_j = \bar\ell [v_j > 0] / C$ for $j \ne y$, $\bar s_y = -\sum_{j \ne y} \bar s_j$

    Shapes: grad_output as the loss or without axes; the result (N, C).
    Conventions: as hinge_loss; ``gradient_at_kink``, any number from 0 to 1, where the margin is met exactly.
    Raises: TypeError, ValueError as hinge_loss, and if grad_output has another shape.
    Source: Weston, Watkins (1999), section 3, differentiated.
    """
    _choice("formula", formula, get_args(Formula))
    violated, by_score, by_true = _margins(scores, target, margin, formula)
    active = np.where(violated == 0, gradient_at_kink, 1.0 * (violated > 0))
    examples, classes = active.shape
    grad = _spread(grad_output, (examples,), reduction, examples) / (classes if formula.endswith("averaged") else 1)
    slope = active * by_score
    slope[np.arange(examples), target] += (active * by_true).sum(axis=1)
    return {"scores": grad[:, None] * slope}
