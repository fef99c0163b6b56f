"""Known mistakes in gradient descent and its two kinds of momentum."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcheck.optimizers.mistakes import (
    AWAY,
    EARLY,
    NO_MOMENTUM,
    NOT_OBEYED,
    OFF_SCALE,
    TOO_FAR,
    Replaced,
    Step,
    defaults_of,
    faults,
    settings,
)
from dlcheck.optimizers.pieces import aliasing, sgd
from dlcheck.optimizers.reference import Array, State

_SGD = ("sgd", "momentum", "nesterov")
_HEAVY_BALL = ("sgd", "momentum")
_LOOKAHEAD = ("sgd", "nesterov")


def _looking_ahead_as_made(component: str) -> Replaced:
    """The rule whose look-ahead has the momentum that the optimizer was made with, in every group."""

    def rule(param: Array, grad: Array, state: State | None = None, made: float = 0.0, **given: Any) -> Step:
        return sgd(component, lookahead=lambda v, g, mu, old: g + made * v)(param, grad, state, **given)

    def settings_of(settings: dict[str, Any], groups: Sequence[Mapping[str, Any]], at: int) -> dict[str, Any]:
        return {**settings, **groups[at], "made": {**defaults_of(component), **settings}["momentum"]}

    return {component: rule, "group_settings": settings_of}


MOMENTUM = (
    faults(_HEAVY_BALL, "momentum-ignored", "momentum is ignored", NO_MOMENTUM, "v = momentum v + g; p <- p - lr v",
            lambda c: settings(c, lambda: {"momentum": 0.0, "nesterov": False})),
    faults("nesterov", "averaged", "the velocity averages: 1 - momentum weighs the gradient", OFF_SCALE,
            "v = momentum v + g, not (1 - momentum) g", lambda c: sgd(c, lambda v, g, mu, lr: mu * v + (1 - mu) * g)),
    faults(_SGD, "gradient-times-momentum", "momentum multiplies the new gradient too", OFF_SCALE,
            "v = momentum v + g, not momentum (v + g)", lambda c: sgd(c, lambda v, g, mu, lr: mu * (v + g))),
    faults(_SGD, "previous-gradient", "the previous gradient is kept, not the velocity", NO_MOMENTUM,
            "keep v = momentum v + g", lambda c: sgd(c, stored=lambda v, g, mu, nesterov: g)),
    faults(_SGD, "not-decayed", "the old velocity is not multiplied by momentum", TOO_FAR, "v = momentum v + g",
            lambda c: sgd(c, lambda v, g, mu, lr: v + g)),
    faults(_SGD, "momentum-lr-twice", "the stored step is multiplied by lr again", NO_MOMENTUM,
            "v = momentum v + lr g; p <- p - v", lambda c: sgd(c, lambda v, g, mu, lr: mu * lr * v + g),
            ("BRML/climin/issues/29",), momentum="opt-adadelta-momentum-lr-twice"),
    faults(_SGD, "lr-squared", "lr multiplies the gradient and the velocity", OFF_SCALE,
            "v = momentum v + lr g; p <- p - v", lambda c: sgd(c, lambda v, g, mu, lr: mu * v + lr * g)),
    faults(_HEAVY_BALL, "dampening-ignored", "dampening is ignored", NOT_OBEYED, "v = momentum v + (1 - dampening) g",
            lambda c: settings(c, lambda: {"dampening": 0.0})),
    faults(_LOOKAHEAD, "nesterov-ignored", "the step is that of classical momentum",
            "Training oscillates more than it should.", "p <- p - lr (g + momentum v)",
            lambda c: settings(c, lambda: {"nesterov": False})),
    faults(_LOOKAHEAD, "nesterov-sign", "the look-ahead has the wrong sign", AWAY, "p <- p - lr (g + momentum v)",
            lambda c: sgd(c, lookahead=lambda v, g, mu, old: g - mu * v), ("PaddlePaddle/Paddle/pull/12231",),
            nesterov="opt-nesterov-sign"),
    faults(_LOOKAHEAD, "nesterov-whole", "the look-ahead adds the velocity without momentum", TOO_FAR,
            "p <- p - lr (g + momentum v)", lambda c: sgd(c, lookahead=lambda v, g, mu, old: g + v)),
    faults(_LOOKAHEAD, "nesterov-cancels", "the look-ahead takes the momentum off again", NO_MOMENTUM,
            "p <- p - lr (g + momentum v)", lambda c: sgd(c, lookahead=lambda v, g, mu, old: g)),
    faults(_LOOKAHEAD, "nesterov-double-momentum", "the old velocity is added twice", TOO_FAR,
            "move by momentum v before the gradient is taken, and only by -lr g after it",
            lambda c: sgd(c, lookahead=lambda v, g, mu, old: 2 * mu * old + g),
            ("oysteijo/simd_neuralnet/issues/17",), nesterov="opt-nesterov-double-momentum"),
    faults(_LOOKAHEAD, "nesterov-lookahead-stored", "the look-ahead overwrites the stored velocity", TOO_FAR,
            "keep v; only the step is g + momentum v",
            lambda c: sgd(c, stored=lambda v, g, mu, nesterov: g + mu * v if nesterov else v),
            ("google-deepmind/optax/commit/82326d6f83695b98baec414e1f9770b3b4d225cd",),
            nesterov="opt-nesterov-lookahead-stored"),
    faults(_LOOKAHEAD, "nesterov-adds-old", "the old velocity is added, not taken off", TOO_FAR,
            "p <- p - momentum v_old + (1 + momentum) v, v = momentum v_old - lr g",
            lambda c: sgd(c, lookahead=lambda v, g, mu, old: mu * old + (1 + mu) * v)),
    faults(_LOOKAHEAD, "nesterov-without-gradient", "the step is momentum v, without the gradient", EARLY,
            "p <- p - lr (g + momentum v)", lambda c: sgd(c, lookahead=lambda v, g, mu, old: mu * v)),
    faults(_LOOKAHEAD, "nesterov-gradient-sign", "the gradient of the look-ahead has the wrong sign", AWAY,
            "p <- p - lr (g + momentum v)", lambda c: sgd(c, lookahead=lambda v, g, mu, old: mu * v - g)),
    faults(_LOOKAHEAD, "nesterov-updated-velocity", "the formula of the old velocity is used with the new one",
            TOO_FAR, "p <- p - lr (momentum^2 v_old + (1 + momentum) g)",
            lambda c: sgd(c, lookahead=lambda v, g, mu, old: mu**2 * v + (1 + mu) * g)),
    faults(_LOOKAHEAD, "nesterov-momentum-twice", "momentum multiplies the gradient of the look-ahead too", OFF_SCALE,
            "p <- p - lr (g + momentum v)", lambda c: sgd(c, lookahead=lambda v, g, mu, old: mu * (g + v))),
    faults("sgd", "nesterov-momentum-as-made", "the look-ahead has the momentum of the constructor",
            NOT_OBEYED, "p <- p - lr (g + momentum v), momentum of the group", _looking_ahead_as_made),
    faults(_HEAVY_BALL, "dampening-exchanged", "momentum and 1 - dampening are exchanged", OFF_SCALE,
            "v = momentum v + (1 - dampening) g",
            lambda c: sgd(c, lambda v, g, mu, lr: v + g, damped=lambda dampening, mu, first: 1.0 if first else mu)),
    faults(_HEAVY_BALL, "dampening-itself", "dampening weighs the gradient, not 1 - dampening", OFF_SCALE,
            "v = momentum v + (1 - dampening) g",
            lambda c: sgd(c, damped=lambda dampening, mu, first: dampening if dampening and not first else 1.0)),
    faults(_SGD, "averaged-later", "from the second step on the velocity averages", OFF_SCALE,
            "v = momentum v + g, not (1 - momentum) g",
            lambda c: sgd(c, damped=lambda dampening, mu, first: 1.0 if first else 1 - mu)),
    faults(_SGD, "starts-at-one", "the velocity starts from ones", EARLY, "v = 0 at first",
            lambda c: sgd(c, started=np.ones_like)),
    faults(_SGD, "starts-at-parameters", "the velocity starts from the parameters", EARLY, "v = 0 at first",
            lambda c: sgd(c, started=np.array)),
    faults(_SGD, "gradient-is-buffer", "the velocity is the gradient's own memory", OFF_SCALE,
            "v = g.clone() at the first step", lambda c: aliasing(c, in_place=True),
            ("pytorch/pytorch/issues/196083",)),
    faults(_SGD, "gradient-was-buffer", "the first velocity is the gradient's own memory", OFF_SCALE,
            "v = g.clone() at the first step", lambda c: aliasing(c, in_place=False)),
    faults(_SGD, "gradient-is-buffer-zeroed", "zero_grad clears the velocity, the gradient's own memory", NO_MOMENTUM,
            "v = g.clone() at the first step",
            lambda c: {c: aliasing(c, in_place=True), "clears_in_place": lambda asked: True}),
    faults(_SGD, "gradient-was-buffer-zeroed", "zero_grad clears the first velocity, the gradient's memory",
            EARLY, "v = g.clone() at the first step",
            lambda c: {c: aliasing(c, in_place=False), "clears_in_place": lambda asked: True}),
)  # fmt: skip
