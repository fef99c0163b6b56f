"""Networks: the reference gives a declaration, and what is compared are arrays that describe its structure.

No weights are looked at. Every aspect of ``dlcheck.models.description`` is a run, seen in training; so are the
parameters and what differs in evaluation.
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

HOLDING = ("idle", "shared", "unregistered", "frozen")
"""Mistakes in how parameters are held."""


def observed(run: str, graph: Callable[[bool], Graph], holding: Callable[[], Collection[str]]) -> Observation:
    """What a run shows of a network: its graph in training (True) or evaluation, and how it holds its parameters."""
    if run == "parameters":
        used = np.array([float(description.used_parameters(graph(True)))])
        return Observation({"used": used, **{name: np.array([float(name in holding())]) for name in HOLDING}})
    if run == "evaluation":
        outputs = {"outputs": np.array([float(len(graph(False).outputs))])}
        return Observation({**outputs, **description.dropout(graph(False)), **description.activations(graph(False))})
    return Observation(description.ASPECTS[run](graph(True)))


def _reference(run: str, reference: Reference, case: Case) -> Observation:
    name = reference.component.name
    keywords = reference.keywords(name, case.settings)
    declared = reference.required(name), tuple(sorted(keywords.items()))
    return observed(run, partial(_graph, *declared), partial(_holding, *declared))


@cache
def _network(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...]) -> Network:
    return declare(**dict(keywords))


@cache
def _holding(declare: Callable[..., Network], keywords: tuple[tuple[str, Any], ...]) -> tuple[str, ...]:
    """What is wrong with how a declared network holds its parameters; layers that lead nowhere hold theirs in vain."""
    network = _network(declare, keywords)
    unused = parameter_count(network) > description.used_parameters(_graph(declare, keywords, True))
    return (*network.holding, *(("idle",) if unused else ()))


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
