"""Functions of arrays: the reference has ``name``, and ``name_backward(grad_output, ...)`` with gradients by input.

A backward run may name "constant" arrays, whose gradients nobody asks for, and a run the "result_dtype" that code is
asked for where it has a keyword ``dtype``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import keywords, tensor
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference


def given(component: Component, case: Case) -> dict[str, Array]:
    """Copies of the arrays of a case, in the order of the component's arguments."""
    names = (*component.inputs, *(name for name in component.optional if name in case.inputs))
    return {name: np.array(case.inputs[name]) for name in names}


def called(function: Callable[..., Any], component: Component, arrays: Mapping[str, Array], *first: Array) -> Any:
    """A function of the reference with its settings, given the required arrays by position, optional ones by name."""
    further = {name: arrays[name] for name in component.optional if name in arrays}
    return function(*first, *(arrays[name] for name in component.inputs), **further)


def facts(case: Case, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The dtype that the result should have, and whether arrays still hold the values of the case."""
    pure = all(np.array_equal(now, case.inputs[name], equal_nan=True) for name, now in arrays.items())
    return {"dtype": case.dtype, "purity": pure}


def forward(reference: Reference, case: Case) -> Observation:
    """The output."""
    name, arrays = reference.component.name, given(reference.component, case)
    function = partial(reference.required(name), **reference.keywords(name, case.settings))
    output, found = called(function, reference.component, arrays), facts(case, arrays)
    if "result_dtype" in case.inputs:
        found["dtype"] = reference.required("dtype_of_result")(case.inputs["result_dtype"], case.dtype)
    return Observation({"output": np.asarray(output, np.float64)}, found)


def backward(reference: Reference, case: Case) -> Observation:
    """The gradients of the inputs that have one."""
    name, component = f"{reference.component.name}_backward", reference.component
    arrays, grad_output = given(component, case), np.array(case.inputs["grad_output"])
    function = partial(reference.required(name), **reference.keywords(name, case.settings))
    gradients = called(function, component, arrays, grad_output)
    constant = case.inputs.get("constant", ())
    if constant:
        gradients = reference.required("beside_constants")(gradients)
    wanted = set(arrays if component.differentiable is None else component.differentiable) - set(constant)
    values = {f"grad_{key}": np.asarray(value, np.float64) for key, value in gradients.items() if key in wanted}
    return Observation(values, facts(case, {**arrays, "grad_output": grad_output}))


def _dtype_of_result(asked: str, own: str) -> str:
    """The dtype of the result, where one was asked for."""
    return asked


def _beside_constants(gradients: Mapping[str, Array]) -> Mapping[str, Array]:
    """The gradients where some arrays are constant: those of the others do not depend on it."""
    return gradients


def snippet(component: Component, case: Case) -> list[str]:
    """Call the function, or build the module and put its parameters in."""
    names, in_place = list(given(component, case)), case.layout == "in_place"
    case = replace(case, settings={**case.settings, "inplace": True}) if in_place else case
    lines = [f"{name} = {tensor(case.inputs[name], case)}" for name in names]
    differentiable = names if component.differentiable is None else component.differentiable
    wanted = [name for name in names if name in differentiable and name not in case.inputs.get("constant", ())]
    lines += [f"{name}.requires_grad_()" for name in wanted if not in_place]
    held = [name for name in names if name in component.parameters]
    forwarded = ", ".join(name for name in names if name not in held)
    dtype = f", dtype=torch.{case.inputs['result_dtype']}" if "result_dtype" in case.inputs else ""
    optional = "".join(f", {name}={name}" for name in names if name in component.optional)
    arguments = ", ".join(f"{key}={value!r}" for key, value in {**component.construct(case), **case.settings}.items())
    lines += [
        "if isinstance(target, type):",
        f"    module = target({arguments}).to({names[0]}.dtype)",
        *(f"    module.{name}.data.copy_({name})" for name in held),
        f"    output = module({forwarded})",
        f"else:\n    output = target({', '.join(component.inputs)}{optional}{keywords(case)}{dtype})",
        "print(output)",
    ]
    if case.run == "backward":
        lines += [f"output.backward({tensor(case.inputs['grad_output'], case)})", f"print({wanted[0]}.grad)"]
    return lines


FORM = Form(
    {"forward": forward, "backward": backward},
    ("dtype", "purity", "determinism"),
    snippet,
    {"dtype_of_result": _dtype_of_result, "beside_constants": _beside_constants},
)
