"""What a form of component adds to the engine: how the reference is driven, and what its runs are compared by."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from dlcheck.component import Case, Component
from dlcheck.conformance.implementation import Array, Observation

Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Form:
    """How components of one form are driven.

    ``runs`` drive a ``Reference`` through a case; ``facts`` name the facts about a run that every component of the form
    is checked for; ``snippet`` gives the lines of Python that replay a case without dlcheck. ``driver`` are functions
    that surround the component's own ones and that a fault may replace like them. ``magnitudes`` are the sizes at which
    results were rounded, where not their own. ``tests`` judge observed draws against the law of a Reference
    (``evidence.statistics.TestResult``), in ``random_runs``, of which numbers are no use; ``chance_runs`` draw too, but
    give numbers that do not depend on it. ``switches`` are fixed settings that are meant for the adapter, not for the
    code.
    """

    runs: Mapping[str, Callable[[Any, Case], Observation]]
    facts: tuple[str, ...]
    snippet: Callable[[Component, Case], list[str]]
    driver: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    magnitudes: Callable[[Case, Values], Values] | None = None
    tests: Callable[[Any, Case, Observation], tuple[Any, ...]] | None = None
    random_runs: tuple[str, ...] = ()
    chance_runs: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


@cache
def named(name: str) -> Form:
    """The form of that name: ``FORM`` of a module of ``dlcheck.conformance.forms``."""
    return importlib.import_module(f"dlcheck.conformance.forms.{name}").FORM
