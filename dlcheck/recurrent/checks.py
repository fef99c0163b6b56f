"""What every recurrent layer must satisfy: the reference's outputs and gradients, root causes first."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component

Array = NDArray[np.float64]
Part = tuple[str, str, list[Case], Any]
"""A check's name, what it says, its cases, and a strategy of further ones or None."""

_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Blocks of rows in the weights."""


def numbers(seed: int, *shape: int, scale: float = 0.6) -> Array:
    """Normal numbers of either sign that keep away from zero, so that none of them hides a mistake."""
    values = np.random.default_rng(seed).normal(size=shape)
    return scale * np.sign(values) * (0.3 + np.abs(values))


def parameters(gates: int, features: int, hidden: int, settings: Mapping[str, Any], scale: float) -> dict[str, Array]:
    """Weights and biases of every layer and direction under torch's names."""
    suffixes = ("", "_reverse") if settings.get("bidirectional") else ("",)
    found: dict[str, Array] = {}
    for layer in range(settings.get("num_layers", 1)):
        below = len(suffixes) * hidden if layer else features
        for suffix in suffixes:
            shapes = {"weight_ih": (below,), "weight_hh": (hidden,), "bias_ih": (), "bias_hh": ()}
            for name, width in shapes.items():
                if settings.get("bias", True) or "weight" in name:
                    key = f"{name}_l{layer}{suffix}"
                    found[key] = numbers(100 + len(found), gates * hidden, *width, scale=scale)
    return found


def _case(
    component: Component,
    steps: int,
    batch: int,
    settings: Mapping[str, Any] | None = None,
    *,
    features: int = 3,
    hidden: int = 2,
    run: str = "forward",
    state: bool = False,
    lengths: list[int] | None = None,
    grads: tuple[str, ...] = ("output",),
    scale: float = 0.6,
    seed: int = 1,
    **others: Any,
) -> Case:
    """A case in which x is (T, N, F), or (N, T, F) where the settings say ``batch_first``.

    Whoever takes the other axis for time than x has unless told, must find a state and lengths that fit: give these
    with as many steps as sequences.
    """
    settings = dict(settings or {})
    outer = (batch, steps) if settings.get("batch_first") else (steps, batch)
    directions = 1 + settings.get("bidirectional", False)
    rows = (settings.get("num_layers", 1) * directions, batch, hidden)
    kinds = ("h", "c") if component.name == "lstm" else ("h",)
    held = parameters(_GATES[component.name], features, hidden, settings, scale)
    inputs: dict[str, Any] = {"x": numbers(seed, *outer, features, scale=1.0), "parameters": held}
    if state:
        inputs["state"] = {f"{kind}_0": numbers(seed + 20 + i, *rows) for i, kind in enumerate(kinds)}
    if lengths is not None:
        inputs["lengths"] = np.array(lengths)
    if run == "backward":
        shapes = {"output": (*outer, directions * hidden), **{f"{kind}_n": rows for kind in kinds}}
        inputs["grad"] = {n: numbers(seed + 30 + i, *shapes[n]) for i, n in enumerate(shapes) if n in grads}
    inputs |= {name: others.pop(name) for name in ("earlier", "evaluation") if name in others}
    return Case(run, inputs, settings, **others)


def _single(case: Case) -> Case:
    """The case of a single sequence without its axis, (T, F), which code need not know."""
    state = {name: rows[:, 0] for name, rows in case.inputs["state"].items()}
    return replace(case, inputs={**case.inputs, "x": case.inputs["x"][:, 0], "state": state}, refusable=True)


def _dropping(component: Component) -> Case:
    """As many sequences as steps, of zeros; the upper layer forgets at once, so that its last state is one of two."""
    case = _case(component, 120, 120, {"num_layers": 2, "dropout": 0.25}, features=2, hidden=1, run="dropped")
    case.inputs["x"][...] = 0.0
    held = case.inputs["parameters"]
    held["weight_hh_l1"][...] = 0.0
    if _GATES[component.name] > 1:  # the forget gate of an LSTM, the update gate of a GRU
        held["bias_ih_l1"][1] = -1e3
    return case


def _states(component: Component) -> tuple[str, ...]:
    return ("output", "h_n", "c_n") if component.name == "lstm" else ("output", "h_n")


def _both(component: Component, *arguments: Any, **others: Any) -> list[Case]:
    """The same case forward and backward."""
    return [_case(component, *arguments, **others), _case(component, *arguments, run="backward", **others)]


def _recursion(component: Component) -> Iterator[Part]:
    yield "one_step", "one step from the zero state follows the formula", [_case(component, 1, 2)], None
    yield "two_steps", "the second step reads the state that the first has left", [_case(component, 2, 3)], None
    says = "the state goes on from step to step"
    yield "several_steps", says, [_case(component, 4, 3)], _searched(component)
    yield (
        "initial_state",
        "a state that is given comes before the first step",
        [_case(component, 3, 3, state=True), _case(component, 1, 1, state=True)],
        None,
    )
    says = "a sequence without an axis of sequences starts from its own state"
    yield "one_sequence", says, [_single(_case(component, 5, 1, state=True))], None
    says = "it holds two bias vectors for each block, or one that stands for both"
    yield "bias_vectors", says, [_case(component, 2, 2, run="built")], None
    if component.name == "rnn":
        cases = _both(component, 4, 3, {"nonlinearity": "relu"})
        cases += [_case(component, 2, 3, {"nonlinearity": "relu"})]
        cases[-1].inputs["x"][...] *= 100.0
        cases += [_case(component, 3, 3, {"nonlinearity": "relu", "num_layers": 2})]
        cases += [_case(component, 3, 3, {"nonlinearity": "relu", "bidirectional": True})]
        yield "nonlinearity", "relu in place of tanh, in every layer and direction", cases, None


def _gradients(component: Component) -> Iterator[Part]:
    yield "gradient", "the gradients go back through every step", [_case(component, 4, 3, run="backward")], None
    cases = [_case(component, 3, 3, run="backward", state=True, grads=_states(component))]
    yield "gradient_of_state", "gradients reach the initial state, and come from the final one", cases, None
    late = _case(component, 8, 2, run="backward")
    late.inputs["grad"]["output"][:-1] = 0.0
    yield "gradient_through_time", "a gradient at the last step reaches the first", [late], None


def _arrangements(component: Component) -> Iterator[Part]:
    says = "batch_first exchanges the axes of the sequences, not of the states"
    cases = [_case(component, 3, 3, {"batch_first": True}, state=True)]
    cases += [_case(component, 2, 3, {"batch_first": True}, run="backward")]
    yield "batch_first", says, cases, None
    yield "no_bias", "bias=False leaves the biases out", _both(component, 3, 2, {"bias": False}), None
    deep = {"num_layers": 2}
    cases = [*_both(component, 4, 3, deep), _case(component, 3, 3, {"num_layers": 3}, state=True)]
    yield "layers", "each layer reads the outputs of the one below with weights and a state of its own", cases, None
    says = "dropout acts between layers, or after or before each: with a share of 1 the upper layer reads zeros"
    all_dropped = {"num_layers": 2, "dropout": 1.0}
    cases = [*_both(component, 3, 2, all_dropped), _case(component, 3, 2, {"num_layers": 3, "dropout": 1.0})]
    yield "dropout", says, cases, None
    cases = [_case(component, 3, 2, all_dropped, evaluation=True), _case(component, 3, 3, evaluation=True, state=True)]
    yield "evaluation", "in evaluation nothing is dropped, and all else is as in training", cases, None
    says = "dropout keeps a share 1 - p of the numbers, and divides them by it"
    yield "dropout_law", says, [_dropping(component)], None
    both = {"bidirectional": True}
    cases = [*_both(component, 4, 3, both), _case(component, 3, 3, both, state=True)]
    cases += [_case(component, 3, 3, {**both, "batch_first": True}, state=True)]
    yield "bidirectional", "the second direction reads from the end, and is joined step by step", cases, None
    both_deep = {"num_layers": 2, "bidirectional": True}
    cases = [_case(component, 3, 3, both_deep, state=True)]
    cases += [_case(component, 3, 3, both_deep, run="backward", state=True, grads=_states(component))]
    cases += [_case(component, 3, 3, {"num_layers": 3, "bidirectional": True})]
    yield "layers_bidirectional", "layers of both directions", cases, None


def _sequences(component: Component) -> Iterator[Part]:
    cases = [_case(component, 3, 3, lengths=[3, 1, 2]), _case(component, 3, 3, lengths=[2, 3, 1], state=True)]
    cases += [_case(component, 3, 3, run="backward", lengths=[3, 1, 2], grads=_states(component))]
    yield "lengths", "a sequence ends at its length, and what pads it has no effect", cases, None
    both = {"bidirectional": True}
    cases = _both(component, 3, 3, both, lengths=[3, 1, 2])
    deep = {"num_layers": 2, "bidirectional": True}
    cases += [_case(component, 3, 3, deep, lengths=[1, 3, 2], state=True)]
    yield "lengths_bidirectional", "the second direction starts at the last step that is no padding", cases, None
    earlier = numbers(9, 3, 3, 3, scale=1.0)
    says = "a second call starts from zeros again"
    yield "second_call", says, [_case(component, 3, 3, earlier=earlier)], None
    changed = _case(component, 3, 3, earlier=earlier)
    before = {name: -2.0 * value for name, value in changed.inputs["parameters"].items()}
    changed = replace(changed, inputs={**changed.inputs, "earlier_parameters": before})
    yield "changed_parameters", "it reads the parameters that it has now, as after a step of training", [changed], None


def _extremes(component: Component) -> Iterator[Part]:
    far = [_case(component, 3, 2), _case(component, 3, 2, run="backward")]
    for case, scale in zip(far, (1e3, 1e2), strict=True):
        case.inputs["x"][...] *= scale
    filled = _case(component, 3, 3, state=True)
    for row in filled.inputs["state"].values():
        row[...] *= 30.0
    yield "saturated", "inputs far beyond where gates saturate, and large states", [*far, filled], None
    steep = _case(component, 3, 2, run="backward")
    steep.inputs["grad"]["output"][...] *= 1e3
    yield "large_gradients", "large gradients go back as they are", [steep], None
    yield "long_sequence", "twenty steps", [_case(component, 20, 2, scale=0.4)], None
    cases = [_case(component, 2, 1, features=1, hidden=1), _case(component, 2, 9, features=10, hidden=9, scale=0.2)]
    yield "sizes", "single features, and more than a block of a vectorised kernel", cases, None
    cases = [_case(component, 3, 2, run="backward", layout="strided")]
    cases += [_case(component, 3, 2, layout=layout) for layout in ("transposed", "readonly")]
    yield "non_contiguous", "sequences that are strided, transposed or read-only arrays", cases, None
    yield "float32", "single precision", _both(component, 6, 2, dtype="float32"), None


def _searched(component: Component) -> Any:
    """Any sizes and arrangement; what is in the arrays follows from a seed."""

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        steps, batch = draw(st.integers(1, 6)), draw(st.integers(1, 4))
        state = draw(st.booleans())
        flags = {"bias": [True, False], "num_layers": [1, 2], "bidirectional": [False, True]}
        settings = {
            name: choice for name, among in flags.items() if (choice := draw(st.sampled_from(among))) != among[0]
        }
        features, hidden = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        run, seed = draw(st.sampled_from(["forward", "backward"])), draw(st.integers(0, 2**16))
        given: dict[str, Any] = {"features": features, "hidden": hidden, "run": run, "state": state, "seed": seed}
        return _case(component, steps, steps if state else batch, settings, **given)

    return cases()


def _layer_parts(component: Component) -> Iterator[Part]:
    """The checks of rnn, lstm and gru."""
    for part in (_recursion, _gradients, _arrangements, _sequences, _extremes):
        yield from part(component)


# --- pyramidal and stack ---

_RUNS = ("forward", "backward")


def _memory_case(
    held: Mapping[str, Array], steps: int, batch: int, features: int, outputs: Mapping[str, int], **others: Any
) -> Case:
    """A case of a component that reads (B, T, F) and has outputs of these widths."""
    run, seed, scale = others.pop("run", "forward"), others.pop("seed", 1), others.pop("scale", 1.0)
    halved = steps >> sum(key.endswith(".weight_ih_l0") for key in held)
    inputs: dict[str, Any] = {"x": numbers(seed, batch, steps, features, scale=scale), "parameters": held}
    if run == "backward":
        wanted = others.pop("grads", tuple(outputs))
        inputs["grad"] = {n: numbers(seed + 30, batch, halved, outputs[n], scale=1.0) for n in wanted}
    inputs |= {key: others.pop(key) for key in ("earlier",) if key in others}
    return Case(run, inputs, **others)


def _pyramid(steps: int, levels: int, batch: int = 2, features: int = 3, hidden: int = 2, **others: Any) -> Case:
    """A case of pyramidal_rnn."""
    held: dict[str, Array] = {}
    for level in range(levels):
        weights = parameters(4, 4 * hidden if level else 2 * features, hidden, {"bidirectional": True}, 0.6)
        held |= {f"layers.{level}.{name}": value for name, value in weights.items()}
    return _memory_case(held, steps, batch, features, {"output": 2 * hidden}, **others)


def _stack(
    steps: int,
    batch: int = 2,
    depth: int = 3,
    features: int = 3,
    hidden: int = 4,
    actions: tuple[float, float, float] | None = None,
    sharp: float = 2.0,
    **others: Any,
) -> Case:
    """A case of stack_rnn; ``actions`` are added to every weight of an action, to make it likely."""
    shapes = {"U": (hidden, features), "R": (hidden, hidden), "P": (hidden, 1), "A": (3, hidden), "D": (1, hidden)}
    held = {name: numbers(200 + index, *shape, scale=1.0) for index, (name, shape) in enumerate(shapes.items())}
    held["A"] = sharp * held["A"] + (0.0 if actions is None else np.array(actions)[:, None])
    settings = {"stack_depth": depth}
    widths = {"h": hidden, "stack": depth}
    return _memory_case(held, steps, batch, features, widths, settings=settings, **others)


def _pyramid_parts(component: Component) -> Iterator[Part]:
    yield "one_pair", "two steps become one", [_pyramid(2, 1)], None
    yield "one_layer", "each step is joined with the next", [_pyramid(6, 1), _pyramid(6, 1, run="backward")], None
    yield "layers", "each layer halves the length", [_pyramid(8, 2), _pyramid(8, 3, batch=1)], None
    backward = [_pyramid(8, 2, run="backward"), _pyramid(4, 2, batch=1, run="backward")]
    yield "gradient", "the gradients go back through every layer", backward, None
    odd = [_pyramid(5, 1), _pyramid(7, 2), _pyramid(6, 2)]
    yield "odd_length", "steps that have no neighbour", [*odd, _pyramid(4, 1, run="backward")], None
    yield "saturated", "inputs far beyond where gates saturate", [_pyramid(4, 1, scale=1e3)], None
    sizes = [_pyramid(2, 1, batch=1, features=1, hidden=1), _pyramid(4, 2, features=9, hidden=5)]
    yield "sizes", "single features, and many", sizes, None
    layouts = [_pyramid(4, 1, layout=layout) for layout in ("strided", "transposed", "readonly")]
    yield "non_contiguous", "sequences that are strided, transposed or read-only arrays", layouts, None
    yield "float32", "single precision", [_pyramid(8, 2, run=run, dtype="float32") for run in _RUNS], None


def _stack_parts(component: Component) -> Iterator[Part]:
    yield "one_step", "one step from the empty stack follows the formula", [_stack(1)], None
    yield "two_steps", "the second step reads the state and the stack that the first has left", [_stack(2)], None
    yield "several_steps", "state and stack go on from step to step", [_stack(6), _stack(5, batch=3)], None
    pushing, popping, still = [_stack(6, actions=a, depth=4) for a in ((4.0, 0, 0), (0, 4.0, 0), (0, 0, 4.0))]
    yield "push", "mostly pushes, more than the stack can hold", [pushing], None
    yield "pop", "mostly pops of an empty stack", [popping], None
    yield "no_op", "mostly no-ops", [still], None
    yield "hard_actions", "actions that leave no doubt", [_stack(8, sharp=40.0, depth=4, scale=3.0)], None
    says = "a stack of one place, and one deeper than the sequence"
    yield "depth", says, [_stack(5, depth=1), _stack(3, depth=9)], None
    backward = [_stack(5, run="backward"), _stack(1, run="backward"), _stack(5, depth=1, run="backward")]
    yield "gradient", "the gradients go back through state and stack", backward, None
    single = [_stack(4, run="backward", grads=(name,)) for name in ("h", "stack")]
    late = _stack(6, run="backward")
    for grad in late.inputs["grad"].values():
        grad[:, :-1] = 0.0
    yield "gradient_of_one", "gradients that come from the states only, or from the stacks only", single, None
    yield "gradient_through_time", "a gradient at the last step reaches the first", [late], None
    earlier = numbers(9, 2, 4, 3, scale=1.0)
    yield "second_call", "a second call starts from an empty stack again", [_stack(3, earlier=earlier)], None
    yield "saturated", "inputs far beyond where the state saturates", [_stack(4, scale=1e3)], None
    yield "long_sequence", "forty steps", [_stack(40, depth=5)], None
    sizes = [_stack(3, batch=1, depth=2, features=1, hidden=1), _stack(3, batch=5, depth=17, features=9, hidden=10)]
    yield "sizes", "single units, and many", sizes, None
    layouts = [_stack(3, layout=layout) for layout in ("strided", "transposed", "readonly")]
    yield "non_contiguous", "sequences that are strided, transposed or read-only arrays", layouts, None
    yield "float32", "single precision", [_stack(6, run=run, dtype="float32") for run in _RUNS], None


_PARTS: dict[str, Callable[[Component], Iterator[Part]]] = {"pyramidal_rnn": _pyramid_parts, "stack_rnn": _stack_parts}
"""The checks of the components that are no plain layers."""


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a recurrent layer's checks, root causes before their consequences."""
    parts = _PARTS.get(component.name, _layer_parts)(component)
    return tuple(
        Check(f"recurrent.{component.name}.{name}", says, tuple(cases), search) for name, says, cases, search in parts
    )
