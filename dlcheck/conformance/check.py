"""``check``: judge one implementation and say what it is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlcheck import registry
from dlcheck.component import Case, Check, Component
from dlcheck.conformance import arguments, diagnosis, explanation
from dlcheck.conformance.adapters import frameworks
from dlcheck.conformance.arguments import EXAMPLES, TIMEOUT
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.comparison import Comparison, Trial
from dlcheck.conformance.findings import CheckOutcome, Finding, Report, root_cause_first
from dlcheck.conformance.implementation import Implementation, Misbehaviour, NotProvided, Refused, first_line
from dlcheck.conformance.isolation import Isolated
from dlcheck.conformance.oracle import Reference


def check(
    target: Any,
    component: str,
    *,
    settings: Mapping[str, Any] | None = None,
    conventions: Mapping[str, str] | None = None,
    seed: int = 0,
    examples: int = EXAMPLES,
    device: str = "cpu",
    timeout: float = TIMEOUT,
) -> Report:
    """Judge somebody's code as an implementation of a component, in a process of its own.

    ``target`` is ``"path/to/file.py:name"``, ``"package.module:name"`` or the object itself. ``settings`` fixes
    parameters of the target; ``conventions`` demands options, where by default any documented one conforms.

    Raises UnknownName for a component, axis or option that does not exist, Refused (a ValueError) for a target that is
    not found or in no accepted form, and for other bad arguments.
    """
    if not __debug__:
        raise Refused("python -O strips assertions, in Hypothesis and pytest too: run dlcheck without -O")
    options = {"seed": seed, "examples": examples, "device": device, "timeout": timeout}
    known = arguments.expect(target, component, settings=settings, conventions=conventions, **options)
    if not isinstance(target, str):
        frameworks.expect_forkable(target)
    isolated = Isolated(known, target, settings or {}, device, seed, timeout)
    isolated.start()
    try:
        again = arguments.replay(isolated.name, component, settings, conventions, options)
        report = judge(
            known, isolated, fixed=settings, demanded=conventions, seed=seed, examples=examples, replay=again
        )
        return _with_output(report, isolated.printed())
    finally:
        isolated.close()


def judge(
    component: Component,
    implementation: Implementation,
    *,
    fixed: Mapping[str, Any] | None = None,
    demanded: Mapping[str, str] | None = None,
    seed: int = 0,
    examples: int = EXAMPLES,
    replay: str = "",
) -> Report:
    """Judge an implementation: identify its conventions, run every check, explain what fails.

    ``replay`` is what a reader of the findings may do to see the same.
    Raises Refused where no case can be run at all, as with a fixed setting out of range.
    """
    trial = Trial(component, implementation, fixed)
    checks = all_checks(component)
    binding = [check for check in checks if check.severity == "error"]
    narrowed = trial.narrowed(next(check.cases[0] for check in checks if check.observes == "values"))
    survivors = diagnosis.identify(trial, binding)
    followed = diagnosis.determined(component, survivors)
    if implementation.own_eps is not None:
        followed["default_eps"] = f"{implementation.own_eps:g}"
    best = diagnosis.reference(component, survivors[0])
    judged = [_run(trial, check, best, seed, examples) for check in checks]
    if all(outcome.status == "not_provided" for outcome, _, _ in judged):
        raise Refused(f"nothing can be checked: {judged[0][0].message}")
    failing = [
        (check, case)
        for check, (_, case, _) in zip(checks, judged, strict=True)
        if case is not None and check.severity == "error"
    ]
    found: diagnosis.Diagnosis | None = None
    if failing:
        found = diagnosis.diagnose(trial, binding, failing, survivors[0])
        if found.causes:
            followed = {**followed, **{axis: name for axis, name in found.options.items() if axis in followed}}
    findings = [
        explanation.finding(trial, check, case, comparison, best, found, replay)
        for check, (_, case, comparison) in zip(checks, judged, strict=True)
        if case is not None
    ]
    findings += explanation.unmet(component, followed, demanded or {})
    if narrowed:
        findings.append(_advice(component.name, "precision", f"{narrowed}; it is judged in float32"))
    if trial.declines_views:
        findings.append(_advice(component.name, "views", f"it declines inputs that are views: {trial.declines_views}"))
    if implementation.own_eps is not None:
        says = (
            f"its default eps is {implementation.own_eps:g}, not {component.settings['eps']:g}; it is judged with that"
        )
        findings.append(_advice(component.name, "default_eps", says))
    findings = root_cause_first(findings)
    outcomes = tuple(outcome for outcome, _, _ in judged)
    return Report(component.name, implementation.name, followed, outcomes, tuple(findings))


Judged = tuple[CheckOutcome, Case | None, Comparison | str]


def _run(trial: Trial, check: Check, hypothesis: Reference, seed: int, examples: int) -> Judged:
    """One check on its fixed cases, then on searched ones: the outcome, the failing case, and how it fails."""
    ran, worst = 0, 0.0
    failing: tuple[Case, Comparison | str] | None = None
    lacks = ""
    for case in check.cases:
        try:
            comparison = trial.compare(hypothesis, check, case)
        except NotProvided as lack:
            lacks = str(lack)
            continue
        except Misbehaviour as misbehaviour:
            if check.observes == "values":
                failing, ran = failing or (case, str(misbehaviour)), ran + 1
            continue
        ran, worst = ran + 1, max(worst, comparison.ratio)
        failing = failing or (None if comparison.agrees else (case, comparison))
    if check.search is not None and examples and failing is None and ran:
        found, searched = _search(trial, check, hypothesis, seed, examples)
        ran, failing = ran + searched, found
        worst = max(worst, found[1].ratio) if found and isinstance(found[1], Comparison) else worst
    if failing is not None:
        message = failing[1] if isinstance(failing[1], str) else failing[1].says
        return CheckOutcome(check.id, "fail", ran, worst, message, check.severity), failing[0], failing[1]
    status = "pass" if ran else "not_provided"
    return CheckOutcome(check.id, status, ran, worst, "" if ran else lacks, check.severity), None, ""


def _search(
    trial: Trial, check: Check, hypothesis: Reference, seed: int, examples: int
) -> tuple[tuple[Case, Comparison | str] | None, int]:
    """Hypothesis's search for a case that disagrees, shrunk to the smallest, and how many were tried."""
    import hypothesis as hyp
    from hypothesis.errors import Flaky

    failures: list[tuple[Case, Comparison | str]] = []
    tried = 0

    @hyp.seed(seed)
    @hyp.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(hyp.Phase.generate, hyp.Phase.shrink),
        suppress_health_check=list(hyp.HealthCheck),  # type: ignore[arg-type]
        print_blob=False,
    )
    @hyp.given(check.search)
    def agrees(case: Case) -> None:
        nonlocal tried
        tried += 1
        try:
            comparison: Comparison | str = trial.compare(hypothesis, check, case)
        except NotProvided:
            return
        except Misbehaviour as misbehaviour:
            comparison = str(misbehaviour)
        if isinstance(comparison, str) or not comparison.agrees:
            failures.append((case, comparison))
            raise AssertionError

    try:
        agrees()
    except (AssertionError, Flaky):
        # Hypothesis ends with the smallest failing case
        return failures[-1], tried
    return None, tried


def _with_output(report: Report, printed: str) -> Report:
    if not printed.strip():
        return report
    advice = replace(_advice(report.component, "output", f"it prints: {first_line(printed, longest=100)}"), got=printed)
    return replace(report, findings=(*report.findings, advice))


def _advice(component: str, about: str, says: str) -> Finding:
    """Something worth knowing that no check of the component's list looks for."""
    return Finding(f"{registry.families()[component]}.{component}.{about}", "advice", says)
