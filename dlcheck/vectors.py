"""Test vectors: the fixed cases of a component with the right results, as JSON that any language can read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dlcheck import registry
from dlcheck.component import Case, Check, Component
from dlcheck.conformance import diagnosis, form
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.implementation import NotProvided
from dlcheck.conformance.oracle import Reference, prepared

SCHEMA = "dlcheck.vectors/1"
"""Described by ``vectors.schema.json`` beside this file."""


def document(component: Component) -> dict[str, Any]:
    """Every plain float64 case of a component: inputs, settings, results, allowed errors, and the mistakes it kills.

    Results are those of the drop-in model's conventions. Cases that draw at random have none, and are left out.
    """
    conventions = diagnosis.combinations(component)[0]
    right = diagnosis.reference(component, conventions)
    faults = [diagnosis.reference(component, conventions, fault) for fault in registry.faults_of(component.name)]
    trials = [Trial(component, fault) for fault in faults]
    return {
        "schema": SCHEMA,
        "component": component.name,
        "family": registry.families()[component.name],
        "model": component.model,
        "conventions": conventions,
        "vectors": [
            _vector(right, trials, check, *found) for check in _plain(component) for found in _cases(check, component)
        ],
    }


def write(component: Component, folder: Path) -> Path:
    """Write a component's document into a folder; the same bytes each time."""
    from dlcheck import results

    path = folder / f"{component.name}.json"
    made = document(component)
    head = {name: value for name, value in made.items() if name != "vectors"}
    # a vector a line, so that differences between two versions can be read
    lines = ",\n".join(json.dumps(_encoded(vector), ensure_ascii=False, allow_nan=False) for vector in made["vectors"])
    text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "vectors": [\n{lines}\n]}}'
    results.write(path, text + "\n")
    return path


def _plain(component: Component) -> tuple[Check, ...]:
    checks = registry.checks(component.name)
    return tuple(check for check in checks if check.severity == "error" and check.observes == "values")


def _cases(check: Check, component: Component) -> Iterator[tuple[int, Case]]:
    random = form.named(component.form).random_runs
    for place, case in enumerate(check.cases):
        if case.dtype == "float64" and case.layout == "contiguous" and case.run not in random:
            yield place, case


def _vector(right: Reference, trials: list[Trial], check: Check, place: int, case: Case) -> dict[str, Any]:
    given = prepared(case)
    return {
        "id": f"{check.id}.{place}",
        "says": check.says,
        "run": given.run,
        "settings": dict(given.settings),
        "inputs": dict(given.inputs),
        "outputs": dict(right.observe(given).values),
        "allowed": right.allowance(given),
        "kills": [trial.implementation.name for trial in trials if _kills(trial, right, check, case)],
    }


def _kills(trial: Trial, right: Reference, check: Check, case: Case) -> bool:
    try:
        return not trial.compare(right, check, case).agrees
    except NotProvided:
        return False


def _encoded(value: Any) -> Any:
    """Floating-point numbers as a pair of exact hexadecimal and shortest decimal; arrays flat beside their shape."""
    if isinstance(value, np.ndarray):
        flat = value.ravel().tolist()
        if value.dtype.kind != "f":
            return {"shape": list(value.shape), "dtype": str(value.dtype), "values": flat}
        return {
            "shape": list(value.shape),
            "dtype": "float64",
            "hex": [v.hex() for v in flat],
            "decimal": [repr(v) for v in flat],
        }
    if isinstance(value, float):
        return {"hex": value.hex(), "decimal": repr(value)}
    if isinstance(value, dict):
        return {str(key): _encoded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value
