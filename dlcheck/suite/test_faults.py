"""Every fault is rejected by a fixed case of some check, and the diagnosis, which the cases allow, names it."""

from collections.abc import Callable
from typing import Any

import pytest

from dlcheck import registry
from dlcheck.component import Component, Fault
from dlcheck.conformance.check import judge
from dlcheck.conformance.diagnosis import combinations, reference
from dlcheck.conformance.separation import separations
from dlcheck.outcomes import record


@pytest.mark.parametrize("fault", registry.faults().values(), ids=registry.faults())
def test_fault(fault: Fault, report: Callable[..., None]) -> None:
    component = registry.components()[fault.component]
    found = judge(component, reference(component, combinations(component)[0], fault.id), examples=0)
    killed_by = [check.id for check in found.checks if check.status == "fail"]
    flags = [finding.flag for finding in found.findings if finding.severity == "error"]
    named = bool(flags) and flags[0] == fault.id
    wrong = "" if named else f"it is taken for {flags[0]}" if flags else "no check rejects it"
    about: dict[str, Any] = {"component": component.name, "implementation": "reference", "message": wrong}
    report([record("fault", fault.id, "fail" if wrong else "pass", **about, killed_by=killed_by, named=named)])


@pytest.mark.parametrize("component", registry.components().values(), ids=registry.components())
def test_hypotheses_are_far_apart(component: Component) -> None:
    near = [found for found in separations(component) if not found.suffices]
    assert not near, f"no fixed case tells these apart safely: {near}"
