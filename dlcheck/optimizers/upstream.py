"""What torch itself provides for the optimizers, and the deviations of it that we know."""

from dlcheck.component import Counterpart

_OPTIMIZERS = {
    "sgd": "SGD",
    "adagrad": "Adagrad",
    "rmsprop": "RMSprop",
    "adadelta": "Adadelta",
    "adam": "Adam",
    "adamw": "AdamW",
}

_OUTSIDE = {"epsilon": "outside_sqrt", "weight_decay": "coupled"}
_FOLLOWS = {
    "sgd": {"velocity": "outside", "weight_decay": "coupled"},
    "adagrad": {**_OUTSIDE, "default_initial_accumulator_value": "0"},
    "rmsprop": {**_OUTSIDE, "initial": "zero", "default_alpha": "0.99"},
    "adadelta": {"default_rho": "0.9", "weight_decay": "coupled"},
    "adam": {**_OUTSIDE, "bias_correction": "on", "amsgrad": "raw"},
    "adamw": {"epsilon": "outside_sqrt", "weight_decay": "scaled_by_lr"},
}

_AS_CONTIGUOUS = (
    "the fused kernels of the CPU walk the memory of a parameter with gaps as if it had none: they change the numbers "
    "in the gaps and leave the parameter's last ones as they were"
)
_HALF_BLOCKS = (
    "the fused kernel of the CPU leaves whole blocks of a bfloat16 or float16 parameter as they were "
    "(pytorch/pytorch#191763)"
)
_LATE_GRADIENT = (
    "with momentum, the fused form raises a TypeError once a parameter gets its first gradient after another has a "
    "velocity already"
)
_VELOCITY_IN_GRAD = (
    "with nesterov, the foreach form adds the velocity into p.grad itself, which the plain form leaves as it was "
    "(pytorch/pytorch#92706 ended such changes elsewhere)"
)


def _fused(component: str) -> Counterpart:
    known = {f"optimizers.{component}.non_contiguous": _AS_CONTIGUOUS}
    if component == "sgd":
        known |= {"optimizers.sgd.half": _HALF_BLOCKS, "optimizers.sgd.none_gradients": _LATE_GRADIENT}
    return Counterpart(component, f"torch.optim:{_OPTIMIZERS[component]}", {"fused": True}, known)


def _foreach(component: str) -> Counterpart:
    known = {"optimizers.sgd.purity": _VELOCITY_IN_GRAD} if component == "sgd" else {}
    return Counterpart(component, f"torch.optim:{_OPTIMIZERS[component]}", {"foreach": True}, known)


COUNTERPARTS = (
    *(Counterpart(name, f"torch.optim:{code}", follows=_FOLLOWS[name]) for name, code in _OPTIMIZERS.items()),
    *map(_foreach, _OPTIMIZERS),
    *map(_fused, ("sgd", "adagrad", "adam", "adamw")),
    Counterpart("momentum", "torch.optim:SGD", {"momentum": 0.9}, follows=_FOLLOWS["sgd"]),
    Counterpart(
        "momentum",
        "torch.optim:SGD",
        {"momentum": 0.9, "fused": True},
        {
            "optimizers.momentum.none_gradients": _LATE_GRADIENT,
            "optimizers.momentum.non_contiguous": _AS_CONTIGUOUS,
            "optimizers.momentum.half": _HALF_BLOCKS,
        },
    ),
    Counterpart("nesterov", "torch.optim:SGD", {"momentum": 0.9, "nesterov": True}),
    Counterpart("adam", "torch.optim:Adam", {"amsgrad": True}),
)
