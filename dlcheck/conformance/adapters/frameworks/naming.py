"""A library's code under the model's names."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dlcheck.component import Component
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.implementation import NotProvided


def keywords(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Settings under a library's names."""
    return {names.get(name, name): value for name, value in given.items()}


def function(component: Component, code: Callable[..., Any], names: Mapping[str, str], call: Any = None) -> Any:
    """A function that shows the component's arrays and settings only, and knows them by the model's names.

    ``names`` are the library's names of settings; ``call(code, *arrays, **settings)`` runs it, if not by a plain call.
    """
    own = {theirs: ours for ours, theirs in names.items() if ours in component.settings}
    known = calling.parameters(code) or {}
    shown = []
    for place, (name, parameter) in enumerate(known.items()):
        ours = own.get(name, name)
        known_to_model = ours in component.settings or ours in component.optional
        if place < len(component.inputs) or known_to_model or parameter.default is parameter.empty:
            shown.append(parameter.replace(name=ours))

    @functools.wraps(code)
    def renamed(*arrays: Any, **settings: Any) -> Any:
        if "dim" in own.values() and not arrays[0].ndim:
            raise NotProvided("it takes no array without axes")
        theirs = keywords(settings, {ours: name for name, ours in own.items()})
        return call(code, *arrays, **theirs) if call else code(*arrays, **theirs)

    renamed.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return renamed


def derived(base: type, code: Any) -> type:
    """A class that drives ``code``, under its name."""
    return type(code.__name__, (base,), {"code": staticmethod(code), "__module__": code.__module__})


def pair(size: Any) -> tuple[int, int]:
    """A size of rows and columns, of one number or of two."""
    return (size, size) if isinstance(size, int) else tuple(size)


def unpadded(padding: Any, what: str) -> str:
    """The name of a padding, for a library that has names only; raises NotProvided for a number that is not 0."""
    if padding in ("same", "valid"):
        return padding
    if pair(padding) != (0, 0):
        raise NotProvided(f"{what} does not accept padding={padding!r}")
    return "valid"
