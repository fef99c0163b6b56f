"""What the known mistakes in optimizers are made of: variations of any rule, and the rules in pieces."""

import inspect
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.optimizers import reference
from dlcheck.optimizers.reference import Array, State

Step = tuple[Array, State | None]
Rule = Callable[..., Step]


@cache
def _defaults(component: str) -> dict[str, Any]:
    parameters = inspect.signature(getattr(reference, component)).parameters
    return {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


# Variations of any rule: of its settings, its gradient, its state.


def settings(component: str, change: Callable[..., dict[str, Any]]) -> Rule:
    """The rule at the settings that ``change`` makes of those that its parameters name."""
    rule, defaults, read = getattr(reference, component), _defaults(component), inspect.signature(change).parameters

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        return rule(param, grad, state, **{**given, **change(**{name: known[name] for name in read})})

    return mistaken


def unless_given(component: str, **defaults: Any) -> Rule:
    """The rule with other default settings."""
    rule = getattr(reference, component)
    return lambda param, grad, state=None, **given: rule(param, grad, state, **{**defaults, **given})


def decay(component: str, size: Callable[..., float], coupled: bool = True) -> Rule:
    """The rule with weight decay ``size(weight_decay, lr, maximize)``, in the gradient or beside the step."""
    rule, defaults = getattr(reference, component), _defaults(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        shrink = size(known["weight_decay"], known["lr"], known["maximize"]) * param
        along = (-shrink if known["maximize"] else shrink) if coupled else 0.0
        stepped, state = rule(param, grad + along, state, **{**given, "weight_decay": 0.0})
        return stepped - (0.0 if coupled else shrink), state

    return mistaken


def mirrored(component: str) -> Rule:
    """The rule that adds its step where it should take it off; decay beside the step stays as it is."""
    rule = getattr(reference, component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        moved, state = rule(param, grad, state, **given)
        _, _, start = _read(component, param, grad, given)
        return 2 * start - moved, state

    return mistaken


def decayed_both_ways(component: str) -> Rule:
    """The rule with weight decay both in the gradient and beside the step."""
    coupled = decay(component, lambda weight_decay, lr, maximize: weight_decay)
    defaults = _defaults(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        moved, state = coupled(param, grad, state, **given)
        return moved - known["lr"] * known["weight_decay"] * param, state

    return mistaken


def accumulating(component: str, cleared: int = 0) -> Rule:
    """The rule on the sum of all gradients so far, of which only the first ``cleared`` elements are ever cleared."""
    rule = getattr(reference, component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        seen, inner = (state["seen"], state["inner"]) if state else (np.zeros_like(grad), None)
        total = grad + np.where(np.arange(grad.size).reshape(grad.shape) < cleared, 0.0, seen)
        moved, inner = rule(param, total, inner, **given)
        return moved, {"seen": total, "inner": inner}

    return mistaken


def in_place(component: str) -> Rule:
    """The rule that prepares the gradient in its caller's array: its sign, and decay that belongs in it."""
    rule, defaults = getattr(reference, component), _defaults(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        grad *= -1.0 if known["maximize"] else 1.0
        if not known.get("decoupled_weight_decay", True):
            grad += known["weight_decay"] * param
            given = {**given, "weight_decay": 0.0}
        return rule(param, grad, state, **{**given, "maximize": False})

    return mistaken


def skipping_zeros(component: str) -> Rule:
    """The rule that takes a gradient of nothing but zeros for a missing one."""
    rule = getattr(reference, component)
    return lambda param, grad, state=None, **given: rule(param, grad, state, **given) if grad.any() else (param, state)


def forgetting(component: str) -> Rule:
    """The rule that starts anew at every step."""
    rule = getattr(reference, component)
    return lambda param, grad, state=None, **given: rule(param, grad, None, **given)


def single_precision(component: str) -> Rule:
    """The rule whose result passes through float32."""
    rule = getattr(reference, component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        moved, state = rule(param, grad, state, **given)
        return np.asarray(moved, np.float32).astype(np.float64), state

    return mistaken


# The rules in pieces, so that a mistake is one piece exchanged.


def _read(component: str, param: Array, grad: Array, given: dict[str, Any]) -> tuple[SimpleNamespace, Array, Array]:
    """All settings of a rule, the direction to descend along and the parameters to step from."""
    s = SimpleNamespace(**{**_defaults(component), **given})
    decoupled = getattr(s, "decoupled_weight_decay", True)
    return s, *reference.descent_and_start(param, grad, s.lr, s.weight_decay, decoupled, s.maximize)


def sgd(
    component: str,
    velocity: Callable[..., Array] = lambda v, g, mu, lr: mu * v + g,
    lookahead: Callable[..., Array] = lambda v, g, mu, old: g + mu * v,
    stored: Callable[..., Array] = lambda v, g, mu, nesterov: v,
) -> Rule:
    """Momentum by pieces: the velocity, Nesterov's step and what is stored."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read(component, param, grad, given)
        if s.momentum == 0:
            return start - s.lr * g, {}
        dampening = (0.0 if s.nesterov else s.momentum) if s.dampening is None else s.dampening
        old = state["velocity"] if state else np.zeros_like(param)
        v = velocity(old, (1 - dampening) * g if state else g, s.momentum, s.lr)
        step = lookahead(v, g, s.momentum, old) if s.nesterov else v
        return start - s.lr * step, {"velocity": stored(v, g, s.momentum, s.nesterov)}

    return rule


def adagrad(
    total: Callable[..., Array] = lambda s, g: s + g**2,
    root: Callable[..., Array] = reference.denominator,
    divisor: Callable[..., Array] = lambda s, old: s,
    age: Callable[[int], int] = lambda steps: steps,
) -> Rule:
    """Adagrad by pieces: the sum, its root, which sum divides, and the age that the rate decays with."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read("adagrad", param, grad, given)
        state = state or {"step": 0, "sum": np.full_like(param, s.initial_accumulator_value)}
        summed = total(state["sum"], g)
        rate = s.lr / (1 + age(state["step"]) * s.lr_decay)
        step = g / root(divisor(summed, state["sum"]), s.eps, s.epsilon)
        return start - rate * step, {"step": state["step"] + 1, "sum": summed}

    return rule


def rmsprop(
    average: Callable[..., Array] = lambda v, g, alpha: alpha * v + (1 - alpha) * g**2,
    variance: Callable[..., Array] = lambda v, a: v - a**2,
    root: Callable[..., Array] = reference.denominator,
    divisor: Callable[..., Array] = lambda v, old, alpha, t: v,
    velocity: Callable[..., Array] = lambda b, d, mu, lr: mu * b + d,
    divided_last: bool = False,
) -> Rule:
    """RMSprop by pieces: the average, the centred variance, its root, what divides, and the velocity."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read("rmsprop", param, grad, given)
        zero = np.zeros_like(param)
        state = state or {"step": 0, "square": np.full_like(param, s.initial), "mean": zero, "velocity": zero}
        t, v = state["step"] + 1, average(state["square"], g, s.alpha)
        a = s.alpha * state["mean"] + (1 - s.alpha) * g
        spread = divisor(v, state["square"], s.alpha, t)
        below = root(variance(spread, a) if s.centered else spread, s.eps, s.epsilon)
        b = velocity(state["velocity"], g if divided_last else g / below, s.momentum, s.lr)
        return start - s.lr * (b / below if divided_last else b), {"step": t, "square": v, "mean": a, "velocity": b}

    return rule


def adadelta(
    average: Callable[..., Array] = lambda v, g, rho: rho * v + (1 - rho) * g**2,
    step: Callable[..., Array] = lambda u, v, g, eps: np.sqrt(u + eps) / np.sqrt(v + eps) * g,
    progress: Callable[..., Array] = lambda u, d, g, rho, lr: rho * u + (1 - rho) * d**2,
) -> Rule:
    """Adadelta by pieces: the average of squared gradients, the step, and the average of squared steps."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read("adadelta", param, grad, given)
        state = state or {"square": np.zeros_like(param), "delta": np.zeros_like(param)}
        v = average(state["square"], g, s.rho)
        d = step(state["delta"], v, g, s.eps)
        return start - s.lr * d, {"square": v, "delta": progress(state["delta"], d, g, s.rho, s.lr)}

    return rule


def adam(
    component: str,
    mean: Callable[..., Array] = lambda m, g, beta, t: beta * m + (1 - beta) * g,
    square: Callable[..., Array] = lambda v, g, m, beta: beta * v + (1 - beta) * g**2,
    corrections: Callable[..., tuple[float, float]] = lambda b1, b2, t: (1 - b1**t, 1 - b2**t),
    root: Callable[..., Array] = reference.denominator,
    count: Callable[[int], int] = lambda steps: steps + 1,
    direction: Callable[..., Array] = lambda m, g, b1: m,
    stored: Callable[..., tuple[Array, Array, Array]] = lambda m, v, top, c1: (m, v, top),
) -> Rule:
    """Adam by pieces: the averages, their corrections, the root, the step's count and direction, what is stored."""

    def rule(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        s, g, start = _read(component, param, grad, given)
        zero = np.zeros_like(param)
        state = state or {"step": 0, "mean": zero, "square": zero, "largest": zero}
        t = count(state["step"])
        m = mean(state["mean"], g, s.betas[0], t)
        v = square(state["square"], g, m, s.betas[1])
        c1, c2 = corrections(*s.betas, t) if s.bias_correction else (1.0, 1.0)
        top = np.maximum(state["largest"], v) if s.amsgrad else v
        below = root(top / c2, s.eps, s.epsilon, c2)
        kept = dict(zip(("mean", "square", "largest"), stored(m, v, top, c1), strict=True))
        return start - s.lr * direction(m, g, s.betas[0]) / c1 / below, {"step": t, **kept}

    return rule


def no_root(mean_square: Array, eps: float, epsilon: str, correction: float = 1.0) -> Array:
    """The mean square itself where its root belongs."""
    return mean_square + eps


def eps_twice(mean_square: Array, eps: float, epsilon: str, correction: float = 1.0) -> Array:
    """The root with eps inside and outside."""
    return np.sqrt(mean_square + eps) + eps


def mean_square(g: Array) -> Array:
    """One mean square for all elements."""
    return np.full_like(g, np.mean(g**2) if g.size else 0.0)
