"""Reports of checks as records of a run."""

from dlcheck import registry
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.findings import Report
from dlcheck.outcomes import Record, record


def check_records(report: Report, implementation: str) -> list[Record]:
    """One record for each check of a report."""
    component = registry.components()[report.component]
    summaries = {finding.check: finding.summary for finding in report.findings}
    return [
        record(
            "check",
            check.id,
            "not provided" if outcome.status == "not_provided" else outcome.status,
            component=component.name,
            implementation=implementation,
            message=summaries.get(check.id, outcome.message),
            says=check.says,
            severity=check.severity,
            cases=outcome.examples,
            worst=outcome.worst,
        )
        for check, outcome in zip(all_checks(component), report.checks, strict=True)
    ]
