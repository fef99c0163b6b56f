"""Known mistakes in optimizers, each a runnable variation of the reference."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.optimizers.mistakes import (
    Rule,
    accumulating,
    adadelta,
    adagrad,
    adam,
    decay,
    eps_twice,
    forgetting,
    in_place,
    mean_square,
    no_root,
    rmsprop,
    settings,
    sgd,
    single_precision,
    skipping_zeros,
    unless_given,
)

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

_SGD = ("sgd", "momentum", "nesterov")
_HEAVY_BALL = ("sgd", "momentum")
_LOOKAHEAD = ("sgd", "nesterov")
_ADAMS = ("adam", "adamw")
_COUPLED = (*_SGD, "adagrad", "rmsprop", "adadelta", "adam")
_EPS = ("adagrad", "rmsprop", "adadelta", *_ADAMS)
_ALL = (*_SGD, *_EPS)


def _only(group: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: group[name]} if name in group else {}


def _faults(
    components: tuple[str, ...] | str,
    slug: str,
    says: str,
    effect: str,
    fix: str,
    make: Callable[[str], Rule | Replaced],
    happened: tuple[str, ...] = (),
    **ids: str,
) -> tuple[Fault, ...]:
    """One mistake in each of the components; ``ids`` names those that have another id than their slug gives."""
    found = []
    for name in (components,) if isinstance(components, str) else components:
        made = make(name)
        replaces = made if isinstance(made, Mapping) else {name: made}
        threads = tuple(f"https://github.com/{thread}" for thread in happened)
        found.append(Fault(ids.get(name, f"opt-{name}-{slug}"), name, says, effect, fix, replaces, threads))
    return tuple(found)


_TABLE = (
    # any rule
    _faults(_ALL, "uphill", "the step has the wrong sign", AWAY, "p <- p - lr step",
            lambda c: settings(c, lambda maximize: {"maximize": not maximize})),
    _faults(_ALL, "maximize-ignored", "maximize is ignored", NOT_OBEYED, "g = -grad if maximize else grad",
            lambda c: settings(c, lambda: {"maximize": False})),
    _faults(_COUPLED, "maximize-flips-decay", "maximize turns weight decay round too", GROWTH,
            "g = -grad + weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: -wd if maximize else wd)),
    _faults(_COUPLED, "decay-sign", "weight decay has the wrong sign", GROWTH, "g = grad + weight_decay p",
            lambda c: decay(c, lambda wd, lr, maximize: -wd)),
    _faults(_COUPLED, "decay-twice", "weight decay is applied twice", WRONG_DECAY, "g = grad + weight_decay p, once",
            lambda c: decay(c, lambda wd, lr, maximize: 2 * wd)),
    _faults(_COUPLED, "decay-scaled", "weight decay is multiplied by lr in the gradient", WRONG_DECAY,
            "g = grad + weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: lr * wd)),
    _faults(_COUPLED, "decay-without-lr", "weight decay is taken off without the learning rate", WRONG_DECAY,
            "g = grad + weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: wd, coupled=False)),
    _faults(_ALL, "decay-ignored", "weight_decay is ignored", NOT_OBEYED, "g = grad + weight_decay p",
            lambda c: settings(c, lambda: {"weight_decay": 0.0})),
    _faults(_ALL, "gradients-accumulate", "gradients are not cleared between steps",
            "Old gradients are counted again at every step.", "clear gradients before each backward pass",
            accumulating),
    _faults(_ALL, "mutates-gradient", "the update changes the caller's gradient in place",
            "Gradients that are accumulated, reused or logged are wrong.", "g = grad + weight_decay p, not grad += ...",
            in_place, ("apache/mxnet/pull/15768",), adam="opt-update-mutates-gradient"),
    _faults(_ALL, "single-precision", "the update passes through float32", "Training in float64 loses half its digits.",
            "compute in the dtype of the parameter", single_precision),
    _faults(_ALL, "lr-fixed", "a learning rate changed from outside is not seen", "Schedules have no effect.",
            "read lr from the group at every step", lambda c: {"outside_change": lambda settings, change: settings}),
    _faults(_ALL, "groups-ignored", "settings of parameter groups are ignored", NOT_OBEYED,
            "read each setting from the parameter's own group",
            lambda c: {"group_settings": lambda settings, group: settings}),
    _faults(_ALL, "groups-lr-only", "of a group's settings only the learning rate is used", NOT_OBEYED,
            "read each setting from the parameter's own group",
            lambda c: {"group_settings": lambda settings, group: {**settings, **_only(group, "lr")}}),
    _faults(_ALL, "state-not-loaded", "load_state_dict does not restore the state", RESUMED,
            "save and load all averages and counts", lambda c: {"reload_state": lambda state: None}),
    _faults(_ADAMS, "step-not-loaded", "load_state_dict does not restore the step count", RESUMED,
            "save and load the step count too",
            lambda c: {"reload_state": lambda state: state and {**state, "step": 0}}),
    _faults(("nesterov", *_EPS), "state-lost", "the state starts anew at every step", EARLY,
            "keep the averages from step to step", forgetting),
    _faults(_ALL, "skips-zeros", "a parameter whose gradient is zero is left out",
            "Momentum, averages and weight decay stop where they should go on.",
            "skip a gradient that is None, not zero",
            skipping_zeros),
    # momentum
    _faults(_HEAVY_BALL, "momentum-ignored", "momentum is ignored", NO_MOMENTUM, "v = momentum v + g; p <- p - lr v",
            lambda c: settings(c, lambda: {"momentum": 0.0, "nesterov": False})),
    _faults(_SGD, "averaged", "the velocity averages: 1 - momentum weighs the gradient", OFF_SCALE,
            "v = momentum v + g, not (1 - momentum) g", lambda c: sgd(c, lambda v, g, mu, lr: mu * v + (1 - mu) * g)),
    _faults(_SGD, "gradient-times-momentum", "momentum multiplies the new gradient too", OFF_SCALE,
            "v = momentum v + g, not momentum (v + g)", lambda c: sgd(c, lambda v, g, mu, lr: mu * (v + g))),
    _faults(_SGD, "previous-gradient", "the previous gradient is kept, not the velocity", NO_MOMENTUM,
            "keep v = momentum v + g", lambda c: sgd(c, stored=lambda v, g, mu, nesterov: g)),
    _faults(_SGD, "not-decayed", "the old velocity is not multiplied by momentum", TOO_FAR, "v = momentum v + g",
            lambda c: sgd(c, lambda v, g, mu, lr: v + g)),
    _faults(_SGD, "momentum-lr-twice", "the stored step is multiplied by lr again", NO_MOMENTUM,
            "v = momentum v + lr g; p <- p - v", lambda c: sgd(c, lambda v, g, mu, lr: mu * lr * v + g),
            ("BRML/climin/issues/29",), momentum="opt-adadelta-momentum-lr-twice"),
    _faults(_HEAVY_BALL, "dampening-ignored", "dampening is ignored", NOT_OBEYED, "v = momentum v + (1 - dampening) g",
            lambda c: settings(c, lambda: {"dampening": 0.0})),
    _faults(_LOOKAHEAD, "nesterov-ignored", "the step is that of classical momentum",
            "Training oscillates more than it should.", "p <- p - lr (g + momentum v)",
            lambda c: settings(c, lambda: {"nesterov": False})),
    _faults(_LOOKAHEAD, "nesterov-sign", "the look-ahead has the wrong sign", AWAY, "p <- p - lr (g + momentum v)",
            lambda c: sgd(c, lookahead=lambda v, g, mu, old: g - mu * v), ("PaddlePaddle/Paddle/pull/12231",),
            nesterov="opt-nesterov-sign"),
    _faults(_LOOKAHEAD, "nesterov-double-momentum", "the old velocity is added twice", TOO_FAR,
            "move by momentum v before the gradient is taken, and only by -lr g after it",
            lambda c: sgd(c, lookahead=lambda v, g, mu, old: 2 * mu * old + g),
            ("oysteijo/simd_neuralnet/issues/17",), nesterov="opt-nesterov-double-momentum"),
    _faults(_LOOKAHEAD, "nesterov-lookahead-stored", "the look-ahead overwrites the stored velocity", TOO_FAR,
            "keep v; only the step is g + momentum v",
            lambda c: sgd(c, stored=lambda v, g, mu, nesterov: g + mu * v if nesterov else v),
            ("google-deepmind/optax/commit/82326d6f83695b98baec414e1f9770b3b4d225cd",),
            nesterov="opt-nesterov-lookahead-stored"),
    # eps
    _faults(_EPS, "eps-too-large", "eps is a thousand times too large", UNEVEN, "add eps as it is given",
            lambda c: settings(c, lambda eps: {"eps": 1000 * eps})),
    _faults(("rmsprop", "adadelta", *_ADAMS), "eps-ignored", "eps is left out", NANS, "sqrt(v) + eps",
            lambda c: settings(c, lambda: {"eps": 0.0})),
    _faults("adagrad", "", "there is no eps, and the sum starts from 0", NANS, "g / (sqrt(s) + eps)",
            lambda c: settings(c, lambda: {"eps": 0.0, "epsilon": "outside_sqrt"}), ("davharris/mistnet/issues/94",),
            adagrad="opt-adagrad-zero-first-gradient"),
    # adagrad
    _faults("adagrad", "", "only one element's gradient is cleared between steps",
            "Old gradients of all other elements are counted again at every step.", "p.grad[j] = 0, not p.grad[i]",
            lambda c: accumulating(c, cleared=1), ("cbovar/ConvNetSharp/issues/29",),
            adagrad="opt-gradient-not-zeroed-wrong-index"),
    _faults("adagrad", "", "the sum of squares starts from a hidden 1", NO_ADAPTATION,
            "s_0 = initial_accumulator_value",
            lambda c: settings(c, lambda: {"initial_accumulator_value": 1.0}),
            ("deeplearning4j/deeplearning4j/issues/953",), adagrad="opt-adagrad-history-starts-at-one"),
    _faults("adagrad", "initial-ignored", "initial_accumulator_value is ignored", NOT_OBEYED,
            "s_0 = initial_accumulator_value", lambda c: settings(c, lambda: {"initial_accumulator_value": 0.0})),
    _faults("adagrad", "no-root", "the square root is missing", FADING, "g / (sqrt(s) + eps)",
            lambda c: adagrad(root=no_root)),
    _faults("adagrad", "averages", "squares are averaged where they should be summed",
            "The rate does not fall: this is RMSprop.", "s = s + g^2",
            lambda c: adagrad(lambda s, g: 0.9 * s + 0.1 * g**2)),
    _faults("adagrad", "no-square", "the gradient is summed without its square", UNEVEN, "s = s + g^2",
            lambda c: adagrad(lambda s, g: s + np.abs(g))),
    _faults("adagrad", "old-sum", "the sum leaves the new gradient out", EARLY, "update s, then divide by its root",
            lambda c: adagrad(divisor=lambda s, old: old)),
    _faults("adagrad", "one-rate", "one sum serves all elements of a parameter",
            NO_ADAPTATION, "s = s + g^2, elementwise",
            lambda c: adagrad(lambda s, g: s + mean_square(g))),
    _faults("adagrad", "lr-decay-ignored", "lr_decay is ignored", NOT_OBEYED, "lr / (1 + (t - 1) lr_decay)",
            lambda c: settings(c, lambda: {"lr_decay": 0.0})),
    _faults("adagrad", "lr-decay-early", "lr_decay starts one step early", OFF_SCALE, "lr / (1 + (t - 1) lr_decay)",
            lambda c: adagrad(age=lambda steps: steps + 1)),
    # rmsprop
    _faults("rmsprop", "no-root", "the square root is missing", UNEVEN, "g / (sqrt(s) + eps)",
            lambda c: rmsprop(root=no_root)),
    _faults("rmsprop", "alpha-swapped", "alpha and 1 - alpha are swapped", UNEVEN, "s = alpha s + (1 - alpha) g^2",
            lambda c: settings(c, lambda alpha: {"alpha": 1 - alpha})),
    _faults("rmsprop", "not-averaged", "the squared gradient is not weighted by 1 - alpha", OFF_SCALE,
            "s = alpha s + (1 - alpha) g^2", lambda c: rmsprop(lambda v, g, alpha: alpha * v + g**2)),
    _faults("rmsprop", "no-square", "the gradient is averaged without its square", UNEVEN,
            "s = alpha s + (1 - alpha) g^2",
            lambda c: rmsprop(lambda v, g, alpha: alpha * v + (1 - alpha) * np.abs(g))),
    _faults("rmsprop", "precedence", "a bracket multiplies the whole average by g^2", UNEVEN,
            "s = alpha s + (1 - alpha) g^2",
            lambda c: rmsprop(lambda v, g, alpha: (alpha * v + (1 - alpha)) * g**2)),
    _faults("rmsprop", "old-average", "the average leaves the new gradient out",
            EARLY, "update s, then divide by its root",
            lambda c: rmsprop(divisor=lambda v, old, alpha, t: old)),
    _faults("rmsprop", "one-rate", "one average serves all elements of a parameter", NO_ADAPTATION,
            "s = alpha s + (1 - alpha) g^2, elementwise",
            lambda c: rmsprop(lambda v, g, alpha: alpha * v + (1 - alpha) * mean_square(g))),
    _faults("rmsprop", "bias-correction", "the average is corrected as in Adam",
            EARLY, "s as it is, not s / (1 - alpha^t)",
            lambda c: rmsprop(divisor=lambda v, old, alpha, t: v / (1 - alpha**t))),
    _faults("rmsprop", "centered-ignored", "centered is ignored", NOT_OBEYED, "sqrt(s - a^2) + eps",
            lambda c: settings(c, lambda: {"centered": False})),
    _faults("rmsprop", "centered-adds", "the squared mean is added to the mean square", OFF_SCALE,
            "sqrt(s - a^2) + eps",
            lambda c: rmsprop(variance=lambda v, a: v + a**2)),
    _faults("rmsprop", "centered-no-square", "the mean is subtracted without its square", NANS, "sqrt(s - a^2) + eps",
            lambda c: rmsprop(variance=lambda v, a: v - a)),
    _faults("rmsprop", "momentum-ignored", "momentum is ignored", NO_MOMENTUM, "b = momentum b + d; p <- p - lr b",
            lambda c: settings(c, lambda: {"momentum": 0.0})),
    _faults("rmsprop", "momentum-averaged", "the velocity averages: 1 - momentum weighs the step", OFF_SCALE,
            "b = momentum b + d", lambda c: rmsprop(velocity=lambda b, d, mu, lr: mu * b + (1 - mu) * d)),
    _faults("rmsprop", "momentum-lr-twice", "the stored step is multiplied by lr again", NO_MOMENTUM,
            "b = momentum b + lr d; p <- p - b", lambda c: rmsprop(velocity=lambda b, d, mu, lr: mu * lr * b + d)),
    _faults("rmsprop", "momentum-undivided", "momentum gathers gradients, divided only afterwards", OFF_SCALE,
            "b = momentum b + g / (sqrt(s) + eps)", lambda c: rmsprop(divided_last=True)),
    # adadelta
    _faults("adadelta", "", "a bracket multiplies the whole average by g^2", UNEVEN, "s = rho s + (1 - rho) g^2",
            lambda c: adadelta(lambda v, g, rho: (rho * v + (1 - rho)) * g**2), ("deeplearning4j/nd4j/issues/1239",),
            adadelta="opt-adadelta-precedence"),
    _faults("adadelta", "rho-swapped", "rho and 1 - rho are swapped", UNEVEN, "s = rho s + (1 - rho) g^2",
            lambda c: settings(c, lambda rho: {"rho": 1 - rho})),
    _faults("adadelta", "not-averaged", "the squared gradient is not weighted by 1 - rho", OFF_SCALE,
            "s = rho s + (1 - rho) g^2", lambda c: adadelta(lambda v, g, rho: rho * v + g**2)),
    _faults("adadelta", "no-eps-above", "eps is missing in the numerator", "No parameter ever moves.",
            "sqrt(u + eps) / sqrt(s + eps)",
            lambda c: adadelta(step=lambda u, v, g, eps: np.sqrt(u) / np.sqrt(v + eps) * g)),
    _faults("adadelta", "no-eps-below", "eps is missing in the denominator", NANS, "sqrt(u + eps) / sqrt(s + eps)",
            lambda c: adadelta(step=lambda u, v, g, eps: np.sqrt(u + eps) / np.sqrt(v) * g)),
    _faults("adadelta", "eps-outside", "eps is added to the roots", EARLY, "sqrt(u + eps) / sqrt(s + eps)",
            lambda c: adadelta(step=lambda u, v, g, eps: (np.sqrt(u) + eps) / (np.sqrt(v) + eps) * g)),
    _faults("adadelta", "no-roots", "the square roots are missing", NO_ADAPTATION, "sqrt(u + eps) / sqrt(s + eps)",
            lambda c: adadelta(step=lambda u, v, g, eps: (u + eps) / (v + eps) * g)),
    _faults("adadelta", "inverted", "the ratio is upside down", TOO_FAR, "sqrt(u + eps) / sqrt(s + eps)",
            lambda c: adadelta(step=lambda u, v, g, eps: np.sqrt(v + eps) / np.sqrt(u + eps) * g)),
    _faults("adadelta", "steps-not-averaged", "the average of squared steps is never updated", FADING,
            "u = rho u + (1 - rho) d^2", lambda c: adadelta(progress=lambda u, d, g, rho, lr: u)),
    _faults("adadelta", "averages-gradient", "the steps' average is fed with the gradient", TOO_FAR,
            "u = rho u + (1 - rho) d^2",
            lambda c: adadelta(progress=lambda u, d, g, rho, lr: rho * u + (1 - rho) * g**2)),
    _faults("adadelta", "averages-lr", "the average of squared steps includes lr", OFF_SCALE,
            "u = rho u + (1 - rho) d^2",
            lambda c: adadelta(progress=lambda u, d, g, rho, lr: rho * u + (1 - rho) * (lr * d) ** 2)),
    _faults("adadelta", "steps-not-weighted", "the squared step is not weighted by 1 - rho", TOO_FAR,
            "u = rho u + (1 - rho) d^2", lambda c: adadelta(progress=lambda u, d, g, rho, lr: rho * u + d**2)),
    _faults("adadelta", "lr-ignored", "lr is ignored", NOT_OBEYED, "p <- p - lr d",
            lambda c: settings(c, lambda: {"lr": 1.0})),
    # adam
    _faults(_ADAMS, "bias-correction-no-power", "bias correction divides by 1 - beta, not 1 - beta^t", OFF_SCALE,
            "m / (1 - beta1^t), v / (1 - beta2^t)", lambda c: adam(c, corrections=lambda b1, b2, t: (1 - b1, 1 - b2)),
            ("eriklindernoren/ML-From-Scratch/issues/35", "allenai/OLMo-core/pull/317")),
    _faults(_ADAMS, "no-correction-mean", "the mean is not corrected for its bias", EARLY, "m / (1 - beta1^t)",
            lambda c: adam(c, corrections=lambda b1, b2, t: (1.0, 1 - b2**t))),
    _faults(_ADAMS, "no-correction-square", "the mean square is not corrected for its bias", EARLY, "v / (1 - beta2^t)",
            lambda c: adam(c, corrections=lambda b1, b2, t: (1 - b1**t, 1.0))),
    _faults(_ADAMS, "corrections-swapped", "the bias corrections use each other's beta", EARLY,
            "m / (1 - beta1^t), v / (1 - beta2^t)",
            lambda c: adam(c, corrections=lambda b1, b2, t: (1 - b2**t, 1 - b1**t))),
    _faults(_ADAMS, "counter-from-zero", "the step counts from 0 in the bias correction", NANS, "t counts from 1",
            lambda c: adam(c, corrections=lambda b1, b2, t: (1 - b1 ** (t - 1), 1 - b2 ** (t - 1)))),
    _faults(_ADAMS, "counter-ahead", "the step counts from 2 in the bias correction", EARLY, "t counts from 1",
            lambda c: adam(c, corrections=lambda b1, b2, t: (1 - b1 ** (t + 1), 1 - b2 ** (t + 1)))),
    _faults(_ADAMS, "counts-twice", "the step count rises by two a step", EARLY, "t = t + 1, once a step",
            lambda c: adam(c, count=lambda steps: steps + 2)),
    _faults(_ADAMS, "counts-updates", "the step count rises with every parameter", EARLY, "t = t + 1, once a step",
            lambda c: {"steps_before": lambda steps, updates: updates}),
    _faults(_ADAMS, "correction-stored", "the corrected mean is stored in place of the mean", TOO_FAR,
            "m stays as it is; only the step uses m / (1 - beta1^t)",
            lambda c: adam(c, stored=lambda m, v, top, c1: (m / c1, v, top))),
    _faults("adam", "", "beta1 decays in the mean but not in its correction", OFF_SCALE,
            "1 - the product of the beta1 that were used",
            lambda c: adam(c, lambda m, g, beta, t: beta * 0.99 ** (t - 1) * m + (1 - beta * 0.99 ** (t - 1)) * g),
            ("mila-iqia/blocks/pull/1144", "mila-iqia/blocks/pull/1175"), adam="opt-adam-beta1-decay-inconsistent"),
    _faults(_ADAMS, "betas-swapped", "the two betas are swapped",
            TOO_FAR, "beta1 for the mean, beta2 for the mean square",
            lambda c: settings(c, lambda betas: {"betas": tuple(betas)[::-1]})),
    _faults(_ADAMS, "default-beta2", "beta2 is 0.99 unless given", UNEVEN, "betas=(0.9, 0.999)",
            lambda c: unless_given(c, betas=(0.9, 0.99))),
    _faults(_ADAMS, "default-lr", "lr is 0.01 unless given", TOO_FAR, "lr=0.001", lambda c: unless_given(c, lr=0.01)),
    _faults(_ADAMS, "mean-not-averaged", "the gradient is not weighted by 1 - beta1", OFF_SCALE,
            "m = beta1 m + (1 - beta1) g", lambda c: adam(c, lambda m, g, beta, t: beta * m + g)),
    _faults(_ADAMS, "mean-not-decayed", "the old mean is not multiplied by beta1", TOO_FAR,
            "m = beta1 m + (1 - beta1) g",
            lambda c: adam(c, lambda m, g, beta, t: m + (1 - beta) * g)),
    _faults(_ADAMS, "mean-unused", "the step follows the gradient, not its mean", NO_MOMENTUM, "lr m / (sqrt(v) + eps)",
            lambda c: adam(c, direction=lambda m, g: g)),
    _faults(_ADAMS, "no-root", "the square root is missing", UNEVEN, "m / (sqrt(v) + eps)",
            lambda c: adam(c, root=no_root)),
    _faults(_ADAMS, "eps-twice", "eps is added inside the root and outside", UNEVEN, "m / (sqrt(v) + eps)",
            lambda c: adam(c, root=eps_twice)),
    _faults(_ADAMS, "square-not-averaged", "the squared gradient is not weighted by 1 - beta2", OFF_SCALE,
            "v = beta2 v + (1 - beta2) g^2", lambda c: adam(c, square=lambda v, g, m, beta: beta * v + g**2)),
    _faults(_ADAMS, "square-not-decayed", "the old mean square is not multiplied by beta2", FADING,
            "v = beta2 v + (1 - beta2) g^2", lambda c: adam(c, square=lambda v, g, m, beta: v + (1 - beta) * g**2)),
    _faults(_ADAMS, "no-square", "the second average is of |g|, not of g^2", UNEVEN, "v = beta2 v + (1 - beta2) g^2",
            lambda c: adam(c, square=lambda v, g, m, beta: beta * v + (1 - beta) * np.abs(g))),
    _faults(_ADAMS, "square-of-mean", "the second average is of m^2, not of g^2", EARLY,
            "v = beta2 v + (1 - beta2) g^2",
            lambda c: adam(c, square=lambda v, g, m, beta: beta * v + (1 - beta) * m**2)),
    _faults(_ADAMS, "one-rate", "one second average serves all elements of a parameter", NO_ADAPTATION,
            "v = beta2 v + (1 - beta2) g^2, elementwise",
            lambda c: adam(c, square=lambda v, g, m, beta: beta * v + (1 - beta) * mean_square(g))),
    _faults(_ADAMS, "amsgrad-max-not-stored", "AMSGrad's maximum is not stored", NOT_OBEYED,
            "vmax = max(vmax, v), kept from step to step", lambda c: settings(c, lambda: {"amsgrad": False}),
            ("chainer/chainer/pull/7661",), adam="opt-amsgrad-max-not-stored"),
    _faults(_ADAMS, "amsgrad-max-averaged", "AMSGrad's maximum overwrites the mean square", FADING,
            "keep v and vmax apart", lambda c: adam(c, stored=lambda m, v, top, c1: (m, top, top))),
    # adamw
    _faults("adamw", "maximize-flips-decay", "maximize turns weight decay round too", GROWTH,
            "p <- p - lr weight_decay p",
            lambda c: decay(c, lambda wd, lr, maximize: -lr * wd if maximize else lr * wd, coupled=False)),
    _faults("adamw", "decay-sign", "weight decay has the wrong sign", GROWTH, "p <- p - lr weight_decay p",
            lambda c: decay(c, lambda wd, lr, maximize: -lr * wd, coupled=False)),
    _faults("adamw", "decay-twice", "weight decay is applied twice", WRONG_DECAY, "p <- p - lr weight_decay p, once",
            lambda c: decay(c, lambda wd, lr, maximize: 2 * lr * wd, coupled=False)),
    _faults("adamw", "coupled", "weight decay goes through the averages, as in Adam", WRONG_DECAY,
            "p <- p - lr weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: wd)),
    _faults("adamw", "", "weight decay is not scaled by the learning rate", WRONG_DECAY, "p <- p - lr weight_decay p",
            lambda c: decay(c, lambda wd, lr, maximize: wd, coupled=False), ("FluxML/Optimisers.jl/issues/182",),
            adamw="opt-adamw-decay-not-scaled-by-lr"),
    _faults("adamw", "decay-lr-twice", "weight decay is scaled by the learning rate twice", WRONG_DECAY,
            "p <- p - lr weight_decay p", lambda c: decay(c, lambda wd, lr, maximize: lr * lr * wd, coupled=False)),
)  # fmt: skip

FAULTS = tuple(sorted((fault for row in _TABLE for fault in row), key=lambda fault: _ALL.index(fault.component)))
"""In the order of the components, mistakes of any optimizer before those of its rule."""
