"""What the adapters share: which keywords code accepts, how arrays reach it, what came back."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcheck.component import Component
from dlcheck.conformance.implementation import Array, Misbehaviour, NotProvided, Refused


def parameters(code: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The named parameters of code, or None where it tells none or takes keywords of any name only."""
    try:
        found = inspect.signature(code).parameters
    except (TypeError, ValueError):
        return None
    named = {name: p for name, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in found.values())
    return None if takes_any and len(named) <= 1 else named


def own_eps(code: Callable[..., Any], component: Component) -> float | None:
    """The default eps of code where no framework that its component knows of has that one."""
    own = (parameters(code) or {}).get("eps")
    axes = [convention for convention in component.conventions if convention.axis == "default_eps"]
    documented = [option.keywords["eps"] for axis in axes for option in axis.options]
    odd = own is not None and isinstance(own.default, float) and documented and own.default not in documented
    return own.default if own is not None and odd else None


def keywords(
    code: Callable[..., Any],
    component: Component,
    settings: Mapping[str, Any],
    fixed: Mapping[str, Any],
    positional: int = 0,
    derived: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The keywords to call code with, after some positional arguments, for the settings of a case.

    A setting at a default that all have may be left out where the code does not know it; a parameter that the code
    requires and the case does not set gets what is ``derived`` from the case's inputs, or the model's default, and so
    does an eps whose default is the code's own; ``fixed`` ones are always passed. Raises NotProvided for a setting that
    the code does not accept, Refused for a parameter that nothing fills.
    """
    known = parameters(code)
    if known is None:
        return {**settings, **fixed}
    differing = {name for axis in component.conventions for option in axis.options for name in option.keywords}
    for name, value in settings.items():
        if name not in known and (name in differing or value != component.settings.get(name, NotProvided)):
            raise NotProvided(f"it does not accept {name}")
    defaults = {name: value for name, value in component.settings.items() if value is not None} | dict(derived or {})
    needed = [name for name, p in known.items() if p.default is p.empty]
    own = [] if own_eps(code, component) is None else ["eps"]
    given = {name: defaults[name] for name in needed + own if name in defaults}
    given |= {name: value for name, value in settings.items() if name in known} | dict(fixed)
    missing = [name for name in needed if name not in given][positional:]
    if missing:
        words = " and ".join(missing)
        raise Refused(f"the target needs {words}, which {component.name} does not have: give it with --set")
    return given


def tensor(values: Array, dtype: str, layout: str, device: str) -> torch.Tensor:
    """A tensor of a dtype with the given values in memory of the given layout."""
    made = torch.tensor(np.array(values, order="C")).to(device)
    made = made.to(getattr(torch, dtype)) if made.is_floating_point() else made
    if layout == "strided" and made.dim():
        gaps = torch.full((*made.shape[:-1], 2 * made.shape[-1]), -77, dtype=made.dtype, device=device)
        gaps[..., ::2] = made
        return gaps[..., ::2]
    if layout == "transposed" and made.dim() > 1:
        return made.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "channels_last" and made.dim() == 4:
        return made.contiguous(memory_format=torch.channels_last)
    return made


def array(values: Array, dtype: str, layout: str) -> NDArray[Any]:
    """A NumPy array of a dtype in memory of the given layout; raises NotProvided for what NumPy lacks."""
    if dtype not in ("float64", "float32"):
        raise NotProvided(f"NumPy code is run in float64 and float32, not in {dtype}")
    made = np.array(values, dtype) if np.asarray(values).dtype.kind == "f" else np.array(values)
    if layout == "strided" and made.ndim:
        gaps = np.full((*made.shape[:-1], 2 * made.shape[-1]), -77, made.dtype)
        gaps[..., ::2] = made
        return gaps[..., ::2]
    if layout == "transposed" and made.ndim > 1:
        return np.swapaxes(np.ascontiguousarray(np.swapaxes(made, 0, -1)), 0, -1)
    if layout == "channels_last" and made.ndim == 4:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(made, 1, -1)), -1, 1)
    if layout == "readonly":
        made.flags.writeable = False
    return made


def to_numpy(result: Any, what: str) -> Array:
    """A result as a float64 array; raises Misbehaviour where it is no floating-point tensor or array."""
    if isinstance(result, torch.Tensor):
        if not result.is_floating_point():
            raise Misbehaviour(f"{what} has dtype {result.dtype}, expected a floating-point one")
        return result.detach().to("cpu", torch.float64).numpy().copy()
    if isinstance(result, (np.ndarray, np.generic, float)) or hasattr(result, "__array__"):
        values = np.asarray(result)
        if values.dtype.kind == "f" or values.dtype.name == "bfloat16":
            return np.array(values, np.float64)
        raise Misbehaviour(f"{what} has dtype {values.dtype}, expected a floating-point one")
    raise Misbehaviour(f"{what} is a {type(result).__name__}, expected a tensor or an array")


def dtype_name(result: Any) -> str:
    """The name of a tensor's or array's dtype, as in "float32"."""
    return str(result.dtype).removeprefix("torch.")


def unchanged(now: Any, before: Array) -> bool:
    """Whether a tensor or array still holds the values it had."""
    held = now.detach().to("cpu", torch.float64).numpy() if isinstance(now, torch.Tensor) else np.asarray(now)
    return np.array_equal(held.astype(np.float64), before, equal_nan=True)
