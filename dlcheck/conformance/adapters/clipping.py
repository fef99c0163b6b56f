"""Gradient clipping: functions of parameters that change their ``.grad``, or of a list of arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused


class Clipping(Implementation):
    """A function called with parameters whose gradients are set; failing that, with their gradients as arrays."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self.takes_parameters: bool | None = None

    def observe(self, case: Case) -> Observation:
        """Clip once, and look at the gradients, at what is returned, or at whether it raises."""
        if self.takes_parameters is None:
            self.takes_parameters = not self._takes_arrays_only(case)
        run = self._with_parameters if self.takes_parameters else self._with_arrays
        if case.run != "refuses":
            return run(case)
        self._settings(case)  # what it does not accept is no refusal
        try:
            run(case)
        except (ValueError, RuntimeError, ArithmeticError):
            return Observation({"refused": np.ones(())})
        return Observation({"refused": np.zeros(())})

    def _settings(self, case: Case) -> tuple[list[Any], dict[str, Any]]:
        """The limit, by position where the code has another name for it, and the other settings."""
        limit = next(iter(self.component.settings))
        known = calling.parameters(self.code)
        if known is None or limit in known or limit in self.fixed:
            return [], calling.keywords(self.code, self.component, case.settings, self.fixed, 1)
        others = {name: value for name, value in case.settings.items() if name != limit}
        value = case.settings.get(limit, self.component.settings[limit])
        return [value], calling.keywords(self.code, self.component, others, self.fixed, 2)

    def _with_parameters(self, case: Case) -> Observation:
        params = [self._parameter(grad, case) for grad in case.inputs["grads"]]
        before, held = [param.detach().clone() for param in params], [param.grad for param in params]
        returned = self._called(params, case)
        pure = all(torch.equal(param, value) for param, value in zip(params, before, strict=True))
        facts = {"dtype": self._dtype(params, case), "purity": pure}
        if case.run == "norm":
            return Observation({"norm": _number(returned)}, facts)
        left = held if case.run == "held" else [param.grad for param in params]
        grads = [None if grad is None else calling.to_numpy(grad, "a gradient") for grad in left]
        return Observation(_named(grads, case), facts)

    def _called(self, each: list[Any], case: Case) -> Any:
        positional, settings = self._settings(case)
        return self.code(_handed(each, case), *positional, **settings)

    def _parameter(self, grad: Array | None, case: Case) -> torch.nn.Parameter:
        shape = (2,) if grad is None else np.shape(grad)
        parameter = torch.nn.Parameter(torch.full(shape, 0.5, dtype=getattr(torch, case.dtype), device=self.device))
        parameter.grad = None if grad is None else calling.tensor(grad, case.dtype, case.layout, self.device)
        return parameter

    def _dtype(self, params: list[torch.nn.Parameter], case: Case) -> str:
        return next((calling.dtype_name(param.grad) for param in params if param.grad is not None), case.dtype)

    def _takes_arrays_only(self, case: Case) -> bool:
        """Whether it fails on parameters, or computes with them in place of their gradients, and works on arrays."""
        plain = Case("clip", case.inputs, case.settings)
        params = [self._parameter(grad, plain) for grad in plain.inputs["grads"]]
        try:
            works = not _gives_arrays(self._called(params, plain))
        except (NotProvided, Refused, Misbehaviour):
            return False
        except Exception:
            works = False
        return not works and self._works_on_arrays(plain)

    def _works_on_arrays(self, case: Case) -> bool:
        try:
            self._with_arrays(case)
        except Exception:
            return False
        return True

    def _with_arrays(self, case: Case) -> Observation:
        if any(grad is None for grad in case.inputs["grads"]):
            raise NotProvided("among arrays no gradient is missing")
        if case.run == "held":
            raise NotProvided("arrays are returned, not clipped in place")
        if case.inputs.get("given_as", "list") != "list":
            raise NotProvided("arrays come in a list")
        arrays = [calling.array(grad, case.dtype, case.layout) for grad in case.inputs["grads"]]
        returned = self._called(arrays, case)
        if case.run == "norm":
            return Observation({"norm": _number(returned[-1] if isinstance(returned, tuple) else returned)})
        clipped = returned[0] if isinstance(returned, tuple) and isinstance(returned[0], (list, tuple)) else returned
        clipped = clipped if isinstance(clipped, (list, tuple)) else arrays
        return Observation(_named([calling.to_numpy(grad, "a gradient") for grad in clipped], case))


def _gives_arrays(returned: Any) -> bool:
    """Whether it returns the clipped gradients, alone or before their norm."""
    first = returned[0] if isinstance(returned, tuple) and returned else returned
    return isinstance(first, list)


def _handed(each: list[Any], case: Case) -> Any:
    """The parameters as a list, as one alone, or as a generator, which can be gone through once."""
    given_as = case.inputs.get("given_as", "list")
    return each[0] if given_as == "alone" else (one for one in each) if given_as == "generator" else each


def _named(grads: list[Array | None], case: Case) -> dict[str, Array]:
    for index, (grad, given) in enumerate(zip(grads, case.inputs["grads"], strict=True)):
        if (grad is None) != (given is None):
            raise Misbehaviour(f"parameter {index} {'lost its' if grad is None else 'was given a'} gradient")
    return {f"grad{index}": grad for index, grad in enumerate(grads) if grad is not None}


def _number(returned: Any) -> Array:
    if isinstance(returned, (int, float)) and not isinstance(returned, bool):
        return np.asarray(float(returned))
    return calling.to_numpy(returned, "what it returned").reshape(())


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if not callable(code):
        raise Refused(f"a {type(code).__name__} cannot be called")
    return Clipping(component, code, fixed, device)
