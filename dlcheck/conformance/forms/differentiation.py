"""Differentiation of functions: a case holds the function as a program, plain data that builds it from operators.

A program is a tuple of instructions, each the name of an operator and the places of its operands in the list of all
values so far: first the inputs, then the result of each instruction (a Wengert list). "number" has a number in the
place of operands, "sum" an axis or None after its operand. The last value is the function's.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import tensor
from dlcheck.conformance.implementation import Observation
from dlcheck.conformance.oracle import Reference

Program = tuple[tuple[Any, ...], ...]

_OPERATORS: dict[str, tuple[Callable[..., Any], str]] = {
    "add": (operator.add, "{} + {}"),
    "subtract": (operator.sub, "{} - {}"),
    "multiply": (operator.mul, "{} * {}"),
    "divide": (operator.truediv, "{} / {}"),
    "power": (operator.pow, "{} ** {}"),
    "matmul": (operator.matmul, "{} @ {}"),
    "negative": (operator.neg, "-{}"),
    "transpose": (operator.attrgetter("T"), "{}.T"),
}
"""Operators as functions and as Python text; any other name is a method without arguments."""


def applied(instruction: tuple[Any, ...], values: list[Any]) -> Any:
    """The result of one instruction."""
    name, *places = instruction
    if name == "number":
        return places[0]
    if name == "sum":
        return values[places[0]].sum() if places[1] is None else values[places[0]].sum(places[1])
    operands = [values[place] for place in places]
    return _OPERATORS[name][0](*operands) if name in _OPERATORS else getattr(operands[0], name)()


def function_of(program: Program) -> Callable[..., Any]:
    """The function that a program stands for, on anything that has its operators."""

    def function(*inputs: Any) -> Any:
        values = list(inputs)
        for instruction in program:
            values.append(applied(instruction, values))
        return values[-1]

    return function


def vjp(reference: Reference, case: Case) -> Observation:
    """The output, and the gradient of each input for the case's upstream gradient."""
    given = [np.array(value) for value in case.inputs["x"]]
    output, pullback = reference.required("vjp")(function_of(case.inputs["program"]), *given)
    cotangent = np.array(case.inputs["cotangent"])
    gradients = pullback(cotangent)
    values = {"output": np.asarray(output)}
    values |= {f"grad_{place}": np.asarray(found) for place, found in enumerate(gradients)}
    return Observation(values, _facts(case, given, cotangent))


def jacobian(reference: Reference, case: Case) -> Observation:
    """The Jacobian by each input."""
    given = [np.array(value) for value in case.inputs["x"]]
    found = reference.required("jacobian")(function_of(case.inputs["program"]), *given)
    values = {f"jacobian_{place}": np.asarray(matrix) for place, matrix in enumerate(found)}
    return Observation(values, _facts(case, given))


def _facts(case: Case, given: list[Any], cotangent: Any = None) -> dict[str, Any]:
    pure = all(np.array_equal(now, before, equal_nan=True) for now, before in zip(given, case.inputs["x"], strict=True))
    pure = pure and (cotangent is None or np.array_equal(cotangent, case.inputs["cotangent"]))
    return {"dtype": case.dtype, "purity": pure}


def source(program: Program, inputs: int) -> list[str]:
    """The function as lines of Python."""
    names = [f"x{place}" for place in range(inputs)]
    lines = [f"def function({', '.join(names)}):"]
    for instruction in program:
        name, *places = instruction
        names.append(f"v{len(names) - inputs}")
        lines.append(f"    {names[-1]} = {_text(name, places, names)}")
    return [*lines, f"    return {names[-1]}"]


def _text(name: str, places: list[Any], names: list[str]) -> str:
    if name == "number":
        return repr(places[0])
    if name == "sum":
        return f"{names[places[0]]}.sum({'' if places[1] is None else places[1]})"
    operands = [names[place] for place in places]
    return _OPERATORS[name][1].format(*operands) if name in _OPERATORS else f"{operands[0]}.{name}()"


def snippet(component: Component, case: Case) -> list[str]:
    """The function, and the target on it."""
    given = [tensor(value, case) for value in case.inputs["x"]]
    lines = [*source(case.inputs["program"], len(given)), f"x = [{', '.join(given)}]"]
    if case.run == "jacobian":
        return [*lines, "print(target(function, argnums=tuple(range(len(x))))(*x))"]
    lines += ["output, pullback = target(function, *x)", "print(output)"]
    return [*lines, f"print(pullback({tensor(case.inputs['cotangent'], case)}))"]


FORM = Form({"vjp": vjp, "jacobian": jacobian}, ("dtype", "purity", "determinism"), snippet)
