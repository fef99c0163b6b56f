"""Every claim is judged, on every implementation of its component; the verdict must be the declared one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dlcheck import registry
from dlcheck.claim_items import judge
from dlcheck.judgement import Claim
from dlcheck.suite.judging import Run


def _items() -> Iterator[Any]:
    for claim in registry.claims().values():
        for name in registry.IMPLEMENTATIONS if claim.component else ("",):
            yield pytest.param(claim, name, id=f"{claim.id}-{name}" if name else claim.id)


@pytest.mark.parametrize(("claim", "name"), list(_items()))
def test_claim(claim: Claim, name: str, run: Run, report: Callable[..., None]) -> None:
    report([judge(claim, name, run.device)])
