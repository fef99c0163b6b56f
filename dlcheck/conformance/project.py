"""What a project declares about its own components in ``[tool.dlcheck]`` of its pyproject.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcheck import registry
from dlcheck.component import Component
from dlcheck.conformance import check as conformance
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.findings import Finding, Report

_OPTIONS = ("seed", "examples", "device", "timeout")


class BadDeclaration(ValueError):
    """One sentence that says what in the table is wrong."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody's code and what it is meant to be.

    ``waivers`` gives the reason for each check that it may fail: a deliberate variant. A waiver is strict: one whose
    check passes is stale, and fails. ``options`` are those of ``dlcheck.check``.
    """

    target: Any
    component: str
    waivers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How it is called in ids and reports."""
        code = self.target if isinstance(self.target, str) else getattr(self.target, "__qualname__", str(self.target))
        return f"{code} as {self.component}"

    def known(self) -> Component:
        """The component; raises UnknownName."""
        return registry.lookup("component", registry.components(), self.component)

    def check_ids(self) -> list[str]:
        """The checks of the component, and one for each convention that is demanded. Raises UnknownName."""
        component = self.known()
        demanded = self.options.get("conventions") or {}
        prefix = f"{registry.families()[component.name]}.{component.name}.convention"
        ids = [*(each.id for each in all_checks(component)), *(f"{prefix}.{axis}" for axis in demanded)]
        for waived in self.waivers:
            registry.lookup("check", dict.fromkeys(ids), waived)
        return ids

    def judged(self) -> Report:
        """Check it."""
        return conformance.check(self.target, self.component, **self.options)

    def objections(self, report: Report) -> list[str]:
        """What fails and is not waived, and waivers of what passes."""
        failed = errors(report)
        found = [finding.summary for id, finding in failed.items() if id not in self.waivers]
        return found + [f"the waiver of {id} is stale: it passes" for id in self.waivers if id not in failed]


def errors(report: Report) -> dict[str, Finding]:
    """The first error of each check that fails."""
    found = [finding for finding in report.findings if finding.severity == "error"]
    return {finding.check: finding for finding in reversed(found)}


def read(path: str | Path, options: Mapping[str, Any] | None = None) -> list[Target]:
    """The targets that a pyproject.toml declares, with options that win over its own.

    Raises BadDeclaration where the table is missing or wrong, UnknownName for a component, check or convention.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("tool", {}).get("dlcheck")
    except FileNotFoundError as error:
        raise BadDeclaration(f"no file {str(path)!r}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDeclaration(f"{path} cannot be read: {error}") from error
    if table is None:
        raise BadDeclaration(f"{path} has no table [tool.dlcheck]")
    shared = {name: value for name, value in table.items() if name != "targets"}
    _expect(shared, _OPTIONS, "[tool.dlcheck]")
    entries = table.get("targets", [])
    if not isinstance(entries, list) or not entries:
        raise BadDeclaration("[tool.dlcheck] declares no [[tool.dlcheck.targets]]")
    targets = [_target(entry, shared, options or {}, place) for place, entry in enumerate(entries, 1)]
    for target in targets:
        target.check_ids()
    return targets


def _target(entry: Any, shared: Mapping[str, Any], over: Mapping[str, Any], place: int) -> Target:
    where = f"target {place} of [tool.dlcheck]"
    _expect(entry, ("target", "component", "waivers", "settings", "conventions", *_OPTIONS), where)
    for name in ("target", "component"):
        if not isinstance(entry.get(name), str):
            raise BadDeclaration(f"{where} needs {name}, a string, got {entry.get(name)!r}")
    for name in ("waivers", "settings", "conventions"):
        if not isinstance(entry.get(name, {}), dict):
            raise BadDeclaration(f"{name} of {where} must be a table, got {entry[name]!r}")
    unexplained = [id for id, reason in entry.get("waivers", {}).items() if not (isinstance(reason, str) and reason)]
    if unexplained:
        raise BadDeclaration(f"the waiver of {unexplained[0]} in {where} needs a reason")
    own = {name: value for name, value in entry.items() if name not in ("target", "component", "waivers")}
    return Target(entry["target"], entry["component"], entry.get("waivers", {}), {**shared, **own, **over})


def _expect(table: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        raise BadDeclaration(f"{where} must be a table, got {table!r}")
    for name in table:
        if name not in known:
            raise BadDeclaration(f"{where} has {name!r}; it may have {', '.join(known)}")
