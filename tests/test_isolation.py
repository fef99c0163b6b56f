"""A stranger's code is contained: whatever it does is a finding, and the tool goes on."""

from pathlib import Path

import numpy as np
import pytest

import dlcheck
from dlcheck import registry
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.implementation import Refused

STRANGERS = Path(__file__).parent / "strangers" / "contained.py"

CHECKS = len(all_checks(registry.components()["sigmoid"]))


def checked(name: str, **options):
    return dlcheck.check(f"{STRANGERS}:{name}", "sigmoid", **{"examples": 0, "timeout": 5.0, **options})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "it raised RuntimeError: no kernel"),
        ("leaves", "it ended the interpreter (exit status 0)"),
        ("crashes", "it crashed the interpreter (signal 11)"),
        ("hoards", "it raised RuntimeError"),
        ("text", "is a str, expected a torch.Tensor"),
        ("integers", "has dtype torch.int64, expected a floating-point one"),
        ("rows", "has shape"),
        ("echoes", "this does not hold"),
        ("zeros", "this does not hold"),
        ("nans", "this does not hold"),
        ("disarms_comparisons", "this does not hold"),
        ("spoils", "it changes the arrays that its caller handed it"),
        ("noisy", ""),
    ],
)
def test_misbehaviour_is_an_error_that_is_named(name, words):
    report = checked(name)
    assert not report.conforms
    assert any(words in finding.summary for finding in report.findings), str(report)
    assert len(report.checks) == CHECKS


def test_a_target_that_hangs_is_stopped():
    report = checked("loops", timeout=0.3)
    assert not report.conforms
    assert "did not answer within 0.3 seconds" in report.findings[0].summary


def test_printing_is_advice_only():
    report = checked("prints_and_reads")
    assert report.conforms, str(report)
    assert [finding.severity for finding in report.findings] == ["advice"]
    assert "it prints: looking at" in report.findings[0].summary


def test_the_wrong_dtype_is_named():
    report = checked("single")
    assert "the result has dtype float32, expected float64 as the input" in str(report)


def test_a_numpy_object_is_judged_forward_and_backward():
    report = checked("NumpySigmoid")
    status = {outcome.id.rsplit(".", 1)[-1]: outcome.status for outcome in report.checks}
    assert status["values"] == status["gradient"] == "pass", str(report)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (f"{STRANGERS}:missing", "has no 'missing'; it has "),
        (f"{STRANGERS}:NOT_CALLABLE", "a int cannot be called"),
        ("nowhere.py:f", "no file 'nowhere.py'"),
        ("no_such_module:f", "module 'no_such_module' cannot be imported: ModuleNotFoundError"),
        ("torch.tanh", "has no name: expected"),
        (str(STRANGERS.with_name("broken_import.py")) + ":layer", "broken_import.py:6: layer = undefined_layer(scale)"),
    ],
)
def test_a_target_that_cannot_be_had_is_a_wrong_call(target, words):
    with pytest.raises(Refused) as refused:
        dlcheck.check(target, "sigmoid")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_keyword_that_the_target_lacks_is_a_wrong_call():
    with pytest.raises(Refused, match="--set slope: the target accepts x"):
        checked("right", settings={"slope": 2})


def test_a_constructor_that_needs_more_arguments_is_a_wrong_call():
    with pytest.raises(
        Refused, match="the target needs width and depth, which sigmoid does not have: give it with --set"
    ):
        checked("NeedsArguments")


def test_objects_are_judged_in_a_fork():
    def broken(x):
        return np.tanh(x)

    assert not dlcheck.check(broken, "sigmoid", examples=2).conforms
    assert dlcheck.check(broken, "tanh", examples=2).conforms
