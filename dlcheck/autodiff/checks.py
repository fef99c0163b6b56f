"""What every differentiation must satisfy: programs that tell mistakes in rules, order and sums apart."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS

Array = NDArray[np.float64]
Program = tuple[tuple[Any, ...], ...]
Row = tuple[Any, ...]

A, B = np.array(2.0), np.array(-1.5)
ROW, COLUMN = np.array([0.5, -2.0, 1.25]), np.array([[1.5], [-0.75]])
LEFT = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
RIGHT = np.array([[1.0, -0.5], [0.75, 2.0], [-1.25, 0.5]])
POSITIVE = np.array([0.5, 1.25, 3.0])

SUM_PRODUCT: Program = (("add", 0, 1), ("number", 1.0), ("add", 1, 3), ("multiply", 2, 4))
"""e = (a + b)(b + 1), as the notes draw it."""
SHARED_VARIABLE: Program = (("multiply", 0, 0), ("exp", 1), ("multiply", 0, 2))
"""y = x exp(x^2) with x used three times."""

_BINARY = ("add", "subtract", "multiply", "divide")
_UNARY = ("exp", "sin", "cos", "tanh", "sigmoid", "negative")


def _upstream(shape: tuple[int, ...]) -> Array:
    return (0.5 + 0.25 * np.arange(np.prod(shape, dtype=int)).reshape(shape)) * -1.5


def _case(run: str, program: Program, *x: Array, shape: tuple[int, ...] = (), **more: Any) -> Case:
    """A program at inputs; ``shape`` is its output's."""
    inputs: dict[str, Any] = {"program": program, "x": list(x)}
    return Case(run, inputs | ({"cotangent": _upstream(shape)} if run == "vjp" else {}), **more)


def _operations(run: str) -> Iterator[Row]:
    both = tuple(_case(run, ((name, 0, 1),), ROW, ROW[::-1] + 0.25, shape=(3,)) for name in _BINARY)
    yield "arithmetic", "sums, differences, products and quotients have their derivatives", both
    backwards = (
        (("number", 3.0), ("subtract", 1, 0)),
        (("number", 3.0), ("divide", 1, 0)),
        (("number", 3.0), ("multiply", 0, 1)),
    )
    yield (
        "numbers",
        "numbers in an expression are constants, on either side",
        tuple(_case(run, program, ROW, shape=(3,)) for program in backwards),
    )
    yield (
        "functions",
        "elementwise functions have their derivatives",
        (
            *(_case(run, ((name, 0),), ROW, shape=(3,)) for name in _UNARY),
            *(_case(run, ((name, 0),), POSITIVE, shape=(3,)) for name in ("log", "sqrt")),
            _case(run, (("relu", 0),), ROW, shape=(3,)),
        ),
    )
    powers = [(("number", n), ("power", 0, 1)) for n in (3.0, 2.0, -1.0, 0.5, 1.0, 0.0)]
    yield (
        "powers",
        "powers with a number or a variable in the exponent",
        (
            *(_case(run, program, POSITIVE, shape=(3,)) for program in powers),
            _case(run, powers[0], ROW, shape=(3,)),
            *(_case(run, (("number", n), ("power", 0, 1)), np.array([0.0, 1.5, -0.5]), shape=(3,)) for n in (2.0, 1.0)),
            _case(run, (("number", 2.5), ("power", 1, 0)), ROW, shape=(3,), refusable=True),
            _case(run, (("power", 0, 1),), POSITIVE, ROW, shape=(3,), refusable=True),
        ),
    )


def _paths(run: str) -> Iterator[Row]:
    yield (
        "chain",
        "along a chain derivatives are multiplied, each at its own node's value",
        (
            _case(run, (("sin", 0), ("exp", 1), ("tanh", 2)), A),
            _case(run, (("tanh", 0), ("exp", 1), ("sin", 2), ("exp", 3)), ROW, shape=(3,)),
        ),
    )
    yield (
        "shared",
        "over the paths of what is used more than once they are added",
        (
            _case(run, SUM_PRODUCT, A, B),
            _case(run, SHARED_VARIABLE, np.array(0.75)),
            _case(run, (("add", 0, 0),), ROW, shape=(3,)),
            _case(run, (("multiply", 0, 0), ("multiply", 1, 1), ("multiply", 2, 1)), ROW, shape=(3,)),
        ),
    )
    uneven: Program = (("exp", 0), ("sin", 1), ("tanh", 2), ("multiply", 3, 1), ("add", 4, 1), ("multiply", 5, 0))
    long: Program = (("sin", 0), ("multiply", 1, 0), ("exp", 2), ("add", 3, 1), ("multiply", 4, 2), ("subtract", 5, 0))
    yield (
        "order",
        "a node is left only when all that uses it is done, be the paths of different length",
        (
            _case(run, uneven, np.array(0.5)),
            _case(run, long, np.array(0.75)),
            _case(run, (("exp", 0), ("add", 0, 1), ("multiply", 2, 1), ("add", 3, 2)), B),
        ),
    )
    yield (
        "unused",
        "an input that is not used has gradient zero",
        (
            _case(run, (("multiply", 0, 0),), A, B),
            _case(run, (("exp", 1), ("sin", 0), ("tanh", 1)), ROW, ROW[::-1], shape=(3,)),
        ),
    )
    yield "identity", "an input that is the output has the upstream gradient", (_case(run, (), ROW, shape=(3,)),)


def _arrays(run: str) -> Iterator[Row]:
    wide = (2, 3)
    yield (
        "broadcasting",
        "what was broadcast gets the sum of the gradients of its copies",
        (
            *(_case(run, ((name, 0, 1),), COLUMN, ROW, shape=wide) for name in _BINARY),
            _case(run, (("multiply", 0, 1),), A, LEFT, shape=wide),
            _case(run, (("add", 0, 1),), LEFT, ROW, shape=wide),
            _case(run, (("divide", 0, 1), ("sum", 2, None)), LEFT, A),
            _case(run, (("power", 0, 1),), POSITIVE, np.array([[2.0], [0.5]]), shape=wide, refusable=True),
            # axes in front, and one of length 1 behind them
            _case(run, (("multiply", 0, 1),), COLUMN, np.stack([LEFT, LEFT[::-1]]), shape=(2, *wide)),
        ),
    )
    yield (
        "sums",
        "a sum spreads its gradient, along an axis or over all",
        (
            *(
                _case(run, (("sin", 0), ("sum", 1, axis)), LEFT, shape=shape)
                for axis, shape in ((None, ()), (0, (3,)), (1, (2,)))
            ),
            _case(run, (("exp", 0), ("sum", 1, None), ("divide", 1, 2)), ROW, shape=(3,)),
        ),
    )
    vector, other = ROW, np.array([1.5, -0.5])
    stack, stacked = np.stack([LEFT, LEFT[::-1]]), np.stack([RIGHT, -RIGHT])
    products = ((LEFT, RIGHT, (2, 2)), (LEFT, vector, (2,)), (other, LEFT, (3,)), (vector, vector[::-1] + 1, ()))
    yield (
        "matmul",
        "matrix products: each side times the other's transpose",
        (
            *(_case(run, (("matmul", 0, 1),), a, b, shape=shape) for a, b, shape in products),
            _case(run, (("matmul", 0, 0),), RIGHT[:2], shape=(2, 2)),
            _case(run, (("matmul", 0, 1),), LEFT[:, 1:], RIGHT[:2], shape=(2, 2)),
            _case(run, (("transpose", 0), ("matmul", 1, 0)), LEFT, shape=(3, 3)),
            *(_case(run, (("matmul", 0, 1),), stack, b, shape=(2, 2, 2), refusable=True) for b in (RIGHT, stacked)),
        ),
    )
    layer: Program = (("matmul", 0, 1), ("add", 3, 2), ("tanh", 4), ("multiply", 5, 5), ("sum", 6, None))
    batch = np.array([[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0]])
    yield (
        "network",
        "a layer with its bias and loss",
        (
            _case(run, layer, batch, LEFT, ROW),
            _case(run, (("matmul", 0, 1), ("add", 3, 2), ("sigmoid", 4)), batch, LEFT, ROW, shape=(3, 3)),
        ),
    )


def _chain(length: int) -> Program:
    """x <- x * number, again and again."""
    instructions: list[tuple[Any, ...]] = [("number", 1.0009765625)]
    for step in range(length):
        instructions.append(("multiply", 0 if step == 0 else step + 1, 1))
    return tuple(instructions)


def _doubled(times: int) -> Program:
    """x <- x + x: as many paths as two to the power of ``times``."""
    return tuple(("add", step, step) for step in range(times))


def _size(run: str) -> Iterator[Row]:
    yield (
        "many_paths",
        "the time goes by the edges, not by the paths, of which there are 2^50 here",
        (
            _case(run, _doubled(50), np.array(1.25)),
            _case(run, tuple(("multiply", step, step) for step in range(5)), np.array(1.0625)),
        ),
    )
    yield (
        "long_chain",
        "a chain of 1,500 operations, past Python's limit of recursion, is no matter",
        (_case(run, _chain(1500), A),),
    )
    plain = _case(run, (("multiply", 0, 1), ("tanh", 2), ("add", 3, 0)), LEFT, ROW, shape=(2, 3))
    yield "float32", "it is right in float32", (replace(plain, dtype="float32"),)
    yield "half", "it is right in bfloat16 and float16", tuple(replace(plain, dtype=d) for d in ("bfloat16", "float16"))
    yield (
        "layouts",
        "it takes views: strided, transposed and read-only",
        tuple(replace(plain, layout=layout) for layout in ("strided", "transposed", "readonly")),
    )
    empty = np.zeros((0, 3))
    yield (
        "shapes",
        "numbers, single elements and empty arrays",
        (
            _case(run, (("multiply", 0, 1),), np.ones((1, 1)), ROW, shape=(1, 3)),
            _case(run, (("multiply", 0, 1), ("sum", 2, None)), empty, ROW),
        ),
    )


@st.composite
def _search(draw: st.DrawFn, run: str) -> Case:
    """Any program over one to three inputs that broadcast; of functions those whose derivatives lose no digits."""
    rng = np.random.default_rng(draw(SEEDS))
    shapes: list[tuple[int, ...]] = draw(st.lists(st.sampled_from(((), (3,), (2, 1), (2, 3))), min_size=1, max_size=3))
    program: list[tuple[Any, ...]] = []
    for step in range(draw(st.integers(1, 8))):
        places = st.integers(0, len(shapes) + step - 1)
        name = draw(st.sampled_from(("add", "subtract", "multiply", "sin", "cos", "negative")))
        operands = 2 if name in _BINARY else 1
        program.append((name, *(draw(places) for _ in range(operands))))
    program.append(("sum", len(shapes) + len(program) - 1, None))
    x = [rng.uniform(-1.5, 1.5, shape) for shape in shapes]
    return _case(run, (*program, ("sin", len(shapes) + len(program) - 1)), *x)


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    run = component.name
    searches = {"order": _search(run)}
    return tuple(
        Check(f"autodiff.{component.name}.{name}", says, tuple(cases), searches.get(name))
        for part in (_operations(run), _paths(run), _arrays(run), _size(run))
        for name, says, cases in part
    )
