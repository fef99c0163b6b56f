"""Functions that draw at random: judged by the law of what they drew, read back from what they gave.

The reference has a sampler ``name(*arrays, rng, ...)`` of one draw, and ``name_read(samples, *arrays, ...)``, which
reads many draws back: it gives what the values drawn must give exactly (NaN where nothing fits), and the values drawn
with their laws, by name (``evidence.draws``). Where there is a gradient, ``name_backward(grad_output, output, *arrays,
...)`` gives that of one draw from its output. With settings that leave nothing to chance they are plain functions.
"""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form, Values
from dlcheck.conformance.forms import function
from dlcheck.conformance.forms.replay import keywords, tensor
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference
from dlcheck.evidence import numerics

NAMING = 1e-5
"""Rate at which a mistake is missed in one case: above that of false verdicts, so that fewer others pass for it."""
_FEW = 24
"""Draws of a mistake at a glance."""
_ROOT = 2**0.5
"""Weight of the second of two draws in a sum that tells how they hang together: no factor that code would use."""


def _one(reference: Reference, case: Case, rng: np.random.Generator) -> dict[str, Array]:
    """One draw, and its gradients where the case has an upstream gradient."""
    name, arrays = reference.component.name, function.given(reference.component, case)
    sampler = partial(reference.required(name), rng=rng, **reference.keywords(name, case.settings))
    output = function.called(sampler, reference.component, arrays)
    values = {"output": np.asarray(output, np.float64)}
    return values | (_gradients(reference, case, values["output"]) if "grad_output" in case.inputs else {})


def _gradients(reference: Reference, case: Case, output: Array) -> dict[str, Array]:
    name, arrays = f"{reference.component.name}_backward", function.given(reference.component, case)
    backward = partial(reference.required(name), **reference.keywords(name, case.settings))
    gradients = function.called(backward, reference.component, arrays, np.array(case.inputs["grad_output"]), output)
    return {f"grad_{key}": np.asarray(value, np.float64) for key, value in gradients.items()}


def _plain(reference: Reference, case: Case) -> Observation:
    values = _one(reference, case, np.random.default_rng(reference.seed))
    if case.run == "backward":
        del values["output"]
    return Observation(values, function.facts(case, function.given(reference.component, case)))


def _draws(reference: Reference, case: Case) -> Observation:
    rng = np.random.default_rng(reference.seed)
    draws = [_one(reference, case, rng) for _ in range(case.inputs["draws"])]
    values = {"samples" if name == "output" else name: np.stack([draw[name] for draw in draws]) for name in draws[0]}
    samples = values["samples"]
    facts = {"generator": reference.required("obeys_generator")(), "fresh": bool(np.any(samples != samples[0]))}
    return Observation(values, {**function.facts(case, {}), **facts})


def _read(reference: Reference, case: Case, samples: Array) -> tuple[Array, Any]:
    name = f"{reference.component.name}_read"
    arrays = function.given(reference.component, case)
    read = partial(reference.required(name), **reference.keywords(name, case.settings))
    return function.called(read, reference.component, arrays, samples)


def _excess(reference: Reference, case: Case, expected: Array, got: Array) -> Array:
    """Error over allowed error, the worst of each draw; infinite where nothing fits."""
    size = np.fmax(np.abs(expected), reference.component.magnitude(case))
    allowed = numerics.roundings(size, case.dtype, reference.component.operations(case))
    ratio = np.where(got == expected, 0.0, np.abs(got - expected) / allowed)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    return ratio.reshape(len(got), -1).max(axis=1, initial=0.0)


_KNOWN: WeakKeyDictionary[Case, dict[Any, Any]] = WeakKeyDictionary()
"""What was worked out about a case, for many hypotheses ask the same of the same draws."""


def _once(reference: Reference, case: Case, key: Any, work: Callable[[], Any]) -> Any:
    known, key = _KNOWN.setdefault(case, {}), (reference.component.name, *reference.options.items(), key)
    if key not in known:
        known[key] = work()
    return known[key]


def _rebuilt(reference: Reference, case: Case, values: Values) -> tuple[dict[str, Array], Any]:
    """For each output the excess of each draw, and what was drawn."""
    digest = hashlib.blake2b(b"".join(value.tobytes() for value in values.values()), digest_size=16).digest()
    return _once(reference, case, digest, lambda: _worked_out(reference, case, values))


def _worked_out(reference: Reference, case: Case, values: Values) -> tuple[dict[str, Array], Any]:
    samples = values["samples"]
    rebuilt, drawn = _read(reference, case, samples)
    excess = {"samples": _excess(reference, case, rebuilt, samples)}
    if "grad_output" in case.inputs:
        gradients = [_gradients(reference, case, output) for output in samples]
        for name in gradients[0] if gradients else ():
            expected = np.stack([found[name] for found in gradients])
            excess[name] = _excess(reference, case, expected, values[name])
    return excess, drawn


def tests(hypothesis: Reference, case: Case, seen: Observation) -> tuple[Any, ...]:
    """Tests of what was drawn against its law; against draws of the hypothesis where it is a mistake."""
    from dlcheck.evidence import draws, statistics  # import scipy, for which other components need not wait

    right = Reference(hypothesis.component, hypothesis.options) if hypothesis.fault else hypothesis
    # one draw tells the shapes; all are needed of a mistake alone, which has no law
    shapes = _once(right, case, "shapes", lambda: _shapes(_draws(right, _of_draws(case, 1)).values))
    expected = _some(hypothesis, case) if hypothesis.fault else {}
    for name, shape in {**shapes, **_shapes(expected)}.items():
        got = seen.values[name].shape[1:] if name in seen.values else "none"
        if got != shape:
            return (statistics.TestResult("shape", f"{name} of shape {shape}, got {got}", 1, 0, 0.0, 0.5),)
    if hypothesis.fault:
        glance = draws.span_test(seen.values["samples"], expected["samples"], NAMING)
        if glance.p_value < NAMING**2:
            return (glance,)
        expected = hypothesis.observe(case).values
        if shapes != _shapes(expected):
            return tuple(_alike({name: seen.values[name] for name in expected}, expected))
        return _same(right, case, expected, seen.values)
    excess, drawn = _rebuilt(right, case, seen.values)
    certain = tuple(
        statistics.TestResult(name, says, len(found), float(np.max(found)), float(np.max(found) <= 1), 0.5)
        for name, found in excess.items()
        for says in ["what the values drawn must give" if name == "samples" else "the gradient of the same draw"]
    )
    return certain + (draws.judge_drawn(drawn) if all(test.passed for test in certain) else ())


def _some(hypothesis: Reference, case: Case) -> Values:
    """A few draws of a mistake, which tell most of them from what was seen."""
    few = _of_draws(case, min(_FEW, case.inputs["draws"]))
    fault = hypothesis.fault.id if hypothesis.fault else ""
    return _once(hypothesis, case, ("some", fault), lambda: _draws(hypothesis, few).values)


def _of_draws(case: Case, draws: int) -> Case:
    return replace(case, inputs={**case.inputs, "draws": draws})


def _shapes(values: Values) -> dict[str, tuple[int, ...]]:
    return {name: value.shape[1:] for name, value in values.items()}


def _same(right: Reference, case: Case, expected: Values, seen: Values) -> tuple[Any, ...]:
    """Whether two stacks of draws may come from one law: in their values, and as the right reading sees them.

    The reading, which takes longest, is left out where the values alone speak against it with twice the digits needed.
    """
    from dlcheck.evidence import draws

    asked = {name: seen[name] for name in expected}
    results = _alike(asked, expected)
    if any(result.p_value < result.false_alarm**2 for result in results):
        return tuple(results)
    (excess, drawn), (ours, ours_drawn) = (_rebuilt(right, case, values) for values in (seen, expected))
    results += [draws.two_shares_test(excess[name] > 1, ours[name] > 1, f"{name} fits", NAMING) for name in ours]
    theirs, own = (
        {name: np.nan_to_num(np.asarray(values, np.float64), nan=-1e6) for name, (values, _) in found.items()}
        for found in (drawn, ours_drawn)
    )
    return (*results, *_alike(theirs, own, " read back"))


def _alike(ours: Values, theirs: Values, seen_as: str = "") -> list[Any]:
    """Tests that stacks of draws have the laws of others by name, alone and, where they have one shape, together."""
    from dlcheck.evidence import draws

    pairs = [(one, other) for one, other in itertools.combinations(theirs, 2) if ours[one].shape == ours[other].shape]
    both = [
        {**values, **{f"{one} with {other}": values[one] + _ROOT * values[other] for one, other in pairs}}
        for values in (ours, theirs)
    ]
    return [
        replace(found, name=f"{name}{seen_as}: {found.name}")
        for name, value in both[0].items()
        for found in [draws.same_draws(value, both[1][name], NAMING)]
    ]


def snippet(component: Component, case: Case) -> list[str]:
    """Print a few draws."""
    if "draws" not in case.inputs:
        return function.snippet(component, case)
    arrays = function.given(component, case)
    given = "".join(f", {name}={tensor(value, case)}" for name, value in arrays.items() if name in component.optional)
    lines = [f"{name} = {tensor(arrays[name], case)}" for name in component.inputs]
    arguments = f"{', '.join(component.inputs)}{given}{keywords(case)}"
    return [*lines, f"for _ in range(8):\n    print(target({arguments}))"]


FORM = Form(
    {"forward": _plain, "backward": _plain, "draws": _draws, "draws_backward": _draws},
    ("dtype", "purity", "determinism", "generator", "fresh"),
    snippet,
    {"obeys_generator": lambda: True},
    tests=tests,
    random_runs=("draws", "draws_backward"),
)
