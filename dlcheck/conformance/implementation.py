"""What an implementation is: code that runs cases, and says what it gave, what it lacks or how it misbehaved."""

import os
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Case, Component

Array = NDArray[np.float64]
_OWN = os.sep + os.path.join("dlcheck", "conformance") + os.sep
GIVEN_UP = "it is not tried any more"
"""Opens what is said of cases that were not run, which is no cause but a consequence."""
_ADAPTERS = _OWN + "adapters" + os.sep


class NotProvided(Exception):
    """An implementation lacks what a case asks for; its message says what."""


class Refused(ValueError):
    """A wrong call, not a finding: a target that is not found or in no accepted form, an option out of range."""


class Misbehaviour(Exception):
    """What code did in place of answering: it raised, returned a wrong thing, hung or crashed; one sentence.

    ``declined`` where it was the code's own ``raise`` or ``assert``: it may not know what it was asked for.
    """

    def __init__(self, says: str, declined: bool = False):
        super().__init__(says)
        self.declined = declined


def raised(error: BaseException, refusable: bool = False) -> NotProvided | Misbehaviour:
    """What an exception of the code means: NotImplementedError, or any where it may refuse, says that something lacks.

    One that arose in this package's own lines is no finding, but ours to mend, and raised again; but in those of an
    adapter, the code handed over something that cannot be driven.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if frames and _OWN in frames[-1].filename and _ADAPTERS not in frames[-1].filename:
        raise error
    says = first_line(_text(error)) or "(no message)"
    if refusable or isinstance(error, NotImplementedError):
        return NotProvided(says)
    others = [frame for frame in frames if _OWN not in frame.filename]
    theirs = next((frame for frame in others if not _installed(frame.filename)), others[0] if others else None)
    place = f" (at {os.path.basename(theirs.filename)}:{theirs.lineno}: {theirs.line})" if theirs else ""
    own = frames[-1].line or "" if frames and not _installed(frames[-1].filename) else ""
    declined = re.search(r"(^|[:;] *)(raise|assert) ", own) is not None
    return Misbehaviour(f"it raised {type(error).__name__}: {says}{place}", declined)


def first_line(text: str, longest: int = 500) -> str:
    """The first line of what a stranger says, cut where it is long, and with nothing in it that a terminal obeys."""
    line = next(iter(text[: 100 * longest].strip().splitlines()), "")
    line = f"{line[:longest]}..." if len(line) > longest else line
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)


def _installed(file: str) -> bool:
    """Whether a file is one of a library, whose errors are about how it is called."""
    return "site-packages" in file or file.startswith(os.path.dirname(os.__file__))


def _text(error: BaseException) -> str:
    """What an exception says, if saying it does not fail too."""
    try:
        return str(error)
    except Exception:
        return ""


@dataclass(frozen=True)
class Observation:
    """What one run of a case gave: values by output name, and facts about the run (dtype, purity, ...).

    ``lacks`` names outputs that code of this kind does not give, which are not asked for then.
    """

    values: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()

    @cached_property
    def flat(self) -> Array:
        """All numbers in one row, to be compared at once."""
        return np.concatenate([np.ravel(value) for value in self.values.values()] or [np.zeros(0)])

    @cached_property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What the numbers of the row belong to."""
        return tuple((name, value.shape) for name, value in self.values.items())

    def flat_as(self, other: "Observation") -> Array | None:
        """Its numbers in the order of another's, without what that has not; None where one of that's is missing."""
        if self.shapes == other.shapes:
            return self.flat
        if not other.values or not set(other.shapes) <= set(self.shapes):
            return None
        return np.concatenate([np.ravel(self.values[name]) for name in other.values])


class Implementation:
    """Code for a component, driven through cases; ``name`` is how reports call it.

    ``widest`` is the widest dtype that it computes in: cases in float64 are run in that. ``own_eps`` is its default eps
    where that is nobody else's: it is given the model's.
    """

    name: str
    component: Component
    widest: str = "float64"
    own_eps: float | None = None

    def observe(self, case: Case) -> Observation:
        """Run one case. Raises NotProvided where the code lacks what the case asks for, Misbehaviour where it fails."""
        raise NotProvided(f"{self.name} is no implementation")

    def repeat(self, case: Case) -> Observation:
        """Run one case for another time, on code that was called before as far as that can be had."""
        return self.observe(case)

    def forward(self, *inputs: Array, **settings: Any) -> Array:
        """A function's output."""
        named = dict(zip(self.component.inputs, inputs, strict=True))
        return self.observe(Case("forward", named, settings)).values["output"]

    def backward(self, grad_output: Array, *inputs: Array, **settings: Any) -> dict[str, Array]:
        """The gradients of a function's inputs, by input name."""
        named = dict(zip(self.component.inputs, inputs, strict=True)) | {"grad_output": grad_output}
        values = self.observe(Case("backward", named, settings)).values
        return {name.removeprefix("grad_"): value for name, value in values.items()}

    def trajectory(
        self, params: Sequence[Array], steps: Sequence[Mapping[str, Any]], **settings: Any
    ) -> dict[str, Array]:
        """An optimizer's parameters after each step: "param0" of shape (T, ...), "param1", ..."""
        case = Case("trajectory", {"params": list(params), "steps": list(steps)}, settings)
        return dict(self.observe(case).values)

    def sample(self, shape: tuple[int, ...], draws: int = 1, **settings: Any) -> Array:
        """An initializer's tensors, of shape (draws, *shape)."""
        return self.observe(Case("sample", {"shape": shape, "draws": draws}, settings)).values["samples"]
