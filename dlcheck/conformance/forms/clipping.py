"""Gradient clipping: the reference takes a list of gradients and gives the clipped ones, and their norm if any."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import keywords, tensor
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference


def _reached(given_as: str, before: list[Array | None], after: list[Array | None]) -> list[Array | None]:
    """The gradients that are left, by how the parameters were handed over: "list", "alone" or "generator"."""
    return after


DRIVER = {"reached": _reached}
"""What surrounds clipping."""


def _clipped(reference: Reference, case: Case) -> Any:
    name = reference.component.name
    grads = [None if grad is None else np.array(grad) for grad in case.inputs["grads"]]
    return grads, reference.required(name)(grads, **reference.keywords(name, case.settings))


def clip(reference: Reference, case: Case) -> Observation:
    """The gradients of all parameters afterwards, "grad0", "grad1", ... without those that have none."""
    before, result = _clipped(reference, case)
    after = result[0] if isinstance(result, tuple) else result
    left = reference.required("reached")(case.inputs.get("given_as", "list"), before, after)
    return Observation(_named(left), {"dtype": case.dtype, "purity": True})


def _named(grads: list[Array | None]) -> Mapping[str, Array]:
    return {f"grad{index}": grad for index, grad in enumerate(grads) if grad is not None}


def held(reference: Reference, case: Case) -> Observation:
    """What the tensors that were the gradients hold afterwards, as whoever shares their memory sees it."""
    _, result = _clipped(reference, case)
    after = result[0] if isinstance(result, tuple) else result
    return Observation(_named(after), {"dtype": case.dtype, "purity": True})


def norm(reference: Reference, case: Case) -> Observation:
    """The norm that is returned."""
    _, (_, total) = _clipped(reference, case)
    return Observation({"norm": np.asarray(total, np.float64)}, {"dtype": case.dtype, "purity": True})


def refuses(reference: Reference, case: Case) -> Observation:
    """Whether it raises an error."""
    try:
        _clipped(reference, case)
    except ValueError:
        return Observation({"refused": np.ones(())})
    return Observation({"refused": np.zeros(())})


def snippet(component: Component, case: Case) -> list[str]:
    """Give parameters their gradients and clip them."""
    grads = case.inputs["grads"]
    lines = [f"grads = [{', '.join('None' if grad is None else tensor(grad, case) for grad in grads)}]"]
    given = {"alone": "params[0]", "generator": "iter(params)"}.get(case.inputs.get("given_as", ""), "params")
    grads_now = "grads" if case.run == "held" else "[p.grad for p in params]"
    return [
        *lines,
        "params = [torch.nn.Parameter(torch.zeros(2) if g is None else torch.zeros_like(g)) for g in grads]",
        "for p, g in zip(params, grads): p.grad = g",
        f"print(target({given}{keywords(case)}))",
        f"print({grads_now})",
    ]


RUNS = {"clip": clip, "held": held, "norm": norm, "refuses": refuses}
FORM = Form(RUNS, ("dtype", "purity", "determinism"), snippet, DRIVER)
