"""Networks: the reference gives a declaration, and what is compared are arrays that describe its structure.

No weights are looked at. Every aspect of ``dlcheck.models.description`` is a run, seen in training; so are the number
of parameters and what differs in evaluation.
"""

from collections.abc import Callable
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


def observed(run: str, graph: Callable[[bool], Graph], parameters: Callable[[], int]) -> Observation:
    """What a run shows of a network: its graph in training (True) or evaluation, and how many parameters it holds."""
    if run == "parameters":
        held, used = float(parameters()), float(description.used_parameters(graph(True)))
        return Observation({"held parameters": np.array([held]), "used ones": np.array([used])})
    if run == "evaluation":
        return Observation({**description.dropout(graph(False)), **description.activations(graph(False))})
    return Observation(description.ASPECTS[run](graph(True)))


def _reference(run: str, reference: Reference, case: Case) -> Observation:
    name = reference.component.name
    keywords = reference.keywords(name, case.settings)
    declared = reference.required(name), tuple(sorted(keywords.items()))
    return observed(run, partial(_graph, *declared), lambda: parameter_count(_network(*declared)))


@cache
def _network(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...]) -> Network:
    return declare(**dict(keywords))


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


RUNS = (*description.ASPECTS, "evaluation", "parameters")
FORM = Form({run: partial(_reference, run) for run in RUNS}, (), snippet)
