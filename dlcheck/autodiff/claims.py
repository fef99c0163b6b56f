"""The notes' statements on the chain rule, judged by proof and on random expressions."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from dlcheck.autodiff import proofs
from dlcheck.component import Case, Source, notes
from dlcheck.evidence import numerics, seeds, symbolic
from dlcheck.judgement import Counterexample, Evidence, Judgement, claim

Array = NDArray[np.float64]
Program = tuple[tuple[Any, ...], ...]

POLYNOMIALS, EXPRESSIONS = 200, 60
DIGITS = 60
"""Of the differences that the gradients of random expressions are compared with."""

_NOTES = notes("001, section 2")
_GRIEWANK = Source(
    "Griewank, Walther: Evaluating derivatives (2008)", "section 3.2", "https://doi.org/10.1137/1.9780898717761"
)
_OLAH = Source(
    "Olah 2015, Calculus on computational graphs: backpropagation",
    "computational graphs; derivatives on computational graphs",
    "https://colah.github.io/posts/2015-08-Backprop/",
)
_BOLTE = Source(
    "Bolte, Pauwels: A mathematical model for automatic differentiation in machine learning (2020)",
    "section 1",
    "https://arxiv.org/abs/2006.02080",
)

_RING: Mapping[str, Callable[..., Any]] = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul}
_SMOOTH: Mapping[str, Callable[..., Any]] = {
    **_RING,
    "negative": operator.neg,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tanh": mpmath.tanh,
}


def _value(program: Program, inputs: Sequence[Any]) -> Any:
    values = list(inputs)
    for name, *places in program:
        values.append(_SMOOTH[name](*(values[place] for place in places)))
    return values[-1]


def _drawn(rng: np.random.Generator, names: Sequence[str], inputs: int, length: int) -> Program:
    """A random program whose every instruction may use whatever stands before it."""
    program = []
    for step in range(length):
        name = names[int(rng.integers(len(names)))]
        operands = 2 if name in _RING else 1
        program.append((name, *(int(place) for place in rng.integers(inputs + step, size=operands))))
    return tuple(program)


def _gradient(implementation: Any, program: Program, inputs: Sequence[float]) -> Array:
    given = {"program": program, "x": [np.array(value, np.float64) for value in inputs], "cotangent": np.array(1.0)}
    values = implementation.observe(Case("vjp", given)).values
    return np.array([values[f"grad_{place}"] for place in range(len(inputs))]).astype(np.float64).reshape(-1)


def _forward_mode(program: Program, inputs: Sequence[int]) -> list[int]:
    """The gradient of a polynomial program in whole numbers: every value carries its derivatives forwards."""
    unit = [[int(i == j) for j in range(len(inputs))] for i in range(len(inputs))]
    values = list(zip(inputs, unit, strict=True))
    for name, *places in program:
        (a, da), (b, db) = (values[place] for place in places)
        slopes = {"add": (1, 1), "subtract": (1, -1), "multiply": (b, a)}[name]
        values.append((_RING[name](a, b), [slopes[0] * u + slopes[1] * v for u, v in zip(da, db, strict=True)]))
    return values[-1][1]


def _by_differences(program: Program, inputs: Sequence[float]) -> Array:
    """The gradient to all digits of float64, by differences at ``DIGITS`` digits."""
    with mpmath.workdps(DIGITS):
        h = mpmath.mpf(10) ** (-DIGITS // 3)
        found = []
        for place in range(len(inputs)):
            ahead, behind = ([mpmath.mpf(v) + s * h * (i == place) for i, v in enumerate(inputs)] for s in (1, -1))
            found.append(float((_value(program, ahead) - _value(program, behind)) / (2 * h)))
    return np.array(found)


def _polynomials_exact(implementation: Any) -> int:
    """How many random polynomials in small whole numbers, whose gradients float64 holds exactly, come out exactly."""
    rng, exact = seeds.generator(1), 0
    for _ in range(POLYNOMIALS):
        program, inputs = _drawn(rng, list(_RING), 3, 8), [int(v) for v in rng.integers(-2, 3, size=3)]
        expected = _forward_mode(program, inputs)
        exact += bool(max(map(abs, expected)) < 2**53 and list(_gradient(implementation, program, inputs)) == expected)
    return exact


def _worst_error(implementation: Any) -> float:
    """Largest error over allowed error on random smooth expressions."""
    rng, worst = seeds.generator(2), 0.0
    for _ in range(EXPRESSIONS):
        program, inputs = _drawn(rng, list(_SMOOTH), 3, 9), rng.uniform(-1.5, 1.5, size=3)
        allowed = numerics.allowance(
            lambda given, _, program=program: {"gradient": _by_differences(program, given["x"].tolist())},
            {"x": inputs},
            {},
            "float64",
            8 * len(program),
        )["gradient"]
        error = np.abs(_gradient(implementation, program, inputs.tolist()) - _by_differences(program, inputs.tolist()))
        worst = max(worst, float(np.max(error / allowed)))
    return worst


@claim(
    "chain-rule.reverse-mode",
    says="Draw the computational graph, evaluate nodes forward, write the local derivative on every edge, multiply "
    "along each path and add over the paths: the result is the exact gradient of any composed expression.",
    sources=(_NOTES, _GRIEWANK, _BOLTE),
    evidence="property",
    verdict="conditional",
    formula=r"\frac{\partial y}{\partial x} = \sum_{\text{paths } x \to y} \; \prod_{(u, v)} \frac{\partial "
    r"v}{\partial u}",
    component="vjp",
)
def reverse_mode(implementation: Any) -> Judgement:
    """Compare with exact gradients of random expressions; look for one that is differentiable and comes out wrong."""
    exact, worst = _polynomials_exact(implementation), _worst_error(implementation)
    kinked: Program = (("relu", 0), ("negative", 0), ("relu", 2), ("subtract", 1, 3))
    at_kink = float(_gradient(implementation, kinked, [0.0])[0])
    return Judgement(
        Evidence(
            "property",
            "random polynomials in whole numbers against exact integer arithmetic, and random expressions of + - * sin "
            f"cos tanh against differences at {DIGITS} digits",
            {
                "polynomials": POLYNOMIALS,
                "of them exact": exact,
                "expressions": EXPRESSIONS,
                "worst error / allowed": round(worst, 3),
                "seed": seeds.RUN,
            },
        ),
        confirmed=exact == POLYNOMIALS and worst <= 1,
        conditions="every operation in the graph is differentiable at the values that its operands take there, and the "
        "arithmetic is exact: in floating point each operation of both sweeps adds its rounding",
        counterexample=Counterexample(
            "relu(x) - relu(-x) is x, with derivative 1 everywhere; at 0 each path is multiplied by relu'(0), which is "
            "written as 0 on both edges",
            {"x": 0.0},
            claimed=1.0,
            actual=at_kink,
            confirmed=at_kink != 1.0,
        ),
        explanation="One sweep back from the output gives the sum over all paths in a time linear in the edges; there "
        "may be 2^n paths for 2n edges, so that nobody goes along them one by one. That the whole is differentiable "
        "does not help where a part is not: here only relu'(0) = 1/2 would give 1, which elsewhere is as wrong as 0.",
    )


def _whole_number_jacobians(implementation: Any) -> bool:
    """Whether J of (u v, u + v) after (x y, x - y), in whole numbers, is the product of the two to the bit."""
    inner: Program = (("multiply", 0, 1), ("subtract", 0, 1))
    outer: Program = (("multiply", 0, 1), ("add", 0, 1))

    def rows(first: Program, second: Program, x: Sequence[float]) -> Array:
        """Both outputs of a pair of instructions, or of one pair after the other."""
        shifted = tuple((name, *(place + len(x) for place in places)) for name, *places in second)
        found = []
        for last in range(2):
            program = first + shifted[last : last + 1] if second else first[: last + 1]
            given = {"program": program, "x": [np.array(v, np.float64) for v in x]}
            values = implementation.observe(Case("jacobian", given)).values
            found.append([float(values[f"jacobian_{place}"]) for place in range(len(x))])
        return np.array(found)

    x = [3.0, -2.0]
    between = [x[0] * x[1], x[0] - x[1]]
    return bool(np.array_equal(rows(inner, outer, x), rows(outer, (), between) @ rows(inner, (), x)))


@claim(
    "chain-rule.jacobian-product",
    says="The derivative of a vector by a vector is a Jacobian matrix, and the Jacobian of a composition is the "
    "product of the Jacobians, in order.",
    sources=(_NOTES, _GRIEWANK),
    evidence="proof",
    verdict="holds",
    formula=r"J_{g \circ f}(x) = J_g(f(x)) \, J_f(x)",
    component="jacobian",
)
def jacobian_product(implementation: Any) -> Judgement:
    steps = proofs.jacobian_product()
    tied = _whole_number_jacobians(implementation)
    return Judgement(
        symbolic.evidence(*steps, tied="the implementation's Jacobians in whole numbers multiply to the bit"),
        confirmed=symbolic.proved(*steps) and tied,
        explanation="In order means the outermost function's Jacobian on the left, taken at f(x), where rows are "
        "outputs; who writes gradients as columns has every factor transposed and the order reversed. The maps must be "
        "differentiable there, which is what having Jacobians says.",
    )


@claim(
    "chain-rule.example-sum-product",
    says="For e = (a+b)(b+1), with c = a+b and d = b+1, de/db = 1*(b+1) + 1*(a+b).",
    sources=(_NOTES, _OLAH),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{\partial e}{\partial b} = \frac{\partial e}{\partial c} \frac{\partial c}{\partial b} + "
    r"\frac{\partial e}{\partial d} \frac{\partial d}{\partial b} = 1 (b + 1) + 1 (a + b)",
    component="vjp",
)
def example_sum_product(implementation: Any) -> Judgement:
    steps = proofs.sum_product()
    program: Program = (("add", 0, 1), ("number", 1.0), ("add", 1, 3), ("multiply", 2, 4))
    whole = [(a, b) for a in range(-3, 4) for b in range(-3, 4)]
    tied = all(_gradient(implementation, program, [a, b])[1] == (b + 1) + (a + b) for a, b in whole)
    return Judgement(
        symbolic.evidence(*steps, tied=f"the implementation's derivatives at {len(whole)} pairs are equal to the bit"),
        confirmed=symbolic.proved(*steps) and tied,
        explanation="At a = 2, b = 1: e = 6, the paths by c and by d give 2 and 3, and de/db = 5.",
    )


@claim(
    "chain-rule.example-shared-variable",
    says="For y = x*exp(x^2), treating the three occurrences of x as separate variables and adding their partial "
    "derivatives gives dy/dx = exp(x^2) + 2*x*x*exp(x^2).",
    sources=(_NOTES, _OLAH),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{dy}{dx} = e^{x_2 x_3} + x_1 x_3 e^{x_2 x_3} + x_1 x_2 e^{x_2 x_3} "
    r"\Big|_{x_1 = x_2 = x_3 = x} = e^{x^2} + 2 x x e^{x^2}",
    component="vjp",
)
def example_shared_variable(implementation: Any) -> Judgement:
    steps = proofs.shared_variable()
    program: Program = (("multiply", 0, 0), ("exp", 1), ("multiply", 0, 2))
    x = np.linspace(-2.0, 2.0, 33)
    found = np.array([_gradient(implementation, program, [value])[0] for value in x])
    expected = np.exp(x**2) + 2 * x * x * np.exp(x**2)
    tied = bool(np.all(np.abs(found - expected) <= numerics.roundings(expected, "float64", 16)))
    return Judgement(
        symbolic.evidence(*steps, tied="the implementation agrees at 33 points within 16 roundings"),
        confirmed=symbolic.proved(*steps) and tied,
        explanation="This is weight sharing in small: a weight used in many places gets the sum of what each place "
        "would give it.",
    )
