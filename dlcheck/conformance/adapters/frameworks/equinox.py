"""Equinox: module classes for one example, taken over a batch, as functions of their inputs and weights."""

# pyright: reportAttributeAccessIssue=false
# where a framework is not installed, pyright takes the module of its name here for it

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox  # type: ignore[import-not-found]
import jax  # type: ignore[import-not-found]
import torch

from dlcheck.component import Component
from dlcheck.conformance.adapters.frameworks import jax as bridge
from dlcheck.conformance.implementation import NotProvided, Refused

Tensor = torch.Tensor


def in_torch(component: Component, code: Any) -> Any:
    """A layer as a function of tensors; raises Refused for a component that Equinox has no layer for."""
    if not isinstance(code, type):
        return bridge.perhaps(component, code)
    if component.name not in _LAYERS:
        known = ", ".join(_LAYERS)
        raise Refused(f"modules of Equinox are judged as {known}, not as {component.name}")
    layer = partial(_LAYERS[component.name], code)
    layer.__name__ = code.__name__  # type: ignore[attr-defined]
    return layer


def _batched(made: Any, axes: int, x: Tensor, **weights: Tensor) -> Tensor:
    """A module over all axes before the last ``axes``, its weights of these names replaced."""
    names = list(weights)

    def run(x: jax.Array, *values: jax.Array) -> jax.Array:
        module = equinox.tree_at(lambda m: [getattr(m, name) for name in names], made, list(values)) if names else made
        function = module
        for _ in range(x.ndim - axes):
            function = jax.vmap(function)
        return function(x)

    return bridge.called(run, x, *weights.values())


def _given(bias: Tensor | None) -> dict[str, Tensor]:
    return {} if bias is None else {"bias": bias}


def _linear(code: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, **given: Any) -> Tensor:
    made = code(weight.shape[1], weight.shape[0], use_bias=bias is not None, key=jax.random.key(0), **given)
    return _batched(made, 1, x, weight=weight, **_given(bias))


def _conv2d(
    code: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1, **given: Any,
) -> Tensor:  # fmt: skip
    steps = {"stride": stride, "dilation": dilation, "groups": groups}
    named = padding.upper() if isinstance(padding, str) else padding
    made = code(
        weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), padding=named, use_bias=bias is not None,
        key=jax.random.key(0), **steps, **given,
    )  # fmt: skip
    return _batched(made, 3, x, weight=weight, **({} if bias is None else {"bias": bias.reshape(-1, 1, 1)}))


def _pool(
    code: Any, x: Tensor, kernel_size: Any = 2, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    **given: Any,
) -> Tensor:  # fmt: skip
    if x.dim() != 4:
        raise NotProvided("it is taken over a batch")
    steps = kernel_size if stride is None else stride
    return _batched(code(kernel_size, steps, padding, use_ceil=ceil_mode, **given), 3, x)


_LAYERS: dict[str, Callable[..., Tensor]] = {
    "linear": _linear, "conv2d": _conv2d, "max_pool2d": _pool, "avg_pool2d": _pool,
}  # fmt: skip
