"""What a project declares about its own components in ``[tool.dlcheck]`` of its pyproject.toml."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlcheck.conformance import arguments
from dlcheck.conformance import check as conformance
from dlcheck.conformance.findings import Report
from dlcheck.conformance.implementation import Refused
from dlcheck.registry import UnknownName


class BadDeclaration(Refused):
    """One sentence that says what in the table is wrong, and in which entry."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody's code and what it is meant to be.

    ``waivers`` gives the reason for each check that it may fail: a deliberate variant. A waiver is strict: one whose
    check passes is stale, and fails. ``options`` are those of ``dlcheck.check``. ``where`` says where it is declared,
    ``folder`` from where files and modules are looked for; ``number`` counts those of one name.
    """

    target: Any
    component: str
    waivers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    folder: Path = Path()
    number: int = 1

    @property
    def called(self) -> str:
        """How its code is called in reports."""
        return arguments.called(self.target) + (f" ({self.number})" if self.number > 1 else "")

    @property
    def name(self) -> str:
        """How it is called in ids."""
        return f"{self.called} as {self.component}"

    def check_ids(self) -> list[str]:
        """The checks of the component, and one for each convention that is demanded. Raises as ``judged``."""
        with _saying(self.where):
            component = arguments.expect(self.target, self.component, waivers=self.waivers, **self.options)
        return arguments.check_ids(component, self.options.get("conventions"))

    def judged(self, over: Mapping[str, Any] | None = None) -> Report:
        """Check it, with options that win over its own.

        Raises BadDeclaration where it is declared in a table, else Refused and UnknownName as ``dlcheck.check``.
        """
        with _saying(self.where), chdir(self.folder):
            report = conformance.check(self.target, self.component, **{**self.options, **(over or {})})
        return report.waiving(self.waivers)

    def objections(self, report: Report) -> list[str]:
        """What fails and is not waived, and waivers of what passes."""
        wrong = {found.check: found.summary for found in reversed(report.findings) if found.severity == "error"}
        waived = {found.check for found in report.findings if found.severity == "waived"}
        return [*reversed(wrong.values()), *(stale(id) for id in self.waivers if id not in waived)]


def stale(check_id: str) -> str:
    """What is said of a waiver whose check passes."""
    return f"the waiver of {check_id} is stale: it passes"


def read(path: str | Path, over: Mapping[str, Any] | None = None) -> list[Target]:
    """The targets that a pyproject.toml declares, with options that win over its own.

    Raises BadDeclaration where the table is missing or wrong.
    """
    try:
        tool = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("tool")
    except FileNotFoundError as error:
        raise BadDeclaration(f"no file {str(path)!r}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDeclaration(f"{path} cannot be read: {error}") from error
    if not isinstance(tool, dict) or "dlcheck" not in tool:
        raise BadDeclaration(f"{path} has no table [tool.dlcheck]")
    targets = _targets(tool["dlcheck"], Path(path).resolve().parent, over or {})
    counted: Counter[str] = Counter()
    for place, target in enumerate(targets):
        counted[target.name] += 1
        targets[place] = replace(target, number=counted[target.name])
        target.check_ids()
    return targets


def _targets(table: Any, folder: Path, over: Mapping[str, Any]) -> list[Target]:
    _expect_names(table, (*arguments.OPTIONS, "targets"), "[tool.dlcheck]")
    shared = {name: value for name, value in table.items() if name != "targets"}
    with _saying("[tool.dlcheck]"):
        arguments.expect_options(**shared)
    entries = table.get("targets")
    if not isinstance(entries, list) or not entries:
        raise BadDeclaration("[tool.dlcheck] declares no [[tool.dlcheck.targets]]")
    return [_target(entry, shared, over, folder, f"target {n} of [tool.dlcheck]") for n, entry in enumerate(entries, 1)]


def _target(entry: Any, shared: Mapping[str, Any], over: Mapping[str, Any], folder: Path, where: str) -> Target:
    own = ("target", "component", "waivers")
    _expect_names(entry, (*own, "settings", "conventions", *arguments.OPTIONS), where)
    for name in ("target", "component"):
        if not isinstance(entry.get(name), str):
            raise BadDeclaration(f"{where} needs {name}, a string, got {entry.get(name)!r}")
    options = {**shared, **{name: value for name, value in entry.items() if name not in own}, **over}
    return Target(entry["target"], entry["component"], entry.get("waivers", {}), options, where, folder)


def _expect_names(table: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        raise BadDeclaration(f"{where} must be a table, got {table!r}")
    for name in table:
        if name not in known:
            raise BadDeclaration(f"{where} has {name!r}; it may have {', '.join(known)}")


@contextmanager
def _saying(where: str) -> Iterator[None]:
    """Say in which entry of a table something is wrong."""
    try:
        yield
    except (Refused, UnknownName) as error:
        if not where:
            raise
        raise BadDeclaration(f"{where}: {error}") from error
