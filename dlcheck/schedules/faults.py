"""Known mistakes in schedules, each a runnable variation of the reference."""

import bisect
import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.schedules import reference
from dlcheck.schedules.mistakes import (
    COLD,
    LOGGED,
    NOT_OBEYED,
    RESUMED,
    SHIFTED,
    TOO_HIGH,
    TOO_LOW,
    UNEVEN,
    VANISHES,
    at,
    compounding,
    faults,
    first_group_for_all,
    first_group_only,
    formula,
    settings,
    unless_given,
)
from dlcheck.schedules.plateau_faults import PLATEAU
from dlcheck.schedules.reference import Array

_BY_FACTOR = ("step_lr", "multistep_lr", "exponential_lr", "cosine_annealing_lr", "linear_warmup_lr")
_BY_STEP = (*_BY_FACTOR, "momentum_schedule")
_SHIFTABLE = tuple(name for name in _BY_STEP if name != "multistep_lr")
"""Those in which a step more or less is no convention."""
_COUNTING = tuple(name for name in _BY_STEP if name != "exponential_lr")
"""Those in which the next step depends on how many have been made."""


# Mistakes that take more than a line.


def _taken_off_once(count: int, epoch: int | None, settings: Mapping[str, Any]) -> int:
    """A counter from which one period is taken off when it is past it, instead of all."""
    following = count + 1 if epoch is None else epoch
    return following - settings["T_max"] if following >= settings["T_max"] else following


def _still_warming(schedule: Any, base: Array, current: Array, count: int) -> Array:
    """A warm-up that goes on after its end for a rate below 1, taken for a factor below 1."""
    following = reference.continued(schedule, base, current, count)
    ended = count > schedule.keywords.get("total_iters", 5)
    return np.where(ended & (current < 1), schedule(base, count), following)


def _asked_again(schedule: Any, base: Array, count: int, current: Array) -> Array:
    """The recursion once more, from a rate on which it has been at work already."""
    given = schedule.keywords
    return current * given.get("gamma", 0.1) ** given["milestones"].count(count)


def _through_fractions(milestones: list[float]) -> list[float]:
    """Milestones as fractions of the whole run and back, which a rounding moves off their steps."""
    return [milestone / max(milestones) * max(milestones) if milestone else 0.0 for milestone in milestones]


def _first_window(lr: Array, step: int, s: SimpleNamespace) -> Array:
    """A rate that is reduced between the first two milestones only."""
    met = sorted(s.milestones)[:2]
    return lr * s.gamma if met and met[0] <= step <= met[-1] else lr


def _told_at(shift: int) -> Callable[..., Array]:
    """What ``get_last_lr`` tells when it is off by so many steps."""
    return lambda schedule, base, count, current: schedule(base, max(count + shift, 0))


def _half(t: int, s: SimpleNamespace) -> float:
    return (1 + math.cos(math.pi * t / s.T_max)) / 2


def _between(lr: Array, share: float, s: SimpleNamespace) -> Array:
    return s.eta_min + (lr - s.eta_min) * share


def _cosine(lr: Array, t: int, s: SimpleNamespace) -> Array:
    return _between(lr, _half(t, s), s)


def _share(t: int, s: SimpleNamespace) -> float:
    return min(t, s.total_iters) / s.total_iters


def _start(s: SimpleNamespace) -> float:
    return s.start_factor or 0.0


def _line(t: int, s: SimpleNamespace) -> float:
    return _start(s) + (s.end_factor - _start(s)) * t / s.total_iters


_TABLE = (
    # any function of the step count
    faults(_BY_STEP, "frozen", "step changes nothing", NOT_OBEYED, "count the step and set the rate in every group",
            lambda c: at(c, lambda step: 0)),
    faults(_SHIFTABLE, "ahead", "the schedule is one step ahead", SHIFTED, "the first update is made at step 0",
            lambda c: at(c, lambda step: step + 1), ("pytorch/pytorch/issues/23480",)),
    faults(_SHIFTABLE, "behind", "the schedule lags one step behind", SHIFTED, "after t steps the count is t",
            lambda c: at(c, lambda step: max(step - 1, 0))),
    faults(_BY_FACTOR, "compounds", "it is applied to the rate that it has changed before", VANISHES,
            "multiply the initial rate, or the current one by a ratio", compounding),
    faults(_BY_STEP, "first-group-for-all", "all groups get the rate of the first", UNEVEN,
            "keep an initial rate for each group", first_group_for_all),
    faults(_BY_STEP, "first-group-only", "only the first group is changed", UNEVEN,
            "for group in optimizer.param_groups: ...", first_group_only),
    faults(_COUNTING, "count-not-loaded", "load_state_dict does not restore the step count", RESUMED,
            "save and load the step count", lambda c: {"loaded_count": lambda count: 0}),
    faults(_COUNTING, "count-loaded-late", "after loading the step count is one too small", RESUMED,
            "save the step count after it is raised", lambda c: {"loaded_count": lambda count: count - 1}),
    faults(_COUNTING, "count-loaded-early", "after loading the step count is one too large", RESUMED,
            "count no step when loading", lambda c: {"loaded_count": lambda count: count + 1}),
    faults(_BY_FACTOR, "epoch-ignored", "step(epoch) counts one step", NOT_OBEYED, "last_epoch = epoch",
            lambda c: {"advanced": lambda count, epoch, settings: count + 1}),
    faults(_BY_FACTOR, "last-lr-next", "get_last_lr tells the rate after the next step", LOGGED,
            "remember the rates that step has set", lambda c: {"last_lr": _told_at(1)}),
    faults(_BY_FACTOR, "last-lr-before", "get_last_lr tells the rate before the last step", LOGGED,
            "remember the rates after step has set them", lambda c: {"last_lr": _told_at(-1)}),
    faults(_BY_FACTOR, "last-lr-initial", "get_last_lr tells the initial rate", LOGGED,
            "remember the rates that step has set", lambda c: {"last_lr": lambda schedule, base, count, now: base}),
    # step_lr
    faults("step_lr", "every-step", "the rate falls at every step", VANISHES, "gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma**t)),
    faults("step_lr", "continuous", "the exponent is not rounded down", TOO_LOW, "gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** (t / s.step_size))),
    faults("step_lr", "rounded", "the exponent is rounded to nearest", TOO_LOW, "gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** round(t / s.step_size))),
    faults("step_lr", "at-once", "the first fall comes at step 0", TOO_LOW, "gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** (t // s.step_size + 1))),
    faults("step_lr", "once", "the rate falls once only", TOO_HIGH, "gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** min(t // s.step_size, 1))),
    faults("step_lr", "momentary", "the rate is reduced only at multiples of step_size", TOO_HIGH,
            "gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma if t and t % s.step_size == 0 else lr)),
    faults("step_lr", "linear", "gamma is taken off, not multiplied", VANISHES, "lr * gamma ** (t // step_size)",
            lambda c: formula(c, lambda lr, t, s: lr - s.gamma * (t // s.step_size))),
    faults("step_lr", "not-compounded", "gamma is multiplied by the number of falls", TOO_HIGH,
            "gamma ** (t // step_size)", lambda c: formula(
                c, lambda lr, t, s: lr * s.gamma * (t // s.step_size) if t >= s.step_size else lr)),
    faults("step_lr", "complement", "the rate falls by gamma, not to gamma", TOO_HIGH, "lr * gamma",
            lambda c: settings(c, lambda s: {"gamma": abs(1 - s.gamma)})),
    faults("step_lr", "divided", "the rate is divided by gamma", "The learning rate grows without bound.",
            "lr * gamma", lambda c: formula(c, lambda lr, t, s: lr / s.gamma ** (t // s.step_size) if s.gamma else lr)),
    faults("step_lr", "step-size-long", "falls come later and later", SHIFTED,
            "t // step_size", lambda c: settings(c, lambda s: {"step_size": s.step_size + 1})),
    faults("step_lr", "gamma-ignored", "gamma is ignored", NOT_OBEYED, "lr * gamma ** (t // step_size)",
            lambda c: settings(c, lambda s: {"gamma": 0.1})),
    faults("step_lr", "default-gamma", "gamma is 0.5 unless given", TOO_HIGH, "gamma=0.1",
            lambda c: unless_given(c, gamma=0.5)),
    # multistep_lr
    faults("multistep_lr", "float-milestones", "milestones go through fractions of the run and are missed", TOO_HIGH,
            "round(rate * total), or t >= milestone",
            lambda c: settings(c, lambda s: {"milestones": _through_fractions(s.milestones)}),
            ("Pointcept/Pointcept/issues/379",), id="sched-multistep-float-milestones-never-hit"),
    faults("multistep_lr", "gamma-squared", "at a milestone get_last_lr applies gamma once more", LOGGED,
            "remember the rates that step has set", lambda c: {"last_lr": _asked_again},
            ("pytorch/pytorch/issues/20486", "pytorch/pytorch/issues/22107", "pytorch/pytorch/issues/31828"),
            id="sched-multistep-gamma-squared"),
    faults("multistep_lr", "first-window", "the rate is reduced between two milestones only", TOO_HIGH,
            "gamma ** number of milestones passed", lambda c: formula(c, _first_window), ("d2l-ai/d2l-en/issues/1306",),
            id="sched-multifactor-only-first-window"),
    faults("multistep_lr", "once", "the rate falls at the first milestone only", TOO_HIGH,
            "gamma ** number of milestones passed", lambda c: settings(c, lambda s: {"milestones": s.milestones[:1]})),
    faults("multistep_lr", "last-missed", "the last milestone is left out", TOO_HIGH,
            "count all milestones", lambda c: settings(c, lambda s: {"milestones": sorted(s.milestones)[:-1]})),
    faults("multistep_lr", "not-compounded", "all milestones together multiply by gamma once", TOO_HIGH,
            "gamma ** number of milestones passed",
            lambda c: settings(c, lambda s: {"milestones": sorted(s.milestones)[:1], "repeated": "once"})),
    faults("multistep_lr", "momentary", "the rate is reduced only at a milestone itself", TOO_HIGH,
            "gamma ** number of milestones passed",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma if t in s.milestones else lr)),
    faults("multistep_lr", "intervals", "milestones are taken for the steps between falls", TOO_HIGH,
            "milestones count from the start",
            lambda c: settings(c, lambda s: {"milestones": np.cumsum(s.milestones).tolist()})),
    faults("multistep_lr", "unsorted", "milestones are searched as if they were sorted", SHIFTED,
            "sort the milestones", lambda c: formula(
                c, lambda lr, t, s: lr * s.gamma ** bisect.bisect_right([m for m in s.milestones if m == int(m)], t))),
    faults("multistep_lr", "zero-missed", "a milestone at the start is left out", TOO_HIGH, "count m <= t from t = 0",
            lambda c: settings(c, lambda s: {"milestones": [m for m in s.milestones if m]})),
    faults("multistep_lr", "divided", "the rate is divided by gamma", "The learning rate grows without bound.",
            "lr * gamma", lambda c: settings(c, lambda s: {"gamma": 1 / s.gamma if s.gamma else 1.0})),
    faults("multistep_lr", "gamma-ignored", "gamma is ignored", NOT_OBEYED, "lr * gamma ** n",
            lambda c: settings(c, lambda s: {"gamma": 0.1})),
    faults("multistep_lr", "default-gamma", "gamma is 0.5 unless given", TOO_HIGH, "gamma=0.1",
            lambda c: unless_given(c, gamma=0.5)),
    # exponential_lr
    faults("exponential_lr", "once", "the rate falls once only", TOO_HIGH, "lr * gamma ** t",
            lambda c: at(c, lambda step: min(step, 1))),
    faults("exponential_lr", "exponential-of-gamma", "the factor is exp(-gamma)", VANISHES, "lr * gamma ** t",
            lambda c: formula(c, lambda lr, t, s: lr * math.exp(-s.gamma * t))),
    faults("exponential_lr", "complement", "the rate falls by gamma, not to gamma", VANISHES, "lr * gamma ** t",
            lambda c: settings(c, lambda s: {"gamma": abs(1 - s.gamma)})),
    faults("exponential_lr", "linear", "the rate falls on a line", VANISHES, "lr * gamma ** t",
            lambda c: formula(c, lambda lr, t, s: lr * (1 - (1 - s.gamma) * t))),
    faults("exponential_lr", "inverse", "the rate falls as 1 / (1 + gamma t)", TOO_HIGH, "lr * gamma ** t",
            lambda c: formula(c, lambda lr, t, s: lr / (1 + s.gamma * t))),
    faults("exponential_lr", "twice", "gamma is applied twice a step", VANISHES, "lr * gamma ** t",
            lambda c: at(c, lambda step: 2 * step)),
    faults("exponential_lr", "divided", "the rate is divided by gamma", "The learning rate grows without bound.",
            "lr * gamma", lambda c: settings(c, lambda s: {"gamma": 1 / s.gamma if s.gamma else 1.0})),
    faults("exponential_lr", "power", "gamma and the step count are exchanged", TOO_LOW, "gamma ** t, not t ** -gamma",
            lambda c: formula(c, lambda lr, t, s: lr * (1 + t) ** -s.gamma)),
    faults("exponential_lr", "zero-start", "the first rate is multiplied by the step count 0", NOT_OBEYED,
            "lr * gamma ** t", lambda c: formula(c, lambda lr, t, s: lr * s.gamma * t)),
    # cosine_annealing_lr
    faults("cosine_annealing_lr", "subtract", "past a restart T_max is taken off once, not all of them", TOO_HIGH,
            "T_cur = epoch % T_max", lambda c: {"advanced": _taken_off_once}, ("pytorch/pytorch/issues/88791",),
            id="sched-cosine-restart-subtract-not-mod"),
    faults("cosine_annealing_lr", "restart", "the step count runs modulo T_max + 1", TOO_HIGH, "t = min(t + 1, T_max)",
            lambda c: formula(c, lambda lr, t, s: _cosine(lr, t % (s.T_max + 1), s)), ("tracel-ai/burn/pull/5191",),
            id="sched-cosine-unintended-restart"),
    faults("cosine_annealing_lr", "zero-after-end", "after T_max the rate is 0", "Training ends at T_max.",
            "eta_min after T_max", lambda c: formula(c, lambda lr, t, s: _cosine(lr, t, s) * (t <= s.T_max))),
    faults("cosine_annealing_lr", "not-halved", "the factor 1/2 is missing", TOO_HIGH, "(1 + cos(pi t / T_max)) / 2",
            lambda c: formula(c, lambda lr, t, s: 2 * _cosine(lr, t, s) - s.eta_min)),
    faults("cosine_annealing_lr", "no-pi", "pi is missing in the cosine", TOO_HIGH, "cos(pi t / T_max)",
            lambda c: formula(c, lambda lr, t, s: _between(lr, (1 + math.cos(t / s.T_max)) / 2, s))),
    faults("cosine_annealing_lr", "quarter", "the rate falls along a quarter of the cosine", TOO_HIGH,
            "(1 + cos(pi t / T_max)) / 2",
            lambda c: formula(c, lambda lr, t, s: _between(lr, math.cos(math.pi / 2 * t / s.T_max), s))),
    faults("cosine_annealing_lr", "whole-period", "the cosine has the period T_max", SHIFTED, "cos(pi t / T_max)",
            lambda c: at(c, lambda step: 2 * step)),
    faults("cosine_annealing_lr", "rises", "the rate starts at its minimum and rises", COLD,
            "1 + cos(pi t / T_max)",
            lambda c: formula(c, lambda lr, t, s: _between(lr, (1 - math.cos(math.pi * t / s.T_max)) / 2, s))),
    faults("cosine_annealing_lr", "range-not-reduced", "eta_min is added to the whole range", TOO_HIGH,
            "eta_min + (lr - eta_min) * ...", lambda c: formula(c, lambda lr, t, s: _between(lr, _half(t, s), s)
                                                                + s.eta_min * _half(t, s))),
    faults("cosine_annealing_lr", "clamped", "eta_min only cuts the cosine off", TOO_LOW,
            "eta_min + (lr - eta_min) * ...",
            lambda c: formula(c, lambda lr, t, s: np.maximum(lr * _half(t, s), s.eta_min))),
    faults("cosine_annealing_lr", "eta-min-ignored", "eta_min is ignored", NOT_OBEYED,
            "eta_min + (lr - eta_min) * ...", lambda c: settings(c, lambda s: {"eta_min": 0.0})),
    faults("cosine_annealing_lr", "eta-min-not-added", "eta_min is not added back", TOO_LOW,
            "eta_min + (lr - eta_min) * ...", lambda c: formula(c, lambda lr, t, s: _cosine(lr, t, s) - s.eta_min)),
    faults("cosine_annealing_lr", "period-short", "the minimum comes a step early", SHIFTED, "t / T_max",
            lambda c: settings(c, lambda s: {"T_max": max(s.T_max - 1, 1)})),
    faults("cosine_annealing_lr", "period-long", "the minimum comes a step late", SHIFTED, "t / T_max",
            lambda c: settings(c, lambda s: {"T_max": s.T_max + 1})),
    faults("cosine_annealing_lr", "linear", "the rate falls on a line", TOO_LOW, "(1 + cos(pi t / T_max)) / 2",
            lambda c: formula(c, lambda lr, t, s: _between(lr, 1 - min(t / s.T_max, 1.0), s))),
    # linear_warmup_lr
    faults("linear_warmup_lr", "never-ends", "a rate below 1 is taken for a factor that still warms up",
            "The schedule after the warm-up never starts.", "warming = t < total_iters",
            lambda c: {"continued": _still_warming}, ("facebookresearch/ParlAI/pull/4384",),
            id="sched-warmup-never-ends"),
    faults("linear_warmup_lr", "no-end", "the rate goes on rising after the end", "The learning rate grows for ever.",
            "min(t, total_iters) / total_iters", lambda c: formula(c, lambda lr, t, s: lr * _line(t, s))),
    faults("linear_warmup_lr", "full-after-end", "after the end the rate jumps to its full size", COLD,
            "end_factor after the end",
            lambda c: formula(c, lambda lr, t, s: lr * (_line(t, s) if t < s.total_iters else 1.0))),
    faults("linear_warmup_lr", "cold-start", "the first update is made at the full rate", COLD,
            "set the rate when the schedule is made",
            lambda c: formula(c, lambda lr, t, s: lr * (_line(min(t, s.total_iters), s) if t else 1.0))),
    faults("linear_warmup_lr", "start-ignored", "start_factor is ignored", NOT_OBEYED, "lr * start_factor at step 0",
            lambda c: settings(c, lambda s: {"start_factor": 0.0})),
    faults("linear_warmup_lr", "start-default-only", "start_factor is 1/3 whatever is given", NOT_OBEYED,
            "lr * start_factor at step 0", lambda c: settings(c, lambda s: {"start_factor": 1 / 3})),
    faults("linear_warmup_lr", "end-ignored", "end_factor is ignored", NOT_OBEYED, "lr * end_factor at the end",
            lambda c: settings(c, lambda s: {"end_factor": 1.0})),
    faults("linear_warmup_lr", "start-added", "the ramp to the full size is added to start_factor", TOO_HIGH,
            "start + (end - start) t / T",
            lambda c: formula(c, lambda lr, t, s: lr * (_start(s) + s.end_factor * _share(t, s)))),
    faults("linear_warmup_lr", "short", "the end is reached a step early", SHIFTED, "t / total_iters",
            lambda c: settings(c, lambda s: {"total_iters": max(s.total_iters - 1, 1)})),
    faults("linear_warmup_lr", "long", "the end is reached a step late", SHIFTED, "t / total_iters",
            lambda c: settings(c, lambda s: {"total_iters": s.total_iters + 1})),
    faults("linear_warmup_lr", "end-not-reached", "the ramp ends one step short of its end", TOO_LOW, "t / total_iters",
            lambda c: formula(c, lambda lr, t, s: lr * _line(min(t, s.total_iters) * s.total_iters
                                                             / (s.total_iters + 1), s))),
    faults("linear_warmup_lr", "geometric", "the rate rises by equal factors", SHIFTED, "start + (end - start) t / T",
            lambda c: formula(c, lambda lr, t, s: lr * _start(s) ** (1 - _share(t, s))
                              * s.end_factor ** _share(t, s))),
    faults("linear_warmup_lr", "jump", "the rate does not rise before the end", SHIFTED, "start + (end - start) t / T",
            lambda c: formula(c, lambda lr, t, s: lr * (_start(s) if t < s.total_iters else s.end_factor))),
    faults("linear_warmup_lr", "swapped", "start_factor and end_factor are exchanged", COLD,
            "start + (end - start) t / T",
            lambda c: settings(c, lambda s: {"start_factor": s.end_factor, "end_factor": _start(s)})),
    faults("linear_warmup_lr", "default-length", "total_iters is 10 unless given", SHIFTED, "total_iters=5",
            lambda c: unless_given(c, total_iters=10)),
    # momentum_schedule
    faults("momentum_schedule", "initial-ignored", "initial is ignored", NOT_OBEYED, "momentum = initial at step 0",
            lambda c: settings(c, lambda s: {"initial": 0.5})),
    faults("momentum_schedule", "falls", "momentum starts high and falls", "Large early gradients are carried along.",
            "initial first, then the optimizer's own",
            lambda c: formula(c, lambda m, t, s: m if t < s.warmup_steps else s.initial + 0 * m)),
    faults("momentum_schedule", "final-fixed", "momentum is raised to 0.9 whatever the optimizer's own is", NOT_OBEYED,
            "keep the momentum of each group",
            lambda c: formula(c, lambda m, t, s: np.full_like(m, s.initial if t < s.warmup_steps else 0.9))),
    faults("momentum_schedule", "factor", "initial multiplies the optimizer's own momentum", TOO_LOW,
            "momentum = initial", lambda c: formula(c, lambda m, t, s: m * (s.initial if t < s.warmup_steps else 1.0))),
    faults("momentum_schedule", "momentary", "momentum is raised for one step only", TOO_LOW, "t >= warmup_steps",
            lambda c: formula(c, lambda m, t, s: m if t == s.warmup_steps else s.initial + 0 * m)),
    faults("momentum_schedule", "no-start", "the first update is made at the full momentum", COLD,
            "set the momentum when the schedule is made",
            lambda c: formula(c, lambda m, t, s: s.initial + 0 * m if 0 < t < s.warmup_steps else m)),
    faults("momentum_schedule", "geometric", "1 - momentum falls by equal factors", SHIFTED, "a jump, or a line",
            lambda c: formula(c, lambda m, t, s: 1 - (1 - s.initial) * ((1 - m) / (1 - s.initial))
                              ** min(t / s.warmup_steps, 1.0))),
    faults("momentum_schedule", "unbounded", "momentum goes on rising after warmup_steps",
            "Momentum passes 1, and training diverges.", "min(t, warmup_steps) / warmup_steps",
            lambda c: formula(c, lambda m, t, s: s.initial + (m - s.initial) * t / s.warmup_steps)),
)  # fmt: skip

_ORDER = (*_BY_STEP, "reduce_on_plateau")

FAULTS = tuple(
    sorted((fault for row in (*_TABLE, *PLATEAU) for fault in row), key=lambda fault: _ORDER.index(fault.component))
)
"""In the order of the components, mistakes of any schedule before those of its formula."""
