"""Python that reproduces a case without dlcheck."""

from dlcheck.component import Case, Component
from dlcheck.conformance import form


def snippet(component: Component, case: Case, target: str) -> str:
    """A script that runs the target on a case and prints what it gives."""
    lines = ["import numpy as np, torch", "from numpy import array, nan, inf", *_import_of(target)]
    return "\n".join([*lines, *form.named(component.form).snippet(component, case)]) + "\n"


def _import_of(target: str) -> list[str]:
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        return [f"import runpy\ntarget = runpy.run_path({place!r})[{name!r}]"]
    return [f"from {place} import {name} as target"] if place else [f"target = {target}  # the object that was checked"]
