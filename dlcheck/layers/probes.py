"""What the claims about convolutions do: the definition once more, in loops, and searches for where code leaves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.evidence import numerics, seeds
from dlcheck.judgement import Evidence, Unsupported

Array = NDArray[np.float64]
Pair = tuple[int, int]
EXAMPLES = 100
"""Cases of a search."""

_SIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))
PLAIN: Mapping[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**32 - 1),
    "channels": st.integers(1, 3),
    "filters": st.integers(1, 3),
    "kernel": _SIDES,
    "larger": st.tuples(st.integers(0, 4), st.integers(0, 4)),
}
"""Sizes: the image is larger than the dilated kernel by ``larger``; channels and filters are those of a group."""
SPACED = {**PLAIN, "stride": _SIDES, "padding": st.tuples(st.integers(0, 2), st.integers(0, 2))}
ANY = {**SPACED, "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)), "groups": st.integers(1, 2)}


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of one image, drawn; no weight is zero."""

    x: Array
    weight: Array
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def settings(self) -> dict[str, Any]:
        """As keywords."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    @property
    def outputs(self) -> Pair:
        """Rows and columns of windows, counted one by one."""
        sides = zip(self.x.shape[2:], self.padding, self.dilation, self.weight.shape[2:], self.stride, strict=True)
        rows, columns = (len(range(0, n + 2 * p - d * (k - 1), s)) for n, p, d, k, s in sides)
        return rows, columns


def drawn(
    seed: int, channels: int, filters: int, kernel: Pair, larger: Pair, groups: int = 1, **settings: Pair
) -> Layer:
    """The layer of an example of a search."""
    rng = np.random.default_rng(seed)
    dilation = settings.get("dilation", (1, 1))
    rows, columns = (d * (k - 1) + 1 + more for d, k, more in zip(dilation, kernel, larger, strict=True))
    x = rng.uniform(-2.0, 2.0, (1, channels * groups, rows, columns))
    weight = rng.uniform(0.5, 1.5, (filters * groups, channels, *kernel)) * rng.choice([-1.0, 1.0])
    return Layer(x, weight, groups=groups, **settings)


def met(layer: Layer) -> Array:
    """Number 1 + i of the weight i that input (c, h, w) meets at unit (o, p, q), 0 where there is none."""
    filters, channels, *kernel = layer.weight.shape
    height, width = layer.x.shape[2:]
    found = np.zeros((filters, *layer.outputs, *layer.x.shape[1:]))
    for place, (o, c, i, j) in enumerate(np.ndindex(filters, channels, *kernel)):
        channel = c + channels * (o // (filters // layer.groups))
        for p, q in np.ndindex(layer.outputs):
            row = layer.stride[0] * p + layer.dilation[0] * i - layer.padding[0]
            column = layer.stride[1] * q + layer.dilation[1] * j - layer.padding[1]
            if 0 <= row < height and 0 <= column < width:
                found[o, p, q, channel, row, column] = 1 + place
    return found


def matrix(layer: Layer) -> Array:
    """The weights that the definition puts between inputs and units, (O P Q, C H W)."""
    weights = np.concatenate([[0.0], layer.weight.ravel()])
    return weights[met(layer).astype(int)].reshape(-1, layer.x.size)


def excess(actual: Array, expected: Array, size: Any, terms: int) -> float:
    """Error over what so many roundings at the size of the products may add up to; infinite where shapes differ."""
    if np.shape(actual) != np.shape(expected):
        return np.inf
    allowed = numerics.roundings(np.broadcast_to(size, np.shape(expected)), "float64", 8 + terms)
    return float(np.max(np.abs(actual - expected) / allowed, initial=0.0))


def agreement(actual: Array, expected: Array, layer: Layer) -> float:
    """The same for outputs of a layer, at the size of its products."""
    size = np.abs(layer.x).max() * np.abs(layer.weight).reshape(len(layer.weight), -1).sum(axis=1).max()
    return excess(actual, expected, size, layer.weight[0].size)


def searched(ratio: Callable[..., float], domain: Mapping[str, st.SearchStrategy[Any]]) -> Evidence:
    """Search for an error above the allowed one, ``ratio`` being the one over the other.

    Raises: Unsupported with the smallest example where there is one.
    """
    worst = 0.0

    @hypothesis.seed(seeds.RUN)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, phases=(Phase.generate, Phase.shrink))
    @given(st.fixed_dictionaries(dict(domain)))
    def search(example: dict[str, Any]) -> None:
        nonlocal worst
        found = ratio(**example)
        worst = max(worst, found)
        if not found <= 1:
            raise Unsupported(f"the error is {found:.3g} of the allowed one at {example}")

    search()
    size = {"examples": EXAMPLES, "seed": seeds.RUN, "largest error / allowed error": worst}
    return Evidence("property", f"seeded Hypothesis search over {', '.join(domain)}", size)


def tied(search: Evidence) -> str:
    """How a proof's formula was tied to the code by a search."""
    worst = search.size["largest error / allowed error"]
    return f"tied to the implementation by {EXAMPLES} searched layers, error at most {worst:.2g} of the allowed one"


def side(implementation: Any, n: int, k: int, **settings: Any) -> int:
    """The side of what an implementation makes of a square image with a square kernel."""
    output = implementation.forward(np.ones((1, 1, n, n)), np.ones((1, 1, k, k)), **settings)
    rows, columns = output.shape[2:]
    if rows != columns:
        raise Unsupported(f"a square image of side {n} and a square kernel of side {k} gave {rows} x {columns}")
    return rows
