"""A target's checks as pytest items: ``conformance_tests``, and what ``[tool.dlcheck]`` declares."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from dlcheck import results
from dlcheck.conformance import explanation
from dlcheck.conformance.findings import Report
from dlcheck.conformance.project import Target, errors, read
from dlcheck.conformance.records import check_records


class Deviation(AssertionError):
    """A component's check failed; the first line of the message names the component and the mistake."""


def conformance_tests(
    target: Any, component: str, *, waivers: Mapping[str, str] | None = None, **options: Any
) -> Callable[..., None]:
    """A pytest test with one item for each check of the component: ``test_adam = conformance_tests(MyAdam, "adam")``.

    ``options`` are those of ``check``. ``waivers`` gives the reason for each check that the target may fail; one that
    passes all the same fails as stale. The target is judged once, when the first item runs.
    """
    declared = Target(target, component, waivers or {}, options)
    report = cache(declared.judged)

    @pytest.mark.parametrize("check_id", declared.check_ids())
    def test(check_id: str, record_property: Callable[[str, str], None]) -> None:
        __tracebackhide__ = True
        settle(declared, report(), check_id, record_property)

    return test


def settle(target: Target, report: Report, check_id: str, record_property: Callable[[str, str], None]) -> None:
    """Hand over the records of one check, and end the item as the report and the waivers say."""
    __tracebackhide__ = True
    records = [record for record in check_records(report, report.target) if record["subject"] == check_id]
    reason, failure = target.waivers.get(check_id), errors(report).get(check_id)
    if reason and failure:
        records = [{**record, "message": f"waived ({reason}): {record['message']}"} for record in records]
    record_property("dlcheck", results.dumps(records))
    if reason and failure:
        pytest.xfail(f"waived: {reason}")
    if reason:
        pytest.fail(f"the waiver of {check_id} is stale: it passes ({reason})", pytrace=False)
    if failure:
        raise Deviation(explanation.text(failure))
    lacks = [outcome for outcome in report.checks if outcome.id == check_id and outcome.status == "not_provided"]
    if lacks:
        pytest.skip(f"not provided: {lacks[0].message}")


class DeclaredCheck(pytest.Item):
    """One check of one target that the project's pyproject.toml declares."""

    def __init__(self, *, declared: Target, check_id: str, report: Callable[[], Report], **given: Any) -> None:
        super().__init__(**given)
        self.declared, self.check_id, self.report = declared, check_id, report

    def runtest(self) -> None:
        """Judge the target, if no item of it did, and look at this check."""
        settle(
            self.declared, self.report(), self.check_id, lambda name, value: self.user_properties.append((name, value))
        )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *given: Any, **named: Any) -> Any:
        """The finding alone: there is no test function to show."""
        return str(excinfo.value) if isinstance(excinfo.value, Deviation) else super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it was declared."""
        return "pyproject.toml", None, self.name


def declared_items(session: pytest.Session) -> list[DeclaredCheck]:
    """An item for every check of every target in the project's pyproject.toml."""
    path = session.config.rootpath / "pyproject.toml"
    found: list[DeclaredCheck] = []
    for target in read(path):
        report = cache(target.judged)
        for check_id in target.check_ids():
            name = f"{target.name}::{check_id}"
            given = {"name": name, "nodeid": f"{path.name}::{name}", "declared": target, "check_id": check_id}
            found.append(DeclaredCheck.from_parent(session, report=report, **given))
    return found
