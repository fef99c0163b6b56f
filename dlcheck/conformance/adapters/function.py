"""Functions of arrays: torch functions and modules, NumPy functions and objects with forward and backward."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused


class _Called(Protocol):
    component: Component
    code: Callable[..., Any]
    fixed: Mapping[str, Any]


def _keywords(called: _Called, case: Case) -> dict[str, Any]:
    """The keywords of a function, which gets the component's inputs as positional arguments."""
    component = called.component
    count, derived = len(component.inputs), component.construct(case)
    return calling.keywords(called.code, component, case.settings, called.fixed, count, derived)


def _constructor_keywords(called: _Called, case: Case) -> dict[str, Any]:
    """The keywords of a class: settings, and what follows from the shapes of the inputs."""
    component, accepted = called.component, calling.parameters(called.code) or {}
    derived = component.construct(case)
    shapes = {name: value for name, value in derived.items() if name in accepted and name not in component.settings}
    return calling.keywords(called.code, component, {**shapes, **case.settings}, called.fixed, derived=derived)


class TorchFunction(Implementation):
    """A function of tensors, differentiated by autograd."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one case; the gradients come from autograd."""
        tensors = {
            name: calling.tensor(case.inputs[name], case.dtype, case.layout, self.device)
            for name in self.component.inputs
        }
        if case.run == "backward":
            tensors = {name: value.requires_grad_(value.is_floating_point()) for name, value in tensors.items()}
        output, leaves = self.call(case, tensors)
        if not isinstance(output, torch.Tensor):
            raise Misbehaviour(f"the output is a {type(output).__name__}, expected a torch.Tensor")
        values = {"output": calling.to_numpy(output, "the output")}
        if case.run == "backward":
            values = self._gradients(case, output, leaves)
        pure = all(calling.unchanged(tensors[name], np.asarray(case.inputs[name])) for name in self.component.inputs)
        return Observation(values, {"dtype": calling.dtype_name(output), "purity": pure})

    def call(self, case: Case, tensors: dict[str, torch.Tensor]) -> tuple[Any, dict[str, torch.Tensor]]:
        """The output, and the tensors whose gradients are asked for."""
        settings = _keywords(self, case)
        return self.code(*tensors.values(), **settings), tensors

    def _gradients(self, case: Case, output: torch.Tensor, leaves: dict[str, torch.Tensor]) -> dict[str, Array]:
        if not output.requires_grad:
            raise Misbehaviour("the output carries no gradient: autograd cannot reach the inputs")
        upstream = case.inputs["grad_output"]
        if output.shape != upstream.shape:
            raise Misbehaviour(f"the output has shape {tuple(output.shape)}, expected {upstream.shape}")
        grad_output = calling.tensor(upstream, calling.dtype_name(output), case.layout, self.device)
        wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
        found = torch.autograd.grad(output, list(wanted.values()), grad_output, allow_unused=True)
        missing = [name for name, gradient in zip(wanted, found, strict=True) if gradient is None]
        if missing:
            raise Misbehaviour(f"no gradient reaches {' and '.join(missing)}")
        return {
            f"grad_{name}": calling.to_numpy(gradient, f"the gradient of {name}")
            for name, gradient in zip(wanted, found, strict=True)
        }


class TorchModule(TorchFunction):
    """A module class: inputs after the first are its parameters of the same names."""

    def call(self, case: Case, tensors: dict[str, torch.Tensor]) -> tuple[Any, dict[str, torch.Tensor]]:
        """Build the module with the case's settings, put the parameters in, and call it."""
        module = self.code(**_constructor_keywords(self, case))
        first, *others = self.component.inputs
        module = module.to(self.device, getattr(torch, case.dtype))
        held = dict(module.named_parameters())
        for name in others:
            if name not in held:
                raise Misbehaviour(f"the module has no parameter {name}")
            with torch.no_grad():
                held[name].copy_(tensors[name].reshape(held[name].shape))
        return module(tensors[first]), {first: tensors[first], **{name: held[name] for name in others}}


class NumpyFunction(Implementation):
    """A function of arrays: values only."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any]):
        self.component, self.code, self.fixed = component, code, fixed
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one forward case; raises NotProvided for a backward one."""
        if case.run == "backward":
            raise NotProvided("a NumPy function gives values only")
        arrays = {name: calling.array(case.inputs[name], case.dtype, case.layout) for name in self.component.inputs}
        settings = _keywords(self, case)
        output = calling.to_numpy(self.code(*arrays.values(), **settings), "the output")
        pure = all(np.array_equal(arrays[name], case.inputs[name], equal_nan=True) for name in arrays)
        return Observation({"output": output}, {"purity": pure})


class NumpyObject(Implementation):
    """A class with ``forward(x, ...)`` and ``backward(grad_output)``, parameters' gradients in ``grads``."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any]):
        self.component, self.code, self.fixed = component, code, fixed
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one case on a fresh object."""
        made = self.code(**_constructor_keywords(self, case))
        arrays = {name: calling.array(case.inputs[name], case.dtype, case.layout) for name in self.component.inputs}
        first, *others = arrays
        held = [name for name in others if hasattr(made, name)]
        for name in held:
            setattr(made, name, arrays[name])
        output = made.forward(arrays[first], *(arrays[name] for name in others if name not in held))
        values = {"output": calling.to_numpy(output, "the output")}
        if case.run == "backward":
            upstream = calling.array(case.inputs["grad_output"], case.dtype, case.layout)
            values = {f"grad_{first}": calling.to_numpy(made.backward(upstream), "what backward returned")}
            values |= {f"grad_{name}": calling.to_numpy(_of(made, name), f"grads[{name!r}]") for name in others}
        pure = all(np.array_equal(arrays[name], case.inputs[name], equal_nan=True) for name in arrays)
        return Observation(values, {"purity": pure})


def _of(made: Any, name: str) -> Any:
    grads = getattr(made, "grads", {})
    if name not in grads:
        raise Misbehaviour(f"backward left no grads[{name!r}], only {sorted(grads)}")
    return grads[name]


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str) -> Implementation:
    """The adapter that fits the code."""
    if inspect.isclass(code):
        if issubclass(code, torch.nn.Module):
            return TorchModule(component, code, fixed, device)
        if hasattr(code, "forward") and hasattr(code, "backward"):
            return NumpyObject(component, code, fixed)
        raise Refused("a class must be a torch.nn.Module, or have forward and backward")
    if not callable(code):
        raise Refused(f"a {type(code).__name__} cannot be called")
    return PlainFunction(component, code, fixed, device)


class PlainFunction(Implementation):
    """A function of tensors or of arrays: which of them shows when it is first called."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self._driven: Implementation | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case in the way that fits."""
        if self._driven is None and self._takes_arrays_only(case):
            self._driven = NumpyFunction(self.component, self.code, self.fixed)
        elif self._driven is None:
            self._driven = TorchFunction(self.component, self.code, self.fixed, self.device)
        return self._driven.observe(case)

    def _takes_arrays_only(self, case: Case) -> bool:
        """Whether it gives an array for arrays, and for tensors fails or gives nothing that carries a gradient."""
        arrays = [np.array(case.inputs[name], np.float64) for name in self.component.inputs]
        settings = _keywords(self, case)
        try:
            returned = self.code(*(values.copy() for values in arrays), **settings)
        except Exception:
            return False
        if not isinstance(returned, (np.ndarray, np.generic, float)):
            return False
        try:
            output = self.code(*(torch.tensor(values, requires_grad=True) for values in arrays), **settings)
        except Exception:
            return True
        return not (isinstance(output, torch.Tensor) and output.requires_grad)
