"""How the claims run a recurrent layer, and search for an error above the allowed one."""

from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from dlcheck.component import Case
from dlcheck.evidence import numerics, seeds
from dlcheck.judgement import Evidence, Unsupported

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]
EXAMPLES = 30


def outputs(implementation: Any, x: Array, parameters: Arrays, state: Arrays | None = None, **fixed: Any) -> Arrays:
    """What an implementation gives for a sequence."""
    given_state = {"state": state} if state else {}
    return implementation.observe(Case("forward", {"x": x, "parameters": parameters, **given_state}, fixed)).values


def gradients(
    implementation: Any, grad: Arrays, x: Array, parameters: Arrays, state: Arrays | None = None, **fixed: Any
) -> dict[str, Array]:
    """What an implementation gives on the way back, by the names of what the gradients belong to."""
    inputs = {"x": x, "parameters": parameters, "grad": grad, **({"state": state} if state else {})}
    found = implementation.observe(Case("backward", inputs, fixed)).values
    return {name.removeprefix("grad_"): value for name, value in found.items()}


def parameters(
    rng: np.random.Generator, features: int, hidden: int, gates: int = 1, layers: int = 1, directions: int = 1
) -> dict[str, Array]:
    """Normal weights of rows of length about 1, and biases, under torch's names."""
    found: dict[str, Array] = {}
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            below = directions * hidden if layer else features
            for name, width in (("weight_ih", (below,)), ("weight_hh", (hidden,)), ("bias_ih", ()), ("bias_hh", ())):
                scale = 1 / np.sqrt(width[0]) if width else 0.5
                found[f"{name}_l{layer}{suffix}"] = scale * rng.normal(size=(gates * hidden, *width))
    return found


def excess(actual: Array, expected: Array, x: Array, hidden: int) -> float:
    """Error over the allowed one, that of the sums of every step at the size of 1."""
    operations = 8 * x.shape[0] * (x.shape[2] + hidden)
    return float(np.max(np.abs(actual - expected) / numerics.roundings(np.ones_like(expected), "float64", operations)))


def searched(ratio: Callable[..., float], domain: Mapping[str, st.SearchStrategy[Any]], what: str) -> Evidence:
    """Search the domain for an error above the allowed one; raises Unsupported with the shrunk example."""
    worst = 0.0

    @hypothesis.seed(seeds.RUN)
    @settings(max_examples=EXAMPLES, database=None, deadline=None)
    @given(st.fixed_dictionaries(dict(domain)))
    def search(example: dict[str, Any]) -> None:
        nonlocal worst
        found = ratio(**example)
        worst = max(worst, found)
        if not found <= 1:
            raise Unsupported(f"{what}: {found:.3g} times the allowed error at {example}")

    search()
    size = {"examples": EXAMPLES, "largest error / allowed error": worst}
    return Evidence("property", f"seeded Hypothesis search over {', '.join(domain)}: {what}", size)


def tied(search: Evidence) -> str:
    """How a proof's formula was tied to the code by a search."""
    examples, worst = search.size.values()
    return f"tied to the implementation by {examples} searched runs, error at most {worst:.2g} of the allowed"
