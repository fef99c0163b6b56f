"""Find somebody's code by name, and wrap it in the adapter of its component's form."""

import functools
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from dlcheck import registry
from dlcheck.component import Component
from dlcheck.conformance.adapters import frameworks
from dlcheck.conformance.implementation import Implementation, Refused
from dlcheck.conformance.oracle import Reference


def load(target: str) -> Any:
    """The object that ``path/to/file.py:name`` or ``package.module:name`` names (dots too), or a ``.onnx`` file.

    Raises Refused where the form is wrong, the file or module is missing or fails to import, or it has no such
    name.
    """
    if target.endswith(".onnx"):
        return frameworks.onnx_model(target)
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise Refused(
            f"target {target!r} has no name: expected path/to/file.py:name, package.module:name or path/to/model.onnx"
        )
    found: Any = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise Refused(f"{place} has no {name!r}; it has {_names(found)}")
        found = getattr(found, part)
    return found


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Refused(f"no file {str(path)!r} in {os.getcwd()}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Refused(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise Refused(f"{path} cannot be imported: {_last_line(error, str(path))}") from error
    return module


def _from_module(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise Refused(f"module {name!r} cannot be imported: {_last_line(error, '')}") from error


def _last_line(error: BaseException, path: str) -> str:
    """What an import error says, with the line of the target's own file where it arose."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if path and frame.filename.endswith(path)]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line}" if own else ""
    if isinstance(error, SyntaxError):
        where = f" at {Path(error.filename or path).name}:{error.lineno}: {(error.text or '').strip()}"
    hint = "; name what is inside of a package package.module:name" if "no known parent package" in str(error) else ""
    return f"{type(error).__name__}: {error}{where}{hint}"


def _names(found: Any) -> str:
    names = [name for name, value in vars(found).items() if not name.startswith("_") and callable(value)]
    shown = ", ".join(sorted(names)[:8]) or "no callables"
    return f"{shown}, ..." if len(names) > 8 else shown


def adapt(
    component: Component, code: Any, fixed: Mapping[str, Any] | None = None, device: str = "cpu", seed: int = 0
) -> Implementation:
    """Code as an implementation of a component.

    ``fixed`` are keywords passed in every call. Raises Refused where the code is in no accepted form.
    """
    from dlcheck.conformance.adapters import calling  # imports torch, as adapters do, which who asks need not

    adapter = importlib.import_module(f"dlcheck.conformance.adapters.{component.form}")
    driven = frameworks.in_torch(component, _class_of(code))
    pure = component.form == "optimizer" and (isinstance(driven, tuple) or hasattr(driven, "init"))
    if not (callable(driven) or pure):
        raise Refused(f"the target is {driven!r:.80}, which cannot be called")
    adapted = adapter.adapt(component, driven, fixed or {}, device, seed)
    adapted.widest = getattr(driven, "widest", adapted.widest)
    if callable(driven) and "eps" not in (fixed or {}):
        adapted.own_eps = calling.own_eps(driven, component)
    return adapted


def _class_of(code: Any) -> Any:
    """The class that a ``functools.partial`` of a class stands for; other code as it is."""
    if not (isinstance(code, functools.partial) and inspect.isclass(code.func)):
        return code
    base: Any = code.func

    def __init__(self: Any, *given: Any, **named: Any) -> None:
        base.__init__(self, *code.args, *given, **{**code.keywords, **named})

    return type(base.__name__, (base,), {"__init__": __init__, "__signature__": inspect.signature(code)})


def ours(component: Component, name: str, device: str = "cpu", seed: int = 0) -> Implementation | None:
    """Our implementation of that name, or None where it is not provided."""
    if name == "reference":
        return Reference(component, seed=seed)
    code = registry.implementation(component.name, name)
    return None if code is None else adapt(component, code, device=device, seed=seed)
