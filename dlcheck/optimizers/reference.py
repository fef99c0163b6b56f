"""The optimizers' update rules in NumPy, as their sources write them: pure functions of one parameter array."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Array = Float[np.ndarray | np.float64, "*shape"]
"""Of any shape; NumPy's arithmetic makes a number of an array without axes."""
State = dict[str, Any]
Epsilon = Literal["outside_sqrt", "hat", "inside_sqrt", "none"]


def _require_same_shape(param: Array, grad: Array) -> None:
    if np.shape(param) != np.shape(grad):
        raise ValueError(f"grad has shape {np.shape(grad)}, expected {np.shape(param)}, the shape of param")


def _require_at_least_zero(**settings: float) -> None:
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value}, expected a number of at least 0")


def _require_fraction(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, expected a number from 0 to 1")


def _require_betas(betas: tuple[float, float]) -> None:
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas is {betas}, expected two numbers of at least 0 and below 1")


def _require_nesterov(nesterov: bool, momentum: float, dampening: float) -> None:
    if nesterov and (momentum == 0 or dampening != 0):
        given = f"nesterov is True with momentum {momentum} and dampening {dampening}"
        raise ValueError(f"{given}, expected momentum above 0 and dampening 0")


def descent_and_start(
    param: Array, grad: Array, lr: float, weight_decay: float, decoupled: bool, maximize: bool
) -> tuple[Array, Array]:
    """The direction to descend along and the parameters to step from; coupled decay is part of the direction."""
    descent = -grad if maximize else grad
    if decoupled:
        return descent, param - lr * weight_decay * param
    return descent + weight_decay * param, param


def denominator(mean_square: Array, eps: float, epsilon: Epsilon, correction: float = 1.0) -> Array:
    """Root of a mean square with eps where the convention puts it; ``correction`` is what eps-hat is not divided by."""
    if epsilon == "inside_sqrt":
        return np.sqrt(mean_square + eps)
    if epsilon == "none":  # an element that has seen no gradient yet does not move
        return np.where(mean_square == 0, 1.0, np.sqrt(mean_square))
    return np.sqrt(mean_square) + (eps / np.sqrt(correction) if epsilon == "hat" else eps)


def sgd(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float | None = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    velocity: Literal["outside", "inside"] = "outside",
    first_step: Literal["undamped", "damped"] = "undamped",
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    """One step of stochastic gradient descent, with momentum or Nesterov's momentum where ``momentum`` is not 0.

    g_t = grad + weight_decay p;  v_1 = g_1,  v_t = momentum v_{t-1} + (1 - dampening) g_t;
    p <- p - lr v_t, with Nesterov p <- p - lr (g_t + momentum v_t); without momentum p <- p - lr g_t.

    Shapes: param, grad and the velocity have one and the same shape.
    Conventions: ``velocity="inside"`` stores lr in the velocity, v_t = momentum v_{t-1} + lr g_t, p <- p - v_t, which
    differs once lr changes; ``first_step="damped"`` starts from v_0 = 0; ``dampening=None`` means that of the momentum
    (0 with Nesterov); ``decoupled_weight_decay`` takes lr weight_decay p off p and leaves g alone.
    Raises: ValueError for settings out of range or a gradient of another shape.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum", equations 1 to 4; the notes 001,
    sections 8.1 to 8.3.
    """
    damping = (0.0 if nesterov else momentum) if dampening is None else dampening
    _require_same_shape(param, grad)
    _require_at_least_zero(lr=lr, momentum=momentum, weight_decay=weight_decay)
    _require_nesterov(nesterov, momentum, damping)
    descent, start = descent_and_start(param, grad, lr, weight_decay, decoupled_weight_decay, maximize)
    if momentum == 0:
        return start - lr * descent, {}
    inner, outer = (lr, 1.0) if velocity == "inside" else (1.0, lr)
    previous = (state or {}).get("velocity")
    weight = 1.0 if previous is None and first_step == "undamped" else 1 - damping
    moved = weight * inner * descent + (0.0 if previous is None else momentum * previous)
    step = inner * descent + momentum * moved if nesterov else moved
    return start - outer * step, {"velocity": moved}


def momentum(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-3,
    momentum: float = 0.9,
    dampening: float | None = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    velocity: Literal["outside", "inside"] = "outside",
    first_step: Literal["undamped", "damped"] = "undamped",
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    """One step of classical (heavy-ball) momentum: ``sgd`` with momentum 0.9 unless told.

    v_t = momentum v_{t-1} + g_t;  p <- p - lr v_t. Shapes, Conventions and Raises as ``sgd``.
    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; the notes 001, section 8.2.
    """
    return sgd(
        param, grad, state, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
        maximize=maximize, velocity=velocity, first_step=first_step, decoupled_weight_decay=decoupled_weight_decay,
    )  # fmt: skip


def nesterov(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-3,
    momentum: float = 0.9,
    dampening: float | None = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = True,
    maximize: bool = False,
    velocity: Literal["outside", "inside"] = "outside",
    first_step: Literal["undamped", "damped"] = "undamped",
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    """One step of Nesterov's momentum as libraries write it, with the gradient taken at the parameters themselves.

    v_t = momentum v_{t-1} + g_t;  p <- p - lr (g_t + momentum v_t). Shapes, Conventions and Raises as ``sgd``.
    Source: Bengio et al. 2012, "Advances in optimizing recurrent networks", equations 7 and 8; the notes 001, 8.3.
    """
    return sgd(
        param, grad, state, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
        maximize=maximize, velocity=velocity, first_step=first_step, decoupled_weight_decay=decoupled_weight_decay,
    )  # fmt: skip


def nesterov_lookahead(
    param: Array,
    gradient: Callable[[Array], Array],
    state: State | None = None,
    *,
    lr: float,
    momentum: float,
) -> tuple[Array, State]:
    """One step of Nesterov's momentum with the gradient taken where the old velocity leads.

    v_t = momentum v_{t-1} - lr gradient(p + momentum v_{t-1});  p <- p + v_t.

    Shapes: ``gradient`` maps an array of param's shape to one of the same shape.
    Conventions: the learning rate is inside the velocity, which points downhill, as in the notes.
    Raises: ValueError for settings out of range.
    Source: Sutskever et al. 2013, equations 3 and 4; the notes 001, section 8.3.
    """
    _require_at_least_zero(lr=lr, momentum=momentum)
    previous = momentum * state["velocity"] if state else np.zeros_like(param)
    velocity = previous - lr * gradient(param + previous)
    return param + velocity, {"velocity": velocity}


def adagrad(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
    epsilon: Epsilon = "outside_sqrt",
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    """One step of Adagrad.

    g = grad + weight_decay p;  s_t = s_{t-1} + g^2, s_0 = initial_accumulator_value;
    p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s_t) + eps).

    Shapes: param, grad and the sum of squares have one and the same shape.
    Conventions: ``epsilon="inside_sqrt"`` divides by sqrt(s_t + eps), "none" by sqrt(s_t) where that is not 0;
    ``decoupled_weight_decay`` takes lr weight_decay p off p and leaves g alone.
    Raises: ValueError for settings out of range or a gradient of another shape.
    Source: Duchi, Hazan, Singer 2011, "Adaptive subgradient methods", figure 1 (diagonal); the notes 001, section 8.4.
    """
    _require_same_shape(param, grad)
    _require_at_least_zero(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
    _require_at_least_zero(initial_accumulator_value=initial_accumulator_value)
    state = state or {"step": 0, "sum": np.full_like(param, initial_accumulator_value)}
    descent, start = descent_and_start(param, grad, lr, weight_decay, decoupled_weight_decay, maximize)
    total = state["sum"] + descent**2
    rate = lr / (1 + state["step"] * lr_decay)
    return start - rate * descent / denominator(total, eps, epsilon), {"step": state["step"] + 1, "sum": total}


def rmsprop(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
    epsilon: Epsilon = "outside_sqrt",
    initial: float = 0.0,
    velocity: Literal["outside", "inside"] = "outside",
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    """One step of RMSprop, centred and with momentum on demand.

    g = grad + weight_decay p;  s_t = alpha s_{t-1} + (1 - alpha) g^2;  a_t = alpha a_{t-1} + (1 - alpha) g;
    d = g / (sqrt(s_t - a_t^2 if centred, else s_t) + eps);  b_t = momentum b_{t-1} + d;  p <- p - lr b_t.

    Shapes: param, grad and all averages have one and the same shape.
    Conventions: ``epsilon="inside_sqrt"`` divides by sqrt(s_t + eps); ``initial`` is s_0; ``velocity="inside"`` stores
    lr in b_t; ``decoupled_weight_decay`` takes lr weight_decay p off p and leaves g alone.
    Raises: ValueError for settings out of range or a gradient of another shape.
    Source: Hinton 2012, "Neural networks for machine learning", lecture 6e; Graves 2013 (arXiv 1308.0850), equations 38
    to 45 for the centred form; the notes 001, section 8.5.
    """
    _require_same_shape(param, grad)
    _require_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay, momentum=momentum)
    _require_fraction(alpha=alpha)
    zero = np.zeros_like(param)
    state = state or {"square": np.full_like(param, initial), "mean": zero, "velocity": zero}
    descent, start = descent_and_start(param, grad, lr, weight_decay, decoupled_weight_decay, maximize)
    square = alpha * state["square"] + (1 - alpha) * descent**2
    mean = alpha * state["mean"] + (1 - alpha) * descent
    step = descent / denominator(square - mean**2 if centered else square, eps, epsilon)
    inner, outer = (lr, 1.0) if velocity == "inside" else (1.0, lr)
    moved = momentum * state["velocity"] + inner * step
    return start - outer * moved, {"square": square, "mean": mean, "velocity": moved}


def adadelta(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    """One step of Adadelta.

    g = grad + weight_decay p;  s_t = rho s_{t-1} + (1 - rho) g^2;  d = sqrt(u_{t-1} + eps) / sqrt(s_t + eps) g;
    u_t = rho u_{t-1} + (1 - rho) d^2;  p <- p - lr d.

    Shapes: param, grad and both averages have one and the same shape.
    Conventions: u_t averages the step without lr; ``decoupled_weight_decay`` takes lr weight_decay p off p and leaves g
    alone.
    Raises: ValueError for settings out of range or a gradient of another shape.
    Source: Zeiler 2012, "ADADELTA" (arXiv 1212.5701), algorithm 1; the notes 001, section 8.6.
    """
    _require_same_shape(param, grad)
    _require_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    _require_fraction(rho=rho)
    state = state or {"square": np.zeros_like(param), "delta": np.zeros_like(param)}
    descent, start = descent_and_start(param, grad, lr, weight_decay, decoupled_weight_decay, maximize)
    square = rho * state["square"] + (1 - rho) * descent**2
    step = np.sqrt(state["delta"] + eps) / np.sqrt(square + eps) * descent
    delta = rho * state["delta"] + (1 - rho) * step**2
    return start - lr * step, {"square": square, "delta": delta}


def _adam_direction(
    descent: Array,
    state: State,
    betas: tuple[float, float],
    eps: float,
    amsgrad: bool,
    epsilon: Epsilon,
    bias_correction: bool,
    amsgrad_max: Literal["raw", "corrected", "uncorrected"],
) -> tuple[Array, State]:
    """The corrected mean over the root of the corrected mean square, and the new state."""
    step = state["step"] + 1
    mean = betas[0] * state["mean"] + (1 - betas[0]) * descent
    square = betas[1] * state["square"] + (1 - betas[1]) * descent**2
    corrected = bias_correction and not (amsgrad and amsgrad_max == "uncorrected")
    correction1, correction2 = (1 - beta**step if corrected else 1.0 for beta in betas)
    # the largest mean square is kept corrected or raw; what it is still to be divided by is left over
    before, after = (correction2, 1.0) if amsgrad_max == "corrected" else (1.0, correction2)
    largest = np.maximum(state["largest"], square / before)
    root = denominator(largest / after if amsgrad else square / correction2, eps, epsilon, correction2)
    return mean / correction1 / root, {"step": step, "mean": mean, "square": square, "largest": largest}


def _adam_start(param: Array, **others: Any) -> State:
    zero = np.zeros_like(param)
    return {"step": 0, "mean": zero, "square": zero, "largest": zero, **others}


def _counted(state: State, steps_before: int | None) -> State:
    return state if steps_before is None else {**state, "step": steps_before}


def adam(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    epsilon: Epsilon = "outside_sqrt",
    bias_correction: bool = True,
    amsgrad_max: Literal["raw", "corrected", "uncorrected"] = "raw",
    decoupled_weight_decay: bool = False,
    steps_before: int | None = None,
) -> tuple[Array, State]:
    """One step of Adam, with AMSGrad's maximum on demand.

    g = grad + weight_decay p;  m_t = b1 m_{t-1} + (1 - b1) g;  v_t = b2 v_{t-1} + (1 - b2) g^2;
    p <- p - lr m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t)) + eps);  AMSGrad: max_{s <= t} v_s in place of v_t.

    Shapes: param, grad and all averages have one and the same shape.
    Conventions: ``epsilon="hat"`` adds eps to sqrt(v_t) before the correction, "inside_sqrt" to v_t / (1 - b2^t);
    ``bias_correction=False`` leaves both corrections out; ``amsgrad_max="corrected"`` takes the maximum of
    v_t / (1 - b2^t), "uncorrected" goes without corrections under AMSGrad; ``decoupled_weight_decay`` takes
    lr weight_decay p off p and leaves g alone; ``steps_before`` is t - 1 where one count of steps serves all
    parameters, else the state counts the steps in which this one had a gradient.
    Raises: ValueError for settings out of range or a gradient of another shape.
    Source: Kingma, Ba 2015 (arXiv 1412.6980), algorithm 1 (eps-hat: end of section 2); Reddi, Kale, Kumar 2018,
    algorithm 2; the notes 001, section 8.7.
    """
    _require_same_shape(param, grad)
    _require_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    _require_betas(betas)
    descent, start = descent_and_start(param, grad, lr, weight_decay, decoupled_weight_decay, maximize)
    state = _counted(state or _adam_start(param), steps_before)
    direction, state = _adam_direction(descent, state, betas, eps, amsgrad, epsilon, bias_correction, amsgrad_max)
    return start - lr * direction, state


def adamw(
    param: Array,
    grad: Array,
    state: State | None = None,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    maximize: bool = False,
    epsilon: Epsilon = "outside_sqrt",
    bias_correction: bool = True,
    decay_scale: Literal["lr", "schedule"] = "lr",
    decay_order: Literal["old", "updated"] = "old",
    steps_before: int | None = None,
) -> tuple[Array, State]:
    """One step of AdamW: Adam whose weight decay does not pass through the averages.

    p <- p - lr weight_decay p - lr m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t)) + eps), m_t and v_t as in ``adam``.

    Shapes: param, grad and all averages have one and the same shape.
    Conventions: ``decay_scale="schedule"`` scales the decay by lr_t / lr_1 in place of lr_t; ``decay_order="updated"``
    shrinks the weights after Adam's step; ``epsilon``, ``bias_correction`` and ``steps_before`` as ``adam``.
    Raises: ValueError for settings out of range or a gradient of another shape.
    Source: Loshchilov, Hutter 2019 (arXiv 1711.05101), algorithm 2.
    """
    _require_same_shape(param, grad)
    _require_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
    _require_betas(betas)
    state = _counted(state or _adam_start(param, first_lr=lr), steps_before)
    rate = lr / state["first_lr"] if decay_scale == "schedule" else lr
    direction, moments = _adam_direction(
        -grad if maximize else grad, state, betas, eps, amsgrad, epsilon, bias_correction, "raw"
    )
    moved = param - lr * direction
    decayed = moved if decay_order == "updated" else param
    return moved - rate * weight_decay * decayed, {**moments, "first_lr": state["first_lr"]}
