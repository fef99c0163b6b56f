"""Initializers: the reference has a sampler ``name(shape, rng, ...)`` and the law of its draws, ``name`` + ``law``."""

from typing import Any

import numpy as np

from dlcheck.component import Case, Component
from dlcheck.conformance.form import Form
from dlcheck.conformance.forms.replay import keywords
from dlcheck.conformance.implementation import Observation
from dlcheck.conformance.oracle import Reference


def sample(reference: Reference, case: Case) -> Observation:
    """As many tensors as the case asks for, from one stream."""
    name, shape = reference.component.name, tuple(case.inputs["shape"])
    rng = np.random.default_rng(reference.seed)
    given = reference.keywords(name, case.settings)
    draws = [reference.required(name)(shape, rng, **given) for _ in range(case.inputs["draws"])]
    fresh = len(draws) < 2 or not np.array_equal(draws[0], draws[1])
    facts = {"dtype": case.dtype, "generator": True, "fresh": fresh}
    return Observation({"samples": np.stack(draws)}, facts)


def tests(hypothesis: Reference, case: Case, seen: Observation) -> tuple[Any, ...]:
    """Tests of draws against the law; against draws of the hypothesis where it is a mistake, which has no law."""
    from dlcheck.evidence import statistics  # imports scipy, for which other components need not wait

    samples = seen.values["samples"]
    if hypothesis.fault:
        return (statistics.same_law(samples, hypothesis.observe(case).values["samples"]),)
    law_name = f"{hypothesis.component.name}law"
    law = hypothesis.required(law_name)(case.inputs["shape"], **hypothesis.keywords(law_name, case.settings))
    return statistics.judge_sample(samples, law, dtype=case.dtype)


def snippet(component: Component, case: Case) -> list[str]:
    """Fill tensors and print their moments."""
    shape = tuple(case.inputs["shape"])
    return [
        f"draws = [target(torch.empty{shape!r}{keywords(case)}) for _ in range({case.inputs['draws']})]",
        "samples = torch.stack(draws).double()",
        "print(samples.mean(), samples.std(), samples.min(), samples.max())",
    ]


FORM = Form({"sample": sample}, ("dtype", "generator", "fresh"), snippet, tests=tests, random_runs=("sample",))
