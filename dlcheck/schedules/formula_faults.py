"""Known mistakes in the formulas of the schedules that count steps."""

import bisect
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.schedules import reference
from dlcheck.schedules.mistakes import (
    COLD,
    LOGGED,
    NOT_OBEYED,
    SHIFTED,
    TOO_HIGH,
    TOO_LOW,
    UNEVEN,
    VANISHES,
    at,
    faults,
    formula,
    settings,
    unless_given,
)
from dlcheck.schedules.reference import Array

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


def _before_second(lr: Array, step: int, s: SimpleNamespace) -> Array:
    """A rate that is reduced from the first milestone on, and as it was from the second on."""
    met = [milestone for milestone in s.milestones if step >= milestone]
    return lr * s.gamma if len(met) == 1 else lr


def _met(s: SimpleNamespace) -> list[float]:
    """The milestones that count, in the order given."""
    return [m for m in s.milestones if s.fractional == "reached" or m == int(m)]


def _searched(lr: Array, step: int, s: SimpleNamespace) -> Array:
    """A bisection among milestones that need not be sorted."""
    search = bisect.bisect_left if s.boundary == "after" else bisect.bisect_right
    return lr * s.gamma ** search(_met(s), step + (s.boundary == "before"))


def _cumulated(lr: Array, step: int, s: SimpleNamespace) -> Array:
    """A rate that is multiplied by gamma once more at each milestone than at the one before."""
    passed = sum(m <= step for m in _met(s))
    return lr * s.gamma ** (passed * (passed + 1) // 2)


def _in_turn(lr: Array, step: int, s: SimpleNamespace) -> Array:
    """A queue of milestones, whose first is compared with the step count."""
    waiting = list(s.milestones)
    for passed in range(1, step + 1):
        if waiting and waiting[0] == passed:
            waiting.pop(0)
    return lr * s.gamma ** (len(s.milestones) - len(waiting))


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


FORMULAS = (
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
    faults("step_lr", "every-step-after", "from the first fall on the rate falls at every step", VANISHES,
            "t // step_size", lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** max(t - s.step_size + 1, 0))),
    # multistep_lr
    faults("multistep_lr", "float-milestones", "milestones go through fractions of the run and are missed", TOO_HIGH,
            "round(rate * total), or t >= milestone",
            lambda c: settings(c, lambda s: {"milestones": _through_fractions(s.milestones)}),
            ("Pointcept/Pointcept/issues/379",), multistep_lr="sched-multistep-float-milestones-never-hit"),
    faults("multistep_lr", "gamma-squared", "at a milestone get_last_lr applies gamma once more", LOGGED,
            "remember the rates that step has set", lambda c: {"last_lr": _asked_again},
            ("pytorch/pytorch/issues/20486", "pytorch/pytorch/issues/22107", "pytorch/pytorch/issues/31828"),
            multistep_lr="sched-multistep-gamma-squared"),
    faults("multistep_lr", "first-window", "the rate is reduced between two milestones only", TOO_HIGH,
            "gamma ** number of milestones passed", lambda c: formula(c, _first_window), ("d2l-ai/d2l-en/issues/1306",),
            multistep_lr="sched-multifactor-only-first-window"),
    faults("multistep_lr", "back-at-second", "from the second milestone on the rate is as at first", TOO_HIGH,
            "gamma ** number of milestones passed", lambda c: formula(c, _before_second)),
    faults("multistep_lr", "once", "the rate falls at the first milestone only", TOO_HIGH,
            "gamma ** number of milestones passed", lambda c: settings(c, lambda s: {"milestones": s.milestones[:1]})),
    faults("multistep_lr", "last-missed", "the last milestone is left out", TOO_HIGH,
            "count all milestones", lambda c: settings(c, lambda s: {"milestones": sorted(s.milestones)[:-1]})),
    faults("multistep_lr", "every-step-after", "the rate falls at every step from the first milestone on", VANISHES,
            "lr * gamma ** n, n milestones met", lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** (
                max(t - min(_met(s)) + 1, 0) if _met(s) else 0))),
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
            "sort the milestones", lambda c: formula(c, _searched)),
    faults("multistep_lr", "zero-missed", "a milestone at the start is left out", TOO_HIGH, "count m <= t from t = 0",
            lambda c: settings(c, lambda s: {"milestones": [m for m in s.milestones if m]})),
    faults("multistep_lr", "divided", "the rate is divided by gamma", "The learning rate grows without bound.",
            "lr * gamma", lambda c: settings(c, lambda s: {"gamma": 1 / s.gamma if s.gamma else 1.0})),
    faults("multistep_lr", "gamma-ignored", "gamma is ignored", NOT_OBEYED, "lr * gamma ** n",
            lambda c: settings(c, lambda s: {"gamma": 0.1})),
    faults("multistep_lr", "default-gamma", "gamma is 0.5 unless given", TOO_HIGH, "gamma=0.1",
            lambda c: unless_given(c, gamma=0.5)),
    faults("multistep_lr", "cumulated", "each milestone applies all those before it once more", TOO_LOW,
            "gamma ** number of milestones passed", lambda c: formula(c, _cumulated)),
    faults("multistep_lr", "in-turn", "milestones are waited for in turn, the first until it is met", TOO_HIGH,
            "gamma ** number of milestones passed", lambda c: formula(c, _in_turn)),
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
    faults("exponential_lr", "linear-to-zero", "the rate falls on a line, to 0", VANISHES, "lr * gamma ** t",
            lambda c: formula(c, lambda lr, t, s: lr * max(1 - (1 - s.gamma) * t, 0.0))),
    faults("exponential_lr", "inverse-complement", "the rate falls as 1 / (1 + (1 - gamma) t)", TOO_HIGH,
            "lr * gamma ** t", lambda c: formula(c, lambda lr, t, s: lr / (1 + abs(1 - s.gamma) * t))),
    faults("exponential_lr", "root", "the rate falls with the root of the step count", TOO_HIGH, "lr * gamma ** t",
            lambda c: formula(c, lambda lr, t, s: lr * s.gamma ** np.sqrt(t))),
    # cosine_annealing_lr
    faults("cosine_annealing_lr", "subtract", "past a restart T_max is taken off once, not all of them", TOO_HIGH,
            "T_cur = epoch % T_max", lambda c: {"advanced": _taken_off_once}, ("pytorch/pytorch/issues/88791",),
            cosine_annealing_lr="sched-cosine-restart-subtract-not-mod"),
    faults("cosine_annealing_lr", "restart", "the step count runs modulo T_max + 1", TOO_HIGH, "t = min(t + 1, T_max)",
            lambda c: formula(c, lambda lr, t, s: _cosine(lr, t % (s.T_max + 1), s)), ("tracel-ai/burn/pull/5191",),
            cosine_annealing_lr="sched-cosine-unintended-restart"),
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
    faults("cosine_annealing_lr", "degrees", "the angle is turned into radians once more", TOO_HIGH,
            "cos(pi t / T_max)",
            lambda c: formula(c, lambda lr, t, s: _between(
                lr, (1 + math.cos(math.radians(math.pi * t / s.T_max))) / 2, s))),
    faults("cosine_annealing_lr", "full-after-end", "after T_max the rate is the initial one", TOO_HIGH,
            "eta_min after T_max", lambda c: formula(c, lambda lr, t, s: _cosine(lr, t, s) if t <= s.T_max else lr)),
    faults("cosine_annealing_lr", "whole-steps", "t / T_max is rounded down before the cosine", TOO_HIGH,
            "cos(pi t / T_max)", lambda c: formula(c, lambda lr, t, s: _cosine(lr, t // s.T_max * s.T_max, s))),
    faults("cosine_annealing_lr", "range-raised", "the range is lr + eta_min, not lr - eta_min", TOO_HIGH,
            "eta_min + (lr - eta_min) * ...", lambda c: formula(c, lambda lr, t, s: _cosine(lr, t, s)
                                                                + 2 * s.eta_min * _half(t, s))),
    faults("cosine_annealing_lr", "no-one", "the 1 beside the cosine is missing", "The learning rate becomes negative.",
            "(1 + cos(pi t / T_max)) / 2", lambda c: formula(c, lambda lr, t, s: _between(lr, _half(t, s) - 0.5, s))),
    # linear_warmup_lr
    faults("linear_warmup_lr", "never-ends", "a rate below 1 is taken for a factor that still warms up",
            "The schedule after the warm-up never starts.", "warming = t < total_iters",
            lambda c: {"continued": _still_warming}, ("facebookresearch/ParlAI/pull/4384",),
            linear_warmup_lr="sched-warmup-never-ends"),
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
    faults("linear_warmup_lr", "from-nothing", "start_factor is used at the first step only", UNEVEN,
            "start + (end - start) t / T", lambda c: formula(
                c, lambda lr, t, s: lr * (s.end_factor * _share(t, s) if t else _start(s)))),
    faults("linear_warmup_lr", "start-bounds", "start_factor is only a lower bound of the ramp", SHIFTED,
            "start + (end - start) t / T",
            lambda c: formula(c, lambda lr, t, s: lr * max(_start(s), s.end_factor * _share(t, s)))),
    faults("linear_warmup_lr", "cosine", "the rate rises along a cosine", SHIFTED, "start + (end - start) t / T",
            lambda c: formula(c, lambda lr, t, s: lr * (_start(s) + (s.end_factor - _start(s))
                              * (1 - math.cos(math.pi * _share(t, s))) / 2))),
    faults("linear_warmup_lr", "square", "the rate rises with the square of t", SHIFTED, "start + (end - start) t / T",
            lambda c: formula(c, lambda lr, t, s: lr * (_start(s) + (s.end_factor - _start(s)) * _share(t, s) ** 2))),
    faults("linear_warmup_lr", "last-step-missed", "the rate stays where it is a step before the end", TOO_LOW,
            "t <= total_iters", lambda c: formula(
                c, lambda lr, t, s: lr * _line(min(t, s.total_iters - 1), s))),
    faults("linear_warmup_lr", "default-start", "start_factor is 0.1 unless given", SHIFTED, "start_factor=1/3",
            lambda c: settings(c, lambda s: {"start_factor": 0.1 if s.start_factor == 1 / 3 else s.start_factor})),
)  # fmt: skip
