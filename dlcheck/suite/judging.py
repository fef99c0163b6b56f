"""What the items of the suite share: options, implementations ready to be judged, conventions."""

from dataclasses import dataclass

from dlcheck import registry
from dlcheck.component import Component
from dlcheck.conformance.findings import Report
from dlcheck.conformance.implementation import Implementation
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.targets import adapt
from dlcheck.outcomes import Record, record


@dataclass(frozen=True, slots=True)
class Run:
    """The seed of every draw, how many cases each check searches, and the device of torch implementations."""

    seed: int
    examples: int
    device: str


def implementation(component: Component, name: str, device: str = "cpu") -> Implementation | None:
    """Our implementation of that name, or None where it is not provided."""
    if name == "reference":
        return Reference(component)
    code = registry.implementation(component.name, name)
    return None if code is None else adapt(component, code, device=device)


def conventions_record(report: Report, implementation: str) -> Record:
    """Whether ours follows the drop-in model on every axis, as a further check."""
    component = registry.components()[report.component]
    expected = {convention.axis: convention.options[0].name for convention in component.conventions}
    found = {axis: report.conventions.get(axis, "undecided") for axis in expected}
    other = [f"{axis} is {name}" for axis, name in found.items() if name != expected[axis]]
    return record(
        "check",
        f"{registry.families()[component.name]}.{component.name}.conventions",
        "fail" if other else "pass",
        component=component.name,
        implementation=implementation,
        message=", ".join(other),
        says=f"it follows {component.model} on every axis",
        severity="error",
        cases=len(expected),
        worst=0.0,
    )
