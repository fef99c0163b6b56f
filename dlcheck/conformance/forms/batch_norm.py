"""Layers with running statistics: the reference has a pure step that returns the output and the new statistics.

A case is a session: ``inputs`` holds "steps", each {"x": array, "mode": "train" | "eval"} and where wanted
"grad_output", "set" (settings changed from outside before the step), "call" ("freeze" or "unfreeze", in a tuple),
"reload" (the layer is saved, and loaded into a fresh one), "copy" (a deep copy goes on, and the layer it was made of
sees this step first) and "no_grad" (no gradients are recorded). "weight", "bias", "running_mean" and "running_var" are
where the layer starts.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import tensor
from dlcheck.conformance.implementation import Array, NotProvided, Observation
from dlcheck.conformance.oracle import Reference

Settings = dict[str, Any]

PARAMETERS, BUFFERS = ("weight", "bias"), ("running_mean", "running_var")


def _reload_statistics(statistics: Any) -> Any:
    return statistics


def _outside_change(settings: Settings, change: Mapping[str, Any]) -> Settings:
    return {**settings, **change}


def _freeze(settings: Settings) -> Settings:
    return {**settings, "frozen": True}


def _unfreeze(settings: Settings) -> Settings:
    return {**settings, "frozen": False}


def _copied(own: Any, of_original: Any) -> Any:
    return own


def _unrecorded(before: Any, after: Any) -> Any:
    return after


DRIVER = {
    "copied": _copied,
    "unrecorded": _unrecorded,
    "reload_statistics": _reload_statistics,
    "outside_change": _outside_change,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
}
"""What surrounds a layer's step; in a frozen layer the statistics stay as they are.

``copied`` gives the statistics of a copy from those that it was made with and those that the original has moved on to,
``unrecorded`` those after a step without gradients from those before and after it.
"""


def parameters(case: Case) -> dict[str, Array]:
    """The parameters that a case puts into the layer: none where it is not affine."""
    affine = case.settings.get("affine", True)
    return {name: np.array(case.inputs[name]) for name in PARAMETERS if affine and name in case.inputs}


def _start(reference: Reference, case: Case) -> Any:
    if not case.settings.get("track_running_stats", True):
        return None
    made = reference.required("initial_statistics")(np.shape(case.inputs["steps"][0]["x"])[1])
    given = (np.array(case.inputs.get(name, now)) for name, now in zip(BUFFERS, made, strict=False))
    return type(made)(*given, *made[2:])


def _known(reference: Reference, function: str, settings: Settings) -> Settings:
    """The settings of the formula: others are of the layer around it."""
    known = ("eps",) if function == "batch_norm_backward" else ("momentum", "eps")
    return reference.keywords(function, {name: settings[name] for name in known if name in settings})


class _Step(NamedTuple):
    """A step with its output, the statistics before and after it, and whether its arrays are as they were."""

    asked: Mapping[str, Any]
    settings: Settings
    output: Array
    before: Any
    after: Any
    pure: bool


def _session(reference: Reference, case: Case) -> Iterator[_Step]:
    statistics, settings, held = _start(reference, case), dict(case.settings), parameters(case)
    for step in case.inputs["steps"]:
        settings = reference.required("outside_change")(settings, step.get("set", {}))
        for name in step.get("call", ()):
            settings = reference.required(name)(settings)
        statistics = reference.required("reload_statistics")(statistics) if step.get("reload") else statistics
        keywords = _known(reference, "batch_norm", settings) | {"training": step["mode"] == "train"}
        x = np.array(step["x"])
        normalized = partial(reference.required("batch_norm"), **held, **keywords)
        if step.get("copy"):
            statistics = reference.required("copied")(statistics, normalized(x, statistics=statistics)[1])
        output, after = normalized(x, statistics=statistics)
        after = reference.required("unrecorded")(statistics, after) if step.get("no_grad") else after
        after = statistics if settings.get("frozen") else after
        yield _Step(step, settings, output, statistics, after, np.array_equal(x, step["x"], equal_nan=True))
        statistics = after


def forward(reference: Reference, case: Case) -> Observation:
    """The output of each step."""
    steps = list(_session(reference, case))
    values = {f"output{index}": np.asarray(step.output) for index, step in enumerate(steps)}
    return Observation(values, _facts(case, steps))


def backward(reference: Reference, case: Case) -> Observation:
    """The gradients of each step that has an upstream gradient."""
    values, steps = {}, list(_session(reference, case))
    for index, step in enumerate(steps):
        if "grad_output" in step.asked:
            mode = {"training": step.asked["mode"] == "train", "statistics": step.before}
            keywords = _known(reference, "batch_norm_backward", step.settings) | mode
            given = np.array(step.asked["grad_output"]), np.array(step.asked["x"])
            found = reference.required("batch_norm_backward")(*given, **parameters(case), **keywords)
            values |= {f"grad_{name}{index}": np.asarray(gradient) for name, gradient in found.items()}
    return Observation(values, _facts(case, steps))


def statistics(reference: Reference, case: Case) -> Observation:
    """The running mean and variance after each step, as axis 0."""
    steps = list(_session(reference, case))
    if steps[0].after is None:
        raise NotProvided("a layer that tracks no statistics has none")
    values = {name: np.stack([step.after[place] for step in steps]) for place, name in enumerate(BUFFERS)}
    return Observation(values, _facts(case, steps))


def attempt(reference: Reference, case: Case) -> Observation:
    """The outputs, or that the layer refuses: either may be right."""
    try:
        seen = forward(reference, case)
    except ValueError:
        return Observation({"refused": np.array(1.0)}, _facts(case, []))
    return Observation({"refused": np.array(0.0), **seen.values}, seen.facts)


def _facts(case: Case, steps: list[_Step]) -> dict[str, Any]:
    return {"dtype": case.dtype, "purity": all(step.pure for step in steps)}


def snippet(component: Component, case: Case) -> list[str]:
    """Build the layer, or keep the statistics for a function, and go through the steps."""
    channels = np.shape(case.inputs["steps"][0]["x"])[1]
    arguments = "".join(f", {name}={value!r}" for name, value in case.settings.items())
    lines = [f"layer = target({channels}{arguments}).to(torch.{case.dtype})"]
    given = [name for name in (*PARAMETERS, *BUFFERS) if name in case.inputs]
    lines += [f"layer.{name}.data.copy_({tensor(case.inputs[name], case)})" for name in given]
    for step in case.inputs["steps"]:
        lines += [f"layer.{name} = {value!r}" for name, value in step.get("set", {}).items()]
        lines += [f"layer.{name}()" for name in step.get("call", ())]
        if step.get("reload"):
            fresh = f"target({channels}{arguments}).to(torch.{case.dtype})"
            lines += ["saved = layer.state_dict()", f"layer = {fresh}", "layer.load_state_dict(saved)"]
        lines += [f"layer.train({step['mode'] == 'train'})", f"x = {tensor(step['x'], case)}.requires_grad_()"]
        if step.get("copy"):
            lines += ["original, layer = layer, copy.deepcopy(layer)", "original(x)"]
        lines += ["with torch.no_grad():\n    output = layer(x)" if step.get("no_grad") else "output = layer(x)"]
        lines += ["print(output)"]
        if "grad_output" in step:
            upstream = tensor(step["grad_output"], case)
            lines += [f"print(torch.autograd.grad(output, [x, *layer.parameters()], {upstream}))"]
    return [*lines, "print(layer.running_mean, layer.running_var)"]


FORM = Form(
    {"forward": forward, "backward": backward, "statistics": statistics, "attempt": attempt},
    ("dtype", "purity", "determinism"),
    snippet,
    DRIVER,
)
