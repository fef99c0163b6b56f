"""Differentiation: code that takes a function and its inputs, in the manners of torch.func and torch.autograd."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.forms.differentiation import applied, function_of
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation


class Differentiation(Implementation):
    """A function ``target(function, *inputs)``; it gets tensors, or arrays where it takes no tensors."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self._of_arrays: bool | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case."""
        if self._of_arrays is None:
            self._of_arrays = self._takes(case, arrays=True) and not self._takes(case, arrays=False)
        return self._observed(case, self._of_arrays)

    def _takes(self, case: Case, arrays: bool) -> bool:
        """Whether it answers arrays, or tensors with tensors: code for arrays reads tensors on the CPU too."""
        try:
            facts = self._observed(Case(case.run, case.inputs), arrays).facts
        except Exception:
            return False
        return arrays or "dtype" in facts

    def _observed(self, case: Case, arrays: bool) -> Observation:
        def made(values: Array) -> Any:
            if arrays:
                return calling.array(values, case.dtype, case.layout)
            return calling.tensor(values, case.dtype, case.layout, self.device)

        given = [made(value) for value in case.inputs["x"]]
        before = [np.asarray(value) for value in case.inputs["x"]]
        program = function_of(case.inputs["program"])

        def function(*inputs: Any) -> Any:
            if len(inputs) != len(given):
                raise TypeError(f"the function was called with {len(inputs)} inputs, expected {len(given)}")
            return program(*inputs)

        try:
            first, values = self._answer(case, function, given, made)
        except (AttributeError, TypeError) as error:
            if _in_program(error):
                raise NotProvided(f"an operator is missing: {error}") from error
            raise
        held = _held(first)
        facts = {"dtype": calling.dtype_name(held)} if isinstance(held, torch.Tensor) else {}
        pure = all(calling.unchanged(now, was) for now, was in zip(given, before, strict=True))
        return Observation(values, {**facts, "purity": pure})

    def _answer(
        self, case: Case, function: Callable[..., Any], given: Sequence[Any], made: Callable[[Array], Any]
    ) -> tuple[Any, dict[str, Array]]:
        if case.run == "jacobian":
            found = _several(self._jacobian(function, given), len(given), "the Jacobian")
            return found[0], {f"jacobian_{place}": _numbers(part, "the Jacobian") for place, part in enumerate(found)}
        output, found = self._vjp(function, given, made(case.inputs["cotangent"]))
        parts = _several(found, len(given), "the gradient")
        values = {f"grad_{place}": _numbers(part, "a gradient") for place, part in enumerate(parts)}
        return parts[0], {"output": _numbers(output, "the output"), **values}

    def _vjp(self, function: Callable[..., Any], given: Sequence[Any], cotangent: Any) -> tuple[Any, Any]:
        """As torch.func.vjp, which returns a pullback, or torch.autograd.functional.vjp, which takes the cotangent."""
        if "inputs" in (calling.parameters(self.code) or {}):
            answer = self.code(function, tuple(given), cotangent, **self.fixed)
        else:
            answer = self.code(function, *given, **self.fixed)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise Misbehaviour(f"it returned a {type(answer).__name__}, expected the output and a pullback")
        output, found = answer
        return output, found(cotangent) if callable(found) else found

    def _jacobian(self, function: Callable[..., Any], given: Sequence[Any]) -> Any:
        """As torch.func.jacrev, torch.autograd.functional.jacobian, or a function of the inputs themselves."""
        known = calling.parameters(self.code) or {}
        if "argnums" in known:
            return self.code(function, argnums=tuple(range(len(given))), **self.fixed)(*given)
        if "inputs" in known:
            return self.code(function, tuple(given), **self.fixed)
        return self.code(function, *given, **self.fixed)


def _in_program(error: Exception) -> bool:
    """Whether it arose where the program applies an operator, and not in the code of the operator."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name == applied.__name__


def _several(found: Any, count: int, what: str) -> tuple[Any, ...]:
    """One part for each input; a single one may come as it is."""
    parts = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    if len(parts) != count:
        raise Misbehaviour(f"{what} has {len(parts)} parts, expected {count}, one for each input")
    return parts


def _numbers(found: Any, what: str) -> Array:
    return calling.to_numpy(_held(found), what)


def _held(found: Any) -> Any:
    """A tensor or an array, or what a stranger's node holds in its place."""
    for name in ("value", "data"):
        held = getattr(found, name, None)
        if not isinstance(found, (torch.Tensor, np.ndarray, np.generic, float)) and held is not None:
            found = held
    return found


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter of a function."""
    return Differentiation(component, code, fixed, device)
