"""Checks that every component has: the dtype kept, the same numbers each time, nothing of the caller's changed."""

from dataclasses import replace
from functools import cache

from dlcheck import registry
from dlcheck.component import Check, Component
from dlcheck.conformance import form

_SAYS = {
    "dtype": "the result has the dtype of the input",
    "purity": "the caller's arrays are left as they were",
    "determinism": "the same input gives the same numbers again",
    "surroundings": "the process around it is left as it was",
    "generator": "a generator, where one is accepted, decides the numbers",
    "fresh": "successive draws differ",
}
_OF_DRAWS = ("generator", "fresh")
_DTYPES = ("float64", "float32", "bfloat16")


def all_checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks: the common ones, which look at the family's cases, then the family's."""
    return _all_checks(component.name)


@cache
def _all_checks(name: str) -> tuple[Check, ...]:
    component, own = registry.components()[name], registry.checks(name)
    family = registry.families()[name]
    cases = tuple(case for check in own for case in check.cases)
    plain = tuple({case.run: case for case in reversed(cases) if case.dtype in _DTYPES[:2]}.values())
    of_form = form.named(component.form)
    repeatable = tuple(case for case in plain if case.run not in (*of_form.random_runs, *of_form.chance_runs))
    looked_at = {
        "determinism": repeatable,
        "dtype": cases + tuple(replace(case, dtype=dtype) for case in plain for dtype in _DTYPES),
        "purity": cases,
    }
    common = tuple(
        Check(f"{family}.{name}.{fact}", _SAYS[fact], looked_at.get(fact, plain), observes=fact)
        for fact in (*of_form.facts, "surroundings")
        if fact not in _OF_DRAWS or "generator" in component.settings
    )
    return common + own
