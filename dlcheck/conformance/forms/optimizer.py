"""Optimizers: the reference has a pure step ``name(param, grad, state, ...) -> (new param, new state)``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form, Values
from dlcheck.conformance.forms.replay import keywords, tensor
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference

Settings = Mapping[str, Any]
Grads = Sequence[Array | None]
Rule = Callable[..., tuple[Array, Any]]
Closure = tuple[int, bool, bool]
"""How often a step has called its closure, whether gradients were recorded there, and whether it gave its loss."""


def _outside_change(settings: Settings, change: Settings) -> Settings:
    return {**settings, **change}


def _group_settings(settings: Settings, groups: Sequence[Settings], position: int) -> Settings:
    """The settings of the group at a position."""
    return {**settings, **groups[position]}


def _updates_group(position: int, added: bool) -> bool:
    """Whether the group at a position is updated at all; ``added`` are those that have joined after the first step."""
    return True


def _without_gradient(rule: Rule, param: Array, state: Any, settings: Settings) -> tuple[Array, Any]:
    """What becomes of a parameter, and of its state, in a step in which it has no gradient."""
    return param, state


def _clears_in_place(asked: bool) -> bool:
    """Whether a gradient is written into the memory of the one before it."""
    return asked


def _reached(grads: Grads, steps: int) -> Grads:
    """The gradients of a step that find their parameters, after so many steps."""
    return grads


def _evaluated(grads: Grads, before: Grads) -> tuple[Grads, Closure]:
    """The gradients that a step with a closure uses, and what became of the closure.

    ``before`` are those of the step before.
    """
    return grads, (1, True, True)


def _reload_state(state: Any) -> Any:
    """A parameter's state after saving and loading."""
    return state


def _reload_settings(settings: Settings, made: Settings) -> Settings:
    """A group's settings after saving and loading; ``made`` are those that the fresh optimizer was made with."""
    return settings


def _reload_count(steps: int) -> int:
    """The number of steps after saving and loading, where all parameters share it."""
    return steps


def _steps_before(steps: int, updates: int) -> int | None:
    """What an update counts as the steps before it: None for those of its parameter's own state.

    ``steps`` are all calls of step before this one, ``updates`` all updates of any parameter.
    """
    return None


DRIVER = {
    "outside_change": _outside_change,
    "group_settings": _group_settings,
    "updates_group": _updates_group,
    "without_gradient": _without_gradient,
    "clears_in_place": _clears_in_place,
    "reached": _reached,
    "evaluated": _evaluated,
    "reload_state": _reload_state,
    "reload_settings": _reload_settings,
    "reload_count": _reload_count,
    "steps_before": _steps_before,
}
"""What surrounds an optimizer's step.

An optimizer whose ``step_count`` is "shared" counts the calls of step, not those in which a parameter had a gradient.
"""


def trajectory(reference: Reference, case: Case) -> Observation:
    """Every parameter after each step, and what became of each closure."""
    run = _Run(reference, case)
    closures = [run.step(step) for step in case.inputs["steps"]]
    values = {f"param{index}": np.stack(past) for index, past in enumerate(run.history)}
    if any(closures):
        values["closure"] = np.array([row for row in closures if row], np.float64)
    return Observation(values, {"dtype": case.dtype, "purity": run.pure})


class _Run:
    """The reference driven along a case, step by step."""

    def __init__(self, reference: Reference, case: Case):
        name, given = reference.component.name, case.inputs
        self.rule, self.driver = reference.required(name), {name: reference.required(name) for name in DRIVER}
        self.params = [np.array(param) for param in given["params"]]
        self.states: list[Any] = [None] * len(self.params)
        base, join = reference.keywords(name, case.settings), self.driver["group_settings"]
        self.groups = [_position(case, index) for index in range(len(self.params))]
        described = given.get("groups", [{}])
        groups = [_without(group, "params", "added") for group in described]
        self.added = ["added" in group for group in described]
        self.made = [join(base, groups, position) for position in self.groups]
        self.settings = list(self.made)
        in_place = self.driver["clears_in_place"](bool(given.get("cleared_in_place")))
        self.memory = [np.zeros_like(param) for param in self.params] if in_place else None
        self.before: Grads = [None] * len(self.params)
        self.history: list[list[Array]] = [[] for _ in self.params]
        self.pure, self.steps, self.updates = True, 0, 0
        count = self.driver["steps_before"]
        shared = reference.chosen.get("step_count") == "shared" and count is _steps_before
        self.count = (lambda steps, updates: steps) if shared else count

    def step(self, step: Settings) -> Closure | None:
        """One step, and what became of its closure."""
        if step.get("reload"):
            self._reload()
        if step.get("set"):
            self.settings = [self.driver["outside_change"](own, step["set"]) for own in self.settings]
        grads, closure = step["grads"], None
        if step.get("closure"):
            grads, closure = self.driver["evaluated"](grads, self.before)
        self.before = step["grads"]
        for index, grad in enumerate(self.driver["reached"](grads, self.steps)):
            position = self.groups[index]
            if self.driver["updates_group"](position, self.added[position]):
                self._update(index, grad)
            self.history[index].append(np.array(self.params[index]))
        self.steps += 1
        return closure

    def _reload(self) -> None:
        self.states = [self.driver["reload_state"](state) for state in self.states]
        loaded = zip(self.settings, self.made, strict=True)
        self.settings = [self.driver["reload_settings"](own, made) for own, made in loaded]
        self.steps, self.updates = (self.driver["reload_count"](count) for count in (self.steps, self.updates))

    def _update(self, index: int, grad: Array | None) -> None:
        param, state, settings = self.params[index], self.states[index], self.settings[index]
        count = self.count(self.steps, self.updates)
        counted = settings if count is None else {**settings, "steps_before": count}
        if grad is None:
            waited = self.driver["without_gradient"](self.rule, param, state, counted)
            self.params[index], self.states[index] = waited
            return
        given = self._in_memory(index, grad)
        self.params[index], self.states[index] = self.rule(param, given, state, **counted)
        self.pure, self.updates = self.pure and given.tobytes() == grad.tobytes(), self.updates + 1

    def _in_memory(self, index: int, grad: Array) -> Array:
        """The gradient in an array of its own, or in that of all gradients of its parameter."""
        if self.memory is None:
            return np.array(grad)
        self.memory[index][...] = grad
        return self.memory[index]


def _position(case: Case, index: int) -> int:
    """Where a parameter's group stands among the groups; without any, all are in one."""
    groups = case.inputs.get("groups", ())
    return next((position for position, group in enumerate(groups) if index in group["params"]), 0)


def magnitudes(case: Case, values: Values) -> dict[str, Array]:
    """The largest size that each parameter has had so far: roundings of early steps stay in later ones."""
    starts = {f"param{index}": np.abs(param) for index, param in enumerate(case.inputs["params"])}
    return {
        name: np.maximum(np.fmax.accumulate(np.abs(value), axis=0), starts.get(name, 0.0))
        if len(value)
        else np.abs(value)
        for name, value in values.items()
    }


def _without(group: Settings, *names: str) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in names}


def snippet(component: Component, case: Case) -> list[str]:
    """Set the gradients and step."""
    params = [f"torch.nn.Parameter({tensor(value, case)})" for value in case.inputs["params"]]
    lines = [f"params = [{', '.join(params)}]"]
    groups = case.inputs.get("groups", ())
    indexed = [f"{{**{_without(g, 'added')!r}, 'params': [params[i] for i in {g['params']}]}}" for g in groups]
    made = [text for group, text in zip(groups, indexed, strict=True) if "added" not in group]
    given = f"[{', '.join(made)}]" if groups else "params"
    lines += [f"optimizer = target({given}{keywords(case)})"]
    for number, step in enumerate(case.inputs["steps"]):
        joining = (text for group, text in zip(groups, indexed, strict=True) if group.get("added") == number)
        lines += [f"optimizer.add_param_group({text})" for text in joining]
        if step.get("set"):
            lines += [f"for group in optimizer.param_groups: group.update({step['set']!r})"]
        if step.get("reload"):
            lines += ["saved = optimizer.state_dict()", f"optimizer = target({given}{keywords(case)})"]
            lines += ["optimizer.load_state_dict(saved)"]
        for index, grad in enumerate(step["grads"]):
            kept = case.inputs.get("cleared_in_place") and step is not case.inputs["steps"][0]
            value = "None" if grad is None else tensor(grad, case)
            lines += [f"params[{index}].grad.copy_({value})" if kept else f"params[{index}].grad = {value}"]
        lines += ["optimizer.step()", "print(params)"]
    return lines


FORM = Form({"trajectory": trajectory}, ("dtype", "purity", "determinism"), snippet, DRIVER, magnitudes)
