"""Recurrent layers: the reference has ``name(x, parameters, state, lengths, ...)``, which gives outputs by name.

``name_backward(grad, x, parameters, ...)`` gives the gradients of x, of each parameter and, where one was given, of the
state. A case has "x", "parameters" by the model's names, and may have "state" ("h_0", "c_0"), "lengths", for a backward
run "grad" by output, "earlier": another sequence that the same object reads first, "earlier_parameters": those that it
has then, and "evaluation": whether it is switched to evaluation before. A forward run may be of a single sequence
without its axis: x (T, F), states (L, H).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import tensor
from dlcheck.conformance.implementation import Array, NotProvided, Observation
from dlcheck.conformance.oracle import Reference

ARGUMENTS = ("x", "parameters", "state", "lengths")
_SEQUENCES = 100
"""Equal sequences on which the reference shows dropout."""


def given(case: Case) -> dict[str, Any]:
    """Copies of the arguments that a case gives, in order."""
    return {name: _copied(case.inputs[name]) for name in ARGUMENTS if name in case.inputs}


def _copied(value: Any) -> Any:
    return {key: np.array(inner) for key, inner in value.items()} if isinstance(value, Mapping) else np.array(value)


def arrays(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays among arguments, those of mappings under their own names."""
    nested = [value if isinstance(value, Mapping) else {name: value} for name, value in arguments.items()]
    return {name: value for mapping in nested for name, value in mapping.items()}


def _facts(case: Case, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The dtype that the result should have, and whether the arguments still hold what the case has."""
    before = arrays({name: case.inputs[name] for name in arguments})
    pure = all(np.array_equal(now, before[name], equal_nan=True) for name, now in arrays(arguments).items())
    return {"dtype": case.dtype, "purity": pure}


def _next_state(given: Any, earlier: Mapping[str, Array]) -> Any:
    """The state that a call starts from, given the outputs of an earlier call of the same object."""
    return given


def _parameters_now(held: Mapping[str, Array], before: Mapping[str, Array]) -> Mapping[str, Array]:
    """The parameters that a call reads: those that the object has, not those that it had in an earlier call."""
    return held


def _state_of_one(state: Mapping[str, Array]) -> Mapping[str, Array]:
    """The state that a single sequence without its axis starts from."""
    return state


def _in_evaluation(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that hold in evaluation."""
    return {**settings, "dropout": 0.0}


def _dropout_law(share: float) -> tuple[float, float, float]:
    """What dropout multiplies a number with that it drops, and one that it keeps, and the share of those it keeps."""
    return 0.0, 1 / (1 - share), 1 - share


def forward(reference: Reference, case: Case) -> Observation:
    """The outputs: "output", and the final state as "h_n", "c_n"."""
    name, arguments = reference.component.name, given(case)
    settings = reference.required("in_evaluation")(case.settings) if "evaluation" in case.inputs else case.settings
    function, keywords = reference.required(name), reference.keywords(name, settings)
    started = dict(arguments)
    if "earlier" in case.inputs:
        before = _copied(case.inputs.get("earlier_parameters", arguments["parameters"]))
        outputs = function(np.array(case.inputs["earlier"]), before, **keywords)
        started["state"] = reference.required("next_state")(arguments.get("state"), outputs)
        started["parameters"] = reference.required("parameters_now")(arguments["parameters"], before)
    if arguments["x"].ndim == 2:
        return Observation(_of_one(reference, function, started, keywords), _facts(case, arguments))
    values = function(**started, **keywords)
    return Observation({key: np.asarray(value) for key, value in values.items()}, _facts(case, arguments))


def _of_one(reference: Reference, function: Any, started: Mapping[str, Any], keywords: Any) -> dict[str, Array]:
    """The outputs for a sequence without an axis of sequences, which have none either."""
    axis = 0 if keywords.get("batch_first") else 1
    state = reference.required("state_of_one")(started["state"])
    rows = {name: value[:, None] for name, value in state.items()}
    values = function(**{**started, "x": np.expand_dims(started["x"], axis), "state": rows}, **keywords)
    return {name: np.take(value, 0, axis if name == "output" else 1) for name, value in values.items()}


def backward(reference: Reference, case: Case) -> Observation:
    """The gradients of the sequence, of the parameters, and of the state where one is given."""
    name, arguments = f"{reference.component.name}_backward", given(case)
    keywords = reference.keywords(name, case.settings)
    gradients = reference.required(name)(_copied(case.inputs["grad"]), **arguments, **keywords)
    values = {f"grad_{key}": np.asarray(value) for key, value in gradients.items()}
    return Observation(values, _facts(case, arguments))


def dropped(reference: Reference, case: Case) -> Observation:
    """The final states to which dropout between two layers of one unit leads; the upper one forgets at once."""
    name, arguments = reference.component.name, given(case)
    none, kept, share = reference.required("dropout_law")(case.settings["dropout"])
    keywords, weights = reference.keywords(name, {**case.settings, "dropout": 0.0}), arguments["parameters"]

    def last(factor: float) -> float:
        scaled = {**weights, "weight_ih_l1": factor * weights["weight_ih_l1"]}
        return reference.required(name)(arguments["x"], scaled, **keywords)["h_n"][-1, 0, 0]

    states = np.where(np.arange(_SEQUENCES) < share * _SEQUENCES, last(kept), last(none))
    return drawn(states, _facts(case, arguments))


def drawn(states: Array, facts: Mapping[str, Any]) -> Observation:
    """The least and the largest of some states, and whether most are nearer the largest."""
    least, largest = states.min(), states.max()
    upper = float(np.mean(states > (least + largest) / 2) > 0.5)
    return Observation({"states": np.array([least, largest]), "most are the largest": np.array([upper])}, facts)


def built(reference: Reference, case: Case) -> Observation:
    """What it holds once built: the number of bias vectors that each block of its weights has."""
    name = f"{reference.component.name}_parameters"
    sizes = reference.component.construct(case)
    shapes = reference.required(name)(**sizes, **reference.keywords(name, case.settings))
    return Observation({"bias_vectors": bias_vectors(shapes)}, {"dtype": case.dtype, "purity": True})


def bias_vectors(shapes: Mapping[str, tuple[int, ...]]) -> Array:
    """Numbers in the biases over the outputs of the recurrent weights they belong to."""
    biases = sum(int(np.prod(shape)) for name, shape in shapes.items() if "bias" in name)
    outputs = sum(shape[0] for name, shape in shapes.items() if "weight_hh" in name)
    if not biases or not outputs:
        raise NotProvided("it holds no biases")
    return np.array(biases / outputs)


def snippet(component: Component, case: Case) -> list[str]:
    """Build the module, put the parameters in, and run it."""
    arguments = {**component.construct(case), **case.settings}
    written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    lines = [f"module = target({written}).to(torch.{case.dtype})"]
    lines += ["module.eval()"] if "evaluation" in case.inputs else []
    if "earlier" in case.inputs:
        lines += _put(case, case.inputs.get("earlier_parameters", case.inputs["parameters"]))
        lines += [f"module({tensor(case.inputs['earlier'], case)})"]
    lines += _put(case, case.inputs["parameters"])
    lines += [f"x = {tensor(case.inputs['x'], case)}.requires_grad_()", *_calls(case)]
    return lines + (_gradients(case) if case.run == "backward" else [])


def _put(case: Case, parameters: Mapping[str, Array]) -> list[str]:
    named = parameters.items()
    return [f"dict(module.named_parameters())[{name!r}].data.copy_({tensor(value, case)})" for name, value in named]


def _calls(case: Case) -> list[str]:
    state = [tensor(value, case) for value in case.inputs.get("state", {}).values()]
    after = "" if not state else f", {state[0]}" if len(state) == 1 else f", ({', '.join(state)})"
    read = "x"
    if "lengths" in case.inputs:
        flags = f"batch_first={case.settings.get('batch_first', False)}"
        lengths = case.inputs["lengths"].tolist()
        read = f"torch.nn.utils.rnn.pack_padded_sequence(x, {lengths}, {flags}, enforce_sorted=False)"
    return [f"outputs = module({read}{after})", "print(outputs)"]


def _gradients(case: Case) -> list[str]:
    """Add up each output times its gradient, and differentiate."""
    output = "outputs if torch.is_tensor(outputs) else outputs[0]"
    if "lengths" in case.inputs:
        flags = f"batch_first={case.settings.get('batch_first', False)}"
        output = f"torch.nn.utils.rnn.pad_packed_sequence(outputs[0], {flags})[0]"
    state = "outputs[1] if isinstance(outputs[1], tuple) else (outputs[1],)"
    lines = [f"given = {{'output': {output}}}"] if "output" in case.inputs["grad"] else ["given = {}"]
    if set(case.inputs["grad"]) - {"output"}:
        lines += [f"given |= dict(zip(('h_n', 'c_n'), {state}))"]
    terms = [f"(given[{name!r}] * {tensor(value, case)}).sum()" for name, value in case.inputs["grad"].items()]
    lines += [f"({' + '.join(terms)}).backward()", "print(x.grad)"]
    return [*lines, "print({name: value.grad for name, value in module.named_parameters()})"]


FORM = Form(
    {"forward": forward, "backward": backward, "built": built, "dropped": dropped},
    ("dtype", "purity", "determinism"),
    snippet,
    {
        "next_state": _next_state,
        "parameters_now": _parameters_now,
        "state_of_one": _state_of_one,
        "in_evaluation": _in_evaluation,
        "dropout_law": _dropout_law,
    },
    chance_runs=("dropped",),
    switches=("layout",),
)
