"""Initializers: the reference has a sampler ``name(shape, rng, ...)`` and the law of its draws, ``name`` + ``law``."""

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import keywords
from dlcheck.conformance.implementation import Array, Observation
from dlcheck.conformance.oracle import Reference


def sample(reference: Reference, case: Case) -> Observation:
    """As many tensors as the case asks for, from one stream."""
    name, shape = reference.component.name, tuple(case.inputs["shape"])
    rng = np.random.default_rng(reference.seed)
    given = reference.keywords(name, case.settings)
    draws = [reference.required(name)(shape, rng, **given) for _ in range(case.inputs["draws"])]
    fresh = len(draws) < 2 or not np.array_equal(draws[0], draws[1])
    facts = {"dtype": case.dtype, "generator": reference.required("obeys_generator")(), "fresh": fresh}
    return Observation({"samples": np.stack(draws)}, facts)


def _folded(samples: Array) -> Array:
    """The part of the samples that all others equal: all of them, where none depends on another."""
    return samples


def tests(hypothesis: Reference, case: Case, seen: Observation) -> tuple[Any, ...]:
    """Tests of draws against the law; against draws of the hypothesis where it is a mistake without one.

    A mistake whose numbers depend on each other says by ``folded`` which slices of samples all others equal.
    """
    from dlcheck.evidence import statistics  # imports scipy, for which other components need not wait

    samples, law_name = seen.values["samples"], f"{hypothesis.component.name}law"
    if hypothesis.fault and law_name not in hypothesis.fault.replaces:
        return (statistics.same_law(samples, hypothesis.observe(case).values["samples"]),)
    law = hypothesis.required(law_name)(case.inputs["shape"], **hypothesis.keywords(law_name, case.settings))
    parts = hypothesis.required("folded")(samples)
    if parts is not samples:
        if not np.array_equal(np.broadcast_to(parts, samples.shape), samples):
            return (statistics.TestResult("dependence", "as many equal numbers", samples.size, 0.0, 0.0, 0.5),)
        return statistics.judge_sample(parts, replace(law, shape=parts.shape[1:]), dtype=case.dtype)
    of, judged = _JUDGED.get(case, (None, {}))
    if of is None or of() is not samples:
        of, judged = _JUDGED[case] = ref(samples), {}
    if (law, case.dtype) not in judged:  # most mistakes have the right law in most cases
        mistaken = bool(hypothesis.fault)
        judged[law, case.dtype] = statistics.judge_sample(samples, law, dtype=case.dtype, until_failure=mistaken)
    return judged[law, case.dtype]


_JUDGED: WeakKeyDictionary[Case, tuple[Any, dict[Any, tuple[Any, ...]]]] = WeakKeyDictionary()
"""The latest samples of a case, and what their tests gave by law."""


def snippet(component: Component, case: Case) -> list[str]:
    """Fill tensors and print their moments."""
    shape = tuple(case.inputs["shape"])
    return [
        f"draws = [target(torch.empty{shape!r}{keywords(case)}) for _ in range({case.inputs['draws']})]",
        "samples = torch.stack(draws).double()",
        "print(samples.mean(), samples.std(), samples.min(), samples.max())",
    ]


FORM = Form(
    {"sample": sample},
    ("dtype", "generator", "fresh"),
    snippet,
    {"folded": _folded, "obeys_generator": lambda: True},
    tests=tests,
    random_runs=("sample",),
)
