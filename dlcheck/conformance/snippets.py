"""Python that reproduces a case without dlcheck."""

from dlcheck.component import Case, Component
from dlcheck.conformance import form


def snippet(component: Component, case: Case, target: str) -> str:
    """A script that runs the target on a case and prints what it gives."""
    lines = ["import numpy as np, torch", "from numpy import array, nan, inf", *_import_of(target)]
    return "\n".join([*lines, *form.named(component.form).snippet(component, case)]) + "\n"


def _import_of(target: str) -> list[str]:
    place, _, path = target.rpartition(":")
    name, *inner = path.split(".")
    within = [f"target = target.{'.'.join(inner)}"] if inner else []
    if place.endswith(".py"):
        return ["import runpy", f"target = runpy.run_path({place!r})[{name!r}]", *within]
    if place:
        return [f"from {place} import {name} as target", *within]
    return [f"target = ...  # put the object here that was checked, {target}"]
