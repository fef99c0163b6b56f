"""How far apart the fixed cases drive any two hypotheses: what cannot be told apart cannot be named."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from dlcheck import registry
from dlcheck.component import Component
from dlcheck.conformance import diagnosis, form
from dlcheck.conformance.common_checks import all_checks
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.implementation import NotProvided
from dlcheck.conformance.oracle import Reference

REQUIRED = 100.0
"""Times the allowed error by which two hypotheses must differ in some case."""
REQUIRED_OF_LAWS = 2.0
"""For laws, which are compared by tests: times the false-alarm rate's logarithm, so that 1e-9 becomes 1e-18."""


@dataclass(frozen=True, slots=True)
class Separation:
    """Two hypotheses, by name, and the largest difference in any fixed case over the one that is required."""

    first: str
    second: str
    margin: float

    @property
    def suffices(self) -> bool:
        """Whether that is enough to tell them apart safely."""
        return self.margin >= 1


def separations(component: Component) -> Iterator[Separation]:
    """Every pair of hypotheses: the drop-in model's conventions, each other option alone, each fault alone."""
    named = _named(component)
    trials = {name: Trial(component, hypothesis) for name, hypothesis in named.items()}
    for first, second in itertools.combinations(named, 2):
        yield Separation(first, second, _margin(component, named[first], trials[second]))


def _named(component: Component) -> dict[str, Reference]:
    base = {c.axis: c.options[0].name for c in component.conventions}
    others = [(c.axis, option.name) for c in component.conventions for option in c.options[1:]]
    known = registry.faults_of(component.name)
    named = {"model": diagnosis.reference(component, base)}
    named |= {f"{axis}={name}": diagnosis.reference(component, {**base, axis: name}) for axis, name in others}
    return named | {fault: diagnosis.reference(component, base, fault) for fault in known}


def _margin(component: Component, hypothesis: Reference, trial: Trial) -> float:
    """The largest margin over the cases, searched until it is certainly enough."""
    largest = 0.0
    random = form.named(component.form).random_runs
    # numbers first: facts tell few hypotheses apart
    for check in sorted(all_checks(component), key=lambda check: check.observes != "values"):
        for case in check.cases:
            required = REQUIRED_OF_LAWS if case.run in random and check.observes == "values" else REQUIRED
            try:
                largest = max(largest, trial.compare(hypothesis, check, case, quick=True).ratio / required)
            except NotProvided:
                continue
            if largest >= 1:
                return largest
    return largest
