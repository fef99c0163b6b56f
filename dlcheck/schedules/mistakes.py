"""What the known mistakes in schedules are made of: variations of any schedule."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.component import faults_in
from dlcheck.schedules import reference
from dlcheck.schedules.reference import Array

Rule = Callable[..., Any]
Replaced = Mapping[str, Callable[..., Any]]

# What goes wrong, in the words of those whom it happens to.

TOO_HIGH = "The learning rate stays too high, and the loss keeps jumping about."
TOO_LOW = "The learning rate falls too early, and training stalls."
VANISHES = "The learning rate is gone after a few steps."
SHIFTED = "Every change comes a step too early or too late, unlike in the runs it is compared with."
RESUMED = "A run that is resumed differs from one that went through."
NOT_OBEYED = "A setting that the user gives has no effect."
UNEVEN = "Parameter groups train at rates that nobody chose."
LOGGED = "Logs and plots show another learning rate than the one that is used."
COLD = "The first updates are too large, which warm-up was to prevent."
NEVER = "The learning rate is never reduced, however long the metric stands still."
TOO_OFTEN = "The learning rate is reduced again and again, and training stalls."


faults = partial(faults_in, "sched-{}".format)
"""One mistake in each of some components."""


@cache
def _defaults(component: str) -> dict[str, Any]:
    parameters = inspect.signature(getattr(reference, component)).parameters
    return {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def all_settings(component: str, given: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{**_defaults(component), **given})


# Variations of a function of the step count.


def formula(component: str, rate: Callable[[Array, int, SimpleNamespace], Array]) -> Rule:
    """Another formula, of the first rate, the step count and all settings."""
    return lambda lr, step, **given: rate(lr, step, all_settings(component, given)) * np.ones_like(lr)


def settings(component: str, change: Callable[[SimpleNamespace], dict[str, Any]]) -> Rule:
    """The schedule at settings that are made of the given ones."""
    rule = getattr(reference, component)
    return lambda *given, **named: rule(*given, **{**named, **change(all_settings(component, named))})


def unless_given(component: str, **defaults: Any) -> Rule:
    """The schedule with other default settings."""
    return partial(getattr(reference, component), **defaults)


def at(component: str, count: Callable[[int], int]) -> Rule:
    """The schedule at another step."""
    rule = getattr(reference, component)
    return lambda lr, step, **given: rule(lr, count(step), **given)


def single_precision(component: str) -> Rule:
    """The schedule whose rate passes through float32."""
    rule = getattr(reference, component)
    return lambda *given, **named: np.asarray(rule(*given, **named), np.float32).astype(np.float64)


def compounding(component: str) -> Rule:
    """The schedule applied to the rate that it has left at the step before, not to the initial one."""
    rule = getattr(reference, component)

    def mistaken(lr: Array, step: int, **given: Any) -> Array:
        for passed in range(step + 1):
            lr = rule(lr, passed, **given)
        return lr

    return mistaken


def first_group_for_all(component: str) -> Rule:
    """The schedule of the first group's rate, in every group."""
    rule = getattr(reference, component)
    return lambda lr, *given, **named: rule(np.full_like(lr, lr[0]), *given, **named)


def first_group_only(component: str) -> Rule:
    """The schedule in the first group, and none in the others."""
    rule = getattr(reference, component)
    return lambda lr, *given, **named: np.append(rule(lr[:1], *given, **named), lr[1:])
