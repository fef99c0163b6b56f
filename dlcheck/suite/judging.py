"""What the items of the suite share: options, conventions."""

from dataclasses import dataclass

from dlcheck import registry
from dlcheck.conformance.findings import Report
from dlcheck.outcomes import Record, record


@dataclass(frozen=True, slots=True)
class Run:
    """The seed of every draw, how many cases each check searches, and the device of torch implementations."""

    seed: int
    examples: int
    device: str


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
