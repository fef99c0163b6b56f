"""What is right: the reference, driven through cases, under any combination of conventions and with any fault."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from dlcheck import registry
from dlcheck.component import Case, Component, Fault, Option
from dlcheck.conformance.implementation import Array, Implementation, NotProvided, Observation
from dlcheck.evidence import numerics

_PREPARED: WeakKeyDictionary[Case, Case] = WeakKeyDictionary()


def prepared(case: Case, settings: Mapping[str, Any] | None = None) -> Case:
    """The case with its arrays rounded to what its dtype holds, and with settings that are fixed for all cases."""
    if not settings and case in _PREPARED:
        return _PREPARED[case]

    def held(value: Any) -> Any:
        if isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f":
            return numerics.rounded(np.asarray(value, np.float64), case.dtype)
        if isinstance(value, Mapping):
            return {key: held(inner) for key, inner in value.items()}
        return [held(inner) for inner in value] if isinstance(value, list) else value

    inputs = held({name: np.asarray(value) if type(value) is float else value for name, value in case.inputs.items()})
    made = replace(case, inputs=inputs, settings={**case.settings, **(settings or {})})
    return made if settings else _PREPARED.setdefault(case, made)


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


DRIVER: dict[str, Callable[..., Any]] = {
    "steps_before": _steps_before,
    "reload_state": _reload_state,
    "outside_change": _outside_change,
    "group_settings": _group_settings,
}
"""What surrounds an optimizer's step; a fault may replace these like functions of the reference.

An optimizer whose ``step_count`` is "shared" counts the calls of step, not those in which a parameter had a gradient.
"""


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


class Reference(Implementation):
    """The reference under named options of its conventions, with at most one fault."""

    def __init__(self, component: Component, options: Mapping[str, str] | None = None, fault: Fault | None = None):
        self.component, self.options, self.fault = component, dict(options or {}), fault
        self.name = fault.id if fault else "reference"
        self._module = registry.module(registry.families()[component.name], "reference")
        chosen = map(self._option, self.options.items())
        self._keywords = {key: value for option in chosen for key, value in option.keywords.items()}
        self.shares_count = self._keywords.get("step_count") == "shared"
        self._observed: WeakKeyDictionary[Case, Observation] = WeakKeyDictionary()
        self._allowed: WeakKeyDictionary[Case, dict[bool, dict[str, Array]]] = WeakKeyDictionary()

    def _option(self, choice: tuple[str, str]) -> Option:
        axis, name = choice
        convention = registry.lookup("convention axis", {c.axis: c for c in self.component.conventions}, axis)
        return registry.lookup(f"option of {axis}", {o.name: o for o in convention.options}, name)

    def function(self, name: str) -> Callable[..., Any] | None:
        """A function of the reference module, or what the fault puts in its place; None where there is none."""
        if self.fault and name in self.fault.replaces:
            return self.fault.replaces[name]
        return getattr(self._module, name, None) or DRIVER.get(name)

    def required(self, name: str) -> Callable[..., Any]:
        """The same; raises NotProvided where there is none."""
        found = self.function(name)
        if found is None:
            raise NotProvided(f"the reference has no {name}")
        return found

    def keywords(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The options' keywords that a function knows, under the settings of a case."""
        known = _parameters(getattr(self._module, name, None) or self.required(name))
        return {key: value for key, value in self._keywords.items() if key in known} | dict(settings)

    def observe(self, case: Case) -> Observation:
        """Run one case on the reference, in float64; the same observation each time."""
        if case not in self._observed:
            with np.errstate(all="ignore"):
                self._observed[case] = _RUNS[case.run](self, case)
        return self._observed[case]

    def allowance(self, case: Case, strict: bool = False) -> dict[str, Array]:
        """Error allowed in each of the values of this case; see ``numerics.allowance``.

        ``strict`` holds small values to their own size, not to the component's magnitude.
        """
        if strict not in self._allowed.setdefault(case, {}):
            self._allowed[case][strict] = self._worked_out(case, strict)
        return self._allowed[case][strict]

    def _worked_out(self, case: Case, strict: bool) -> dict[str, Array]:
        def function(inputs: Any, settings: Any) -> Mapping[str, Array]:
            return _RUNS[case.run](self, replace(case, inputs=inputs, settings=settings)).values

        settings = {**self._settings_of(case), **case.settings}
        operations = self.component.operations(case)
        values = self.observe(case).values
        if case.run == "trajectory":
            sizes = _trajectory_magnitudes(case, values)
        else:
            least = 0.0 if strict else self.component.magnitude(case)
            sizes = {name: np.fmax(np.abs(value), least) for name, value in values.items()}
        return numerics.allowance(function, case.inputs, settings, case.dtype, operations, sizes, case.exact)

    def _settings_of(self, case: Case) -> dict[str, Any]:
        """An optimizer's default settings, which round too; options that set defaults come first."""
        if case.run != "trajectory":
            return {}
        known = _parameters(getattr(self._module, self.component.name))
        defaults = {key: value for key, value in self.component.settings.items() if key in known}
        return {key: self._keywords.get(key, value) for key, value in defaults.items()}


def _forward(reference: Reference, case: Case) -> Observation:
    name = reference.component.name
    given = [np.array(case.inputs[key]) for key in reference.component.inputs]
    output = reference.required(name)(*given, **reference.keywords(name, case.settings))
    return Observation({"output": np.asarray(output)}, _facts(case, reference.component.inputs, given))


def _backward(reference: Reference, case: Case) -> Observation:
    name, arguments = f"{reference.component.name}_backward", ("grad_output", *reference.component.inputs)
    given = [np.array(case.inputs[key]) for key in arguments]
    gradients = reference.required(name)(*given, **reference.keywords(name, case.settings))
    values = {f"grad_{key}": np.asarray(value) for key, value in gradients.items()}
    return Observation(values, _facts(case, arguments, given))


def _facts(case: Case, names: Sequence[str], given: Sequence[Array]) -> dict[str, Any]:
    pure = all(np.array_equal(now, case.inputs[name], equal_nan=True) for name, now in zip(names, given, strict=True))
    return {"dtype": case.dtype, "purity": pure}


def _trajectory(reference: Reference, case: Case) -> Observation:
    name = reference.component.name
    step_function, reload_state = reference.required(name), reference.required("reload_state")
    change, join = reference.required("outside_change"), reference.required("group_settings")
    before = reference.required("steps_before")
    shared = reference.shares_count and before is _steps_before
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


def _trajectory_magnitudes(case: Case, values: Mapping[str, Array]) -> dict[str, Array]:
    """The largest size that each parameter has had so far: roundings of early steps stay in later ones."""
    starts = {f"param{index}": np.abs(param) for index, param in enumerate(case.inputs["params"])}
    return {
        name: np.maximum(np.fmax.accumulate(np.abs(value), axis=0), starts[name]) if len(value) else np.abs(value)
        for name, value in values.items()
    }


def _sample(reference: Reference, case: Case) -> Observation:
    name, shape = reference.component.name, tuple(case.inputs["shape"])
    rng = np.random.default_rng(0)
    keywords = reference.keywords(name, case.settings)
    draws = [reference.required(name)(shape, rng, **keywords) for _ in range(case.inputs["draws"])]
    fresh = len(draws) < 2 or not np.array_equal(draws[0], draws[1])
    facts = {"dtype": case.dtype, "generator": True, "fresh": fresh}
    return Observation({"samples": np.stack(draws)}, facts)


_RUNS: dict[str, Callable[[Reference, Case], Observation]] = {
    "forward": _forward,
    "backward": _backward,
    "trajectory": _trajectory,
    "sample": _sample,
}
