"""Our implementations conform and follow the drop-in model; so does the reference in every convention, by its name."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dlcheck import registry
from dlcheck.component import Component
from dlcheck.conformance.check import judge
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.records import check_records
from dlcheck.conformance.targets import ours
from dlcheck.outcomes import record
from dlcheck.suite.judging import Run, conventions_record


def _options() -> Iterator[Any]:
    for name, component in registry.components().items():
        for convention in component.conventions:
            for option in convention.options:
                yield pytest.param(
                    component, convention.axis, option.name, id=f"{name}-{convention.axis}-{option.name}"
                )


@pytest.mark.parametrize("name", registry.IMPLEMENTATIONS)
@pytest.mark.parametrize("component", registry.components().values(), ids=registry.components())
def test_conforms(component: Component, name: str, run: Run, report: Callable[..., None]) -> None:
    code = ours(component, name, run.device, run.seed)
    if code is None:
        return report([record("check", component.name, "not provided", component=component.name, implementation=name)])
    found = judge(component, code, seed=run.seed, examples=run.examples)
    report([*check_records(found, name), conventions_record(found, name)])


@pytest.mark.parametrize(("component", "axis", "option"), list(_options()))
def test_convention(component: Component, axis: str, option: str, run: Run, report: Callable[..., None]) -> None:
    found = judge(component, Reference(component, {axis: option}), seed=run.seed, examples=0)
    named = found.conventions.get(axis) == option
    wrong = "" if found.conforms else found.findings[0].summary
    wrong = wrong or ("" if named else f"it is taken for {found.conventions.get(axis, 'undecided')}")
    status = "fail" if wrong else "pass"
    about: dict[str, Any] = {"component": component.name, "implementation": "reference", "message": wrong}
    report([record("convention", f"{axis}={option}", status, **about, passed=found.conforms, named=named)])
