"""Schedules: the reference gives the learning rate (or momentum) after so many steps, or after one more metric."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form, Values
from dlcheck.conformance.forms.replay import keywords
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference

Schedule = Callable[[Array, int], Array]


def _advanced(count: int, epoch: int | None, settings: Mapping[str, Any]) -> int:
    """The number of steps after ``step()`` or ``step(epoch)``."""
    return count + 1 if epoch is None else epoch


def _resumed(last_epoch: int) -> int:
    """The number of steps after construction with this ``last_epoch``: a first step is part of it."""
    return last_epoch + 1


def _loaded_count(count: int) -> int:
    """The number of steps after saving and loading."""
    return count


def _loaded_base(base: Array, current: Array) -> Array:
    """The initial rates after saving and loading, when the current ones are the given."""
    return base


def _loaded_state(state: Any) -> Any:
    """What is remembered of the metrics after saving and loading."""
    return state


def _last_lr(schedule: Schedule, base: Array, count: int, current: Array) -> Array:
    """What ``get_last_lr`` tells."""
    return current


DRIVER = {
    "advanced": _advanced,
    "resumed": _resumed,
    "loaded_count": _loaded_count,
    "loaded_base": _loaded_base,
    "loaded_state": _loaded_state,
    "last_lr": _last_lr,
}
"""What surrounds a schedule."""


def _followed(reference: Reference, case: Case) -> tuple[list[Array], list[Array]]:
    """The rates of every group before the first step and after each, and what ``get_last_lr`` tells of them."""
    name = reference.component.name
    schedule: Schedule = partial(reference.required(name), **reference.keywords(name, case.settings))
    following = _following(reference)
    advanced, loaded, told = (reference.required(each) for each in ("advanced", "loaded_count", "last_lr"))
    base = np.array(case.inputs[reference.component.inputs[0]])
    constant, waits = _constant(case)
    current = base * constant if waits else schedule(base, 0) * constant
    count = -waits
    if "resumed" in case.inputs:
        count = reference.required("resumed")(case.inputs["resumed"]["last_epoch"])
        current = schedule(base, count)
    rates, last = [current], [told(schedule, base, max(count, 0), current)]
    for step in case.inputs["steps"]:
        current = np.array(step.get("set", current))
        if step.get("reload"):
            count, base = loaded(count), reference.required("loaded_base")(base, current)
        if not waits and count + 1 == case.inputs.get("constant", {}).get("steps"):
            current = current / constant
        epoch = step.get("epoch")
        count = advanced(count, epoch, case.settings)
        if count > 0 and epoch is None:
            current = following(schedule, base, current, count)
        elif count >= 0:
            current = schedule(base, count)
        rates.append(current)
        last.append(told(schedule, base, count, current))
    return rates, last


def _following(reference: Reference) -> Callable[[Schedule, Array, Array, int], Array]:
    """How a step finds the next rate: from the current one, or from the initial one and the step count."""
    if reference.chosen.get("outside_change") == "overwritten":
        return lambda schedule, base, current, count: schedule(base, count)
    return reference.required("continued")


def _constant(case: Case) -> tuple[float, int]:
    """The factor of a constant schedule before or beside this one, and the steps for which this one waits."""
    constant = case.inputs.get("constant", {})
    return constant.get("factor", 1.0), constant.get("steps", 0) if constant.get("then") == "sequential" else 0


def steps(reference: Reference, case: Case) -> Observation:
    """The rates of every group, (T + 1, G): before the first step and after each."""
    rates, _ = _followed(reference, case)
    return Observation({reference.component.inputs[0]: np.stack(rates)})


def last_lr(reference: Reference, case: Case) -> Observation:
    """The rates that ``get_last_lr`` tells before the first step and after each."""
    _, last = _followed(reference, case)
    return Observation({reference.component.inputs[0]: np.stack(last)})


def metrics(reference: Reference, case: Case) -> Observation:
    """The rates of every group before the first metric and after each."""
    name = reference.component.name
    rule, loaded = reference.required(name), reference.required("loaded_state")
    settings = reference.keywords(name, case.settings)
    current, state = np.array(case.inputs["lr"]), None
    rates = [current]
    for step in case.inputs["steps"]:
        state = loaded(state) if step.get("reload") else state
        current, state = rule(np.array(step.get("set", current)), step["metric"], state, **settings)
        rates.append(current)
    return Observation({"lr": np.stack(rates)})


def magnitudes(case: Case, values: Values) -> dict[str, Array]:
    """The largest rate of each group so far: roundings of early steps stay in later ones."""
    return {name: np.fmax.accumulate(np.abs(value), axis=0) for name, value in values.items()}


def snippet(component: Component, case: Case) -> list[str]:
    """Step an optimizer and the schedule in turn."""
    quantity = component.inputs[0]
    group = {"lr": "'lr': rate", "momentum": "'momentum': rate, 'lr': 0.1"}[quantity]
    lines = [
        "def made():",
        f"    rates = {np.asarray(case.inputs[quantity]).tolist()}",
        f"    groups = [{{'params': [torch.zeros(1, requires_grad=True)], {group}}} for rate in rates]",
        "    optimizer = torch.optim.SGD(groups)",
        *_as_left(case.inputs.get("resumed")),
        f"    scheduler = target(optimizer{keywords(case)}{_last_epoch(case)})",
        *_with_constant(case.inputs.get("constant")),
        "    return optimizer, scheduler",
        "optimizer, scheduler = made()",
    ]
    show = f"print([group[{quantity!r}] for group in optimizer.param_groups])"
    show = "print(scheduler.get_last_lr())" if case.run == "last_lr" else show
    return [*lines, show, *(line for step in case.inputs["steps"] for line in (*_stepped(step, quantity), show))]


def _as_left(resumed: Mapping[str, Any] | None) -> list[str]:
    if resumed is None:
        return []
    return [
        f"    for group, rate in zip(optimizer.param_groups, {np.asarray(resumed['lr']).tolist()}):",
        "        group['initial_lr'], group['lr'] = group['lr'], rate",
    ]


def _last_epoch(case: Case) -> str:
    return f", last_epoch={case.inputs['resumed']['last_epoch']}" if "resumed" in case.inputs else ""


def _with_constant(constant: Mapping[str, Any] | None) -> list[str]:
    if constant is None:
        return []
    factor, length = constant["factor"], constant["steps"]
    joined = "ChainedScheduler([first, scheduler])"
    if constant["then"] == "sequential":
        joined = f"SequentialLR(optimizer, [first, scheduler], [{length}])"
    return [
        f"    first = torch.optim.lr_scheduler.ConstantLR(optimizer, factor={factor}, total_iters={length})",
        f"    scheduler = torch.optim.lr_scheduler.{joined}",
    ]


def _stepped(step: Mapping[str, Any], quantity: str) -> list[str]:
    lines = []
    if "set" in step:
        changed = np.asarray(step["set"]).tolist()
        lines += [f"for group, rate in zip(optimizer.param_groups, {changed}): group[{quantity!r}] = rate"]
    if step.get("reload"):
        lines += ["saved = optimizer.state_dict(), scheduler.state_dict()", "optimizer, scheduler = made()"]
        lines += ["optimizer.load_state_dict(saved[0])", "scheduler.load_state_dict(saved[1])"]
    given = repr(step["metric"]) if "metric" in step else repr(step["epoch"]) if "epoch" in step else ""
    return [*lines, f"optimizer.step(); scheduler.step({given})"]


FORM = Form({"steps": steps, "last_lr": last_lr, "metrics": metrics}, ("determinism",), snippet, DRIVER, magnitudes)
