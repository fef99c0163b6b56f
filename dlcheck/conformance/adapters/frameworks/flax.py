"""Flax: layers of linen and functions of JAX arrays."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as linen  # type: ignore[import-not-found]
import torch

from dlcheck.component import Component
from dlcheck.conformance.adapters.frameworks import jax as bridge
from dlcheck.conformance.adapters.frameworks import naming
from dlcheck.conformance.implementation import NotProvided, Refused

Tensor = torch.Tensor


def in_torch(component: Component, code: Any) -> Any:
    """A layer or a function as one of tensors; raises Refused for a layer of another component or of nnx."""
    if component.form == "initializer" or not (isinstance(code, type) or component.name in _FUNCTIONS):
        return bridge.in_torch(component, code)
    known = _LAYERS if isinstance(code, type) and issubclass(code, linen.Module) else _FUNCTIONS
    if component.name not in known or (isinstance(code, type) and known is _FUNCTIONS):
        raise Refused(f"layers of Flax are those of linen for {' and '.join(_LAYERS)}, not for {component.name}")
    layer = partial(known[component.name], code)
    layer.__name__ = code.__name__  # type: ignore[attr-defined]
    return layer


def _applied(layer: Any, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    weights = {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}
    return bridge.called(lambda x, weights: layer.apply({"params": weights}, x), x, weights)


def _dense(code: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, **given: Any) -> Tensor:
    return _applied(code(len(weight), use_bias=bias is not None, **given), x, weight.T, bias)


def _conv2d(
    code: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1, **given: Any,
) -> Tensor:  # fmt: skip
    zeros = padding.upper() if isinstance(padding, str) else [(size, size) for size in naming.pair(padding)]
    layer = code(
        len(weight), tuple(weight.shape[2:]), strides=naming.pair(stride), kernel_dilation=naming.pair(dilation),
        feature_group_count=groups, padding=zeros, use_bias=bias is not None, **given,
    )  # fmt: skip
    return _applied(layer, x.movedim(1, -1), weight.permute(2, 3, 1, 0), bias).movedim(-1, 1)


def _pool(code: Any, x: Tensor, kernel_size: Any = 2, stride: Any = None, padding: Any = 0, **given: Any) -> Tensor:
    """A function of maps with their channels last, and of the window."""
    if isinstance(padding, str):
        raise NotProvided(f"it is given padding={padding!r} as numbers")
    zeros = [(size, size) for size in naming.pair(padding)]
    window = naming.pair(kernel_size)
    steps = window if stride is None else naming.pair(stride)
    pooled = bridge.called(lambda x: code(x, window, strides=steps, padding=zeros, **given), x.movedim(-3, -1))
    return pooled.movedim(-1, -3)


_LAYERS: dict[str, Callable[..., Tensor]] = {"linear": _dense, "conv2d": _conv2d}
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {"max_pool2d": _pool, "avg_pool2d": _pool}
