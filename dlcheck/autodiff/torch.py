"""A computational graph over PyTorch tensors, for any device and floating-point dtype: a reverse mode of our own.

torch's autograd plays no part: expressions record themselves in nodes, and one sweep from the output back gives the
gradients of all inputs.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Values = Float[Tensor, "..."]
Rule = Callable[..., Tensor]
"""(upstream gradient, the operation's value, its operands' values) -> the gradient of one operand."""


# --- operations ------------------------------------------------------------------------------------------------------


def _matmul_left(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    if b.ndim == 1:
        return g.unsqueeze(-1) * b
    return b @ g if a.ndim == 1 and b.ndim == 2 else (g.unsqueeze(-2) @ b.mT).squeeze(-2) if a.ndim == 1 else g @ b.mT


def _matmul_right(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    if a.ndim == 1:
        return g * a if b.ndim == 1 else a.unsqueeze(-1) * g.unsqueeze(-2)
    return (a.mT @ g.unsqueeze(-1)).squeeze(-1) if b.ndim == 1 else a.mT @ g


def _spread(g: Tensor, out: Tensor, x: Tensor, dim: int | None) -> Tensor:
    return (g if dim is None else g.unsqueeze(dim)).expand(x.shape)


def _power_base(g: Tensor, out: Tensor, x: Tensor, n: Tensor) -> Tensor:
    # x^0 is constant, at 0 too, where 0 * 0^-1 would be NaN
    return g * torch.where(n == 0, torch.zeros_like(out), n * x ** torch.where(n == 0, torch.ones_like(n), n - 1))


_OPERATIONS: Mapping[str, tuple[Callable[..., Any], tuple[Rule, ...]]] = {
    "add": (operator.add, (lambda g, out, a, b: g, lambda g, out, a, b: g)),
    "subtract": (operator.sub, (lambda g, out, a, b: g, lambda g, out, a, b: -g)),
    "multiply": (operator.mul, (lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)),
    "divide": (operator.truediv, (lambda g, out, a, b: g / b, lambda g, out, a, b: -g * out / b)),
    "power": (operator.pow, (_power_base, lambda g, out, x, n: g * out * torch.log(x))),
    "negative": (operator.neg, (lambda g, out, x: -g,)),
    "exp": (torch.exp, (lambda g, out, x: g * out,)),
    "log": (torch.log, (lambda g, out, x: g / x,)),
    "sin": (torch.sin, (lambda g, out, x: g * torch.cos(x),)),
    "cos": (torch.cos, (lambda g, out, x: -g * torch.sin(x),)),
    "tanh": (torch.tanh, (lambda g, out, x: g * (1 - out * out),)),
    "sqrt": (torch.sqrt, (lambda g, out, x: g / (2 * out),)),
    "sigmoid": (torch.sigmoid, (lambda g, out, x: g * out * (1 - out),)),
    "relu": (torch.relu, (lambda g, out, x: torch.where(x > 0, g, 0.0),)),
    "matmul": (operator.matmul, (_matmul_left, _matmul_right)),
    "sum": (lambda x, dim: x.sum() if dim is None else x.sum(dim), (_spread,)),
    "transpose": (lambda x: x.mT, (lambda g, out, x: g.mT,)),
}
"""The value of each operation, and the local derivative on the edge to each operand times the upstream gradient."""


# --- the graph -------------------------------------------------------------------------------------------------------


class Node:
    """A tensor in a graph: a leaf, or an operation on other nodes; operators and methods record themselves."""

    __slots__ = ("constant", "fixed", "operands", "rules", "value")

    def __init__(self, value: Tensor, constant: bool = False):
        self.value, self.constant = value, constant
        self.operands: tuple[Node, ...] = ()
        self.rules: tuple[Rule, ...] = ()
        self.fixed: tuple[Any, ...] = ()

    @classmethod
    def of(cls, operation: str, *operands: Any, fixed: tuple[Any, ...] = ()) -> "Node":
        """The node of an operation; operands that are no nodes are constants."""
        like = next(given.value for given in operands if isinstance(given, Node))
        nodes = tuple(given if isinstance(given, Node) else cls(_tensor(given, like), True) for given in operands)
        function, rules = _OPERATIONS[operation]
        made = cls(function(*(node.value for node in nodes), *fixed), all(node.constant for node in nodes))
        made.operands, made.rules, made.fixed = nodes, rules, fixed
        return made

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
        """The transpose of a matrix."""
        return self.of("transpose", self)


def _tensor(given: Any, like: Tensor) -> Tensor:
    """A constant: a tensor as it is, a number in the dtype and on the device of what it meets."""
    return given if isinstance(given, Tensor) else torch.as_tensor(given, dtype=like.dtype, device=like.device)


def _ordered(output: Node) -> list[Node]:
    """All nodes that an output depends on, operands before what uses them; without recursion, in linear time."""
    order, seen, stack = [], {output}, [(output, iter(output.operands))]
    while stack:
        node, operands = stack[-1]
        following = next((operand for operand in operands if operand not in seen), None)
        if following is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(following.operands)))
    return order


def _swept(output: Node, cotangent: Tensor) -> dict[Node, Tensor]:
    """Gradients of all nodes by one sweep back: a node's is the sum over the edges that leave it."""
    gradients = {output: cotangent}
    for node in reversed(_ordered(output)):
        gradient = gradients.get(node)
        if gradient is None or not node.operands:
            continue
        values = [operand.value for operand in node.operands]
        for operand, rule in zip(node.operands, node.rules, strict=True):
            if not operand.constant:
                part = rule(gradient, node.value, *values, *node.fixed).sum_to_size(operand.value.shape)
                gradients[operand] = gradients[operand] + part if operand in gradients else part
    return gradients


# --- differentiation -------------------------------------------------------------------------------------------------


def _leaves(function: Any, inputs: tuple[Any, ...]) -> list[Node]:
    if not callable(function):
        raise TypeError(f"function was a {type(function).__name__}, expected a callable")
    for place, given in enumerate(inputs):
        if not isinstance(given, Tensor):
            raise TypeError(f"input {place} was a {type(given).__name__}, expected a torch.Tensor")
        if not given.is_floating_point():
            raise TypeError(f"input {place} holds {str(given.dtype).removeprefix('torch.')}, expected real numbers")
    return [Node(given.detach()) for given in inputs]


def vjp(function: Callable[..., Any], *inputs: Values) -> tuple[Values, Callable[[Tensor], tuple[Tensor, ...]]]:
    r"""The value of a function, and the map from an upstream gradient to those of its inputs, $v \mapsto v^T J$.

    Shapes: the upstream gradient as the output, the result's as the inputs.
    Raises: TypeError, or ValueError if the upstream gradient has not the output's shape.
    Source: notes 001, section 2; Griewank, Walther, Evaluating derivatives (2008), section 3.2.
    """
    leaves = _leaves(function, inputs)
    found = function(*leaves)
    output = found if isinstance(found, Node) else Node(_tensor(found, inputs[0]), True)

    def pullback(cotangent: Tensor) -> tuple[Tensor, ...]:
        if cotangent.shape != output.value.shape:
            shapes = f"{tuple(cotangent.shape)}, expected {tuple(output.value.shape)}"
            raise ValueError(f"cotangent has shape {shapes}, that of the output")
        gradients = {} if output.constant else _swept(output, cotangent.detach())
        none = (torch.zeros_like(leaf.value) for leaf in leaves)
        return tuple(
            gradients[leaf].clone() if leaf in gradients else zero for leaf, zero in zip(leaves, none, strict=True)
        )

    return output.value.clone(), pullback


def jacobian(function: Callable[..., Any], *inputs: Values) -> tuple[Values, ...]:
    r"""The derivative of every output element by every input element, $J_{ij} = \partial y_i / \partial x_j$.

    Shapes: for each input the output's shape followed by the input's.
    Raises: TypeError as ``vjp``.
    Source: notes 001, section 2, derivative of a vector by a vector.
    """
    output, pullback = vjp(function, *inputs)
    size = math.prod(output.shape)
    rows = [pullback(row.reshape(output.shape)) for row in torch.eye(size, dtype=output.dtype, device=output.device)]
    return tuple(
        torch.stack([row[place] for row in rows]).reshape((*output.shape, *given.shape))
        if rows
        else given.new_zeros((*output.shape, *given.shape))
        for place, given in enumerate(inputs)
    )
