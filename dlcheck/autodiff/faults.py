"""Known mistakes in differentiation: rules of single operations, and what becomes of them along the paths."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.autodiff import reference
from dlcheck.autodiff.reference import RULES, Edge, Node, Rule, incoming, ordered, summed_to
from dlcheck.component import Fault

Array = NDArray[Any]
Gradients = dict[int, Array]
_VISITS = 4000
"""Nodes that code which walks along every path is let visit."""
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
    numbers: Mapping[tuple[str, int], Rule] = MappingProxyType({}),
) -> reference.Sweep:
    """The reverse sweep with a piece exchanged; ``joined`` puts the gradients of two paths together.

    ``numbers`` are rules, by operation and place, that hold where the other operand is a number.
    """

    def pulled_back(edge: Edge, gradient: Array) -> Array:
        values = (operand.value for operand in edge.end.operands)
        rule = rules[edge.end.operation][edge.place]
        if (edge.end.operation, edge.place) in numbers and edge.end.operands[1 - edge.place].constant:
            rule = numbers[edge.end.operation, edge.place]
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


def _with_number(operation: str, place: int, rule: Rule) -> Make:
    """One rule exchanged where the other operand is a number, for which code often has a rule of its own."""
    return _with(_sweep(numbers={(operation, place): rule}))


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


def _depth_first(turned: bool) -> Callable[[Node], list[Node]]:
    """The same in the order of a walk that goes down before it goes on, operands from the last if ``turned``."""

    def order(output: Node) -> list[Node]:
        found: dict[int, Node] = {}
        waiting = [output]
        while waiting:
            node = waiting.pop()
            if id(node) not in found:
                found[id(node)] = node
                waiting.extend(node.operands if turned else reversed(node.operands))
        return list(found.values())[::-1]

    return order


def _again_each_time(output: Node, cotangent: Array) -> Gradients:
    """Each visit of a node passes on all that it has got so far; NaN where code that does so would not end."""
    gradients, waiting, visits = {id(output): np.asarray(cotangent)}, [output], 0
    while waiting and visits < _VISITS:
        node, visits = waiting.pop(), visits + 1
        for edge in incoming(node):
            part, key = edge.pulled_back(gradients[id(node)]), id(edge.start)
            gradients[key] = gradients[key] + part if key in gradients else part
        waiting.extend(list({id(edge.start): edge.start for edge in incoming(node)}.values())[::-1])
    return {key: found * np.nan for key, found in gradients.items()} if waiting else gradients


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


def _leading_only(gradient: Array, shape: tuple[int, ...]) -> Array:
    return np.asarray(gradient.sum(tuple(range(gradient.ndim - len(shape)))))


def _repeated_only(gradient: Array, shape: tuple[int, ...]) -> Array:
    ahead = gradient.ndim - len(shape)
    return np.asarray(gradient.sum(tuple(ahead + axis for axis, n in enumerate(shape) if n == 1), keepdims=True))


def _unsummed(gradient: Array, shape: tuple[int, ...]) -> Array:
    return gradient


def _where_square(product: Callable[[Array, Array, Array], Array], like: int) -> Rule:
    """A product that fits square matrices only; code that makes this mistake fails on others."""

    def rule(g: Array, out: Array, a: Array, b: Array) -> Array:
        square = all(x.ndim == 2 and x.shape[0] == x.shape[1] for x in (a, b))
        return product(g, a, b) if square else np.full((a, b)[like].shape, np.nan)

    return rule


def _reflected(*operators: str) -> Make:
    """number - x as x - number, number / x as x / number."""
    methods = {f"__r{name}__": getattr(Node, f"__{name}__") for name in operators}
    return _with(node=type("_Reflected", (Node,), {"__slots__": (), **methods}))


def _upstream_ignored(component: str) -> Callable[..., Any]:
    ones = _with(lambda output, cotangent: reference.reverse(output, np.ones_like(cotangent)))
    return ones(component)


_ROWS: tuple[tuple[str, str, str, str, Make], ...] = (
    ("product-term-missing", "the product rule lacks its second term", _NO_LEARNING, "d(ab) = b da + a db",
     _rule("multiply", 1, lambda g, out, a, b: np.zeros_like(g))),
    ("product-not-crossed", "the product rule gives each factor its own value", _NO_LEARNING, "d(ab) = b da + a db",
     _rules(multiply=(lambda g, out, a, b: g * a, lambda g, out, a, b: g * b))),
    ("product-of-both", "the product rule gives each factor the product", _NO_LEARNING, "d(ab) = b da + a db",
     _rules(multiply=(lambda g, out, a, b: g * out, lambda g, out, a, b: g * out))),
    ("product-without-upstream", "the product rule leaves the upstream gradient out", _NO_LEARNING,
     "d(ab) = b da + a db, times what arrives",
     _rules(multiply=(lambda g, out, a, b: b + 0 * g, lambda g, out, a, b: a + 0 * g))),
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
    ("number-power-not-lowered", "x ** number leaves the exponent as it was in the gradient", _NO_LEARNING,
     "d(x^n) = n x^(n-1) dx", _with_number("power", 0, lambda g, out, x, n: g * n * out)),
    ("number-power-factor-missing", "x ** number lacks the factor n in the gradient", _NO_LEARNING,
     "d(x^n) = n x^(n-1) dx", _with_number("power", 0, lambda g, out, x, n: g * x ** (n - 1.0))),
    ("number-power-linear", "x ** number is differentiated as a square, n x", _NO_LEARNING, "d(x^n) = n x^(n-1) dx",
     _with_number("power", 0, lambda g, out, x, n: g * n * x)),
    ("number-base-without-log", "number ** x lacks the logarithm in its gradient", _NO_LEARNING,
     "d(a^x) = a^x log(a) dx", _with_number("power", 1, lambda g, out, x, n: g * out)),
    ("number-power-by-quotient", "x ** number divides its value by x in the gradient", "Weights become NaN at a zero.",
     "d(x^n) = n x^(n-1) dx", _with_number("power", 0, lambda g, out, x, n: g * n * out / x)),
    ("exponent-as-base", "the exponent's gradient is by the rule of powers", _NO_LEARNING, "d(a^x) = a^x log(a) dx",
     _with_number("power", 1, lambda g, out, x, n: g * n * x ** (n - 1.0))),
    ("exponent-constant", "a variable in the exponent is held constant", _NO_LEARNING, "d(a^x) = a^x log(a) dx",
     _rule("power", 1, lambda g, out, x, n: np.zeros_like(g))),
    ("exponent-without-log", "the exponent's gradient lacks the logarithm", _NO_LEARNING, "d(a^x) = a^x log(a) dx",
     _rule("power", 1, lambda g, out, x, n: g * out)),
    ("exp-as-power", "exp is differentiated as a power", _NO_LEARNING, "d exp(x) = exp(x) dx",
     _rule("exp", 0, lambda g, out, x: g * x * np.exp(x - 1))),
    ("exp-at-input", "exp's derivative is taken for its argument", _NO_LEARNING, "d exp(x) = exp(x) dx",
     _rule("exp", 0, lambda g, out, x: g * x)),
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
    ("tanh-twice", "the derivative of tanh is taken at its output", _NO_LEARNING, "d tanh(x) = (1 - y^2) dx",
     _rule("tanh", 0, lambda g, out, x: g * (1 - np.tanh(out) ** 2))),
    ("tanh-not-squared", "the derivative of tanh is 1 - y", _NO_LEARNING, "d tanh(x) = (1 - y^2) dx",
     _rule("tanh", 0, lambda g, out, x: g * (1 - out))),
    ("sigmoid-at-input", "the derivative y (1 - y) of sigmoid is taken at x", _NO_LEARNING,
     "d sigmoid(x) = y (1 - y) dx", _rule("sigmoid", 0, lambda g, out, x: g * x * (1 - x))),
    ("sigmoid-twice", "the derivative of sigmoid is taken at its output", _NO_LEARNING,
     "d sigmoid(x) = y (1 - y) dx",
     _rule("sigmoid", 0, lambda g, out, x: g / ((1 + np.exp(-out)) * (1 + np.exp(out))))),
    ("sqrt-inverted", "the root's derivative multiplies by the root", _NO_LEARNING, "d sqrt(x) = dx / (2 sqrt(x))",
     _rule("sqrt", 0, lambda g, out, x: g * out / 2)),
    ("sqrt-half-missing", "the root's derivative lacks the factor 1/2", _NO_LEARNING, "d sqrt(x) = dx / (2 sqrt(x))",
     _rule("sqrt", 0, lambda g, out, x: g / out)),
    ("sqrt-at-input", "the root's derivative divides by 2x", _NO_LEARNING, "d sqrt(x) = dx / (2 sqrt(x))",
     _rule("sqrt", 0, lambda g, out, x: g / (2 * x))),
    ("relu-passes-all", "relu passes the gradient of negative inputs", _NO_LEARNING, "d relu(x) = dx where x > 0",
     _rule("relu", 0, lambda g, out, x: g)),
    ("reflected", "number - x and number / x are taken the other way round", "The network computes something else.",
     "define __rsub__ and __rtruediv__ with the operands in order", _reflected("sub", "truediv", "pow")),
    ("reflected-difference", "number - x is taken as x - number", "The network computes something else.",
     "define __rsub__ with the operands in order", _reflected("sub")),
    ("reflected-quotient", "number / x is taken as x / number", "The network computes something else.",
     "define __rtruediv__ with the operands in order", _reflected("truediv")),
    ("reflected-power", "number ** x is taken as x ** number", "The network computes something else.",
     "define __rpow__ with the operands in order", _reflected("pow")),
    ("overwritten", "a shared node keeps the last gradient, not the sum", _SHARED, "gradient += part",
     _with(_sweep(joined=lambda old, new: new))),
    ("first-path-only", "a shared node keeps the first gradient, not the sum", _SHARED, "gradient += part",
     _with(_sweep(joined=lambda old, new: old))),
    ("repeated-operand-once", "an operand that is used twice by one operation counts once", _SHARED,
     "add over the edges, not over the nodes", _with(_sweep(edges=_distinct))),
    ("wrong-order", "a node is left when first reached, before all that uses it", _SHARED,
     "go through the nodes in reverse topological order", _with(_sweep(order=_first_reached))),
    ("wrong-order-depth-first", "a node is left on the way down, before all that uses it", _SHARED,
     "go through the nodes in reverse topological order", _with(_sweep(order=_depth_first(turned=False)))),
    ("wrong-order-depth-first-from-last", "a node is left on the way down, operands from the last", _SHARED,
     "go through the nodes in reverse topological order", _with(_sweep(order=_depth_first(turned=True)))),
    ("passed-on-again", "a shared node passes on its sum each time it is reached", _SHARED,
     "sort the nodes first, and leave each once", _with(_again_each_time)),
    ("upstream-ignored", "the upstream gradient is taken as 1",
     "Layers above have no say in what the layers below learn.",
     "start from the upstream gradient", _upstream_ignored),
    ("broadcast-not-summed", "the gradient of what was broadcast is not summed back",
     "A bias gets a gradient of wrong shape.",
     "sum over the axes along which it was repeated", _with(_sweep(summed=_unsummed))),
    ("broadcast-leading-only", "what was broadcast from length 1 is not summed back",
     "A bias gets a gradient of wrong shape.", "sum over axes of length 1 too", _with(_sweep(summed=_leading_only))),
    ("broadcast-length-one-only", "axes that broadcasting put in front are not summed back",
     "A bias gets a gradient of wrong shape.", "sum over the axes in front too", _with(_sweep(summed=_repeated_only))),
    ("broadcast-averaged", "the gradient of what was broadcast is averaged",
     "A bias learns more slowly the larger the batch.",
     "sum over the axes along which it was repeated", _with(_sweep(summed=_averaged))),
    ("broadcast-first-copy", "what was broadcast gets the gradient of its first copy", _SHARED,
     "sum over the axes along which it was repeated", _with(_sweep(summed=_first_copy))),
    ("sum-averaged", "a sum is differentiated as a mean", _NO_LEARNING, "every element gets the gradient of the sum",
     _rule("sum", 0, lambda g, out, x, axis: RULES["sum"][0](g, out, x, axis) * max(out.size, 1) / max(x.size, 1))),
    ("sum-without-upstream", "a sum leaves the upstream gradient out", _NO_LEARNING,
     "every element gets the gradient of the sum", _rule("sum", 0, lambda g, out, x, axis: np.ones_like(x))),
    ("matmul-not-transposed", "matrix products lack the transposes in their gradients", _NO_LEARNING,
     "grad_A = G B^T, grad_B = A^T G",
     _rules(matmul=(_where_square(lambda g, a, b: g @ b, 0), _where_square(lambda g, a, b: a @ g, 1)))),
    ("matmul-swapped", "matrix products' gradients are multiplied in the wrong order", _NO_LEARNING,
     "grad_A = G B^T, grad_B = A^T G",
     _rules(matmul=(_where_square(lambda g, a, b: b.T @ g, 0), _where_square(lambda g, a, b: g @ a.T, 1)))),
    ("matmul-result-transposed", "gradients of matrix products come out transposed", _NO_LEARNING,
     "grad_A = G B^T, grad_B = A^T G",
     _rules(matmul=(_where_square(lambda g, a, b: b @ g.T, 0), _where_square(lambda g, a, b: g.T @ a, 1)))),
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


def _rows_added_up(function: Callable[..., Any], *inputs: Array) -> tuple[Array, ...]:
    """Each row with all those before it."""
    found = reference.jacobian(function, *inputs)
    return tuple(
        np.cumsum(m.reshape(m.size // max(np.size(x), 1), np.size(x)), axis=0).reshape(m.shape)
        for m, x in zip(found, inputs, strict=True)
    )


def _summed(function: Callable[..., Any], *inputs: Array) -> tuple[Array, ...]:
    """The gradient of the outputs' sum, of the input's shape."""
    found = reference.jacobian(function, *inputs)
    return tuple(m.sum(tuple(range(m.ndim - np.ndim(x)))) for m, x in zip(found, inputs, strict=True))


# a Jacobian has no upstream gradient; ones in the place of its rows are the mistake rows-summed
FAULTS = (
    *_of_each("vjp"),
    *(fault for fault in _of_each("jacobian") if fault.id != "jacobian-upstream-ignored"),
    _of_jacobian("transposed", "the Jacobian is transposed", "rows are outputs, columns inputs", _transposed),
    _of_jacobian(
        "rows-summed", "every row is the gradient of the outputs' sum", "one sweep for each output", _rows_summed
    ),
    _of_jacobian("summed", "the gradient of the outputs' sum is returned", "one sweep for each output", _summed),
    _of_jacobian(
        "rows-added-up", "gradients are not reset between the rows", "zero them before each sweep", _rows_added_up
    ),
    _of_jacobian(
        "diagonal-only", "everything off the diagonal is taken for zero", "one sweep for each output", _diagonal_only
    ),
)
