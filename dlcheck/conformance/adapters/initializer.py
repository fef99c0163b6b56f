"""Initializers: functions that fill a tensor in place and return it."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from dlcheck.component import Case, Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.implementation import Implementation, Misbehaviour, Observation, Refused


class Initializer(Implementation):
    """A function called with a tensor to fill (or, failing that, with an array)."""

    def __init__(
        self, component: Component, code: Callable[..., Any], fixed: Mapping[str, Any], device: str, seed: int
    ):
        self.component, self.code, self.fixed, self.device = component, code, fixed, device
        self.seeds = itertools.count(seed)
        self.name = getattr(code, "__name__", type(code).__name__)

    def observe(self, case: Case) -> Observation:
        """Fill as many tensors as the case asks for, from one stream."""
        settings = calling.keywords(self.code, self.component, case.settings, self.fixed, 1)
        seed = next(self.seeds)
        first = self._filled(case, settings, case.inputs["draws"], seed)
        facts = {"dtype": calling.dtype_name(first[0]), **self._facts(case, settings, first, seed)}
        return Observation({"samples": np.stack([calling.to_numpy(t, "the tensor") for t in first])}, facts)

    def _filled(self, case: Case, settings: Mapping[str, Any], draws: int, seed: int) -> list[torch.Tensor]:
        # code that takes a generator should not look at the global stream, which then goes on from run to run
        torch.manual_seed(next(self.seeds) if self._takes_generator() else seed)
        stream = {"generator": torch.Generator(self.device).manual_seed(seed)} if self._takes_generator() else {}
        return [self._one(case, {**settings, **stream}, required=draw % 2 == 0) for draw in range(draws)]

    def _one(self, case: Case, settings: Mapping[str, Any], required: bool) -> torch.Tensor:
        made, beside = self._empty(case)
        made.requires_grad_(required)
        returned = self.code(made, **settings)
        if returned is not made:
            raise Misbehaviour(f"it returned {_described(returned)}, expected the very tensor that it was given")
        if made.requires_grad != required:
            raise Misbehaviour(f"it switched requires_grad {'off' if required else 'on'}")
        if not beside.isnan().all():
            raise Misbehaviour("it writes into memory beside the tensor that it was given, a strided view")
        return made

    def _empty(self, case: Case) -> tuple[torch.Tensor, torch.Tensor]:
        """A tensor to fill, laid out in memory as the case asks for, and what lies between its entries."""
        shape, how = tuple(case.inputs["shape"]), {"dtype": getattr(torch, case.dtype), "device": self.device}
        if case.layout == "strided":  # with rows of odd length, so that no flat view of it exists
            whole = torch.full((*shape[:-1], 2 * shape[-1] + 1), float("nan"), **how)
            return whole[..., 1::2], whole[..., ::2]
        if case.layout == "transposed":
            made = torch.full(shape[::-1], float("nan"), **how)
            return made.permute(*range(made.dim())[::-1]), made[:0]
        return torch.full(shape, float("nan"), **how), torch.empty(0)

    def _facts(self, case: Case, settings: Mapping[str, Any], first: list[torch.Tensor], seed: int) -> dict[str, Any]:
        """Whether successive draws differ, and whether a generator, where one is accepted, is obeyed."""
        fresh = {"fresh": len(first) < 2 or not torch.equal(first[0], first[1])}
        if not self._takes_generator():
            return fresh
        return {"generator": torch.equal(self._filled(case, settings, 1, seed)[0], first[0]), **fresh}

    def _takes_generator(self) -> bool:
        return "generator" in (calling.parameters(self.code) or {})


def _described(returned: Any) -> str:
    return "None" if returned is None else f"another {type(returned).__name__}"


def adapt(component: Component, code: Any, fixed: Mapping[str, Any], device: str, seed: int) -> Implementation:
    """The adapter that fits the code."""
    if not callable(code):
        raise Refused(f"a {type(code).__name__} cannot be called")
    return Initializer(component, code, fixed, device, seed)
