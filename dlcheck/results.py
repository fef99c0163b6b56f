"""The one result model: what a run found, as plain data that is its own JSON; everything shown is rendered from it."""

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, cast

SCHEMA = "dlcheck.results/1"

Status = Literal["pass", "fail", "not provided", "error", "waived", "advised"]
"""Of an outcome; only "pass" counts as a pass. A failure that is waived or advises is expected, or harms nobody."""


class Source(TypedDict):
    """See ``dlcheck.component.Source``."""

    title: str
    locator: str
    url: str


class Environment(TypedDict):
    """Where, when and how a run was made."""

    dlcheck: str
    python: str
    platform: str
    versions: dict[str, str]
    devices: list[str]
    threads: int
    seed: int
    profile: str
    started: str
    seconds: float
    command: str


class Outcome(TypedDict):
    """One run of one claim on one implementation ("" where the claim takes none)."""

    implementation: str
    status: Status
    seconds: float
    message: str


class Claim(TypedDict):
    """A judged statement; ``verdict`` is None where the evidence of this run supports none."""

    id: str
    family: str
    says: str
    formula: str
    sources: list[Source]
    declared: str
    verdict: str | None
    evidence: dict[str, Any]
    conditions: str
    counterexample: dict[str, Any] | None
    correction: str
    explanation: str
    figures: list[dict[str, Any]]
    tables: list[dict[str, Any]]
    outcomes: list[Outcome]


class CheckOutcome(TypedDict):
    """One check on one implementation: ``cases`` run and the worst error as a share of the allowed one."""

    implementation: str
    status: Status
    cases: int
    worst: Any
    message: str


class Check(TypedDict):
    """A check of a component and what became of it."""

    id: str
    says: str
    severity: str
    outcomes: list[CheckOutcome]


class Fault(TypedDict):
    """A known mistake, the checks whose fixed cases reject it, and whether the diagnosis names it."""

    id: str
    says: str
    effect: str
    fix: str
    happened: list[str]
    killed_by: list[str]
    named: bool


class Convention(TypedDict):
    """An axis of difference; ``passed`` and ``named`` are of all its options."""

    axis: str
    says: str
    options: list[dict[str, Any]]
    passed: bool
    named: bool


class Component(TypedDict):
    """A component with everything that was found about it."""

    name: str
    family: str
    summary: str
    formula: str
    model: str
    sources: list[Source]
    implementations: list[dict[str, Any]]
    conventions: list[Convention]
    checks: list[Check]
    faults: list[Fault]
    accuracy: list[dict[str, Any]]
    drawings: list[dict[str, str]]


class Deviation(TypedDict):
    """A check that a library's code fails and why: "known", "new", or known and "vanished"."""

    check: str
    reason: str
    state: Literal["known", "new", "vanished"]


class Upstream(TypedDict):
    """A library's own code for a component, judged: ``passed`` of ``checks`` pass; ``conventions`` it follows."""

    library: str
    target: str
    component: str
    status: Status
    message: str
    passed: int
    checks: int
    deviations: list[Deviation]
    conventions: dict[str, str]


class Benchmark(TypedDict):
    """Median seconds of one piece of work, by code: ours beside what a user would pick instead, the reference, ..."""

    what: str
    seconds: dict[str, float]


class Results(TypedDict):
    """All of a run."""

    schema: str
    environment: Environment
    summary: dict[str, dict[str, int]]
    claims: list[Claim]
    components: list[Component]
    upstream: list[Upstream]
    benchmarks: list[Benchmark]


class Change(NamedTuple):
    """A verdict that differs between two runs."""

    what: str
    before: str
    after: str


def plain(value: Any) -> Any:
    """The value in what JSON knows: records as objects, arrays as lists, non-finite numbers as strings."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    as_list = getattr(value, "tolist", None)
    return plain(as_list()) if as_list else str(value)


def dumps(value: Any) -> str:
    """JSON text of anything that ``plain`` takes."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=1)


def write(path: str | Path, text: str) -> None:
    """Write a file whole or not at all, so that a reader never meets a torn one.

    Missing folders are made, links followed, and what is no file, as a pipe, is written to as it is.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def read(path: str | Path) -> Results:
    """The results in a file. Raises ValueError where it holds something else."""
    found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path} is no {SCHEMA} file: its schema is {schema!r}")
    return cast(Results, found)


def verdicts(results: Results) -> Iterator[tuple[str, str]]:
    """What was decided, as (subject, verdict): claims, checks by implementation, faults."""
    for claim in results["claims"]:
        yield f"claim {claim['id']}", claim["verdict"] or "failed"
    for component in results["components"]:
        for check in component["checks"]:
            for outcome in check["outcomes"]:
                yield f"check {check['id']} on {outcome['implementation']}", outcome["status"]
        for fault in component["faults"]:
            yield f"fault {fault['id']}", ("killed" if fault["killed_by"] else "survives")


def diff(before: Results, after: Results) -> list[Change]:
    """The verdicts that differ between two runs; what only one of them has is "absent" in the other."""
    old, new = dict(verdicts(before)), dict(verdicts(after))
    pairs = [Change(what, old.get(what, "absent"), new.get(what, "absent")) for what in {**old, **new}]
    return [change for change in pairs if change.before != change.after]
