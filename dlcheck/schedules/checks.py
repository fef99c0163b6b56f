"""What every schedule must satisfy: the reference's rates, step by step, root causes first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dlcheck.component import Case, Check, Component

Settings = Mapping[str, Any]
Named = tuple[str, str, list[Case]]

_RATES = np.array([0.5, 0.03125])
"""Those of two parameter groups: neither is 1, nor is one the other after a few steps."""
_LONG = 16

_PLAIN: dict[str, Settings] = {
    "step_lr": {"step_size": 3, "gamma": 0.25},
    "multistep_lr": {"milestones": [2, 5, 6], "gamma": 0.25},
    "exponential_lr": {"gamma": 0.75},
    "cosine_annealing_lr": {"T_max": 5, "eta_min": 0.0625},
    "linear_warmup_lr": {"start_factor": 0.25, "end_factor": 0.875, "total_iters": 4},
    "momentum_schedule": {"warmup_steps": 4, "initial": 0.25},
}
"""Settings under which nothing coincides: not the values, nor the steps at which something happens."""

_OPTIONS: dict[str, dict[str, tuple[str, list[Settings]]]] = {
    "step_lr": {
        "step_size": ("every step, or steps that are longer", [{"step_size": 1, "gamma": 0.5}, {"step_size": 5}]),
        "gamma": ("1, and above 1", [{"step_size": 2, "gamma": gamma} for gamma in (1.0, 1.5)]),
    },
    "multistep_lr": {
        "milestone_zero": ("a milestone at the start", [{"milestones": [0, 3], "gamma": 0.5}]),
        "no_milestones": ("none at all", [{"milestones": [], "gamma": 0.5}]),
        "neighbours": ("milestones in a row", [{"milestones": [1, 2, 3, 7], "gamma": 0.5}]),
        "unsorted": ("milestones in another order", [{"milestones": [7, 2, 4], "gamma": 0.5}]),
        "repeated": ("a milestone that stands twice", [{"milestones": [2, 4, 4, 7], "gamma": 0.5}]),
        "fractional": ("a milestone between two steps", [{"milestones": [1.5, 4, 6.25], "gamma": 0.5}]),
        "far": ("milestones beyond the run", [{"milestones": [1, 3, 49], "gamma": 0.5}]),
        "gamma": ("1, and above 1", [{"milestones": [2, 4], "gamma": gamma} for gamma in (1.0, 1.5)]),
    },
    "exponential_lr": {"gamma": ("1, and above 1", [{"gamma": gamma} for gamma in (1.0, 1.5)])},
    "cosine_annealing_lr": {
        "T_max": ("a period of one step, and a long one", [{"T_max": 1}, {"T_max": 40, "eta_min": 0.01}]),
        "eta_min": ("a minimum of 0, and one above the rate", [{"T_max": 6}, {"T_max": 4, "eta_min": 0.125}]),
    },
    "linear_warmup_lr": {
        "start_factor": ("its own value, also 1", [{"start_factor": 0.125}, {"start_factor": 1.0, "end_factor": 0.5}]),
        "end_factor": ("its own value, also 0", [{"end_factor": 0.75}, {"end_factor": 0.0, "start_factor": 1.0}]),
        "total_iters": ("one step, and many", [{"total_iters": 1}, {"total_iters": 12}]),
    },
    "momentum_schedule": {
        "warmup_steps": ("one step, and many", [{"warmup_steps": 1}, {"warmup_steps": 12}]),
        "initial": ("from 0, and from above", [{"warmup_steps": 3, "initial": each} for each in (0.0, 0.96875)]),
    },
}
_DEFAULTS: dict[str, Settings] = {
    "step_lr": {"step_size": 2},
    "multistep_lr": {"milestones": [1, 3]},
    "cosine_annealing_lr": {"T_max": 3},
    "linear_warmup_lr": {},
    "momentum_schedule": {"warmup_steps": 3},
}


def _rates(component: Component) -> np.ndarray[Any, Any]:
    return _RATES if component.inputs == ("lr",) else np.array([0.9, 0.75])


def _case(
    component: Component, settings: Settings, steps: int = _LONG, at: Mapping[int, Any] | None = None, **more: Any
) -> Case:
    """A case of so many steps; ``at={2: {"epoch": 9}}`` adds to a step, the rest is the case's."""
    run, rates = more.pop("run", "steps"), more.pop("rates", _rates(component))
    inputs = {component.inputs[0]: rates, "steps": [(at or {}).get(index, {}) for index in range(steps)], **more}
    return Case(run, inputs, settings)


def _by_steps(component: Component) -> Iterator[Named]:
    """Checks of the schedules that are functions of the step count."""
    plain, name = _PLAIN[component.name], component.name
    yield "start", "before the first step, and after it", [_case(component, plain, 1)]
    yield "first_steps", "the first steps follow the formula", [_case(component, plain, 4)]
    yield "whole_run", "the whole run, past its end", [_case(component, plain)]
    for option, (says, choices) in _OPTIONS[name].items():
        yield option, f"{option}: {says}", [_case(component, choice, 9) for choice in choices]
    if name in _DEFAULTS:
        yield "defaults", "settings that are not given have their defaults", [_case(component, _DEFAULTS[name], 7)]
    yield "groups", "each group has its own value", [_case(component, plain, 6, rates=_rates(component)[::-1])]
    yield from _sequences(component, plain)
    yield "long_run", "a hundred steps", [_case(component, {**plain, **_SLOW.get(name, {})}, 100)]
    if component.inputs == ("lr",):
        bottomless = {**plain, "eta_min": 0.0} if "eta_min" in plain else plain
        yield "small_rates", "small rates are as good as any", [_case(component, bottomless, 9, rates=1e-9 * _RATES)]


_SLOW: dict[str, Settings] = {
    "step_lr": {"step_size": 30},
    "multistep_lr": {"milestones": [30, 60, 90]},
    "exponential_lr": {"gamma": 0.95},
    "cosine_annealing_lr": {"T_max": 30},
    "linear_warmup_lr": {"total_iters": 60},
    "momentum_schedule": {"warmup_steps": 60},
}


_RESUMED: dict[str, tuple[int, float]] = {"step_lr": (3, 0.25), "multistep_lr": (2, 0.25)}
"""A last_epoch, and what is left of the rate by then: amid steps, so that the first step changes nothing.

Of the other schedules that step is made or left out, by the version of torch.
"""


def _sequences(component: Component, plain: Settings) -> Iterator[Named]:
    reloads = [_case(component, plain, 9, {k: {"reload": True}}) for k in (2, 7)]
    yield "save_load", "it goes on after saving and loading half-way", reloads
    if component.name in _RESUMED:
        last_epoch, share = _RESUMED[component.name]
        resumed = {"last_epoch": last_epoch, "lr": share * _rates(component)}
        says = "a last_epoch that is given goes on from there"
        yield "last_epoch", says, [_case(component, plain, 8, resumed=resumed)]
    if component.inputs != ("lr",):
        return
    changes = {2: {"set": np.array([0.25, 0.75])}, 7: {"set": np.array([2.0, 0.125])}}
    says = "a rate changed from outside, before the end and after it"
    ones = np.array([2.0, 1.0])
    cases = [_case(component, plain, 10, changes), _case(component, plain, 10, changes, rates=ones)]
    yield "outside_change", says, [*cases, _case(component, plain, 5, {0: changes[2]})]
    constant = {"factor": 0.5, "steps": 3, "then": "chained"}
    yield "chained", "it is stepped together with another schedule", [_case(component, plain, 9, constant=constant)]
    sequential = {**constant, "then": "sequential"}
    yield "sequential", "it follows another schedule", [_case(component, plain, 9, constant=sequential)]
    jumps = {2: {"epoch": 7}, 4: {"epoch": 1}, 6: {"epoch": 13}}
    yield "epoch", "step(epoch) goes to that epoch", [_case(component, plain, 9, jumps)]
    yield "last_lr", "get_last_lr tells the rates that are used", [_case(component, plain, 9, run="last_lr")]


def _falls(*metrics: float, reload: int | None = None, **settings: Any) -> Case:
    """A case of reduce_on_plateau along given metrics; its decisions must not hang on a rounding."""
    rates = settings.pop("rates", _RATES)
    steps: list[dict[str, Any]] = [{"metric": float(metric)} for metric in metrics]
    if reload is not None:
        steps[reload]["reload"] = True
    return Case("metrics", {"lr": rates, "steps": steps}, {"factor": 0.5, **settings}, exact=True)


_FLAT = (1.0,) * 9
_NAN = float("nan")


def _by_metrics(component: Component) -> Iterator[Named]:
    """Checks of the schedule that looks at a metric."""
    yield "improving", "a metric that improves leaves the rate", [_falls(4.0, 3.0, 2.0, 1.0, 0.5, 0.25, patience=1)]
    yield "plateau", "a metric that stands still", [_falls(*_FLAT, patience=2), _falls(*_FLAT, patience=0)]
    yield (
        "patience",
        "an improvement starts the count anew",
        [_falls(8.0, 9.0, 9.0, 7.0, 9.0, 9.0, 6.0, 9.0, 7.0, 6.5, 6.25, patience=2), _falls(*_FLAT, patience=5)],
    )
    yield "best", "the best metric is kept", [_falls(5.0, 9.0, 8.0, 7.0, 6.0, 5.5, 4.0, 6.0, 5.0, 4.5, patience=1)]
    rising = (1.0, 2.0, 3.0, 2.5, 2.0, 4.0, 1.0, 1.0)
    yield "mode", "a metric to be maximised", [_falls(*rising, mode="max", patience=1)]
    yield from _thresholds()
    cool = (9.0, 9.0, 9.0, 8.5, 9.0, 8.0, 9.0, 9.0, 7.0, 9.0, 9.0, 9.0, 9.0, 9.0)
    yield (
        "cooldown",
        "no metric counts in the steps after a reduction",
        [_falls(*_FLAT, *_FLAT, patience=1, cooldown=3), _falls(*cool, patience=1, cooldown=2)],
    )
    yield from _limits()
    defaults = [*map(_defaults, (0.03125, 2e-9, 1.25e-8)), *(_falls(1.0, m, patience=0) for m in (0.99989, 0.99991))]
    yield "defaults", "settings that are not given have their defaults", defaults
    nans = [_falls(*metrics, patience=1) for metrics in ((_NAN, _NAN, 1.0, _NAN, 0.5, _NAN, _NAN), (2.0, _NAN, 1.0))]
    yield "nan", "a metric that is NaN does not improve, and is not kept", nans
    infinite = float("inf")
    extremes = [
        _falls(infinite, infinite, 1.0, -infinite, -infinite, 0.0, patience=0),
        _falls(-infinite, 1.0, infinite, infinite, patience=0, mode="max"),
    ]
    yield "infinite", "metrics that are infinite", extremes
    counting = _falls(5.0, 6.0, *(6.0,) * 7, patience=2, reload=3)
    resting = _falls(5.0, 6.0, 7.0, 7.0, 7.0, 7.0, 6.5, 6.5, 7.0, patience=0, cooldown=3, reload=2)
    yield "save_load", "it goes on after saving and loading half-way", [counting, resting]
    changed = _falls(*_FLAT, patience=1)
    changed.inputs["steps"][4]["set"] = np.array([2.0, 0.25])
    yield "outside_change", "a rate changed from outside is reduced from where it is", [changed]
    yield "long_run", "two hundred metrics", [_falls(*_noisy(0, 200), patience=3, cooldown=2)]


def _defaults(rate: float) -> Case:
    """Improvements by 1e-6 at a time, and one by 7e-5, at no settings: all the defaults show."""
    metrics = [(0.5 if index < 7 else 0.49993) - 1e-6 * index for index in range(28)]
    return Case("metrics", {"lr": np.array([0.5, rate]), "steps": [{"metric": m} for m in metrics]}, exact=True)


def _thresholds() -> Iterator[Named]:
    steps = np.array([8.0, 7.5, 7.25, 7.0, 6.0, 5.9, 5.8, 5.0, 1.0, 0.9, 0.85])
    plain: Settings = {"threshold": 0.125, "patience": 1}
    cases = [_falls(*steps, threshold_mode=mode, **plain) for mode in ("rel", "abs")]
    wide = _falls(8.0, 5.0, 5.0, 4.5, 3.0, 3.0, 2.0, threshold=0.5, patience=1)
    tied = _falls(2.0, 2.0, 2.0, 1.0, 1.0, 1.0, threshold=0.0, patience=1)
    yield "threshold", "an improvement must be larger than the threshold", [*cases, wide, tied]
    rising = [_falls(*(10 - steps), mode="max", threshold_mode=mode, **plain) for mode in ("rel", "abs")]
    yield "threshold_max", "the same where the metric is to be maximised", rising
    falling = (-1.0, -1.0, -1.125, -1.25, -2.0, -2.0, -2.5, -2.5)
    negative = [
        _falls(*falling, threshold=0.25, patience=1),
        _falls(*(-1.0,) * 6, patience=1),
        _falls(*-steps, mode="max", **plain),
    ]
    yield "negative_metrics", "a threshold is relative to the size of the best metric, whatever its sign", negative


def _limits() -> Iterator[Named]:
    least = [_falls(*_FLAT, *_FLAT, patience=0, min_lr=0.02), _falls(*_FLAT[:4], patience=0, min_lr=0.125)]
    yield "min_lr", "no rate is reduced below its minimum, or raised to it", least
    listed = _falls(*_FLAT, patience=0, min_lr=[0.1, 0.02])
    yield "min_lr_list", "each group may have its own minimum", [replace(listed, refusable=True)]
    wide = [_falls(*_FLAT, patience=0, eps=0.02), _falls(*_FLAT, patience=0, eps=0.0, rates=np.array([1e-8, 1e-9]))]
    yield "eps", "a reduction by no more than eps is not made", wide
    yield "factor", "its own factor, also 0", [_falls(*_FLAT, patience=1, factor=each) for each in (0.75, 0.0)]


def _noisy(seed: int, steps: int) -> list[float]:
    """Metrics that fall and rise, in sixteenths, so that some are equal."""
    rng = np.random.default_rng(seed)
    return (np.round(16 * (4 + np.exp(-np.arange(steps) / 20) + rng.normal(scale=0.5, size=steps))) / 16).tolist()


@st.composite
def _search_steps(draw: st.DrawFn, component: Component) -> Case:
    """Any rates, length and option, saved, changed and jumped at any step.

    No jump goes with a milestone between two steps: whether it is met step by step and whether a jump past it counts
    are two questions, and torch answers them differently.
    """
    choices = [_PLAIN[component.name], *(each for _, group in _OPTIONS[component.name].values() for each in group)]
    steps = draw(st.integers(0, 12))
    rates = np.array(draw(st.lists(st.sampled_from([0.5, 0.03125, 0.75, 0.9]), min_size=1, max_size=3)))
    events: list[dict[str, Any]] = [{}, {"reload": True}]
    settings = draw(st.sampled_from(choices))
    if component.inputs == ("lr",):
        events.append({"set": 0.5 * rates})
        if all(milestone == int(milestone) for milestone in settings.get("milestones", ())):
            events.append({"epoch": draw(st.integers(0, 9))})
    at = {draw(st.integers(0, 12)): draw(st.sampled_from(events))}
    return _case(component, settings, steps, at, rates=rates)


@st.composite
def _search_metrics(draw: st.DrawFn) -> Case:
    """Any settings, and metrics that are not negative."""
    metrics = draw(st.lists(st.sampled_from([1.0, 2.0, 0.5, 3.0, 0.0, _NAN]), min_size=1, max_size=14))
    settings: dict[str, Any] = {
        "patience": draw(st.integers(0, 3)),
        "cooldown": draw(st.integers(0, 3)),
        "mode": draw(st.sampled_from(["min", "max"])),
        "threshold_mode": draw(st.sampled_from(["abs", "rel"])),
        "threshold": draw(st.sampled_from([0.125, 0.0, 0.75])),
    }
    return _falls(*metrics, **settings)


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a schedule's checks, root causes before their consequences."""
    by_metrics = component.name not in _PLAIN
    named: Sequence[Named] = list(_by_metrics(component) if by_metrics else _by_steps(component))
    search = _search_metrics() if by_metrics else _search_steps(component)
    searches = {"best": search, "whole_run": search}
    return tuple(
        Check(f"schedules.{component.name}.{name}", says, tuple(cases), searches.get(name))
        for name, says, cases in named
    )
