"""Optimizers: the reference has a pure step ``name(param, grad, state, ...) -> (new param, new state)``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form, Values
from dlcheck.conformance.forms.replay import keywords, tensor
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference


def _reload_state(state: Any) -> Any:
    return state


def _outside_change(settings: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, **change}


def _group_settings(settings: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, **group}


def _steps_before(steps: int, updates: int) -> int | None:
    """What an update counts as the steps before it: None for those of its parameter's own state.

    ``steps`` are all calls of step before this one, ``updates`` all updates of any parameter.
    """
    return None


DRIVER = {
    "steps_before": _steps_before,
    "reload_state": _reload_state,
    "outside_change": _outside_change,
    "group_settings": _group_settings,
}
"""What surrounds an optimizer's step.

An optimizer whose ``step_count`` is "shared" counts the calls of step, not those in which a parameter had a gradient.
"""


def trajectory(reference: Reference, case: Case) -> Observation:
    """Every parameter after each step."""
    name = reference.component.name
    step_function, reload_state = reference.required(name), reference.required("reload_state")
    change, join = reference.required("outside_change"), reference.required("group_settings")
    before = reference.required("steps_before")
    shared = reference.chosen.get("step_count") == "shared" and before is _steps_before
    params = [np.array(param) for param in case.inputs["params"]]
    states: list[Any] = [None] * len(params)
    base = reference.keywords(name, case.settings)
    settings = [join(base, _group_of(case, index)) for index in range(len(params))]
    history: list[list[Array]] = [[] for _ in params]
    pure, updates = True, 0
    for steps, step in enumerate(case.inputs["steps"]):
        settings = [change(own, step.get("set", {})) for own in settings]
        states = [reload_state(state) for state in states] if step.get("reload") else states
        for index, grad in enumerate(step["grads"]):
            if grad is not None:
                given = np.array(grad)
                count = steps if shared else before(steps, updates)
                counted = settings[index] if count is None else {**settings[index], "steps_before": count}
                params[index], states[index] = step_function(params[index], given, states[index], **counted)
                pure, updates = pure and np.array_equal(given, grad, equal_nan=True), updates + 1
            history[index].append(np.array(params[index]))
    values = {f"param{index}": np.stack(past) for index, past in enumerate(history)}
    return Observation(values, {"dtype": case.dtype, "purity": pure})


def _group_of(case: Case, index: int) -> dict[str, Any]:
    for group in case.inputs.get("groups", ()):
        if index in group["params"]:
            return {key: value for key, value in group.items() if key != "params"}
    return {}


def magnitudes(case: Case, values: Values) -> dict[str, Array]:
    """The largest size that each parameter has had so far: roundings of early steps stay in later ones."""
    starts = {f"param{index}": np.abs(param) for index, param in enumerate(case.inputs["params"])}
    return {
        name: np.maximum(np.fmax.accumulate(np.abs(value), axis=0), starts[name]) if len(value) else np.abs(value)
        for name, value in values.items()
    }


def snippet(component: Component, case: Case) -> list[str]:
    """Set the gradients and step."""
    params = [f"torch.nn.Parameter({tensor(value, case)})" for value in case.inputs["params"]]
    lines = [f"params = [{', '.join(params)}]"]
    groups = case.inputs.get("groups")
    given = "params"
    if groups:
        indexed = (f"{{**{g!r}, 'params': [params[i] for i in {g['params']}]}}" for g in groups)
        given = f"[{', '.join(indexed)}]"
    lines += [f"optimizer = target({given}{keywords(case)})"]
    for step in case.inputs["steps"]:
        if step.get("set"):
            lines += [f"for group in optimizer.param_groups: group.update({step['set']!r})"]
        if step.get("reload"):
            lines += ["saved = optimizer.state_dict()", f"optimizer = target({given}{keywords(case)})"]
            lines += ["optimizer.load_state_dict(saved)"]
        for index, grad in enumerate(step["grads"]):
            lines += [f"params[{index}].grad = {None if grad is None else tensor(grad, case)}"]
        lines += ["optimizer.step()", "print(params)"]
    return lines


FORM = Form({"trajectory": trajectory}, ("dtype", "purity", "determinism"), snippet, DRIVER, magnitudes)
