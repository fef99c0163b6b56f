"""Known mistakes in optimizers, each a runnable variation of the reference: here those of any rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcheck.optimizers.adam_faults import ADAM, ADAMW
from dlcheck.optimizers.adaptive_faults import ADAPTIVE
from dlcheck.optimizers.mistakes import (
    AWAY,
    EARLY,
    GROWTH,
    NANS,
    NO_ADAPTATION,
    NOT_OBEYED,
    RESUMED,
    UNEVEN,
    WRONG_DECAY,
    Replaced,
    accumulating,
    decay,
    decay_by_axes,
    decayed_both_ways,
    defaults_of,
    faults,
    forgetting,
    in_place,
    losing,
    mirrored,
    moving,
    penalised,
    reading,
    scaling_gradient,
    settings,
    single_precision,
    skipping_zeros,
)
from dlcheck.optimizers.momentum_faults import MOMENTUM
from dlcheck.optimizers.reference import Array

_SGD = ("sgd", "momentum", "nesterov")
_ADAMS = ("adam", "adamw")
_EPS = ("adagrad", "rmsprop", "adadelta", *_ADAMS)
_COUPLED = (*_SGD, "adagrad", "rmsprop", "adadelta", "adam")
_ALL = (*_SGD, *_EPS)
_MOVING = tuple(name for name in _ALL if name != "adadelta")
"""Those that an eps left out does not bring to a stop."""


_PARTS = {
    "adagrad": {"sum": "sum of squares", "step": "step count"},
    "rmsprop": {"square": "mean square", "velocity": "velocity", "mean": "mean"},
    "adadelta": {"square": "mean square", "delta": "mean squared step"},
    "adam": {"mean": "mean", "square": "mean square", "largest": "largest mean square"},
    "adamw": {"mean": "mean", "square": "mean square", "largest": "largest mean square"},
}
"""The parts of each state, with their names in a sentence."""

_OWN = {
    "momentum": (*_SGD, "rmsprop"),
    "dampening": ("sgd", "momentum"),
    "nesterov": "sgd",
    "lr_decay": "adagrad",
    "alpha": "rmsprop",
    "centered": "rmsprop",
    "rho": "adadelta",
    "betas": _ADAMS,
    "amsgrad": _ADAMS,
    "eps": _EPS,
    "maximize": _ALL,
}
"""Settings that a group may have of its own, beside lr and weight_decay, and the rules that have them."""


def _only(group: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: group[name]} if name in group else {}


def _lr_of(component: str, made: Mapping[str, Any]) -> float:
    return made.get("lr", defaults_of(component)["lr"])


def _before_none(grads: Sequence[Array | None]) -> list[Array | None]:
    ends = next((index for index, grad in enumerate(grads) if grad is None), len(grads))
    return [grad if index < ends else None for index, grad in enumerate(grads)]


def _group_less(*names: str) -> Replaced:
    """Groups whose own settings of these names are not read."""
    return {
        "group_settings": lambda settings, groups, at: {
            **settings, **{key: value for key, value in groups[at].items() if key not in names}
        }
    }  # fmt: skip


def _group_from(source: int, name: str) -> Replaced:
    """Groups that all have one setting of the same group."""
    return {
        "group_settings": lambda settings, groups, at: {
            **settings, **_only(settings, name), **{k: v for k, v in groups[at].items() if k != name},
            **_only(groups[source], name),
        }
    }  # fmt: skip


_ANY = (
    # any rule
    faults(_ALL, "uphill", "the step has the wrong sign", AWAY, "p <- p - lr step", mirrored),
    faults(_MOVING, "unmoved", "the new value is computed, but not written to the parameter",
            "Nothing is ever learned.", "p.sub_(lr step), not p = p - lr step",
            lambda c: lambda param, grad, state=None, **given: (param, state)),
    faults(_ALL, "maximize-ignored", "maximize is ignored", NOT_OBEYED, "g = -grad if maximize else grad",
            lambda c: settings(c, lambda: {"maximize": False})),
    faults(_COUPLED, "maximize-flips-decay", "maximize turns weight decay round too", GROWTH,
            "g = -grad + weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: -wd if maximize else wd)),
    faults(_COUPLED, "decay-sign", "weight decay has the wrong sign", GROWTH, "g = grad + weight_decay p",
            lambda c: decay(c, lambda wd, lr, maximize: -wd)),
    faults(_COUPLED, "decay-twice", "weight decay is applied twice", WRONG_DECAY, "g = grad + weight_decay p, once",
            lambda c: decay(c, lambda wd, lr, maximize: 2 * wd)),
    faults(_COUPLED, "decay-scaled", "weight decay is multiplied by lr in the gradient", WRONG_DECAY,
            "g = grad + weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: lr * wd)),
    faults(_COUPLED, "decay-without-lr", "weight decay is taken off without the learning rate", WRONG_DECAY,
            "g = grad + weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: wd, coupled=False)),
    faults(_ALL, "decay-ignored", "weight_decay is ignored", NOT_OBEYED, "g = grad + weight_decay p",
            lambda c: settings(c, lambda: {"weight_decay": 0.0})),
    faults((*_COUPLED, "adamw"), "decay-both-ways", "weight decay acts beside the step and in the gradient",
            WRONG_DECAY, "one of the two", decayed_both_ways),
    faults(_ALL, "gradients-accumulate", "gradients are not cleared between steps",
            "Old gradients are counted again at every step.", "clear gradients before each backward pass",
            accumulating),
    faults(_ALL, "mutates-gradient", "the update changes the caller's gradient in place",
            "Gradients that are accumulated, reused or logged are wrong.", "g = grad + weight_decay p, not grad += ...",
            in_place, ("apache/mxnet/pull/15768",), adam="opt-update-mutates-gradient"),
    faults(_ALL, "single-precision", "the update passes through float32", "Training in float64 loses half its digits.",
            "compute in the dtype of the parameter", single_precision),
    faults(_ALL, "lr-fixed", "a learning rate changed from outside is not seen", "Schedules have no effect.",
            "read lr from the group at every step", lambda c: {"outside_change": lambda settings, change: settings}),
    faults(_ALL, "lr-zero-ignored", "a learning rate of 0 is taken for none", "Frozen layers go on learning.",
            "if lr is not None, not if lr", lambda c: {"outside_change": lambda settings, change: {
                **settings, **{name: value for name, value in change.items() if value}}}),
    faults(_ALL, "lr-of-constructor", "the learning rate is read from the constructor", "Schedules have no effect.",
            "read lr from the group at every step",
            lambda c: {"outside_change": lambda settings, change: {**settings, **change, **_only(settings, "lr")},
                       "group_settings": lambda settings, groups, at: {
                           **settings, **groups[at], **_only(settings, "lr")}}),
    faults(_ALL, "groups-ignored", "settings of parameter groups are ignored", NOT_OBEYED,
            "read each setting from the parameter's own group",
            lambda c: {"group_settings": lambda settings, groups, at: settings}),
    faults(_ALL, "groups-lr-only", "of a group's settings only the learning rate is used", NOT_OBEYED,
            "read each setting from the parameter's own group",
            lambda c: {"group_settings": lambda settings, groups, at: {**settings, **_only(groups[at], "lr")}}),
    faults(_ALL, "state-not-loaded", "load_state_dict does not restore the state", RESUMED,
            "save and load all averages and counts", lambda c: {"reload_state": lambda state: None}),
    faults(_ADAMS, "step-not-loaded", "load_state_dict does not restore the step count", RESUMED,
            "save and load the step count too",
            lambda c: {"reload_state": losing("step"), "reload_count": lambda steps: 0}),
    faults(("nesterov", *_EPS), "state-lost", "the state starts anew at every step", EARLY,
            "keep the averages from step to step", forgetting),
    faults(_ALL, "skips-zeros", "a parameter whose gradient is zero is left out",
            "Momentum, averages and weight decay stop where they should go on.",
            "skip a gradient that is None, not zero",
            skipping_zeros),
    faults(_ALL, "groups-first-only", "only the first parameter group is updated",
            "The other groups, often the head of a network, are never trained.",
            "for group in self.param_groups: ...", lambda c: {"updates_group": lambda at, added: at == 0}),
    faults(_ALL, "groups-first-for-all", "all groups have the settings of the first", NOT_OBEYED,
            "read each setting from the parameter's own group",
            lambda c: {"group_settings": lambda settings, groups, at: {**settings, **groups[0]}}),
    faults(_ALL, "groups-last-for-all", "all groups have the settings of the last", NOT_OBEYED,
            "read each setting from the parameter's own group",
            lambda c: {"group_settings": lambda settings, groups, at: {**settings, **groups[-1]}}),
    faults(_ALL, "groups-decay-ignored", "a group's own weight_decay is ignored", NOT_OBEYED,
            "read weight_decay from the parameter's own group", lambda c: _group_less("weight_decay")),
    *(faults(names, f"groups-{setting.replace('_', '-')}-ignored", f"a group's own {setting} is ignored", NOT_OBEYED,
             f"read {setting} from the parameter's own group", lambda c, setting=setting: _group_less(setting))
      for setting, names in _OWN.items()),
    faults(_ALL, "groups-added-left", "a group that is added later is not updated",
            "Layers that are unfrozen during training are never trained.", "for group in self.param_groups: ...",
            lambda c: {"updates_group": lambda at, added: not added}),
    faults(_ALL, "groups-decay-first", "weight_decay is that of the first group", NOT_OBEYED,
            "read weight_decay from the parameter's own group", lambda c: _group_from(0, "weight_decay")),
    faults(_ALL, "groups-lr-first", "the learning rate is that of the first group", NOT_OBEYED,
            "read lr from the parameter's own group", lambda c: _group_from(0, "lr")),
    faults(_ALL, "lr-not-loaded", "load_state_dict does not restore the learning rate", RESUMED,
            "load param_groups too",
            lambda c: {"reload_settings": lambda settings, made: {**settings, "lr": _lr_of(c, made)}}),
    *(faults(name, f"{part}-not-loaded", f"load_state_dict does not restore the {words}", RESUMED,
             "save and load all averages and counts", lambda c, part=part: {"reload_state": losing(part)})
      for name, parts in _PARTS.items() for part, words in parts.items()),
    faults(_ALL, "none-as-zero", "a missing gradient is taken for one of zeros",
            "Frozen parameters go on moving by momentum and decay.", "if p.grad is None: continue",
            lambda c: {"without_gradient": lambda rule, param, state, settings: (
                rule(param, np.zeros_like(param), state, **settings))}),
    faults(_ALL, "none-ends", "the first parameter without a gradient ends the loop",
            "Parameters after a frozen one are never trained.", "continue, not break or return",
            lambda c: {"reached": lambda grads, steps: _before_none(grads)}),
    faults(_ALL, "first-step-only", "parameters are gone through once, as a generator", "Nothing is learned after it.",
            "self.params = list(params)",
            lambda c: {"reached": lambda grads, steps: [None] * len(grads) if steps else grads}),
    faults(("adamw",), "decays-without-gradient", "a parameter without a gradient is decayed",
            "Frozen parameters shrink to nothing.", "if p.grad is None: continue, before the decay",
            lambda c: {"without_gradient": lambda rule, param, state, settings: (
                param * (1 - settings["lr"] * settings.get("weight_decay", 0.01)), state)}),
    faults(_ALL, "closure-not-called", "step(closure) does not call the closure", "No gradients are computed.",
            "loss = closure()", lambda c: {"evaluated": lambda grads, before: (
                [None] * len(grads), (0, True, False))}),
    faults(_ALL, "closure-twice", "step(closure) evaluates the closure twice",
            "Steps cost double, and running statistics see each batch twice.", "loss = closure(), once",
            lambda c: {"evaluated": lambda grads, before: (grads, (2, True, True))}),
    faults(_ALL, "closure-without-gradients", "the closure is called without recording gradients",
            "Its backward() fails.", "with torch.enable_grad(): loss = closure()",
            lambda c: {"evaluated": lambda grads, before: (grads, (1, False, True))}),
    faults(_ALL, "closure-loss-lost", "step(closure) does not return the closure's loss", "Logged losses are empty.",
            "return loss", lambda c: {"evaluated": lambda grads, before: (grads, (1, True, False))}),
    faults(_ALL, "closure-late", "the closure is called after the update",
            "Every step follows the gradients of the one before.", "loss = closure() first",
            lambda c: {"evaluated": lambda grads, before: (before, (1, True, True))}),
    faults(_ALL, "leaves-step-in-gradient", "the step is computed in the caller's gradient",
            "Gradients that are accumulated, reused or logged are wrong.", "step = lr * g, in memory of its own",
            scaling_gradient),
    faults(_ALL, "decay-of-sizes", "weight decay pulls by the absolute values", GROWTH, "g = grad + weight_decay p",
            lambda c: penalised(c, np.abs)),
    faults(_ALL, "decay-of-signs", "weight decay is that of an L1 penalty", WRONG_DECAY, "g = grad + weight_decay p",
            lambda c: penalised(c, np.sign)),
    faults(_ALL, "decay-constant", "weight decay is not multiplied by the weight", WRONG_DECAY,
            "g = grad + weight_decay p", lambda c: penalised(c, np.ones_like)),
    faults(_ALL, "decay-of-squares", "weight decay is of the squared weights", GROWTH, "g = grad + weight_decay p",
            lambda c: penalised(c, np.square)),
    faults(_ALL, "decay-halved", "weight decay is halved", WRONG_DECAY, "g = grad + weight_decay p",
            lambda c: settings(c, lambda weight_decay: {"weight_decay": weight_decay / 2})),
    faults(_ALL, "decay-vectors-not", "vectors are not decayed", WRONG_DECAY, "make that a group with weight_decay 0",
            lambda c: decay_by_axes(c, 1)),
    faults(_ALL, "decay-numbers-not", "parameters of a single number are not decayed", WRONG_DECAY,
            "make that a group with weight_decay 0", lambda c: decay_by_axes(c, 0)),
    faults(_ALL, "decay-both-ways-in-turn", "the weights shrink, and their decay is in the gradient too", WRONG_DECAY,
            "one of the two", lambda c: decayed_both_ways(c, in_turn=True)),
    faults(("adagrad", "rmsprop", *_ADAMS), "update-clipped", "every step is cut off at 0.1", NO_ADAPTATION,
            "p <- p - lr step", lambda c: moving(c, lambda step, param: np.clip(step, -0.1, 0.1))),
    faults(_ALL, "gradient-normalised", "the gradient is divided by its norm", UNEVEN, "g = grad + weight_decay p",
            lambda c: reading(c, lambda g: g / (np.sqrt(np.sum(g**2)) or 1.0), coupled=False)),
    faults(_ALL, "gradient-averaged", "the gradient is averaged over its elements", UNEVEN, "g = grad, elementwise",
            lambda c: reading(c, lambda g: np.full_like(g, np.mean(g)) if g.size else g, coupled=False)),
    faults(_ALL, "gradient-clipped", "gradients are cut off at 1", UNEVEN, "clip before step, where asked to",
            lambda c: reading(c, lambda g: np.clip(g, -1.0, 1.0), coupled=False)),
    faults(_ALL, "gradient-sign", "the step follows the gradient's sign", UNEVEN, "p <- p - lr step",
            lambda c: reading(c, np.sign, coupled=False)),
    faults(_ALL, "returns-parameters", "the new parameters are returned as the amounts to add", GROWTH,
            "return -lr step", lambda c: moving(c, lambda step, param: step + param)),
)  # fmt: skip

_EPSILON = (
    faults(_EPS, "eps-too-large", "eps is a thousand times too large", UNEVEN, "add eps as it is given",
            lambda c: settings(c, lambda eps: {"eps": 1000 * eps})),
    faults(("rmsprop", "adadelta", *_ADAMS), "eps-ignored", "eps is left out", NANS, "sqrt(v) + eps",
            lambda c: settings(c, lambda: {"eps": 0.0})),
    faults("adagrad", "", "there is no eps, and the sum starts from 0", NANS, "g / (sqrt(s) + eps)",
            lambda c: settings(c, lambda: {"eps": 0.0, "epsilon": "outside_sqrt"}), ("davharris/mistnet/issues/94",),
            adagrad="opt-adagrad-zero-first-gradient"),
)  # fmt: skip

_TABLE = (*_ANY, *MOMENTUM, *_EPSILON, *ADAPTIVE, *ADAM, *ADAMW)

FAULTS = tuple(sorted((fault for row in _TABLE for fault in row), key=lambda fault: _ALL.index(fault.component)))
"""In the order of the components, mistakes of any optimizer before those of its rule."""
