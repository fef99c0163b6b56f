"""Functions that return the gradients of a component's parameters: in their order, or in a mapping by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling, function
from dlcheck.conformance.implementation import Implementation, Misbehaviour, Observation, Refused


class Estimator(Implementation):
    """A function of tensors or of arrays: which of them shows when it is first called."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self._arrays_only: bool | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case."""
        if self._arrays_only is None:
            self._arrays_only = self._takes_arrays_only(case)
        given = function.native_arrays(self.component, case) if self._arrays_only else self._tensors(case)
        found = self._by_name(self._called(case, given))
        values = {f"grad_{name}": calling.to_numpy(value, f"the gradient of {name}") for name, value in found.items()}
        pure = all(calling.unchanged(given[name], np.asarray(case.inputs[name])) for name in given)
        dtypes = {calling.dtype_name(value) for value in found.values() if isinstance(value, torch.Tensor)}
        known = {"dtype": case.dtype if dtypes == {case.dtype} else ", ".join(sorted(dtypes))} if dtypes else {}
        return Observation(values, {"purity": pure, **known})

    def _tensors(self, case: Case) -> dict[str, torch.Tensor]:
        names = function.given(self.component, case)
        return {name: calling.tensor(case.inputs[name], case.dtype, case.layout, self.device) for name in names}

    def _called(self, case: Case, given: Mapping[str, Any]) -> Any:
        positional, named = function.arguments(self, case, given)
        return self.code(*positional, **named)

    def _by_name(self, returned: Any) -> dict[str, Any]:
        names = self.component.parameters
        if isinstance(returned, Mapping):
            missing = [name for name in names if name not in returned]
            if missing:
                raise Misbehaviour(f"there is no gradient of {missing[0]}, only of {sorted(returned)}")
            return {name: returned[name] for name in names}
        if not isinstance(returned, (tuple, list)) or len(returned) != len(names):
            raise Misbehaviour(f"it returned a {type(returned).__name__}, expected the gradients of {', '.join(names)}")
        return dict(zip(names, returned, strict=True))

    def _takes_arrays_only(self, case: Case) -> bool:
        """Whether it gives arrays for arrays, and fails for tensors or gives no tensors."""
        arrays = {name: np.array(case.inputs[name]) for name in function.given(self.component, case)}
        tensors = {name: torch.tensor(values) for name, values in arrays.items()}
        return self._gives(np.ndarray, case, arrays) and not self._gives(torch.Tensor, case, tensors)

    def _gives(self, kind: type, case: Case, given: Mapping[str, Any]) -> bool:
        try:
            found = self._by_name(self._called(case, given))
        except Exception:
            return False
        return all(isinstance(value, kind) for value in found.values())


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter of a function."""
    if inspect.isclass(code) or not callable(code):
        raise Refused(f"a {type(code).__name__} must be a function that returns {', '.join(component.parameters)}")
    return Estimator(component, code, fixed, device)
