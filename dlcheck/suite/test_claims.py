"""Every claim is judged, on every implementation of its component; the verdict must be the declared one."""

import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dlcheck import registry
from dlcheck.judgement import Claim, Judgement, Unsupported
from dlcheck.outcomes import Record, record
from dlcheck.suite.judging import Run, implementation


def _items() -> Iterator[Any]:
    for claim in registry.claims().values():
        for name in registry.IMPLEMENTATIONS if claim.component else ("",):
            yield pytest.param(claim, name, id=f"{claim.id}-{name}" if name else claim.id)


@pytest.mark.parametrize(("claim", "name"), list(_items()))
def test_claim(claim: Claim, name: str, run: Run, report: Callable[..., None]) -> None:
    started = time.perf_counter()
    found = _judged(claim, name, run.device)
    report([{**found, "seconds": time.perf_counter() - started}])


def _judged(claim: Claim, name: str, device: str) -> Record:
    about: dict[str, Any] = {"component": claim.component, "implementation": name}
    code = implementation(registry.components()[claim.component], name, device) if name else None
    if name and code is None:
        return record("claim", claim.id, "not provided", message=f"{claim.component} has no {name}", **about)
    try:
        judgement = claim.judge(*([code] if name else []))
    except Exception as error:
        return record("claim", claim.id, "error", message=_first_line(error), **about)
    wrong = objection(claim, judgement)
    return record("claim", claim.id, "fail" if wrong else "pass", message=wrong, judgement=judgement, **about)


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
