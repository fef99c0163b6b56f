"""Claims and what becomes of them: frozen records, standard library only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dlcheck.component import Source

EvidenceKind = Literal["proof", "exhaustive", "property", "statistical", "empirical"]
Verdict = Literal["holds", "conditional", "refuted"]
EVIDENCE_KINDS: tuple[EvidenceKind, ...] = ("proof", "exhaustive", "property", "statistical", "empirical")
"""Strongest first."""


class Unsupported(AssertionError):
    """The evidence of this run does not support the verdict that the claim declares."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How something was shown, with its size.

    ``size`` holds what the kind calls for: sizes proved for, cases and seed, worst error against the allowed one,
    law, n, false-alarm rate and power, runs and interval.
    """

    kind: EvidenceKind
    how: str
    size: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Where a claim fails, in numbers that a reader can check by hand.

    ``confirmed`` is computed: whether the run saw ``actual`` contradict what was ``claimed``.
    """

    says: str
    inputs: Mapping[str, Any]
    claimed: Any
    actual: Any
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of the evidence: data only, drawn by the report.

    ``series`` maps a label to (x values, y values); ``kind`` is "line", "scatter" or "bar".
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    kind: Literal["line", "scatter", "bar"] = "line"
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True, slots=True)
class Table:
    """Evidence in rows: each as long as ``columns``."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run of a claim found.

    ``confirmed``: the statement held wherever it was examined (within ``conditions``, where there are any).
    """

    evidence: Evidence
    confirmed: bool
    conditions: str = ""
    counterexample: Counterexample | None = None
    correction: str = ""
    explanation: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict that this evidence supports; raises Unsupported where it supports none."""
        failed = self.counterexample is not None and self.counterexample.confirmed
        if self.counterexample is not None and not failed:
            raise Unsupported(f"the counterexample does not contradict the claim: {self.counterexample}")
        if failed and self.correction and not self.conditions:
            return "refuted"
        if failed and self.conditions and self.confirmed:
            return "conditional"
        if not failed and not self.conditions and self.confirmed:
            return "holds"
        raise Unsupported(
            f"undecided: confirmed={self.confirmed}, conditions={self.conditions!r}, counterexample={failed}"
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the notes or the literature, judged by a function that returns a Judgement.

    ``component`` is the component whose implementation the function takes as its argument, or "" if it takes none.
    """

    id: str
    says: str
    sources: tuple[Source, ...]
    evidence: EvidenceKind
    verdict: Verdict
    judge: Callable[..., Judgement]
    formula: str = ""
    component: str = ""

    @property
    def family(self) -> str:
        """The folder of the module that makes it."""
        return self.judge.__module__.split(".")[-2:][0]


def claim(
    id: str,
    *,
    says: str,
    sources: tuple[Source, ...],
    evidence: EvidenceKind,
    verdict: Verdict,
    formula: str = "",
    component: str = "",
) -> Callable[[Callable[..., Judgement]], Claim]:
    """Make the decorated function the judge of a claim.

    ``verdict`` is declared so that a change of what the evidence shows fails the run, never to decide it.
    """

    def decorate(judge: Callable[..., Judgement]) -> Claim:
        return Claim(id, says, sources, evidence, verdict, judge, formula, component)

    return decorate
