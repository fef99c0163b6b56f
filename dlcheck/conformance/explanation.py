"""Turn a failing case into words: cause first, then input, numbers, pattern, what was ruled out, how to replay."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dlcheck import registry
from dlcheck.component import Case, Check, Component
from dlcheck.conformance import form
from dlcheck.conformance.comparison import Comparison, Trial
from dlcheck.conformance.diagnosis import Cause, Diagnosis
from dlcheck.conformance.findings import Finding, brief
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.pattern import pattern
from dlcheck.conformance.snippets import snippet

_SHOWN = 6


def finding(
    trial: Trial,
    check: Check,
    case: Case,
    failure: Comparison | str,
    right: Reference,
    diagnosis: Diagnosis | None,
    replay: str,
) -> Finding:
    """The finding of one failing check; ``failure`` is how it differs from what is right, or what it did instead."""
    component, target = trial.component, trial.implementation.name
    cause = diagnosis.of(check) if diagnosis else None
    known = cause.faults if cause else ()
    comparison = failure if isinstance(failure, Comparison) else None
    relation = _pattern(trial, case, comparison, right) if comparison and not comparison.says else ""
    source, ran = component.sources[0], _with_fixed(trial, case)
    details = {
        "check": f"{check.id}: {check.says}",
        "source": f"{source.title}, {source.locator}".rstrip(", "),
        "input": described(ran),
        **(_numbers(comparison) if comparison else {}),
        "pattern": relation,
        "diagnosis": _diagnosed(diagnosis, cause) if diagnosis and check.severity == "error" else "",
        "ruled out": "; ".join(f.says for f in diagnosis.ruled_out[:_SHOWN]) if diagnosis and known else "",
        "effect": known[0].effect if known else "",
        "fix": known[0].fix if known else "",
        "replay": replay,
        "explain": f"dlcheck explain {known[0].id if known else check.id}",
    }
    return Finding(
        check.id,
        check.severity,
        f"{component.name}: {known[0].says if known else _failure(check, failure, relation)}",
        flag=known[0].id if known else None,
        parameters={**ran.settings, "dtype": ran.dtype, "layout": ran.layout},
        expected=comparison.expected if comparison else None,
        got=comparison.got if comparison else failure,
        allowed=comparison.allowed if comparison else None,
        reproduce=snippet(component, ran, target),
        details=details,
    )


def _with_fixed(trial: Trial, case: Case) -> Case:
    """The case as the target got it: with all that is fixed, but for what is meant for its adapter."""
    ran, switches = trial.case(case), form.named(trial.component.form).switches
    fixed = {name: value for name, value in trial.given.items() if name not in switches}
    return replace(ran, settings={**ran.settings, **fixed})


def unmet(component: Component, followed: Mapping[str, str], demanded: Mapping[str, str]) -> list[Finding]:
    """A finding for every demanded convention that the implementation is seen not to follow."""
    family = registry.families()[component.name]
    return [
        Finding(
            f"{family}.{component.name}.convention.{axis}",
            "error",
            f"{component.name}: {axis} follows {followed[axis]}, {option} was demanded",
            expected=option,
            got=followed[axis],
        )
        for axis, option in demanded.items()
        if followed.get(axis, option) != option
    ]


def text(found: Finding) -> str:
    """A finding as the message of a failing test: the cause in the first line."""
    width = max(map(len, found.details), default=0)
    return "\n".join([found.summary, *(f"  {key:<{width}}  {value}" for key, value in found.details.items() if value)])


def _failure(check: Check, failure: Comparison | str, relation: str) -> str:
    if isinstance(failure, str):
        return failure
    return failure.says or ": ".join(filter(None, (f'the check "{check.says}" fails', relation)))


def _diagnosed(diagnosis: Diagnosis, cause: Cause | None) -> str:
    if cause is None:
        return "no known mistake matches"
    names = " or ".join(fault.id for fault in cause.faults)
    several = " (they cannot be told apart here)" if len(cause.faults) > 1 else ""
    where = f"in all {diagnosis.places} cases" if diagnosis.whole else "here; it is not the only one"
    if cause.spared:
        where = f"here, though not in {', '.join(map(brief, sorted(cause.spared)))}, where it would show too"
    return f"matches the known mistake {names}{several} {where}"


def _numbers(comparison: Comparison) -> dict[str, str]:
    if comparison.says:
        return {"got": comparison.says}
    place = f"{comparison.output}{list(comparison.index)}"
    return {
        "expected": f"{place} = {comparison.expected:.9g}",
        "got": f"{place} = {comparison.got:.9g}   ({_off(comparison)}; first of {comparison.wrong} wrong of "
        f"{comparison.total}; allowed error {comparison.allowed:.1e})",
    }


def _off(comparison: Comparison) -> str:
    with np.errstate(all="ignore"):
        difference = comparison.got - comparison.expected
    return f"off by {difference:.3g}" if np.isfinite(difference) else "not the same"


def _pattern(trial: Trial, case: Case, comparison: Comparison, right: Reference) -> str:
    """How the output relates to what is right; for optimizers the ratio of the steps, which tells more."""
    name, ran = comparison.output, trial.case(case)
    seen, expected = trial.seen(case).values, trial.expected(right, case).values
    if case.run != "trajectory":
        if trial.as_float32(right, case):
            return "right to the precision of float32, not of float64"
        return pattern(expected[name], seen[name], right.allowance(ran)[name], ran.inputs)
    start = np.asarray(ran.inputs["params"][0])[None]
    if seen["param0"].shape != expected["param0"].shape or not start.size:
        return ""
    ways = seen["param0"], expected["param0"]
    with np.errstate(all="ignore"):
        steps = [np.diff(np.concatenate([start, way]), axis=0).reshape(len(way), -1)[:, 0] for way in ways]
        ratios = steps[0] / steps[1]
    times = [t for t in (1, 2, 3, 6, 12, 30, 100, 300) if t <= len(ratios)]
    return "step taken / step expected: " + "  ".join(f"t={t}: {ratios[t - 1]:.4g}" for t in times)


def described(case: Case) -> str:
    """A case in one line: settings, dtype, layout, and its arrays where they are small."""
    settings = ", ".join(f"{name}={value}" for name, value in case.settings.items())
    arrays = ", ".join(f"{name}={_short(value)}" for name, value in case.inputs.items())
    layout = "" if case.layout == "contiguous" else f", {case.layout}"
    return f"{arrays}{', ' if settings else ''}{settings}, {case.dtype}{layout}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        shown = np.array2string(value, precision=6, separator=", ", threshold=8) if value.size <= 8 else ""
        return shown.replace("\n", "") or f"array of shape {value.shape}"
    if isinstance(value, list):
        return f"[{_short(value[0])}{f', ... {len(value)} in all' if len(value) > 1 else ''}]" if value else "[]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_short(inner)}" for key, inner in value.items()) + "}"
    return str(value)
