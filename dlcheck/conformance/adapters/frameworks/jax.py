"""JAX: functions of arrays as functions of tensors, differentiated by ``jax.vjp``."""

# pyright: reportAttributeAccessIssue=false
# where a framework is not installed, pyright takes the module of its name here for it

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax  # type: ignore[import-not-found]
import numpy as np
import torch
from torch.utils import _pytree as pytree

from dlcheck.component import Component
from dlcheck.conformance.adapters.frameworks import naming
from dlcheck.conformance.adapters.frameworks.filling import in_place
from dlcheck.conformance.implementation import Misbehaviour, NotProvided

jax.config.update("jax_enable_x64", True)

_NAMES = {"dim": "axis"}
_OF_INITIALIZERS = {"std": "stddev", "gain": "scale", "val": "value", "a": "lower", "b": "upper"}


def in_torch(component: Component, code: Any) -> Any:
    """A function of JAX, or a factory of initializers."""
    if component.form == "initializer":
        return in_place(component, code, _OF_INITIALIZERS, _drawn)
    function = naming.function(component, code, _NAMES, called)
    return _of_last_axis(function) if component.name == "cross_entropy" else function


def _of_last_axis(loss: Callable[..., Any]) -> Callable[..., Any]:
    """A cross-entropy as optax has them: the classes are the last axis, the targets distributions or integers."""
    sparse = "integer" in loss.__name__

    @wraps(loss)
    def moved(input: torch.Tensor, target: torch.Tensor, **settings: Any) -> Any:
        if target.is_floating_point() == sparse:
            raise NotProvided("it takes classes only" if sparse else "it takes distributions only")
        last = [
            values if values is target and sparse else values.movedim(min(1, values.dim() - 1), -1)
            for values in (input, target)
        ]
        return loss(*last, **settings)

    return moved


def perhaps(component: Component, code: Callable[..., Any]) -> Callable[..., Any]:
    """A stranger's function: if it gives JAX's arrays for them, one of tensors; until that shows, as it is."""
    of_jax: list[bool] = []

    @wraps(code)
    def driven(*args: Any, **keywords: Any) -> Any:
        if of_jax != [False] and any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves((args, keywords))):
            if of_jax or _gives_arrays(code, args, keywords):
                of_jax[:] = [True]
                return called(code, *args, **keywords)
            returned = code(*args, **keywords)
            of_jax[:] = [False]
            return returned
        return code(*args, **keywords)

    return driven if "axis" not in inspect.signature(code).parameters else naming.function(component, driven, _NAMES)


def _gives_arrays(code: Callable[..., Any], args: Any, keywords: Any) -> bool:
    args, keywords = pytree.tree_map_only(torch.Tensor, array, (args, keywords))
    try:
        returned = code(*args, **keywords)
    except Exception:
        return False
    return all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(returned))


def called(code: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """What a function of JAX gives for tensors, as tensors that carry its gradients."""
    leaves, structure = pytree.tree_flatten((args, keywords))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    returned: list[Any] = []

    def on_arrays(*arrays: jax.Array) -> tuple[jax.Array, ...]:
        filled = dict(enumerate(leaves)) | dict(zip(places, arrays, strict=True))
        args, keywords = pytree.tree_unflatten(list(filled.values()), structure)
        outputs, returned[:] = _flat(code(*args, **keywords))
        return outputs

    outputs = _Bridge.apply(on_arrays, *(leaves[place] for place in places))
    return jax.tree.unflatten(returned[0], outputs)


def _flat(returned: Any) -> tuple[tuple[jax.Array, ...], list[Any]]:
    outputs, structure = jax.tree.flatten(returned)
    for output in outputs:
        if not isinstance(output, jax.Array):
            raise Misbehaviour(f"the output is a {type(output).__name__}, expected a jax.Array")
    return tuple(outputs), [structure]


def array(tensor: torch.Tensor) -> jax.Array:
    """A tensor's numbers; float64 holds those of every shorter dtype."""
    values = tensor.detach().cpu()
    if not values.is_floating_point():
        return jax.numpy.asarray(values.numpy().copy())
    dtype = jax.numpy.dtype(str(tensor.dtype).removeprefix("torch."))
    return jax.numpy.asarray(values.double().numpy().astype(dtype))


def _tensor(values: jax.Array) -> torch.Tensor:
    if not jax.numpy.issubdtype(values.dtype, jax.numpy.floating):
        return torch.tensor(np.asarray(values))
    return torch.tensor(np.asarray(values, np.float64)).to(getattr(torch, values.dtype.name))


def _compiled(function: Callable[..., Any], *arrays: Any) -> Any:
    """What a function gives as one program, quicker than step by step, which is left to what cannot be traced."""
    try:
        return jax.jit(function)(*arrays)
    except Exception:
        return function(*arrays)


class _Bridge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.device = tensors[0].device if tensors else torch.device("cpu")
        arrays = dict(enumerate(map(array, tensors)))
        ctx.wanted = [place for place, needs in enumerate(ctx.needs_input_grad[1:]) if needs]
        if ctx.wanted:
            outputs, ctx.pullback = _compiled(
                partial(jax.vjp, lambda *some: function(*(arrays | dict(zip(ctx.wanted, some, strict=True))).values())),
                *(arrays[place] for place in ctx.wanted),
            )
        else:
            outputs = _compiled(function, *arrays.values())
        return tuple(_tensor(output).to(ctx.device) for output in outputs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        found = _compiled(lambda pullback, grads: pullback(grads), ctx.pullback, tuple(map(array, grads)))
        by_place = {place: _tensor(grad).to(ctx.device) for place, grad in zip(ctx.wanted, found, strict=True)}
        return None, *(by_place.get(place) for place in range(len(ctx.needs_input_grad) - 1))


def _drawn(code: Callable[..., Any], shape: tuple[int, ...], dtype: str, seed: int, **settings: Any) -> torch.Tensor:
    """What the initializer that a factory makes draws."""
    return _tensor(code(**settings)(jax.random.key(seed), shape, dtype))
