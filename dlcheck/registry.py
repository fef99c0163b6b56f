"""Components, checks, claims, faults and implementations, found by name.

A family is a folder with fixed file names; what it holds is derived from them and listed nowhere else.
"""

import difflib
import importlib
import importlib.util
import inspect
from functools import cache
from types import ModuleType
from typing import Any

from dlcheck.component import Check, Component, Counterpart, Fault
from dlcheck.judgement import Claim

FAMILIES = (
    "autodiff",
    "activations",
    "layers",
    "pooling",
    "recurrent",
    "normalization",
    "regularization",
    "initializers",
    "pretraining",
    "losses",
    "optimizers",
    "schedules",
    "augmentation",
    "models",
)
"""The one list of families; the order of everything that is shown."""

IMPLEMENTATIONS = ("reference", "torch")
"""The files of a family that hold implementations."""


SHOWN, SHOWN_OF_ALL = 3, 20
"""Names that an error message suggests, and how many it shows where it has nothing to suggest."""


class UnknownName(LookupError):
    """A name that the registry does not have; the message suggests the nearest ones."""


@cache
def module(family: str, name: str) -> ModuleType | None:
    """The module ``name`` of a family, or None where the family has none."""
    path = f"dlcheck.{family}.{name}"
    return importlib.import_module(path) if importlib.util.find_spec(path) else None


def _listed(family: str, file: str, name: str) -> tuple[Any, ...]:
    return getattr(module(family, file), name, ())


@cache
def components() -> dict[str, Component]:
    """Every component by name, in the order of the families and of their ``spec.COMPONENTS``."""
    return {c.name: c for family in FAMILIES for c in _listed(family, "spec", "COMPONENTS")}


@cache
def families() -> dict[str, str]:
    """The family of every component."""
    return {c.name: family for family in FAMILIES for c in _listed(family, "spec", "COMPONENTS")}


@cache
def faults() -> dict[str, Fault]:
    """Every fault by id, in the order of the families and of their ``faults.FAULTS``."""
    return {f.id: f for family in FAMILIES for f in _listed(family, "faults", "FAULTS")}


@cache
def faults_of(component: str) -> dict[str, Fault]:
    """The faults of one component by id, for which its family alone is imported."""
    return {f.id: f for f in _listed(families()[component], "faults", "FAULTS") if f.component == component}


@cache
def counterparts() -> tuple[Counterpart, ...]:
    """What torch itself provides for our components: the families' ``upstream.COUNTERPARTS``."""
    return tuple(c for family in FAMILIES for c in _listed(family, "upstream", "COUNTERPARTS"))


@cache
def checks(component: str) -> tuple[Check, ...]:
    """The fixed list of checks of a component, root causes before their consequences."""
    return tuple(module(families()[component], "checks").checks(components()[component]))  # type: ignore[union-attr]


@cache
def claims() -> dict[str, Claim]:
    """Every claim by id: the Claim objects of the families' ``claims`` and ``experiments``, in order."""
    files = [module(family, file) for family in FAMILIES for file in ("claims", "experiments")]
    found = [value for file in files if file for value in vars(file).values() if isinstance(value, Claim)]
    return {claim.id: claim for claim in found}


def drawings(component: str) -> dict[str, str]:
    """Pictures of a component as SVG by title: those of its family's ``drawing``, where there is one."""
    source = module(families()[component], "drawing")
    return source.drawings(component) if source else {}


def implementation(component: str, name: str) -> Any | None:
    """The code of a component in ``<family>/<name>.py``, a function or a class, or None where it is not provided."""
    source = module(families()[component], name)
    spelled = component.replace("_", "").lower()
    for found, value in vars(source).items() if source else ():
        named_as_component = found == component or (inspect.isclass(value) and found.lower() == spelled)
        if named_as_component and value.__module__.startswith(f"{source.__package__}."):  # type: ignore[union-attr]
            return value
    return None


def lookup(kind: str, table: dict[str, Any], name: str) -> Any:
    """The entry of a table, or UnknownName with a suggestion."""
    if name in table:
        return table[name]
    near = [known for known in table if known.lower().strip("_") == name.lower().strip("_")]
    near = near or [known for known in table if known.lower().endswith(f".{name.lower()}")]
    near = near or difflib.get_close_matches(name.lower(), table, n=SHOWN, cutoff=0.5)
    more = f" and {len(table) - SHOWN_OF_ALL} more" if len(table) > SHOWN_OF_ALL else ""
    known = f"; known are {', '.join(list(table)[:SHOWN_OF_ALL])}{more}"
    hint = f"; did you mean {' or '.join(near[:SHOWN])}?" if near else known
    raise UnknownName(f"unknown {kind} {name!r}{hint}")
