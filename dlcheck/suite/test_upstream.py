"""torch's own counterparts conform but for the deviations that the families' ``upstream`` lists: no more, no fewer."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dlcheck import registry
from dlcheck.component import Counterpart
from dlcheck.conformance import targets
from dlcheck.conformance.check import judge
from dlcheck.conformance.findings import Report
from dlcheck.outcomes import Record, record
from dlcheck.suite.judging import Run


@pytest.mark.parametrize("counterpart", registry.counterparts(), ids=lambda counterpart: counterpart.name)
def test_upstream(counterpart: Counterpart, run: Run, report: Callable[..., None]) -> None:
    component = registry.components()[counterpart.component]
    code = targets.adapt(component, targets.load(counterpart.target), counterpart.settings)
    found = judge(component, code, fixed=counterpart.settings, seed=run.seed, examples=run.examples)
    report(list(_records(counterpart, found)))


def _records(counterpart: Counterpart, report: Report) -> Iterator[Record]:
    """One record for each deviation, known, new or vanished; one that says so where there is none."""
    about: dict[str, Any] = {"component": counterpart.component, "implementation": counterpart.name}
    deviations = {finding.check: finding.summary for finding in report.findings if finding.severity == "error"}
    present = {*deviations, *counterpart.varying}
    for check in sorted(deviations.keys() | counterpart.known):
        state = "new" if check not in counterpart.known else "known" if check in present else "vanished"
        reason = deviations[check] if state == "new" else counterpart.known[check]
        status = "pass" if state == "known" else "fail"
        yield record("upstream", check, status, message=reason, state=state, **about)
    if not deviations and not counterpart.known:
        passed = sum(check.status == "pass" for check in report.checks)
        message = f"{passed} of {len(report.checks)} checks pass"
        yield record("upstream", "", "pass" if passed else "fail", message=message, state="conforms", **about)
