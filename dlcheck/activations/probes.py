"""What the claims about activations do: tie code to a formula, search, and compute what is compared."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from numpy.typing import NDArray
from scipy.special import expit, softmax

from dlcheck.evidence import numerics, seeds
from dlcheck.evidence.experiment import bundled
from dlcheck.judgement import Figure

Array = NDArray[np.float64]

OPERATIONS = 8
"""Roundings that a value compared here passes through."""
POINTS = np.random.default_rng(0).normal(scale=3.0, size=256)
"""Where an implementation is tied to a proved formula."""
GRID = np.linspace(-6.0, 6.0, 61)
EXAMPLES = 200
"""Cases of a search."""


def agrees(actual: Array, expected: Array) -> bool:
    """Whether values are as expected, within a few roundings of each."""
    return bool(np.all(np.abs(actual - expected) <= numerics.roundings(expected, "float64", OPERATIONS)))


def slope_follows(implementation: Any, value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> bool:
    """Whether the gradient is a function of the value, within what rounding of the value may do to it."""
    allowed = numerics.allowance(
        lambda inputs, _: {"slope": slope(inputs["value"])}, {"value": value(POINTS)}, {}, "float64", OPERATIONS
    )["slope"]
    actual = implementation.backward(np.ones_like(POINTS), POINTS)["x"]
    return bool(np.all(np.abs(actual - slope(value(POINTS))) <= allowed))


def jacobian(implementation: Any, logits: Array, **settings: Any) -> Array:
    """Row i is the gradient of output i."""
    return implementation.backward(np.eye(len(logits)), np.tile(logits, (len(logits), 1)), **settings)["x"]


def is_diagonal(matrix: Array) -> bool:
    """Whether every entry off the diagonal is exactly zero."""
    return bool(np.all(matrix[~np.eye(len(matrix), dtype=bool)] == 0))


def curves(title: str, y_label: str, functions: Mapping[str, Callable[[Array], Array]], x_label: str = "x") -> Figure:
    """A figure of elementwise functions over one grid."""
    series = {name: (GRID.tolist(), np.asarray(function(GRID)).tolist()) for name, function in functions.items()}
    return Figure(title, x_label, y_label, series)


def search(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool]) -> Any | None:
    """The smallest generated case that meets a condition, or None."""
    limits = settings(max_examples=EXAMPLES, database=None, deadline=None)
    try:
        return find(strategy, condition, settings=limits, random=Random(seeds.RUN))
    except NoSuchExample:
        return None


def network_of_squares(x: Array, layers: int) -> Array:
    """A network of squares for |x|: p <- p + (x^2 - p^2)/2, from p = 0."""
    p = np.zeros_like(x)
    for _ in range(layers):
        p = p + (x**2 - p**2) / 2
    return p


def chain_gradient(value: Callable[[Array], Array], slope: Callable[[Array], Array], depth: int) -> list[float]:
    """Gradient of a composition of activations, from x = 1/2, after 0 to ``depth`` of them."""
    x, gradients = np.array(0.5), [1.0]
    for _ in range(depth):
        x = value(x)
        gradients.append(float(gradients[-1] * slope(x)))
    return gradients


def finite_numbers(dtype: str) -> Array:
    """Every finite number of a 16-bit format in order; of float32 those of bfloat16 and 65536 around each edge."""
    bits = np.arange(2**16, dtype=np.uint32)
    if dtype == "float16":
        found = bits.astype(np.uint16).view(np.float16)
    elif dtype == "bfloat16":
        found = (bits << 16).view(np.float32)
    else:
        edges = np.array([*open_range(dtype), -np.log(numerics.unit_roundoff(dtype) / 2)], np.float32).view(np.uint32)
        around = edges[:, None] + bits - np.uint32(2**15)
        found = np.concatenate([(bits << 16).view(np.float32), around.ravel().view(np.float32)])
    return np.unique(found[np.isfinite(found)].astype(np.float64))


def open_range(dtype: str) -> tuple[float, float]:
    """Between ln q and p ln 2 the sigmoid lies between the smallest normal q and the largest number below 1."""
    return float(np.log(numerics.smallest_normal(dtype))), float(-np.log(numerics.unit_roundoff(dtype)))


def fisher_condition(outputs: Array) -> float:
    """Condition number of the Fisher information of y = w h + b + N(0, 1) over the given values of h."""
    h = np.column_stack([outputs, np.ones(len(outputs))])
    smallest, largest = np.linalg.eigvalsh(h.T @ h / len(h))
    return float(largest / max(smallest, numerics.smallest_normal("float64")))


def tanh_is_nearer(z: Sequence[float]) -> bool:
    """Whether tanh has the smaller condition number, over given pre-activations."""
    values = np.array(z, np.float64)
    return fisher_condition(np.tanh(values)) < fisher_condition(expit(values))


def dead_layer(case: tuple[int, int, int]) -> tuple[Array, Array]:
    """Inputs of n examples and a unit's weights, bias last, with every pre-activation negative."""
    n, d, seed = case
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    return np.column_stack([x, np.ones(n)]), np.append(w, -np.max(x @ w) - rng.exponential())


def moves(implementation: Any, case: tuple[int, int, int]) -> bool:
    """Whether a step of gradient descent changes the dead unit in any bit."""
    x, w = dead_layer(case)
    upstream = np.random.default_rng(case[-1] + 1).standard_normal(len(x)) * numerics.largest("float32")
    gradient = x.T @ implementation.backward(upstream, x @ w)["x"]
    return not np.array_equal(w - gradient, w)


def layer_below_learns(implementation: Any) -> tuple[float, float]:
    """Pre-activation 1 - 2h of a unit beside a living one, h = a, before and after a step on (relu(1 - 2h) + h)^2/2."""
    a, rate = np.ones(1), 0.625
    error = implementation.forward(1 - 2 * a) + a
    step = error - 2 * implementation.backward(error, 1 - 2 * a)["x"]
    return float(1 - 2 * a[0]), float(1 - 2 * (a - rate * step)[0])


def dead_shares(implementation: Any, rate: float, steps: int = 60, hidden: int = 64) -> list[float]:
    """The share of hidden units that are negative on all handwritten digits, at every step of descent on the loss."""
    data, labels, classes = bundled("digits")
    rng = seeds.generator(37)
    x, target = data / 16.0, np.eye(classes)[labels]
    first = rng.normal(scale=np.sqrt(2 / x.shape[1]), size=(x.shape[1], hidden))
    last = rng.normal(scale=np.sqrt(1 / hidden), size=(hidden, classes))
    bias, shares = np.zeros(hidden), []
    for _ in range(steps):
        z = x @ first + bias
        shares.append(float(np.all(z < 0, axis=0).mean()))
        h = implementation.forward(z)
        error = (softmax(h @ last, axis=1) - target) / len(x)
        back = implementation.backward(error @ last.T, z)["x"]
        first, bias, last = first - rate * x.T @ back, bias - rate * back.sum(0), last - rate * h.T @ error
    return shares
