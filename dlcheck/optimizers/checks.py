"""What every optimizer must satisfy: the reference's parameters along given gradients, root causes first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component

Array = NDArray[np.float64]
Grads = Sequence[Array | None]
Settings = Mapping[str, Any]

_LR = 0.125
"""A rate that shows in every digit: far from 1, from the defaults, and exact in every dtype."""

_BASE: dict[str, Settings] = {"momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True}}
"""What makes the drop-in model the component; given in every case."""

_SGD_OPTIONS = {
    "momentum": [{"momentum": 0.9}, {"momentum": 0.5}],
    "dampening": [{"momentum": 0.9, "dampening": 0.0}, {"momentum": 0.9, "dampening": 0.25}, {"dampening": 0.25}],
    "nesterov": [{"momentum": 0.9, "nesterov": True}],
    "weight_decay": [{"weight_decay": 0.5}, {"weight_decay": 0.1, "momentum": 0.9}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [
        {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.1, "maximize": True},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "maximize": True},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
    ],
}
_MOMENTUM_OPTIONS = {
    "momentum": [{"momentum": 0.5}, {"momentum": 0.99}],
    "dampening": [{"dampening": 0.0}, {"dampening": 0.25}],
    "weight_decay": [{"weight_decay": 0.5}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [{"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.1, "maximize": True}],
}
_NESTEROV_OPTIONS = {
    "momentum": [{"momentum": 0.5}, {"momentum": 0.99}],
    "weight_decay": [{"weight_decay": 0.5}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [
        {"momentum": 0.5, "weight_decay": 0.1, "maximize": True},
        {"momentum": 0.5, "weight_decay": 0.1},
    ],
}
_ADAGRAD_OPTIONS = {
    "lr_decay": [{"lr_decay": 0.5}, {"lr_decay": 0.1, "eps": 0.01}],
    "initial_accumulator_value": [{"initial_accumulator_value": 0.5}, {"initial_accumulator_value": 0.0}],
    "weight_decay": [{"weight_decay": 0.5}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [
        {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1, "eps": 0.01, "maximize": True},
        {"lr_decay": 0.1, "weight_decay": 0.1},
    ],
}
_RMSPROP_OPTIONS = {
    "alpha": [{"alpha": 0.5}, {"alpha": 0.9}],
    "momentum": [{"momentum": 0.9}, {"momentum": 0.5, "eps": 0.01}],
    "centered": [{"centered": True}, {"centered": True, "eps": 0.01}],
    "weight_decay": [{"weight_decay": 0.5}, {"weight_decay": 0.1, "momentum": 0.9}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [
        {"alpha": 0.5, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "maximize": True},
        {"momentum": 0.5, "centered": True, "weight_decay": 0.1},
    ],
}
_ADADELTA_OPTIONS = {
    "rho": [{"rho": 0.5}, {"rho": 0.95}],
    "weight_decay": [{"weight_decay": 0.5}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [{"rho": 0.5, "eps": 0.01, "weight_decay": 0.1, "maximize": True}],
}
_ADAM_OPTIONS = {
    "betas": [{"betas": (0.5, 0.75)}, {"betas": (0.0, 0.9)}],
    "weight_decay": [{"weight_decay": 0.5}, {"weight_decay": 0.0}],
    "amsgrad": [{"amsgrad": True}, {"amsgrad": True, "eps": 0.01, "betas": (0.5, 0.75)}],
    "maximize": [{"maximize": True}, {"maximize": True, "weight_decay": 0.5}],
    "together": [
        {"betas": (0.5, 0.75), "eps": 0.01, "weight_decay": 0.1, "amsgrad": True, "maximize": True},
        {"betas": (0.5, 0.75), "weight_decay": 0.1, "amsgrad": True},
    ],
}
_OPTIONS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "sgd": _SGD_OPTIONS,
    "momentum": _MOMENTUM_OPTIONS,
    "nesterov": _NESTEROV_OPTIONS,
    "adagrad": _ADAGRAD_OPTIONS,
    "rmsprop": _RMSPROP_OPTIONS,
    "adadelta": _ADADELTA_OPTIONS,
    "adam": _ADAM_OPTIONS,
    "adamw": _ADAM_OPTIONS,
}
"""Settings of the cases about each option."""


_STATEFUL: dict[str, dict[str, Any]] = {
    "adagrad": {"lr_decay": 0.5},
    "rmsprop": {"momentum": 0.9, "centered": True},
    "adam": {"amsgrad": True},
    "adamw": {"amsgrad": True},
}
"""Settings under which all of the state counts, beside momentum."""


_OWN_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"nesterov": True, "momentum": 0.5}, {"dampening": 0.25}],
    "momentum": [{"dampening": 0.25}],
    "rmsprop": [{"alpha": 0.5}, {"centered": True}],
    "adam": [{"amsgrad": True}],
    "adamw": [{"amsgrad": True}],
}
"""Settings of one group alone, beside those that every rule has or that are tried together with its rate."""


def _numbers(seed: int, *shape: int) -> Array:
    """Normal numbers of either sign between about 0.1 and 3, so that none of them hides a mistake."""
    values = np.random.default_rng(seed).normal(size=shape)
    return np.sign(values) * (0.1 + np.abs(values))


def _case(params: Sequence[Array], grads: Sequence[Grads], settings: Settings, **more: Any) -> Case:
    """A case that gives each step's gradients; ``at={2: {"reload": True}}`` adds to a step, the rest is the Case's."""
    at = more.pop("at", {})
    steps = [{"grads": list(row), **at.get(index, {})} for index, row in enumerate(grads)]
    others = {name: more.pop(name) for name in ("groups", "cleared_in_place") if name in more}
    inputs = {"params": list(params), "steps": steps, **others}
    return Case("trajectory", inputs, settings, **more)


def _single(grads: Array, settings: Settings, **more: Any) -> Case:
    """One parameter along gradients of shape (T, ...)."""
    return _case([_numbers(1, *grads.shape[1:])], [[grad] for grad in grads], settings, **more)


def _plain(component: Component) -> dict[str, Any]:
    return {"lr": _LR, **_BASE.get(component.name, {})}


def _first(plain: Settings, component: Component) -> Iterator[tuple[str, str, list[Case]]]:
    grads = _numbers(2, 4, 3)
    yield "first_step", "the first step follows the formula", [_single(grads[:1], plain)]
    yield "second_step", "the state after the first step enters the second", [_single(grads[:2], plain)]
    yield "several_steps", "the state goes on to accumulate", [_single(grads, plain)]
    if "eps" in component.settings:
        small = 0.1 * grads
        cases = [_single(small, {**plain, "eps": 0.01}), _single(small, {**plain, "eps": 1.0})]
        yield "epsilon", "eps stands where the formula has it", cases


def _rates_and_defaults(plain: Settings, component: Component) -> Iterator[tuple[str, str, list[Case]]]:
    says = "a learning rate changed from outside holds from the next step"
    yield "learning_rate_change", says, _rate_changes(plain, component)
    grads, without = _numbers(2, 4, 3), _BASE.get(component.name, {})
    cases = [_single(grads, without), _single(1e-6 * grads, without)]
    yield "defaults", "settings that are not given have their documented defaults", cases


def _rate_changes(plain: Settings, component: Component) -> list[Case]:
    """Where the rate meets the velocity or the decay shows only once it changes."""
    grads, at = _numbers(3, 6, 2), {index: {"set": {"lr": lr}} for index, lr in ((2, 0.5), (4, 0.03125), (5, 0.0))}
    momentum = [_single(grads, {**plain, "momentum": 0.9}, at=at)] if "momentum" in component.settings else []
    return [_single(grads, plain, at=at), *momentum, _single(grads, {**plain, "weight_decay": 0.5}, at=at)]


def _options(plain: Settings, component: Component) -> Iterator[tuple[str, str, list[Case]]]:
    grads, still = _numbers(4, 5, 3), np.zeros((3, 2))
    loud = np.array([10.0, -4.0, 0.5, 0.3, -0.2, 0.1, 0.3, -0.4])[:, None] * np.array([1.0, -0.5])
    for name, choices in _OPTIONS[component.name].items():
        cases = [_single(loud if name == "amsgrad" else grads, {**plain, **choice}) for choice in choices]
        if name == "weight_decay":
            cases += [
                _single(values, {**plain, "weight_decay": 0.5})
                for values in (still, _numbers(34, 3, 2, 2), _numbers(36, 3))
            ]
        says = "all options work together" if name == "together" else f"{name} does what the formula says"
        yield name if name != "together" else "options_together", says, cases


def _gradients(plain: Settings) -> Iterator[tuple[str, str, list[Case]]]:
    some = _numbers(5, 12, 4)
    scaled = some * np.array([0.1, 1.0, 3.0, 10.0])
    yield "trajectory", "twelve steps along gradients of different scales", [_single(scaled, plain)]
    late, never = some[:6].copy(), some[:6].copy()
    late[:3, 0], late[4], never[3:, 1], never[:, 2] = 0.0, 0.0, 0.0, 0.0
    says = "elements whose gradient is zero, from the first step or later"
    yield "zero_gradients", says, [_single(late, plain), _single(never, plain)]
    yield (
        "small_gradients",
        "gradients of size 1e-6 and 1e-12",
        [_single(scale * some[:5], plain) for scale in (1e-6, 1e-12)],
    )
    yield "huge_gradients", "gradients of size 1e8", [_single(1e8 * some[:4], plain)]
    sparse = some[:8] * (np.arange(8)[:, None] % 4 == np.arange(4))
    yield "sparse_gradients", "one element at a time has a gradient", [_single(sparse, plain)]
    signs = np.abs(some[:8]) * np.where(np.arange(8)[:, None] % 2, -1.0, 1.0)
    yield "sign_changes", "gradients that change their sign at every step", [_single(signs, plain)]
    falling = some[:8] * np.array([0.1**step for step in range(8)])[:, None]
    yield "falling_gradients", "gradients that fall by a factor of ten a step", [_single(falling, plain)]
    yield "long_run", "three hundred steps", [_single(_numbers(6, 300, 2), plain)]


def _sequences(plain: Settings, component: Component) -> Iterator[tuple[str, str, list[Case]]]:
    params = [_numbers(7, 3), _numbers(8, 2, 2)]
    grads: list[Grads] = [[_numbers(10 + t, 3), _numbers(20 + t, 2, 2)] for t in range(6)]
    twins = [[_numbers(40 + t, 3), _numbers(50 + t, 3)] for t in range(4)]
    alike = _case([params[0], _numbers(9, 3)], twins, plain)
    yield "several_parameters", "each parameter has its own state", [_case(params, grads, plain), alike]
    fading: list[Grads] = [[grad / 4**t for grad in row if grad is not None] for t, row in enumerate(grads)]
    groups = _groups(params, grads, plain, component) + _own_settings(params, fading, plain, component)
    yield "parameter_groups", "each group has its own settings", groups
    says = "a group that is added later is updated from then on, with its own settings"
    yield "added_groups", says, [_added_group(params, grads, plain, component)]
    gaps: list[Grads] = [[None if t in (2, 3) else a, None if t in (0, 4) else b] for t, (a, b) in enumerate(grads)]
    stateful = {"momentum": 0.9, **plain} if "momentum" in component.settings else plain
    others = [{**plain, **_STATEFUL[component.name]}] if component.name in _STATEFUL else []
    says = "a parameter without a gradient waits, its state too"
    waiting = [plain, *([stateful] if stateful != plain else others)]
    yield "none_gradients", says, [_case(params, gaps, settings) for settings in waiting]
    reload, raised = {3: {"reload": True}}, {1: {"set": {"lr": 0.5}}, 3: {"reload": True}}
    cases = [_case(params, grads, plain, at=reload), _case(params, grads, stateful, at=raised)]
    cases += [_case(params, fading, settings, at=reload) for settings in others]
    yield "save_load", "state and settings survive saving and loading half-way", cases
    says = "gradients that are cleared in place, and so stay in the same memory"
    yield "gradient_memory", says, [_case(params, grads[:4], stateful, cleared_in_place=True)]
    closures = {t: {"closure": True} for t in range(6)}
    yield (
        "closure",
        "step(closure) evaluates the closure and returns its loss",
        [_case(params, grads[:3], plain, at=closures)],
    )


def _groups(params: Sequence[Array], grads: Sequence[Grads], plain: Settings, component: Component) -> list[Case]:
    rates = [{"params": [0], "lr": 0.5}, {"params": [1]}]
    other = {"params": [0], "weight_decay": 0.5}
    decays = [{"betas": (0.5, 0.75)}, {"momentum": 0.5}, {"rho": 0.5}, {"alpha": 0.5}, {"lr_decay": 0.5}]
    known = next(decay for decay in decays if set(decay) <= set(component.settings))
    own = [other, {"params": [1], "lr": 0.03125, **known}]
    return [_case(params, grads[:4], plain, groups=rates), _case(params, grads[:4], plain, groups=own)]


def _own_settings(params: Sequence[Array], grads: Sequence[Grads], plain: Settings, component: Component) -> list[Case]:
    """One group as the optimizer is made, and another with one setting of its own."""
    eps = [{"eps": 0.5}] if "eps" in component.settings else []
    chosen = [*_OWN_SETTINGS.get(component.name, []), *eps, {"maximize": True}]
    made = {"momentum": 0.9, **plain} if component.name == "sgd" else plain
    return [
        _case(params, grads, plain if "maximize" in each else made, groups=[{"params": [0]}, {"params": [1], **each}])
        for each in chosen
    ]


def _added_group(params: Sequence[Array], grads: Sequence[Grads], plain: Settings, component: Component) -> Case:
    """The second parameter joins at the third step; betas of 0 leave open what Adam's count of steps starts from."""
    later: list[Grads] = [[a, None if t < 2 else b] for t, (a, b) in enumerate(grads)]
    settings = {**plain, "betas": (0.0, 0.0)} if "betas" in component.settings else plain
    groups = [{"params": [0]}, {"params": [1], "lr": 0.5, "added": 2}]
    return replace(_case(params, later, settings, groups=groups), refusable=True)


def _forms(plain: Settings) -> Iterator[tuple[str, str, list[Case]]]:
    shapes = [(), (0, 3), (2, 1, 3)]
    cases = [_single(_numbers(30, 3, *shape), plain) for shape in shapes]
    yield "shapes", "numbers, empty arrays and arrays of several axes", cases
    grads = _numbers(31, 4, 3, 2)
    cases = [_single(grads, plain, layout=layout) for layout in ("strided", "transposed", "readonly")]
    yield "non_contiguous", "parameters that are strided, transposed or read-only arrays", cases
    yield "float32", "single precision", [_single(_numbers(32, 5, 3), plain, dtype="float32")]
    # more elements than a block of a vectorised kernel, and a rest; large enough that no square of them underflows
    halves = [_single(16 * _numbers(33, 2, 35), plain, dtype=dtype) for dtype in ("bfloat16", "float16")]
    yield "half", "half precision, every element of a longer array", halves


@st.composite
def _search(draw: st.DrawFn, plain: Settings, component: Component) -> Case:
    """Any shape, length, scale and option; what is in the arrays follows from a seed."""
    shape = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    steps, rng = draw(st.integers(1, 8)), np.random.default_rng(draw(st.integers(0, 2**16)))
    scale, kept = 10.0 ** draw(st.integers(0, 3) | st.integers(-3, 0)), draw(st.sampled_from([1.0, 0.5]))
    choices: list[dict[str, Any]] = [{}, *(choice for name in _OPTIONS[component.name].values() for choice in name)]
    grads = scale * rng.normal(size=(steps, *shape)) * (rng.random((steps, *shape)) < kept)
    lr = draw(st.sampled_from([_LR, 0.001, 1.0]))
    return _case(
        [rng.normal(size=shape)], [[grad] for grad in grads], {**plain, "lr": lr, **draw(st.sampled_from(choices))}
    )


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of an optimizer's checks, root causes before their consequences."""
    plain = _plain(component)
    parts = [
        _first(plain, component),
        _options(plain, component),
        _rates_and_defaults(plain, component),
        _gradients(plain),
        _sequences(plain, component),
        _forms(plain),
    ]
    searches = {"trajectory": _search(plain, component)}
    return tuple(
        Check(f"optimizers.{component.name}.{name}", says, tuple(cases), searches.get(name))
        for part in parts
        for name, says, cases in part
    )
