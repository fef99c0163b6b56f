"""Functions of arrays: torch functions and modules, NumPy functions and objects with forward and backward."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.implementation import Array, Implementation, Misbehaviour, NotProvided, Observation, Refused

Run = Callable[[Mapping[str, Any]], Any]
"""Code with its settings, which gives the output for arrays by name."""
Calls = Callable[[Run, Mapping[str, Any]], tuple[Any, dict[str, str]]]
"""A way of calling it: the output that counts, and facts about what the calls did."""


class Called(Protocol):
    component: Component
    code: Callable[..., Any]
    fixed: Mapping[str, Any]
    device: str


def given(component: Component, case: Case) -> list[str]:
    """The array arguments of a case, in the component's order."""
    return [*component.inputs, *(name for name in component.optional if name in case.inputs)]


def _spelled(called: Called) -> dict[str, str]:
    """The code's own names for the optional arrays that it takes: the component's, or what stands in their place."""
    component, known = called.component, calling.parameters(called.code)
    if known is None:
        return {name: name for name in component.optional}
    further = list(known)[len(component.inputs) :]
    others = [name for name in further if name not in component.settings and name not in component.optional]
    places = dict(zip((name for name in component.optional if name not in known), others, strict=False))
    return {name: name if name in known else places[name] for name in component.optional if name in {*known, *places}}


def arguments(
    called: Called, case: Case, arrays: Mapping[str, Any], also: Mapping[str, Any] | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """How a function is called: required arrays by position, optional ones and settings by name.

    ``also`` are further keywords, which the code is known to accept. Raises NotProvided for an optional array that it
    does not take, or that it needs and the case leaves out.
    """
    component, known, spelled = called.component, calling.parameters(called.code) or {}, _spelled(called)
    for name in component.optional:
        if name in arrays and name not in spelled:
            raise NotProvided(f"it does not accept {name}")
        if name not in arrays and name in spelled and known and known[spelled[name]].default is inspect.Parameter.empty:
            raise NotProvided(f"it cannot do without {name}")
    further = {spelled[name]: arrays[name] for name in component.optional if name in arrays} | dict(also or {})
    further |= in_place(called, case) | asked_dtype(called, case, arrays)
    count, derived = len(component.inputs), component.construct(case)
    settings = calling.keywords(called.code, component, case.settings, called.fixed, count, {**derived, **further})
    return [arrays[name] for name in component.inputs], {**settings, **further}


def constructor_keywords(called: Called, case: Case) -> dict[str, Any]:
    """The keywords of a class: settings, and what follows from the shapes of the inputs."""
    component, accepted = called.component, calling.parameters(called.code) or {}
    derived = component.construct(case)
    shapes = {name: value for name, value in derived.items() if name in accepted and name not in component.settings}
    settings = {**shapes, **case.settings, **in_place(called, case), **asked_dtype(called, case, {})}
    return calling.keywords(called.code, component, settings, called.fixed, derived=derived)


def in_place(called: Called, case: Case) -> dict[str, bool]:
    """The keyword that asks code to write its output into its input; raises NotProvided where it has none."""
    if case.layout == "in_place" and "inplace" not in (calling.parameters(called.code) or {}):
        raise NotProvided("it does not accept inplace")
    return {"inplace": True} if case.layout == "in_place" else {}


def asked_dtype(called: Called, case: Case, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword that asks code for a dtype of its result; raises NotProvided where it has none."""
    if "result_dtype" not in case.inputs:
        return {}
    if "dtype" not in (calling.parameters(called.code) or {}):
        raise NotProvided("it does not accept dtype")
    name = case.inputs["result_dtype"]
    tensors = any(isinstance(value, torch.Tensor) for value in arrays.values())
    return {"dtype": getattr(torch, name) if tensors else np.dtype(name)}


def held_names(called: Called, case: Case, has: Callable[[str], bool]) -> list[str]:
    """The arrays of a case that an object holds as parameters; raises NotProvided where its optional ones differ."""
    component = called.component
    for name in component.optional:
        if name in component.parameters and has(name) != (name in case.inputs):
            raise NotProvided(f"it has no {name}" if name in case.inputs else f"it always has {name}")
    return [name for name in given(component, case) if name in component.parameters]


def made_with(called: Called, case: Case, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The optional arrays that a class takes when it is made, as torch's losses take their weights.

    Raises NotProvided for one that neither its constructor nor its ``forward`` takes.
    """
    component, known = called.component, calling.parameters(called.code) or {}
    forwarded = calling.parameters(called.code.forward)  # type: ignore[attr-defined]
    others = [name for name in component.optional if name in case.inputs and name not in component.parameters]
    for name in others:
        if name not in known and forwarded is not None and name not in forwarded:
            raise NotProvided(f"it does not accept {name}")
    return {name: arrays[name] for name in others if name in known}


def differentiable(component: Component, case: Case) -> list[str]:
    """The arrays of a case whose gradients are asked for."""
    names = given(component, case) if component.differentiable is None else component.differentiable
    names = [name for name in names if name not in case.inputs.get("constant", ())]
    return [name for name in names if name in case.inputs and np.asarray(case.inputs[name]).dtype.kind == "f"]


class TorchFunction(Implementation):
    """A function of tensors, differentiated by autograd."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one case; the gradients come from autograd."""
        return self._observed(case, once)

    def repeat(self, case: Case) -> Observation:
        """Run one case again, as ``again`` does."""
        return self._observed(case, again)

    def _observed(self, case: Case, called: Calls) -> Observation:
        names, wanted = given(self.component, case), differentiable(self.component, case)
        tensors = {name: calling.tensor(case.inputs[name], case.dtype, case.layout, self.device) for name in names}
        if case.run == "backward":
            tensors = {name: value.requires_grad_(name in wanted) for name, value in tensors.items()}
        run, leaves = self.made(case, tensors)
        output, facts = called(run, tensors)
        if not isinstance(output, torch.Tensor):
            raise Misbehaviour(f"the output is a {type(output).__name__}, expected a torch.Tensor")
        if output.device.type != torch.device(self.device).type:
            raise Misbehaviour(f"the output is on device {output.device}, expected {self.device} as the input")
        values, lacks = {"output": calling.to_numpy(output, "the output")}, ()
        if case.run == "backward":
            values, lacks = gradients(self, case, output, {name: leaves[name] for name in wanted})
        pure = all(
            calling.unchanged(tensors[name], np.asarray(case.inputs[name])) and tensors[name].grad is None
            for name in names
        )
        facts = {"dtype": calling.dtype_name(output), **facts} | ({} if case.layout == "in_place" else {"purity": pure})
        return Observation(values, facts, lacks)

    def made(self, case: Case, tensors: dict[str, torch.Tensor]) -> tuple[Run, dict[str, torch.Tensor]]:
        """What gives the output for tensors like those of a case, and the tensors whose gradients are asked for."""

        def run(arrays: Mapping[str, Any]) -> Any:
            positional, named = arguments(self, case, arrays)
            return self.code(*positional, **named)

        return run, tensors


def once(run: Run, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The output of one call."""
    return run(arrays), {}


def again(run: Run, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The output of a third call, after one on the same and one on other numbers, and facts about what they did."""
    first = run(arrays)
    before = [(first, calling.to_numpy(first, "the output")), *((array, _copied(array)) for array in arrays.values())]
    with suppress(Exception):  # other numbers, which are those of the case backwards, may not suit
        run({name: _backwards(array) for name, array in arrays.items()})
    returned, *handed = (calling.unchanged(now, held) for now, held in before)
    words = "writes into what it returned before" if not returned else ""
    words = words or ("" if all(handed) else "writes into what it was given before")
    return run(arrays), {"surroundings": words} if words else {}


def _copied(array: Any) -> Array:
    held = array.detach().to("cpu", torch.float64).numpy() if isinstance(array, torch.Tensor) else array
    return np.array(held, np.float64)


def _backwards(array: Any) -> Any:
    if isinstance(array, torch.Tensor):
        return array.detach().flip(tuple(range(array.dim()))).requires_grad_(array.requires_grad)
    return np.flip(array).copy()


def gradients(
    called: Called, case: Case, output: torch.Tensor, wanted: Mapping[str, torch.Tensor]
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The gradients of the named tensors by autograd, for the upstream gradient of a case, and which are not given.

    What autograd does not reach has gradient 0. An autograd function may return None for an input after the first.
    """
    if not output.requires_grad:
        raise Misbehaviour("the output carries no gradient: autograd cannot reach the inputs")
    upstream = case.inputs["grad_output"]
    # axes of length 1 may be kept by one convention and dropped by another: forward runs compare shapes
    if not upstream.ndim:  # one number for all, as for a loss that one convention leaves unreduced
        upstream = np.broadcast_to(upstream, tuple(output.shape))
    if [n for n in output.shape if n != 1] != [n for n in upstream.shape if n != 1]:
        raise Misbehaviour(f"the output has shape {tuple(output.shape)}, expected {upstream.shape}")
    upstream = upstream.reshape(output.shape)
    grad_output = calling.tensor(upstream, calling.dtype_name(output), case.layout, called.device)
    found = torch.autograd.grad(output, list(wanted.values()), grad_output, allow_unused=True)
    missing = [name for name, gradient in zip(wanted, found, strict=True) if gradient is None]
    if len(missing) == len(wanted):
        raise Misbehaviour(f"no gradient reaches {' and '.join(missing)}")
    needed = {next(iter(wanted)), *called.component.parameters}
    declined = [name for name in missing if name not in needed and _in_graph(output, wanted[name])]
    values = {
        f"grad_{name}": calling.to_numpy(torch.zeros_like(tensor) if gradient is None else gradient, f"grad_{name}")
        for (name, tensor), gradient in zip(wanted.items(), found, strict=True)
        if name not in declined
    }
    return values, tuple(f"grad_{name}" for name in declined)


def _in_graph(output: torch.Tensor, leaf: torch.Tensor) -> bool:
    """Whether what autograd recorded of an output leads to a leaf."""
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if getattr(node, "variable", None) is leaf:
            return True
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
    return False


class TorchModule(TorchFunction):
    """A module class, which holds some of the inputs as its parameters of the same names."""

    def made(self, case: Case, tensors: dict[str, torch.Tensor]) -> tuple[Run, dict[str, torch.Tensor]]:
        """Build the module with the case's settings and put the parameters in."""
        built = made_with(self, case, tensors)
        module = self.code(**constructor_keywords(self, case), **built).to(self.device, getattr(torch, case.dtype))
        parameters = dict(module.named_parameters())
        for name in self.component.parameters:
            if name not in parameters and isinstance(getattr(module, name, None), torch.Tensor):
                raise Misbehaviour(f"the module's {name} is no parameter: nothing trains it")
        self._expect_obeyed(case, parameters)
        held = {name: parameters.get(name) for name in held_names(self, case, parameters.__contains__)}
        for name, parameter in held.items():
            if parameter is None:
                raise Misbehaviour(f"the module has no parameter {name}")
            with torch.no_grad():
                parameter.copy_(tensors[name].reshape(parameter.shape))
        forwarded = [name for name in tensors if name not in held and name not in built]

        def run(arrays: Mapping[str, Any]) -> Any:
            handed = [arrays[name] for name in forwarded]
            before = [_copied(array) for array in handed]
            output = module(*handed)
            in_place = not all(map(calling.unchanged, handed, before))
            if case.run == "forward" and isinstance(output, torch.Tensor) and not in_place:
                _expect_alike_in_evaluation(module, handed, output)
            return output

        return run, {**tensors, **held}  # type: ignore[dict-item]

    def _expect_obeyed(self, case: Case, parameters: Mapping[str, torch.Tensor]) -> None:
        """Raises Misbehaviour where keywords do not show in what was built: a bias not wanted, another first value."""
        known, derived = calling.parameters(self.code) or {}, self.component.construct(case)
        for name in self.component.optional:
            if name in known and derived.get(name) is False and name in parameters and parameters[name].requires_grad:
                raise Misbehaviour(f"{name}=False is ignored: it has a parameter {name}")
        if "init" in known and "init" in derived:
            first = parameters[self.component.parameters[0]].detach()
            # torch's modules are made in float32
            if not torch.equal(first, torch.full(first.shape, derived["init"], dtype=torch.float32).to(first)):
                raise Misbehaviour(f"init={derived['init']:g} is ignored: its parameter starts elsewhere")


def _expect_alike_in_evaluation(module: torch.nn.Module, handed: list[Any], output: torch.Tensor) -> None:
    """Raises Misbehaviour where evaluation gives other numbers than training, which come again themselves."""
    trained, evaluated = _copied(output), module.eval()(*handed)
    repeated = module.train()(*handed)
    if not calling.unchanged(evaluated, trained) and calling.unchanged(repeated, trained):
        raise Misbehaviour("in evaluation mode it gives other numbers")


class NumpyFunction(Implementation):
    """A function of arrays: values only."""

    device = "cpu"

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any]):
        self.component, self.code, self.fixed = component, code, fixed
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Run one forward case; raises NotProvided for a backward one."""
        return self._observed(case, once)

    def repeat(self, case: Case) -> Observation:
        """Run one forward case again, as ``again`` does."""
        return self._observed(case, again)

    def _observed(self, case: Case, called: Calls) -> Observation:
        if case.run == "backward":
            raise NotProvided("a NumPy function gives values only")
        arrays = native_arrays(self.component, case)

        def run(arrays: Mapping[str, Any]) -> Any:
            positional, named = arguments(self, case, arrays)
            return self.code(*positional, **named)

        output, facts = called(run, arrays)
        pure = all(np.array_equal(arrays[name], case.inputs[name], equal_nan=True) for name in arrays)
        return Observation({"output": calling.to_numpy(output, "the output")}, {"purity": pure, **facts})


class NumpyObject(Implementation):
    """A class with ``forward(x, ...)`` and ``backward(grad_output)``, parameters' gradients in ``grads``.

    ``forward`` may take parameters and settings that the constructor does not.
    """

    device = "cpu"

    def __init__(self, component: Component, code: Any, fixed: Mapping[str, Any]):
        self.component, self.code = component, code
        self.name = getattr(code, "__name__", type(code).__name__)
        made_of, self._forwarded = calling.parameters(code), calling.parameters(code.forward) or {}
        self._late = [name for name in self._forwarded if made_of is not None and name not in made_of]
        self.fixed: Mapping[str, Any] = {name: value for name, value in fixed.items() if name not in self._late}
        self._fixed_late = {name: value for name, value in fixed.items() if name in self._late}

    def observe(self, case: Case) -> Observation:
        """Run one case on a fresh object."""
        return self._observed(case, once)

    def repeat(self, case: Case) -> Observation:
        """Run one case on a fresh object again, as ``again`` does."""
        return self._observed(case, again)

    def _observed(self, case: Case, called: Calls) -> Observation:
        arrays = native_arrays(self.component, case)
        built = made_with(self, case, arrays)
        early = {name: value for name, value in case.settings.items() if name not in self._late}
        made = self.code(**constructor_keywords(self, replace(case, settings=early)), **built)
        for name in (held := self._held(case, made)):
            setattr(made, name, arrays[name])
        others = [name for name in arrays if name not in held and name not in built]
        named = [name for name in others if name in self.component.optional and name in self._forwarded]
        first, *further = (name for name in others if name not in named)
        late = {name: value for name, value in case.settings.items() if name in self._late}
        keywords = calling.keywords(made.forward, self.component, late, self._fixed_late, len(others))

        def run(given: Mapping[str, Any]) -> Any:
            by_name = {name: given[name] for name in named}
            return made.forward(given[first], *(given[name] for name in further), **by_name, **keywords)

        output, facts = called(run, arrays)
        values, lacks, kept = {"output": calling.to_numpy(output, "the output")}, (), True
        if case.run == "backward":
            upstream = calling.array(case.inputs["grad_output"], case.dtype, case.layout)
            if not upstream.ndim:
                upstream = np.full(values["output"].shape, upstream)
            if upstream.size == values["output"].size:
                upstream = upstream.reshape(values["output"].shape)
            handed = upstream.copy()
            values = {f"grad_{first}": calling.to_numpy(made.backward(upstream), "what backward returned")}
            wanted = [name for name in differentiable(self.component, case) if name != first]
            parameters = [name for name in wanted if name in self.component.parameters]
            values |= {f"grad_{name}": calling.to_numpy(_of(made, name), f"grads[{name!r}]") for name in parameters}
            lacks = tuple(f"grad_{name}" for name in wanted if name not in parameters)
            kept = np.array_equal(upstream, handed, equal_nan=True)
        pure = kept and all(np.array_equal(arrays[name], case.inputs[name], equal_nan=True) for name in arrays)
        return Observation(values, {"purity": pure, **facts}, lacks)

    def _held(self, case: Case, made: Any) -> list[str]:
        """The parameters that an object holds; ``forward`` may do without an optional one that it takes."""

        def has(name: str) -> bool:
            if name not in self._forwarded:
                return hasattr(made, name)
            return name in case.inputs or self._forwarded[name].default is inspect.Parameter.empty

        names = held_names(self, case, has)
        return [name for name in names if name not in self._forwarded and hasattr(made, name)]


def native_arrays(component: Component, case: Case) -> dict[str, Any]:
    return {name: calling.array(case.inputs[name], case.dtype, case.layout) for name in given(component, case)}


def _of(made: Any, name: str) -> Any:
    grads = getattr(made, "grads", {})
    if name not in grads:
        raise Misbehaviour(f"backward left no grads[{name!r}], only {sorted(grads)}")
    return grads[name]


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if inspect.isclass(code):
        if issubclass(code, torch.nn.Module):
            return TorchModule(component, code, fixed, device)
        if hasattr(code, "forward") and hasattr(code, "backward"):
            return NumpyObject(component, code, fixed)
        raise Refused("a class must be a torch.nn.Module, or have forward and backward")
    if getattr(code, "takes_arrays", False):
        return NumpyFunction(component, code, fixed)
    return PlainFunction(component, code, fixed, device)


class PlainFunction(Implementation):
    """A function of tensors or of arrays: which of them shows when it is first called."""

    def __init__(self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.name = getattr(code, "__name__", type(code).__name__)
        self._driven: Implementation | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case in the way that fits."""
        return self._fitting(case).observe(case)

    def repeat(self, case: Case) -> Observation:
        """Run one case again in the way that fits."""
        return self._fitting(case).repeat(case)

    def _fitting(self, case: Case) -> Implementation:
        if self._driven is None and self._takes_arrays_only(case):
            self._driven = NumpyFunction(self.component, self.code, self.fixed)
        elif self._driven is None:
            self._driven = TorchFunction(self.component, self.code, self.fixed, self.device)
        return self._driven

    def _takes_arrays_only(self, case: Case) -> bool:
        """Whether it gives an array for arrays, and for tensors fails or gives nothing with the gradient asked for."""
        arrays = {name: np.array(case.inputs[name]) for name in given(self.component, case)}
        positional, named = arguments(self, case, arrays)
        try:
            returned = self.code(*map(np.copy, positional), **named)
        except Exception:
            return False
        if not isinstance(returned, (np.ndarray, np.generic, float)):
            return False
        wanted = differentiable(self.component, case)
        tensors = {name: torch.tensor(values).requires_grad_(name in wanted) for name, values in arrays.items()}
        positional, named = arguments(self, case, tensors)
        try:
            output = self.code(*positional, **named)
        except Exception:
            return True
        return not (isinstance(output, torch.Tensor) and (output.requires_grad or not wanted))
