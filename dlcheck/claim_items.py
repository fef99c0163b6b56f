"""Claims as pytest items, in anybody's test files: judged, with the figures and tables that they leave, and reported.

A module-level ``@dlcheck.claim`` is collected like a test function. Its judge may ask for pytest's fixtures, among them
``figure``, ``table`` and ``counterexample``, which take what ``dlcheck.judgement``'s records of these names take and
add it to the judgement.
"""

import inspect
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from dlcheck.judgement import Claim, Counterexample, Figure, Judgement, Table, Unsupported


@dataclass(slots=True)
class Parts:
    """What the fixtures of one item gathered."""

    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    counterexamples: list[Counterexample] = field(default_factory=list)

    def added_to(self, judgement: Judgement) -> Judgement:
        """The judgement with them; its own counterexample comes first."""
        example = judgement.counterexample or next(iter(self.counterexamples), None)
        figures, tables = (*judgement.figures, *self.figures), (*judgement.tables, *self.tables)
        return replace(judgement, figures=figures, tables=tables, counterexample=example)


@pytest.fixture
def _parts(request: pytest.FixtureRequest) -> Parts:
    if not isinstance(getattr(request.node, "claim", None), Claim):
        raise pytest.UsageError("figure, table and counterexample serve functions under @dlcheck.claim only")
    return Parts()


@pytest.fixture
def _item(request: pytest.FixtureRequest) -> pytest.Item:
    return request.node


@pytest.fixture
def figure(_parts: Parts) -> Callable[..., None]:
    """Add a picture of the evidence: ``figure(title, x_label, y_label, series)``."""
    return lambda *given, **named: _parts.figures.append(Figure(*given, **named))


@pytest.fixture
def table(_parts: Parts) -> Callable[..., None]:
    """Add a table of the evidence: ``table(title, columns, rows)``."""
    return lambda *given, **named: _parts.tables.append(Table(*given, **named))


@pytest.fixture
def counterexample(_parts: Parts) -> Callable[..., None]:
    """Tell where the claim fails: ``counterexample(says, inputs, claimed, actual, confirmed)``."""
    return lambda *given, **named: _parts.counterexamples.append(Counterexample(*given, **named))


class ClaimItem(pytest.Function):
    """A claim judged on one implementation, or on none."""

    claim: Claim


def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> list[ClaimItem] | None:
    """A claim that a test module itself makes is an item, or one for each implementation of its component."""
    if not isinstance(obj, Claim) or obj.judge.__module__ != collector.obj.__name__:
        return None
    from dlcheck import registry

    items = []
    for implementation in registry.IMPLEMENTATIONS if obj.component else ("",):
        called = f"{name}[{implementation}]" if implementation else name
        item = ClaimItem.from_parent(collector, name=called, callobj=_test_of(obj, implementation))
        item.claim = obj
        items.append(item)
    return items


def _test_of(claim: Claim, implementation: str) -> Callable[..., None]:
    """A test function with the fixtures that the judge asks for, beside the implementation."""
    asked = list(inspect.signature(claim.judge).parameters)[bool(implementation) :]

    def test(_parts: Parts, _item: pytest.Item, **fixtures: Any) -> None:
        __tracebackhide__ = True
        found = judge(claim, implementation, with_parts=_parts, **fixtures)
        hand_over([found], _item)

    names = ("_parts", "_item", *asked)
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in dict.fromkeys(names)]
    test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return test


def judge(claim: Claim, implementation: str, device: str = "cpu", with_parts: Parts | None = None, **given: Any) -> Any:
    """The record of one claim judged on one implementation ("" for none), with what else its judge asks for."""
    from dlcheck.outcomes import record

    about = {
        name: getattr(claim, name) for name in ("id", "family", "says", "formula", "sources", "evidence", "verdict")
    }
    told = partial(record, "claim", claim.id, component=claim.component, implementation=implementation, claim=about)
    started = time.perf_counter()
    arguments = _implementations(claim, implementation, device)
    if None in arguments:
        return told("not provided", message=f"{claim.component} has no {implementation}")
    try:
        judgement = (with_parts or Parts()).added_to(claim.judge(*arguments, **given))
    except Exception as error:
        return told("error", message=_first_line(error))
    wrong = objection(claim, judgement)
    seconds = time.perf_counter() - started
    return told("fail" if wrong else "pass", message=wrong, judgement=judgement, seconds=seconds)


def _implementations(claim: Claim, implementation: str, device: str) -> list[Any]:
    if not implementation:
        return []
    from dlcheck import registry
    from dlcheck.conformance.targets import ours

    component = registry.lookup("component", registry.components(), claim.component)
    return [ours(component, implementation, device)]


def objection(claim: Claim, judgement: Judgement) -> str:
    """Why the judgement does not bear out what the claim declares; "" where it does."""
    try:
        verdict = judgement.verdict
    except Unsupported as error:
        return str(error)
    if verdict != claim.verdict:
        return f"declared {claim.verdict}, but the evidence of this run says {verdict}"
    return ""


def _first_line(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (line {frame.lineno} of {frame.name})"


def hand_over(records: Sequence[Any], item: pytest.Item) -> None:
    """Hand an item's records to the run's results, then fail or skip as they say: what lacks something is no pass."""
    __tracebackhide__ = True
    from dlcheck import results

    item.user_properties.append(("dlcheck", results.dumps(records)))
    wrong = [record for record in records if record["status"] in ("fail", "error")]
    if wrong:
        pytest.fail("\n".join(f"{record['subject']}: {record['message']}" for record in wrong), pytrace=False)
    if all(record["status"] == "not provided" for record in records):
        pytest.skip(f"not provided: {records[0]['message']}")
