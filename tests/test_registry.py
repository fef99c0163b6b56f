"""Everything is found by name, and nothing heavy is loaded before it is needed."""

import inspect
import subprocess
import sys

import pytest

import dlcheck
from dlcheck import registry

HEAVY = ("torch", "sympy", "hypothesis", "matplotlib", "numpy", "pytest", "click", "rich", "jinja2", "scipy")


def in_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_dlcheck_loads_nothing_heavy() -> None:
    assert in_new_process(f"import sys, dlcheck; print(set({HEAVY}) & set(sys.modules))") == "set()"


def test_importing_dlcheck_takes_at_most_fifty_milliseconds() -> None:
    code = "import time; start = time.process_time(); import dlcheck; print(time.process_time() - start)"
    assert min(float(in_new_process(code)) for _ in range(5)) <= 0.05


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_a_reference_loads_numpy_only(family: str) -> None:
    code = (
        f"import sys, dlcheck.{family}.reference; print(sorted({{'torch', 'sympy', 'hypothesis'}} & set(sys.modules)))"
    )
    assert in_new_process(code) == "[]"


def test_public_names_are_what_they_say() -> None:
    from dlcheck.conformance.check import check
    from dlcheck.conformance.items import conformance_tests
    from dlcheck.judgement import claim

    assert (dlcheck.check, dlcheck.conformance_tests, dlcheck.claim) == (check, conformance_tests, claim)
    assert dlcheck.components() is registry.components()
    assert dlcheck.claims() is registry.claims()
    assert {"check", "conformance_tests", "claim", "components", "claims"} <= set(dir(dlcheck))


def test_unknown_public_name_lists_the_public_ones() -> None:
    with pytest.raises(AttributeError, match="public are check, "):
        dlcheck.verify  # noqa: B018


def test_implementations_are_found_by_name() -> None:
    from dlcheck.optimizers import reference
    from dlcheck.optimizers.torch import Adam

    assert registry.implementation("adam", "reference") is reference.adam
    assert registry.implementation("adam", "torch") is Adam


def test_absent_implementation_is_none() -> None:
    assert registry.implementation("adam", "jax") is None


def test_lookup_suggests_the_nearest_name() -> None:
    with pytest.raises(registry.UnknownName, match=r"^unknown component 'adm'; did you mean adam"):
        registry.lookup("component", registry.components(), "adm")


def test_lookup_lists_what_is_known_where_nothing_is_near() -> None:
    with pytest.raises(registry.UnknownName, match=r"^unknown component 'xyzzy'; known are .*sigmoid.* [0-9]+ more$"):
        registry.lookup("component", registry.components(), "xyzzy")


def test_components_keep_the_order_of_the_families() -> None:
    families = list(registry.families().values())
    assert families == sorted(families, key=registry.FAMILIES.index)
    assert list(registry.families()) == list(registry.components())


def test_found_names_are_records_of_the_right_kind() -> None:
    assert all(inspect.isfunction(claim.judge) for claim in registry.claims().values())
    assert all(fault.component in registry.components() for fault in registry.faults().values())


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_faults_have_ids_of_their_own(family: str) -> None:
    ids = [fault.id for fault in registry.module(family, "faults").FAULTS]
    assert len(ids) == len(set(ids)), sorted(id for id in set(ids) if ids.count(id) > 1)
