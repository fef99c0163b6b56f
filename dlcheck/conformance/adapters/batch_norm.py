"""Layers with running statistics: module classes, functions, NumPy objects and NumPy functions, driven step by step."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.forms.batch_norm import BUFFERS, parameters
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused

_OF_CLASSES = ("affine", "track_running_stats")
"""Settings of a layer that a function expresses by arrays that are None."""


class _Layer(Protocol):
    """One layer during a session; ``inputs`` are all arrays of the caller that it must leave as they are."""

    inputs: list[tuple[Any, Array]]

    def forward(self, step: Mapping[str, Any]) -> Any: ...
    def backward(self, grad_output: Array) -> dict[str, Any]: ...
    def statistics(self) -> tuple[Any, Any]: ...
    def reload(self) -> None: ...
    def change(self, settings: Mapping[str, Any]) -> None: ...
    def call(self, name: str) -> None: ...


def _gradients(output: Any, wanted: Mapping[str, torch.Tensor], grad_output: torch.Tensor) -> dict[str, Any]:
    if not output.requires_grad:
        raise Misbehaviour("the output carries no gradient: autograd cannot reach the inputs")
    if output.shape != grad_output.shape:
        raise Misbehaviour(f"the output has shape {tuple(output.shape)}, expected {tuple(grad_output.shape)}")
    found = torch.autograd.grad(output, list(wanted.values()), grad_output, allow_unused=True)
    missing = [name for name, gradient in zip(wanted, found, strict=True) if gradient is None]
    if missing:
        raise Misbehaviour(f"no gradient reaches {' and '.join(missing)}")
    return dict(zip(wanted, found, strict=True))


class _Base:
    def __init__(self, code: Any, component: Component, fixed: Mapping[str, Any], device: str, case: Case):
        self.code, self.component, self.fixed, self.device, self.case = code, component, fixed, device, case
        self.inputs: list[tuple[Any, Array]] = []
        self.channels = int(np.shape(case.inputs["steps"][0]["x"])[1])
        self.given = {name: np.asarray(case.inputs[name]) for name in BUFFERS if name in case.inputs}

    def tensor(self, values: Array, layout: str = "contiguous") -> torch.Tensor:
        """A tensor that is watched for changes."""
        made = calling.tensor(values, self.case.dtype, layout, self.device)
        self.inputs.append((made, np.asarray(values)))
        return made

    def array(self, values: Array) -> Any:
        """A NumPy array that is watched for changes."""
        made = calling.array(values, self.case.dtype, self.case.layout)
        self.inputs.append((made, np.asarray(values)))
        return made

    def own(self, values: Array) -> Any:
        """A NumPy array of the layer itself, which it may change."""
        return calling.array(values, self.case.dtype, "contiguous")

    def made(self, settings: Mapping[str, Any]) -> Any:
        """An object of the class, for the number of channels."""
        keywords = calling.keywords(self.code, self.component, settings, self.fixed, 1)
        try:
            return self.code(self.channels, **keywords)
        except TypeError as error:
            raise _unless_none(settings, error) from error

    def call(self, name: str) -> None:
        """Only what has such methods can be frozen."""
        raise NotProvided(f"it has no {name}()")


def _unless_none(settings: Mapping[str, Any], error: TypeError) -> Exception:
    """A TypeError for momentum=None says that only numbers are accepted."""
    unset = "momentum" in settings and settings["momentum"] is None
    return NotProvided("it does not accept momentum=None") if unset else error


class _Object(_Base):
    """What modules and NumPy objects share: attributes."""

    layer: Any
    known: dict[str, Any]

    def answered(self, *given: Any, **keywords: Any) -> Any:
        """What the layer's forward gives."""
        try:
            return (self.layer if isinstance(self.layer, torch.nn.Module) else self.layer.forward)(*given, **keywords)
        except TypeError as error:
            raise _unless_none(self.case.settings, error) from error

    def statistics(self) -> tuple[Any, Any]:
        """The running mean and variance; raises Misbehaviour where there are none, or where they keep a graph."""
        missing = [name for name in BUFFERS if getattr(self.layer, name, None) is None]
        if missing:
            raise Misbehaviour(f"the layer keeps no {' and '.join(missing)}")
        mean, variance = (getattr(self.layer, name) for name in BUFFERS)
        if getattr(mean, "requires_grad", False) or getattr(variance, "requires_grad", False):
            raise Misbehaviour("its running statistics require gradients: they keep the graph of every batch")
        return mean, variance

    def change(self, settings: Mapping[str, Any]) -> None:
        """Set attributes from outside."""
        for name, value in settings.items():
            if getattr(self.layer, name, NotProvided) != self.known.get(name):
                raise NotProvided(f"it has no {name}, as it was given, to change")
            setattr(self.layer, name, value)
            self.known[name] = value

    def call(self, name: str) -> None:
        """Call a method."""
        if not hasattr(self.layer, name):
            raise NotProvided(f"it has no {name}()")
        getattr(self.layer, name)()


class _Module(_Object):
    """A module class."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.layer, self.known = self._fresh(), dict(self.case.settings)
        held = dict(self.layer.named_parameters()) | dict(self.layer.named_buffers())
        for name, values in {**parameters(self.case), **self.given}.items():
            if name not in held:
                raise Misbehaviour(f"the module has no {name}")
            with torch.no_grad():
                held[name].copy_(torch.tensor(values).reshape(held[name].shape))
        self.held = {name: held[name] for name in parameters(self.case)}

    def _fresh(self) -> Any:
        return self.made(self.case.settings).to(self.device, getattr(torch, self.case.dtype))

    def forward(self, step: Mapping[str, Any]) -> Any:
        """The output in the step's mode."""
        self.layer.train(step["mode"] == "train")
        self.x = self.tensor(step["x"], self.case.layout).requires_grad_()
        if step.get("copy"):
            original, self.layer = self.layer, copy.deepcopy(self.layer)
            original(self.x)
        with torch.set_grad_enabled(not step.get("no_grad")):
            self.output = self.answered(self.x)
        return self.output

    def backward(self, grad_output: Array) -> dict[str, Any]:
        """The gradients of the last step by autograd."""
        return _gradients(self.output, {"x": self.x, **self.held}, self.tensor(grad_output, self.case.layout))

    def reload(self) -> None:
        """Save the layer and load it into a fresh one."""
        saved = copy.deepcopy(self.layer.state_dict())
        self.layer = self._fresh()
        self.layer.load_state_dict(saved)
        self.held = {name: value for name, value in self.layer.named_parameters() if name in self.held}


class _NumpyObject(_Object):
    """A class with ``forward``, ``backward``, ``grads``, ``train`` and ``eval``, on arrays."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.layer, self.known = self.made(self.case.settings), dict(self.case.settings)
        for name, values in {**parameters(self.case), **self.given}.items():
            if not hasattr(self.layer, name):
                raise Misbehaviour(f"the object has no {name}")
            setattr(self.layer, name, self.own(values))

    def forward(self, step: Mapping[str, Any]) -> Any:
        """The output in the step's mode."""
        x, training = self.array(step["x"]), step["mode"] == "train"
        if hasattr(self.layer, "train") and hasattr(self.layer, "eval"):
            self.layer.train() if training else self.layer.eval()
        elif "training" in (calling.parameters(self.layer.forward) or {}):
            return self.answered(x, training=training)
        elif hasattr(self.layer, "training"):
            self.layer.training = training
        else:
            raise NotProvided("it has no train() and eval()")
        return self.answered(x)

    def backward(self, grad_output: Array) -> dict[str, Any]:
        """What backward returns, and the parameters' gradients that it leaves."""
        found = {"x": self.layer.backward(self.array(grad_output))}
        grads = getattr(self.layer, "grads", {})
        for name in parameters(self.case):
            if name not in grads:
                raise Misbehaviour(f"backward left no grads[{name!r}], only {sorted(grads)}")
            found[name] = grads[name]
        return found

    def reload(self) -> None:
        """Save and load, where it can."""
        if not hasattr(self.layer, "state_dict") or not hasattr(self.layer, "load_state_dict"):
            raise NotProvided("it has no state_dict and load_state_dict")
        saved = copy.deepcopy(self.layer.state_dict())
        self.layer = self.made(self.case.settings)
        self.layer.load_state_dict(saved)


class _Function(_Base):
    """A function ``(input, running_mean, running_var, weight, bias, training, momentum, eps)`` that moves statistics.

    Its statistics are arrays of the caller, changed in place, or for NumPy functions returned after the output.
    """

    numpy = False

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.settings = {name: value for name, value in self.case.settings.items() if name not in _OF_CLASSES}
        tracked = self.case.settings.get("track_running_stats", True)
        start = {"running_mean": np.zeros(self.channels), "running_var": np.ones(self.channels)} | self.given
        self.buffers = [self._own(start[name]) for name in BUFFERS] if tracked else [None, None]
        self.held = {name: self._own(values) for name, values in parameters(self.case).items()}

    def _own(self, values: Array) -> Any:
        """An array or tensor of the layer itself."""
        return self.own(values) if self.numpy else calling.tensor(values, self.case.dtype, "contiguous", self.device)

    def forward(self, step: Mapping[str, Any]) -> Any:
        """The output in the step's mode; without statistics those of the batch serve in both."""
        if self.settings.get("momentum", 0.0) is None:
            raise NotProvided("momentum=None needs a count of batches, which a function has not")
        training = step["mode"] == "train" or self.buffers[0] is None
        settings = {**self.settings, "training": training}
        keywords = calling.keywords(self.code, self.component, settings, self.fixed, 5)
        self.x = self.array(step["x"]) if self.numpy else self.tensor(step["x"], self.case.layout).requires_grad_()
        self.held = {name: value if self.numpy else value.requires_grad_() for name, value in self.held.items()}
        self.output = self.code(self.x, *self.buffers, self.held.get("weight"), self.held.get("bias"), **keywords)
        if self.numpy and isinstance(self.output, tuple) and len(self.output) == 3:
            self.output, *self.buffers = self.output
        return self.output

    def backward(self, grad_output: Array) -> dict[str, Any]:
        """The gradients of the last step by autograd."""
        if self.numpy:
            raise NotProvided("a NumPy function gives values only")
        return _gradients(self.output, {"x": self.x, **self.held}, self.tensor(grad_output, self.case.layout))

    def statistics(self) -> tuple[Any, Any]:
        """The caller's own arrays."""
        mean, variance = self.buffers
        return mean, variance

    def reload(self) -> None:
        """There is nothing to save but the caller's arrays."""

    def change(self, settings: Mapping[str, Any]) -> None:
        """The next call gets other settings."""
        self.settings |= settings


class _NumpyFunction(_Function):
    numpy = True


class BatchNorm(Implementation):
    """Code of one kind, taken through sessions."""

    def __init__(
        self, component: Component, code: Any, fixed: Mapping[str, Any], device: str, layer: Callable[..., _Layer]
    ):
        self.component, self.code, self.fixed, self.device, self.layer = component, code, fixed, device, layer
        self.name = getattr(code, "__name__", type(code).__name__)
        self._ranks: dict[int, bool] = {}

    def observe(self, case: Case) -> Observation:
        """Run one session; raises NotProvided for inputs of a rank that the code does not take."""
        rank = np.ndim(case.inputs["steps"][0]["x"])
        if not self._takes(rank) and self.takes_plain():
            raise NotProvided(f"it takes no input of {rank} axes")
        if case.run != "attempt":
            return self._observed(case)
        try:
            seen = self._observed(case)
        except NotProvided:
            raise
        except Exception:
            return Observation({"refused": np.array(1.0)})
        return Observation({"refused": np.array(0.0), **seen.values}, seen.facts)

    def takes_plain(self) -> bool:
        """Whether it takes plain inputs at all."""
        return any(map(self._takes, (2, 3, 4, 5)))

    def _takes(self, rank: int) -> bool:
        """Whether it takes plain inputs of so many axes: a class may be for vectors or for images only."""
        if rank not in self._ranks:
            x = np.arange(6.0 * 2 ** (rank - 2)).reshape(3, 2, *(2,) * (rank - 2)) ** 2
            try:
                self._observed(Case("forward", {"steps": [{"x": x, "mode": "train"}]}))
                self._ranks[rank] = True
            except Exception:
                self._ranks[rank] = False
        return self._ranks[rank]

    def _observed(self, case: Case) -> Observation:
        layer = self.layer(self.code, self.component, self.fixed, self.device, case)
        values: dict[str, Array] = {}
        past: tuple[list[Array], list[Array]] = ([], [])
        output: Any = None
        for index, step in enumerate(case.inputs["steps"]):
            output = self._step(layer, step)
            values[f"output{index}"] = calling.to_numpy(output, "the output")
            if case.run == "backward" and "grad_output" in step:
                found = layer.backward(step["grad_output"])
                values |= {f"grad_{name}{index}": calling.to_numpy(g, f"grad {name}") for name, g in found.items()}
            if case.run == "statistics":
                for rows, kept, name in zip(past, layer.statistics(), BUFFERS, strict=True):
                    rows.append(calling.to_numpy(kept, name).reshape(-1))
        if case.run == "statistics":
            values = {name: np.stack(rows) for name, rows in zip(BUFFERS, past, strict=True)}
        pure = all(calling.unchanged(now, before) for now, before in layer.inputs)
        facts = {"dtype": calling.dtype_name(output)} if isinstance(output, torch.Tensor) else {}
        return Observation(values, {**facts, "purity": pure})

    @staticmethod
    def _step(layer: _Layer, step: Mapping[str, Any]) -> Any:
        layer.change(step.get("set", {}))
        for name in step.get("call", ()):
            layer.call(name)
        if step.get("reload"):
            layer.reload()
        return layer.forward(step)


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if inspect.isclass(code) and issubclass(code, torch.nn.Module):
        return BatchNorm(component, code, fixed, device, _Module)
    if inspect.isclass(code):
        if not (hasattr(code, "forward") and hasattr(code, "backward")):
            raise Refused("a class must be a torch.nn.Module, or have forward and backward")
        return BatchNorm(component, code, fixed, device, _NumpyObject)
    of_arrays = BatchNorm(component, code, fixed, device, _NumpyFunction)
    of_tensors = BatchNorm(component, code, fixed, device, _Function)
    return of_arrays if of_arrays.takes_plain() and not of_tensors.takes_plain() else of_tensors
