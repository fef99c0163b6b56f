"""Every component is complete, sourced and in its place; every id is said once."""

import ast
import importlib
import inspect
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import dlcheck
from dlcheck import registry
from dlcheck.component import Component, Source
from dlcheck.conformance import form
from dlcheck.conformance.common_checks import all_checks
from dlcheck.judgement import Claim

ROOT = Path(dlcheck.__file__).parent
COMPONENTS = registry.components()
each_component = pytest.mark.parametrize("component", COMPONENTS.values(), ids=COMPONENTS)
each_claim = pytest.mark.parametrize("claim", registry.claims().values(), ids=registry.claims())
each_fault = pytest.mark.parametrize("fault", registry.faults().values(), ids=registry.faults())
each_family = pytest.mark.parametrize("family", registry.FAMILIES)


def listed(file: str, name: str) -> list[Any]:
    """What the families' tuples hold, repetitions included."""
    return [
        found
        for family in registry.FAMILIES
        for found in getattr(importlib.import_module(f"dlcheck.{family}.{file}"), name)
    ]


def cited(sources: tuple[Source, ...]) -> bool:
    """Whether there are sources, each with a title, their addresses being addresses."""
    return bool(sources) and all(
        source.title and (not source.url or source.url.startswith(("https://", "http://"))) for source in sources
    )


def defined(family: str, file: str) -> list[str]:
    """Names of the components that a file defines, in its order."""
    module = importlib.import_module(f"dlcheck.{family}.{file}")
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    spelled = {name.replace("_", "").lower(): name for name in COMPONENTS if registry.families()[name] == family}
    exact = [name if name in COMPONENTS else spelled.get(name.lower(), "") for name in own]
    return [name for name in exact if name]


@each_component
def test_component_is_complete(component: Component) -> None:
    for name in registry.IMPLEMENTATIONS:
        assert registry.implementation(component.name, name) is not None, name
    assert component.summary
    assert component.formula
    assert component.model
    assert cited(component.sources)
    assert registry.checks(component.name)
    assert any(fault.component == component.name for fault in registry.faults().values())


@each_component
def test_checks_are_named_and_fixed(component: Component) -> None:
    family = registry.families()[component.name]
    found = all_checks(component)
    assert len({check.id for check in found}) == len(found)
    for check in found:
        assert check.id.startswith(f"{family}.{component.name}."), check.id
        assert check.says, check.id
        assert check.cases, check.id


@each_component
def test_conventions_have_options_that_differ(component: Component) -> None:
    assert len({convention.axis for convention in component.conventions}) == len(component.conventions)
    for convention in component.conventions:
        assert len(convention.options) > 1, convention.axis
        assert len({option.name for option in convention.options}) == len(convention.options), convention.axis
        assert all(option.says for option in convention.options), convention.axis


@each_component
def test_conventions_are_keywords_of_the_reference(component: Component) -> None:
    family = registry.families()[component.name]
    module = importlib.import_module(f"dlcheck.{family}.reference")
    functions = [getattr(module, name, None) for name in _functions(component.name)]
    known = {name for f in functions if f for name in inspect.signature(f).parameters} | set(component.settings)
    known |= {"step_count", "outside_change"}  # read by what drives the reference, which itself sees one parameter
    for convention in component.conventions:
        for option in convention.options:
            assert set(option.keywords) <= known, f"{convention.axis}={option.name}"


def _functions(component: str) -> tuple[str, ...]:
    return component, f"{component}_backward", f"{component}law", f"{component}_parameters", f"{component}_read"


@each_fault
def test_fault_is_told_and_runnable(fault: Any) -> None:
    family = registry.families()[fault.component]
    module = importlib.import_module(f"dlcheck.{family}.reference")
    assert 0 < len(fault.says) <= 60
    assert fault.effect
    assert fault.fix
    assert fault.replaces
    driver = form.named(COMPONENTS[fault.component].form).driver
    assert all(callable(getattr(module, name, driver.get(name))) for name in fault.replaces)
    assert all(url.startswith("https://") for url in fault.happened), fault.happened


@each_claim
def test_claim_is_sourced_and_bound(claim: Claim) -> None:
    assert claim.says
    assert cited(claim.sources)
    assert not claim.component or claim.component in COMPONENTS
    assert len(inspect.signature(claim.judge).parameters) == bool(claim.component)


@pytest.mark.parametrize(("file", "name", "key"), [("spec", "COMPONENTS", "name"), ("faults", "FAULTS", "id")])
def test_ids_are_said_once(file: str, name: str, key: str) -> None:
    repeated = [found for found, count in Counter(getattr(r, key) for r in listed(file, name)).items() if count > 1]
    assert not repeated


def test_claim_ids_are_said_once() -> None:
    declared = [
        value.id
        for family in registry.FAMILIES
        for file in ("claims", "experiments")
        for value in vars(registry.module(family, file) or object).values()
        if isinstance(value, Claim)
    ]
    assert [found for found, count in Counter(declared).items() if count > 1] == []
    assert set(declared) == set(registry.claims())


@each_family
@pytest.mark.parametrize("file", registry.IMPLEMENTATIONS)
def test_files_keep_the_order_of_spec(family: str, file: str) -> None:
    found = defined(family, file)
    assert found == sorted(found, key=list(COMPONENTS).index)


@each_family
def test_faults_keep_the_order_of_spec(family: str) -> None:
    order = [fault.component for fault in registry.faults().values() if registry.families()[fault.component] == family]
    assert order == sorted(order, key=list(COMPONENTS).index)


@each_family
def test_a_familys_init_is_one_docstring(family: str) -> None:
    body = ast.parse((ROOT / family / "__init__.py").read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_documented_and_functions_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: length for name, length in lengths.items() if length > 80} == {}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_tolerances_live_in_numerics(path: Path) -> None:
    code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert path.name == "numerics.py" or not re.search(r"\b(rtol|atol|abs_tol|rel_tol)\s*=\s*[\d.]", code)
