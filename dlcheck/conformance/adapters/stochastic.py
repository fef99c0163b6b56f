"""Functions that draw at random: torch functions and modules, NumPy functions and objects."""

import inspect
import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling, function
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused

Call = Callable[[dict[str, Any]], Any]
"""Code with its settings and its stream, waiting for the arrays of a case."""


class Stochastic(Implementation):
    """Code called once for each draw, with one stream of random numbers for all of a case's draws."""

    def __init__(
        self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str, seed: int
    ):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.seeds = itertools.count(seed)
        self.name = getattr(code, "__name__", type(code).__name__)
        self.takes_generator = "generator" in (calling.parameters(code) or {})
        self.takes_tensors: bool | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case: once where nothing is left to chance, else as many times as it asks for."""
        seed = next(self.seeds)
        if "draws" not in case.inputs:
            (values,), facts = self._drawn(case, seed, 1)
            if case.run == "backward":
                del values["output"]
            return Observation(values, facts)
        outputs, facts = self._drawn(case, seed, case.inputs["draws"])
        values = {"samples" if name == "output" else name: _stacked(outputs, name) for name in outputs[0]}
        samples = values["samples"]
        facts["fresh"] = bool(np.any(samples != samples[0]))
        if self.takes_generator:
            # several draws: one of a few outcomes alone may come again by chance
            again, _ = self._drawn(case, seed, min(32, len(samples)))
            facts["generator"] = np.array_equal(_stacked(again, "output"), samples[: len(again)], equal_nan=True)
        return Observation(values, facts)

    def _drawn(self, case: Case, seed: int, draws: int) -> tuple[list[dict[str, Array]], dict[str, Any]]:
        """The outputs of successive calls, and the facts of the last."""
        # code that takes a generator should not look at the global streams, which then go on from run to run
        shared = next(self.seeds) if self.takes_generator else seed
        torch.manual_seed(shared)
        np.random.seed(shared % 2**32)  # noqa: NPY002
        random.seed(shared)
        if self.takes_tensors is None:
            self.takes_tensors = self._tries_tensors(case, seed)
        run = self._with_tensors if self.takes_tensors else self._with_arrays
        call = self._made(case, seed)
        found = [run(case, call) for _ in range(draws)]
        pure = all(facts["purity"] for _, facts in found)
        return [values for values, _ in found], {**found[-1][1], "purity": pure}

    def _tries_tensors(self, case: Case, seed: int) -> bool:
        if inspect.isclass(self.code):
            return issubclass(self.code, torch.nn.Module)
        try:
            arrays = function.native_arrays(self.component, replace(case, dtype="float64"))
            returned = self._made(case, seed, numpy=True)(arrays)
            # what hands back its very input tells nothing
            return not isinstance(returned, (np.ndarray, np.generic)) or any(returned is a for a in arrays.values())
        except (NotProvided, Refused):
            raise
        except Exception:
            return True

    def _made(self, case: Case, seed: int, numpy: bool = False) -> Call:
        """The code with the settings of a case; one object, where it is a class, for all draws."""
        component = self.component
        if inspect.isclass(self.code):
            mode = {name: value for name, value in case.settings.items() if name == "training"}
            settings = {name: value for name, value in case.settings.items() if name not in mode}
            keywords = function.constructor_keywords(self, replace(case, settings=settings))
            return _Made(self.code(**keywords), mode.get("training", component.settings.get("training", True)))
        stream: dict[str, Any] = {}
        if self.takes_generator:
            arrays = numpy or self.takes_tensors is False
            stream["generator"] = (
                np.random.default_rng(seed) if arrays else torch.Generator(self.device).manual_seed(seed)
            )

        def call(given: dict[str, Any]) -> Any:
            positional, named = function.arguments(self, case, given, stream)
            return self.code(*positional, **named)

        return call

    def _with_tensors(self, case: Case, call: Call) -> tuple[dict[str, Array], dict[str, Any]]:
        names = function.given(self.component, case)
        wanted = function.differentiable(self.component, case) if "grad_output" in case.inputs else []
        tensors = {
            name: calling.tensor(case.inputs[name], case.dtype, case.layout, self.device).requires_grad_(name in wanted)
            for name in names
        }
        with torch.set_grad_enabled(bool(wanted)):  # it draws where no gradients are recorded, too
            output = call(tensors)
        if not isinstance(output, torch.Tensor):
            raise Misbehaviour(f"the output is a {type(output).__name__}, expected a torch.Tensor")
        values = {"output": calling.to_numpy(output, "the output")}
        if wanted:
            values |= function.gradients(self, case, output, {name: tensors[name] for name in wanted})[0]
        allowed = case.layout == "in_place"
        pure = allowed or all(calling.unchanged(tensors[name], np.asarray(case.inputs[name])) for name in names)
        return values, {"dtype": calling.dtype_name(output), "purity": pure}

    def _with_arrays(self, case: Case, call: Call) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays = function.native_arrays(self.component, case)
        output = call(arrays)
        values = {"output": calling.to_numpy(output, "the output")}
        if "grad_output" in case.inputs:
            values |= self._numpy_gradient(case, call)
        pure = all(np.array_equal(arrays[name], case.inputs[name], equal_nan=True) for name in arrays)
        return values, {"purity": pure}

    def _numpy_gradient(self, case: Case, call: Call) -> dict[str, Array]:
        backward = getattr(getattr(call, "made", None), "backward", None)
        if backward is None:
            raise NotProvided("a NumPy function gives values only")
        upstream = calling.array(case.inputs["grad_output"], case.dtype, case.layout)
        return {f"grad_{self.component.inputs[0]}": calling.to_numpy(backward(upstream), "what backward returned")}


class _Made:
    """A module or NumPy object called with the arrays of a case, in training, or in evaluation after training."""

    def __init__(self, made: Any, training: bool):
        self.made, self.training, self.trained = made, training, False
        self._switch(training)

    def _switch(self, training: bool) -> None:
        switch = getattr(self.made, "train" if training else "eval", None)
        if switch is not None:
            switch()
        elif hasattr(self.made, "training"):
            self.made.training = training
        elif not training:
            raise NotProvided("it has no eval()")

    def __call__(self, given: dict[str, Any]) -> Any:
        call = self.made if isinstance(self.made, torch.nn.Module) else self.made.forward
        if not (self.training or self.trained):
            self._switch(True)
            copies = (torch.clone(a).detach() if isinstance(a, torch.Tensor) else a.copy() for a in given.values())
            call(*copies)
            self._switch(False)
            self.trained = True
        return call(*given.values())


def _stacked(outputs: list[dict[str, Array]], name: str) -> Array:
    shapes = {output[name].shape for output in outputs}
    if len(shapes) > 1:
        raise Misbehaviour(f"{name} has shape {sorted(shapes)[0]} in one draw and {sorted(shapes)[1]} in another")
    return np.stack([output[name] for output in outputs])


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    is_object = inspect.isclass(code) and not issubclass(code, torch.nn.Module)
    if is_object and not hasattr(code, "forward"):
        raise Refused("a class must be a torch.nn.Module, or have forward and backward")
    return Stochastic(component, code, fixed, device, seed)
