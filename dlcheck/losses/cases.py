"""What the checks of losses are made of: cases with their gradients, dtypes and layouts, and searches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case
from dlcheck.evidence.strategies import SEEDS, Shape

Array = NDArray[Any]
Rows = Iterator[tuple[Any, ...]]

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")

UPSTREAM = np.array(-0.75)
"""What arrives at a loss without axes: neither 1 nor positive."""


def case_of(arrays: dict[str, Any], **settings: Any) -> Case:
    """The loss of arrays by name."""
    return Case("forward", {name: np.asarray(value) for name, value in arrays.items()}, settings)


def gradient_of(case: Case, shape: Shape | None = None) -> Case:
    """The case that asks for the gradient, with an upstream gradient of both signs that is nowhere 1.

    ``shape`` is that of the losses where it is not the target's.
    """
    losses = case.inputs["target"].shape if shape is None else shape
    index = np.arange(np.prod(losses, dtype=int)).reshape(losses)
    each = (0.5 + 0.125 * (index * 5 % 11)) * (-1.0) ** (index * 3 % 7)
    grad = each if case.settings.get("reduction") == "none" else UPSTREAM
    return replace(case, run="backward", inputs={**case.inputs, "grad_output": grad})


def plain_and(reduction: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that ask for no reduction, and those that ask for this one."""
    return {}, {"reduction": reduction}


def both(*cases: Case) -> tuple[Case, ...]:
    """The cases, then those that ask for their gradients."""
    return (*cases, *map(gradient_of, cases))


def in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    """The cases in each of the dtypes."""
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def in_layouts(*cases: Case) -> tuple[Case, ...]:
    """The cases in each of the layouts."""
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


def drawn_of(make: Callable[..., dict[str, Any]], *strategies: Any, settings: st.SearchStrategy[Any]) -> Any:
    """A search over what ``make`` makes of drawn values and a seed, over settings, forward and backward."""

    def case(values: list[Any], seed: int, chosen: dict[str, Any], backward: bool) -> Case:
        made = case_of(make(*values, seed), **chosen)
        return gradient_of(made) if backward else made

    return st.builds(case, st.tuples(*strategies), SEEDS, settings, st.booleans())


def refusable(*cases: Case) -> tuple[Case, ...]:
    """The cases, of which code need not be capable, but may not answer them wrongly."""
    return tuple(replace(case, refusable=True) for case in cases)


def reductions(**others: Any) -> Any:
    """Settings to draw: a reduction or none, and others."""
    return st.fixed_dictionaries({}, optional={"reduction": st.sampled_from(["sum", "none"]), **others})


def common(plain: Case, *, also: tuple[Case, ...] = ()) -> Rows:
    """The checks at the end of every list: dtypes and views."""
    pair = both(plain)
    yield "float32", "it is right in float32", in_dtypes(("float32",), *pair, *also)
    yield "half", "it is right in float16 and bfloat16", in_dtypes(HALVES, *pair)
    yield "layouts", "it takes views: strided, transposed and read-only", in_layouts(*pair)
