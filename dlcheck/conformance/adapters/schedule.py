"""Schedules: classes with ``step`` on a real optimizer, and functions of the step count."""

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Observation, Refused

_COUNTS = ("step", "steps", "t", "epoch", "count", "iteration", "last_epoch", "step_count", "num_steps")
_BASES = ("lr", "base_lr", "initial_lr", "learning_rate", "init_value", "momentum", "base_momentum")


class SchedulerClass(Implementation):
    """A class (or factory) called with an optimizer, with ``step``."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self.quantity = component.inputs[0]

    def observe(self, case: Case) -> Observation:
        """Step the optimizer and the schedule in turn, without torch's warning about ``step(epoch)``."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The epoch parameter in `scheduler.step")
            return Observation({self.quantity: np.array(self._rates(case), np.float64)})

    def _rates(self, case: Case) -> list[list[float]]:
        optimizer, scheduler = self._made(case)
        read = self._told if case.run == "last_lr" else self._used
        rates = [read(optimizer, scheduler)]
        for step in case.inputs["steps"]:
            for group, rate in zip(optimizer.param_groups, step.get("set", ()), strict=False):
                group[self.quantity] = float(rate)
            if step.get("reload"):
                optimizer, scheduler = self._reloaded(case, optimizer, scheduler)
            optimizer.step()
            self._step(scheduler, step)
            rates.append(read(optimizer, scheduler))
        return rates

    def _made(self, case: Case) -> tuple[torch.optim.Optimizer, Any]:
        other = {} if self.quantity == "lr" else {"lr": 0.1}
        groups = [
            {"params": [torch.zeros(1, device=self.device, requires_grad=True)], self.quantity: float(rate), **other}
            for rate in case.inputs[self.quantity]
        ]
        optimizer = torch.optim.SGD(groups)
        for group in optimizer.param_groups:
            group["params"][0].grad = torch.zeros(1, device=self.device)
        settings = calling.keywords(self.code, self.component, case.settings, self.fixed, 1)
        scheduler = self.code(optimizer, **settings, **self._resumed(case, optimizer))
        if not callable(getattr(scheduler, "step", None)):
            raise Misbehaviour(f"it made a {type(scheduler).__name__}, expected an object with step")
        constant = case.inputs.get("constant")
        return optimizer, _joined(optimizer, scheduler, **constant) if constant else scheduler

    def _resumed(self, case: Case, optimizer: torch.optim.Optimizer) -> dict[str, int]:
        """The optimizer as an earlier run has left it, and the ``last_epoch`` with which its schedule is resumed."""
        resumed = case.inputs.get("resumed")
        if resumed is None:
            return {}
        accepted = (calling.parameters(self.code) or {}).get("last_epoch")
        if accepted is None or accepted.default != -1:
            raise NotProvided("it does not accept last_epoch, with the default -1")
        for group, rate in zip(optimizer.param_groups, resumed["lr"], strict=True):
            group["initial_lr"], group["lr"] = group["lr"], float(rate)
        return {"last_epoch": resumed["last_epoch"]}

    def _reloaded(
        self, case: Case, optimizer: torch.optim.Optimizer, scheduler: Any
    ) -> tuple[torch.optim.Optimizer, Any]:
        if not hasattr(scheduler, "state_dict") or not hasattr(scheduler, "load_state_dict"):
            raise NotProvided("it has no state_dict and load_state_dict")
        saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
        optimizer, scheduler = self._made(case)
        optimizer.load_state_dict(saved[0])
        scheduler.load_state_dict(saved[1])
        return optimizer, scheduler

    def _step(self, scheduler: Any, step: Mapping[str, Any]) -> None:
        if "metric" in step:
            scheduler.step(step["metric"])
        elif "epoch" in step:
            if not _takes_epoch(scheduler):
                raise NotProvided("its step takes no epoch")
            scheduler.step(step["epoch"])
        else:
            scheduler.step()

    def _used(self, optimizer: torch.optim.Optimizer, scheduler: Any) -> list[float]:
        return [_number(group[self.quantity], f"a group's {self.quantity}") for group in optimizer.param_groups]

    def _told(self, optimizer: torch.optim.Optimizer, scheduler: Any) -> list[float]:
        if not hasattr(scheduler, "get_last_lr"):
            raise NotProvided("it has no get_last_lr")
        return [_number(rate, "a rate of get_last_lr") for rate in scheduler.get_last_lr()]


class _Chained:
    """A constant schedule and another after it, stepped together, as torch's ChainedScheduler does of its own."""

    def __init__(self, first: Any, second: Any):
        self.first, self.second = first, second

    def step(self) -> None:
        """Step both."""
        self.first.step()
        self.second.step()


def _joined(optimizer: torch.optim.Optimizer, scheduler: Any, factor: float, steps: int, then: str) -> Any:
    """A constant schedule and the target: stepped together, or one after the other."""
    first = lr_scheduler.ConstantLR(optimizer, factor, steps)
    if then == "chained":
        return _Chained(first, scheduler)
    if not _has_closed_form(scheduler):
        raise NotProvided("it is no LRScheduler with a closed form: SequentialLR cannot start it anew")
    return lr_scheduler.SequentialLR(optimizer, [first, scheduler], [steps])


def _has_closed_form(scheduler: Any) -> bool:
    return isinstance(scheduler, lr_scheduler.LRScheduler) and hasattr(scheduler, "_get_closed_form_lr")


def _takes_epoch(scheduler: Any) -> bool:
    """Whether ``step(epoch)`` has a meaning: that inherited from torch has one only beside a closed form."""
    if getattr(type(scheduler), "step", None) is lr_scheduler.LRScheduler.step:
        return _has_closed_form(scheduler)
    return "epoch" in (calling.parameters(scheduler.step) or {})


def _number(value: Any, what: str) -> float:
    if isinstance(value, (bool, str)) or value is None:
        raise Misbehaviour(f"{what} is {value!r}, expected a number")
    return float(value)


class ScheduleFunction(Implementation):
    """A function of the step count; one that takes no learning rate gives the factor on it."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], count: str, base: str):
        self.component, self.code, self.fixed, self.count, self.base = component, code, fixed, count, base
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Call it for every step."""
        if case.run != "steps" or {"constant", "resumed"} & set(case.inputs):
            raise NotProvided("a function of the step count has no state and stands alone")
        count, counts = 0, [0]
        for step in case.inputs["steps"]:
            if "set" in step or "reload" in step:
                raise NotProvided("a function of the step count has no state")
            count = step.get("epoch", count + 1)
            counts.append(count)
        quantity = self.component.inputs[0]
        derived = {self.count: 0, self.base: 0.0}
        settings = calling.keywords(self.code, self.component, case.settings, self.fixed, derived=derived)
        rates = [[self._rate(count, float(base), settings) for base in case.inputs[quantity]] for count in counts]
        return Observation({quantity: np.array(rates, np.float64)})

    def _rate(self, count: int, base: float, settings: Mapping[str, Any]) -> float:
        given = {**settings, self.count: count}
        if not self.base:
            return base * _number(self.code(**given), "the factor")
        return _number(self.code(**{**given, self.base: base}), "the rate")


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if inspect.isclass(code):
        if not hasattr(code, "step"):
            raise Refused("a class must have step, as torch's schedulers have")
        return SchedulerClass(component, code, fixed, device)
    known = list(calling.parameters(code) or ())
    count = next((name for name in known if name in _COUNTS), "")
    if count and known[0] not in ("optimizer", "optim", "opt"):
        base = next((name for name in known if name in _BASES), "")
        return ScheduleFunction(component, code, fixed, count, base)
    return SchedulerClass(component, code, fixed, device)
