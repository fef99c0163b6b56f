"""Regularisation in NumPy float64: dropout, norm penalties, gradient clipping, early stopping.

Every function leaves its arguments untouched and returns new arrays and states.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, "*shape"]
Drawn = Float[np.ndarray, "draws *shape"]
Vector = Float[np.ndarray, "n"]
Matrix = Float[np.ndarray, "n n"]
Gradients = dict[str, np.ndarray]
Grads = Sequence[np.ndarray | None]
Scaling = Literal["inverted", "original"]
Parameter = Literal["drop", "keep"]
Nonfinite = Literal["scaled", "nan", "kept"]
Scope = Literal["all", "each"]
Within = Literal["kept", "scaled"]


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    return array.astype(np.float64)


def _choice(name: str, value: Any, among: Sequence[Any]) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def _not_negative(name: str, value: Any) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, not {value!r}")
    return float(value)


# --- dropout ---------------------------------------------------------------------------------------------------------


class _Rates(NamedTuple):
    """The probability of dropping, the factor on what is kept, and that on everything outside training."""

    drop: float
    kept: float
    evaluated: float


def _rates(p: float, scaling: Scaling, parameter: Parameter) -> _Rates:
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability from 0 to 1, not {p!r}")
    drop = 1 - p if _choice("parameter", parameter, ("drop", "keep")) == "keep" else p
    if _choice("scaling", scaling, ("inverted", "original")) == "original":
        return _Rates(drop, 1.0, 1 - drop)
    return _Rates(drop, 0.0 if drop == 1 else 1 / (1 - drop), 1.0)


def dropout(
    input: Values,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: np.random.Generator,
    scaling: Scaling = "inverted",
    parameter: Parameter = "drop",
) -> Values:
    r"""Sets each element to zero with probability p, independently, in training; one draw.

    $y_i = m_i x_i / (1 - p)$ with $m_i \sim \mathrm{Bernoulli}(1 - p)$; outside training $y = x$

    Shapes: input and the result have any one shape.
    Conventions: ``scaling``: what is kept is divided by 1 - p ("inverted"), or everything is multiplied by 1 - p
    outside training ("original"); ``parameter``, whether p is the probability of dropping or of keeping.
    Raises: TypeError if input is not real, ValueError if p is no probability or for an unknown convention.
    Source: notes 004, Dropout; Srivastava et al., Dropout (2014), sections 4 and 10.
    """
    x, rates = _real("input", input), _rates(p, scaling, parameter)
    if not training:
        return x * rates.evaluated
    return np.where(rng.random(x.shape) < rates.drop, 0.0, x * rates.kept)


def dropout_read(
    samples: Drawn,
    input: Values,
    p: float = 0.5,
    training: bool = True,
    *,
    scaling: Scaling = "inverted",
    parameter: Parameter = "drop",
) -> tuple[Drawn, Mapping[str, tuple[np.ndarray, Mapping[float, float]]]]:
    r"""What was dropped, read back from many draws of an input without zeros.

    Shapes: samples (draws, ...), input (...); what the dropped elements give (draws, ...), and the law of dropping.
    Conventions: as dropout.
    Raises: as dropout.
    Source: the definition of dropout.
    """
    x, rates = _real("input", input), _rates(p, scaling, parameter)
    if not training:
        return np.broadcast_to(x * rates.evaluated, samples.shape), {}
    dropped = samples == 0
    rebuilt = np.where(dropped, 0.0, x * rates.kept)
    return rebuilt, {"dropped": (dropped.astype(np.float64), {0.0: 1 - rates.drop, 1.0: rates.drop})}


def dropout_backward(
    grad_output: Values,
    output: Values,
    input: Values,
    p: float = 0.5,
    training: bool = True,
    *,
    scaling: Scaling = "inverted",
    parameter: Parameter = "drop",
) -> Gradients:
    r"""Gradient of dropout, through the elements that this draw has kept: $\bar x_i = \bar y_i m_i / (1 - p)$.

    Shapes: all of one shape; output is what the draw gave, for an input without zeros unless p is 0 or 1.
    Conventions: as dropout.
    Raises: as dropout.
    Source: the chain rule on Srivastava et al. (2014), section 4.
    """
    grad, rates = _real("grad_output", grad_output), _rates(p, scaling, parameter)
    if not training:
        return {"input": grad * rates.evaluated}
    kept = (np.asarray(output) != 0) | (rates.drop == 0)
    return {"input": np.where(kept, grad * rates.kept, 0.0)}


# --- norm penalties --------------------------------------------------------------------------------------------------


def _gradient(grad_output: Any) -> np.ndarray:
    grad = _real("grad_output", grad_output)
    if grad.size != 1:
        raise ValueError(f"grad_output must be one number, not of shape {grad.shape}")
    return grad.reshape(())


def l1_penalty(weight: Values, strength: float = 1.0) -> Float[np.ndarray, ""]:
    r"""L1 norm penalty $C \sum_i |w_i|$.

    Shapes: weight of any shape; the result has no axis.
    Raises: TypeError if weight is not real, ValueError if strength is negative.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 7.18.
    """
    return np.asarray(_not_negative("strength", strength) * np.abs(_real("weight", weight)).sum())


def l1_penalty_backward(
    grad_output: Float[np.ndarray, "..."], weight: Values, strength: float = 1.0, *, gradient_at_zero: float = 0.0
) -> Gradients:
    r"""Gradient of the L1 penalty: $\bar w = \bar\ell \, C \, \mathrm{sign}(w)$.

    Shapes: grad_output one number; the result as weight.
    Conventions: ``gradient_at_zero``, any number from -1 to 1 (the subdifferential).
    Raises: TypeError, ValueError as l1_penalty, and if grad_output is not one number.
    Source: Goodfellow et al. (2016), equation 7.20.
    """
    w = _real("weight", weight)
    slope = np.where(w == 0, gradient_at_zero, np.sign(w))
    return {"weight": np.asarray(_gradient(grad_output) * _not_negative("strength", strength) * slope)}


def l2_penalty(weight: Values, strength: float = 1.0, *, factor: float = 0.5) -> Float[np.ndarray, ""]:
    r"""L2 norm penalty (weight decay, ridge, Tikhonov) $\frac{C}{2} \sum_i w_i^2$.

    Shapes: weight of any shape; the result has no axis.
    Conventions: ``factor``, 1/2 or 1.
    Raises: TypeError if weight is not real, ValueError if strength is negative.
    Source: notes 004, L2; Goodfellow et al. (2016), equation 7.2.
    """
    return np.asarray(_not_negative("strength", strength) * factor * np.sum(_real("weight", weight) ** 2))


def l2_penalty_backward(
    grad_output: Float[np.ndarray, "..."], weight: Values, strength: float = 1.0, *, factor: float = 0.5
) -> Gradients:
    r"""Gradient of the L2 penalty: $\bar w = \bar\ell \, C w$.

    Shapes: grad_output one number; the result as weight.
    Conventions: as l2_penalty.
    Raises: TypeError, ValueError as l2_penalty, and if grad_output is not one number.
    Source: notes 004, L2; Goodfellow et al. (2016), equation 7.3.
    """
    slope = _not_negative("strength", strength) * 2 * factor * _real("weight", weight)
    return {"weight": np.asarray(_gradient(grad_output) * slope)}


def l2_shrinkage(eigenvalues: Vector, strength: float) -> Vector:
    r"""By what the L2 penalty shrinks the minimum along each eigenvector of the Hessian: $\lambda / (\lambda + C)$.

    Shapes: eigenvalues and the result (n,).
    Raises: TypeError if the eigenvalues are not real, ValueError if strength is negative.
    Source: notes 004, L2; Goodfellow et al. (2016), equation 7.13.
    """
    values = _real("eigenvalues", eigenvalues)
    return values / (values + _not_negative("strength", strength))


def l2_minimum(hessian: Matrix, minimum: Vector, strength: float) -> Vector:
    r"""Minimum of a quadratic cost with an L2 penalty, $(H + C I)^{-1} H w^*$.

    By way of the eigenvectors: $Q (\Lambda + C I)^{-1} \Lambda Q^\top w^*$.

    Shapes: hessian (n, n), symmetric; minimum w* without the penalty (n,); the result (n,).
    Raises: TypeError if an argument is not real, ValueError if strength is negative.
    Source: notes 004, L2; Goodfellow et al. (2016), equations 7.10 and 7.13.
    """
    eigenvalues, basis = np.linalg.eigh(_real("hessian", hessian))
    return basis @ (l2_shrinkage(eigenvalues, strength) * (basis.T @ _real("minimum", minimum)))


# --- gradient clipping -----------------------------------------------------------------------------------------------


def _norm(values: np.ndarray, norm_type: float) -> float:
    return float(np.linalg.norm(values.ravel(), norm_type)) if values.size else 0.0


def clip_grad_norm(
    grads: Grads,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    *,
    epsilon: float = 1e-6,
    nonfinite: Nonfinite = "scaled",
    scope: Scope = "all",
    within: Within = "kept",
) -> tuple[list[np.ndarray | None], float]:
    r"""Scales all gradients by one factor so that their common norm is at most c; returns them and the norm before.

    $g \leftarrow g \min(1, c / (\|g\| + \epsilon))$, the norm of all elements of all gradients

    Shapes: gradients of any shapes, or None for a parameter without one, which stays None.
    Conventions: ``epsilon``; ``nonfinite``, whether an infinite norm makes 0 of finite elements ("scaled") or NaN
    ("nan"), or makes 0 of them while a norm of NaN leaves them ("kept"); ``scope``, whether the norm is that of "all"
    gradients or "each" one's own; ``within``, whether gradients of a smaller norm are "kept" or "scaled" by
    $\|g\| / (\|g\| + \epsilon)$.
    Raises: TypeError if a gradient is not real, ValueError for a negative max_norm, a norm_type <= 0, or where the norm
    is not finite and error_if_nonfinite is set.
    Source: Pascanu, Mikolov, Bengio, On the Difficulty of Training Recurrent Neural Networks (2013), algorithm 1.
    """
    limit = _not_negative("max_norm", max_norm)
    if not norm_type > 0:
        raise ValueError(f"norm_type must be positive, not {norm_type!r}")
    arrays = [None if grad is None else _real("grads", grad) for grad in grads]
    total = _norm(np.concatenate([[], *(grad.ravel() for grad in arrays if grad is not None)]), norm_type)
    if error_if_nonfinite and not np.isfinite(total):
        raise ValueError(f"the norm of the gradients must be finite, not {total}")
    _choice("scope", scope, ("all", "each"))

    def factor(grad: np.ndarray) -> float:
        norm = total if scope == "all" else _norm(grad.ravel(), norm_type)
        return clipping_factor(norm, limit, epsilon, nonfinite, within)

    return [None if grad is None else np.asarray(grad * factor(grad)) for grad in arrays], total


def clipping_factor(
    total: float, limit: float, epsilon: float = 1e-6, nonfinite: Nonfinite = "scaled", within: Within = "kept"
) -> float:
    r"""What gradients of a norm are multiplied by: $\min(1, c / (\|g\| + \epsilon))$.

    Conventions: as clip_grad_norm.
    Raises: ValueError for an unknown convention.
    Source: Pascanu, Mikolov, Bengio (2013), algorithm 1.
    """
    _choice("nonfinite", nonfinite, ("scaled", "nan", "kept"))
    if np.isnan(total):
        return 1.0 if nonfinite == "kept" else np.nan
    if nonfinite == "nan" and np.isinf(total):
        return np.nan
    if _choice("within", within, ("kept", "scaled")) == "scaled" and total <= limit:
        return total / (total + epsilon) if total else 1.0
    return 1.0 if total + epsilon <= limit else limit / (total + epsilon)


def clip_grad_value(grads: Grads, clip_value: float) -> list[np.ndarray | None]:
    r"""Clips every element of every gradient: $g_i \leftarrow \max(-c, \min(g_i, c))$.

    Shapes: gradients of any shapes, or None for a parameter without one, which stays None.
    Raises: TypeError if a gradient is not real, ValueError for a negative clip_value.
    Source: Mikolov, Statistical Language Models Based on Neural Networks (2012), section 3.2.2.
    """
    limit = _not_negative("clip_value", clip_value)
    return [None if grad is None else np.asarray(np.clip(_real("grads", grad), -limit, limit)) for grad in grads]


# --- early stopping --------------------------------------------------------------------------------------------------


class Stopping(NamedTuple):
    """What early stopping remembers: best value and its epoch (None before the first), bad values in a row, epochs."""

    best: float | None = None
    best_epoch: int | None = None
    bad: int = 0
    epochs: int = 0


def early_stopping(
    value: float,
    state: Stopping | None = None,
    patience: int = 0,
    min_delta: float = 0.0,
    mode: Literal["min", "max"] = "min",
    *,
    waits: Literal["patience", "one_more"] = "patience",
    reference_value: Literal["best", "lowest", "any_gain"] = "best",
) -> tuple[bool, Stopping]:
    r"""Stops when a value has not improved for so long; whether to stop now, and the new state.

    A value is good if it is below the best so far by more than min_delta (above it, in mode "max"), and becomes the
    best; any other, NaN too, is bad. ``patience`` bad values in a row stop it; 0 stops at the first.

    Conventions: ``waits``, whether it stops at ``patience`` bad values or one later; ``reference_value``: "lowest" and
    "any_gain" let every better value become the best, and a gain of exactly min_delta is good with "lowest".
    Raises: ValueError for a negative patience or min_delta, or an unknown mode or convention.
    Source: Prechelt, Early Stopping - But When? (1998), section 2.2; notes 001, section 10.
    """
    sign = {"min": 1.0, "max": -1.0}[_choice("mode", mode, ("min", "max"))]
    delta, needed = _not_negative("min_delta", min_delta), max(int(_not_negative("patience", patience)), 1)
    _choice("waits", waits, ("patience", "one_more"))
    best, best_epoch, bad, epochs = state or Stopping()
    gain = np.inf if best is None and not np.isnan(value) else sign * ((np.nan if best is None else best) - value)
    kept = _choice("reference_value", reference_value, ("best", "lowest", "any_gain"))
    good = bool(gain >= delta if kept == "lowest" else gain > delta)
    if gain > 0 and (good or kept != "best"):
        best, best_epoch = float(value), epochs
    bad = 0 if good else bad + 1
    stops = bad >= needed if waits == "patience" else bad > patience
    return stops, Stopping(best, best_epoch, bad, epochs + 1)
