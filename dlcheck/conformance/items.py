"""A target's checks as pytest items: ``conformance_tests``, and what ``[tool.dlcheck]`` declares."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from dlcheck import results
from dlcheck.conformance import explanation
from dlcheck.conformance.findings import Report
from dlcheck.conformance.implementation import Refused
from dlcheck.conformance.project import Target, read, stale
from dlcheck.conformance.records import check_records
from dlcheck.profiles import PROFILES


class Deviation(AssertionError):
    """A component's check failed; the first line of the message names the component and the mistake."""


def conformance_tests(
    target: Any, component: str, *, waivers: Mapping[str, str] | None = None, **options: Any
) -> Callable[..., None]:
    """A pytest test with one item for each check of the component: ``test_adam = conformance_tests(MyAdam, "adam")``.

    ``options`` are those of ``check``. ``waivers`` gives the reason for each check that the target may fail; one that
    passes all the same fails as stale. The target is judged once, when the first item runs.

    Raises UnknownName and Refused, a ValueError, for bad arguments, at once.
    """
    declared = Target(target, component, {} if waivers is None else waivers, options)
    report = _once(declared)

    @pytest.mark.parametrize("check_id", declared.check_ids())
    def test(check_id: str, request: pytest.FixtureRequest) -> None:
        __tracebackhide__ = True
        settle(declared, report(request.config), check_id, request.node)

    return test


def _once(declared: Target) -> Callable[[pytest.Config], Report | Refused]:
    """What the check of a target gives, or why it cannot be checked; found out when first asked for."""

    @cache
    def judged(config: pytest.Config) -> Report | Refused:
        try:
            return declared.judged(_asked(config))
        except Refused as error:
            return error

    return judged


def _asked(config: pytest.Config) -> dict[str, Any]:
    """What the command line asks of every check, as options of ``dlcheck.check``."""
    seed, profile, device = (config.getoption(f"--dlcheck-{name}", None) for name in ("seed", "profile", "device"))
    asked = {"seed": seed, "examples": PROFILES.get(profile or ""), "device": None if device == "auto" else device}
    return {name: value for name, value in asked.items() if value is not None}


def settle(target: Target, report: Report | Refused, check_id: str, item: pytest.Item) -> None:
    """Hand over the records of one check, and end the item as the report and the waivers say."""
    __tracebackhide__ = True
    if isinstance(report, Refused):
        pytest.fail(str(report), pytrace=False)
    records = [record for record in check_records(report, target.called) if record["subject"] == check_id]
    for record in records:
        if record["status"] == "fail" and record["found"]["severity"] == "advice":
            record["status"] = "advised"
    item.user_properties.append(("dlcheck", results.dumps(records)))
    found = next((found for found in report.findings if found.check == check_id and found.severity != "advice"), None)
    if found is not None and found.severity == "waived":
        pytest.xfail(found.summary)
    if found is not None:
        raise Deviation(explanation.text(found))
    if check_id in target.waivers:
        pytest.fail(f"{stale(check_id)} ({target.waivers[check_id]})", pytrace=False)
    lacks = [outcome for outcome in report.checks if outcome.id == check_id and outcome.status == "not_provided"]
    if lacks:
        pytest.skip(f"not provided: {lacks[0].message}")


class DeclaredCheck(pytest.Item):
    """One check of one target that the project's pyproject.toml declares."""

    def __init__(self, *, declared: Target, report: Callable[[pytest.Config], Any], **given: Any) -> None:
        super().__init__(**given)
        self.declared, self.report = declared, report

    def runtest(self) -> None:
        """Judge the target, if no item of it did, and look at this check."""
        settle(self.declared, self.report(self.config), self.name, self)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *given: Any, **named: Any) -> Any:
        """The finding alone: there is no test function to show."""
        return str(excinfo.value) if isinstance(excinfo.value, Deviation) else super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, None, str]:
        """Where it was declared."""
        return self.path, None, f"{self.declared.name}::{self.name}"


class DeclaredTarget(pytest.Collector):
    """One target that the project's pyproject.toml declares: an item for each of its checks."""

    def __init__(self, *, declared: Target, **given: Any) -> None:
        super().__init__(name=declared.name, **given)
        self.declared = declared

    def collect(self) -> Iterator[DeclaredCheck]:
        """Its checks, in their order."""
        report = _once(self.declared)
        for check_id in self.declared.check_ids():
            yield DeclaredCheck.from_parent(self, name=check_id, declared=self.declared, report=report)


class Declaration(pytest.File):
    """The project's pyproject.toml."""

    def collect(self) -> Iterator[DeclaredTarget]:
        """What its table [tool.dlcheck] declares."""
        for target in read(self.path):
            yield DeclaredTarget.from_parent(self, declared=target)
