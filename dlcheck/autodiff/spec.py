"""What differentiation of composed functions is: reverse mode for one upstream gradient, and whole Jacobians."""

from collections.abc import Callable

import numpy as np

from dlcheck.component import Case, Component, Source, notes

_NOTES = notes("001, section 2")
_GRIEWANK = Source(
    "Griewank, Walther: Evaluating derivatives", "2008, section 3.2", "https://doi.org/10.1137/1.9780898717761"
)
_LINNAINMAA = Source(
    "Linnainmaa: Taylor expansion of the accumulated rounding error",
    "BIT 16, 1976",
    "https://doi.org/10.1007/BF01931367",
)


def _roundings(case: Case) -> int:
    """Each instruction rounds forwards and back; its operands' own errors pass through it."""
    return 16 + 4 * min(len(case.inputs["program"]), 64)


_BOUNDS: dict[str, Callable[..., tuple[float, float]]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "subtract": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "multiply": lambda a, b: (a[0] * b[0], a[0] * b[1] + b[0] * a[1]),
    "negative": lambda a: a,
    "sin": lambda a: (1.0, a[1]),
    "cos": lambda a: (1.0, a[1]),
}
"""Bounds of a value and of its derivatives from those of the operands."""


def _magnitude(case: Case) -> float:
    """What the paths' products add up to where none cancels: they may be multiplied and added in any order."""
    values = [(float(np.abs(x).max(initial=0.0)), 1.0) for x in case.inputs["x"]]
    elements = max((np.size(x) for x in case.inputs["x"]), default=1)
    for name, *places in case.inputs["program"]:
        if name == "sum":
            values.append((elements * values[places[0]][0], elements * values[places[0]][1]))
        elif name in _BOUNDS:
            values.append(_BOUNDS[name](*(values[place] for place in places)))
        else:
            return 1.0
    return max(1.0, *(derivative for _, derivative in values))


COMPONENTS = (
    Component(
        name="vjp",
        form="differentiation",
        summary="The value of any composed expression, and the gradients of its inputs by the chain rule, from the "
        "output back.",
        formula=r"\bar x = \sum_{\text{paths}} \bar y \prod_{(u, v)} \frac{\partial v}{\partial u}",
        model="torch.func.vjp",
        sources=(_NOTES, _GRIEWANK, _LINNAINMAA),
        inputs=("x",),
        operations=_roundings,
        magnitude=_magnitude,
    ),
    Component(
        name="jacobian",
        form="differentiation",
        summary="The derivative of a vector by a vector: every output element by every input element.",
        formula=r"J_{ij} = \frac{\partial y_i}{\partial x_j}",
        model="torch.func.jacrev",
        sources=(_NOTES, _GRIEWANK),
        inputs=("x",),
        operations=_roundings,
        magnitude=_magnitude,
    ),
)
