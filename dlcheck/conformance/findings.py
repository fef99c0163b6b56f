"""What a check of somebody's code found: the report as an object, as JSON and as text."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dlcheck import results
from dlcheck.conformance.implementation import GIVEN_UP

Status = Literal["pass", "fail", "not_provided", "error", "waived"]
Severity = Literal["error", "advice"]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """One check of the component's fixed list: its status, how many cases it ran, worst error over allowed error."""

    id: str
    status: Status
    examples: int = 0
    worst: float = 0.0
    message: str = ""
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing (advice), or waived: what, where, by how much, and why."""

    check: str
    severity: Severity | Literal["waived"]
    summary: str
    flag: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    expected: Any = None
    got: Any = None
    allowed: float | None = None
    reproduce: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What ``dlcheck check`` answers; ``str(report)`` is what it prints."""

    component: str
    target: str
    conventions: Mapping[str, str]
    checks: tuple[CheckOutcome, ...]
    findings: tuple[Finding, ...]

    @property
    def conforms(self) -> bool:
        """Whether nothing of severity error was found; an implementation of which nothing could be run does not."""
        ran = any(check.status in ("pass", "fail", "waived") for check in self.checks)
        return ran and not any(finding.severity == "error" for finding in self.findings)

    def waiving(self, waivers: Mapping[str, str]) -> "Report":
        """The report in which checks that may fail, for the reasons given, are waived where they do."""
        findings = [
            replace(found, severity="waived", summary=f"waived ({waivers[found.check]}): {found.summary}")
            if found.severity == "error" and found.check in waivers
            else found
            for found in self.findings
        ]
        checks = [
            replace(check, status="waived") if check.status == "fail" and check.id in waivers else check
            for check in self.checks
        ]
        return replace(self, checks=tuple(checks), findings=tuple(findings))

    def to_json(self) -> dict[str, Any]:
        """The answer in the form ``dlcheck.check/1``."""
        return results.plain(
            {
                "schema": "dlcheck.check/1",
                "component": self.component,
                "target": self.target,
                "verdict": "conforms" if self.conforms else "deviates",
                "conventions": self.conventions,
                "checks": self.checks,
                "findings": self.findings,
            }
        )

    def __str__(self) -> str:
        lines = [f"{self.component}  {self.target}  {'conforms' if self.conforms else 'DEVIATES'}"]
        followed = "".join(f"\n    {axis:<24} {option}" for axis, option in self.conventions.items())
        lines += [f"  conventions followed{followed}"] if followed else []
        errors = [finding for finding in self.findings if finding.severity == "error"]
        for first, *rest in _by_cause(errors):
            lines += ["", *_shown(first)]
            others = [brief(finding.check) for finding in rest]
            lines += [f"    {len(others)} further checks fail: {', '.join(others)}"] if others else []
        for finding in self.findings:
            lines += ["", *_shown(finding)] if finding.severity == "advice" else []
        waived = [
            f"  {finding.check} is {finding.summary}" for finding in self.findings if finding.severity == "waived"
        ]
        lines += ["", *waived] if waived else []
        return "\n".join([*lines, "", f"  {self._counts()}"])

    def _counts(self) -> str:
        advised = sum(check.status == "fail" and check.severity == "advice" for check in self.checks)

        def count(status: Status) -> int:
            return sum(check.status == status for check in self.checks) - (advised if status == "fail" else 0)

        examples = sum(check.examples for check in self.checks)
        parts = [f"{count('pass')} of {len(self.checks)} checks pass"]
        parts += [f"{count(s)} {words}" for s, words in _COUNTED.items() if count(s)]
        parts += [f"{advised} advised"] if advised else []
        return f"{', '.join(parts)} ({examples} examples)"


def root_cause_first(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with the known mistake that fails most checks first, and what none explains last."""
    errors = [finding for finding in findings if finding.severity == "error"]
    errors.sort(key=lambda finding: GIVEN_UP in finding.summary)
    rest = [finding for finding in findings if finding.severity != "error"]
    return [*itertools.chain.from_iterable(_by_cause(errors)), *rest]


def _by_cause(errors: Sequence[Finding]) -> list[list[Finding]]:
    groups: dict[str | None, list[Finding]] = {}
    for finding in errors:
        groups.setdefault(finding.flag, []).append(finding)
    return sorted(groups.values(), key=lambda group: (group[0].flag is None, -len(group)))


_COUNTED: dict[Status, str] = {
    "fail": "fail",
    "waived": "waived",
    "not_provided": "not provided",
    "error": "could not be run",
}


def brief(check: str) -> str:
    """A check's id without its family and component."""
    return check.rsplit(".", 1)[-1]


def _shown(finding: Finding) -> list[str]:
    mark = "✗" if finding.severity == "error" else "!"
    width = max((len(key) for key in finding.details), default=0)
    return [
        f"  {mark} {finding.summary}",
        *(f"    {key:<{width}}  {text}" for key, text in finding.details.items() if text),
    ]
