"""Which conventions an implementation follows, and which known mistake reproduces its numbers."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dlcheck import registry
from dlcheck.component import Case, Check, Component, Fault
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.implementation import Misbehaviour, NotProvided
from dlcheck.conformance.oracle import Reference

Place = tuple[Check, Case]
Options = Mapping[str, str]
_NO_NUMBER = (ValueError, ArithmeticError, LookupError)
"""What a mistake raises where it has no number, as with a setting that it makes negative."""
_FEW = 4
"""Failing places in which the conventions of a target with several mistakes are sought."""
_LONG = 50
"""Steps of a run that is too long for that."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Known mistakes that cannot be told apart, and the failing checks in which they give its numbers.

    ``spared`` are passing checks in which they would show, as where the target guards a special case.
    """

    faults: tuple[Fault, ...]
    checks: frozenset[str]
    spared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong: one cause where it reproduces every number, else those that reproduce some, the widest first.

    ``options`` are the conventions beside them, ``places`` is the number of cases compared.
    """

    causes: tuple[Cause, ...]
    whole: bool
    options: Options
    ruled_out: tuple[Fault, ...]
    places: int

    def of(self, check: Check) -> Cause | None:
        """The known mistakes that explain why a check fails, if any do."""
        return next((cause for cause in self.causes if check.id in cause.checks), None)


@cache
def _reference(component: str, options: tuple[tuple[str, str], ...], fault: str) -> Reference:
    mistake = registry.faults_of(component)[fault] if fault else None
    return Reference(registry.components()[component], dict(options), mistake)


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
        return _agrees(trial, hypothesis, place)
    except NotProvided:
        return None
    except Misbehaviour:
        return False if place[0].observes == "values" else None


def _agrees(trial: Trial, hypothesis: Reference, place: Place) -> bool:
    """The same; raises NotProvided and Misbehaviour as the implementation does."""
    try:
        return trial.compare(hypothesis, *place, quick=True).agrees
    except _NO_NUMBER:
        if hypothesis.fault is None:
            raise
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

    Conventions that explain most checks are doubted on one axis only, others on two. Where no mistake explains all
    that fails, several may explain half of it.
    """
    component = trial.component
    places = _quickest_first(checks, failing)
    known = list(registry.faults_of(component.name).values())
    right = reference(component, options)
    doubted = 2 if 2 * len(failing) > len(checks) else 1
    for tried in _nearest_first(component, options, doubted):
        matching = [f for f in known if _reproduces(trial, reference(component, tried, f.id), right, places, failing)]
        if matching:
            hypothesis = reference(component, tried, matching[0].id)
            cause = Cause(tuple(matching), _explained(trial, hypothesis, failing))
            others = tuple(fault for fault in known if fault not in matching)
            return Diagnosis((cause,), True, tried, others, len(places))
    few = _shortest(failing)[:_FEW]
    short = [place for place in few if _length(place) <= _LONG] or few[:1]
    for tried in _probable(trial, known, short, _nearest_first(component, options, 1)):
        causes = tuple(_several(trial, known, places, tried, right))
        if 2 * sum(len(cause.checks) for cause in causes) >= len(failing):
            return Diagnosis(causes, False, tried, (), len(places))
    return Diagnosis((), False, options, (), len(places))


def _probable(
    trial: Trial, known: Sequence[Fault], places: Sequence[Place], candidates: Iterable[Options]
) -> list[Options]:
    """The conventions beside which one mistake explains most of a few failing places, and half of them at least."""

    def most(tried: Options) -> int:
        suspects = (reference(trial.component, tried, fault.id) for fault in known)
        return max((len(_explained(trial, suspect, places)) for suspect in suspects), default=0)

    explained = [(tried, most(tried)) for tried in candidates]
    best = max(count for _, count in explained)
    return [tried for tried, count in explained if count == best and 2 * count >= len(places)]


def _several(
    trial: Trial, known: Sequence[Fault], places: Sequence[Place], options: Options, identified: Reference
) -> Iterator[Cause]:
    """Mistakes that explain what fails between them: each shows nowhere else, and explains most of what it shows in.

    Those that explain most come first, each with what those before it leave; one that explains only a third of what it
    shows in must leave the rest to them. One that explains all that fails may show in as many checks that pass. What is
    right under the conventions ``identified`` explains nothing.
    """
    right = reference(trial.component, options)
    sound = [place for place in places if place[0].observes == "values" and agrees(trial, right, place)]
    wrong = [place for place in _shortest(places) if agrees(trial, right, place) is False]
    firsts = {check.id: case for check, case in reversed(wrong)}
    # draws and facts of few cases tell few mistakes apart, facts that are right as much as wrong ones
    wrong = [place for place in wrong if place[1].run in trial.random_runs or place[1] is firsts[place[0].id]]
    wrong += [place for place in places if place[0].observes != "values" and place[0].id in firsts]
    found: dict[tuple[frozenset[str], ...], list[Fault]] = {}
    for fault in known:
        suspect = reference(trial.component, options, fault.id)
        visible = frozenset(place[0].id for place in wrong if not _alike(trial, suspect, identified, place))
        if explained := visible & _explained(trial, suspect, wrong):
            spared = frozenset(p[0].id for p in sound if agrees(trial, suspect, p) is False) - explained
            if len(spared) <= len(explained) == len(firsts) or (not spared and len(visible) <= 3 * len(explained)):
                found.setdefault((explained, visible - explained, spared), []).append(fault)
    left, shown = frozenset(firsts), frozenset[str]()

    def gain(cause: tuple[frozenset[str], ...]) -> tuple[int, ...]:
        explained, contradicted, spared = cause
        credible = len(contradicted) < len(explained) or contradicted <= shown
        return (len(explained & left), -len(spared)) if credible else (0,)

    while found and gain(most := max(found, key=gain))[0]:
        yield Cause(tuple(found.pop(most)), most[0] & left, most[2])
        left, shown = left - most[0], shown | most[0] | most[1]


def _explained(trial: Trial, hypothesis: Reference, failing: Sequence[Place]) -> frozenset[str]:
    """The checks of these places in all of which a hypothesis gives the implementation's numbers."""
    missed = {place[0].id for place in failing if agrees(trial, hypothesis, place) is False}
    return frozenset(check.id for check, _ in failing) - missed


def _alike(trial: Trial, suspect: Reference, right: Reference, place: Place) -> bool:
    """Whether a suspect's numbers are the right ones in one place, for laws but for roundings; facts are no numbers."""
    case = trial.case(place[1])
    if place[0].observes != "values":
        return False
    try:
        if case.run not in trial.random_runs:
            return suspect.digest(case) == right.digest(case)
        one, other = suspect.observe(case), right.observe(case)
        return one.shapes == other.shapes and np.allclose(one.flat, other.flat, equal_nan=True)
    except _NO_NUMBER:
        return False


def _quickest_first(checks: Sequence[Check], failing: Sequence[Place]) -> list[Place]:
    """A plain case, which rejects most mistakes, then the failing ones, then the others; short runs first."""

    places = [(check, case) for check in checks for case in check.cases]
    plain = next(place for place in places if place[0].observes == "values")
    others = _shortest(place for place in places if place is not plain and place not in failing)
    return [plain, *_shortest(failing), *others]


def _shortest(places: Iterable[Place]) -> list[Place]:
    """Places with numbers before those with facts, which tell few mistakes apart; short runs first."""
    return sorted(places, key=lambda place: (place[0].observes != "values", _length(place)))


def _length(place: Place) -> int:
    return len(place[1].inputs.get("steps", ()))


def _nearest_first(component: Component, options: Options, doubted: int) -> Iterable[Options]:
    """The combinations that differ from the given one on so many axes at most, those on fewer first."""

    def distance(other: Options) -> int:
        return sum(other[axis] != name for axis, name in options.items())

    return sorted((other for other in combinations(component) if distance(other) <= doubted), key=distance)


def _reproduces(
    trial: Trial, hypothesis: Reference, right: Reference, places: Sequence[Place], failing: Sequence[Place]
) -> bool:
    """Whether a hypothesis gives the implementation's numbers wherever it gave any, in a failing place at least.

    There its numbers must not be the right ones, as those of a mistake that another convention makes good: a law that
    the implementation fails is told from others by less than from itself.
    """
    reproduced = False
    for place in places:
        try:
            if not _agrees(trial, hypothesis, place):
                return False
        except (NotProvided, Misbehaviour):
            continue
        drawn = place[1].run in trial.random_runs
        reproduced = reproduced or (place in failing and not (drawn and _alike(trial, hypothesis, right, place)))
    return reproduced
