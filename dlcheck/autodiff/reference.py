"""A computational graph in NumPy: expressions record themselves, and are differentiated along their edges.

Draw the graph, work the nodes out forwards, write the local derivative on every edge, multiply along each path and add
over the paths (notes 001, section 2). The reverse mode does that in one sweep over the edges, however many the paths.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

Array = Float[np.ndarray, "*shape"]
Rule = Callable[..., np.ndarray]
"""(upstream gradient, the operation's value, its operands' values) -> the gradient of one operand."""


# --- operations ------------------------------------------------------------------------------------------------------


def summed_to(gradient: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of what was broadcast from a shape: summed over the axes along which it was repeated."""
    gradient = np.asarray(gradient)
    ahead = gradient.ndim - len(shape)
    repeated = tuple(ahead + axis for axis, length in enumerate(shape) if length == 1)
    return np.reshape(np.asarray(gradient.sum((*range(ahead), *repeated), keepdims=True)), shape)


def _matrices(g: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as matrices: a vector is a row on the left of a product, a column on its right."""
    g = g[..., None] if b.ndim == 1 else g
    g = g[..., None, :] if a.ndim == 1 else g
    return g, a[None, :] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b


def _matmul_left(g: np.ndarray, out: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    wide, _, right = _matrices(g, a, b)
    found = wide @ np.swapaxes(right, -1, -2)
    return found[..., 0, :] if a.ndim == 1 else found


def _matmul_right(g: np.ndarray, out: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    wide, left, _ = _matrices(g, a, b)
    found = np.swapaxes(left, -1, -2) @ wide
    return found[..., 0] if b.ndim == 1 else found


def _sum_over(x: np.ndarray, axis: int | None) -> np.ndarray:
    return np.asarray(x.sum(None if axis is None else int(axis)))


def _spread(g: np.ndarray, out: np.ndarray, x: np.ndarray, axis: int | None) -> np.ndarray:
    return np.broadcast_to(g if axis is None else np.expand_dims(g, int(axis)), x.shape)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1.0) / (1 + decay)


def _power_base(g: np.ndarray, out: np.ndarray, x: np.ndarray, n: np.ndarray) -> np.ndarray:
    # x^0 is constant, at 0 too, where 0 * 0^-1 would be NaN
    return g * np.where(n == 0, 0.0, n * x ** np.where(n == 0, 1.0, n - 1))


FORWARD: Mapping[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "negative": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "sigmoid": _sigmoid,
    "relu": lambda x: np.maximum(x, 0.0),
    "matmul": np.matmul,
    "sum": _sum_over,
    "transpose": np.transpose,
}
"""The value of each operation."""

RULES: Mapping[str, tuple[Rule, ...]] = {
    "add": (lambda g, out, a, b: g, lambda g, out, a, b: g),
    "subtract": (lambda g, out, a, b: g, lambda g, out, a, b: -g),
    "multiply": (lambda g, out, a, b: g * b, lambda g, out, a, b: g * a),
    "divide": (lambda g, out, a, b: g / b, lambda g, out, a, b: -g * a / b**2),
    "power": (_power_base, lambda g, out, x, n: g * out * np.log(x)),
    "negative": (lambda g, out, x: -g,),
    "exp": (lambda g, out, x: g * out,),
    "log": (lambda g, out, x: g / x,),
    "sin": (lambda g, out, x: g * np.cos(x),),
    "cos": (lambda g, out, x: -g * np.sin(x),),
    "tanh": (lambda g, out, x: g * (1 - out**2),),
    "sqrt": (lambda g, out, x: g / (2 * out),),
    "sigmoid": (lambda g, out, x: g * out * (1 - out),),
    "relu": (lambda g, out, x: np.where(x > 0, g, 0.0),),
    "matmul": (_matmul_left, _matmul_right),
    "sum": (_spread,),
    "transpose": (lambda g, out, x: g.T,),
}
"""The local derivative on the edge to each operand, as a product with the upstream gradient."""


# --- the graph -------------------------------------------------------------------------------------------------------


class Node:
    """A value in a graph: a leaf, or an operation on other nodes; operators and methods record themselves.

    ``operands`` are the nodes that it was computed from, ``fixed`` further arguments of the operation (the axis of a
    sum); a ``constant`` has no gradient.
    """

    __slots__ = ("constant", "fixed", "name", "operands", "operation", "value")
    __array_ufunc__ = None
    """NumPy arrays leave operators to us: array + node is a node."""

    def __init__(self, value: Any, name: str = "", *, constant: bool = False):
        self.value = np.asarray(value, np.float64)
        self.name, self.constant = name, constant
        self.operation = ""
        self.operands: tuple[Node, ...] = ()
        self.fixed: tuple[Any, ...] = ()

    @classmethod
    def of(cls, operation: str, *operands: Any, fixed: tuple[Any, ...] = ()) -> "Node":
        """The node of an operation; operands that are no nodes are constants."""
        nodes = tuple(given if isinstance(given, Node) else cls(given, constant=True) for given in operands)
        made = cls(FORWARD[operation](*(node.value for node in nodes), *fixed), operation)
        made.operation, made.operands, made.fixed = operation, nodes, fixed
        made.constant = all(node.constant for node in nodes)
        return made

    def __repr__(self) -> str:
        return f"Node({self.name or 'leaf'}, {self.value})"

    def __add__(self, other: Any) -> "Node":
        return self.of("add", self, other)

    def __radd__(self, other: Any) -> "Node":
        return self.of("add", other, self)

    def __sub__(self, other: Any) -> "Node":
        return self.of("subtract", self, other)

    def __rsub__(self, other: Any) -> "Node":
        return self.of("subtract", other, self)

    def __mul__(self, other: Any) -> "Node":
        return self.of("multiply", self, other)

    def __rmul__(self, other: Any) -> "Node":
        return self.of("multiply", other, self)

    def __truediv__(self, other: Any) -> "Node":
        return self.of("divide", self, other)

    def __rtruediv__(self, other: Any) -> "Node":
        return self.of("divide", other, self)

    def __pow__(self, other: Any) -> "Node":
        return self.of("power", self, other)

    def __rpow__(self, other: Any) -> "Node":
        return self.of("power", other, self)

    def __matmul__(self, other: Any) -> "Node":
        return self.of("matmul", self, other)

    def __rmatmul__(self, other: Any) -> "Node":
        return self.of("matmul", other, self)

    def __neg__(self) -> "Node":
        return self.of("negative", self)

    def exp(self) -> "Node":
        """e to the power of each element."""
        return self.of("exp", self)

    def log(self) -> "Node":
        """Natural logarithm of each element."""
        return self.of("log", self)

    def sin(self) -> "Node":
        """Sine of each element."""
        return self.of("sin", self)

    def cos(self) -> "Node":
        """Cosine of each element."""
        return self.of("cos", self)

    def tanh(self) -> "Node":
        """Hyperbolic tangent of each element."""
        return self.of("tanh", self)

    def sqrt(self) -> "Node":
        """Square root of each element."""
        return self.of("sqrt", self)

    def sigmoid(self) -> "Node":
        """Logistic function of each element."""
        return self.of("sigmoid", self)

    def relu(self) -> "Node":
        """The larger of each element and 0; its derivative at 0 is 0."""
        return self.of("relu", self)

    def sum(self, dim: int | None = None) -> "Node":
        """Sum of all elements, or along an axis."""
        return self.of("sum", self, fixed=(dim,))

    @property
    def T(self) -> "Node":
        """The transpose."""
        return self.of("transpose", self)


@dataclass(frozen=True, slots=True)
class Edge:
    """From an operand to the operation that uses it; ``place`` says as which of its operands."""

    start: Node
    end: Node
    place: int

    def pulled_back(self, gradient: np.ndarray, rules: Mapping[str, tuple[Rule, ...]] = RULES) -> np.ndarray:
        """The gradient of the operand, from that of the operation: the local derivative times it."""
        rule = rules[self.end.operation][self.place]
        values = (operand.value for operand in self.end.operands)
        return summed_to(rule(gradient, self.end.value, *values, *self.end.fixed), self.start.value.shape)


def incoming(node: Node) -> list[Edge]:
    """The edges from a node's operands, constants left out."""
    return [Edge(operand, node, place) for place, operand in enumerate(node.operands) if not operand.constant]


def ordered(output: Node) -> list[Node]:
    """All nodes that an output depends on, operands before what uses them; without recursion, in linear time."""
    order, seen, stack = [], {id(output)}, [(output, iter(output.operands))]
    while stack:
        node, operands = stack[-1]
        following = next((operand for operand in operands if id(operand) not in seen), None)
        if following is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(id(following))
            stack.append((following, iter(following.operands)))
    return order


# --- differentiation -------------------------------------------------------------------------------------------------


def reverse(output: Node, cotangent: np.ndarray) -> dict[int, np.ndarray]:
    r"""Gradients of all nodes by one sweep from the output back: a node's is the sum over the edges that leave it.

    $\bar u = \sum_{(u, v)} \bar v \, \partial v / \partial u$

    Each edge is used once: the time is linear in their number. Keys are the nodes' ``id``.
    Source: Linnainmaa, The representation of the cumulative rounding error (1970); notes 001, section 2.
    """
    gradients = {id(output): np.asarray(cotangent)}
    for node in reversed(ordered(output)):
        for edge in incoming(node) if id(node) in gradients else ():
            part, key = edge.pulled_back(gradients[id(node)]), id(edge.start)
            gradients[key] = np.asarray(gradients[key] + part) if key in gradients else part
    return gradients


def paths(output: Node, leaf: Node) -> Iterator[tuple[Edge, ...]]:
    """Every path from the output back to a leaf, as its edges; there may be exponentially many."""
    stack: list[tuple[Node, tuple[Edge, ...]]] = [(output, ())]
    while stack:
        node, behind = stack.pop()
        if node is leaf:
            yield behind
        stack += [(edge.start, (*behind, edge)) for edge in reversed(incoming(node))]


def path_count(output: Node, leaf: Node) -> int:
    """How many paths there are, counted node by node in linear time."""
    counts: Counter[int] = Counter({id(output): 1})
    for node in reversed(ordered(output)):
        for edge in incoming(node):
            counts[id(edge.start)] += counts[id(node)]
    return counts[id(leaf)]


def gradient_by_paths(output: Node, leaf: Node, cotangent: Any = 1.0) -> Array:
    r"""The gradient of a leaf as the notes teach it: multiply along each path, add over the paths.

    $\bar u = \sum_{\text{paths}} \bar y \prod_{(a, b)} \partial b / \partial a$; for small graphs.

    Shapes: cotangent as the output, the result as the leaf.
    Source: notes 001, section 2.
    """
    total = np.zeros_like(leaf.value)
    for path in paths(output, leaf):
        gradient = np.broadcast_to(np.asarray(cotangent, np.float64), output.value.shape)
        for edge in path:
            gradient = edge.pulled_back(gradient)
        total = total + gradient
    return total


Sweep = Callable[[Node, np.ndarray], dict[int, np.ndarray]]


def traced(function: Callable[..., Any], *inputs: Any, node: type[Node] = Node) -> tuple[Node, list[Node]]:
    """The graph of a function at given inputs: its output and its leaves.

    Raises: TypeError if function cannot be called or an input holds no real numbers.
    """
    if not callable(function):
        raise TypeError(f"function was a {type(function).__name__}, expected a callable")
    for place, given in enumerate(inputs):
        if np.asarray(given).dtype.kind not in "fiu":
            raise TypeError(f"input {place} holds {np.asarray(given).dtype}, expected real numbers")
    leaves = [node(given, f"x{place}") for place, given in enumerate(inputs)]
    output = function(*leaves)
    return output if isinstance(output, Node) else node(output, constant=True), leaves


def vjp(
    function: Callable[..., Any], *inputs: Any, sweep: Sweep = reverse, node: type[Node] = Node
) -> tuple[Array, Callable[[Any], tuple[Array, ...]]]:
    r"""The value of a function, and the map from an upstream gradient to those of its inputs, $v \mapsto v^T J$.

    Shapes: the upstream gradient as the output, the result's as the inputs.
    Raises: TypeError, or ValueError if the upstream gradient has not the output's shape.
    Source: notes 001, section 2; Griewank, Walther, Evaluating derivatives (2008), section 3.2.
    """
    output, leaves = traced(function, *inputs, node=node)

    def pullback(cotangent: Any) -> tuple[Array, ...]:
        given = np.asarray(cotangent, np.float64)
        if given.shape != output.value.shape:
            raise ValueError(f"cotangent has shape {given.shape}, expected {output.value.shape}, that of the output")
        gradients = {} if output.constant else sweep(output, given)
        return tuple(np.array(gradients.get(id(leaf), np.zeros_like(leaf.value))) for leaf in leaves)

    return output.value.copy(), pullback


def jacobian(
    function: Callable[..., Any], *inputs: Any, sweep: Sweep = reverse, node: type[Node] = Node
) -> tuple[Array, ...]:
    r"""The derivative of every output element by every input element, $J_{ij} = \partial y_i / \partial x_j$.

    Shapes: for each input the output's shape followed by the input's.
    Raises: TypeError as ``vjp``.
    Source: notes 001, section 2, derivative of a vector by a vector.
    """
    output, pullback = vjp(function, *inputs, sweep=sweep, node=node)
    rows = [pullback(row.reshape(output.shape)) for row in np.eye(output.size)]
    if not rows:
        return tuple(np.zeros((*output.shape, *np.shape(given))) for given in inputs)
    stacked = (np.array(gradients) for gradients in zip(*rows, strict=True))
    return tuple(matrix.reshape((*output.shape, *matrix.shape[1:])) for matrix in stacked)
