"""How much of the references the fixed cases see: ``mutants`` of them are put in their place, one after the other.

``python tests/mutation.py pooling losses`` judges the mutants of these families, without names of all. A mutant is
killed when some fixed case of the kit, run on it in the conventions that its line takes part in, differs from the true
reference by more than an implementation may, raises, or does not end. Where draws are read back, the mutant is also
tried as the judge of true draws. ``survivors.toml`` says why each survivor is right all the same or what it would take
to see it, and where functions are judged that no case enters.
"""

import argparse
import contextlib
import importlib
import inspect
import signal
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

from mutants import Mutant, modules, mutants

from dlcheck import registry
from dlcheck.component import Case, Check, Component
from dlcheck.conformance import form
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.implementation import Implementation, NotProvided, Observation
from dlcheck.conformance.oracle import Reference

SURVIVORS = Path(__file__).with_name("survivors.toml")
SECONDS = 2.0
"""Processor time after which a mutant's run is endless, or twenty times what the reference takes."""


# --- mutants in the place of the reference ---------------------------------------------------------------------------


class Endless(BaseException):
    """A run took too long."""


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise Endless after so much processor time."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Endless

    kept = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, kept)


Setting = tuple[Any, str, Any]
"""An object, an attribute of it, and its value."""


def _functions(value: Any) -> Iterator[tuple[str, FunctionType]]:
    """The functions behind a function, a decorated one or a class, by name."""
    for name, member in vars(value).items() if inspect.isclass(value) else [("", value)]:
        inner = getattr(member, "fget", None) or getattr(member, "func", None) or member
        inner = inspect.unwrap(getattr(inner, "__func__", inner))
        if isinstance(inner, FunctionType):
            yield name, inner


def _settings(family: Sequence[ModuleType], mutant: Mutant) -> list[Setting]:
    """What must be set for a mutant to stand in the reference's place: code of functions, or names of modules."""
    found: list[Setting] = []
    for name, new in mutant.made().items():
        old = vars(mutant.module)[name]
        if not isinstance(old, (FunctionType, type)) and not hasattr(old, "cache_clear"):
            found += [(module, name, new) for module in family if vars(module).get(name) is old]
            continue
        originals = dict(_functions(old))
        for inner, function in _functions(new):
            parts = ("__code__", "__defaults__", "__kwdefaults__")
            found += [(originals[inner], part, getattr(function, part)) for part in parts if inner in originals]
    return found


def _clear(caches: Sequence[Any]) -> None:
    for cached in caches:
        cached.cache_clear()


@contextlib.contextmanager
def in_place(settings: Sequence[Setting], caches: Sequence[Any] = ()) -> Iterator[None]:
    """Attributes set for a while, and what was remembered of other ones forgotten before and after."""
    kept = [(holder, name, getattr(holder, name)) for holder, name, _ in settings]
    _clear(caches)
    try:
        for holder, name, value in settings:
            setattr(holder, name, value)
        yield
    finally:
        for holder, name, value in kept:
            setattr(holder, name, value)
        _clear(caches)


# --- the fixed cases -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A fixed case under some options: what the true reference gave, the lines that took part and how long it took."""

    reference: Reference
    check: Check
    case: Case
    seen: Observation
    lines: frozenset[tuple[str, int]]
    seconds: float


class Recorded(Implementation):
    """An implementation that gives what it is said to have given."""

    def __init__(self, seen: Observation):
        self.name, self.seen = "recorded", seen

    def observe(self, case: Case) -> Observation:
        """The same, whatever the case."""
        return self.seen


def traced(work: Callable[[], Any], files: frozenset[str]) -> tuple[Any, frozenset[tuple[str, int]]]:
    """What some work gives, and the lines of these files that it ran."""
    lines: set[tuple[str, int]] = set()

    def local(frame: FrameType, event: str, _: Any) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    kept = sys.gettrace()
    sys.settrace(lambda frame, event, _: local if frame.f_code.co_filename in files else None)
    try:
        return work(), frozenset(lines)
    finally:
        sys.settrace(kept)


def runs(component: Component, files: frozenset[str], caches: Sequence[Any]) -> Iterator[Run]:
    """Every fixed case in the default conventions, which are the first of each axis, and with each other option."""
    options = [{}, *({c.axis: option.name} for c in component.conventions for option in c.options[1:])]
    for reference in (Reference(component, chosen) for chosen in options):
        trial = Trial(component, reference)
        for check, case in ((c, case) for c in registry.checks(component.name) for case in c.cases):
            _clear(caches)
            start = time.process_time()
            with contextlib.suppress(NotProvided):
                compared, lines = traced(partial(trial.compare, reference, check, case), files)
                assert compared.agrees, f"the reference of {component.name} differs from itself in {check.id}"
                yield Run(reference, check, case, trial.seen(case), lines, time.process_time() - start)


class Family:
    """The true reference of a family on all fixed cases, or on those of one component, to try its mutants against."""

    def __init__(self, family: str, component: str = ""):
        known = [c for c in registry.components().values() if registry.families()[c.name] == family]
        components = [c for c in known if component in ("", c.name)]
        self.modules = modules(family)
        forms = (importlib.import_module(f"dlcheck.conformance.forms.{c.form}") for c in components)
        values = [value for module in (*self.modules, *forms) for value in vars(module).values()]
        self.caches = list({id(value): value for value in values if hasattr(value, "cache_clear")}.values())
        files = frozenset(str(module.__file__) for module in self.modules)
        found = [run for each in components for run in runs(each, files, self.caches)]
        self.runs = sorted(found, key=lambda run: run.seconds)
        self.lines = frozenset().union(*(run.lines for run in self.runs))

    def fate(self, mutant: Mutant) -> str:
        """What becomes of a mutant: "killed", "survived", or "invalid" where it cannot be loaded.

        "not reached" where no case runs its statement, "elsewhere" where none enters its function.
        """
        try:
            settings = _settings(self.modules, mutant)
        except Exception:
            return "invalid"
        file = str(mutant.module.__file__)
        body, places = ({(file, line) for line in lines} for lines in (mutant.body, mutant.lines))
        if body and not body & self.lines:
            return "elsewhere"
        reaching = [run for run in self.runs if not body or places & run.lines]
        killed = any(self._killed(settings, run) for run in reaching)
        return "killed" if killed else "survived" if reaching else "not reached"

    def _killed(self, settings: Sequence[Setting], run: Run) -> bool:
        component, options = run.reference.component, run.reference.options
        try:
            trial = Trial(component, Reference(component, options))
            with in_place(settings, self.caches), limit(max(SECONDS, 20 * run.seconds)):
                trial.seen(run.case)
            if not trial.compare(run.reference, run.check, run.case).agrees:
                return True
            if run.case.run not in form.named(component.form).random_runs:
                return False
            with in_place(settings, self.caches), limit(max(SECONDS, 20 * run.seconds)):
                judged = Trial(component, Recorded(run.seen))
                return not judged.compare(Reference(component, options), run.check, replace(run.case)).agrees
        except (Exception, Endless):
            return True


# --- what is known of them -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """The mutants of a family by fate, and what is listed of its survivors: how many need another case to be seen.

    ``unlisted`` are those of which nothing is said, ``stale`` what is said of mutants that do not survive.
    """

    mutants: Mapping[str, Sequence[Mutant]]
    needing: int
    unlisted: Sequence[Mutant]
    stale: Sequence[str]

    def count(self, *fates: str) -> int:
        """How many had one of these fates."""
        return sum(len(self.mutants.get(fate, ())) for fate in fates)

    @property
    def share(self) -> float:
        """The share of killed mutants among those that differ from the reference, as far as is known."""
        return self.count("killed") / max(1, self.count("killed") + self.needing + len(self.unlisted))


def listed() -> dict[str, list[dict[str, Any]]]:
    """The entries of ``survivors.toml`` by family."""
    return tomllib.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}


def score(family: str) -> Score:
    """Judge every mutant of a family."""
    cases, fates = Family(family), defaultdict(list)
    for mutant in mutants(family):
        fates[cases.fate(mutant)].append(mutant)
    entries = listed().get(family, [])
    said = {
        (entry.get("function", ""), entry.get("line", ""), after): entry
        for entry in entries
        for after in entry.get("mutants", ())
    }
    said |= {(function, "", ""): entry for entry in entries for function in entry.get("elsewhere", ())}
    found = {mutant.name: mutant for fate in ("survived", "not reached") for mutant in fates[fate]}
    needing = sum("needs" in said.get(name, {}) for name in found)
    found |= {(mutant.function, "", ""): mutant for mutant in fates["elsewhere"]}
    unlisted = [mutant for name, mutant in found.items() if name not in said]
    return Score(fates, needing, unlisted, [" | ".join(name) for name in said if name not in found])


def main() -> None:
    """Print the scores of some families, and what ``survivors.toml`` does not say or says wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", nargs="*", help="of all, where none is named")
    columns = ("killed", "survived", "not reached", "elsewhere", "invalid")
    print(f"{'':16}", *(f"{name:>12}" for name in columns), f"{'needing':>8} {'share':>8} {'seconds':>8}")
    for family in parser.parse_args().family or registry.FAMILIES:
        start = time.monotonic()
        found = score(family)
        counts = (f"{found.count(name):12}" for name in columns)
        print(
            f"{family:16}", *counts, f"{found.needing:8} {found.share:8.1%} {time.monotonic() - start:8.0f}", flush=True
        )
        for mutant in found.unlisted:
            print(f"  {mutant.module.__file__}:{mutant.at} {mutant.function}\n    {mutant.before}\n    {mutant.after}")
        for name in found.stale:
            print(f"  listed as a survivor, but it is none: {name}")


if __name__ == "__main__":
    main()
