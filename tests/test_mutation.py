"""The fixed cases see nearly every change to a reference: all of them take some twenty minutes, ``pytest -m deep``."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dlcheck import registry

LEAST = 0.95
"""The share that the cases of each family must kill of the mutants that are not the same function."""


@pytest.fixture(scope="module")
def mutation() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("mutation")


@pytest.fixture(scope="module")
def leaky_relu(mutation: ModuleType) -> Any:
    return mutation.Family("activations", "leaky_relu")


@pytest.mark.deep
@pytest.mark.parametrize("family", registry.FAMILIES)
def test_cases_kill_the_mutants(family: str, mutation: ModuleType) -> None:
    found = mutation.score(family)
    assert not found.unlisted, [mutant.name for mutant in found.unlisted]
    assert not found.stale
    assert found.share >= LEAST


def fates(mutation: ModuleType, family: Any, function: str, before: str) -> dict[str, str]:
    """What becomes of the mutants of one line."""
    found = [mutant for mutant in mutation.mutants("activations") if mutant.name[:2] == (function, before)]
    return {mutant.after: family.fate(mutant) for mutant in found}


def test_what_gives_other_numbers_is_killed_and_what_gives_the_same_survives(mutation, leaky_relu):
    assert fates(mutation, leaky_relu, "leaky_relu", "return np.where(x > 0, x, slope * x)") == {
        "return np.where(x >= 0, x, slope * x)": "survived",  # both give 0 at 0
        "return np.where(x <= 0, x, slope * x)": "killed",
        "return np.where(x > 1, x, slope * x)": "killed",
        "return np.where(x > 0, x, slope / x)": "killed",
    }


def test_a_function_that_no_case_enters_is_told_apart(mutation, leaky_relu):
    found = fates(mutation, leaky_relu, "prelu", "return np.where(x > 0, x, _slopes(x, weight) * x)")
    assert set(found.values()) == {"elsewhere"}


def test_the_reference_is_itself_again(mutation, leaky_relu):
    for mutant in mutation.mutants("activations"):
        leaky_relu.fate(mutant)
    assert leaky_relu.runs
    for run in leaky_relu.runs:
        again = mutation.Reference(run.reference.component, run.reference.options)
        assert mutation.Trial(run.reference.component, again).compare(run.reference, run.check, run.case).agrees


def test_what_only_refuses_is_no_mutant(mutation):
    names = {mutant.function for mutant in mutation.mutants("activations")}
    assert "leaky_relu" in names
    assert not names & {"_real", "_choice"}


def test_an_endless_run_ends(mutation):
    with pytest.raises(mutation.Endless), mutation.limit(0.05):
        sum(iter(lambda: 0, 1))


def test_listed_survivors_have_reasons(mutation):
    entries = [entry for family in mutation.listed().values() for entry in family]
    assert entries
    assert all(len(entry.get("why") or entry["needs"]) > 15 for entry in entries)
