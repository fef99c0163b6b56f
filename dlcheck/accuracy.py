"""How accurate the activations of one number are over every number of a format, forward and derivative."""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from types import ModuleType
from typing import Any, Literal

import mpmath
import numpy as np
import torch

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.evidence import exhaustive, numerics
from dlcheck.evidence.exhaustive import Accuracy, Oracle, Tested

Of = Literal["forward", "derivative"]

NATIVE = "torch.nn.functional"
"""The name of torch's own functions, beside our implementations."""

_SLOPE = 0.01
_FORMULAS: dict[str, dict[Of, Callable[[ModuleType, Any], Any]]] = {
    "sigmoid": {
        "forward": lambda m, x: 1 / (1 + m.exp(-x)),
        "derivative": lambda m, x: 1 / (2 + m.exp(x) + m.exp(-x)),
    },
    "tanh": {"forward": lambda m, x: m.tanh(x), "derivative": lambda m, x: 1 / m.cosh(x) ** 2},
    "relu": {"forward": lambda m, x: max(x, 0.0), "derivative": lambda m, x: float(x > 0)},
    "leaky_relu": {
        "forward": lambda m, x: x if x > 0 else _SLOPE * x,
        "derivative": lambda m, x: 1.0 if x > 0 else _SLOPE,
    },
}
"""The functions of one number in ``math`` or ``mpmath``: neither NumPy's nor torch's arithmetic."""


def components() -> list[str]:
    """The components that this can be asked of."""
    return [name for name in registry.components() if name in _FORMULAS]


IMPLEMENTATIONS = (*registry.IMPLEMENTATIONS, NATIVE)


@cache
def _tested(name: str, implementation: str, of: Of) -> Tested:
    if implementation == "reference":
        return exhaustive.of_arrays(_reference(name, of))
    code: Any = getattr(torch.nn.functional, name) if implementation == NATIVE else None
    code = code or registry.implementation(name, implementation)
    return code if of == "forward" else exhaustive.derivative(code)


def _reference(name: str, of: Of) -> Oracle:
    """The reference in float64."""
    module: Any = registry.module(registry.families()[name], "reference")
    return getattr(module, name if of == "forward" else f"{name}_derivative")


def _oracle(name: str, implementation: str, of: Of) -> Oracle:
    """What an implementation is held against: the reference, and Python's own functions for the reference."""
    if implementation != "reference":
        return _reference(name, of)
    formula = _FORMULAS[name][of]
    return exhaustive.of_numbers(partial(formula, math), partial(formula, mpmath))


def table(name: str, implementation: str, dtype: str, device: str = "cpu") -> Iterator[tuple[Of, Accuracy]]:
    """The accuracy of an implementation in a dtype, forward and derivative."""
    for of, formula in _FORMULAS[name].items():
        tested, oracle = _tested(name, implementation, of), _oracle(name, implementation, of)
        yield of, exhaustive.accuracy(tested, oracle, partial(formula, mpmath), dtype, device=device)


def share_of_allowed(name: str, implementation: str, of: Of, dtype: str, device: str = "cpu") -> float:
    """The worst error of a function of 16-bit numbers over all of them, as a share of the allowed one.

    A derivative is formed from the output, whose rounding it inherits, so its error is measured against 1 where it
    is smaller; it is not asked for at NaN.
    """
    component = registry.components()[name]
    x = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(getattr(torch, dtype))
    x = x if of == "forward" else x[~x.isnan()]
    got = _tested(name, implementation, of)(x.to(device)).detach().double().cpu().numpy()
    with np.errstate(all="ignore"):
        right = _reference(name, of)(x.double().numpy())
        size = np.abs(right) if of == "forward" else np.maximum(np.abs(right), 1.0)
        operations = component.operations(Case(of, {"x": right}))
        error = np.abs(got - right) / numerics.roundings(size, dtype, operations)
    same = (got == right) | (np.isnan(got) & np.isnan(right))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))))
