"""What the items of a run found, and how their records become results."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from dlcheck import registry, results
from dlcheck.component import Component, Convention, Fault

Kind = Literal["claim", "check", "convention", "fault", "accuracy", "upstream", "benchmark"]


class Record(TypedDict):
    """One outcome: ``subject`` is the id of a claim, check or fault, the axis=option of a convention, or a library.

    ``message`` opens with one line that says what is wrong, ``found`` holds what the kind calls for.
    """

    kind: Kind
    subject: str
    component: str
    implementation: str
    status: results.Status
    message: str
    seconds: float
    found: dict[str, Any]


def record(
    kind: Kind,
    subject: str,
    status: results.Status,
    *,
    component: str = "",
    implementation: str = "",
    message: str = "",
    seconds: float = 0.0,
    **found: Any,
) -> Record:
    """A record with its rarer parts left empty."""
    return Record(
        kind=kind,
        subject=subject,
        component=component,
        implementation=implementation,
        status=status,
        message=message,
        seconds=seconds,
        found=found,
    )


def assemble(records: Sequence[Record], environment: results.Environment) -> results.Results:
    """The results of everything that ran, in the order of the registry."""
    ordered = sorted(records, key=_place)
    judged_claims = {record["subject"]: record["found"]["claim"] for record in records if record["kind"] == "claim"}
    claims = [_claim(judged_claims[id], _about(ordered, "claim", id)) for id in sorted(judged_claims, key=_known_first)]
    judged = {record["component"] for record in ordered if record["kind"] not in ("claim", "upstream", "benchmark")}
    names = list(registry.components())
    of_libraries = [record for record in records if record["kind"] == "upstream"]
    of_libraries.sort(key=lambda record: (names.index(record["component"]), record["implementation"]))
    components = [
        _component(component, [record for record in ordered if record["component"] == name])
        for name, component in registry.components().items()
        if name in judged
    ]
    return results.Results(
        schema=results.SCHEMA,
        environment=environment,
        summary=summary(claims, components),
        claims=claims,
        components=components,
        upstream=[_upstream(record) for record in of_libraries],
        benchmarks=_benchmarks(record for record in records if record["kind"] == "benchmark"),
    )


def _upstream(record: Record) -> results.Upstream:
    return results.Upstream(
        library=record["subject"],
        target=record["implementation"],
        component=record["component"],
        status=record["status"],
        message=record["message"],
        **record["found"],
    )


def _benchmarks(ran: Iterable[Record]) -> list[results.Benchmark]:
    times: dict[str, dict[str, float]] = {}
    for record in ran:
        times.setdefault(record["subject"], {})[record["implementation"]] = record["seconds"]
    return [results.Benchmark(what=what, seconds=seconds) for what, seconds in times.items()]


def summary(claims: Sequence[results.Claim], components: Sequence[results.Component]) -> dict[str, dict[str, int]]:
    """Every count with its total."""
    verdicts = Counter(claim["verdict"] or "failed" for claim in claims)
    ran = [o for component in components for check in component["checks"] for o in check["outcomes"]]
    statuses = Counter(outcome["status"] for outcome in ran)
    faults = [fault for component in components for fault in component["faults"]]
    axes = [axis for component in components for axis in component["conventions"]]
    return {
        "claims": {"total": len(claims)}
        | {word: verdicts[word] for word in ("holds", "conditional", "refuted", "failed")},
        "checks": {"total": len(ran), "pass": statuses["pass"], "fail": statuses["fail"]}
        | {"not_provided": statuses["not provided"], "error": statuses["error"]}
        | {"waived": statuses["waived"], "advised": statuses["advised"]},
        "faults": {
            "total": len(faults),
            "killed": sum(bool(fault["killed_by"]) for fault in faults),
            "named": sum(fault["named"] for fault in faults),
        },
        "conventions": {
            "total": len(axes),
            "passed": sum(axis["passed"] for axis in axes),
            "named": sum(axis["named"] for axis in axes),
        },
    }


def _place(record: Record) -> int:
    """Our implementations in their order, then everybody else's."""
    known = ("", *registry.IMPLEMENTATIONS)
    return known.index(record["implementation"]) if record["implementation"] in known else len(known)


def _about(records: Iterable[Record], kind: Kind, subject: str) -> list[Record]:
    return [record for record in records if record["kind"] == kind and record["subject"] == subject]


def _known_first(claim_id: str) -> int:
    """The place of a claim in the registry; those of other repositories come after, in the order in which they ran."""
    known = list(registry.claims())
    return known.index(claim_id) if claim_id in known else len(known)


def _claim(claim: Mapping[str, Any], ran: Sequence[Record]) -> results.Claim:
    """The judgement shown is that of the first implementation; the verdict needs all of them."""
    supported = all(record["status"] == "pass" for record in ran)
    judged = next((record["found"]["judgement"] for record in ran if record["found"].get("judgement")), {})
    evidence = {"kind": claim["evidence"], "asked": claim["evidence"], "how": "", "size": {}}
    return results.Claim(
        id=claim["id"],
        family=claim["family"],
        says=claim["says"],
        formula=claim["formula"],
        sources=claim["sources"],
        declared=claim["verdict"],
        verdict=claim["verdict"] if supported else None,
        evidence=evidence | judged.get("evidence", {}),
        conditions=judged.get("conditions", ""),
        counterexample=judged.get("counterexample"),
        correction=judged.get("correction", ""),
        explanation=judged.get("explanation", ""),
        figures=judged.get("figures", []),
        tables=judged.get("tables", []),
        outcomes=[
            results.Outcome(
                implementation=record["implementation"],
                status=record["status"],
                seconds=record["seconds"],
                message=record["message"],
            )
            for record in ran
        ],
    )


def _component(component: Component, ran: Sequence[Record]) -> results.Component:
    own = {name: registry.implementation(component.name, name) is not None for name in registry.IMPLEMENTATIONS}
    others = {record["implementation"]: True for record in ran if record["kind"] == "check"}
    faults = registry.faults_of(component.name).values()
    return results.Component(
        name=component.name,
        family=registry.families()[component.name],
        summary=component.summary,
        formula=component.formula,
        model=component.model,
        sources=results.plain(component.sources),
        implementations=[{"name": name, "provided": provided} for name, provided in {**others, **own}.items()],
        conventions=[_convention(axis, ran) for axis in component.conventions],
        checks=_checks(ran),
        faults=[_fault(fault, about) for fault in faults if (about := _about(ran, "fault", fault.id))],
        accuracy=[
            {"implementation": record["implementation"], **record["found"]}
            for record in ran
            if record["kind"] == "accuracy"
        ],
        drawings=[{"title": title, "svg": drawn} for title, drawn in registry.drawings(component.name).items()],
    )


def _checks(ran: Sequence[Record]) -> list[results.Check]:
    found: dict[str, results.Check] = {}
    for record in ran:
        if record["kind"] == "check":
            about = {key: record["found"][key] for key in ("says", "severity")}
            check = found.setdefault(record["subject"], results.Check(id=record["subject"], **about, outcomes=[]))
            check["outcomes"].append(
                results.CheckOutcome(
                    implementation=record["implementation"],
                    status=record["status"],
                    cases=record["found"]["cases"],
                    worst=record["found"]["worst"],
                    message=record["message"],
                )
            )
    return list(found.values())


def _convention(convention: Convention, ran: Sequence[Record]) -> results.Convention:
    options = [about for o in convention.options for about in _about(ran, "convention", f"{convention.axis}={o.name}")]
    complete = len(options) == len(convention.options)
    return results.Convention(
        axis=convention.axis,
        says=convention.says,
        options=[
            {"name": option.name, "says": option.says, "followed_by": list(option.followed_by)}
            for option in convention.options
        ],
        passed=complete and all(record["found"]["passed"] for record in options),
        named=complete and all(record["found"]["named"] for record in options),
    )


def _fault(fault: Fault, ran: Sequence[Record]) -> results.Fault:
    return results.Fault(
        id=fault.id,
        says=fault.says,
        effect=fault.effect,
        fix=fault.fix,
        happened=list(fault.happened),
        killed_by=ran[0]["found"]["killed_by"],
        named=ran[0]["found"]["named"],
    )
