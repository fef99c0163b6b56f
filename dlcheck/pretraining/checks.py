"""What autoencoders, restricted Boltzmann machines and deep belief networks must satisfy.

Plain cases have as many hidden as visible units and examples, so that transposed weights and wrong axes run too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, uniform

Array = NDArray[np.float64]
Row = tuple[Any, ...]
Inputs = dict[str, Array]

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")
SHAPES = ((1, 1, 1), (1, 4, 2), (5, 2, 3), (3, 6, 1))
"""Examples, visible and hidden units."""


def _binary(shape: tuple[int, ...], seed: int) -> Array:
    return (uniform(shape, seed) > 0).astype(np.float64)


def _upstream(shape: tuple[int, ...]) -> Array:
    """An upstream gradient of both signs that differs from place to place and is nowhere 1."""
    index = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return (0.5 + 0.125 * (index * 5 % 11)) * (-1.0) ** (index * 3 % 7)


def _forward(inputs: Inputs, **settings: Any) -> Case:
    return Case("forward", inputs, settings)


def _backward(case: Case, shape: tuple[int, ...]) -> Case:
    return replace(case, run="backward", inputs={**case.inputs, "grad_output": _upstream(shape)})


def _in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _in_layouts(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


# --- autoencoder -----------------------------------------------------------------------------------------------------


def _coder(examples: int, visible: int, hidden: int, seed: int, tied: bool, **settings: Any) -> tuple[Case, Case]:
    shapes = {"x": (examples, visible), "weight": (hidden, visible), "bias": (hidden,), "decoder_bias": (visible,)}
    shapes |= {} if tied else {"decoder_weight": (visible, hidden)}
    case = _forward({name: uniform(shape, seed + i) for i, (name, shape) in enumerate(shapes.items())}, **settings)
    return case, _backward(case, (examples, visible))


def _autoencoder() -> Iterator[Row]:
    tied, untied = _coder(3, 3, 3, 1, True), _coder(3, 3, 3, 2, False)
    linear = *_coder(3, 3, 3, 3, True, linear_output=True), *_coder(3, 3, 3, 4, False, linear_output=True)
    shaped = [case for tie in (True, False) for sizes in SHAPES for case in _coder(*sizes, 5, tie)]
    far = _forward({**tied[0].inputs, "decoder_bias": np.array([1000.0, -1000.0, 0.0])})
    sizes = [st.integers(1, 5) for _ in range(3)]

    def search(backward: int, tied: st.SearchStrategy[bool]) -> st.SearchStrategy[Case]:
        return st.builds(lambda n, d, h, seed, tie: _coder(n, d, h, seed, tie)[backward], *sizes, SEEDS, tied)

    yield "values", "with tied weights it decodes with the transpose", tied[:1], search(0, st.just(True))
    yield "gradient", "tied weights receive the gradients of coder and decoder", tied[1:], search(1, st.just(True))
    yield "untied", "with weights of its own the decoder uses those", untied, search(1, st.booleans())
    yield "linear_output", "it obeys linear_output", linear
    yield "extremes", "far out it is 0 or 1, with a gradient of zero", (far, _backward(far, (3, 3)))
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *tied, *untied)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *tied)
    yield "shapes", "it takes one example, one unit, more hidden than visible units", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*tied)


# --- restricted Boltzmann machine ------------------------------------------------------------------------------------


def _parameters(visible: int, hidden: int, seed: int, scale: float = 1.0) -> Inputs:
    shapes = {"weight": (hidden, visible), "visible_bias": (visible,), "hidden_bias": (hidden,)}
    return {name: scale * uniform(shape, seed + i) for i, (name, shape) in enumerate(shapes.items(), 1)}


def _machine(examples: int, visible: int, hidden: int, seed: int, scale: float = 1.0) -> tuple[Case, Case]:
    case = _forward({"v": _binary((examples, visible), seed), **_parameters(visible, hidden, seed, scale)})
    return case, _backward(case, (examples,))


def _energy() -> Iterator[Row]:
    plain = _machine(3, 3, 3, 1)
    yield from _of_machine(plain)
    real = _forward({**plain[0].inputs, "v": uniform((3, 3), 9, 0.0, 1.0)})
    yield "probabilities", "visible units may be between 0 and 1", (real, _backward(real, (3,)))
    # all inputs of hidden units are multiples of 1000: what overflows does so in every dtype
    thousands = {name: np.copysign(1000.0, value) for name, value in _parameters(3, 3, 4).items()}
    far = _forward({"v": plain[0].inputs["v"], **thousands})
    both = far, _backward(far, (3,))
    yield "extremes", "softplus of large numbers does not overflow", (*both, *_in_dtypes(("float32",), *both))


def _likelihood() -> Iterator[Row]:
    plain = _machine(3, 3, 3, 2)
    yield from _of_machine(plain)
    far = _machine(3, 3, 3, 5, scale=500.0)
    yield "extremes", "the partition function of large weights does not overflow", (*far,)


def _of_machine(plain: tuple[Case, Case]) -> Iterator[Row]:
    sizes = [st.integers(1, 4) for _ in range(3)]
    searches = [st.builds(lambda n, d, h, seed, i=i: _machine(n, d, h, seed)[i], *sizes, SEEDS) for i in (0, 1)]
    yield "values", "it gives the function's values", plain[:1], searches[0]
    yield "gradient", "the gradient of every parameter is right", plain[1:], searches[1]
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *plain)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *plain)
    shaped = [case for sizes in SHAPES for case in _machine(*sizes, 3)]
    yield "shapes", "it takes one example, one unit, more or fewer hidden units", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*plain)


# --- contrastive divergence ------------------------------------------------------------------------------------------


def _cd(examples: int, visible: int, hidden: int, steps: int, seed: int, real: bool = False) -> Case:
    """A machine, visible vectors and the uniform numbers of a chain."""
    v = uniform((examples, visible), seed, 0.0, 1.0) if real else _binary((examples, visible), seed)
    machine = _parameters(visible, hidden, seed + 1)
    uniforms = {
        "hidden_uniforms": uniform((steps, examples, hidden), seed + 5, 0.0, 1.0),
        "visible_uniforms": uniform((steps, examples, visible), seed + 6, 0.0, 1.0),
    }
    return Case("estimate", {"v": v, **machine, **uniforms})


def _contrastive_divergence() -> Iterator[Row]:
    one, more = _cd(4, 3, 3, 1, 1), _cd(4, 3, 3, 3, 2)
    sizes = [st.integers(1, 5) for _ in range(3)]
    search = st.builds(_cd, *sizes, st.integers(1, 3), SEEDS, st.booleans())
    shaped = [_cd(*sizes, 2, 3) for sizes in SHAPES]
    yield "one_step", "CD-1 is the data's statistics less those after one step", (one,), search
    yield "more_steps", "CD-k takes those after k steps of one chain", (more, _cd(4, 3, 3, 2, 7))
    yield "probabilities", "visible units may be between 0 and 1", (_cd(4, 3, 3, 1, 4, real=True),)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), one, more)
    yield "shapes", "it takes one example, one unit, more or fewer hidden units", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(more)


# --- deep belief network ---------------------------------------------------------------------------------------------


def _network(examples: int, sizes: tuple[int, int, int], steps: int, seed: int) -> Case:
    """``sizes`` are visible, hidden and top units."""
    visible, hidden, top = sizes
    lower, upper = _parameters(visible, hidden, seed + 1), _parameters(hidden, top, seed + 5)
    uniforms = {"top_uniforms": (steps, examples, top), "hidden_uniforms": (steps, examples, hidden)}
    uniforms |= {"visible_uniforms": (examples, visible)}
    inputs = {
        "h": _binary((examples, hidden), seed),
        "weight": lower["weight"],
        "visible_bias": lower["visible_bias"],
        "top_weight": upper["weight"],
        "hidden_bias": upper["visible_bias"],
        "top_bias": upper["hidden_bias"],
        **{name: uniform(shape, seed + 9 + i, 0.0, 1.0) for i, (name, shape) in enumerate(uniforms.items())},
    }
    return _forward(inputs)


def _deep_belief_network() -> Iterator[Row]:
    one, more = _network(8, (3, 3, 3), 1, 1), [_network(8, (3, 3, 3), 3, seed) for seed in (2, 3)]
    units = st.integers(1, 4)
    search = st.builds(_network, st.integers(1, 5), st.tuples(units, units, units), st.integers(1, 3), SEEDS)
    shaped = [_network(3, sizes, 2, 4) for sizes in ((1, 1, 1), (4, 2, 3), (2, 3, 4), (3, 1, 2))]
    yield "one_step", "one step above, then down to the visible units", (one,), search
    yield "more_steps", "all steps belong to the upper machine", more
    yield "float32", "it is right in float32", _in_dtypes(("float32",), one, *more)
    yield "shapes", "it takes one unit, and layers that grow or shrink", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(one)


_LISTS: dict[str, Callable[[], Iterator[Row]]] = {
    "autoencoder": _autoencoder,
    "rbm_free_energy": _energy,
    "rbm_log_likelihood": _likelihood,
    "contrastive_divergence": _contrastive_divergence,
    "deep_belief_network": _deep_belief_network,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name]()
    return tuple(
        Check(f"pretraining.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
