"""What differentiation of composed functions is: reverse mode for one upstream gradient, and whole Jacobians."""

from dlcheck.component import Case, Component, Source

_NOTES = Source("Notes 001", "section 2")
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
    ),
)
