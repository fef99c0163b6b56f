"""Code of other libraries as torch code of the same form, which the adapters then drive like any other."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from dlcheck.component import Component
from dlcheck.conformance.implementation import Refused

_LIBRARIES = ("keras", "flax", "equinox", "optax", "jax")
"""Those with a module here, the ones built on others first; optax's functions are JAX's."""
_OF_JAX = ("function", "initializer")
"""Forms in which JAX's code is translated; the adapter of others takes it as it is."""


def in_torch(component: Component, code: Any) -> Any:
    """Code of another library as a function of tensors or a module class; other code as it is.

    A library is looked at only where it is loaded already, which it is where code belongs to it.
    """
    library = next((name for name in _LIBRARIES if name in _packages(code)), None)
    if library in ("optax", "jax") and component.form not in _OF_JAX:
        return code
    if library is None:
        written_for_jax = inspect.isfunction(code) and "jax" in sys.modules and component.form == "function"
        return _bridge("jax").perhaps(component, code) if written_for_jax else code
    return _bridge("jax" if library == "optax" else library).in_torch(component, code)


def expect_forkable(code: Any) -> None:
    """Raise Refused for an object that uses JAX where JAX has run: its threads do not survive a fork of this process.

    An object uses JAX if it, or anything that its module holds, is of JAX or of a library on it.
    """
    bridge, keras = sys.modules.get("jax._src.xla_bridge"), sys.modules.get("keras")
    if bridge is None or not bridge.backends_are_initialized():
        return
    module = sys.modules.get(getattr(code, "__module__", None) or type(code).__module__)
    used = set().union(*map(_packages, (code, *vars(module).values()) if module else (code,)))
    if used & {*_LIBRARIES[1:], *(["keras"] if keras and keras.backend.backend() == "jax" else [])}:
        name = getattr(code, "__qualname__", type(code).__name__)
        raise Refused(
            f"{name} uses JAX, which has run in this process, so that it cannot be forked: "
            "give it by name, file.py:name or package.module:name"
        )


def onnx_model(path: str) -> Any:
    """An ONNX file as a NumPy function; raises Refused where there is no such file, or no onnxruntime to run it."""
    if not Path(path).is_file():
        raise Refused(f"no file {path!r}")
    try:
        return _bridge("onnx").Model(Path(path))
    except ImportError as error:
        raise Refused(f"{path} needs onnxruntime, which cannot be imported: {error}") from error


def _bridge(library: str) -> Any:
    return importlib.import_module(f"{__name__}.{library}")


def _packages(code: Any) -> set[str]:
    """The loaded packages that code (or a module) is from: its own, and those of the classes that it derives from."""
    classes = inspect.getmro(code if inspect.isclass(code) else type(code))
    own = code.__name__ if inspect.ismodule(code) else getattr(code, "__module__", None)
    modules = {own, *(each.__module__ for each in classes)}
    packages = {str(module).partition(".")[0] for module in modules}
    return {"jax" if name == "jaxlib" else name for name in packages} & sys.modules.keys()
