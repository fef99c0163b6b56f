"""Functions that return gradients which are no derivative of an output: the reference gives them by parameter name."""

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.function import called, facts, given
from dlcheck.conformance.forms.replay import keywords, tensor
from dlcheck.conformance.implementation import Observation
from dlcheck.conformance.oracle import Reference


def estimate(reference: Reference, case: Case) -> Observation:
    """The gradient of every parameter."""
    name, arrays = reference.component.name, given(reference.component, case)
    chosen = reference.keywords(name, case.settings)
    found = called(lambda *inputs: reference.required(name)(*inputs, **chosen), reference.component, arrays)
    values = {f"grad_{key}": np.asarray(value, np.float64) for key, value in found.items()}
    return Observation(values, facts(case, arrays))


def snippet(component: Component, case: Case) -> list[str]:
    """Call the function."""
    lines = [f"{name} = {tensor(case.inputs[name], case)}" for name in component.inputs]
    return [*lines, f"print(target({', '.join(component.inputs)}{keywords(case)}))"]


FORM = Form({"estimate": estimate}, ("dtype", "purity", "determinism"), snippet)
