"""Code of other libraries as torch code of the same form, which the adapters then drive like any other."""

import importlib
import inspect
import sys
from typing import Any

from dlcheck.component import Component

_LIBRARIES = ("keras", "flax", "equinox", "optax", "jax")
"""Those with a module here, the ones built on others first; optax's functions are JAX's."""
_OWN_FORMS = ("optimizer", "differentiation")
"""Forms whose adapters take JAX's code as it is."""


def in_torch(component: Component, code: Any) -> Any:
    """Code of another library as a function of tensors or a module class; other code as it is.

    A library is looked at only where it is loaded already, which it is where code belongs to it.
    """
    library = next((name for name in _LIBRARIES if name in _packages(code)), None)
    if library in ("optax", "jax") and component.form in _OWN_FORMS:
        return code
    if library is None:
        written_for_jax = inspect.isfunction(code) and "jax" in sys.modules and component.form == "function"
        return _bridge("jax").perhaps(component, code) if written_for_jax else code
    return _bridge("jax" if library == "optax" else library).in_torch(component, code)


def _bridge(library: str) -> Any:
    return importlib.import_module(f"{__name__}.{library}")


def _packages(code: Any) -> set[str]:
    """The loaded packages that code is from: its own, and those of the classes that it derives from."""
    classes = inspect.getmro(code if inspect.isclass(code) else type(code))
    modules = {getattr(code, "__module__", None), *(each.__module__ for each in classes)}
    packages = {str(module).partition(".")[0] for module in modules}
    return {"jax" if name == "jaxlib" else name for name in packages} & sys.modules.keys()
