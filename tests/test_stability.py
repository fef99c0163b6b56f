"""Verdicts do not hang on the seed: every claim is judged with twenty, in an hour or more: ``pytest -m deep``."""

import pytest

from dlcheck import registry
from dlcheck.claim_items import judge
from dlcheck.evidence import seeds

pytestmark = pytest.mark.deep
RUNS = 20


@pytest.fixture(params=range(RUNS))
def run_seed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(seeds, "RUN", request.param)
    return request.param


@pytest.mark.parametrize("claim", registry.claims().values(), ids=registry.claims())
def test_the_verdict_is_the_same_with_another_seed(claim, run_seed):
    found = judge(claim, "reference" if claim.component else "")
    assert found["status"] == "pass", found["message"]
