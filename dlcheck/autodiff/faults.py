"""Known mistakes in differentiation: rules of single operations, and what becomes of them along the paths."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.autodiff import reference
from dlcheck.autodiff.reference import RULES, Edge, Node, Rule, incoming, ordered, summed_to
from dlcheck.component import Fault

Array = NDArray[Any]
Gradients = dict[int, Array]
Make = Callable[[str], Callable[..., Any]]
"""From the name of a component to its mistaken version."""

_NO_LEARNING = "Every parameter below learns along a wrong gradient."
_SHARED = (
    "Weights that are used more than once, as in recurrent and convolution layers, learn a part of what they should."
)


def _sweep(
    rules: Mapping[str, tuple[Rule, ...]] = RULES,
    summed: Callable[[Array, tuple[int, ...]], Array] = summed_to,
    joined: Callable[[Array, Array], Array] = np.add,
    order: Callable[[Node], list[Node]] = ordered,
    edges: Callable[[Node], list[Edge]] = incoming,
) -> reference.Sweep:
    """The reverse sweep with a piece exchanged; ``joined`` puts the gradients of two paths together."""

    def pulled_back(edge: Edge, gradient: Array) -> Array:
        values = (operand.value for operand in edge.end.operands)
        rule = rules[edge.end.operation][edge.place]
        return summed(np.asarray(rule(gradient, edge.end.value, *values, *edge.end.fixed)), edge.start.value.shape)

    def swept(output: Node, cotangent: Array) -> Gradients:
        gradients = {id(output): cotangent}
        for node in reversed(order(output)):
            for edge in edges(node) if id(node) in gradients else ():
                part, key = pulled_back(edge, gradients[id(node)]), id(edge.start)
                gradients[key] = joined(gradients[key], part) if key in gradients else part
        return gradients

    return swept


def _with(sweep: reference.Sweep = reference.reverse, node: type[Node] = Node) -> Make:
    def make(component: str) -> Callable[..., Any]:
        function = getattr(reference, component)
        return lambda program, *inputs: function(program, *inputs, sweep=sweep, node=node)

    return make


def _rule(operation: str, place: int, rule: Rule) -> Make:
    """One rule exchanged."""
    rules = list(RULES[operation])
    rules[place] = rule
    return _with(_sweep({**RULES, operation: tuple(rules)}))


def _rules(**changed: tuple[Rule, ...]) -> Make:
    return _with(_sweep({**RULES, **changed}))


def _first_reached(output: Node) -> list[Node]:
    """Nodes in the order in which a walk from the output first meets them, last one first."""
    order, seen, waiting = [], {id(output)}, [output]
    while waiting:
        node = waiting.pop(0)
        order.append(node)
        fresh = [operand for operand in node.operands if id(operand) not in seen]
        for operand in fresh:
            if id(operand) not in seen:
                seen.add(id(operand))
                waiting.append(operand)
    return order[::-1]


def _distinct(node: Node) -> list[Edge]:
    """Of several edges from one operand the last only."""
    return list({id(edge.start): edge for edge in incoming(node)}.values())


def _first_copy(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of the first copy in place of the sum over all."""
    ahead = gradient.ndim - len(shape)
    kept = tuple(slice(0, 1) if length == 1 else slice(None) for length in shape)
    return np.asarray(gradient[(0,) * ahead + kept] if gradient.size else summed_to(gradient, shape)).reshape(shape)


def _averaged(gradient: Array, shape: tuple[int, ...]) -> Array:
    copies = gradient.size // max(int(np.prod(shape)), 1)
    return summed_to(gradient, shape) / max(copies, 1)


def _unsummed(gradient: Array, shape: tuple[int, ...]) -> Array:
    return gradient


def _where_square(product: Callable[[Array, Array, Array], Array], like: int) -> Rule:
    """A product that fits square matrices only; code that makes this mistake fails on others."""

    def rule(g: Array, out: Array, a: Array, b: Array) -> Array:
        square = all(x.ndim == 2 and x.shape[0] == x.shape[1] for x in (a, b))
        return product(g, a, b) if square else np.full((a, b)[like].shape, np.nan)

    return rule


class _Reflected(Node):
    """number - x as x - number, number / x as x / number."""

    __slots__ = ()
    __rsub__ = Node.__sub__
    __rtruediv__ = Node.__truediv__
    __rpow__ = Node.__pow__


def _upstream_ignored(component: str) -> Callable[..., Any]:
    ones = _with(lambda output, cotangent: reference.reverse(output, np.ones_like(cotangent)))
    return ones(component)


def _single(component: str) -> Callable[..., Any]:
    def swept(output: Node, cotangent: Array) -> Gradients:
        found = reference.reverse(output, cotangent)
        return {key: np.asarray(gradient, np.float32).astype(np.float64) for key, gradient in found.items()}

    return _with(swept)(component)


_ROWS: tuple[tuple[str, str, str, str, Make], ...] = (
    ("product-term-missing", "the product rule lacks its second term", _NO_LEARNING, "d(ab) = b da + a db",
     _rule("multiply", 1, lambda g, out, a, b: np.zeros_like(g))),
    ("product-not-crossed", "the product rule gives each factor its own value", _NO_LEARNING, "d(ab) = b da + a db",
     _rules(multiply=(lambda g, out, a, b: g * a, lambda g, out, a, b: g * b))),
    ("product-of-both", "the product rule gives each factor the product", _NO_LEARNING, "d(ab) = b da + a db",
     _rules(multiply=(lambda g, out, a, b: g * out, lambda g, out, a, b: g * out))),
    ("difference-sign", "the subtrahend's gradient has the wrong sign", _NO_LEARNING, "d(a - b) = da - db",
     _rule("subtract", 1, lambda g, out, a, b: g)),
    ("quotient-sign", "the divisor's gradient has the wrong sign", _NO_LEARNING, "d(a/b) = da/b - a db/b^2",
     _rule("divide", 1, lambda g, out, a, b: g * a / b**2)),
    ("quotient-not-squared", "the divisor is not squared in its gradient", _NO_LEARNING, "d(a/b) = da/b - a db/b^2",
     _rule("divide", 1, lambda g, out, a, b: -g * a / b)),
    ("quotient-numerator-missing", "the divisor's gradient lacks the dividend", _NO_LEARNING,
     "d(a/b) = da/b - a db/b^2",
     _rule("divide", 1, lambda g, out, a, b: -g / b**2)),
    ("divisor-constant", "the divisor is held constant", _NO_LEARNING, "d(a/b) = da/b - a db/b^2",
     _rule("divide", 1, lambda g, out, a, b: np.zeros_like(g))),
    ("negation-sign", "negation passes the gradient on unchanged", _NO_LEARNING, "d(-a) = -da",
     _rule("negative", 0, lambda g, out, x: g)),
    ("power-not-lowered", "the power rule leaves the exponent as it was", _NO_LEARNING, "d(x^n) = n x^(n-1) dx",
     _rule("power", 0, lambda g, out, x, n: g * n * out)),
    ("power-factor-missing", "the power rule lacks the factor n", _NO_LEARNING, "d(x^n) = n x^(n-1) dx",
     _rule("power", 0, lambda g, out, x, n: g * x ** (n - 1.0))),
    ("power-factor-lowered", "the power rule takes n - 1 as the factor", _NO_LEARNING, "d(x^n) = n x^(n-1) dx",
     _rule("power", 0, lambda g, out, x, n: g * (n - 1) * x ** (n - 1.0))),
    ("exponent-constant", "a variable in the exponent is held constant", _NO_LEARNING, "d(a^x) = a^x log(a) dx",
     _rule("power", 1, lambda g, out, x, n: np.zeros_like(g))),
    ("exponent-without-log", "the exponent's gradient lacks the logarithm", _NO_LEARNING, "d(a^x) = a^x log(a) dx",
     _rule("power", 1, lambda g, out, x, n: g * out)),
    ("exp-as-power", "exp is differentiated as a power", _NO_LEARNING, "d exp(x) = exp(x) dx",
     _rule("exp", 0, lambda g, out, x: g * x * np.exp(x - 1))),
    ("exp-without-upstream", "exp leaves the upstream gradient out", _NO_LEARNING, "d exp(x) = exp(x) dx",
     _rule("exp", 0, lambda g, out, x: out)),
    ("log-at-output", "log's derivative is taken at its output", _NO_LEARNING, "d log(x) = dx / x",
     _rule("log", 0, lambda g, out, x: g / out)),
    ("sin-sign", "the sine's derivative has the wrong sign", _NO_LEARNING, "d sin(x) = cos(x) dx",
     _rule("sin", 0, lambda g, out, x: -g * np.cos(x))),
    ("sin-at-output", "the sine's derivative is taken at its output", _NO_LEARNING, "d sin(x) = cos(x) dx",
     _rule("sin", 0, lambda g, out, x: g * np.cos(out))),
    ("cos-sign", "the cosine's derivative lacks its sign", _NO_LEARNING, "d cos(x) = -sin(x) dx",
     _rule("cos", 0, lambda g, out, x: g * np.sin(x))),
    ("tanh-at-input", "the derivative 1 - y^2 of tanh is taken at x, not at y", _NO_LEARNING,
     "d tanh(x) = (1 - y^2) dx",
     _rule("tanh", 0, lambda g, out, x: g * (1 - x**2))),
    ("tanh-not-squared", "the derivative of tanh is 1 - y", _NO_LEARNING, "d tanh(x) = (1 - y^2) dx",
     _rule("tanh", 0, lambda g, out, x: g * (1 - out))),
    ("sigmoid-at-input", "the derivative y (1 - y) of sigmoid is taken at x", _NO_LEARNING,
     "d sigmoid(x) = y (1 - y) dx", _rule("sigmoid", 0, lambda g, out, x: g * x * (1 - x))),
    ("sqrt-half-missing", "the root's derivative lacks the factor 1/2", _NO_LEARNING, "d sqrt(x) = dx / (2 sqrt(x))",
     _rule("sqrt", 0, lambda g, out, x: g / out)),
    ("sqrt-at-input", "the root's derivative divides by 2x", _NO_LEARNING, "d sqrt(x) = dx / (2 sqrt(x))",
     _rule("sqrt", 0, lambda g, out, x: g / (2 * x))),
    ("relu-passes-all", "relu passes the gradient of negative inputs", _NO_LEARNING, "d relu(x) = dx where x > 0",
     _rule("relu", 0, lambda g, out, x: g)),
    ("reflected", "number - x and number / x are taken the other way round", "The network computes something else.",
     "define __rsub__ and __rtruediv__ with the operands in order", _with(node=_Reflected)),
    ("overwritten", "a shared node keeps the last gradient, not the sum", _SHARED, "gradient += part",
     _with(_sweep(joined=lambda old, new: new))),
    ("first-path-only", "a shared node keeps the first gradient, not the sum", _SHARED, "gradient += part",
     _with(_sweep(joined=lambda old, new: old))),
    ("repeated-operand-once", "an operand that is used twice by one operation counts once", _SHARED,
     "add over the edges, not over the nodes", _with(_sweep(edges=_distinct))),
    ("wrong-order", "a node is left when first reached, before all that uses it", _SHARED,
     "go through the nodes in reverse topological order", _with(_sweep(order=_first_reached))),
    ("upstream-ignored", "the upstream gradient is taken as 1",
     "Layers above have no say in what the layers below learn.",
     "start from the upstream gradient", _upstream_ignored),
    ("broadcast-not-summed", "the gradient of what was broadcast is not summed back",
     "A bias gets a gradient of wrong shape.",
     "sum over the axes along which it was repeated", _with(_sweep(summed=_unsummed))),
    ("broadcast-averaged", "the gradient of what was broadcast is averaged",
     "A bias learns more slowly the larger the batch.",
     "sum over the axes along which it was repeated", _with(_sweep(summed=_averaged))),
    ("broadcast-first-copy", "what was broadcast gets the gradient of its first copy", _SHARED,
     "sum over the axes along which it was repeated", _with(_sweep(summed=_first_copy))),
    ("sum-averaged", "a sum is differentiated as a mean", _NO_LEARNING, "every element gets the gradient of the sum",
     _rule("sum", 0, lambda g, out, x, axis: RULES["sum"][0](g, out, x, axis) * max(out.size, 1) / max(x.size, 1))),
    ("matmul-not-transposed", "matrix products lack the transposes in their gradients", _NO_LEARNING,
     "grad_A = G B^T, grad_B = A^T G",
     _rules(matmul=(_where_square(lambda g, a, b: g @ b, 0), _where_square(lambda g, a, b: a @ g, 1)))),
    ("matmul-swapped", "matrix products' gradients are multiplied in the wrong order", _NO_LEARNING,
     "grad_A = G B^T, grad_B = A^T G",
     _rules(matmul=(_where_square(lambda g, a, b: b.T @ g, 0), _where_square(lambda g, a, b: g @ a.T, 1)))),
    ("matmul-result-transposed", "gradients of matrix products come out transposed", _NO_LEARNING,
     "grad_A = G B^T, grad_B = A^T G",
     _rules(matmul=(_where_square(lambda g, a, b: b @ g.T, 0), _where_square(lambda g, a, b: g.T @ a, 1)))),
    ("single-precision", "gradients pass through float32", "Training in float64 loses half its digits.",
     "compute in the dtype of the input", _single),
)  # fmt: skip


def _transposed(function: Callable[..., Any], *inputs: Array) -> tuple[Array, ...]:
    """Inputs first, then outputs."""
    found = reference.jacobian(function, *inputs)
    return tuple(
        np.moveaxis(matrix, range(matrix.ndim - np.ndim(given), matrix.ndim), range(np.ndim(given)))
        for matrix, given in zip(found, inputs, strict=True)
    )


def _rows_summed(function: Callable[..., Any], *inputs: Array) -> tuple[Array, ...]:
    """Every row the gradient of the outputs' sum."""
    found = reference.jacobian(function, *inputs)
    sums = (m.sum(tuple(range(m.ndim - np.ndim(x))), keepdims=True) for m, x in zip(found, inputs, strict=True))
    return tuple(np.broadcast_to(total, matrix.shape) for total, matrix in zip(sums, found, strict=True))


def _diagonal_only(function: Callable[..., Any], *inputs: Array) -> tuple[Array, ...]:
    """As if every output depended on the input of its own place only."""
    found = reference.jacobian(function, *inputs)
    return tuple(
        (m.reshape(-1, max(np.size(x), 1)) * np.eye(m.size // max(np.size(x), 1), max(np.size(x), 1))).reshape(m.shape)
        for m, x in zip(found, inputs, strict=True)
    )


def _of_each(component: str) -> list[Fault]:
    return [
        Fault(f"{component}-{slug}", component, says, effect, fix, {component: make(component)})
        for slug, says, effect, fix, make in _ROWS
    ]


def _of_jacobian(slug: str, says: str, fix: str, mistaken: Callable[..., Any]) -> Fault:
    return Fault(f"jacobian-{slug}", "jacobian", says, _NO_LEARNING, fix, {"jacobian": mistaken})


# a Jacobian has no upstream gradient; ones in the place of its rows are the mistake rows-summed
FAULTS = (
    *_of_each("vjp"),
    *(fault for fault in _of_each("jacobian") if fault.id != "jacobian-upstream-ignored"),
    _of_jacobian("transposed", "the Jacobian is transposed", "rows are outputs, columns inputs", _transposed),
    _of_jacobian(
        "rows-summed", "every row is the gradient of the outputs' sum", "one sweep for each output", _rows_summed
    ),
    _of_jacobian(
        "diagonal-only", "everything off the diagonal is taken for zero", "one sweep for each output", _diagonal_only
    ),
)
