"""What libraries have for our components conforms but for the deviations listed: no more, no fewer.

torch's own counterparts are listed by the families' ``upstream``, those of further libraries by ``peers``.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from dlcheck import registry, results
from dlcheck.component import Counterpart
from dlcheck.conformance import targets
from dlcheck.conformance.check import check, judge
from dlcheck.conformance.findings import Report
from dlcheck.outcomes import Record, record
from dlcheck.suite import onnx_models
from dlcheck.suite.judging import Run
from dlcheck.suite.peers import PEERS

_PATIENCE = 120.0
"""Seconds for one case of a peer, which compiles its first."""


@pytest.mark.parametrize("counterpart", registry.counterparts(), ids=lambda counterpart: counterpart.name)
def test_upstream(counterpart: Counterpart, run: Run, report: Callable[..., None]) -> None:
    component = registry.components()[counterpart.component]
    code = targets.adapt(component, targets.load(counterpart.target), counterpart.settings, seed=run.seed)
    found = judge(component, code, fixed=counterpart.settings, seed=run.seed, examples=run.examples)
    report([_judged(counterpart, found)])


@pytest.mark.peers
@pytest.mark.parametrize("counterpart", PEERS, ids=lambda counterpart: f"{counterpart.name}-{counterpart.component}")
def test_peers(counterpart: Counterpart, run: Run, report: Callable[..., None], tmp_path: Path) -> None:
    of_onnx = counterpart.library == "onnxruntime"
    for package in (counterpart.library, *(["onnx"] if of_onnx else [])):
        if not importlib.util.find_spec(package):
            return report([_record(counterpart, "not provided", f"{package} is not installed", 0, 0, [], {})])
    target = str(onnx_models.write(counterpart.target.partition(":")[2], tmp_path)) if of_onnx else counterpart.target
    about, settings = counterpart.component, counterpart.settings
    found = check(target, about, settings=settings, seed=run.seed, examples=run.examples, timeout=_PATIENCE)
    report([_judged(counterpart, found)])


def _judged(counterpart: Counterpart, report: Report) -> Record:
    """A pass where every deviation and every convention is as listed, and something could be run."""
    failing = {finding.check: finding.summary for finding in report.findings if finding.severity == "error"}
    deviations = [_deviation(counterpart, id, failing) for id in sorted(failing.keys() | counterpart.known)]
    wrong = [f"{d['check']} is {d['state']} ({d['reason']})" for d in deviations if d["state"] != "known"]
    wrong += [
        f"{axis} follows {report.conventions.get(axis, 'none of the options')}, expected {option}"
        for axis, option in counterpart.follows.items()
        if report.conventions.get(axis) != option
    ]
    passed = sum(outcome.status == "pass" for outcome in report.checks)
    wrong += [] if passed else ["no check passes"]
    about = passed, len(report.checks), deviations, dict(report.conventions)
    return _record(counterpart, "fail" if wrong else "pass", "; ".join(wrong), *about)


def _deviation(counterpart: Counterpart, id: str, failing: dict[str, str]) -> results.Deviation:
    if id not in counterpart.known:
        return {"check": id, "reason": failing[id], "state": "new"}
    state = "known" if id in failing or id in counterpart.varying else "vanished"
    return {"check": id, "reason": counterpart.known[id], "state": state}


def _record(
    counterpart: Counterpart,
    status: results.Status,
    message: str,
    passed: int,
    checks: int,
    deviations: list[results.Deviation],
    conventions: dict[str, str],
) -> Record:
    return record(
        "upstream",
        counterpart.library,
        status,
        component=counterpart.component,
        implementation=counterpart.name,
        message=message,
        passed=passed,
        checks=checks,
        deviations=deviations,
        conventions=conventions,
    )
