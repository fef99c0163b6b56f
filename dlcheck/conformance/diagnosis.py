"""Which conventions an implementation follows, and which known mistake reproduces its numbers."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from dlcheck import registry
from dlcheck.component import Case, Check, Component, Fault
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.implementation import Misbehaviour, NotProvided
from dlcheck.conformance.oracle import Reference

Place = tuple[Check, Case]
Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The known mistakes that reproduce every number, the conventions beside them, and the mistakes ruled out."""

    matching: tuple[Fault, ...]
    options: Options
    ruled_out: tuple[Fault, ...]
    places: int


@cache
def _reference(component: str, options: tuple[tuple[str, str], ...], fault: str) -> Reference:
    return Reference(registry.components()[component], dict(options), registry.faults()[fault] if fault else None)


def reference(component: Component, options: Options, fault: str = "") -> Reference:
    """The reference under options and with a fault, one object for each combination."""
    return _reference(component.name, tuple(options.items()), fault)


def combinations(component: Component) -> list[dict[str, str]]:
    """Every combination of the options of a component's conventions, the drop-in model's first."""
    choices = [[(c.axis, option.name) for option in c.options] for c in component.conventions]
    return [dict(chosen) for chosen in itertools.product(*choices)]


def agrees(trial: Trial, hypothesis: Reference, place: Place) -> bool | None:
    """Whether the implementation agrees with a hypothesis in one place; None where there is nothing to compare."""
    try:
        return trial.compare(hypothesis, *place, quick=True).agrees
    except NotProvided:
        return None
    except Misbehaviour:
        return False


def identify(trial: Trial, checks: Sequence[Check]) -> list[dict[str, str]]:
    """The combinations of conventions that explain the most cases, all of them where no case tells them apart.

    Narrows case by case, which settles a right implementation; at the first case that no combination explains it
    compares in every case instead, changing one axis at a time.
    """
    places = [(check, case) for check in checks if check.observes == "values" for case in check.cases]
    survivors = combinations(trial.component)
    for place in places:
        verdicts = [agrees(trial, reference(trial.component, options), place) for options in survivors]
        if any(verdicts):
            survivors = [options for options, verdict in zip(survivors, verdicts, strict=True) if verdict]
        elif False in verdicts:
            return _climbed(trial, places, survivors[0])
    return survivors


def _climbed(trial: Trial, places: Sequence[Place], start: dict[str, str]) -> list[dict[str, str]]:
    """The best combinations found by changing one axis at a time, from a start, by the number of cases explained."""

    def explained(options: Options, least: int = 0) -> int:
        """How many cases, or 0 as soon as it is certain that they are fewer than ``least``."""
        hypothesis, missed = reference(trial.component, options), 0
        for place in places:
            missed += agrees(trial, hypothesis, place) is not True
            if len(places) - missed < least:
                return 0
        return len(places) - missed

    best, score, equals = start, explained(start), [start]
    for options in _neighbours(trial.component, start):
        reached = explained(options, score)
        if reached > score:
            best, score, equals = options, reached, [options]
        elif reached == score:
            equals.append(options)
    return equals if best is start else _climbed(trial, places, best)


def _neighbours(component: Component, options: Options) -> Iterator[dict[str, str]]:
    for convention in component.conventions:
        for option in convention.options:
            if options[convention.axis] != option.name:
                yield {**options, convention.axis: option.name}


def determined(component: Component, survivors: Sequence[Options]) -> dict[str, str]:
    """The axes on which all surviving combinations agree."""
    names = {c.axis: {options[c.axis] for options in survivors} for c in component.conventions}
    return {axis: found.pop() for axis, found in names.items() if len(found) == 1}


def diagnose(trial: Trial, checks: Sequence[Check], failing: Sequence[Place], options: Options) -> Diagnosis:
    """Try every known mistake of the component, under the identified conventions first, then under others.

    Conventions that explain most checks are doubted on one axis only, others on two.
    """
    component = trial.component
    places = _quickest_first(checks, failing)
    known = [fault for fault in registry.faults().values() if fault.component == component.name]
    doubted = 2 if 2 * len(failing) > len(checks) else 1
    for tried in _nearest_first(component, options, doubted):
        matching = [f for f in known if _reproduces(trial, reference(component, tried, f.id), places, failing)]
        if matching:
            others = tuple(fault for fault in known if fault not in matching)
            return Diagnosis(tuple(matching), tried, others, len(places))
    return Diagnosis((), options, tuple(known), len(places))


def _quickest_first(checks: Sequence[Check], failing: Sequence[Place]) -> list[Place]:
    """A plain case, which rejects most mistakes, then the failing ones, then the others; short runs first."""

    def length(place: Place) -> int:
        return len(place[1].inputs.get("steps", ()))

    places = [(check, case) for check in checks for case in check.cases]
    plain = next(place for place in places if place[0].observes == "values")
    others = sorted((place for place in places if place is not plain and place not in failing), key=length)
    return [plain, *sorted(failing, key=length), *others]


def _nearest_first(component: Component, options: Options, doubted: int) -> Iterable[Options]:
    """The combinations that differ from the given one on so many axes at most, those on fewer first."""

    def distance(other: Options) -> int:
        return sum(other[axis] != name for axis, name in options.items())

    return sorted((other for other in combinations(component) if distance(other) <= doubted), key=distance)


def _reproduces(trial: Trial, hypothesis: Reference, places: Sequence[Place], failing: Sequence[Place]) -> bool:
    """Whether a hypothesis gives the implementation's numbers wherever it gave any, in a failing place at least."""
    reproduced = False
    for place in places:
        try:
            if not trial.compare(hypothesis, *place, quick=True).agrees:
                return False
        except (NotProvided, Misbehaviour):
            continue
        reproduced = reproduced or place in failing
    return reproduced
