"""How accurate the activations of one number are over every number of a format, forward and derivative."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal

import mpmath
import numpy as np
import torch

from dlcheck import registry
from dlcheck.component import Case, Component
from dlcheck.evidence import exhaustive, numerics
from dlcheck.evidence.exhaustive import Accuracy, Exact, Tested

Of = Literal["forward", "derivative"]

NATIVE = "torch.nn.functional"
"""The name of torch's own functions, beside our implementations."""

_SLOPE = 0.01
_EXACT: dict[str, dict[Of, Exact]] = {
    "sigmoid": {
        "forward": lambda x: 1 / (1 + mpmath.exp(-x)),
        "derivative": lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x)),
    },
    "tanh": {"forward": mpmath.tanh, "derivative": lambda x: mpmath.sech(x) ** 2},
    "relu": {"forward": lambda x: max(x, mpmath.mpf(0)), "derivative": lambda x: mpmath.mpf(x > 0)},
    "leaky_relu": {
        "forward": lambda x: x if x > 0 else _SLOPE * x,
        "derivative": lambda x: mpmath.mpf(1 if x > 0 else _SLOPE),
    },
}


def components() -> list[str]:
    """The components that this can be asked of."""
    return [name for name in registry.components() if name in _EXACT]


@cache
def _code(name: str, implementation: str) -> Tested:
    if implementation == NATIVE:
        return getattr(torch.nn.functional, name)
    return registry.implementation(name, implementation)  # type: ignore[return-value]


def _oracle(component: Component, of: Of) -> Callable[[Any], Any]:
    """The reference in float64."""
    module: Any = registry.module(registry.families()[component.name], "reference")
    if of == "forward":
        return getattr(module, component.name)
    backward = getattr(module, f"{component.name}_backward")
    return lambda x: next(iter(backward(np.ones_like(x), x).values()))


def table(name: str, implementation: str, dtype: str, device: str = "cpu") -> Iterator[tuple[Of, Accuracy]]:
    """The accuracy of an implementation in a dtype, forward and derivative."""
    component = registry.components()[name]
    code = _code(name, implementation)
    for of, exact in _EXACT[name].items():
        tested = code if of == "forward" else exhaustive.derivative(code)
        yield of, exhaustive.accuracy(tested, _oracle(component, of), exact, dtype, device=device)


def share_of_allowed(name: str, implementation: str, of: Of, dtype: str, device: str = "cpu") -> float:
    """The worst error of a function of 16-bit numbers over all of them, as a share of the allowed one.

    A derivative is formed from the output, whose rounding it inherits, so its error is measured against 1 where it
    is smaller; it is not asked for at NaN.
    """
    component, code = registry.components()[name], _code(name, implementation)
    x = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(getattr(torch, dtype))
    x = x if of == "forward" else x[~x.isnan()]
    tested = code if of == "forward" else exhaustive.derivative(code)
    got = tested(x.to(device)).detach().double().cpu().numpy()
    with np.errstate(all="ignore"):
        right = _oracle(component, of)(x.double().numpy())
        size = np.abs(right) if of == "forward" else np.maximum(np.abs(right), 1.0)
        operations = component.operations(Case(of, {"x": right}))
        error = np.abs(got - right) / numerics.roundings(size, dtype, operations)
    same = (got == right) | (np.isnan(got) & np.isnan(right))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))))
