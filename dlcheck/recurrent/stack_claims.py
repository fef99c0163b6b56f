"""The notes' stack RNN: that its memory is a stack, by search, and that it learns to count, by seeded training."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from dlcheck.component import Case, Source, notes
from dlcheck.evidence import experiment, numerics
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, Unsupported, claim
from dlcheck.recurrent import counting
from dlcheck.recurrent.counting import LONGEST, PLACES, Counter

Array = NDArray[np.float64]

PUSH, POP, STILL = range(3)
CERTAIN = 1000.0
"""A logit beyond which float64 knows neither e^-x nor sigmoid(-x) from 0: actions are exactly one-hot."""
EXAMPLES, LONG = 100, 30
ALL = range(1, 2 * LONGEST + 1)
"""The training strings and longer ones: n = 1 to 12."""
LEAST = 3
"""Networks that must have found the counter, or nothing can be said about them."""

_SOURCES = (
    notes("001, section 1.2"),
    Source(
        "Joulin, Mikolov 2015, Inferring algorithmic patterns with stack-augmented recurrent nets",
        "sections 3.2 and 5.1",
        "https://arxiv.org/abs/1503.01007",
    ),
)


def _observed(implementation: Any, x: Array, parameters: Any, places: int) -> tuple[Array, Array]:
    """States and stacks along sequences (B, T, F)."""
    case = Case("forward", {"x": x, "parameters": parameters}, {"stack_depth": places})
    values = implementation.observe(case).values
    return values["h"], values["stack"]


# Hard actions: three units that are 0 or 1 decide, a fourth makes the value.

_COMMANDED = {
    "U": np.diag([CERTAIN, CERTAIN, CERTAIN, 1.0]),
    "R": np.zeros((4, 4)),
    "P": np.zeros((4, 1)),
    "A": CERTAIN * np.eye(3, 4),
    "D": np.array([[0.0, 0.0, 0.0, 4.0]]),
}


def _command(actions: Sequence[int], values: Sequence[float]) -> Array:
    """The sequence (1, T, 4) that makes a network of these weights do so: 1 for the action and -1 for the others."""
    return np.column_stack((2 * np.eye(3)[list(actions)] - 1, values))[None]


def _memories(implementation: Any, actions: Sequence[int], values: Sequence[float], places: int) -> tuple[Array, Array]:
    """The stack after each step, (T, K), and the values of which each is to be pushed, (T,)."""
    h, memory = _observed(implementation, _command(actions, values), _COMMANDED, places)
    return memory[0], 1 / (1 + np.exp(-h[0] @ _COMMANDED["D"][0]))


def _require_stack(actions: Sequence[int], memory: Array, values: Array) -> None:
    """A list of what was pushed stands in the stack, number for number; raises Unsupported where it does not."""
    held: list[float] = []
    for step, action in enumerate(actions):
        if action == PUSH:
            rounding = numerics.roundings(values[step], "float64", 8)
            if abs(memory[step, 0] - values[step]) > rounding:
                raise Unsupported(f"step {step} pushed {memory[step, 0]}, expected {values[step]}")
            held.insert(0, float(memory[step, 0]))
        held = held[1:] if action == POP else held
        expected = held + [-1.0] * (memory.shape[1] - len(held))
        if memory[step].tolist() != expected:
            raise Unsupported(f"after step {step} of {actions} the stack is {memory[step].tolist()}, not {expected}")


@st.composite
def _commands(draw: st.DrawFn) -> tuple[list[int], list[float], int]:
    """Actions under which no more than ``places`` values are ever held; a push too many becomes a no-op."""
    places, actions, held = draw(st.integers(1, 6)), [], 0
    for wanted in draw(st.lists(st.integers(PUSH, STILL), min_size=1, max_size=LONG)):
        action = STILL if wanted == PUSH and held == places else wanted
        held = held + 1 if action == PUSH else max(held - 1, 0) if action == POP else held
        actions.append(action)
    return actions, draw(st.lists(st.floats(-3, 3), min_size=len(actions), max_size=len(actions))), places


@claim(
    "stack-rnn.is-a-stack",
    says="With hard (one-hot) actions a stack RNN's memory is exactly a stack with push, pop and no-op.",
    sources=_SOURCES,
    evidence="property",
    verdict="conditional",
    formula=r"a_t \in \{e_1, e_2, e_3\}: \quad s_t = (v_t, s_{t-1}[0], \ldots), \; "
    r"(s_{t-1}[1], s_{t-1}[2], \ldots, -1) \text{ or } s_{t-1}",
    component="stack_rnn",
)
def is_a_stack(implementation: Any) -> Judgement:
    """Beside a Python list, over commanded sequences; numbers that move must stay the same to the last bit."""

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None)
    @given(_commands())
    def search(command: tuple[list[int], list[float], int]) -> None:
        actions, values, places = command
        _require_stack(actions, *_memories(implementation, actions, values, places))

    search()
    memory, pushed = _memories(implementation, [PUSH, PUSH, POP], [0.0, 1.0, 0.0], 1)
    return Judgement(
        Evidence(
            "property",
            "derandomised Hypothesis search over sequences of actions and values, compared with a list",
            {"examples": EXAMPLES, "longest sequence": LONG, "places": "1 to 6", "allowed difference": 0.0},
        ),
        confirmed=True,
        conditions="never more values are held than the stack has places, K",
        counterexample=Counterexample(
            "One place: push v1, push v2, pop. The second push moves v1 off the bottom, so that the pop brings up "
            "what an empty stack reads.",
            {"stack_depth": 1, "actions": "push, push, pop", "v1": float(pushed[0]), "v2": float(pushed[1])},
            claimed=float(pushed[0]),
            actual=float(memory[-1, 0]),
            confirmed=bool(memory[-1, 0] == -1.0 != pushed[0]),
        ),
        explanation="A share of exactly 1 copies numbers, and shares of exactly 0 add nothing to them: they move "
        "without rounding. A pop of an empty stack is no error: all places read -1, and go on to. A memory of K places "
        "is a stack that forgets its oldest value when a (K + 1)st is pushed.",
    )


@cache
def _counters(seeds: tuple[int, ...]) -> dict[str, list[Counter]]:
    return counting.counters(seeds)


def _right(implementation: Any, counter: Counter, ns: Sequence[int], places: int) -> NDArray[np.bool_]:
    """Whether a trained network, run by an implementation, foretells all that can be foretold, for each n."""
    x, _, _ = counting.strings(ns)
    h, _ = _observed(implementation, x.double().numpy(), counter.parameters, places)
    return counter.right(h, ns)


def _counts(implementation: Any, counter: Counter) -> bool:
    """Whether a^6 b^6 makes it push at every a but the first two, and pop at every b but the last.

    What it does at the ends marks the bottom, or is never read.
    """
    x, _, _ = counting.strings([LONGEST])
    h, _ = _observed(implementation, x.double().numpy(), counter.parameters, PLACES)
    acts = counter.acts(h[0])
    return acts[2:LONGEST] == "1" * (LONGEST - 2) and acts[LONGEST:-1] == "2" * (LONGEST - 1)


def _totals(found: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(each.sum()) for name, each in found.items()}


@claim(
    "stack-rnn.counts",
    says="A stack RNN learns to count: trained on short a^n b^n strings it is right on longer ones.",
    sources=_SOURCES,
    evidence="empirical",
    verdict="conditional",
    component="stack_rnn",
)
def counts(implementation: Any) -> Judgement:
    """Next symbols of a^n b^n, trained on n = 1 to 6 with ten places, three kinds of network from the same seeds.

    Rule: at least three of the networks that hear of the past through the stack alone (R = 0) are right on the short
    strings and count (push at each a, pop at each b, by their likeliest action); all of these are right on n = 7 to 12
    with enough places, and right on more of them than the networks without a stack by an interval beyond half of them.
    With its ten places every one of them must fail at n = 12.
    """
    seeds = tuple(experiment.seeds(experiment.PROFILE, times=2))
    trained = _counters(seeds)
    right = {
        name: np.array([_right(implementation, counter, ALL, 2 * ALL[-1]) for counter in found])
        for name, found in trained.items()
    }
    short = {name: found[:, :LONGEST].all(1) for name, found in right.items()}
    longer = {name: found[:, LONGEST:].mean(1) for name, found in right.items()}
    count = short["stack"] & np.array([_counts(implementation, counter) for counter in trained["stack"]])
    if count.sum() < LEAST:
        raise Unsupported(f"{count.sum()} of {len(seeds)} networks count, too few to judge")
    ahead = experiment.paired(longer["stack"][count], longer["state"][count], 0.5)
    ones = [counter for counter, counts in zip(trained["stack"], count, strict=True) if counts]
    full = sum(_right(implementation, counter, [PLACES + 2], PLACES)[0] for counter in ones)
    return Judgement(
        Evidence(
            "empirical",
            "networks of 8 units trained by 300 steps of Adam; rule: every one that counts is right on n = 7 to 12",
            {
                "profile": experiment.PROFILE,
                "seeds": len(seeds),
                "right on n = 1 to 6, by what tells of the past": _totals(short),
                "right on n = 7 to 12 too": _totals({name: found.all(1) for name, found in right.items()}),
                "through the stack alone, and counting": int(count.sum()),
                "share of n = 7 to 12, counting ones over networks without a stack": str(ahead),
            },
        ),
        confirmed=bool((longer["stack"][count] == 1).all()) and ahead.decision == "larger",
        conditions=f"training has found the counter ({count.sum()} of {len(seeds)} seeds with R = 0 push at each a and "
        "pop at each b), n is at most the number of places, and n is not so large that what soft actions leave behind "
        f"adds up ({ALL[-1]}, twice the longest string trained on, is not)",
        counterexample=Counterexample(
            f"The same networks with their {PLACES} places: once these are full of equal marks a further push changes "
            f"nothing, so that after {PLACES + 1} and after {PLACES + 2} letters a the stack holds the same, and no "
            "network with R = 0 can be right on both.",
            {"places": PLACES, "n": PLACES + 2},
            claimed=f"right at n = {PLACES + 2}: {count.sum()} of {count.sum()} networks",
            actual=f"right at n = {PLACES + 2}: {full} of {count.sum()} networks",
            confirmed=bool(full < count.sum()),
        ),
        explanation="Networks that have a recurrent weight R besides learn the short strings by heart at least as "
        "well, and go on to longer ones less often; those without a stack hardly ever do. So the stack makes counting "
        "possible, and easier to find if it is the only memory; that training finds it is a matter of the seed.",
        figures=(
            Figure(
                "Strings a^n b^n foretold without a mistake, trained on n up to 6",
                "n",
                "share of seeds",
                {name: (list(ALL), found.mean(0).tolist()) for name, found in right.items()},
            ),
        ),
    )
