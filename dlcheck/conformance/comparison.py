"""Compare what an implementation gave with what a hypothesis (conventions, at most one fault) gives."""

import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlcheck.component import Case, Check, Component
from dlcheck.conformance import form
from dlcheck.conformance.implementation import (
    Array,
    Implementation,
    Misbehaviour,
    NotProvided,
    Observation,
    Refused,
    raised,
)
from dlcheck.conformance.oracle import Reference, prepared
from dlcheck.conformance.surroundings import Surroundings
from dlcheck.evidence import numerics

FACTS: dict[str, str] = {
    "dtype": "the result has dtype {got}, expected {expected} as the input",
    "purity": "it changes the arrays that its caller handed it",
    "determinism": "two runs on the same input give different numbers",
    "surroundings": "it {got}",
    "generator": "it does not obey the generator that it is given: equal seeds give different numbers",
    "fresh": "successive draws are equal",
}
"""The facts about a run that checks may look at in place of values, and what to say where they differ."""

_FAR = 1e4
_HALVES = ("float16", "bfloat16")
_VIEWS = ("strided", "transposed", "channels_last")
_NO_VIEW = "view size is not compatible"
"""What torch says where ``Tensor.view`` meets such an input: it harms nobody, for it says so at once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The worst place of one case: agrees where ``ratio``, error over allowed error, is at most 1.

    ``says`` tells what else differs where it is not a number; ``wrong`` of ``total`` numbers differ.
    """

    ratio: float
    output: str = ""
    index: tuple[int, ...] = ()
    expected: Any = None
    got: Any = None
    allowed: float = 0.0
    wrong: int = 0
    total: int = 0
    says: str = ""

    @property
    def agrees(self) -> bool:
        """Whether nothing differs by more than is allowed."""
        return self.ratio <= 1


class Trial:
    """One implementation on trial: runs each case once and remembers what it and the hypotheses gave.

    ``declines_views`` is what it said of an input that does not lie in memory as it is read, "" where it takes them.
    """

    def __init__(self, component: Component, implementation: Implementation, fixed: Mapping[str, Any] | None = None):
        self.component, self.implementation, self.given = component, implementation, dict(fixed or {})
        self._fixed = {name: value for name, value in self.given.items() if name in component.settings}
        self._form = form.named(component.form)
        self.random_runs = self._form.random_runs
        self._widest, self._plain = implementation.widest, dict[str, Any]()
        self._cases: dict[Case, Case] = {}
        self._seen: dict[Case, Observation | Exception] = {}
        self.declines_views = ""
        self._surroundings = Surroundings()
        self._again: dict[Case, Observation] = {}
        self._compared: dict[tuple[Case, str, bool, bytes], Comparison] = {}
        self._drawn: dict[tuple[Case, Reference], Comparison] = {}
        self._typical: dict[tuple[Case, Any], Array] = {}

    def case(self, case: Case) -> Case:
        """The case as both sides get it."""
        if case not in self._cases:
            held = replace(case, dtype=self._widest) if case.dtype == "float64" != self._widest else case
            self._cases[case] = prepared(held, self._fixed)
        return self._cases[case]

    def narrowed(self, plain: Case) -> str:
        """Why all is judged in float32 from here on; "" where it is not, because the implementation knows float64."""
        self._plain = dict(plain.settings)
        reason = self._no_float64(plain) if self._widest == "float64" else ""
        if not reason:
            return ""
        self._judge_in("float32")
        try:
            self.seen(plain)
            return reason
        except (NotProvided, Misbehaviour):
            self._judge_in("float64")
            return ""

    def _no_float64(self, plain: Case) -> str:
        """How the implementation refuses float64, or is a function that computes it in float32; "" if neither.

        What keeps state in float32 loses the digits of its caller's numbers for good, which is a mistake.
        """
        try:
            seen = self.seen(plain)
        except (NotProvided, Misbehaviour) as error:
            return f"it takes no float64: {error}" if isinstance(error, NotProvided) or error.declined else ""
        if self.component.form != "function":
            return ""
        right = Reference(self.component)
        expected = self.expected(right, plain)
        kept = seen.facts.get("dtype") == expected.facts.get("dtype") and self.as_float32(right, plain)
        narrow = [np.array_equal(run.flat, run.flat.astype(np.float32)) for run in (seen, expected)]
        return "it computes in float32 what it is given in float64" if kept and narrow == [True, False] else ""

    def as_float32(self, hypothesis: Reference, case: Case) -> bool:
        """Whether all numbers of a case in float64 are what a hypothesis allows in float32."""
        if case.run in self.random_runs or self.case(case).dtype != "float64":
            return False
        narrow = replace(self.case(case), dtype="float32")
        got, allowed = self.seen(case).flat_as(hypothesis.observe(narrow)), hypothesis.allowance(narrow)
        with np.errstate(all="ignore"):
            error = np.inf if got is None else np.abs(got - hypothesis.observe(narrow).flat)
            return bool(np.all(error <= Observation(allowed).flat))

    def _judge_in(self, widest: str) -> None:
        self._widest = widest
        self._cases.clear()
        self._seen.clear()

    def seen(self, case: Case) -> Observation:
        """What the implementation gave; raises NotProvided or Misbehaviour, the same each time."""
        if case not in self._seen:
            self._seen[case] = self._observed(case)
        found = self._seen[case]
        if isinstance(found, Exception):
            raise found
        return found

    def _observed(self, case: Case) -> Observation | NotProvided | Misbehaviour:
        try:
            if self._fixed and (clash := self._clash(case)):
                return NotProvided(clash)
            return self._ran(case)
        except Refused:
            raise
        except (NotProvided, Misbehaviour) as said:
            answer = said
        except Exception as error:
            answer = raised(error, case.refusable)
        if not isinstance(answer, Misbehaviour):
            return answer
        if case.layout in _VIEWS and (answer.declined or _NO_VIEW in str(answer)):
            self.declines_views = str(answer)
            return NotProvided(str(answer))
        return NotProvided(str(answer)) if answer.declined and self._unusual(case) else answer

    def _unusual(self, case: Case) -> bool:
        """Whether a case asks for what code may decline: half precision, or another setting than the plain case."""
        usual = ChainMap(self._plain, dict(self.component.settings))
        return self.case(case).dtype in _HALVES or any(
            usual.get(name) != value for name, value in case.settings.items()
        )

    def _ran(self, case: Case, again: bool = False) -> Observation:
        run = self.implementation.repeat if again else self.implementation.observe
        if isinstance(self.implementation, Reference):  # which is pure
            return run(self.case(case))
        return self._surroundings.watch(run, self.case(case))

    def _clash(self, case: Case) -> str:
        """Why the settings of a case do not go together with those that are fixed; "" where they do."""
        try:
            Reference(self.component).observe(self.case(case))
        except ValueError as error:
            return str(error)
        except Exception as error:  # the settings were no numbers, say
            given = ", ".join(f"{name}={value!r}" for name, value in self._fixed.items())
            return f"{self.component.name} cannot be had with {given}: {error}"
        return ""

    def expected(self, hypothesis: Reference, case: Case) -> Observation:
        """What a hypothesis gives."""
        return hypothesis.observe(self.case(case))

    def compare(self, hypothesis: Reference, check: Check, case: Case, quick: bool = False) -> Comparison:
        """How the implementation differs from a hypothesis in one case; raises as ``seen``.

        ``quick`` rejects what is off by 10,000 times the error that another hypothesis allows here, without working
        out the hypothesis's own.
        """
        seen = self.seen(case)
        if check.observes != "values":
            return self._compare_facts(hypothesis, check.observes, case, seen)
        with np.errstate(all="ignore"):
            if case.run in self.random_runs:
                if (case, hypothesis) not in self._drawn:
                    self._drawn[case, hypothesis] = self._compare_draws(hypothesis, case, seen)
                return self._drawn[case, hypothesis]
            # hypotheses that give the same numbers are one: most options and mistakes show in few cases
            key = case, check.severity, quick, hypothesis.digest(self.case(case))
            if key not in self._compared:
                self._compared[key] = self._compare_arrays(hypothesis, check, case, seen, quick)
            return self._compared[key]

    def _compare_arrays(
        self, hypothesis: Reference, check: Check, case: Case, seen: Observation, quick: bool
    ) -> Comparison:
        expected = self.expected(hypothesis, case)
        if quick and (clear := self._at_a_glance(expected, case, seen)):
            return clear
        asked = {name: value for name, value in expected.values.items() if name not in seen.lacks}
        rough = _compare_values(asked, seen.values, self.case(case).dtype, self._roundings(asked, case))
        if rough.agrees or rough.says:
            return rough
        allowed = hypothesis.allowance(self.case(case), strict=check.severity == "advice")
        self._typical.setdefault(
            (case, expected.shapes), np.concatenate([np.ravel(allowed[name]) for name in expected.values])
        )
        return _compare_values(asked, seen.values, self.case(case).dtype, allowed)

    def _at_a_glance(self, expected: Observation, case: Case, seen: Observation) -> Comparison | None:
        """What is plain without the hypothesis's own allowed error: all equal but for roundings, or something far off.

        None where it is not, and where the numbers of the two do not stand in the same places.
        """
        got = seen.flat_as(expected)
        if got is None:
            return None
        if np.any(np.isnan(got) != np.isnan(expected.flat)):
            return Comparison(math.inf)
        error = np.abs(got - expected.flat)
        rough = numerics.roundings(expected.flat, self.case(case).dtype, self.component.operations(case))
        if np.all(error <= rough):
            return Comparison(0.0)
        # another hypothesis may allow less here: 0 is exact, what it should be instead is not; near the largest number
        # of the dtype, infinity may be right
        may_overflow = np.isinf(got) & np.isinf(numerics.rounded(2 * expected.flat, self.case(case).dtype))
        typical = self._typical.get((case, expected.shapes), np.array(np.inf))
        far = np.any((error > _FAR * np.fmax(typical, rough)) & ~may_overflow)
        return Comparison(_FAR) if far else None

    def _roundings(self, values: Mapping[str, Array], case: Case) -> dict[str, Array]:
        """The part of the allowed error that needs no conditioning: enough for most cases, and cheap."""
        return {
            name: numerics.roundings(value, self.case(case).dtype, self.component.operations(case))
            for name, value in values.items()
        }

    def _compare_draws(self, hypothesis: Reference, case: Case, seen: Observation) -> Comparison:
        total = sum(value.size for value in seen.values.values())
        results = self._form.tests(hypothesis, self.case(case), seen)  # type: ignore[misc]
        failed = [result for result in results if not result.passed]
        if not failed:
            worst = min(results, key=lambda result: result.p_value)
            return Comparison(_surprise(worst), worst.name, total=total)
        first = failed[0]
        says = f"{first.name}: {first.law} gives so large a deviation with probability {first.p_value:.1e} only"
        says = says if first.p_value else f"{first.name}: expected {first.law}"
        got, ratio = float(first.statistic), max(*map(_surprise, failed), 1.01)
        return Comparison(ratio, first.name, (), str(first.law), got, first.false_alarm, 1, total, says)

    def _compare_facts(self, hypothesis: Reference, fact: str, case: Case, seen: Observation) -> Comparison:
        if fact == "determinism":
            again = self._repeated(case).values
            expected, got = True, all(np.array_equal(again[k], v, equal_nan=True) for k, v in seen.values.items())
        elif fact == "surroundings":
            expected, got = "", self._done_around(case, seen)
        elif fact not in seen.facts:
            raise NotProvided(f"{fact} cannot be seen")
        else:
            expected, got = self.expected(hypothesis, case).facts[fact], seen.facts[fact]
        says = "" if expected == got else FACTS[fact].format(expected=expected, got=got)
        return Comparison(math.inf if says else 0.0, fact, expected=expected, got=got, says=says)

    def _done_around(self, case: Case, seen: Observation) -> str:
        """What a run, or a second one, did to the process around it, in words."""
        runs = [seen] if case.run in self.random_runs else [seen, self._repeated(case)]
        return next(filter(None, (run.facts.get("surroundings") for run in runs)), "")

    def _repeated(self, case: Case) -> Observation:
        """What a second run gave."""
        if case not in self._again:
            self._again[case] = self._ran(case, again=True)
        return self._again[case]


def _compare_values(
    expected: Mapping[str, Array], seen: Mapping[str, Array], dtype: str, allowed: Mapping[str, Array]
) -> Comparison:
    missing = [name for name in expected if name not in seen]
    if missing:
        return Comparison(math.inf, missing[0], says=f"there is no {missing[0]}")
    parts = [_compared(name, right, seen[name], dtype, allowed[name]) for name, right in expected.items()]
    return max(parts, key=lambda part: part.ratio, default=Comparison(0.0))


def _compared(name: str, expected: Array, got: Array, dtype: str, allowed: Array) -> Comparison:
    if expected.shape != got.shape:
        return Comparison(math.inf, name, says=f"{name} has shape {got.shape}, expected {expected.shape}")
    if not expected.size:
        return Comparison(0.0, name)
    ratios = np.abs(got - expected) / allowed
    equal = (got == expected) | (np.isnan(got) & np.isnan(expected))
    # a result beyond the largest number of the dtype may overflow, one that may be reached by its error too
    over = np.isinf(got) & np.isinf(numerics.rounded(expected + np.copysign(allowed, expected), dtype))
    ratios = np.where(equal | (over & (np.sign(got) == np.sign(expected))), 0.0, ratios)
    ratios = np.where(np.isnan(ratios), np.inf, ratios)
    worst = float(ratios.max())
    wrong = np.flatnonzero(ratios > 1) if worst > 1 else np.array([], int)
    # the first wrong number, not the worst: where it first breaks tells more than where it is largest
    place = wrong[0] if len(wrong) else ratios.argmax()
    index = tuple(map(int, np.unravel_index(place, ratios.shape)))
    values = float(expected[index]), float(got[index]), float(allowed[index])
    return Comparison(worst, name, index, *values, wrong=len(wrong), total=expected.size)


def _surprise(result: Any) -> float:
    """How far towards the false-alarm rate a p-value goes, on a log scale: above 1 fails."""
    return math.log(max(result.p_value, 1e-300)) / math.log(result.false_alarm)
