"""What is right: the reference, driven through cases, under any combination of conventions and with any fault."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from dlcheck import registry
from dlcheck.component import Case, Component, Fault, Option
from dlcheck.conformance import form
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


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


class Reference(Implementation):
    """The reference under named options of its conventions, with at most one fault; ``seed`` is that of its draws."""

    def __init__(
        self,
        component: Component,
        options: Mapping[str, str] | None = None,
        fault: Fault | None = None,
        seed: int = 0,
    ):
        self.component, self.options, self.fault, self.seed = component, dict(options or {}), fault, seed
        self.name = fault.id if fault else "reference"
        self._module = registry.module(registry.families()[component.name], "reference")
        chosen = map(self._option, self.options.items())
        self.chosen = {key: value for option in chosen for key, value in option.keywords.items()}
        self._form = form.named(component.form)
        self._observed: WeakKeyDictionary[Case, Observation] = WeakKeyDictionary()
        self._digests: WeakKeyDictionary[Case, bytes] = WeakKeyDictionary()
        self._allowed: WeakKeyDictionary[Case, dict[bool, dict[str, Array]]] = WeakKeyDictionary()

    def _option(self, choice: tuple[str, str]) -> Option:
        axis, name = choice
        convention = registry.lookup("convention axis", {c.axis: c for c in self.component.conventions}, axis)
        return registry.lookup(f"option of {axis}", {o.name: o for o in convention.options}, name)

    def function(self, name: str) -> Callable[..., Any] | None:
        """A function of the reference module, or what the fault puts in its place; None where there is none."""
        if self.fault and name in self.fault.replaces:
            return self.fault.replaces[name]
        return getattr(self._module, name, None) or self._form.driver.get(name)

    def required(self, name: str) -> Callable[..., Any]:
        """The same; raises NotProvided where there is none."""
        found = self.function(name)
        if found is None:
            raise NotProvided(f"the reference has no {name}")
        return found

    def keywords(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The options' keywords that a function knows, under the settings of a case."""
        return {key: value for key, value in self.chosen.items() if key in self._known(name)} | dict(settings)

    def _known(self, name: str) -> frozenset[str]:
        return _parameters(getattr(self._module, name, None) or self.required(name))

    def observe(self, case: Case) -> Observation:
        """Run one case on the reference, in float64; the same observation each time."""
        if case not in self._observed:
            with np.errstate(all="ignore"):
                self._observed[case] = self._form.runs[case.run](self, case)
        return self._observed[case]

    def digest(self, case: Case) -> bytes:
        """What tells its numbers in this case from other ones."""
        if case not in self._digests:
            seen = self.observe(case)
            numbers = f"{seen.shapes}".encode() + seen.flat.tobytes()
            self._digests[case] = hashlib.blake2b(numbers, digest_size=16).digest()
        return self._digests[case]

    def allowance(self, case: Case, strict: bool = False) -> dict[str, Array]:
        """Error allowed in each of the values of this case; see ``numerics.allowance``.

        ``strict`` holds small values to their own size, not to the component's magnitude.
        """
        if strict not in self._allowed.setdefault(case, {}):
            self._allowed[case][strict] = self._worked_out(case, strict)
        return self._allowed[case][strict]

    def _worked_out(self, case: Case, strict: bool) -> dict[str, Array]:
        run, given = self._form.runs[case.run], self._settings_of(case)

        def function(inputs: Any, settings: Any) -> Mapping[str, Array]:
            try:
                return run(self, replace(case, inputs=inputs, settings=settings)).values
            except ValueError:  # a setting at the end of its range was moved out of it
                return run(self, replace(case, inputs=inputs, settings=given)).values

        operations = self.component.operations(case)
        values = self.observe(case).values
        least = 0.0 if strict else self.component.magnitude(case)
        sizes = {name: np.fmax(np.abs(value), least) for name, value in values.items()}
        if self._form.magnitudes:
            sizes = self._form.magnitudes(case, values)
        return numerics.allowance(function, case.inputs, given, case.dtype, operations, sizes, case.exact)

    def _settings_of(self, case: Case) -> dict[str, Any]:
        """The settings of a case over the defaults, which round too; options that set defaults come first."""
        known = self._known(self.component.name)
        defaults = {key: value for key, value in self.component.settings.items() if key in known}
        return {key: self.chosen.get(key, value) for key, value in defaults.items()} | dict(case.settings)
