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
    given, count = reference.keywords(name, case.settings), case.inputs["draws"]
    if reference.required("reaches")(shape, case.layout):
        draws = [reference.required(name)(shape, rng, **given) for _ in range(count)]
    else:
        draws = [np.full(shape, np.nan)] * count
    fresh = len(draws) < 2 or not np.array_equal(draws[0], draws[1])
    facts = {"dtype": case.dtype, "generator": reference.required("obeys_generator")(), "fresh": fresh}
    return Observation({"samples": np.stack(draws)}, facts)


def _folded(samples: Array, law: Any, dtype: str) -> Array | None:
    """The part of the samples from which all others follow: all of them, where none depends on another.

    A mistake gives what should follow the law, or None where the samples cannot be its own.
    """
    return samples


def _reaches(shape: tuple[int, ...], layout: str) -> bool:
    """Whether the numbers get into the tensor that was handed over."""
    return True


def tests(hypothesis: Reference, case: Case, seen: Observation) -> tuple[Any, ...]:
    """Tests of draws against the law; against draws of the hypothesis where it is a mistake without one.

    A mistake with numbers that depend on each other, or follow the law once changed, says by ``folded`` which to test.
    """
    from dlcheck.evidence import laws, statistics  # import scipy, for which other components need not wait

    samples, name = seen.values["samples"], hypothesis.component.name
    law_name, shape = f"{name}law", tuple(case.inputs["shape"])
    if not hypothesis.required("reaches")(shape, case.layout):
        untouched = 1.0 if np.isnan(samples).all() else 0.0
        return (statistics.TestResult("untouched", "no number", samples.size, 0.0, untouched, 0.5),)
    replaced = hypothesis.fault.replaces if hypothesis.fault else {}
    if name in replaced and law_name not in replaced:
        return (statistics.same_law(samples, hypothesis.observe(case).values["samples"]),)
    law = hypothesis.required(law_name)(shape, **hypothesis.keywords(law_name, case.settings))
    parts = hypothesis.required("folded")(samples, law, case.dtype)
    if parts is None:
        return (statistics.TestResult("dependence", "as many dependent numbers", samples.size, 0.0, 0.0, 0.5),)
    if parts is not samples:
        return laws.judge_sample(parts, replace(law, shape=parts.shape[1:]), dtype=case.dtype)
    of, judged = _JUDGED.get(case, (None, {}))
    if of is None or of() is not samples:
        of, judged = _JUDGED[case] = ref(samples), {}
    if (law, case.dtype) not in judged:  # most mistakes have the right law in most cases
        mistaken = bool(hypothesis.fault)
        judged[law, case.dtype] = laws.judge_sample(samples, law, dtype=case.dtype, until_failure=mistaken)
    return judged[law, case.dtype]


_JUDGED: WeakKeyDictionary[Case, tuple[Any, dict[Any, tuple[Any, ...]]]] = WeakKeyDictionary()
"""The latest samples of a case, and what their tests gave by law."""


def snippet(component: Component, case: Case) -> list[str]:
    """Fill tensors and print their moments."""
    shape = tuple(case.inputs["shape"])
    made = {
        "strided": f"torch.empty{(*shape[:-1], 2 * shape[-1] + 1)!r}[..., 1::2]" if shape else "",
        "transposed": f"torch.empty{shape[::-1]!r}.permute{(*range(len(shape))[::-1],)!r}",
    }.get(case.layout, f"torch.empty({shape!r})")
    return [
        f"draws = [target({made}{keywords(case)}) for _ in range({case.inputs['draws']})]",
        "samples = torch.stack(draws).double()",
        "print(samples.mean(), samples.std(), samples.min(), samples.max())",
    ]


FORM = Form(
    {"sample": sample},
    ("dtype", "generator", "fresh"),
    snippet,
    {"folded": _folded, "reaches": _reaches, "obeys_generator": lambda: True},
    tests=tests,
    random_runs=("sample",),
)
