"""What the known mistakes in optimizers are made of: variations of any rule."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from dlcheck.component import faults_in
from dlcheck.optimizers import reference
from dlcheck.optimizers.reference import Array, State

Step = tuple[Array, State | None]
Rule = Callable[..., Step]
Replaced = Mapping[str, Callable[..., Any]]

# What goes wrong, in the words of those whom it happens to.

AWAY = "The loss grows instead of falling."
GROWTH = "Weights grow without bound."
OFF_SCALE = "Steps are off by a factor, which a retuned learning rate hides until the next change."
TOO_FAR = "Steps overshoot, and training oscillates or diverges."
NO_MOMENTUM = "Past gradients hardly count: training is as slow as without momentum."
WRONG_DECAY = "Weights are regularised more or less than the setting says."
NO_ADAPTATION = "Parameters with large gradients dominate, those with small ones stand still."
FADING = "Training comes to a halt long before a solution is reached."
NANS = "Parameters become NaN at the first zero gradient, that of a dead unit or an unused row."
RESUMED = "A run that is resumed differs from one that went through."
NOT_OBEYED = "A setting that the user gives has no effect."
EARLY = "The first steps, which decide much of what training finds, have the wrong size."
UNEVEN = "The size of a step depends on the size of the gradients in the wrong way."


faults = partial(faults_in, "opt-{}".format)
"""One mistake in each of some components."""


@cache
def defaults_of(component: str) -> dict[str, Any]:
    """The keywords of a rule with their defaults."""
    parameters = inspect.signature(getattr(reference, component)).parameters
    return {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


# Variations of any rule: of its settings, its gradient, its state.


def settings(component: str, change: Callable[..., dict[str, Any]]) -> Rule:
    """The rule at the settings that ``change`` makes of those that its parameters name."""
    rule, defaults, read = getattr(reference, component), defaults_of(component), inspect.signature(change).parameters

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
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        shrink = size(known["weight_decay"], known["lr"], known["maximize"]) * param
        along = (-shrink if known["maximize"] else shrink) if coupled else 0.0
        stepped, state = rule(param, grad + along, state, **{**given, "weight_decay": 0.0})
        return stepped - (0.0 if coupled else shrink), state

    return mistaken


def penalised(component: str, penalty: Callable[[Array], Array]) -> Rule:
    """The rule whose weight decay is of something else made of the parameters."""
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        coupled = not known.get("decoupled_weight_decay", True)
        pull = known["weight_decay"] * penalty(param)
        along = (-pull if known["maximize"] else pull) if coupled else 0.0
        stepped, state = rule(param, grad + along, state, **{**given, "weight_decay": 0.0})
        return stepped - (0.0 if coupled else known["lr"] * pull), state

    return mistaken


def mirrored(component: str) -> Rule:
    """The rule that adds its step where it should take it off; decay beside the step stays as it is."""
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        moved, state = rule(param, grad, state, **given)
        known = {**defaults, **given}
        shrunk = known["lr"] * known["weight_decay"] if known.get("decoupled_weight_decay", True) else 0.0
        return 2 * (param - shrunk * param) - moved, state

    return mistaken


def decayed_both_ways(component: str, in_turn: bool = False) -> Rule:
    """The rule with weight decay in the gradient and beside the step, of weights that have shrunk ``in_turn``."""
    coupled = decay(component, lambda weight_decay, lr, maximize: weight_decay)
    defaults = defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        shrunk = known["lr"] * known["weight_decay"] * param
        if in_turn:
            return coupled(param - shrunk, grad, state, **given)
        moved, state = coupled(param, grad, state, **given)
        return moved - shrunk, state

    return mistaken


def decay_of_gradient(component: str) -> Rule:
    """The rule whose weight decay beside the step is of the direction that the step follows."""
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        moved, state = rule(param, grad, state, **{**given, "weight_decay": 0.0})
        descent = -grad if known["maximize"] else grad
        return moved - known["lr"] * known["weight_decay"] * descent, state

    return mistaken


def decay_by_axes(component: str, axes: int) -> Rule:
    """The rule that leaves parameters of no more than so many axes without weight decay."""
    rule = getattr(reference, component)
    return lambda param, grad, state=None, **given: rule(
        param, grad, state, **(given if np.ndim(param) > axes else {**given, "weight_decay": 0.0})
    )


def decay_passing_by(piece: Callable[[Array], Rule]) -> Rule:
    """A rule one piece of which, made of the gradient as it came, knows nothing of weight decay."""

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        return piece(-grad if given.get("maximize") else grad)(param, grad, state, **given)

    return mistaken


def decay_at_first_rate(component: str, at: Callable[[float], bool]) -> dict[str, Callable[..., Any]]:
    """The rule whose weight decay beside the step has the learning rate that there was at first, ``at`` some rates."""
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, first: Any = None, **given: Any) -> Step:
        known = {**defaults, **given}
        moved, state = rule(param, grad, state, **{**given, "weight_decay": 0.0})
        rate = first if first is not None and at(known["lr"]) else known["lr"]
        return moved - rate * known["weight_decay"] * param, state

    def changed(settings: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
        return {**settings, **change, "first": settings.get("first", settings["lr"])}

    return {component: mistaken, "outside_change": changed}


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
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        grad *= -1.0 if known["maximize"] else 1.0
        if known["weight_decay"] and not known.get("decoupled_weight_decay", True):
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


def reading(component: str, gradient: Callable[[Array], Array], coupled: bool = True) -> Rule:
    """The rule on something else made of the gradient, or of the direction that decay is part of."""
    rule, defaults = getattr(reference, component), defaults_of(component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        known = {**defaults, **given}
        if not coupled or known.get("decoupled_weight_decay", True):
            return rule(param, gradient(grad), state, **given)
        descent = (-grad if known["maximize"] else grad) + known["weight_decay"] * param
        return rule(param, gradient(descent), state, **{**given, "weight_decay": 0.0, "maximize": False})

    return mistaken


def moving(component: str, step: Callable[[Array, Array], Array]) -> Rule:
    """The rule whose step, made of the right one and the new state, is another."""
    rule = getattr(reference, component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        moved, state = rule(param, grad, state, **given)
        return param + step(moved - param, param), state

    return mistaken


def scaling_gradient(component: str) -> Rule:
    """The rule that leaves its step in its caller's gradient."""
    rule = getattr(reference, component)

    def mistaken(param: Array, grad: Array, state: State | None = None, **given: Any) -> Step:
        moved, state = rule(param, np.array(grad), state, **given)
        grad *= 0.0
        grad += param - moved
        return moved, state

    return mistaken


def losing(*names: str) -> Callable[[State | None], State | None]:
    """What is left of a state without some of its parts, which start from 0 again."""
    return lambda state: state and {key: 0 * value if key in names else value for key, value in state.items()}
