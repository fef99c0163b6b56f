"""The update rules in pieces, so that a known mistake is one piece exchanged."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.optimizers import reference
from dlcheck.optimizers.mistakes import Rule, Step, defaults_of
from dlcheck.optimizers.reference import Array, State


def _read(component: str, param: Array, grad: Array, given: dict[str, Any]) -> tuple[SimpleNamespace, Array, Array]:
    """All settings of a rule, the direction to descend along and the parameters to step from."""
    s = SimpleNamespace(**{**defaults_of(component), **given})
    decoupled = getattr(s, "decoupled_weight_decay", True)
    return s, *reference.descent_and_start(param, grad, s.lr, s.weight_decay, decoupled, s.maximize)


def _rates(s: SimpleNamespace) -> tuple[float, float]:
    """What multiplies the gradient on its way into the velocity, and the velocity on its way out."""
    return (s.lr, 1.0) if s.velocity == "inside" else (1.0, s.lr)


def _dampening(s: SimpleNamespace) -> float:
    return (0.0 if s.nesterov else s.momentum) if s.dampening is None else s.dampening


def sgd(
    component: str,
    velocity: Callable[..., Array] = lambda v, g, mu, lr: mu * v + g,
    lookahead: Callable[..., Array] = lambda v, g, mu, old: g + mu * v,
    stored: Callable[..., Array] = lambda v, g, mu, nesterov: v,
    started: Callable[[Array], Array] = np.zeros_like,
    damped: Callable[..., float] = lambda dampening, mu, first: 1.0 if first else 1 - dampening,
) -> Rule:
    """Momentum by pieces: the velocity, Nesterov's step, what is stored, where it starts, the weight of a gradient."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read(component, param, grad, given)
        if s.momentum == 0:
            return start - s.lr * g, {}
        inner, outer = _rates(s)
        old = state["velocity"] if state else started(param)
        first = not state and s.first_step == "undamped"
        v = velocity(old, damped(_dampening(s), s.momentum, first) * inner * g, s.momentum, s.lr)
        step = lookahead(v, inner * g, s.momentum, old) if s.nesterov else v
        return start - outer * step, {"velocity": stored(v, inner * g, s.momentum, s.nesterov)}

    return rule


def aliasing(component: str, in_place: bool) -> Rule:
    """Momentum whose first velocity is the gradient's own memory, which then changes with it.

    ``in_place`` tells whether the velocity is updated where it is, and so for ever, or gets memory of its own.
    """
    rule = getattr(reference, component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, _, start = _read(component, param, grad, given)
        untouched = not s.maximize and (s.decoupled_weight_decay or not s.weight_decay)
        if not untouched or s.momentum == 0 or s.velocity == "inside":
            return rule(param, grad, state, **given)
        if not state:
            step = grad + s.momentum * grad if s.nesterov else grad
            return start - s.lr * step, {"velocity": grad}
        v = state["velocity"]
        if in_place:
            v *= s.momentum
            v += (1 - _dampening(s)) * grad
        else:
            v = s.momentum * v + (1 - _dampening(s)) * grad
        step = grad + s.momentum * v if s.nesterov else v
        return start - s.lr * step, {"velocity": v}

    return mistaken


def adagrad(
    total: Callable[..., Array] = lambda s, g: s + g**2,
    root: Callable[..., Array] = reference.denominator,
    divisor: Callable[..., Array] = lambda s, old, t: s,
    rate: Callable[..., float] = lambda lr, decay, steps: lr / (1 + steps * decay),
    started: Callable[[Array, float], Array] = np.full_like,
) -> Rule:
    """Adagrad by pieces: the sum, its root, what divides, the rate after so many steps, where the sum starts."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read("adagrad", param, grad, given)
        state = state or {"step": 0, "sum": started(param, s.initial_accumulator_value)}
        steps, summed = state["step"], total(state["sum"], g)
        step = g / root(divisor(summed, state["sum"], steps + 1), s.eps, s.epsilon)
        return start - rate(s.lr, s.lr_decay, steps) * step, {"step": steps + 1, "sum": summed}

    return rule


def rmsprop(
    average: Callable[..., Array] = lambda v, g, alpha, t: alpha * v + (1 - alpha) * g**2,
    mean: Callable[..., Array] = lambda a, g, alpha: alpha * a + (1 - alpha) * g,
    variance: Callable[..., Array] = lambda v, a, old: v - a**2,
    root: Callable[..., Array] = reference.denominator,
    divisor: Callable[..., Array] = lambda v, old, alpha, t: v,
    velocity: Callable[..., Array] = lambda b, d, mu, lr: mu * b + d,
    step: Callable[..., Array] = lambda b, d, mu: b,
    divided_last: bool = False,
) -> Rule:
    """RMSprop by pieces: the averages, the centred variance, its root, what divides, the velocity and the step."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read("rmsprop", param, grad, given)
        zero = np.zeros_like(param)
        state = state or {"step": 0, "square": np.full_like(param, s.initial), "mean": zero, "velocity": zero}
        t = state["step"] + 1
        v, a = average(state["square"], g, s.alpha, t), mean(state["mean"], g, s.alpha)
        spread = divisor(v, state["square"], s.alpha, t)
        below = root(variance(spread, a, state["mean"]) if s.centered else spread, s.eps, s.epsilon)
        inner, outer = _rates(s)
        d = inner * (g if divided_last else g / below)
        b = velocity(state["velocity"], d, s.momentum, s.lr)
        moved = step(b, d, s.momentum)
        kept = {"step": t, "square": v, "mean": a, "velocity": b}
        return start - outer * (moved / below if divided_last else moved), kept

    return rule


def adadelta(
    average: Callable[..., Array] = lambda v, g, rho: rho * v + (1 - rho) * g**2,
    step: Callable[..., Array] = lambda u, v, g, eps: np.sqrt(u + eps) / np.sqrt(v + eps) * g,
    progress: Callable[..., Array] = lambda u, d, g, rho, lr: rho * u + (1 - rho) * d**2,
    divisor: Callable[..., Array] = lambda v, old: v,
    over: Callable[..., Array] = lambda u, new: u,
) -> Rule:
    """Adadelta by pieces: the two averages, which of the old and new ones are taken, and the step made of them."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read("adadelta", param, grad, given)
        state = state or {"square": np.zeros_like(param), "delta": np.zeros_like(param)}
        v, u = average(state["square"], g, s.rho), state["delta"]
        below = divisor(v, state["square"])
        d = step(u, below, g, s.eps)
        u = progress(u, d, g, s.rho, s.lr)
        d = step(over(state["delta"], u), below, g, s.eps)
        return start - s.lr * d, {"square": v, "delta": u}

    return rule


def adam(
    component: str,
    mean: Callable[..., Array] = lambda m, g, beta, t: beta * m + (1 - beta) * g,
    square: Callable[..., Array] = lambda v, g, m, beta, t: beta * v + (1 - beta) * g**2,
    corrections: Callable[..., tuple[float, float]] = lambda b1, b2, t: (1 - b1**t, 1 - b2**t),
    root: Callable[..., Array] = reference.denominator,
    count: Callable[[int], int] = lambda steps: steps + 1,
    direction: Callable[..., Array] = lambda m, g, b1, v: m,
    stored: Callable[..., tuple[Array, Array, Array]] = lambda m, v, top, c1, c2: (m, v, top),
    largest: Callable[..., Array] = lambda top, v, old: np.maximum(top, v),
    step: Callable[..., Array] = lambda d, s, t, c1, below, param: s.lr * d,
    started: Callable[[Array], tuple[Array, Array]] = lambda param: (np.zeros_like(param), np.zeros_like(param)),
) -> Rule:
    """Adam by pieces: averages, corrections, root, the step's count, direction and size, what is stored, the start."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read(component, param, grad, given)
        first, second = started(param)
        state = state or {"step": 0, "mean": first, "square": second, "largest": np.zeros_like(param)}
        before = state["step"] if getattr(s, "steps_before", None) is None else s.steps_before
        t = count(before)
        m = mean(state["mean"], g, s.betas[0], t)
        v = square(state["square"], g, m, s.betas[1], t)
        c1, c2 = corrections(*s.betas, t) if s.bias_correction else (1.0, 1.0)
        top = largest(state["largest"], v, state["square"]) if s.amsgrad else v
        below = root(top / c2, s.eps, s.epsilon, c2)
        d = direction(m, g, s.betas[0], v) / c1 / below
        kept = dict(zip(("mean", "square", "largest"), stored(m, v, top, c1, c2), strict=True))
        return start - step(d, s, t, c1, below, param), {"step": t, **kept}

    return rule


def averaging(component: str, betas: Callable[[float, float], tuple[float, float]]) -> Rule:
    """Adam whose averages use other betas than its corrections."""
    own = defaults_of(component)["betas"]

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        b1, b2 = given.get("betas", own)
        mistaken = adam(component, corrections=lambda _1, _2, t: (1 - b1**t, 1 - b2**t))
        return mistaken(param, grad, state, **{**given, "betas": betas(b1, b2)})

    return rule


def no_root(mean_square: Array, eps: float, epsilon: str, correction: float = 1.0) -> Array:
    """The mean square itself where its root belongs."""
    return mean_square + eps


def cube_root(mean_square: Array, eps: float, epsilon: str, correction: float = 1.0) -> Array:
    """The cube root in place of the square root."""
    return np.cbrt(mean_square) + eps


def eps_twice(mean_square: Array, eps: float, epsilon: str, correction: float = 1.0) -> Array:
    """The root with eps inside and outside."""
    return np.sqrt(mean_square + eps) + eps


def at_least_eps(mean_square: Array, eps: float, epsilon: str, correction: float = 1.0) -> Array:
    """The root, or eps where that is larger."""
    return np.maximum(np.sqrt(mean_square), eps)


def no_division(mean_square: Array, eps: float, epsilon: reference.Epsilon, correction: float = 1.0) -> Array:
    """What multiplies by the root where it should divide."""
    return 1 / reference.denominator(mean_square, eps, epsilon, correction)


def mean_square(g: Array) -> Array:
    """One mean square for all elements."""
    return np.full_like(g, np.mean(g**2) if g.size else 0.0)


def sum_of_squares(g: Array) -> Array:
    """The squared norm for all elements."""
    return np.full_like(g, np.sum(g**2))
