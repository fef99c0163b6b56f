"""Early stopping: a class with ``step(value) -> bool``, ``best`` and ``best_epoch``."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.forms.stopping import History
from dlcheck.conformance.implementation import Implementation, Misbehaviour, Observation, Refused


class Stopper(Implementation):
    """An object made anew for each case and stepped through its values until it says stop, or on where the case is."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any]):
        self.component, self.code, self.fixed = component, code, fixed
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one case."""
        made = self.code(**calling.keywords(self.code, self.component, case.settings, self.fixed))
        history = History()
        for value in case.inputs["values"]:
            stops = made.step(float(value))
            if not isinstance(stops, (bool, np.bool_)):
                raise Misbehaviour(f"step returned {stops!r}, expected True or False")
            history.add(bool(stops), _attribute(made, "best"), _attribute(made, "best_epoch"))
            if stops and not case.inputs.get("goes_on"):
                break
        return Observation(history.values(len(case.inputs["values"])))


def _attribute(made: Any, name: str) -> Any:
    if not hasattr(made, name):
        raise Misbehaviour(f"it has no attribute {name}")
    found = getattr(made, name)
    if found is not None and not np.isscalar(found) and np.size(found) != 1:
        raise Misbehaviour(f"{name} is a {type(found).__name__}, expected a number")
    return found


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if inspect.isclass(code) and not hasattr(code, "step"):
        raise Refused("a class must have step(value)")
    return Stopper(component, code, fixed)
