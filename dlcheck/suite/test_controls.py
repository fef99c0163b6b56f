"""A good and a bad control in every run, judged as a stranger's code is: by name, in a process of its own."""

from collections.abc import Callable

import pytest

from dlcheck.conformance.check import check
from dlcheck.outcomes import record
from dlcheck.suite.bad_control import MISTAKE
from dlcheck.suite.judging import Run


@pytest.mark.parametrize(
    ("control", "target", "says"),
    [
        ("good_control", "dlcheck.activations.torch:sigmoid", "a right sigmoid conforms"),
        ("bad_control", "dlcheck.suite.bad_control:sigmoid", "a wrong one is rejected, and its mistake named"),
    ],
    ids=["good", "bad"],
)
def test_control(control: str, target: str, says: str, run: Run, report: Callable[..., None]) -> None:
    found = check(target, "sigmoid", seed=run.seed, examples=0)
    errors = [finding for finding in found.findings if finding.severity == "error"]
    named = [finding.flag for finding in errors[:1]] == [MISTAKE]
    as_expected = found.conforms if control == "good_control" else named
    taken_for = errors[0].flag or errors[0].summary if errors else "a right sigmoid"
    of_check = {"says": f"by name, in a process of its own, {says}", "severity": "error", "worst": 0.0}
    message = "" if as_expected else f"{target} is taken for {taken_for}"
    about = {"component": "sigmoid", "implementation": "torch", "message": message, **of_check}
    cases = sum(outcome.examples for outcome in found.checks)
    report([record("check", f"activations.sigmoid.{control}", "fail" if message else "pass", cases=cases, **about)])
