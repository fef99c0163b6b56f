"""What is right is never accused, whatever the seed: ours and torch's own with a hundred: ``pytest -m deep``."""

import pytest

from dlcheck import registry
from dlcheck.component import Component, Counterpart
from dlcheck.conformance import targets
from dlcheck.conformance.check import judge
from dlcheck.conformance.findings import Report

pytestmark = pytest.mark.deep
SEEDS = range(0, 100_000_000, 1_000_000)
"""Far apart, for a target's draws are seeded with the numbers that follow."""
COUNTERPARTS = registry.counterparts()


def accused(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity == "error"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", registry.IMPLEMENTATIONS)
@pytest.mark.parametrize("component", registry.components().values(), ids=registry.components())
def test_ours_conform(component: Component, kind: str, seed: int) -> None:
    code = targets.ours(component, kind, seed=seed)
    assert code is None or not accused(judge(component, code, seed=seed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("counterpart", COUNTERPARTS, ids=[counterpart.name for counterpart in COUNTERPARTS])
def test_torchs_own_deviate_as_listed(counterpart: Counterpart, seed: int) -> None:
    component = registry.components()[counterpart.component]
    code = targets.adapt(component, targets.load(counterpart.target), counterpart.settings, seed=seed)
    report = judge(component, code, fixed=counterpart.settings, seed=seed)
    assert accused(report) <= set(counterpart.known)
