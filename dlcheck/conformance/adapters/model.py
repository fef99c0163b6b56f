"""Networks: torch modules, whose structure is read off a call on tensors that have shapes alone, or numbers too."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.adapters.operations import KNOWN
from dlcheck.conformance.adapters.tracing import Zeros, memory, traced
from dlcheck.conformance.adapters.translation import Translator
from dlcheck.conformance.forms.model import observed
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Observation, Refused
from dlcheck.models.description import used_parameters
from dlcheck.models.structure import Graph

_BATCH = 2
"""Images in a call: batch normalisation of 1 x 1 maps needs more than one."""
_SMALL = 64 * 64
"""Numbers of a channel of an image up to which a network is run on numbers, which show more than shapes."""

Seen = tuple[Graph, Graph, frozenset[str]]
"""The graphs in training and in evaluation, and what is wrong beside them: mistakes of HOLDING and of FLOW."""


class Model(Implementation):
    """A class or factory called with ``num_classes``, or a module that is made already."""

    def __init__(self, component: Component, code: Any, fixed: Mapping[str, Any], seed: int):
        self.component, self.code, self.fixed, self.seed = component, code, fixed, seed
        self.name = getattr(code, "__name__", type(code).__name__)
        self._seen: dict[tuple[Any, ...], Seen] = {}

    def observe(self, case: Case) -> Observation:
        """What one run shows; the network is built and called once for all runs of equal settings."""
        key = tuple(case.settings.items())
        if key not in self._seen:
            self._seen[key] = self._looked_at(case)
        training, evaluation, wrong = self._seen[key]
        graphs = {True: training, False: evaluation}
        return observed(case.run, graphs.__getitem__, lambda: used_parameters(training), lambda: wrong)

    def _looked_at(self, case: Case) -> Seen:
        """As seen on the image on which it does least: one of another size may need a pool to be made to fit."""
        found, failures = [], []
        for image in case.inputs["images"]:
            try:
                found.append(self._seen_on(case, tuple(image)))
            except Exception as error:
                failures.append(error)
        if not found:
            raise failures[0]
        return min(found, key=lambda seen: len(seen[0].nodes))

    def _seen_on(self, case: Case, image: tuple[int, ...]) -> Seen:
        if image[1] * image[2] > _SMALL:
            try:
                seen, derived = self._called(case, image, "meta")
            except (NotProvided, Refused):
                raise
            except Exception:
                # code may ask a tensor for its numbers, or make one without asking for a device
                return self._called(case, image, "cpu")[0]
            if not derived:
                return seen
        return self._called(case, image, "cpu")[0]

    def _called(self, case: Case, image: tuple[int, ...], device: str) -> tuple[Seen, bool]:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            torch.manual_seed(self.seed)
            with Zeros() as zeros:
                module = self._made(case)
            training, translator, uses = _graph(module.train(), torch.ones(_BATCH, *image), zeros.found())
            with torch.no_grad():
                evaluation, evaluated, _ = _graph(module.eval(), torch.ones(_BATCH, *image))
        wrong = _holding(module, uses, training, translator) | _flow(translator, evaluated)
        if module is self.code:  # whoever made it may have frozen what is learned already
            wrong -= {"frozen", "unbatched"}
        return (training, evaluation, wrong), translator.derived_weights

    def _made(self, case: Case) -> torch.nn.Module:
        if isinstance(self.code, torch.nn.Module):
            if dict(case.settings) != dict(self.component.settings):
                raise NotProvided("a made module cannot be given num_classes")
            return self.code
        made = self.code(**calling.keywords(self.code, self.component, case.settings, self.fixed))
        if not isinstance(made, torch.nn.Module):
            raise Misbehaviour(f"it made a {type(made).__name__}, expected a torch.nn.Module")
        return made


def _graph(
    module: Callable[..., Any], image: torch.Tensor, zeros: frozenset[int] = frozenset()
) -> tuple[Graph, Translator, list[torch.Tensor]]:
    trace, outputs = traced(module, image)
    translator = Translator(trace, KNOWN, zeros)
    return translator.graph_of(outputs), translator, trace.constants(outputs)


def _holding(module: torch.nn.Module, uses: list[torch.Tensor], graph: Graph, translator: Translator) -> frozenset[str]:
    """What is wrong with how a module holds its parameters, seen by the memory of the tensors that it uses.

    A kernel that is made of a parameter lies elsewhere: then numbers are counted.
    """
    held = {memory(parameter): parameter.numel() for parameter in module.parameters()}
    often = Counter((memory(tensor), tensor.storage_offset()) for tensor in uses if memory(tensor) in held)
    if translator.derived_weights:
        idle = sum(held.values()) - translator.masked > used_parameters(graph)
    else:
        idle = bool(held.keys() - {place for place, _ in often})
    unknown = any(isinstance(tensor, torch.nn.Parameter) and memory(tensor) not in held for tensor in uses)
    frozen = not all(parameter.requires_grad for parameter in module.parameters())
    found = {"idle": idle, "shared": max(often.values(), default=0) > 1, "unregistered": unknown, "frozen": frozen,
             "zeros": translator.zeros_in_a_row()}  # fmt: skip
    return frozenset(name for name, wrong in found.items() if wrong)


def _flow(training: Translator, evaluation: Translator) -> frozenset[str]:
    """What is wrong with what goes through a module, and back."""
    found = {"stopped": "stopped" in training.flow, "mixed": "mixed" in training.flow | evaluation.flow,
             "unbatched": "running" in training.flow, "untracked": "batch" in evaluation.flow,
             "forgetful": "forgetful" in training.flow}  # fmt: skip
    return frozenset(name for name, wrong in found.items() if wrong)


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code; a structure is the same on every device."""
    if isinstance(code, torch.nn.Module):
        return Model(component, code, fixed, seed)
    if inspect.isclass(code) and not issubclass(code, torch.nn.Module):
        raise Refused("a class must be a torch.nn.Module")
    return Model(component, code, fixed, seed)
