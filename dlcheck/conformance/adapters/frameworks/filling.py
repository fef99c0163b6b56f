"""Initializers that return an array of a given shape, as ones that fill a tensor in place."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from dlcheck.component import Component
from dlcheck.conformance.adapters.frameworks import naming


def in_place(
    component: Component, code: Callable[..., Any], names: Mapping[str, str], draw: Callable[..., torch.Tensor]
) -> Any:
    """A function of a tensor; ``draw(code, shape, dtype, seed, **settings)`` gives its numbers.

    The libraries' kernels are (..., in, out), the model's (out, in, ...): what is drawn is laid out anew.
    """

    def fill(code: Callable[..., Any], tensor: torch.Tensor, **settings: Any) -> torch.Tensor:
        shape = (*tensor.shape[2:], *reversed(tensor.shape[:2]))
        seed = int(torch.randint(2**31, ()))
        drawn = draw(code, shape, str(tensor.dtype).removeprefix("torch."), seed, **settings)
        if drawn.dim() > 1:
            drawn = drawn.movedim((-1, -2), (0, 1))
        with torch.no_grad():
            return tensor.copy_(drawn)

    return naming.function(component, code, names, fill)
