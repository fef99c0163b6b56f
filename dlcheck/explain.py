"""What the registry knows about one name, as text: a component, check, convention, fault or claim."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial

from dlcheck import registry
from dlcheck.component import Check, Component, Convention, Fault, Source
from dlcheck.judgement import Claim, Counterexample, Judgement


def explain(name: str) -> str:
    """Everything that has this name, with formula, sources and effect. Raises UnknownName."""
    known = _known()
    return "\n\n".join(text() for text in registry.lookup("name", known, name))


def conventions() -> Iterator[tuple[Component, Convention]]:
    """Every convention with its component."""
    return ((c, convention) for c in registry.components().values() for convention in c.conventions)


@cache
def _known() -> dict[str, list[Callable[[], str]]]:
    """What makes the text of everything that has a name; an axis may belong to several components."""
    from dlcheck.conformance.common_checks import all_checks

    known: dict[str, list[Callable[[], str]]] = {}
    for component in registry.components().values():
        known.setdefault(component.name, []).append(partial(_component, component))
        for check in all_checks(component):
            known.setdefault(check.id, []).append(partial(_check, component, check))
    for component, convention in conventions():
        for name in (convention.axis, f"{component.name}.{convention.axis}"):
            known.setdefault(name, []).append(partial(_convention, component, convention))
    for fault in registry.faults().values():
        known.setdefault(fault.id, []).append(partial(_fault, fault))
    for claim in registry.claims().values():
        known.setdefault(claim.id, []).append(partial(_claim, claim))
    return known


def _text(title: str, parts: Mapping[str, str | Iterable[str]]) -> str:
    """A title and labelled lines; empty parts are left out."""
    lines = [title]
    for label, part in parts.items():
        shown = [part] if isinstance(part, str) else list(part)
        lines += [f"  {label if not i else '':<12} {line}" for i, line in enumerate(shown) if line]
    return "\n".join(lines)


def _cited(sources: Sequence[Source]) -> list[str]:
    return [", ".join(filter(None, (source.title, source.locator, source.url))) for source in sources]


def _component(component: Component) -> str:
    faults = registry.faults_of(component.name)
    provided = [n for n in registry.IMPLEMENTATIONS if registry.implementation(component.name, n) is not None]
    parts = {
        "formula": component.formula,
        "drop-in for": component.model,
        "provided": ", ".join(provided),
        "settings": ", ".join(f"{key}={value!r}" for key, value in component.settings.items()),
        "conventions": [f"{c.axis}: {', '.join(o.name for o in c.options)}" for c in component.conventions],
        "checks": [f"{check.id}: {check.says}" for check in registry.checks(component.name)],
        "faults": [", ".join(faults)],
        "sources": _cited(component.sources),
    }
    return _text(f"component {component.name}: {component.summary}", parts)


def _convention(component: Component, convention: Convention) -> str:
    followed = [f"{o.name}: {o.says}" + _followers(o.followed_by) for o in convention.options]
    return _text(
        f"convention {convention.axis} of {component.name}: {convention.says}",
        {
            "options": followed,
            "demand one": f"--convention {convention.axis}=NAME",
            "sources": _cited(convention.sources),
        },
    )


def _followers(names: Sequence[str]) -> str:
    return f" (followed by {', '.join(names)})" if names else ""


def _fault(fault: Fault) -> str:
    parts = {"effect": fault.effect, "fix": fault.fix, "happened": fault.happened}
    return _text(f"fault {fault.id} of {fault.component}: {fault.says}", parts)


def _claim(claim: Claim) -> str:
    parts = {
        "formula": claim.formula,
        "verdict": claim.verdict,
        "evidence": claim.evidence,
        "component": claim.component,
        "sources": _cited(claim.sources),
        "judged by": f"dlcheck verify -k {claim.id}",
    }
    return _text(f"claim {claim.id}: {claim.says}", parts)


def judged(claim: Claim) -> str:
    """What judging a claim now shows, on the reference where it is about a component: all that the report tells."""
    from dlcheck.claim_items import judge

    record = judge(claim, "reference" if claim.component else "")
    found: Judgement | None = record["found"].get("judgement")
    if found is None:
        return _text(f"not judged: {record['message']}", {})
    parts = {
        "evidence": f"{found.evidence.kind}: {found.evidence.how}",
        "size": [f"{name}: {value}" for name, value in found.evidence.size.items()],
        "holds if": found.conditions,
        "instead": found.correction,
        "why": found.explanation,
        "fails for": _example(found.counterexample),
        "figures": [f"{figure.title} (drawn in the report)" for figure in found.figures],
    }
    return _text(record["message"] or f"judged just now: {claim.verdict}", parts)


def _example(example: Counterexample | None) -> list[str]:
    if example is None:
        return []
    given = [f"{name} = {value}" for name, value in example.inputs.items()]
    return [example.says, *given, f"claimed: {example.claimed}", f"actual: {example.actual}"]


def _check(component: Component, check: Check) -> str:
    search = "and a search" if check.search is not None else "no search"
    parts = {
        "component": component.name,
        "severity": check.severity,
        "cases": f"{len(check.cases)} fixed, {search}",
        "sources": _cited(component.sources),
    }
    return _text(f"check {check.id}: {check.says}", parts)
