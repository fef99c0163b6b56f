"""The update rules once more, as the notes write them, and how an implementation is compared with them.

The claims need formulas of their own: they are handed an implementation and never import one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from dlcheck.evidence import numerics, seeds
from dlcheck.judgement import Evidence, Unsupported

Array = NDArray[np.float64]
Memory = tuple[Any, ...]
Rule = Callable[..., tuple[Array, Memory]]
"""``rule(g, t, memory, **settings)``: what step t >= 1 adds to the parameters, and the new memory."""

NEGLIGIBLE = 2.0**-200
"""An eps whose place does not matter: 1 / (sqrt(s) + eps) and 1 / sqrt(s + eps) differ by less than the fraction
eps / (2 s) + eps / sqrt(s), which is below the unit roundoff of float64 for every s above 2^-147."""
REVEALING = 2.0**60
"""As both lr and eps of Adam it makes the step -v_hat / (1 + sqrt(s_hat) / 2^60): v_hat itself, up to rounding."""
OPERATIONS = 16
"""Roundings in one step of any of these rules, at most."""

Domain = Mapping[str, st.SearchStrategy[Any]]
SEED = st.integers(0, 2**32 - 1)
RUN: Domain = {"seed": SEED, "steps": st.integers(1, 12), "width": st.integers(1, 4)}
RATE = st.floats(0.001, 1.0)
DECAY = st.floats(0.0, 0.999)


def momentum(g: Array, t: int, memory: Memory, *, lr: float, momentum: float) -> tuple[Array, Memory]:
    """dx_t = rho dx_{t-1} - eta g_t. Source: the notes 001, section 8.2."""
    velocity = momentum * memory[0] - lr * g
    return velocity, (velocity,)


def adagrad(g: Array, t: int, memory: Memory, *, lr: float, eps: float) -> tuple[Array, Memory]:
    """s_t = s_{t-1} + g_t^2; the step is -eta / sqrt(s_t + eps) g_t. Source: the notes 001, section 8.4."""
    total = memory[0] + g * g
    return -lr / np.sqrt(total + eps) * g, (total,)


def rmsprop(g: Array, t: int, memory: Memory, *, lr: float, alpha: float, eps: float) -> tuple[Array, Memory]:
    """s_t = gamma s_{t-1} + (1 - gamma) g_t^2; -eta / sqrt(s_t + eps) g_t. Source: the notes 001, section 8.5."""
    square = alpha * memory[0] + (1 - alpha) * g * g
    return -lr / np.sqrt(square + eps) * g, (square,)


def adadelta(g: Array, t: int, memory: Memory, *, rho: float, eps: float) -> tuple[Array, Memory]:
    """The step is -sqrt((D_{t-1} + eps) / (s_t + eps)) g_t, D the mean square of steps. Source: section 8.6."""
    square = rho * memory[0] + (1 - rho) * g * g
    step = np.sqrt((memory[1] + eps) / (square + eps)) * g
    return -step, (square, rho * memory[1] + (1 - rho) * step * step)


def adam(
    g: Array, t: int, memory: Memory, *, lr: float, betas: tuple[float, float], eps: float
) -> tuple[Array, Memory]:
    """The step is -eta v_hat / (sqrt(s_hat) + eps), both averages corrected. Source: the notes 001, section 8.7."""
    mean = betas[0] * memory[0] + (1 - betas[0]) * g
    square = betas[1] * memory[1] + (1 - betas[1]) * g * g
    corrected, root = mean / (1 - betas[0] ** t), np.sqrt(square / (1 - betas[1] ** t))
    return -lr * corrected / (root + eps), (mean, square)


def path(rule: Rule, start: Array, gradient: Callable[[int, Array], Array], steps: int, **settings: Any) -> Array:
    """The parameters after each step, (T, ...), where step t takes ``gradient(t, x)``."""
    x, memory, passed = start, (0.0, 0.0), []
    for t in range(1, steps + 1):
        step, memory = rule(gradient(t, x), t, memory, **settings)
        x = x + step
        passed.append(x)
    return np.stack(passed)


def lookahead(start: Array, gradient: Callable[[Array], Array], steps: int, *, lr: float, momentum: float) -> Array:
    """Where Nesterov's momentum looks ahead to after each step, x + rho dx: there it takes its next gradient.

    Source: the notes 001, section 8.3.
    """
    x, velocity, ahead = start, np.zeros_like(start), []
    for _ in range(steps):
        velocity = momentum * velocity - lr * gradient(x + momentum * velocity)
        x = x + velocity
        ahead.append(x + momentum * velocity)
    return np.stack(ahead)


def gradients(seed: int, steps: int, width: int, zeros: float = 0.1) -> Array:
    """Gradients (T, W) of a scale of its own for each parameter, over six orders of magnitude, a share of them zero."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-3, 3, width)
    return scale * rng.standard_normal((steps, width)) * (rng.random((steps, width)) >= zeros)


def allowed(function: Callable[[Any, Any], Array], start: Array, inputs: Any, settings: Mapping[str, Any]) -> Array:
    """Error allowed in a path ``function(inputs, settings)``: roundings at a parameter's largest size remain in it."""
    passed = function(inputs, settings)
    sizes = np.maximum(np.maximum.accumulate(np.abs(passed)), np.abs(start))

    def named(inputs: Any, settings: Any) -> dict[str, Array]:
        return {"path": function(inputs, settings)}

    operations = OPERATIONS * len(passed)
    return numerics.allowance(named, inputs, settings, "float64", operations, {"path": sizes})["path"]


def followed(
    implementation: Any, rule: Rule, start: Array, grads: Array, **settings: Any
) -> tuple[Array, Array, Array]:
    """Path of an implementation along given gradients, that of a rule, and the error allowed between them."""

    def expected(inputs: Array, settings: Any) -> Array:
        return path(rule, start, lambda t, x: inputs[t - 1], len(inputs), **settings)

    actual = implementation.trajectory([start], [{"grads": [g]} for g in grads], **settings)["param0"]
    return actual, expected(grads, settings), allowed(expected, start, grads, settings)


def moves(implementation: Any, rule: Rule, grads: Array, **settings: Any) -> tuple[Array, Array]:
    """The steps of an implementation from zero along given gradients, and the error allowed in each."""
    start = np.zeros(grads.shape[1])
    actual, _, errors = followed(implementation, rule, start, grads, **settings)
    return np.diff(actual, axis=0, prepend=0.0), errors + np.vstack([start, errors[:-1]])


def descended(
    implementation: Any,
    start: Array,
    gradient: Callable[[Array], Array],
    changes: list[dict[str, Any]],
    **settings: Any,
) -> Array:
    """An implementation's path down an objective, one step for each entry of ``changes`` (of settings, from outside).

    It is driven anew for every step, since it takes its gradients beforehand.
    """
    steps: list[dict[str, Any]] = []
    actual = start[None]
    for change in changes:
        steps.append({"grads": [gradient(actual[-1])], "set": change})
        actual = implementation.trajectory([start], steps, **settings)["param0"]
    return actual


def searched(excess: Callable[..., float], domain: Domain, examples: int = 50) -> Evidence:
    """Search the domain for an error above the allowed one, ``excess`` being their ratio.

    Raises: Unsupported with the shrunk example where there is one.
    """
    worst = 0.0

    @hypothesis.seed(seeds.RUN)
    @settings(max_examples=examples, database=None, deadline=None)
    @given(st.fixed_dictionaries(dict(domain)))
    def search(example: dict[str, Any]) -> None:
        nonlocal worst
        ratio = excess(**example)
        worst = max(worst, ratio)
        if not ratio <= 1:
            raise Unsupported(f"the error is {ratio:.3g} of the allowed one at {example}")

    search()
    size = {"examples": examples, "largest error / allowed error": worst}
    return Evidence("property", f"seeded Hypothesis search over {', '.join(domain)}", size)


def follows(implementation: Any, rule: Rule, domain: Domain) -> Evidence:
    """Search for a trajectory in which an implementation leaves a rule; raises Unsupported where there is one."""

    def excess(seed: int, steps: int, width: int, **settings: Any) -> float:
        start, grads = np.linspace(-1.0, 1.0, width), gradients(seed, steps, width)
        actual, expected, errors = followed(implementation, rule, start, grads, **settings)
        return float(np.max(np.abs(actual - expected) / errors))

    return searched(excess, {**RUN, **domain})


def tied(search: Evidence) -> str:
    """How a proof's formula was tied to the code by a search."""
    examples, worst = search.size.values()
    return (
        f"tied to the implementation by {examples} searched runs in float64, error at most {worst:.2g} of the allowed"
    )
