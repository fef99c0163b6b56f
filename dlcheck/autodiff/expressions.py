"""sympy's expressions as functions of graph nodes: each node becomes an operator or a method of what it is given."""

import math
from collections.abc import Callable
from typing import Any

import sympy as sp


def _elementary(name: str) -> Callable[[Any], Any]:
    """The method of that name, or Python's own function of a number."""
    return lambda x: getattr(x, name)() if hasattr(x, name) else getattr(math, name)(x)


_exp, _sin, _cos = map(_elementary, ("exp", "sin", "cos"))

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: _elementary(name) for name in ("exp", "log", "sin", "cos", "tanh", "sqrt")},
    "tan": lambda x: _sin(x) / _cos(x),
    "sinh": lambda x: (_exp(x) - _exp(-x)) / 2,
    "cosh": lambda x: (_exp(x) + _exp(-x)) / 2,
}


def function_of(expression: sp.Expr, *symbols: sp.Symbol) -> Callable[..., Any]:
    """An expression as a function of nodes, tensors or whatever has operators; common parts are computed once.

    Raises: ValueError for a function that has no derivative here, or a symbol that is not among the arguments.
    """
    unknown = sorted({type(found).__name__ for found in expression.atoms(sp.Function)} - set(_FUNCTIONS))
    if unknown:
        raise ValueError(f"expression holds {', '.join(unknown)}, expected only {', '.join(_FUNCTIONS)}")
    free = sorted(map(str, expression.free_symbols - set(symbols)))
    if free:
        raise ValueError(f"expression holds {', '.join(free)}, expected only {', '.join(map(str, symbols))}")
    return sp.lambdify(symbols, expression, modules=[_FUNCTIONS, "math"], cse=True)
