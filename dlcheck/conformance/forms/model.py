"""Networks: the reference gives a declaration, and what is compared are arrays that describe its structure.

No weights are looked at, but whether they start at zero. Every aspect of ``dlcheck.models.description`` is a run, seen
in training; so are the number of parameters, how they are held, what flows, and what differs in evaluation.
"""

from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.implementation import Observation
from dlcheck.conformance.oracle import Reference
from dlcheck.models import description
from dlcheck.models.declaration import Dropout, Head, Network, parameter_count
from dlcheck.models.structure import Graph, of_network

HOLDING = ("idle", "shared", "unregistered", "frozen", "zeros")
"""Mistakes in how parameters are held."""
FLOW = ("stopped", "mixed", "untracked", "unbatched", "forgetful")
"""Mistakes in what goes forwards and backwards through a network."""


def observed(
    run: str, graph: Callable[[bool], Graph], size: Callable[[], int], wrong: Callable[[], Collection[str]]
) -> Observation:
    """What a run shows of a network: its graph in training (True) or evaluation, its size, what is wrong with it."""
    if run == "size":
        return Observation({"parameters": np.array([float(size())])})
    if run in ("parameters", "flow"):
        names = HOLDING if run == "parameters" else FLOW
        return Observation({name: np.array([float(name in wrong())]) for name in names})
    if run == "evaluation":
        outputs = {"outputs": np.array([float(len(graph(False).outputs))])}
        return Observation({**outputs, **description.dropout(graph(False)), **description.activations(graph(False))})
    return Observation(description.ASPECTS[run](graph(True)))


def _reference(run: str, reference: Reference, case: Case) -> Observation:
    name = reference.component.name
    keywords = reference.keywords(name, case.settings)
    declared = reference.required(name), tuple(sorted(keywords.items()))
    return observed(run, partial(_graph, *declared), partial(_size, *declared), partial(_wrong, *declared))


@cache
def _network(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...]) -> Network:
    return declare(**dict(keywords))


def _size(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...]) -> int:
    """How many numbers the layers learn that lead somewhere."""
    return parameter_count(_network(declare, keywords), used=True)


def _wrong(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...]) -> tuple[str, ...]:
    """What is wrong with a declared network beside its layers; those that lead nowhere hold parameters in vain."""
    network = _network(declare, keywords)
    unused = parameter_count(network) > parameter_count(network, used=True)
    return (*network.holding, *network.flow, *(("idle",) if unused else ()))


@cache
def _graph(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...], training: bool) -> Graph:
    network = _network(declare, keywords)
    if not training and not any(isinstance(layer, (Dropout, Head)) for layer in network.layers):
        return _graph(declare, keywords, True)
    return of_network(network, training)


def snippet(component: Component, case: Case) -> list[str]:
    """Build the network, print its modules, its parameters and the shape of what it gives."""
    shape = tuple(case.inputs["images"][0])
    return [
        f"model = target({', '.join(f'{name}={value!r}' for name, value in case.settings.items())})",
        "print(model)",
        "print(sum(parameter.numel() for parameter in model.parameters()), 'parameters')",
        f"outputs = model.train()(torch.zeros(2, *{shape!r}))",
        "print([tuple(output.shape) for output in (outputs if isinstance(outputs, tuple) else (outputs,))])",
    ]


RUNS = ("size", *description.ASPECTS, "evaluation", "parameters", "flow")
FORM = Form({run: partial(_reference, run) for run in RUNS}, (), snippet)
